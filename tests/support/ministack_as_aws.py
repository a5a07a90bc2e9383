"""Starts ministack with what AWS tells its evaluator about a call to IAM, and ministack leaves out.

Run with `-P` by the interpreter of ministack's own environment, never imported. What decides stays
theirs; only what it is asked is put right, from AWS's "Service Authorization Reference" (IAM, STS):

- the resource of a call is the principal's or policy's own ARN, its path in it; of CreatePolicy the
  ARN that the policy will have. ministack knows no path there, and `*` for what is to be made;
- `iam:PolicyARN` is the policy that is attached or detached, `iam:PermissionsBoundary` the boundary
  that the user or role has by now;
- CreatePolicy with tags needs `iam:TagPolicy` too;
- AssumeRole with a source identity needs `sts:SetSourceIdentity` on both sides;
- a policy's name is unique in its account whatever its path and case (API reference, CreatePolicy).

One quota is told as raised, as an account's may be: 12 attachments to a user.
"""

from contextvars import ContextVar
from importlib import import_module
from typing import Any

actions: Any = import_module("ministack.core.iam_actions")
evaluator: Any = import_module("ministack.core.iam_evaluator")
iam: Any = import_module("ministack.services.iam")

resource_of, context_of = actions.extract_resource_arn, actions.request_tag_context
enforce, trusts = evaluator.enforce, evaluator.evaluate_trust_policy
create_policy, account_summary = iam._create_policy, iam._get_account_summary

source_identity: ContextVar[str] = ContextVar("source_identity", default="")
"""Of the AssumeRole that is judged; empty where it sets none."""


def said(params: Any, name: str) -> str:
    value = params.get(name, "")
    return str(value[0] if isinstance(value, list) and value else value or "")


def entity_of(params: Any) -> Any:
    """The user, role or group that a call is about; None where it is about none that stands."""
    for name, store in (
        ("UserName", iam._users),
        ("RoleName", iam._roles),
        ("GroupName", iam._groups),
    ):
        if said(params, name):
            return store.get(said(params, name))
    return None


def extract_resource_arn(service: str, method: str, path: str, *rest: Any) -> Any:
    _headers, _body, params, _region, account = rest
    if service == "iam":
        entity = entity_of(params)
        if entity is not None:
            return entity["Arn"]
        if said(params, "Action") == "CreatePolicy":
            return (
                f"arn:aws:iam::{account}:policy{said(params, 'Path') or '/'}"
                f"{said(params, 'PolicyName')}"
            )
    return resource_of(service, method, path, *rest)


def request_tag_context(service: str, action: str, body: bytes, params: Any) -> dict[str, Any]:
    context = dict(context_of(service, action, body, params))
    if service == "iam":
        entity = entity_of(params)
        if said(params, "PolicyArn") and entity is not None:
            context["iam:PolicyARN"] = said(params, "PolicyArn")
        boundary = (entity or {}).get("PermissionsBoundary")
        if boundary:
            context["iam:PermissionsBoundary"] = boundary
    if action == "sts:AssumeRole":
        source_identity.set(said(params, "SourceIdentity"))
        if source_identity.get():
            context["sts:SourceIdentity"] = source_identity.get()
    return context


def enforce_all(key: str, action: str, service: str, region: str, **about: Any) -> Any:
    """The call itself, then what it needs beside."""
    denied = enforce(key, action, service, region, **about)
    if denied:
        return denied
    tagged = (about.get("service_context") or {}).get("aws:TagKeys")
    if action == "iam:CreatePolicy" and tagged:
        return enforce(key, "iam:TagPolicy", service, region, **about)
    if action == "sts:AssumeRole" and source_identity.get():
        return enforce(key, "sts:SetSourceIdentity", service, region, **about)
    return None


def evaluate_trust_policy(document: Any, caller: str, context: Any = None) -> bool:
    if context is None or not source_identity.get():
        return bool(trusts(document, caller, context))
    context.service_context["sts:sourceidentity"] = source_identity.get()
    if not trusts(document, caller, context):
        return False
    context.action = "sts:SetSourceIdentity"
    return bool(trusts(document, caller, context))


def create_policy_once(params: Any) -> Any:
    name = said(params, "PolicyName")
    standing = (policy["PolicyName"].casefold() for policy in iam._policies.values())
    if name.casefold() in standing:
        return iam._error(409, "EntityAlreadyExists", f"{name} already exists.", ns="iam")
    return create_policy(params)


def raised_summary(params: Any) -> Any:
    status, headers, body = account_summary(params)
    told = "<key>AttachedPoliciesPerUserQuota</key><value>{}</value>"
    old, new = told.format(10), told.format(12)
    assert old.encode() in body, body
    return status, headers, body.replace(old.encode(), new.encode())


actions.extract_resource_arn = extract_resource_arn
actions.request_tag_context = request_tag_context
evaluator.enforce = enforce_all
evaluator.evaluate_trust_policy = evaluate_trust_policy
iam._IAM_HANDLERS["CreatePolicy"] = create_policy_once
iam._IAM_HANDLERS["GetAccountSummary"] = raised_summary

import_module("ministack.app").main()
