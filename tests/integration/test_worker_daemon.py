"""The whole worker in one loop: it hears of news by itself, ends in order, and a bug ends it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from ledger.events import Applied, Removed, Stuck
from ledger.store.standing import read_accounts
from tests.support.builders import at, directory, temporary
from tests.support.fake_aws.account import FakeAccount
from tests.support.ledgers import overwrite, tampering
from tests.support.stage import ANA, DEV, PROD, Process, Stage
from worker.daemon import Daemon

WINDOWS = [temporary("ana", expires_at=at(4))]
SECOND = timedelta(seconds=1)


@asynccontextmanager
async def running(
    stage: Stage, **settings: Any
) -> AsyncIterator[tuple[Process, "asyncio.Task[bool]"]]:
    """A daemon that serves; nobody nudges it but its own feed."""
    process = stage.process(**{"listen_port": None, "grace_s": 0.2} | settings)
    stage.processes.remove(process)
    task = asyncio.ensure_future(Daemon(process.door, process.shared).run())
    try:
        await stage.clock.settle()
        yield process, task
    finally:
        process.shared.stop.set()
        await asyncio.gather(task, return_exceptions=True)
        process.door.close()
        await process.ledger.__aexit__()


async def test_a_grant_that_is_ingested_is_given_within_a_second(stage: Stage) -> None:
    async with running(stage):
        await stage.advance(seconds=3)
        await stage.ingest(directory(windows=WINDOWS))
        await stage.settle()
        assert len(stage.inline(ANA)) == 1
        await stage.ingest(directory())
        await stage.settle()
        assert stage.inline(ANA) == {}
    (removed,) = await stage.of(Removed)
    assert removed.lateness_us < 1_000_000


async def test_an_account_that_is_mapped_later_is_kept_and_one_that_owes_nothing_is_given_up(
    stage: Stage,
) -> None:
    await stage.ingest(directory(accounts={"prod": PROD}, windows=WINDOWS))
    dev = temporary("ana", environment="dev", expires_at=at(4))
    async with running(stage) as (process, _):

        def kept() -> float | None:
            registry = process.shared.metrics.registry
            return registry.get_sample_value("iam_ledger_accounts")

        await stage.settle()
        assert kept() == 1
        await stage.ingest(directory(windows=[*WINDOWS, dev]))
        await stage.advance(seconds=2)
        assert len(stage.inline(ANA, DEV)) == 1
        assert kept() == 2
        await stage.ingest(directory(accounts={"prod": PROD}, windows=WINDOWS))
        await stage.advance(seconds=2)
        assert stage.inline(ANA, DEV) == {}
        assert stage.policies(DEV) == set()
        await stage.ingest(directory(accounts={"prod": PROD}))
        await stage.advance(seconds=2)
        assert kept() == 1


async def test_a_stopping_worker_ends_the_call_under_way_and_records_it(stage: Stage) -> None:
    windows = [*WINDOWS, temporary("bob", expires_at=at(4))]
    await stage.ingest(directory(accounts={"prod": PROD}, windows=windows))
    stage.aws.latency = 2 * SECOND
    async with running(stage, grace_s=60.0) as (process, task):
        while not stage.inline(ANA):
            await stage.advance(milliseconds=500)
        assert await stage.of(Applied) == [], "done, and its answer on the way"
        process.shared.stop.set()
        await stage.advance(seconds=5)
        assert task.done()
        assert task.result()
    assert len(await stage.of(Applied)) == 1
    assert len(stage.aws.made("put_inline")) == 1, "nothing is begun after the word to stop"
    await stage.verified()


async def test_a_stopping_worker_does_not_wait_for_ever(stage: Stage) -> None:
    stage.aws.latency = timedelta(hours=1)
    await stage.ingest(directory(windows=WINDOWS))
    async with running(stage, grace_s=0.05) as (process, task):
        process.shared.stop.set()
        async with asyncio.timeout(30):
            assert await task


async def test_a_bug_in_one_keeper_ends_the_whole_worker(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bugs crash: a worker that goes on half is worse than one that a supervisor restarts."""

    async def broken(self: FakeAccount) -> None:
        raise ZeroDivisionError("a bug")

    await stage.ingest(directory(windows=WINDOWS))
    monkeypatch.setattr(FakeAccount, "observe", broken)
    async with running(stage) as (_, task):
        await stage.settle()
        assert task.done()
        with pytest.raises(ExceptionGroup) as died:
            task.result()
        assert died.group_contains(ZeroDivisionError)


async def test_how_each_account_is_kept_stands_where_status_reads_it(stage: Stage) -> None:
    stage.aws.lock(DEV)
    await stage.ingest(directory(windows=WINDOWS))
    async with running(stage, replica="worker-7", status_every_s=5.0):
        await stage.advance(seconds=6)
        async with stage.ledger.reading() as connection:
            prod, dev = await read_accounts(connection)
    assert (prod.account, prod.replica, prod.last_error) == (PROD, "worker-7", None)
    assert prod.last_pass_at is not None
    assert dev.last_error is not None
    assert "AccessDenied" in dev.last_error
    assert dev.next_try_at is not None
    assert dev.next_try_at > stage.clock.now()


async def test_one_step_that_failed_is_told_as_one(stage: Stage) -> None:
    stage.aws.fail("refused", "put_inline", account=PROD)
    await stage.ingest(directory(windows=WINDOWS))
    process = stage.process()
    await stage.clock.run(process.once())
    assert process.keepers[PROD].status.last_error == "1 step did not get done"


async def test_a_record_that_cannot_be_read_stops_additions_there_and_nothing_else(
    stage: Stage,
) -> None:
    """Failure 7: a newer program has written, or somebody has damaged a row."""
    soon = temporary("ana", expires_at=at(0) + 30 * SECOND)
    dev = temporary("ana", environment="dev", expires_at=at(4))
    await stage.ingest(directory(windows=[soon, dev]))
    async with running(stage) as (_, task):
        await stage.advance(seconds=2)
        assert (len(stage.inline(ANA, PROD)), len(stage.inline(ANA, DEV))) == (1, 1)
        with tampering(stage.url) as database:
            where = f"kind = 'policy_written' AND account = '{PROD}'"
            overwrite(database, "events", "payload", "{", where=where)
        more = [
            temporary("bob", expires_at=at(4)),
            temporary("ana", environment="dev", duration="2h"),
        ]
        await stage.ingest(directory(windows=[soon, dev, *more]))
        await stage.advance(seconds=50)
        assert stage.inline(ANA, PROD) == {}, "every end that is known is kept"
        assert len(stage.inline(ANA, DEV)) == 2, "the other account goes on"
        assert len(await stage.of(Applied)) == 3
        assert [event.code for event in await stage.of(Stuck)] == ["Unreadable"]
        assert not task.done()
