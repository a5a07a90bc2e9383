"""Attachments: a set, shared by all grants that need them. Looked at before our first attach.

Invariant: nothing is attached of which the ledger does not say whether it stood before us.
"""

from collections.abc import Iterable
from datetime import datetime

from ledger.events import Sighted, ref
from ledger.project import GrantRow, sighting_name
from ledger.state import AccountView
from worker.account import Answer, PrincipalState
from worker.deciding.desired import heirs, holders, may_hold, same_principal, taken_by_us
from worker.steps.passing import Pass, newest_position
from worker.timing import writable


async def attach(now_in: Pass, row: GrantRow, arn: str) -> Answer:
    principal = row.grant.principal
    return await now_in.believed(
        principal,
        lambda: now_in.aws.attach(principal, arn),
        wanted=lambda seen: seen is not None and arn in seen.attached,
        outcome="stood",
    )


def droppable(
    view: AccountView, rows: Iterable[GrantRow], now: datetime, state: PrincipalState
) -> tuple[str, ...]:
    """Attachments that may stand for `rows`, that are ours, and that no other grant needs.

    `state`: who has the name of their principal now.
    """
    mine = {row.key: row for row in rows}
    others = [other for other in view.rows if other.key not in mine and writable(other, now)]
    found = []
    for row in mine.values():
        principal = row.grant.principal
        found += [
            arn
            for arn in may_hold(view, row)
            if not holders(others, view, principal, arn)
            if not heirs(others, view, arn, leaving=mine) and taken_by_us(view, row, arn, state)
        ]
    return tuple(dict.fromkeys(found))


async def sight(now_in: Pass, row: GrantRow, arn: str, state: PrincipalState) -> None:
    """Records, before our first attach, whether it stood already.

    Not asked while another grant of ours holds the attachment (by evidence, by its own look, or by
    this very pass), nor twice for one grant: after a crash, sighted absent and now present is our
    own doing. Nor of what was taken over since the grant. All of it is asked anew of a principal
    made anew. A temporary grant tells of each that is not there: only the worker will end it.
    """
    principal, present = row.grant.principal, arn in state.attached
    view = now_in.view_of(principal)
    first = row.grant.temporary and not present
    if (principal.key, arn) in now_in.sighted and not first:
        return
    same = same_principal(row, state)
    if same and (any(made.name == arn for made in row.made) or _looked(view, row, arn)):
        return
    if not first and _held(view, row, arn, state):
        return
    adopted = view.adopted.get(sighting_name(principal, arn))
    if same and present and adopted is not None and row.granted.position < adopted[1]:
        now_in.sighted.add((principal.key, arn))
        return
    cause = row.granted.position if same else newest_position(row)
    await now_in.record(Sighted(ref(row.grant), arn, present), cause=cause)
    now_in.sighted.add((principal.key, arn))


def _looked(view: AccountView, row: GrantRow, arn: str) -> bool:
    """Whether the newest look at the attachment was for `row`."""
    seen = view.sighting(row.grant.principal, arn)
    return seen is not None and (seen.grant.id, seen.grant.turn) == row.key


def _held(view: AccountView, row: GrantRow, arn: str, state: PrincipalState) -> bool:
    """Whether another grant of ours has the attachment, or has begun to make it."""
    principal = row.grant.principal
    others = (other for other in view.rows if other.key != row.key)
    seen = view.sighting(principal, arn)
    absent = seen is not None and not seen.present
    return any(
        same_principal(other, state)
        and (any(made.name == arn for made in other.made) or (absent and _looked(view, other, arn)))
        for other in holders(others, view, principal, arn)
    )
