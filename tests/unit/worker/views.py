"""An account as the ledger sees it, put together by hand."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from ledger.events import (
    GrantRef,
    Made,
    PolicyRetired,
    PolicyWritten,
    SettingsChanged,
    Sighted,
    ref,
)
from ledger.model import Account, Policy, parse_principal
from ledger.project import GrantRow, Mark, Trouble, TroubleKind, sighting_name
from ledger.state import AccountView, DefinedPolicy
from tests.support.histories import NOON, PROD, TEAM, after, grant

DOCUMENT = (
    '{"Statement":[{"Action":"s3:GetObject","Effect":"Allow","Resource":"*"}],'
    '"Version":"2012-10-17"}'
)
OWN = f"arn:aws:iam::{PROD}:policy/iam-ledger/payments-fix"
READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess"
DEFINED_AT = 5
"""Position of the newest definition of `fix`."""


def mark(at: datetime = NOON, position: int = 1) -> Mark:
    return Mark(position, at, at)


def row(
    name: str = "g",
    *,
    who: str = "user/ana",
    ends: float | None = None,
    revoked: float | None = None,
    written: bool = False,
    made: Iterable[Made] = (),
    trouble: TroubleKind | None = None,
    policy_position: int | None = None,
    **more: Any,
) -> GrantRow:
    """A turn of a grant of `fix`, permanent unless it ends; `written`: as it was defined last."""
    what = grant(name, who, ends=None if ends is None else after(ends), **more)
    return GrantRow(
        what,
        mark(position=7),
        revoked=None if revoked is None else mark(after(revoked), 8),
        applied=mark(position=9) if written else None,
        written_position=9 if written else None,
        policy_position=(policy_position or DEFINED_AT) if written or trouble else None,
        made=tuple(made),
        trouble=None if trouble is None else Trouble(trouble, mark(position=10), "code", "why"),
    )


def attachment(arn: str = OWN) -> Made:
    return Made("attachment", arn, None)


def copy(name: str = "iam-ledger-g") -> Made:
    return Made("inline", name, "0" * 64)


def part(number: int = 1, name: str = "iam-ledger-g") -> Made:
    arn = f"arn:aws:iam::{PROD}:policy/iam-ledger/{name}-p{number}"
    return Made("policy", arn, "0" * 64)


def fix(document: str | None = DOCUMENT, *managed: str) -> Policy:
    return Policy(TEAM, "fix", "payments-fix", document, managed)


def written(position: int = DEFINED_AT) -> PolicyWritten:
    """Evidence that the policy of ours stands as it was defined at `position`."""
    return PolicyWritten(PROD, TEAM, "fix", Made("policy", OWN, "0" * 64), position, (), NOON)


def view(
    *rows: GrantRow,
    policy: Policy | None = None,
    made: PolicyWritten | None = None,
    sighted: Iterable[Sighted] = (),
    retired: bool = False,
    mapped: bool = True,
) -> AccountView:
    """`policy` None: nothing is defined."""
    entry = Account(TEAM, "prod", PROD, "Deployer")
    key = (TEAM, "fix")
    return AccountView(
        account=PROD,
        position=20,
        ledger_id="0123456789ab",
        entries=(entry,) if mapped else (),
        way_in=entry,
        settings=SettingsChanged("/iam-ledger/", "warn", ("user/*",), (), "local-part"),
        rows=rows,
        policies={} if policy is None else {key: DefinedPolicy(policy, DEFINED_AT)},
        objects={} if made is None else {key: made},
        object_positions={} if made is None else {key: 6},
        retired={key: PolicyRetired(TEAM, "fix", "payments-fix")} if retired else {},
        sightings={sighting_name(s.grant.principal, s.policy_arn): s for s in sighted},
        stuck={},
        stuck_positions={},
        drift={},
    )


def sighting(of: GrantRow, arn: str = READ_ONLY, *, present: bool) -> Sighted:
    return Sighted(reference(of), arn, present)


def reference(of: GrantRow) -> GrantRef:
    return ref(of.grant)


def closed(of: GrantRow) -> GrantRow:
    return replace(of, closed=mark(position=12), closed_how="answered")


ANA = parse_principal("user/ana")
