"""What could be used to get more than was granted is told, and what could not is left in peace."""

import json
import re
from typing import Any

import pytest

from ledger.manifest.danger import (
    ANYWHERE,
    CHANGES,
    HARMLESS,
    LOOKS,
    ON_EVERY_ROLE,
    WORDS,
    dangers,
    in_words,
)
from ledger.manifest.dangerous_policies import CODES, codes_of
from scripts.dangerous_policies import judged
from tests.unit.manifest.directory import accepted, reading, said

PAY = "aws-policies/pay.yaml"
EVERY_CHANGE = ("iam", "anywhere", "access", "org", "account", "sso")
RECORDS = ("trail", "config", "guardduty")


def codes(resource: str | list[str] = "*", **statement: Any) -> tuple[str, ...]:
    """What is told of one Allow; `resource` None: it has its own."""
    built = {"Effect": "Allow", "Resource": resource, **statement}
    if "NotResource" in statement:
        del built["Resource"]
    found = dangers(json.dumps({"Version": "2012-10-17", "Statement": [built]}))
    return found[0].codes if found else ()


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("*", ("everything",)),
        ("*:*", ("everything",)),
        ("iam:*", ("iam", "pass")),
        ("i?m:*", ("iam", "pass")),
        ("IAM:createuser", ("iam",)),
        ("iam:PutUserPolicy", ("iam",)),
        ("iam:Attach*", ("iam",)),
        ("iam:*Policy", ("iam",)),
        ("iam:AcquireRole", ("iam",)),
        ("iam:WhateverComesNext", ("iam",)),
        ("iam:Ge*", ("iam",)),
        ("iam:PassRole", ("pass",)),
        ("iam:Pass*", ("iam", "pass")),
        ("sts:AssumeRole", ("assume",)),
        ("sts:*", ("assume", "root")),
        ("organizations:LeaveOrganization", ("org",)),
        ("account:CloseAccount", ("account",)),
        ("sso:CreateAccountAssignment", ("sso",)),
        ("sso-directory:*", ("sso",)),
        ("identitystore:CreateGroupMembership", ("sso",)),
        ("rolesanywhere:CreateTrustAnchor", ("anywhere",)),
        ("account-access:CreateEntitlement", ("access",)),
        ("cloudtrail:Stop*", ("trail",)),
        ("config:StopConfigurationRecorder", ("config",)),
        ("guardduty:*", ("guardduty",)),
        ("kms:Put*", ("kms",)),
    ],
)
def test_an_action_that_gives_more_is_told(action: str, expected: tuple[str, ...]) -> None:
    assert codes(Action=action) == expected
    assert codes(Action=["s3:GetObject", action.upper()]) == expected


@pytest.mark.parametrize(
    "action",
    [
        "s3:*",
        "ec2:*",
        "iam:Get*",
        "iam:ListUsers",
        "iam:GenerateCredentialReport",
        "iam:SimulatePrincipalPolicy",
        "iam:ChangePassword",
        "iam:CreateServiceLinkedRole",
        "*:Get*",
        "*:Describe*",
        "organizations:Describe*",
        "identitystore:IsMemberInGroups",
        "sso:Search*",
        "sts:GetCallerIdentity",
        "sts:AssumeRoleWithSAML",
        "cloudtrail:LookupEvents",
        "kms:Decrypt",
        "iamx:CreateUser",
    ],
)
def test_an_action_that_gives_nothing_more_is_not_told(action: str) -> None:
    assert codes(Action=action) == ()


@pytest.mark.parametrize(
    ("left_out", "expected"),
    [
        (["*"], ()),
        (["s3:*"], (*EVERY_CHANGE, "pass", "assume", "root", "kms", *RECORDS)),
        (["iam:*", "sts:*"], (*EVERY_CHANGE[1:], "kms", *RECORDS)),
        (["iam:Create*", "iam:Put*", "sts:*"], (*EVERY_CHANGE, "pass", "kms", *RECORDS)),
        (["iam*", "s*", "o*", "acc*", "identity*", "r*", "kms:*"], RECORDS),
    ],
)
def test_what_not_action_leaves_in_is_allowed(
    left_out: list[str], expected: tuple[str, ...]
) -> None:
    assert codes(NotAction=left_out) == expected


@pytest.mark.parametrize(
    ("resource", "told"),
    [
        ("*", True),
        ("arn:aws:iam::*:role/*", True),
        ("arn:aws:iam::111111111111:role/*", True),
        ("arn:aws:iam::1111*:role/*", True),
        ("arn:aws:iam::${aws:PrincipalAccount}:role/*", True),
        ("arn:aws:iam::*:*", True),
        ("arn:*", True),
        (["arn:aws:iam::111111111111:role/app", "arn:aws:iam::*:role/*"], True),
        ("arn:aws:iam::*:role/app-*", False),
        ("arn:aws:iam::111111111111:role/app", False),
        ("arn:aws:iam::111111111111:role/${aws:username}", False),
        ("arn:aws:iam::111111111111:user/*", False),
    ],
)
def test_a_role_may_be_passed_and_assumed_where_it_is_named(
    resource: str | list[str], told: bool
) -> None:
    expected = ("pass", "assume") if told else ()
    assert codes(resource, Action=["iam:PassRole", "sts:AssumeRole"]) == expected


def test_all_resources_but_some_are_all() -> None:
    assert codes(Action="sts:AssumeRole", NotResource="arn:aws:iam::*:role/a") == ("assume",)
    assert codes(Action="*", NotResource="arn:aws:s3:::b") == ("everything",)


def test_what_is_kept_to_another_service_reaches_none_of_these() -> None:
    assert codes("arn:aws:s3:::b/*", Action="*") == ()
    assert codes(["arn:aws:s3:::b/*", "arn:aws:iam::1:user/a"], Action="*") == ("iam", "root")
    assert codes("arn:aws:kms:*:*:key/*", Action="*") == ("kms",)


def test_a_deny_is_not_told_and_excuses_no_allow() -> None:
    allow = {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"Bool": {"a": "b"}}}
    deny = {"Effect": "Deny", "Action": "*", "Resource": "*"}
    (found,) = dangers(json.dumps({"Statement": [deny, allow]}))
    assert (found.statement, found.codes, found.conditions) == (1, ("everything",), True)
    assert in_words(found.codes, conditions=True) == (
        "every action on every resource, under conditions that are not weighed"
    )
    assert dangers(json.dumps({"Statement": deny})) == ()


def test_every_action_of_a_service_that_decides_is_either_told_or_a_look() -> None:
    """By botocore's own list: nothing that reads is told, nothing that writes is silent."""
    from botocore.loaders import Loader

    writes = re.compile(r"(Add|Attach|Create|Deactivate|Delete|Detach|Put|Remove|Set|Tag|Update)")
    for name, service in {"iam": "iam", "organizations": "organizations", "account": "account",
                          "identitystore": "identitystore", "sso-admin": "sso",
                          "rolesanywhere": "rolesanywhere"}.items():  # fmt: skip
        operations = Loader().load_service_model(name, "service-2")["operations"]
        actions = {f"{service}:{operation}" for operation in operations}
        told = {action for action in actions if codes(Action=action)}
        silent = {action.casefold() for action in actions - told}
        assert {each for each in silent if not each.partition(":")[2].startswith(LOOKS)} <= HARMLESS
        assert {each for each in actions if writes.match(each.partition(":")[2])} <= told | {
            "iam:CreateServiceLinkedRole",
            "iam:DeleteServiceLinkedRole",
        }


def test_every_code_has_its_words_and_every_word_its_rule() -> None:
    ruled = {*CHANGES.values(), *ON_EVERY_ROLE.values(), *ANYWHERE.values(), "everything"}
    assert ruled == set(WORDS)


# --- AWS's own policies -----------------------------------------------------------------------


def test_the_table_of_aws_policies_is_what_the_judge_says_of_their_texts() -> None:
    assert judged() == CODES, "run scripts/dangerous_policies.py --write"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("AdministratorAccess", ("everything",)),
        ("IAMFullAccess", ("iam", "pass")),
        ("job-function/SystemAdministrator", ("iam", "anywhere", "trail", "config")),
        ("ReadOnlyAccess", ()),
        ("SecurityAudit", ()),
        ("job-function/ViewOnlyAccess", ()),
        ("AmazonS3FullAccess", ()),
        ("NobodyKnowsIt", ()),
    ],
)
def test_a_policy_of_aws_is_judged_by_its_arn(name: str, expected: tuple[str, ...]) -> None:
    assert codes_of(f"arn:aws:iam::aws:policy/{name}") == expected


# --- in the files -----------------------------------------------------------------------------

DANGEROUS = """\
aws-policies:
  admin:
    managed_policies: [arn:aws:iam::aws:policy/IAMFullAccess]
    custom_statements:
      - {effect: Allow, actions: ["s3:GetObject"], resources: ["*"]}
      - {effect: Allow, actions: ["*"], resources: ["*"], conditions: {Bool: {a: true}}}
"""
CONSENT = f'{DANGEROUS}    allow_dangerous: "the on-call"\n'
HINT = "say why under `allow_dangerous`, or allow less"
TOLD = [
    f"{PAY}:3:24: IAMFullAccess allows changes in IAM and `iam:PassRole` on every role; {HINT}",
    f"{PAY}:6:9: this statement allows every action on every resource, under conditions that are "
    f"not weighed; {HINT}",
]
REFUSE = {"iam-ledger.yaml": "settings: {dangerous: refuse}\n"}


def test_what_is_dangerous_is_told_at_its_statement_and_stops_nothing() -> None:
    found = reading({PAY: DANGEROUS})
    assert found.manifest is not None
    assert [str(problem) for problem in found.problems] == TOLD
    assert {problem.severity for problem in found.problems} == {"warning"}


def test_where_settings_refuse_it_nothing_is_read_without_a_reason() -> None:
    found = reading({PAY: DANGEROUS, **REFUSE})
    assert found.manifest is None
    assert [str(problem) for problem in found.errors] == TOLD
    assert said({PAY: CONSENT, **REFUSE}) == []


def test_with_a_reason_the_files_are_silent_and_the_manifest_knows() -> None:
    assert said({PAY: CONSENT}) == []
    (policy,) = accepted({PAY: CONSENT}).policies
    assert policy.policy.allow_dangerous == "the on-call"
    assert [f"{each.source}: {each.message}; {HINT}" for each in policy.dangers] == TOLD


def test_a_reason_for_nothing_is_told() -> None:
    managed = "managed_policies: ['arn:aws:iam::aws:policy/A']"
    found = reading({PAY: f"aws-policies: {{a: {{allow_dangerous: once, {managed}}}}}"})
    assert [(problem.severity, str(problem)) for problem in found.problems] == [
        (
            "warning",
            f"{PAY}:1:20: nothing in policy `a` is known to be dangerous; take `allow_dangerous` "
            "out: it would cover what is added later",
        )
    ]
