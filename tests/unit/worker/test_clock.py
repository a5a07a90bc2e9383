"""The machine's clock may be set while somebody sleeps by it."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from worker.clock import SystemClock

HOUR = timedelta(hours=1)
GENEROUS_S = 20.0


class SetClock(SystemClock):
    """Set by `by` after it was looked at so often."""

    def __init__(self, by: timedelta, looks: int) -> None:
        self.by = by
        self.looks = looks

    def now(self) -> datetime:
        self.looks -= 1
        real = datetime.now(UTC)
        return real if self.looks >= 0 else real + self.by


@pytest.mark.parametrize("by", [-HOUR, HOUR, timedelta(0)])
async def test_no_sleep_lasts_longer_because_the_clock_was_set(by: timedelta) -> None:
    clock = SetClock(by, looks=3)
    instant = datetime.now(UTC) + timedelta(milliseconds=60)
    async with asyncio.timeout(GENEROUS_S):
        await clock.sleep_until(instant, nap_max_s=0.01)
    assert clock.looks < 0, "it was set while somebody slept"


async def test_a_waker_ends_a_sleep_and_one_that_is_set_lets_nobody_sleep() -> None:
    waker = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.call_later(0.01, waker.set)
    async with asyncio.timeout(GENEROUS_S):
        await SystemClock().sleep_until(datetime.now(UTC) + HOUR, waker)
        await SystemClock().sleep_until(datetime.now(UTC) + HOUR, waker)
