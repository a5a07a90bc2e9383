"""The told clock keeps to the protocol of clocks, and never moves while anything is left to run."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.fake_clock import FakeClock

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


async def test_sleepers_are_woken_at_their_instants_in_order() -> None:
    clock = FakeClock(NOON)
    woken: list[tuple[str, datetime]] = []

    async def sleep(name: str, *seconds: float) -> None:
        for instant in seconds:
            await clock.sleep_until(after(instant))
            woken.append((name, clock.now()))

    tasks = [asyncio.ensure_future(sleep("b", 2, 3)), asyncio.ensure_future(sleep("a", 1, 3, 9))]
    await clock.advance_to(after(5))
    assert woken == [("a", after(1)), ("b", after(2)), ("a", after(3)), ("b", after(3))]
    assert clock.now() == after(5)
    await clock.advance_to(after(9))
    await asyncio.gather(*tasks)


async def test_a_waker_ends_a_sleep_without_time_going_by() -> None:
    clock, waker = FakeClock(NOON), asyncio.Event()
    task = asyncio.ensure_future(clock.sleep_until(after(100), waker))
    await clock.settle()
    assert not task.done()
    waker.set()
    await clock.settle()
    assert task.done()
    assert clock.now() == NOON
    assert clock.next_wake is None


async def test_time_stands_while_a_thread_works() -> None:
    clock = FakeClock(NOON)
    release, seen = asyncio.Event(), []

    async def work() -> None:
        with clock.activity.doing():
            await release.wait()
            await asyncio.to_thread(lambda: None)
        seen.append(clock.now())
        await clock.sleep_until(after(1))
        seen.append(clock.now())

    task = asyncio.ensure_future(work())
    moving = asyncio.ensure_future(clock.advance_to(after(10)))
    for _ in range(10):
        await asyncio.sleep(0)
    assert clock.now() == NOON
    release.set()
    await asyncio.gather(task, moving)
    assert seen == [NOON, after(1)]
    assert clock.now() == after(10)


async def test_who_waits_for_a_sleeper_holds_nothing_up() -> None:
    clock, lock = FakeClock(NOON), asyncio.Lock()
    done: list[datetime] = []

    async def hold(seconds: float) -> None:
        async with lock:
            await clock.sleep_until(clock.now() + timedelta(seconds=seconds))
            done.append(clock.now())

    tasks = [asyncio.ensure_future(hold(1)) for _ in range(3)]
    await clock.advance_to(after(10))
    assert done == [after(1), after(2), after(3)]
    await asyncio.gather(*tasks)


async def test_what_spins_is_caught() -> None:
    clock = FakeClock(NOON)

    async def spin() -> None:
        while True:
            await clock.sleep_until(clock.now())

    task = asyncio.ensure_future(spin())
    with pytest.raises(AssertionError, match="spins"):
        await task


async def test_work_is_run_to_its_end_and_no_further_than_allowed() -> None:
    clock = FakeClock(NOON)

    async def work() -> str:
        await clock.sleep_until(after(60))
        return "done"

    assert await clock.run(work()) == "done"
    assert clock.now() == after(60)
    with pytest.raises(AssertionError, match="not done"):
        await clock.run(clock.sleep_until(after(7_200)), at_most=timedelta(hours=1))
