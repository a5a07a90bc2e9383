"""What a worker may do in an account, and who may become it, as IAM documents.

Pure. `CALLS` names every call that the worker makes; a document allows those and no others. None
lets its holder change itself, the hub's role, who is protected, or a policy that is not ours.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ledger.model import DEPLOYER_KIND, PRINCIPAL_KINDS, PrincipalKind
from worker.iam.documents import size_of

On = Literal["hub", "free", "anything", "policy", "inline", "attachment"]
"""What a call is about, and so where it is allowed.

`hub`: by the worker's own role, before it is in an account. `free`: needs no permission.
`anything`: reading. `policy`: policies of ours. `inline`, `attachment`: who is managed.
"""

Json = dict[str, Any]

TRUST_CHARS_MAX = 2_048
"""Of a role's trust policy, unless its account's quota was raised (IAM and STS quotas)."""

AWS_OWN = "arn:aws:iam::aws:policy/*"

RESERVED = ("aws-service-role/*", "aws-reserved/*")
"""Paths of the roles that AWS makes for its services and for Identity Center."""

ALL = tuple(PRINCIPAL_KINDS)
TEMPORARY = tuple(kind for kind, facts in PRINCIPAL_KINDS.items() if facts.temporary)


@dataclass(frozen=True, slots=True)
class Call:
    """One call, or the same for each kind of principal."""

    name: str
    """`Put{}Policy`, with a gap for the kind; or an operation's whole name."""
    on: On
    why: str
    kinds: tuple[PrincipalKind, ...] = ()
    gives: bool = False
    """Whether somebody may have more after it than before."""

    @property
    def operations(self) -> tuple[str, ...]:
        """As AWS's API has them, and IAM's actions too."""
        return tuple(self.of(kind) for kind in self.kinds) or (self.name,)

    def of(self, kind: PrincipalKind) -> str:
        return self.name.format(kind.value.capitalize())


CALLS = (
    Call("AssumeRole", "hub", "to enter an account"),
    Call("GetCallerIdentity", "free", "to be sure which account that is"),
    Call("GetAccountAuthorizationDetails", "anything", "to see what stands, and what has changed"),
    Call("GetAccountSummary", "anything", "for the account's own quotas"),
    Call("Get{}", "anything", "before access is given: whether it is still the same one", ALL),
    Call("List{}Policies", "anything", "the room that is taken already", ALL),
    Call("Get{}Policy", "anything", "the room that is taken already", ALL),
    Call("ListAttached{}Policies", "anything", "the slots that are taken already", ALL),
    Call("GetPolicy", "anything", "which version of a policy counts now"),
    Call("GetPolicyVersion", "anything", "its text, which a timed copy is made of"),
    Call("ListPolicyVersions", "anything", "five may stand: one more needs room"),
    Call("ListPolicyTags", "anything", "whether a policy is ours, before it is changed"),
    Call("ListEntitiesForPolicy", "anything", "who has a policy of ours that must go"),
    Call("CreatePolicy", "policy", "a policy of the YAML, or a part of a timed copy"),
    Call("TagPolicy", "policy", "its owner: when it is made, and by `adopt`"),
    Call("CreatePolicyVersion", "policy", "its new text"),
    Call("DeletePolicyVersion", "policy", "room for that, and before a deletion"),
    Call("DeletePolicy", "policy", "when nobody needs it any more"),
    Call("Put{}Policy", "inline", "a timed copy, and its new end or text", TEMPORARY, gives=True),
    Call("Delete{}Policy", "inline", "its end", TEMPORARY),
    Call("Attach{}Policy", "attachment", "permanent access; timed parts", ALL, gives=True),
    Call("Detach{}Policy", "attachment", "its end", ALL),
)
"""Every call of `worker.aws`; a test reads them there."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a deployer may change."""

    policy_path: str
    managed: tuple[str, ...]
    """Patterns as in `managed_principals`."""
    protected: tuple[str, ...] = ()
    """Patterns as in `protected_principals`."""
    deployers: tuple[str, ...] = ()
    """Every deployer's role, as `name` or `path/name`."""
    hub_role: Any = None
    """Its ARN, or what a template says in its place; None: not known."""
    adopted: tuple[str, ...] = ()
    """IAM names of policies that `adopt` took over where they stood, at the path `/`."""
    boundary: str | None = None
    """ARN, or a pattern of it, of the permissions boundary that whoever gets access must have.

    A group has none, so that nothing is attached to groups then. None: nobody need have one.
    """

    @property
    def policies(self) -> list[str]:
        """ARNs, as patterns, of the policies that are ours."""
        ours = [f"arn:aws:iam::*:policy{self.policy_path}*"]
        return ours + [f"arn:aws:iam::*:policy/{name}" for name in self.adopted]


def account_document(scope: Scope, *, read_only: bool = False) -> Json:
    """The deployer's own policy; `read_only`: enough for `plan --aws`, and for nothing else."""
    statements = [_allow("Look", _operations("anything"), "*")]
    if not read_only:
        statements.append(_allow("OurPolicies", _operations("policy"), scope.policies))
        given = _giving(scope)
        if given:
            actions = sorted(action for each in given for action in each["Action"])
            statements += [*given, _statement("Deny", "NeverThese", actions, _never(scope))]
    return {"Version": "2012-10-17", "Statement": statements}


def _giving(scope: Scope) -> list[Json]:
    """What changes principals: together what has the same condition and reaches the same kinds."""
    grouped: dict[str, tuple[Json, list[tuple[str, PrincipalKind]]]] = {}
    for call in CALLS:
        if call.on not in ("inline", "attachment"):
            continue
        for kind in call.kinds:
            bounded = call.gives and scope.boundary is not None
            if not _arns(scope.managed, (kind,)) or (bounded and kind not in TEMPORARY):
                continue
            condition: Json = {}
            if call.on == "attachment":
                condition["ArnLike"] = {"iam:PolicyARN": [AWS_OWN, *scope.policies]}
            if bounded:
                condition["StringLike"] = {"iam:PermissionsBoundary": scope.boundary}
            sid = f"{call.on.capitalize()}{'Within' if bounded else ''}"
            grouped.setdefault(sid, (condition, []))[1].append((call.of(kind), kind))
    statements = []
    for sid, (condition, found) in grouped.items():
        resources = _arns(scope.managed, dict.fromkeys(kind for _, kind in found))
        statement = _allow(sid, [operation for operation, _ in found], resources)
        statements.append(statement | ({"Condition": condition} if condition else {}))
    return statements


def _never(scope: Scope) -> list[Any]:
    """Who may not be touched, whatever patterns say."""
    role = f"arn:aws:iam::*:{DEPLOYER_KIND.value}/"
    named = [role + name for name in (*scope.deployers, *RESERVED)]
    hub = [] if scope.hub_role is None else [scope.hub_role]
    return [*dict.fromkeys([*named, *_arns(scope.protected, ALL)]), *hub]


def hub_document(roles: Sequence[str], source_identities: Sequence[str] = ()) -> Json:
    """The worker's own policy: into the deployers' roles, by their ARNs, and nowhere else."""
    statements = [_statement("Allow", "EnterAccounts", ["sts:AssumeRole"], list(roles))]
    if source_identities:
        named = _statement("Allow", "SayWhoAsked", ["sts:SetSourceIdentity"], list(roles))
        named["Condition"] = _identities(source_identities)
        statements.append(named)
    return {"Version": "2012-10-17", "Statement": statements}


def trust_document(
    hub_role: Any, external_id: Any = None, source_identities: Sequence[str] = ()
) -> Json:
    """Who may become a deployer: the hub's role, and nobody else of its account."""
    who = {"Effect": "Allow", "Principal": {"AWS": hub_role}}
    enter: Json = {"Sid": "HubEnters", **who, "Action": "sts:AssumeRole"}
    if external_id is not None:
        enter["Condition"] = {"StringEquals": {"sts:ExternalId": external_id}}
    statements = [enter]
    if source_identities:
        # Apart from the first: AWS tells the external id of AssumeRole only.
        said = {"Sid": "HubSaysWhoAsked", **who, "Action": "sts:SetSourceIdentity"}
        statements.append({**said, "Condition": _identities(source_identities)})
    return {"Version": "2012-10-17", "Statement": statements}


def chars_of(document: Json) -> int:
    """As IAM counts them, white space left out."""
    return size_of(json.dumps(document))


# --- pieces -------------------------------------------------------------------------------------


def _operations(on: On) -> list[str]:
    return [operation for call in CALLS if call.on == on for operation in call.operations]


def _allow(sid: str, operations: Iterable[str], resources: str | list[str]) -> Json:
    return _statement("Allow", sid, sorted(f"iam:{each}" for each in operations), resources)


def _statement(effect: str, sid: str, actions: list[str], resources: str | list[Any]) -> Json:
    return {"Sid": sid, "Effect": effect, "Action": actions, "Resource": resources}


def _identities(names: Sequence[str]) -> Json:
    return {"StringEquals": {"sts:SourceIdentity": list(names)}}


def _arns(patterns: Iterable[str], kinds: Iterable[PrincipalKind]) -> list[str]:
    """Patterns of ARNs that cover whom `Principal.matches` finds under `patterns`.

    A pattern without a slash is held against a name whatever its path, which IAM has to be told.
    IAM heeds case where we do not. Where a path has a part that is like a name, IAM's covers more.
    """
    chosen = {kind.value for kind in kinds}
    found: list[str] = []
    for pattern in patterns:
        kind, _, rest = pattern.partition("/")
        if kind in chosen:
            found.append(f"arn:aws:iam::*:{kind}/{rest}")
            if "/" not in rest and not rest.startswith("*"):
                found.append(f"arn:aws:iam::*:{kind}/*/{rest}")
    whole = {arn for arn in found if arn.endswith("/*") and arn.count("/") == 1}
    return [
        arn
        for arn in dict.fromkeys(found)
        if arn in whole or f"{arn.partition('/')[0]}/*" not in whole
    ]
