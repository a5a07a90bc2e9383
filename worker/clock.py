"""The one clock: the only `now`, the only sleep.

Sleeps run on the monotonic loop and decide on the wall clock: a sleeper naps at most `NAP_MAX_S`
and looks again, so that a suspended machine or a stepped clock costs at most one nap.
"""

import asyncio
import contextlib
import time
from datetime import UTC, datetime
from typing import Protocol

NAP_MAX_S = 30.0


class Clock(Protocol):
    """Time as the worker knows it. The tests' clock moves only when told."""

    def now(self) -> datetime:
        """Aware, UTC."""
        ...

    async def sleep_until(
        self, instant: datetime, *wakers: asyncio.Event, nap_max_s: float = NAP_MAX_S
    ) -> None:
        """Returns at `instant`, or as soon as any waker is set; at once when it is so already."""
        ...


def steady_s() -> float:
    """Seconds by a clock that nobody can set; suspended time counts where the system tells it."""
    which = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(which)


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep_until(
        self, instant: datetime, *wakers: asyncio.Event, nap_max_s: float = NAP_MAX_S
    ) -> None:
        while not any(waker.is_set() for waker in wakers):
            left_s = (instant - self.now()).total_seconds()
            if left_s <= 0:
                return
            await _first(wakers, min(left_s, nap_max_s))


async def _first(wakers: tuple[asyncio.Event, ...], timeout_s: float) -> None:
    """Waits until one of `wakers` is set, `timeout_s` at most."""
    if not wakers:
        await asyncio.sleep(timeout_s)
        return
    waiting = [asyncio.ensure_future(waker.wait()) for waker in wakers]
    try:
        await asyncio.wait(waiting, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*waiting, return_exceptions=True)
