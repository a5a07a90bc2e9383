"""A clock that moves only when told, and a loop that is quiet before it moves.

Invariant: time never moves while anything is left to run at the present instant, database threads
included. So a test reads the same on every machine, however slow.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from worker.clock import NAP_MAX_S

STANDSTILL_MAX = 20_000
"""Sleeps that return at once, at one instant: more of them is a loop that spins."""

WAKES_MAX = 200_000
"""Wakes of one `advance_to`: more of them is somebody who sleeps for ever shorter times."""

THREADS_MAX_S = 60.0
"""How long work in threads may take before a test gives up; never waited for in full."""

T = TypeVar("T")


@dataclass(slots=True)
class Activity:
    """Work that the loop cannot see, since threads do it: counted by who starts it."""

    count: int = 0
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    @contextlib.contextmanager
    def doing(self) -> Iterator[None]:
        """Around anything that waits for a thread."""
        self.count += 1
        self._idle.clear()
        try:
            yield
        finally:
            self.count -= 1
            if not self.count:
                self._idle.set()

    async def over(self) -> None:
        """Returns when nothing is under way."""
        async with asyncio.timeout(THREADS_MAX_S):
            while self.count:
                await self._idle.wait()


@dataclass(slots=True, eq=False)
class _Sleeper:
    until: datetime
    number: int
    woken: asyncio.Future[None]


class FakeClock:
    """Holds to `worker.clock.Clock`. Sleepers are woken by instant, then in the order they came."""

    def __init__(self, start: datetime) -> None:
        self._now = start
        self._sleepers: dict[_Sleeper, None] = {}
        self._numbers = itertools.count()
        self._standstill = 0
        self.activity = Activity()
        self.on_tick: list[Callable[[datetime], None]] = []
        """Told each instant at which somebody was woken, when all is quiet again."""

    # --- what the worker sees -------------------------------------------------------------------

    def now(self) -> datetime:
        return self._now

    async def sleep_until(
        self, instant: datetime, *wakers: asyncio.Event, nap_max_s: float = NAP_MAX_S
    ) -> None:
        """Naps make no difference here: nothing moves this clock but the test."""
        if instant <= self._now or any(waker.is_set() for waker in wakers):
            self._standstill += 1
            assert self._standstill <= STANDSTILL_MAX, f"something spins at {self._now}"
            await asyncio.sleep(0)
            return
        sleeper = _Sleeper(instant, next(self._numbers), asyncio.get_running_loop().create_future())
        self._sleepers[sleeper] = None
        waiting = [asyncio.ensure_future(waker.wait()) for waker in wakers]
        either: list[asyncio.Future[Any]] = [sleeper.woken, *waiting]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._sleepers[sleeper]
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    # --- what the test does ---------------------------------------------------------------------

    @property
    def next_wake(self) -> datetime | None:
        """When the first sleeper is to be woken; None: nobody sleeps."""
        return min((sleeper.until for sleeper in self._sleepers), default=None)

    async def settle(self) -> None:
        """Returns when everybody sleeps, is done, or waits for somebody who sleeps."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(0)
            if loop._ready:  # type: ignore[attr-defined]  # the loop's own list of what can run now
                continue
            if not self.activity.count:
                return
            await self.activity.over()

    async def advance_to(self, instant: datetime) -> None:
        """Moves to `instant`, waking on the way whoever sleeps until then, one after the other."""
        await self.settle()
        for _ in range(WAKES_MAX):
            due = self._first()
            if due is None or due.until > instant:
                break
            await self._wake(due)
        else:
            raise AssertionError(f"{WAKES_MAX} wakes on the way to {instant}, now {self._now}")
        if instant > self._now:
            self._move(instant)
        await self.settle()

    async def advance(self, **how_long: float) -> None:
        """`advance(minutes=5)`: to that much later."""
        await self.advance_to(self._now + timedelta(**how_long))

    async def run(
        self, work: Coroutine[None, None, T], *, at_most: timedelta = timedelta(days=1)
    ) -> T:
        """Runs `work` to its end, moving time while all sleep; what it returns or raises."""
        task = asyncio.ensure_future(work)
        bound = self._now + at_most
        try:
            await self.settle()
            while not task.done():
                due = self._first()
                assert due is not None, "everything waits, and nobody for the clock"
                assert due.until <= bound, f"not done at {self._now}, and nothing before {bound}"
                await self._wake(due)
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    def _first(self) -> _Sleeper | None:
        return min(
            self._sleepers, key=lambda sleeper: (sleeper.until, sleeper.number), default=None
        )

    def _move(self, instant: datetime) -> None:
        self._now = instant
        self._standstill = 0

    async def _wake(self, sleeper: _Sleeper) -> None:
        if sleeper.until > self._now:
            self._move(sleeper.until)
        if not sleeper.woken.done():
            sleeper.woken.set_result(None)
        await self.settle()
        for told in self.on_tick:
            told(self._now)
