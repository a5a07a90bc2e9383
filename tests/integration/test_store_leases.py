"""Workers share the accounts out: every shard one holder, and none but the last may record."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from sqlalchemy import URL

from ledger.envelope import Draft
from ledger.errors import Fenced, LedgerBusy
from ledger.events import Stuck
from ledger.model import AccountId
from ledger.store import Ledger
from ledger.store.append import append, count_events
from ledger.store.leases import (
    SHARDS,
    Beat,
    Fence,
    LivingReplica,
    Replica,
    beat,
    check_fences,
    leave,
    read_replicas,
    shard_of,
)
from tests.support.histories import NOON, PROD
from tests.support.ledgers import another_writer

pytestmark = pytest.mark.every_engine

AT_ONCE = timedelta(0)
"""A lease, or a life, that is over as soon as it was given."""


@dataclass
class Worker:
    """One replica, as a process would play it: it lets go what it was told was too much."""

    ledger: Ledger
    me: Replica
    last: Beat = field(default=Beat((), (), 0))

    async def beats(self, lease: timedelta = timedelta(minutes=5)) -> Beat:
        async with self.ledger.leasing() as connection:
            self.last = await beat(
                connection, self.me, now=NOON, let_go=self.last.surplus, lease=lease
            )
        return self.last

    async def leaves(self) -> None:
        async with self.ledger.leasing() as connection:
            await leave(connection, self.me)

    @property
    def shards(self) -> set[int]:
        return {fence.shard for fence in self.last.held}


def workers(ledger: Ledger, *names: str) -> list[Worker]:
    return [Worker(ledger, Replica(f"{name} 1", name)) for name in names]


async def rounds(all_of_them: Sequence[Worker], number: int) -> None:
    for _ in range(number):
        for worker in all_of_them:
            await worker.beats()


async def test_one_alone_keeps_every_shard(ledger: Ledger) -> None:
    (one,) = workers(ledger, "a")
    first = await one.beats()
    assert [fence.shard for fence in first.held] == list(range(SHARDS))
    assert {fence.token for fence in first.held} == {1}
    assert await one.beats() == first  # renewed, not taken anew


@pytest.mark.parametrize("number", [2, 3, 5])
async def test_those_who_live_have_equal_parts_and_no_shard_has_two(
    ledger: Ledger, number: int
) -> None:
    all_of_them = workers(ledger, *"abcde"[:number])
    for joined in range(1, number + 1):
        await rounds(all_of_them[:joined], 2)
        held = [shard for worker in all_of_them[:joined] for shard in worker.shards]
        assert len(held) == len(set(held))
    await rounds(all_of_them, 2)
    assert sorted(shard for worker in all_of_them for shard in worker.shards) == list(range(SHARDS))
    sizes = [len(worker.shards) for worker in all_of_them]
    assert max(sizes) - min(sizes) <= 1


async def test_what_is_too_much_is_kept_until_it_is_let_go(ledger: Ledger) -> None:
    one, two = workers(ledger, "a", "b")
    await one.beats()
    assert (await two.beats()).held == ()
    told = await one.beats()
    assert len(told.held) == SHARDS
    assert len(told.surplus) == SHARDS // 2
    assert len((await one.beats()).held) == SHARDS // 2
    assert {fence.token for fence in (await two.beats()).held} == {2}


async def test_the_dead_ones_shards_go_to_those_who_live(ledger: Ledger) -> None:
    one, two = workers(ledger, "a", "b")
    await rounds([one, two], 3)
    await one.beats(AT_ONCE)  # its last word
    await two.beats()
    assert len(two.shards) == SHARDS
    assert two.last.replicas == 1


async def test_a_lease_that_ran_out_and_that_nobody_took_is_still_its_holders(
    ledger: Ledger,
) -> None:
    (one,) = workers(ledger, "a")
    before = await one.beats(AT_ONCE)
    assert (await one.beats()).held == before.held


async def test_who_leaves_is_followed_at_once_and_may_come_back(ledger: Ledger) -> None:
    one, two = workers(ledger, "a", "b")
    await one.beats()
    await one.leaves()
    assert len((await two.beats()).held) == SHARDS
    assert (await one.beats()).held == ()


# --- fences ---------------------------------------------------------------------------------------


def told(number: int) -> Draft:
    return Draft(Stuck(PROD, "Busy", str(number)), number)


def fence_of(worker: Worker, account: AccountId = PROD) -> Fence:
    return next(fence for fence in worker.last.held if fence.shard == shard_of(account))


async def test_who_was_followed_can_record_nothing_and_who_follows_can(ledger: Ledger) -> None:
    one, two = workers(ledger, "a", "b")
    await one.beats(AT_ONCE)
    stale = fence_of(one)
    await ledger.append([told(1)], now=NOON, fence=stale)
    await two.beats()
    with pytest.raises(Fenced, match="nothing was recorded"):
        await ledger.append([told(2)], now=NOON, fence=stale)
    await ledger.append([told(3)], now=NOON, fence=fence_of(two))
    async with ledger.reading() as connection:
        assert await count_events(connection) == 2


async def test_a_fence_holds_though_its_shard_comes_back_to_the_same_worker(
    ledger: Ledger,
) -> None:
    one, two = workers(ledger, "a", "b")
    await one.beats(AT_ONCE)
    stale = fence_of(one)
    await two.beats(AT_ONCE)
    await one.beats()
    assert fence_of(one).token == stale.token + 2
    with pytest.raises(Fenced):
        await ledger.append([told(4)], now=NOON, fence=stale)


async def test_one_void_fence_in_a_shared_commit_fails_alone(
    ledger: Ledger, ledger_url: URL
) -> None:
    one, two = workers(ledger, "a", "b")
    await one.beats(AT_ONCE)
    stale = fence_of(one)
    await two.beats()
    with another_writer(ledger_url):  # so that all of them wait, and share
        tasks = [
            asyncio.ensure_future(ledger.append([told(n)], now=NOON, fence=fence))
            for n, fence in enumerate([None, stale, fence_of(two), None])
        ]
        await asyncio.sleep(0)
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each).__name__ for each in done] == ["Appended", "Fenced", "Appended", "Appended"]


async def test_nobody_takes_a_shard_while_its_holder_records(
    ledger: Ledger, ledger_url: URL
) -> None:
    """Whoever takes it reads a ledger that has all its last holder recorded."""
    one, two = workers(ledger, "a", "b")
    await one.beats(AT_ONCE)

    async def take_and_count() -> int:
        async with Ledger(ledger_url) as other:
            two.ledger = other
            await two.beats()
            async with other.reading() as connection:
                return await count_events(connection)

    async with ledger.writing() as connection:
        await check_fences(connection, {fence_of(one)})
        taking = asyncio.ensure_future(take_and_count())
        await asyncio.wait({taking}, timeout=0.3)  # as long as it takes where nothing hinders it
        await append(connection, [told(1)], now=NOON)
    assert await taking == 1


# --- alone ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "second"), [(True, False), (False, True), (True, True)])
async def test_who_must_be_alone_and_anybody_else_keep_each_other_out(
    ledger: Ledger, first: bool, second: bool
) -> None:
    one = Worker(ledger, Replica("a 1", "a", alone=first))
    two = Worker(ledger, Replica("b 1", "b", alone=second))
    await one.beats()
    with pytest.raises(LedgerBusy, match=r"another worker \(a\).*Stop that one first"):
        await two.beats()
    assert len((await one.beats()).held) == SHARDS
    await one.leaves()
    assert len((await two.beats()).held) == SHARDS


async def test_who_lives_can_be_listed(ledger: Ledger) -> None:
    one, two = workers(ledger, "a", "b")
    await rounds([one, two], 3)
    async with ledger.reading() as connection:
        found = await read_replicas(connection, now=NOON)
    assert [(each.name, each.shards) for each in found] == [("a", 32), ("b", 32)]
    await one.beats(AT_ONCE)
    async with ledger.reading() as connection:
        assert [each.name for each in await read_replicas(connection, now=NOON)] == ["b"]
    assert all(isinstance(each, LivingReplica) for each in found)


def test_an_accounts_shard_never_changes() -> None:
    assert [shard_of(AccountId(each)) for each in ("111111111111", "000000000000")] == [31, 55]
    assert {shard_of(AccountId(f"{n:012}")) for n in range(2_000)} == set(range(SHARDS))
