"""What AWS holds that is not as we wrote it: pure, from the record and one reading of the account.

Nothing written, or first seen differing, less than two minutes ago is judged: IAM's reads lag.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from ledger.model import Principal, Team
from ledger.project import GrantRow
from ledger.state import AccountView
from worker.account import AccountState
from worker.desired import OBJECT_PREFIX, is_ours, wanted_policies
from worker.documents import canonical
from worker.timing import writable

SETTLING = timedelta(minutes=2)
"""How long IAM's own reads may show an older state (iam.md, Calls)."""

Kind = Literal["missing", "altered", "extra"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One object that is not as the record says."""

    drift: Kind
    object: str
    row: GrantRow | None = None
    team: Team | None = None
    policy: str | None = None
    written_at: datetime | None = None
    """When AWS confirmed what is missed here; None: nothing of ours."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What one reading of the account shows."""

    differences: tuple[Difference, ...]
    strangers: tuple[tuple[Principal, str], ...]
    """Inline policies called like ours that no open grant carries: over, or not ours at all."""


def inline_text(principal: Principal, name: str) -> str:
    return f"inline {principal} {name}"


def attachment_text(principal: Principal, arn: str) -> str:
    return f"attachment {principal} {arn}"


def policy_text(arn: str) -> str:
    return f"policy {arn}"


def compare(view: AccountView, state: AccountState, now: datetime) -> Comparison:
    """The record against `state`, which was read at about `now`."""
    found: list[Difference] = []
    strangers: list[tuple[Principal, str]] = []
    for row in view.rows:
        refused = row.trouble is not None and row.trouble.kind == "refused"
        if row.applied is not None and writable(row, now) and not refused:
            found += _of_grant(row, state)
    found += _of_policies(view, state)
    names = {(row.grant.principal.key, row.grant.object) for row in view.rows}
    for key, principal in state.principals.items():
        strangers += [
            (principal.principal, name)
            for name in principal.inline
            if name.startswith(OBJECT_PREFIX) and (key, name) not in names
        ]
        found += [
            Difference("extra", attachment_text(principal.principal, arn))
            for arn in principal.attached
            if is_ours(view, arn) and not _declared(view, key, arn)
        ]
    return Comparison(tuple(found), tuple(strangers))


def _of_grant(row: GrantRow, state: AccountState) -> list[Difference]:
    principal = state.principals.get(row.grant.principal.key)
    found = []
    for made in row.made:
        if made.kind == "attachment":
            if principal is None or made.name not in principal.attached:
                text = attachment_text(row.grant.principal, made.name)
                found.append(_about(row, "missing", text))
            continue
        text = inline_text(row.grant.principal, made.name)
        standing = None if principal is None else principal.inline.get(made.name)
        if standing is None:
            found.append(_about(row, "missing", text))
        elif canonical(standing).sha256 != made.sha256:
            found.append(_about(row, "altered", text))
    return found


def _about(row: GrantRow, kind: Kind, text: str) -> Difference:
    return Difference(kind, text, row, written_at=row.applied.at if row.applied else None)


def _of_policies(view: AccountView, state: AccountState) -> list[Difference]:
    found = []
    wanted = wanted_policies(view)
    for key, written in view.objects.items():
        if key not in wanted or written.policy_position != wanted[key].position:
            continue  # about to be changed or deleted
        standing = state.policies.get(wanted[key].name.casefold())
        if standing is None or standing.arn != written.made.name:
            kind: Kind = "missing"
        elif canonical(standing.document).sha256 != written.made.sha256:
            kind = "altered"
        else:
            continue
        text, (team, policy) = policy_text(written.made.name), key
        found.append(
            Difference(kind, text, team=team, policy=policy, written_at=written.confirmed_at)
        )
    return found


def _declared(view: AccountView, principal_key: str, arn: str) -> bool:
    """Whether any open grant, over or not, accounts for this attachment of a policy of ours."""
    for row in view.rows:
        if row.grant.temporary or row.grant.principal.key != principal_key:
            continue
        if any(made.name == arn for made in row.made):
            return True
        defined = view.policies.get((row.grant.team, row.grant.policy))
        if defined is not None and arn.endswith(f"/{defined.policy.iam_name}"):
            return True
    return False


def judged(
    differences: tuple[Difference, ...],
    first_seen: Mapping[str, datetime],
    now: datetime,
    *,
    at_once: bool,
) -> tuple[Difference, ...]:
    """Those that have stood long enough to be believed, given when each was first seen.

    `at_once`: only one reading will ever be made, so the second look is not waited for; what we
    wrote less than two minutes ago is still left alone.
    """
    return tuple(
        difference
        for difference in differences
        if (at_once or now - first_seen.get(difference.object, now) >= SETTLING)
        and not (difference.written_at and now - difference.written_at < SETTLING)
    )
