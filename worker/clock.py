"""The one clock: the only `now`, the only sleep.

Sleeps run on the monotonic loop and end by the wall clock or by a steady one, whichever comes
first: a sleeper naps at most `NAP_MAX_S` and looks again, so that a suspended machine or a clock
that is set costs at most one nap, and whoever wakes asks anew what time it is.
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
        """Returns at `instant`, or as soon as any waker is set; at once when it is so already.

        Sooner by the wall clock where that was set back meanwhile: look again.
        """
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
        # Whoever sets the wall clock back prolongs no sleep: how long it was to last counts too.
        until_s = steady_s() + (instant - self.now()).total_seconds()
        while not any(waker.is_set() for waker in wakers):
            left_s = min((instant - self.now()).total_seconds(), until_s - steady_s())
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
