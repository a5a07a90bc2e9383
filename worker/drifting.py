"""Recording what one reading of the whole account shows to be different; nothing is put right yet.

What carries the name of a grant that is over is no drift: it is removed, however often it comes
back.
"""

import structlog

from ledger.events import DriftFound, DriftRepaired, Removed, ref
from ledger.model import Principal
from ledger.project import GrantRow
from worker.account import AccountState
from worker.drift import Difference, Kind, compare, inline_text, judged
from worker.passing import Pass, newest_position

log = structlog.get_logger()


async def record_drift(now_in: Pass, state: AccountState, *, at_once: bool) -> None:
    """Compares, removes what has come back, and records what is new and what is right again."""
    now = now_in.now
    comparison = compare(now_in.view, state, now)
    unknown = await _remove_returned(now_in, comparison.strangers)
    differences = comparison.differences + tuple(
        Difference("extra", inline_text(principal, name)) for principal, name in unknown
    )
    first_seen = now_in.context.first_seen
    current = {difference.object for difference in differences}
    for gone in [known for known in first_seen if known not in current]:
        del first_seen[gone]
    for text in current:
        first_seen.setdefault(text, now)
    for difference in judged(differences, first_seen, now, at_once=at_once):
        known = now_in.view.drift.get(difference.object)
        if known is None or known[0].drift != difference.drift:
            await _found(now_in, difference)
    for text, (found, position) in now_in.view.drift.items():
        if text not in current:
            event = DriftRepaired(
                account=now_in.context.account,
                object=text,
                how="found",
                grant=found.grant,
                team=found.team,
                policy=found.policy,
                confirmed_at=now,
            )
            await now_in.record(event, cause=position)


async def _found(now_in: Pass, difference: Difference) -> None:
    row = difference.row
    event = DriftFound(
        account=now_in.context.account,
        drift=difference.drift,
        object=difference.object,
        grant=ref(row.grant) if row else None,
        team=difference.team,
        policy=difference.policy,
        first_seen_at=now_in.context.first_seen[difference.object],
        actor=None,
    )
    known = now_in.view.drift.get(difference.object)
    await now_in.record(event, cause=known[1] if known else _cause(now_in, row))
    _count(now_in, difference.drift)
    log.warning("drift_found", drift=difference.drift, object=difference.object)


def _cause(now_in: Pass, row: GrantRow | None) -> int:
    """The newest event about the object, so that the same drift, back again, is a new event."""
    return newest_position(row) if row else now_in.view.position


def _count(now_in: Pass, drift: Kind) -> None:
    now_in.context.metrics.drift.labels(drift).inc()
    now_in.context.metrics.steps.labels(f"drift_{drift}").inc()


async def _remove_returned(
    now_in: Pass, strangers: tuple[tuple[Principal, str], ...]
) -> list[tuple[Principal, str]]:
    """Removes those whose grants are over; gives back those that the ledger does not know."""
    if not strangers:
        return []
    names = sorted({name for _, name in strangers})
    # By the name alone, which is one grant's: somebody may have been renamed in IAM with it.
    closed = {row.grant.object: row for row in await now_in.context.read_closed(names)}
    unknown = []
    for principal, name in strangers:
        row = closed.get(name)
        if row is None:
            unknown.append((principal, name))
        else:
            now_in.check_stop()
            await now_in.attempt(
                ("returned", *row.key), _remove_again(now_in, row, principal), row=row
            )
    return unknown


async def _remove_again(now_in: Pass, row: GrantRow, principal: Principal) -> None:
    name = row.grant.object
    if name is None:
        return
    answer = await now_in.aws.delete_inline(principal, name)
    due_at = row.due_at or answer.confirmed_at
    late = answer.confirmed_at - due_at
    event = Removed(
        grant=ref(row.grant),
        cause="drift",
        outcome="found_absent" if answer.outcome == "absent" else "answered",
        lateness_us=max(0, round(late.total_seconds() * 1_000_000)),
        requests=(answer.request_id,) if answer.request_id else (),
        confirmed_at=answer.confirmed_at,
    )
    await now_in.record(event, cause=now_in.view.position)
    now_in.context.metrics.steps.labels("end").inc()
    log.warning("returned_access_removed", grant=row.grant.id, name=name)
