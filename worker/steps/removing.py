"""Taking access away: what is due, most overdue first, without reading AWS beforehand, unless
somebody else's attachment could go with it (`worker.deciding.plan.who_first`).

What is removed is a name that no live grant carries, asked of the ledger again at the call.
"Already gone" is done. An answer that never came is read back before it is believed.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

import structlog

from ledger.errors import LedgerUnavailable
from ledger.events import Left, Made, Removed, ref
from ledger.model import GrantId, Principal
from ledger.project import GrantRow
from worker.account import Answer
from worker.census import class_of
from worker.deciding.plan import Remove, Replaced, Waits, removal_of, who_first
from worker.errors import AwsRefused, AwsSettling
from worker.steps.parts import found_parts
from worker.steps.passing import Pass, newest_position
from worker.steps.versions import delete_own
from worker.timing import SETTLING, overdue

log = structlog.get_logger()


async def remove_due(now_in: Pass) -> None:
    """Removes all that is due, each grant once a pass; cheap when nothing is."""
    if not _due(now_in):
        return
    await now_in.refresh()
    for row in _due(now_in):
        now_in.tried.add(row.key)
        now_in.check_stop()
        await now_in.attempt(row.key, remove(now_in, row), row=row)


async def remove_over(now_in: Pass, *, sure: bool) -> None:
    """With the ledger away: removes what is over by the view at hand, and records when it may.

    Only what ends by its window: nobody can have said since that it should not. Where not even
    that is `sure`, since another worker may keep the account and have prolonged it under the same
    name, only what AWS does not end by itself.
    """
    for row in _due(now_in):
        if not row.grant.window.over(now_in.now) or not (sure or row.enforcement == "daemon"):
            continue
        now_in.check_stop()
        now_in.tried.add(row.key)
        with suppress(LedgerUnavailable):  # what is to be recorded waits
            await now_in.attempt(row.key, remove(now_in, row), row=row)


def _due(now_in: Pass) -> list[GrantRow]:
    now, parking = now_in.now, now_in.context.parking
    done = now_in.tried | now_in.context.evidence.ends_waiting
    due = [
        row
        for row in overdue(now_in.view.rows, now)
        if row.key not in done and not parking.parked(row.key, now, since=row.due_at)
    ]
    return sorted(due, key=lambda row: parking.turn(row.key))


async def remove(now_in: Pass, row: GrantRow) -> None:
    """Takes away what stands for `row` and records it; does nothing while a successor is due."""
    view = now_in.view_of(row.grant.principal)
    planned = removal_of(view, row, now_in.now)
    if isinstance(planned, Remove) and who_first(view, row, planned):
        standing = await now_in.aws.read_principal(row.grant.principal)
        planned = removal_of(view, row, now_in.now, standing)
    match planned:
        case Waits():
            now_in.waiting.add(row.key)
        case Replaced(successor):
            stood = Answer("done", "", successor.applied.at if successor.applied else now_in.now)
            await _record(now_in, row, [stood], kept_for=(successor.grant.id,))
        case Remove() as removal:
            await _carry_out(now_in, row, removal)


async def _carry_out(now_in: Pass, row: GrantRow, removal: Remove) -> None:
    """What is known to stand goes first; what a crash may have hidden is looked for after it."""
    ended, cleaned = await take_away(
        now_in,
        removal.principal,
        inline=removal.inline,
        parts=removal.parts,
        detach=removal.detach,
    )
    if removal.look:
        state = await now_in.aws.read_principal(removal.principal)
        found = [arn for arn in await found_parts(now_in, row, state) if arn not in removal.parts]
        more_ended, more_cleaned = await take_away(now_in, removal.principal, parts=found)
        ended, cleaned = ended + more_ended, cleaned + more_cleaned
    if _too_new(row, ended, now_in.now):
        raise AwsSettling("NoSuchEntity", "it was written just now, and IAM may not know it yet")
    if removal.unsure:
        raise AwsRefused("unsure", _unsure(removal))
    if removal.left:
        made = tuple(Made("attachment", arn, None) for arn in removal.left)
        requests = tuple(each.request_id for each in ended + cleaned if each.request_id)
        left = Left(ref(row.grant), made, now_in.now, requests)
        await now_in.record(left, cause=newest_position(row))
        log.info("access_left", grant=row.grant.id, attachments=list(removal.left))
        return
    await _record(now_in, row, ended, cleaned=cleaned, kept_for=removal.kept_for)


def _too_new(row: GrantRow, ended: Sequence[Answer], now: datetime) -> bool:
    """Whether all is said to be gone so soon after it was written that IAM may not know it yet.

    Who wrote it remembers it (`worker.own_writes`); a worker that began since knows the record
    only. What AWS ends by itself by now harms nobody, and goes when it shows.
    """
    absent = bool(ended) and all(answer.outcome == "absent" for answer in ended)
    stands = row.enforcement == "daemon" or not row.grant.window.over(now)
    return absent and stands and row.applied is not None and now - row.applied.at < SETTLING


async def take_away(
    now_in: Pass,
    principal: Principal,
    *,
    inline: Sequence[str] = (),
    parts: Sequence[str] = (),
    detach: Sequence[str] = (),
) -> tuple[list[Answer], list[Answer]]:
    """What ended access, and what only cleaned up after it. First what only we can end.

    Parts are made in order, and go the other way, so that what is left of them can be found.
    """
    last_first = tuple(reversed(parts))
    ended, cleaned = [], []
    for arn in (*detach, *last_first):
        ended.append(await _detach(now_in, principal, arn))
        now_in.taken.add((principal.key, arn))
    for name in inline:
        ended.append(await delete_inline(now_in, principal, name))
        now_in.taken.add((principal.key, name))
    for arn in last_first:
        cleaned += await delete_own(now_in, arn)
        now_in.taken.add(("", arn))
    return ended, cleaned


def _unsure(removal: Remove) -> str:
    return (
        f"the ledger does not say whether {', '.join(removal.unsure)} stood on "
        f"{removal.principal} before us, so it is left alone: detach it by hand, or mend the "
        "ledger (`iam-ledger verify`)"
    )


async def _record(
    now_in: Pass,
    row: GrantRow,
    answers: list[Answer],
    *,
    cleaned: Sequence[Answer] = (),
    kept_for: tuple[GrantId, ...] = (),
) -> None:
    confirmed_at = max((answer.confirmed_at for answer in answers), default=now_in.now)
    due_at = row.due_at or confirmed_at
    lateness_us = max(0, round((confirmed_at - due_at).total_seconds() * 1_000_000))
    found = any(answer.outcome != "absent" for answer in answers) or bool(kept_for)
    expired = row.revoked is None or row.grant.window.over(row.revoked.at)
    event = Removed(
        grant=ref(row.grant),
        cause="expired" if expired else "revoked",
        outcome="answered" if found else "found_absent",
        lateness_us=lateness_us,
        requests=tuple(each.request_id for each in (*answers, *cleaned) if each.request_id),
        confirmed_at=confirmed_at,
        kept_for=kept_for,
    )
    # Told before it is recorded: where the ledger is away, the record waits in memory.
    metrics = now_in.context.metrics
    metrics.lateness.labels(class_of(row)).observe(lateness_us / 1_000_000)
    metrics.steps.labels("end").inc()
    log.info(
        "access_removed",
        grant=row.grant.id,
        principal=str(row.grant.principal),
        policy=row.grant.policy,
        cause=event.cause,
        outcome=event.outcome,
        lateness_s=round(lateness_us / 1_000_000, 3),
    )
    await now_in.record(event, cause=newest_position(row))


async def delete_inline(now_in: Pass, principal: Principal, name: str) -> Answer:
    return await now_in.believed(
        principal,
        lambda: now_in.aws.delete_inline(principal, name),
        wanted=lambda state: state is None or name not in state.inline,
        outcome="absent",
    )


async def _detach(now_in: Pass, principal: Principal, arn: str) -> Answer:
    return await now_in.believed(
        principal,
        lambda: now_in.aws.detach(principal, arn),
        wanted=lambda state: state is None or arn not in state.attached,
        outcome="absent",
    )
