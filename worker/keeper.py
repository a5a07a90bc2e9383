"""The keeper of one account: sleeps to the next instant that matters, then makes a pass.

A nudge says only "look again"; the keeper reads the truth itself, so a lost or doubled nudge costs
latency and never security. Weather from AWS and from the database stays inside; a bug goes through
and ends the process.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import uuid4

import structlog

from ledger.errors import Fenced, LedgerUnavailable
from ledger.model import Account, AccountId
from ledger.project import GrantRow
from ledger.state import AccountView
from ledger.store.leases import Fence
from worker.account import AwsAccount
from worker.census import NOTHING, Census, count
from worker.clock import Clock
from worker.errors import AccountClosed
from worker.evidence import Appending, Evidence
from worker.memory import Memory
from worker.memory import Reading as Remembered
from worker.metrics import Metrics
from worker.parking import Parking
from worker.settings import WorkerSettings
from worker.sources import Sources
from worker.steps.passing import Context, Pass, PassAbandoned
from worker.steps.reconcile import Outcome, reconcile
from worker.steps.removing import remove_over
from worker.timing import (
    OFFSET_GRANTING_MAX_S,
    judged_now,
    next_boundary,
    next_wake,
    parked_delay,
    retry_delay,
)

log = structlog.get_logger()


class Reading(Appending, Remembered, Protocol):
    """The ledger as a keeper sees it."""

    departed: str | None
    """Why it is not the ledger that was followed until now: nothing is added by it. None: it is."""

    async def read_closed(self, account: AccountId, objects: list[str]) -> tuple[GrantRow, ...]: ...


class Gate(Protocol):
    """The way into AWS."""

    def account(self, entry: Account) -> AwsAccount: ...

    def clock_offset_s(self) -> float | None: ...


@dataclass(slots=True)
class Shared:
    """What all keepers of one process have in common."""

    ledger: Reading
    gate: Gate
    clock: Clock
    metrics: Metrics
    settings: WorkerSettings
    sources: Sources
    stop: asyncio.Event
    observing: asyncio.Semaphore
    sure: Callable[[], bool] = lambda: True
    """Whether no other worker can have taken over: where one may, nothing is added."""
    random: Callable[[], float] = random.random


@dataclass(slots=True)
class Status:
    """How an account is doing, for metrics and `iam-ledger status`."""

    last_pass_at: datetime | None = None
    observed_at: datetime | None = None
    last_error: str | None = None
    next_try_at: datetime | None = None
    failures_in_a_row: int = 0
    census: Census = NOTHING
    """Of what its view said last."""


class Keeper:
    """Keeps one account. `run` ends when the worker stops; `run_once` after one pass."""

    def __init__(self, account: AccountId, shared: Shared, fence: Fence | None = None) -> None:
        """`fence`: what makes it the account's only keeper; None where no other worker can be."""
        self.account = account
        self.fence = fence
        self.status = Status()
        self._shared = shared
        self._nudged = asyncio.Event()
        self._resync_at: datetime | None = None
        self._retired = False
        self._dismissed = False
        self._memory = Memory(account, shared.ledger)
        self._context = Context(
            account=account,
            evidence=Evidence(
                shared.ledger, shared.settings.replica, fence, told=self._memory.learn
            ),
            metrics=shared.metrics,
            sources=shared.sources,
            parking=Parking(shared.random),
            now=self.now,
            read_view=self._memory.view,
            read_closed=lambda names: shared.ledger.read_closed(account, names),
            stopping=lambda: self._dismissed or shared.stop.is_set(),
            observing=shared.observing,
            granting=self._granting,
            time_known=lambda: shared.gate.clock_offset_s() is not None,
        )

    def know(self, view: AccountView) -> None:
        """What stands in the ledger, from whoever has read many accounts at once."""
        self._memory.know(view)
        self.status.census = count(view, self.now())

    def nudge(self) -> None:
        """Something may have changed: look again soon."""
        self._nudged.set()

    def retire(self) -> None:
        """Nothing in the account is ours to keep any more: `run` ends after the pass under way."""
        self._retired = True
        self._nudged.set()

    def dismiss(self) -> None:
        """Another keeps the account: `run` ends after the call under way."""
        self._dismissed = True
        self.retire()

    def now(self) -> datetime:
        """The instant by which ends are judged."""
        return judged_now(self._shared.clock.now(), self._shared.gate.clock_offset_s())

    def _granting(self) -> bool:
        off_s = abs(self._shared.gate.clock_offset_s() or 0.0)
        whole = self._shared.ledger.departed is None
        return off_s <= OFFSET_GRANTING_MAX_S and whole and self._shared.sure()

    async def run(self) -> None:
        """Passes and sleeps until the worker stops, or this keeper is retired."""
        while not (self._retired or self._shared.stop.is_set()):
            self._nudged.clear()
            try:
                wake_at = await self._pass(at_once=False)
            except Fenced as error:
                log.warning("account_taken_over", why=str(error))
                return
            self.status.next_try_at = wake_at
            # The judged clock may run apart from the sleeping one: sleep for the difference.
            sleep_until = self._shared.clock.now() + (wake_at - self.now())
            await self._shared.clock.sleep_until(sleep_until, self._nudged, self._shared.stop)

    async def run_once(self) -> bool:
        """One pass over the whole account; whether all of it got done."""
        try:
            await self._pass(at_once=True)
        except Fenced as error:
            log.warning("account_taken_over", why=str(error))
            return False
        return self.status.failures_in_a_row == 0

    async def _pass(self, *, at_once: bool) -> datetime:
        """One pass, weather kept inside; returns when to wake."""
        started = self.now()
        self._resync_at = self._resync_at or started
        structlog.contextvars.bind_contextvars(account=self.account)
        self._context.evidence.begin_pass(uuid4().hex[:12])
        try:
            outcome = await self._reconcile(observe=self._resync_at <= started, at_once=at_once)
        except LedgerUnavailable as error:
            self._shared.metrics.ledger_errors.inc()
            log.warning("ledger_unavailable", why=str(error))
            return self._failed(str(error), await self._keep_ends())
        except AccountClosed as error:
            log.warning("account_closed", code=error.code, why=error.message)
            return await self._closed(error)
        return self._ended(outcome, started)

    async def _keep_ends(self) -> datetime | None:
        """With the ledger away: the ends that were known are kept; returns the next of them.

        Adds nothing, and removes nothing else.
        """
        view, now = self._memory.last, self.now()
        if view is None or view.way_in is None or not self._context.time_known():
            return None
        ending = Pass(self._context, self._shared.gate.account(view.way_in), view)
        try:
            await remove_over(ending, sure=self._shared.sure())
        except (PassAbandoned, AccountClosed) as why:
            log.info("ends_wait", why=str(why))
        return next_boundary(view.rows, after=now)

    async def _reconcile(self, *, observe: bool, at_once: bool) -> Outcome:
        await self._context.evidence.flush(self.now())
        if observe and self.status.observed_at is not None:
            self._memory.forget()  # what stands beside the events is looked at too, now and then
        view = await self._context.read_view()
        if view.way_in is None:
            raise AccountClosed("NotMapped", f"no team has ever mapped account {self.account}")
        aws = self._shared.gate.account(view.way_in)
        return await reconcile(self._context, aws, view, observe=observe, at_once=at_once)

    def _ended(self, outcome: Outcome, started: datetime) -> datetime:
        now = self.now()
        self.status.census = count(outcome.view, now)
        self.status.last_pass_at = now
        self._shared.metrics.last_pass.set(now.timestamp())
        if outcome.observed:
            self.status.observed_at = now
            self._resync_at = now + self._resync_after()
        if outcome.look_again_at is not None:
            self._resync_at = min(self._resync_at or now, max(outcome.look_again_at, now))
        if outcome.failures or outcome.abandoned:
            steps = "1 step" if outcome.failures == 1 else f"{outcome.failures:,} steps"
            return self._failed(f"{steps} did not get done", outcome.boundary)
        self._shared.metrics.passes.labels("done").inc()
        self.status.failures_in_a_row = 0
        self.status.last_error = None
        return self._wake(outcome.boundary, self._context.parking.next_try_at(started))

    def _failed(self, why: str, boundary: datetime | None) -> datetime:
        """A resync that is due is no reason to hurry: the retry reads the account again."""
        self._shared.metrics.passes.labels("failed").inc()
        self.status.failures_in_a_row += 1
        self.status.last_error = why
        delay = retry_delay(self.status.failures_in_a_row, self._shared.random())
        return self._wake(boundary, self.now() + delay)

    async def _closed(self, error: AccountClosed) -> datetime:
        """Told once, in the ledger too; tried again within a minute, which is one call."""
        self._resync_at = None  # once it is open again it is read whole, and said to be well
        wake_at = self._failed(f"{error.code}: {error.message}", None)
        try:
            view = await self._context.read_view()
            self.status.census = count(view, self.now())
            if view.way_in is not None:
                telling = Pass(self._context, self._shared.gate.account(view.way_in), view)
                await telling.tell_stuck(error, row=None, policy=None)
        except LedgerUnavailable:
            return wake_at
        return self.now() + parked_delay(self._shared.random())

    def _wake(self, boundary: datetime | None, retry_at: datetime | None) -> datetime:
        """The earliest of what is to come; a resync that failed waits for the retry."""
        resync_at = self._resync_at or self.now()
        if retry_at is not None and resync_at <= self.now():
            resync_at = retry_at
        return next_wake(boundary=boundary, retry_at=retry_at, resync_at=resync_at)

    def _resync_after(self) -> timedelta:
        """Jittered by a tenth, so that accounts do not march in step."""
        return self._shared.settings.resync_every * (0.95 + self._shared.random() / 10)
