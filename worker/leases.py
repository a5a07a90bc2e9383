"""Which accounts this worker keeps, where several share a ledger: its word to the others.

Invariant: work in an account begins with its lease and ends before the lease is let go. A worker
that hears nothing from the ledger for as long as a lease stands adds nothing more, since another
may keep its accounts by then; what it records late is refused by the fence.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from ledger.errors import LedgerUnavailable
from ledger.model import AccountId
from ledger.store.leases import LEASE, Beat, Fence, Replica, shard_of
from worker.clock import Clock, steady_s
from worker.metrics import Metrics

log = structlog.get_logger()

BEAT = timedelta(seconds=2)
"""So often a worker says that it lives: one word may be lost before a lease runs out."""

AWAY_PAUSE = timedelta(seconds=0.5)
"""After a word that the ledger did not take."""


class Register(Protocol):
    """The ledger, as workers share it."""

    async def beat(self, me: Replica, *, now: datetime, let_go: Collection[int]) -> Beat: ...

    async def leave(self, me: Replica) -> None: ...


class Leases:
    """One worker's part. `join` first, then `run`, at the end `leave`."""

    def __init__(
        self,
        register: Register,
        me: Replica,
        clock: Clock,
        metrics: Metrics,
        steady: Callable[[], float] = steady_s,
    ) -> None:
        self.me = me
        self._register = register
        self._clock = clock
        self._steady = steady
        self._held: dict[int, Fence] = {}
        self._surplus: frozenset[int] = frozenset()
        self._told: tuple[dict[int, Fence], frozenset[int]] = ({}, frozenset())
        """What was answered with a change of keepers."""
        self._stands_until_s = float("-inf")
        metrics.shards.set_function(lambda: len(self._held))
        metrics.replicas.set_function(lambda: self._living)
        self._living = 0

    def fence_of(self, account: AccountId) -> Fence | None:
        """What its evidence is recorded under; None: it is, or will soon be, another's."""
        shard = shard_of(account)
        return None if shard in self._surplus else self._held.get(shard)

    def stands(self, fence: Fence) -> bool:
        """Whether it was still ours at the last word, be it that its work shall end."""
        return self._held.get(fence.shard) == fence

    def sure(self) -> bool:
        """Whether nobody else can have taken what is ours, by a clock that nobody sets."""
        return self._steady() < self._stands_until_s

    async def join(self) -> None:
        """The first word. LedgerBusy where the ledger cannot be shared; LedgerUnavailable."""
        await self._beat(())
        log.info("worker_joined", shards=len(self._held), replicas=self._living)

    async def leave(self) -> None:
        """Others need not wait; with the ledger away they do, for as long as a lease stands."""
        try:
            await self._register.leave(self.me)
        except LedgerUnavailable as error:
            log.warning("leases_not_returned", why=str(error))

    async def run(
        self,
        stop: asyncio.Event,
        *,
        working: Callable[[], Collection[int]],
        on_change: Callable[[], Awaitable[object]],
    ) -> None:
        """Says that it lives until `stop`; LedgerBusy where another came to keep it all alone.

        `working` tells in which shards something is still being done: none of them is let go.
        """
        pause = BEAT
        self._told = (self._held, self._surplus)
        while True:
            await self._clock.sleep_until(self._clock.now() + pause, stop)
            if stop.is_set():
                return
            try:
                await self._beat(self._surplus - frozenset(working()))
                await self._tell(on_change)
            except LedgerUnavailable as error:
                log.warning("leases_not_renewed", why=str(error), sure=self.sure())
                pause = AWAY_PAUSE
                continue
            pause = BEAT

    async def _tell(self, on_change: Callable[[], Awaitable[object]]) -> None:
        news = (self._held, self._surplus)
        if news == self._told:
            return
        log.info("leases_changed", shards=len(self._held), replicas=self._living)
        await on_change()
        self._told = news

    async def _beat(self, let_go: Collection[int]) -> None:
        began_s = self._steady()
        beat = await self._register.beat(self.me, now=self._clock.now(), let_go=let_go)
        self._held = {fence.shard: fence for fence in beat.held}
        self._surplus = frozenset(beat.surplus)
        self._living = beat.replicas
        self._stands_until_s = began_s + LEASE.total_seconds()
