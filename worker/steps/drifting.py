"""What one reading of the whole account shows to be different: recorded, and as far as the settings
say put right.

What carries the name of a grant that is over is no drift: it is removed, however often it comes
back. What is missing, altered or loosened is written again by the plan, from what is recorded here;
what is extra is taken away here, where the settings want it, and never much of it unasked.
"""

from dataclasses import dataclass
from datetime import datetime

import structlog

from ledger.events import DriftFound, DriftRepaired, Removed, ref
from ledger.model import Principal
from ledger.project import GrantRow
from worker.account import AccountState, Answer, PrincipalState
from worker.deciding.desired import policy_tags
from worker.deciding.drift import (
    Difference,
    Kind,
    compare,
    extra,
    inline_text,
    judged,
    of_remade,
    policy_text,
)
from worker.deciding.repair import braked, removable, repairing
from worker.errors import AwsBusy, AwsError, AwsRefused, AwsUnanswered
from worker.steps.passing import Pass, newest_position
from worker.steps.versions import delete_own
from worker.timing import SETTLING

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of comparing."""

    again_at: datetime | None
    """When what is not believed yet could be; None: there is nothing like it."""
    brake: AwsError | None
    """Why nothing of what is extra was taken away; None: nothing forbade it."""


async def record_drift(now_in: Pass, state: AccountState, *, at_once: bool) -> Looked:
    """Compares, removes what has come back, records what is new and what is right again."""
    now, context = now_in.now, now_in.context
    comparison = compare(now_in.view, state, now)
    unknown = await _remove_returned(now_in, comparison.strangers)
    unknown += await _remove_returned_parts(now_in, comparison.parts)
    differences = comparison.differences + tuple(unknown)
    first_seen = context.first_seen
    current = {difference.object for difference in differences}
    for gone in [known for known in first_seen if known not in current]:
        del first_seen[gone]
    for text in current:
        first_seen.setdefault(text, now)
    believed = judged(differences, first_seen, now, at_once=at_once)
    texts = {difference.object for difference in believed} | set(now_in.view.drift)
    for difference in believed:
        if _is_news(now_in, difference):
            known = now_in.view.drift.get(difference.object)
            if known is not None and (known[0].drift, difference.drift) == ("missing", "altered"):
                await _right_again(now_in, *known)  # it stands again, and gives access again
            await _found(now_in, difference, nothing_left=_nothing_left(difference, texts))
    for text, (found, position) in now_in.view.drift.items():
        if text not in current and not _keeps_its_end(now_in, found):
            await _right_again(now_in, found, position)
    brake = await _remove_extra(now_in, [each for each in believed if each.drift == "extra"])
    doubted = [each for each in differences if each not in believed]
    again = (max(first_seen[d.object], d.written_at or first_seen[d.object]) for d in doubted)
    soonest = None if at_once else min(again, default=None)
    return Looked(None if soonest is None else soonest + SETTLING, brake)


def _is_news(now_in: Pass, difference: Difference) -> bool:
    known = now_in.view.drift.get(difference.object)
    if known is None or known[0].drift != difference.drift:
        return True
    if _written(now_in, known[0]) > known[1]:
        return True  # it was put right since, and somebody has been there again
    return (difference.loosened and not known[0].loosened) or (
        difference.principal_id not in (None, known[0].principal_id)
    )


def _keeps_its_end(now_in: Pass, found: DriftFound) -> bool:
    """Whether a removal is owed that must know of it: whose attachments are another's now."""
    key = None if found.grant is None else (found.grant.id, found.grant.turn)
    owed = {row.key for row in now_in.view.rows if row.owed(now_in.now)}
    return found.principal_id is not None and key in owed


def _nothing_left(difference: Difference, believed: set[str]) -> bool:
    return bool(difference.gone_with) and difference.gone_with <= believed


async def _found(now_in: Pass, difference: Difference, *, nothing_left: bool) -> None:
    row = difference.row
    event = DriftFound(
        account=now_in.context.account,
        drift=difference.drift,
        object=difference.object,
        grant=ref(row.grant) if row else None,
        team=difference.team,
        policy=difference.policy,
        first_seen_at=now_in.context.first_seen.get(difference.object, now_in.now),
        actor=None,
        principal_id=difference.principal_id,
        nothing_left=nothing_left,
        loosened=difference.loosened,
    )
    known = now_in.view.drift.get(difference.object)
    await now_in.record(event, cause=known[1] if known else _cause(now_in, row))
    now_in.context.metrics.drift.labels(difference.drift).inc()
    log.warning(
        "drift_found",
        drift=difference.drift,
        object=difference.object,
        loosened=difference.loosened,
        principal_id=difference.principal_id,
    )


def _cause(now_in: Pass, row: GrantRow | None) -> int:
    """The newest event about the object, so that the same drift, back again, is a new event."""
    return newest_position(row) if row else now_in.view.position


async def tell_remade(now_in: Pass, row: GrantRow, principal: PrincipalState) -> None:
    """A principal of that name is another than the one that was written to: nothing of it stands.

    Whether it is given again is the plan's to say.
    """
    for difference in of_remade(row, principal):
        if _is_news(now_in, difference):
            await _found(now_in, difference, nothing_left=True)


async def _right_again(now_in: Pass, found: DriftFound, position: int) -> None:
    """`written` where we did it: what is newer than the finding was confirmed by AWS."""
    event = DriftRepaired(
        account=now_in.context.account,
        object=found.object,
        how="written" if _written(now_in, found) > position else "found",
        grant=found.grant,
        team=found.team,
        policy=found.policy,
        confirmed_at=now_in.now,
    )
    await now_in.record(event, cause=position)


def _written(now_in: Pass, found: DriftFound) -> int:
    """Where the newest evidence stands that what `found` is about was written; 0: there is none."""
    if found.grant is not None:
        key = (found.grant.id, found.grant.turn)
        rows = (row for row in now_in.view.rows if row.key == key)
        return next((row.written_position or 0 for row in rows), 0)
    if found.team is not None and found.policy is not None:
        return now_in.view.object_positions.get((found.team, found.policy), 0)
    return 0


# --- what nobody's grant explains -----------------------------------------------------------------


async def _remove_extra(now_in: Pass, extras: list[Difference]) -> AwsError | None:
    """Under `repair`, and only while the ledger is whole; gives back why nothing was done."""
    if not (extras and repairing(now_in.view) and now_in.context.granting()):
        return None
    going = [each for each in extras if removable(now_in.view, each)]
    brake = braked(now_in.view, len(going), now_in.now)
    if brake is not None:
        return brake
    for difference in going:
        now_in.check_stop()
        try:
            answer = await _take(now_in, difference)
        except (AwsRefused, AwsBusy, AwsUnanswered) as error:
            now_in.failures += 1
            log.warning("drift_stays", object=difference.object, code=error.code, why=error.message)
            continue
        await _taken(now_in, difference, answer)
    return None


async def _take(now_in: Pass, difference: Difference) -> Answer:
    principal, name = difference.principal, difference.name
    if principal is None or name is None:
        raise ValueError(f"{difference.object} hangs on nobody")
    if name.startswith("arn:"):
        return await now_in.aws.detach(principal, name)
    return await now_in.aws.delete_inline(principal, name)


async def _taken(now_in: Pass, difference: Difference, answer: Answer) -> None:
    await now_in.refresh()
    known = now_in.view.drift.get(difference.object)
    event = DriftRepaired(
        account=now_in.context.account,
        object=difference.object,
        how="written",
        grant=None,
        team=None,
        policy=None,
        confirmed_at=answer.confirmed_at,
        requests=(answer.request_id,) if answer.request_id else (),
    )
    await now_in.record(event, cause=now_in.view.position if known is None else known[1])
    _count(now_in, difference.drift)
    log.warning("drift_taken_away", object=difference.object)


def _count(now_in: Pass, drift: Kind) -> None:
    now_in.context.metrics.steps.labels(f"drift_{drift}").inc()


# --- what is over, and has come back --------------------------------------------------------------


async def _remove_returned(
    now_in: Pass, strangers: tuple[tuple[Principal, str], ...]
) -> list[Difference]:
    """Removes those whose grants are over; gives back those that the ledger does not know."""
    closed = await _closed(now_in, {name for _, name in strangers})
    unknown = []
    for principal, name in strangers:
        # By the name alone, which is one grant's: somebody may have been renamed in IAM with it.
        row = closed.get(name)
        if row is None:
            unknown.append(extra(principal, inline_text(principal, name), name))
        else:
            now_in.check_stop()
            again = _remove_again(now_in, row, principal, name)
            await now_in.attempt(("returned", *row.key), again, row=row)
    return unknown


async def _remove_returned_parts(
    now_in: Pass, parts: tuple[tuple[str, str], ...]
) -> list[Difference]:
    closed = await _closed(now_in, {name for name, _ in parts})
    unknown = []
    for name, arn in parts:
        row = closed.get(name)
        if row is None:
            unknown.append(extra(None, policy_text(arn), arn))
        else:
            now_in.check_stop()
            foreign: list[str] = []
            again = _remove_part(now_in, row, arn, foreign)
            done = await now_in.attempt(("returned", arn), again, row=row)
            if foreign or (not done and policy_text(arn) in now_in.view.drift):
                unknown.append(extra(None, policy_text(arn), arn))
    return unknown


async def _closed(now_in: Pass, names: set[str]) -> dict[str, GrantRow]:
    if not names:
        return {}
    rows = await now_in.context.read_closed(sorted(names))
    return {row.grant.object: row for row in rows if row.grant.object is not None}


async def _remove_again(now_in: Pass, row: GrantRow, principal: Principal, name: str) -> None:
    answer = await now_in.aws.delete_inline(principal, name)
    await _gone_again(now_in, row, [answer], name)


async def _remove_part(now_in: Pass, row: GrantRow, arn: str, foreign: list[str]) -> None:
    """Only what carries our tags: under our path somebody may have made one of such a name.

    That is put into `foreign`.
    """
    if await _is_ours(now_in, row, arn):
        await _gone_again(now_in, row, await delete_own(now_in, arn), arn)
    else:
        foreign.append(arn)


async def _is_ours(now_in: Pass, row: GrantRow, arn: str) -> bool:
    tags = await now_in.aws.read_policy_tags(arn)
    mine = policy_tags(now_in.view, row.grant.team, row.grant.policy)
    return {key: tags.get(key) for key in mine} == mine


async def _gone_again(now_in: Pass, row: GrantRow, answers: list[Answer], name: str) -> None:
    confirmed_at = max((answer.confirmed_at for answer in answers), default=now_in.now)
    late = confirmed_at - (row.due_at or confirmed_at)
    event = Removed(
        grant=ref(row.grant),
        cause="drift",
        outcome="answered" if any(a.outcome != "absent" for a in answers) else "found_absent",
        lateness_us=max(0, round(late.total_seconds() * 1_000_000)),
        requests=tuple(answer.request_id for answer in answers if answer.request_id),
        confirmed_at=confirmed_at,
    )
    await now_in.record(event, cause=now_in.view.position)
    now_in.context.metrics.steps.labels("end").inc()
    log.warning("returned_access_removed", grant=row.grant.id, name=name)
