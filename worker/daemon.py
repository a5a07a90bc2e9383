"""The worker process: a keeper an account, the feed, the status table, HTTP; start and end.

Invariant: a bug in any part ends the process; weather ends none. Stopping lets every account end
the step under way, within the grace period.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

import structlog

from ledger.errors import LedgerBusy, LedgerMigrated, LedgerUnavailable
from ledger.model import AccountId
from ledger.store.feed import Bookmark, Seen, speaks
from ledger.store.leases import SHARDS, Fence, shard_of
from ledger.store.standing import AccountStatus
from worker.checkpoints import Checkpoints
from worker.feed import Feed
from worker.http import serving
from worker.keeper import Keeper, Shared
from worker.leases import Leases
from worker.ledger_door import LedgerDoor
from worker.tally import tell
from worker.timing import OFFSET_GRANTING_MAX_S, judged_now

log = structlog.get_logger()

HEALED_BY = (
    "nothing is added, ends are kept: ingest, repeat the revocations made since, restart the worker"
)
"""What an operator does about a ledger that was put back to an older copy."""

SILENT_MAX = timedelta(seconds=30)
"""A ledger that has not answered for so long makes the worker unready."""


class Daemon:
    """One worker. Make it, then `run` once."""

    def __init__(
        self,
        door: LedgerDoor,
        shared: Shared,
        checkpoints: Checkpoints | None = None,
        leases: Leases | None = None,
    ) -> None:
        """`checkpoints`: None where there is no key to sign with. `leases`: None where no other
        worker can be."""
        self._door = door
        self._shared = shared
        self._checkpoints = checkpoints
        if checkpoints is not None:
            checkpoints.on_broken = door.distrust
        self._leases = leases
        self._outdone: LedgerBusy | None = None
        """Who keeps the ledger alone by now, while this worker was thought dead."""
        self._keepers: dict[AccountId, Keeper] = {}
        self._running: set[Keeper] = set()
        """Those at work, retired ones to their end."""
        self._feed: Feed | None = None
        self._publish()

    # --- running ------------------------------------------------------------------------------

    async def run(self) -> bool:
        """Keeps all accounts until stopped, or once; whether all of them are done (`--once`).

        Raises worker.errors.CannotListen, LedgerUnavailable where the start cannot read, and
        LedgerBusy where the ledger cannot be shared with who keeps it.
        """
        if self._leases is None:
            return await self._run()
        await self._leases.join()
        try:
            done = await self._run()
        finally:
            await self._leases.leave()
        if self._outdone is not None:
            raise self._outdone
        return done

    async def _run(self) -> bool:
        await self._seal()  # before anything is added: what was signed must stand there still
        if self._shared.settings.once:
            return await self._run_once()
        bookmark = await self._door.head()
        await self._find_keepers()
        async with self._http():
            await self._until_stopped(bookmark)
        return True

    async def _run_once(self) -> bool:
        await self._find_keepers()
        async with self._sharing(self._find_keepers), asyncio.TaskGroup() as tasks:
            passes = [tasks.create_task(keeper.run_once()) for keeper in self._keepers.values()]
        await self._write_status()
        await self._seal()
        return all(done.result() for done in passes)

    async def _until_stopped(self, bookmark: Bookmark) -> None:
        stop, settings = self._shared.stop, self._shared.settings
        serving = asyncio.ensure_future(self._serve(bookmark))
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not serving.done():
                log.info("worker_stopping", grace_s=settings.grace_s)
                await asyncio.wait({serving}, timeout=settings.grace_s)
            if not serving.done():
                log.warning("steps_abandoned", why="the grace period is over")
                serving.cancel()
                await asyncio.wait({serving})
            if not serving.cancelled():
                serving.result()
        finally:
            stopping.cancel()
            serving.cancel()
        with suppress(LedgerUnavailable):
            await self._write_status()
        await self._seal()
        log.info("worker_stopped")

    async def _serve(self, bookmark: Bookmark) -> None:
        shared, settings = self._shared, self._shared.settings
        watch = self._door.watch
        self._feed = Feed(
            self._door,
            shared.clock,
            shared.metrics,
            every=timedelta(seconds=watch.every_s or settings.watch_every_s),
            bookmark=bookmark,
            on_departed=self._distrust,
            heard=watch.heard,
        )

        async def reshare() -> None:
            await self._look_for_work(tasks)

        async with self._sharing(reshare), asyncio.TaskGroup() as tasks:
            self._set_to_work(self._keepers.values(), tasks)

            async def tell(seen: Sequence[Seen]) -> None:
                await self._told(seen, tasks)

            tasks.create_task(self._feed.run(tell, shared.stop, on_return=self._nudge_all))
            tasks.create_task(self._keep_status())
            if self._checkpoints is not None:
                tasks.create_task(self._checkpoints.run(shared.stop))
        self._feed = None

    @asynccontextmanager
    async def _http(self) -> AsyncIterator[None]:
        settings = self._shared.settings
        async with AsyncExitStack() as stack:
            if settings.listen_port is not None:
                port = await stack.enter_async_context(
                    serving(
                        settings.listen_host,
                        settings.listen_port,
                        metrics=self._shared.metrics,
                        unready=self.unready,
                    )
                )
                log.info("worker_listening", host=settings.listen_host, port=port)
            yield

    # --- which accounts -----------------------------------------------------------------------

    async def _find_keepers(self) -> list[Keeper]:
        """Brings the keepers up to what the ledger says is to be kept; gives back the new ones."""
        wanted = set(await self._door.accounts())
        only = self._shared.settings.accounts
        if only is not None:
            wanted &= only
        fences = self._fences(wanted)
        for account, keeper in list(self._keepers.items()):
            if account in fences and fences[account] == keeper.fence:
                continue
            del self._keepers[account]
            self._part_with(keeper)
        missing = sorted(set(fences) - set(self._keepers))
        new = [Keeper(account, self._shared, fences[account]) for account in missing]
        self._keepers |= {keeper.account: keeper for keeper in new}
        return new

    def _fences(self, accounts: set[AccountId]) -> dict[AccountId, Fence | None]:
        """Those of `accounts` that are this worker's to keep, and by which right."""
        if self._leases is None:
            return dict.fromkeys(accounts)
        fences = {account: self._leases.fence_of(account) for account in accounts}
        return {account: fence for account, fence in fences.items() if fence is not None}

    def _part_with(self, keeper: Keeper) -> None:
        if keeper.fence is None or (self._leases is not None and self._leases.stands(keeper.fence)):
            keeper.retire()
            log.info("account_given_up", account=keeper.account)
        else:
            keeper.dismiss()
            log.warning("account_taken_over", account=keeper.account)

    def _set_to_work(self, keepers: Iterable[Keeper], tasks: asyncio.TaskGroup) -> None:
        for keeper in keepers:
            self._running.add(keeper)
            tasks.create_task(self._work(keeper))

    async def _work(self, keeper: Keeper) -> None:
        try:
            await keeper.run()
        finally:
            self._running.discard(keeper)

    async def _look_for_work(self, tasks: asyncio.TaskGroup) -> None:
        """Ends what is no more this worker's to keep, and begins what is now."""
        new = await self._find_keepers()
        if not self._shared.stop.is_set():
            self._set_to_work(new, tasks)

    @asynccontextmanager
    async def _sharing(self, on_change: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
        """Tells the other workers that this one lives, until the last of its work has ended."""
        if self._leases is None:
            yield
            return
        ended = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._share(self._leases, ended, on_change))
            try:
                yield
            finally:
                ended.set()

    async def _share(
        self, leases: Leases, ended: asyncio.Event, on_change: Callable[[], Awaitable[object]]
    ) -> None:
        try:
            await leases.run(ended, working=self._shards, on_change=on_change)
        except LedgerBusy as error:
            self._outdone = error
            for keeper in self._running:
                keeper.dismiss()
            self._shared.stop.set()

    def _shards(self) -> set[int]:
        """Those in which something is still being done."""
        return {shard_of(keeper.account) for keeper in self._running}

    async def _told(self, seen: Sequence[Seen], tasks: asyncio.TaskGroup) -> None:
        """Nudges whoever new events may concern."""
        touching = [item for item in seen if speaks(item)]
        if not touching:
            return
        await self._look_for_work(tasks)
        everywhere = any(item.account is None for item in touching)
        accounts = {item.account for item in touching}
        for account, keeper in self._keepers.items():
            if everywhere or account in accounts:
                keeper.nudge()

    def _distrust(self, why: str) -> None:
        """Nothing is added from here to the end of this process; whatever is due is looked for.

        An older copy may give what was revoked since, and lacks what was recorded since. Only a
        person can say that it is whole again, and says so by starting the worker anew.
        """
        self._door.distrust(why)
        log.error("history_broken", why=why, then=HEALED_BY)
        self._nudge_all()

    def _nudge_all(self) -> None:
        for keeper in self._keepers.values():
            keeper.nudge()

    # --- telling how it goes ------------------------------------------------------------------

    def unready(self) -> list[str]:
        """Why this worker is not ready; empty when it is."""
        reasons: list[str] = []
        answered = self._feed.answered_at if self._feed is not None else None
        away = self._feed.away if self._feed is not None else None
        if isinstance(away, LedgerMigrated):
            reasons.append(str(away))
        elif answered is None or self._shared.clock.now() - answered > SILENT_MAX:
            reasons.append("the ledger does not answer")
        if self._door.departed is not None:
            reasons.append(f"{self._door.departed}; {HEALED_BY}")
        if not self._shared.sure():
            reasons.append("its leases have run out unanswered: nothing new is granted")
        offset_s = self._shared.gate.clock_offset_s() or 0.0
        if abs(offset_s) > OFFSET_GRANTING_MAX_S:
            reasons.append(f"the clock is {offset_s:+.1f} s from AWS's: nothing new is granted")
        return reasons

    async def _seal(self) -> None:
        """A checkpoint of all that was recorded until now, at the start and at the end."""
        if self._checkpoints is not None:
            await self._checkpoints.seal()

    async def _keep_status(self) -> None:
        """Writes how every account is kept, now and then, until the worker stops."""
        clock, stop = self._shared.clock, self._shared.stop
        every = timedelta(seconds=self._shared.settings.status_every_s)
        while not stop.is_set():
            await clock.sleep_until(clock.now() + every, stop)
            try:
                await self._write_status()
            except LedgerUnavailable as error:
                self._shared.metrics.ledger_errors.inc()
                log.warning("status_not_written", why=str(error))

    async def _write_status(self) -> None:
        now, replica = self._shared.clock.now(), self._shared.settings.replica
        departed = self._door.departed and f"HistoryBroken: {self._door.departed}; {HEALED_BY}"
        await self._door.write_status(
            [
                AccountStatus(
                    account=account,
                    environments=(),
                    replica=replica,
                    heartbeat_at=now,
                    last_pass_at=keeper.status.last_pass_at,
                    last_error=departed or keeper.status.last_error,
                    next_try_at=keeper.status.next_try_at,
                )
                for account, keeper in self._keepers.items()
            ]
        )

    def _publish(self) -> None:
        """Gauges that are computed when they are scraped."""
        metrics = self._shared.metrics
        if self._leases is None:
            metrics.shards.set(SHARDS)
            metrics.replicas.set(1)
        metrics.accounts.set_function(lambda: len(self._keepers))
        metrics.accounts_failing.set_function(
            lambda: sum(1 for k in self._keepers.values() if k.status.failures_in_a_row)
        )
        metrics.additions_stopped.set_function(lambda: self._door.departed is not None)
        metrics.ready.set_function(lambda: not self.unready())
        metrics.ledger_answered.set_function(self._ledger_answered)
        metrics.oldest_observation.set_function(self._oldest_observation)
        metrics.clock_offset.set_function(lambda: self._shared.gate.clock_offset_s() or 0.0)
        metrics.before_scrape = self._tally

    def _tally(self) -> None:
        now = judged_now(self._shared.clock.now(), self._shared.gate.clock_offset_s())
        tell(self._shared.metrics, [k.status.census for k in self._keepers.values()], now)

    def _ledger_answered(self) -> float:
        answered = self._feed.answered_at if self._feed is not None else None
        return answered.timestamp() if answered is not None else 0.0

    def _oldest_observation(self) -> float:
        never = datetime.fromtimestamp(0, UTC)
        instants = [keeper.status.observed_at or never for keeper in self._keepers.values()]
        return min(instants, default=never).timestamp()
