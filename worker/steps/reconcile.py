"""One pass over one account: gather, decide, act, record.

Removals that are due come before everything, without any reading of AWS; between any two later
calls they come first again. Only what AWS confirmed is recorded, and before the next step.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import structlog

from ledger.state import AccountView
from worker.account import AwsAccount
from worker.deciding.desired import wanted_policies
from worker.deciding.plan import Work, plan
from worker.errors import AwsBusy, AwsError, AwsRefused, AwsUnanswered
from worker.steps.drifting import record_drift
from worker.steps.passing import Context, Pass, PassAbandoned, hangs_on, retried_at
from worker.steps.policies import delete_policies, write_policies
from worker.steps.removing import remove_due
from worker.steps.writing import write_grants
from worker.timing import SETTLING, next_boundary

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a pass went, and what is next."""

    view: AccountView
    """As it was read last."""
    failures: int
    """Steps that did not get done."""
    abandoned: bool
    """Cut short by a busy account or a stopping worker."""
    boundary: datetime | None
    """The first instant after the one this pass was planned for at which something changes."""
    observed: bool
    """Whether the whole account was read."""
    look_again_at: datetime | None = None
    """When what was read differing could be believed; None: nothing was, or all is."""


async def reconcile(
    context: Context, aws: AwsAccount, view: AccountView, *, observe: bool, at_once: bool = False
) -> Outcome:
    """Makes the account agree with the ledger, of which `view` is a fresh reading.

    `observe`: read the whole account too, look for drift, and try again what was refused.
    `at_once`: record drift at the first sight of it (there will be no second look).
    Raises AccountClosed and ledger.errors.LedgerUnavailable; every other failure is in the outcome.
    """
    now_in = Pass(context, aws, view)
    _heed_words(now_in)
    time_known = await time_told(now_in)
    planned_for = context.now()
    abandoned = True
    observed = False
    with _ending():
        if not time_known:
            raise PassAbandoned("AWS has not told its time yet")
        await remove_due(now_in)
        if view.unreadable:
            await _tell_unreadable(now_in)
        else:
            if observe:
                context.parking.look()
                observed = await _observe(now_in, at_once=at_once)
            await _carry_out(now_in)
        abandoned = False
    after = await context.read_view()
    return Outcome(
        view=after,
        failures=now_in.failures,
        abandoned=abandoned,
        boundary=next_boundary(after.rows, after=planned_for),
        observed=observed,
        look_again_at=now_in.look_again_at,
    )


def _heed_words(now_in: Pass) -> None:
    """What a person has taken over or changed, or wants tried again, waits no longer."""
    view, parking = now_in.view, now_in.context.parking
    for key in view.policies:
        parking.hang(("policy", *key), hangs_on(view, key))
    for row in view.rows:
        if parking.parked(row.key, now_in.now):
            parking.hang(row.key, hangs_on(view, (row.grant.team, row.grant.policy)))
        if position := retried_at(row):
            parking.heed(row.key, position)
            parking.heed(("policy", row.grant.team, row.grant.policy), position)
    for key, written in view.objects.items():
        if written.policy_position == 0:
            parking.heed(("policy", *key), view.object_positions[key])


async def time_told(now_in: Pass) -> bool:
    """Whether AWS's time is known; it is asked for first, so that no wrong clock ends anything."""
    if now_in.context.time_known():
        return True
    return await now_in.attempt("account", now_in.aws.enter())


@contextlib.contextmanager
def _ending() -> Iterator[None]:
    """A pass that is cut short has still done, and recorded, all it did."""
    try:
        yield
    except PassAbandoned as why:
        log.info("pass_abandoned", why=str(why))


async def _tell_unreadable(now_in: Pass) -> None:
    """The ledger holds what this program cannot read: ends are kept, nothing else is done."""
    now_in.failures += 1
    first = now_in.view.unreadable[0]
    log.error("ledger_unreadable", position=first.position, why=first.message)
    error = AwsError("Unreadable", f"{first.message}. Nothing is added here until it can be read")
    await now_in.tell_stuck(error, row=None, policy=None)


async def _observe(now_in: Pass, *, at_once: bool) -> bool:
    """Reads the whole account; whether that worked. A failure of it alone holds no step up."""
    context = now_in.context
    brake: AwsError | None = None

    async def read() -> None:
        nonlocal brake
        await _read_limits(now_in)
        async with context.observing:
            state = await now_in.aws.observe()
        await remove_due(now_in)
        await now_in.refresh()
        now_in.check_readable()
        state = state.without(now_in.taken)  # it was read before what has come due meanwhile went
        looked = await record_drift(now_in, state, at_once=at_once)
        await now_in.refresh()  # what is to be put right follows from what was recorded
        now_in.look_again_at, brake = looked.again_at, looked.brake

    done = await now_in.attempt("account", read())
    if brake is not None:
        now_in.failures += 1
        await now_in.tell_stuck(brake, row=None, policy=None)
    elif done:
        await now_in.tell_unstuck(None, None)
    if done:
        await _read_sources(now_in)
    context.parking.forget(_subjects(now_in.view))
    return done


async def _read_limits(now_in: Pass) -> None:
    """The account's own quotas; where it does not tell, what was known of them stays."""
    try:
        now_in.context.limits = await now_in.aws.read_limits()
    except (AwsBusy, AwsUnanswered, AwsRefused) as error:
        log.info("limits_unknown", code=error.code, why=error.message)


async def _read_sources(now_in: Pass) -> None:
    """AWS changes its own policies under whoever has them attached: what they say now is kept."""
    held = {made.name for row in now_in.view.rows for made in row.made}
    pinned = {pin.arn for row in now_in.view.rows for pin in row.pins}
    for arn in sorted(held & pinned):
        read = now_in.context.sources.read(now_in.aws, arn, None, now_in.now)
        await now_in.attempt(("source", arn), read)


def _subjects(view: AccountView) -> set[object]:
    subjects: set[object] = {row.key for row in view.rows} | {"account"}
    subjects |= {("policy", *key) for key in (*view.policies, *view.objects)}
    return subjects


async def _carry_out(now_in: Pass) -> None:
    """Additions, then what waited for them, then the policies that nothing needs any more."""
    context = now_in.context
    work = _plan(now_in)
    if context.granting():
        await write_policies(now_in, work.policies)
        if work.policies:  # what hangs on them can be written now, or still cannot
            await now_in.refresh()
            _heed_words(now_in)
            _look_after_mending(now_in, work)
            work = _plan(now_in)
        if context.granting():  # still: what was read since may be another ledger
            await write_grants(now_in, work.grants)
        _look_after_mending(now_in, work)
    elif work.policies or work.grants:
        now_in.failures += 1
        why = "the clock is too far from AWS's, or the ledger is another than it was"
        log.warning("nothing_granted", why=why)
    if now_in.waiting:
        now_in.tried -= now_in.waiting
        now_in.waiting.clear()
        await remove_due_after_writing(now_in)
    if set(now_in.view.objects) - set(wanted_policies(now_in.view)):
        await now_in.refresh()  # without the grants of them that this pass has ended
        await delete_policies(now_in, _plan(now_in).deletions)


def _look_after_mending(now_in: Pass, work: Work) -> None:
    """What was put right is looked at once IAM's own lag is over, not only at the next resync."""
    reasons = [step.reason for step in work.policies] + [step.reason for step in work.grants]
    if any(reason.startswith("drift") for reason in reasons):
        soon = now_in.now + SETTLING
        now_in.look_again_at = min(now_in.look_again_at or soon, soon)


async def remove_due_after_writing(now_in: Pass) -> None:
    """What waited for its successor, on the ledger as it is now that the successor is written."""
    await now_in.refresh()
    await remove_due(now_in)


def _plan(now_in: Pass) -> Work:
    now_in.check_readable()
    now = now_in.now

    def parked(subject: object) -> bool:
        return now_in.context.parking.parked(subject, now)

    return plan(now_in.view, now, retry_refused=True, parked=parked)
