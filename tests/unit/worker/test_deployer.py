"""The deployer's documents: every call that the worker makes and no other, on whom it manages."""

import ast
import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from itertools import chain
from typing import Any

import pytest
from botocore.session import get_session
from hypothesis import given
from hypothesis import strategies as st

from ledger.model import PRINCIPAL_KINDS, Principal, PrincipalKind, Settings
from tests.walls.tree import ROOT
from worker.iam.deployer import (
    CALLS,
    Json,
    Scope,
    account_document,
    chars_of,
    hub_document,
    trust_document,
)
from worker.iam.documents import MANAGED_CHARS_MAX
from worker.metrics import OPERATIONS

HUB = "arn:aws:iam::999999999999:role/iam-ledger-worker"
DECLARED = set(chain.from_iterable(call.operations for call in CALLS))
KINDS = [kind.value for kind in PRINCIPAL_KINDS]
NEVER_MADE = {"PutGroupPolicy", "DeleteGroupPolicy"}
"""Put together from a kind like the others, of which no temporary grant is."""


def scope(**changes: Any) -> Scope:
    defaults = Settings()
    wanted = {
        "policy_path": defaults.policy_path,
        "managed": defaults.managed_principals,
        "deployers": (defaults.deployer_role,),
        "hub_role": HUB,
    }
    return Scope(**{**wanted, **changes})


def actions(document: Json, effect: str = "Allow") -> list[str]:
    found = [each["Action"] for each in document["Statement"] if each["Effect"] == effect]
    return list(chain.from_iterable(found))


def statement(document: Json, sid: str) -> Json:
    (found,) = [each for each in document["Statement"] if each["Sid"] == sid]
    return dict(found)


def names_in(source: str) -> Iterator[str]:
    """Every text in `source` as it may name an operation, once a kind where a kind is put in."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        if isinstance(node, ast.JoinedStr):
            for kind in KINDS:
                yield "".join(
                    str(part.value) if isinstance(part, ast.Constant) else kind.capitalize()
                    for part in node.values
                )


def test_no_call_of_the_worker_is_forgotten_and_none_is_invented() -> None:
    session = get_session()
    known = {
        operation
        for service in ("iam", "sts")
        for operation in session.get_service_model(service).operation_names
    }
    files = sorted((ROOT / "worker" / "aws").glob("*.py"))
    made = {name for file in files for name in names_in(file.read_text(encoding="utf-8"))} & known
    assert made - DECLARED == NEVER_MADE
    assert DECLARED - made == set()
    assert sorted(OPERATIONS) == sorted(DECLARED)


def test_every_call_is_allowed_once_and_nothing_else_is() -> None:
    granted = actions(account_document(scope()))
    elsewhere = {each for call in CALLS if call.on in ("hub", "free") for each in call.operations}
    assert sorted(granted) == sorted(f"iam:{name}" for name in DECLARED - elsewhere)
    assert not [action for action in granted if "*" in action]
    assert actions(hub_document(["arn"])) == ["sts:AssumeRole"]


def test_reading_alone_is_enough_for_a_rehearsal() -> None:
    document = account_document(scope(), read_only=True)
    assert [each["Sid"] for each in document["Statement"]] == ["Look"]
    assert all(action.startswith(("iam:Get", "iam:List")) for action in actions(document))


def test_whatever_changes_a_principal_is_denied_on_the_deployer_the_hub_and_who_is_protected() -> (
    None
):
    found = account_document(scope(protected=("user/break-glass-*", "role/guard/*")))
    never = statement(found, "NeverThese")
    changing = statement(found, "Inline")["Action"] + statement(found, "Attachment")["Action"]
    assert sorted(never["Action"]) == sorted(changing)
    assert never["Resource"] == [
        "arn:aws:iam::*:role/AWSSelfServeDeployer",
        "arn:aws:iam::*:role/aws-service-role/*",
        "arn:aws:iam::*:role/aws-reserved/*",
        "arn:aws:iam::*:user/break-glass-*",
        "arn:aws:iam::*:user/*/break-glass-*",
        "arn:aws:iam::*:role/guard/*",
        HUB,
    ]


def test_a_kind_that_is_not_managed_gets_no_call_that_changes_it() -> None:
    document = account_document(scope(managed=("user/people/*",)))
    changing = actions(document, "Deny")
    assert changing
    assert all("User" in action for action in changing)
    assert statement(document, "Attachment")["Resource"] == ["arn:aws:iam::*:user/people/*"]
    nobody = account_document(scope(managed=()))
    assert [each["Sid"] for each in nobody["Statement"]] == ["Look", "OurPolicies"]


def test_only_policies_of_aws_and_of_ours_can_be_attached_or_detached() -> None:
    found = account_document(scope(policy_path="/access/", adopted=("payments-look",)))
    ours = ["arn:aws:iam::*:policy/access/*", "arn:aws:iam::*:policy/payments-look"]
    assert statement(found, "OurPolicies")["Resource"] == ours
    attached = statement(found, "Attachment")["Condition"]["ArnLike"]["iam:PolicyARN"]
    assert attached == ["arn:aws:iam::aws:policy/*", *ours]


def test_with_a_boundary_access_needs_it_its_end_does_not_and_groups_get_none() -> None:
    boundary = "arn:aws:iam::*:policy/ceiling"
    document = account_document(scope(boundary=boundary))
    needed = {"iam:PermissionsBoundary": boundary}
    for sid, given_actions in (
        ("InlineWithin", ["iam:PutRolePolicy", "iam:PutUserPolicy"]),
        ("AttachmentWithin", ["iam:AttachRolePolicy", "iam:AttachUserPolicy"]),
    ):
        found = statement(document, sid)
        assert (found["Action"], found["Condition"]["StringLike"]) == (given_actions, needed)
    for sid in ("Inline", "Attachment"):
        assert "StringLike" not in statement(document, sid).get("Condition", {})
        assert not [a for a in statement(document, sid)["Action"] if "Put" in a or "Attach" in a]
    assert "iam:AttachGroupPolicy" not in actions(document)
    assert "iam:DetachGroupPolicy" in actions(document)


def test_it_fits_a_managed_policy_with_room_for_dozens_of_patterns() -> None:
    assert chars_of(account_document(scope())) < MANAGED_CHARS_MAX / 3
    many = tuple(f"user/department-{number:02}/*" for number in range(30))
    protected = tuple(f"user/somebody-{number:02}" for number in range(10))
    document = account_document(scope(managed=many, protected=protected))
    assert chars_of(document) < MANAGED_CHARS_MAX
    assert chars_of(document) == len(json.dumps(document, separators=(",", ":")))


def test_the_trust_names_one_role_and_the_external_id_is_asked_of_entering_only() -> None:
    (enter,) = trust_document(HUB)["Statement"]
    assert enter["Principal"] == {"AWS": HUB}
    assert "Condition" not in enter
    enter, say = trust_document(HUB, "x-77", ["iam-ledger"])["Statement"]
    assert (enter["Action"], say["Action"]) == ("sts:AssumeRole", "sts:SetSourceIdentity")
    assert enter["Condition"] == {"StringEquals": {"sts:ExternalId": "x-77"}}
    assert say["Condition"] == {"StringEquals": {"sts:SourceIdentity": ["iam-ledger"]}}
    assert actions({"Statement": hub_document(["a"], ["b"])["Statement"][1:]}) == [
        "sts:SetSourceIdentity"
    ]


# --- patterns of principals, and of ARNs ---------------------------------------------------------

NAMES = st.text("ab-", min_size=1, max_size=4)
PATHS = st.lists(NAMES, max_size=2).map(lambda parts: "/".join(["", *parts, ""]))
PRINCIPALS = st.builds(Principal, st.sampled_from(list(PrincipalKind)), NAMES, PATHS)
PATTERNS = st.builds(
    lambda kind, rest: f"{kind.value}/{rest}",
    st.sampled_from(list(PrincipalKind)),
    st.text("ab-/*?", min_size=1, max_size=6),
)


def covered(principal: Principal, document: Json, sid: str) -> bool:
    arn = f"arn:aws:iam::111111111111:{principal.kind.value}{principal.path}{principal.name}"
    resources = statement(document, sid)["Resource"]
    return any(fnmatchcase(arn, pattern) for pattern in resources)


@given(PRINCIPALS, st.lists(PATTERNS, min_size=1, max_size=3))
def test_iams_patterns_cover_whom_ours_do(principal: Principal, patterns: list[str]) -> None:
    document = account_document(scope(protected=tuple(patterns), deployers=(), hub_role=None))
    ours = principal.matches(patterns)
    theirs = covered(principal, document, "NeverThese")
    assert theirs or not ours, "whom we protect, IAM protects"
    if principal.path == "/":
        assert theirs == ours


@pytest.mark.parametrize(
    ("patterns", "arns"),
    [
        (("user/*", "user/ana"), ["user/*"]),
        (("user/ana",), ["user/ana", "user/*/ana"]),
        (("user/people/*", "user/people/*"), ["user/people/*"]),
        (("user/*-bot",), ["user/*-bot"]),
    ],
)
def test_patterns_are_written_as_few_arns(patterns: tuple[str, ...], arns: list[str]) -> None:
    found = statement(account_document(scope(managed=patterns)), "Inline")["Resource"]
    assert found == [f"arn:aws:iam::*:{arn}" for arn in arns]
