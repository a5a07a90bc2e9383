"""What AWS holds that is not as we wrote it: pure, from the record and one reading of the account.

Nothing written, or first seen differing, less than two minutes ago is judged: IAM's reads lag. What
lets access go on past its end is judged at once: no older text of ours does.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from ledger.events import Made
from ledger.model import Principal, Team
from ledger.project import GrantRow
from ledger.state import AccountView
from worker.account import AccountState, PrincipalState
from worker.deciding.desired import (
    OBJECT_PREFIX,
    arn_prefix,
    is_ours,
    policy_arn,
    same_principal,
    wanted_policies,
)
from worker.iam.documents import canonical
from worker.iam.loosened import lets_past
from worker.timing import SETTLING, writable

Kind = Literal["missing", "altered", "extra"]

_PART = re.compile(rf"({OBJECT_PREFIX}[a-z2-7]+(?:-[0-9]+)?)-p[1-9][0-9]*", re.IGNORECASE)
"""What parts of timed copies are called by: the grant's name, which may end in its turn, and a
number."""


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
    principal: Principal | None = None
    """Of what is extra on somebody: on whom."""
    name: str | None = None
    """Of what is extra on somebody: an inline policy's name, or an ARN."""
    principal_id: str | None = None
    """The new id of a principal made anew; None: it is the one that was written to."""
    loosened: bool = False
    """Whether it lets access go on past its end."""
    gone_with: frozenset[str] = frozenset()
    """Where nothing of a grant is left: all that is missing of it."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What one reading of the account shows."""

    differences: tuple[Difference, ...]
    strangers: tuple[tuple[Principal, str], ...]
    """Inline policies called like ours, whatever the case, that no open grant carries: over, or not
    ours at all."""
    parts: tuple[tuple[str, str], ...] = ()
    """Likewise customer-managed policies: the grant's name that each carries, and its ARN."""


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
            found += of_grant(row, state)
    found += _of_policies(view, state)
    parts = tuple(_strange_parts(view, state))
    names = {(row.grant.principal.key, row.grant.object) for row in view.rows}
    strange = {arn for _, arn in parts}
    for key, principal in state.principals.items():
        strangers += [
            (principal.principal, name)
            for name in principal.inline
            if name.casefold().startswith(OBJECT_PREFIX) and (key, name) not in names
        ]
        found += [
            extra(principal.principal, attachment_text(principal.principal, arn), arn)
            for arn in principal.attached
            if is_ours(view, arn) and arn not in strange and not _declared(view, key, arn)
        ]
    return Comparison(tuple(found), tuple(strangers), parts)


def extra(principal: Principal | None, text: str, name: str) -> Difference:
    """Something under our names that no grant explains."""
    return Difference("extra", text, principal=principal, name=name)


# --- grants ---------------------------------------------------------------------------------------


def of_grant(row: GrantRow, state: AccountState) -> list[Difference]:
    """How what stands for a written grant differs from what was written for it."""
    principal = state.principals.get(row.grant.principal.key)
    if principal is not None and not same_principal(row, principal):
        return of_remade(row, principal)
    by_object = [list(_of_object(row, made, principal, state)) for made in row.made]
    found = [difference for some in by_object for difference in some]
    missing = frozenset(each.object for each in found if each.drift == "missing")
    if by_object and all(any(e.drift == "missing" for e in some) for some in by_object):
        return [replace(each, gone_with=missing) for each in found]
    return found


def of_remade(row: GrantRow, principal: PrincipalState) -> list[Difference]:
    """Nothing of it stands for one that was made anew, whatever somebody has put in its place."""
    found = []
    for made in row.made:
        text = (
            inline_text(row.grant.principal, made.name)
            if made.kind == "inline"
            else attachment_text(row.grant.principal, made.name)
        )
        missing = _about(row, "missing", text)
        found.append(replace(missing, principal_id=principal.unique_id))
    return found


def _of_object(
    row: GrantRow, made: Made, principal: PrincipalState | None, state: AccountState
) -> Iterator[Difference]:
    """`made` stands as `worker.iam.forms` says."""
    who = row.grant.principal
    if made.kind == "inline":
        text = inline_text(who, made.name)
        standing = None if principal is None else principal.inline.get(made.name)
        yield from _of_text(row, made, text, standing)
        return
    if made.kind == "policy":
        policy = state.policies.get(made.name.rpartition("/")[2].casefold())
        found = None if policy is None or policy.arn != made.name else policy.document
        yield from _of_text(row, made, policy_text(made.name), found)
    if principal is None or made.name not in principal.attached:
        yield _about(row, "missing", attachment_text(who, made.name))


def _of_text(row: GrantRow, made: Made, text: str, standing: str | None) -> Iterator[Difference]:
    if standing is None:
        yield _about(row, "missing", text)
    elif made.sha256 is not None and canonical(standing).sha256 != made.sha256:
        end = row.grant.window.ends_at
        loosened = end is not None and lets_past(standing, end)
        yield replace(_about(row, "altered", text), loosened=loosened)


def _about(row: GrantRow, kind: Kind, text: str) -> Difference:
    return Difference(kind, text, row, written_at=row.applied.at if row.applied else None)


# --- policies -------------------------------------------------------------------------------------


def _of_policies(view: AccountView, state: AccountState) -> Iterator[Difference]:
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
        yield Difference(kind, text, team=team, policy=policy, written_at=written.confirmed_at)


def _strange_parts(view: AccountView, state: AccountState) -> Iterator[tuple[str, str]]:
    open_names = {row.grant.object for row in view.rows}
    for policy in state.policies.values():
        match = _PART.fullmatch(policy.name)
        if match is None or not policy.arn.startswith(arn_prefix(view)):
            continue
        if match[1].lower() not in open_names:
            yield match[1].lower(), policy.arn


def _declared(view: AccountView, principal_key: str, arn: str) -> bool:
    """Whether any open grant, over or not, accounts for this attachment of a policy of ours."""
    for row in view.rows:
        if row.grant.principal.key != principal_key:
            continue
        if any(made.name == arn for made in row.made):
            return True
        defined = view.policies.get((row.grant.team, row.grant.policy))
        if row.grant.temporary or defined is None:
            continue
        own = defined.policy
        stands_at = policy_arn(view, own.team, own.name, own.iam_name)
        if arn.casefold() == stands_at.casefold():  # IAM's names are unique whatever their case
            return True
    return False


# --- judging --------------------------------------------------------------------------------------


def judged(
    differences: tuple[Difference, ...],
    first_seen: Mapping[str, datetime],
    now: datetime,
    *,
    at_once: bool,
) -> tuple[Difference, ...]:
    """Those that have stood long enough to be believed, given when each was first seen.

    `at_once`: only one reading will ever be made, so the second look is not waited for; what we
    wrote less than two minutes ago is still left alone. What is missing beside a loosened end is
    believed with it: what puts the end right must not give back what somebody took away.
    """
    believed = [
        each
        for each in differences
        if (at_once or each.loosened or now - first_seen.get(each.object, now) >= SETTLING)
        and not (each.written_at and now - each.written_at < SETTLING)
    ]
    loosened = {each.row.key for each in believed if each.loosened and each.row is not None}
    believed += [
        each
        for each in differences
        if each not in believed and each.row is not None and each.row.key in loosened
    ]
    return tuple(believed)
