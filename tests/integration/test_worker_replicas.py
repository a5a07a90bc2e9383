"""Several workers on one ledger: they do the same as one, and none that was followed may record."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

import pytest

from ledger.errors import LedgerBusy
from ledger.events import Applied, Removed
from ledger.store.leases import Replica, shard_of
from ledger.store.standing import read_accounts
from tests.support.builders import at, directory, permanent, policy, temporary
from tests.support.fake_aws.faults import Crash
from tests.support.stage import ANA, DEV, PROD, Process, Stage
from worker.daemon import Daemon
from worker.leases import Leases

END = at(0.05)
BOTH = [
    temporary("ana", expires_at=END),
    temporary("ana", environment="dev", expires_at=END),
]
FAILOVER_MAX = timedelta(seconds=10)
LOOSE = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"},
            {"Effect": "Deny", "Action": "s3:nothing", "Resource": "*"},
        ],
    }
)
"""A Deny: it cannot be copied with a date."""


@dataclass
class Worker:
    """One daemon that shares the ledger."""

    stage: Stage
    process: Process
    task: "asyncio.Task[bool]"

    def gauge(self, name: str) -> float | None:
        return self.process.shared.metrics.registry.get_sample_value(f"iam_ledger_{name}")

    async def kill(self) -> None:
        """As `kill -9`: nothing of it is heard any more."""
        with suppress(Crash):
            self.process.life.end("killed")
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@asynccontextmanager
async def worker(
    stage: Stage, name: str, *, alone: bool = False, once: bool = False
) -> AsyncIterator[Worker]:
    process = stage.process(
        listen_port=None, watch_every_s=1.0, grace_s=0.2, replica=name, once=once
    )
    stage.processes.remove(process)
    shared = process.shared
    leases = Leases(
        process.door,
        Replica(f"{name} 1", name, alone),
        stage.clock,
        shared.metrics,
        steady=lambda: stage.clock.now().timestamp(),
    )
    shared.sure = leases.sure
    task = asyncio.ensure_future(Daemon(process.door, shared, leases=leases).run())
    try:
        await stage.clock.settle()
        yield Worker(stage, process, task)
    finally:
        shared.stop.set()
        for _ in range(10):
            if not task.done():
                await stage.advance(seconds=1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        process.door.close()
        await process.ledger.__aexit__()


@asynccontextmanager
async def two(stage: Stage) -> AsyncIterator[tuple[Worker, Worker]]:
    """Two that have shared the accounts out: the first keeps PROD, the second DEV."""
    async with worker(stage, "first") as first, worker(stage, "second") as second:
        await stage.advance(seconds=8)
        yield first, second


async def keeping(stage: Stage) -> dict[str, str | None]:
    async with stage.ledger.reading() as connection:
        return {status.account: status.replica for status in await read_accounts(connection)}


def test_the_two_accounts_of_these_tests_fall_to_different_halves() -> None:
    assert shard_of(PROD) < 32 <= shard_of(DEV)


async def test_one_that_joins_takes_its_share_and_all_is_given_and_taken_once(
    stage: Stage,
) -> None:
    await stage.ingest(directory(windows=BOTH))
    async with two(stage) as (first, second):
        await stage.advance(seconds=8)
        assert await keeping(stage) == {PROD: "first", DEV: "second"}
        assert (first.gauge("accounts"), second.gauge("accounts")) == (1, 1)
        assert (first.gauge("shards"), second.gauge("replicas")) == (32, 2)
        await stage.ingest(directory(windows=[*BOTH, temporary("bob", expires_at=END)]))
        await stage.advance_to(END + timedelta(seconds=5))
    applied, removed = await stage.of(Applied), await stage.of(Removed)
    assert len(applied) == len(removed) == 3
    assert all(event.lateness_us < 1_000_000 for event in removed)
    assert stage.inline(ANA) == stage.inline(ANA, DEV) == {}
    await stage.verified()


async def test_when_one_is_killed_the_other_serves_its_accounts_within_ten_seconds(
    stage: Stage,
) -> None:
    await stage.ingest(directory(windows=BOTH))
    async with two(stage) as (first, second):
        await stage.advance_to(END - timedelta(seconds=1))
        await first.kill()
        await stage.advance_to(END - timedelta(seconds=1) + FAILOVER_MAX)
        assert second.gauge("accounts") == 2
        assert stage.inline(ANA) == {}
    removed = await stage.of(Removed)
    assert sorted(event.grant.account for event in removed) == [PROD, DEV]
    assert all(event.lateness_us < FAILOVER_MAX / timedelta(microseconds=1) for event in removed)
    await stage.verified()


async def test_one_that_ends_in_order_is_followed_at_the_next_word(stage: Stage) -> None:
    await stage.ingest(directory(windows=BOTH))
    async with two(stage) as (first, second):
        first.process.shared.stop.set()
        await stage.advance(seconds=3)
        assert first.task.done()
        assert first.task.result()
        assert second.gauge("shards") == 64


async def test_work_under_way_ends_before_its_account_is_handed_over(stage: Stage) -> None:
    """A call that takes longer than a lease stands is not cut short, nor made twice."""
    await stage.ingest(directory(windows=BOTH))
    stage.aws.latency = timedelta(seconds=8)
    async with worker(stage, "first"), worker(stage, "second") as second:
        await stage.advance(seconds=30)
        assert second.gauge("shards") == 31, "all but the one that is being worked in"
        await stage.advance(seconds=90)
        assert second.gauge("accounts") == 1
    assert len(stage.aws.made("put_inline")) == 2
    assert len(await stage.of(Applied)) == 2


async def test_a_stalled_one_that_wakes_up_records_nothing_and_stops(stage: Stage) -> None:
    """It made a call, was silent for longer than its lease, and its answer comes now."""
    await stage.ingest(directory(windows=BOTH))
    async with two(stage) as (first, second):
        stage.aws.latency = timedelta(seconds=20)
        await stage.ingest(directory(windows=[*BOTH, temporary("bob", expires_at=END)]))
        first.process.ledger.mute = True
        while not stage.aws.made("put_inline")[2:]:
            await stage.advance(seconds=1)
        before = len(await stage.of(Applied))
        await stage.advance(seconds=15)
        assert second.gauge("accounts") == 2
        await stage.advance(minutes=3)
        bobs = [event for event in await stage.of(Applied) if event.grant.principal.name == "bob"]
        assert len(bobs) == 1
        assert before == 2
        assert first.gauge("accounts") == 1, "it has not heard of it yet"
        first.process.ledger.mute = False
        await stage.advance(seconds=30)
        assert first.gauge("shards") == 32
    assert {item.provenance.replica for item in await stage.recorded() if item.event in bobs} == {
        "second"
    }
    await stage.verified()


async def test_without_a_word_of_its_own_a_worker_adds_nothing_but_keeps_every_end(
    stage: Stage,
) -> None:
    await stage.ingest(directory(windows=BOTH))
    async with worker(stage, "only") as only:
        await stage.advance(seconds=8)
        only.process.ledger.mute = True
        await stage.advance(seconds=10)
        await stage.ingest(directory(windows=BOTH, standing=[permanent("ana")]))
        await stage.advance_to(END + timedelta(seconds=5))
        assert stage.inline(ANA) == {}
        assert stage.attached(ANA) == set()
        only.process.ledger.mute = False
        await stage.advance(minutes=2)
        assert stage.attached(ANA)


async def test_a_pass_that_lasts_longer_than_the_lease_adds_no_more_in_its_middle(
    stage: Stage,
) -> None:
    some = [temporary("ana", expires_at=at(1 + hours)) for hours in range(5)]
    async with worker(stage, "only") as only:
        await stage.ingest(directory(accounts={"prod": PROD}))
        await stage.advance(seconds=8)
        stage.aws.latency = timedelta(seconds=1)
        await stage.ingest(directory(accounts={"prod": PROD}, windows=some))
        while not stage.aws.made("put_inline"):
            await stage.advance(seconds=1)
        only.process.ledger.mute = True
        await stage.advance(seconds=30)
        given = len(stage.aws.made("put_inline"))
        assert 1 < given < len(some)
        only.process.ledger.mute = False
        await stage.advance(seconds=90)
        assert len(stage.aws.made("put_inline")) == len(some)


async def test_with_the_ledger_away_each_keeps_the_ends_that_it_knows(stage: Stage) -> None:
    """What only a worker ends goes; what AWS has ended may be another worker's to clean by now."""
    loose = stage.aws.publish("Loose", LOOSE)
    policies = {"look": policy(), "fix": {"managed_policies": [loose], "enforcement": "daemon"}}
    await stage.ingest(directory(policies=policies, windows=BOTH))
    async with two(stage) as (first, second):
        assert stage.attached(ANA) == stage.attached(ANA, DEV) == {loose}
        first.process.ledger.out = second.process.ledger.out = True
        await stage.advance_to(END + timedelta(seconds=5))
        assert stage.attached(ANA) == stage.attached(ANA, DEV) == set()
        assert await stage.of(Removed) == []
        first.process.ledger.out = second.process.ledger.out = False
        await stage.advance(minutes=2)
    assert len(await stage.of(Removed)) == 2
    await stage.verified()


async def test_one_that_is_cut_off_takes_away_nothing_that_its_follower_has_prolonged(
    stage: Stage,
) -> None:
    later = [temporary("ana", expires_at=at(1)), BOTH[1]]
    await stage.ingest(directory(windows=BOTH))
    async with two(stage) as (first, second):
        first.process.ledger.out = True
        await stage.advance(seconds=15)
        assert second.gauge("accounts") == 2
        await stage.ingest(directory(windows=later))
        await stage.advance_to(END + timedelta(seconds=5))
        assert stage.allows(ANA)
        assert len(stage.inline(ANA)) == 1
        first.process.ledger.out = False
        await stage.advance(minutes=1)
        assert stage.allows(ANA)
    assert [end for _, end in stage.aws.intervals(PROD, ANA, "s3:GetObject")] == [None]
    await stage.verified()


@pytest.mark.parametrize("once", [True, False])
async def test_one_that_must_be_alone_refuses_to_share(stage: Stage, once: bool) -> None:
    await stage.ingest(directory(windows=BOTH))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(worker(stage, "first"))
        second = await stack.enter_async_context(worker(stage, "second", alone=True, once=once))
        await stage.advance(seconds=1)
        with pytest.raises(LedgerBusy, match="first"):
            second.task.result()


async def test_a_single_pass_that_takes_long_is_not_followed_meanwhile(stage: Stage) -> None:
    await stage.ingest(directory(windows=BOTH))
    stage.aws.latency = timedelta(seconds=5)
    async with worker(stage, "once", alone=True, once=True) as once:
        await stage.advance(seconds=15)
        assert not once.task.done()
        async with worker(stage, "second") as second:
            await stage.advance(seconds=1)
            with pytest.raises(LedgerBusy, match="keeps this ledger alone"):
                second.task.result()
        await stage.advance(minutes=2)
        assert once.task.result()
    assert len(await stage.of(Applied)) == 2
