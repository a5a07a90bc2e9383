"""A newer program migrates the ledger while this worker runs: it adds nothing, and keeps ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from ledger.events import Applied, Removed
from ledger.schema import REVISION
from ledger.store import opening
from tests.support.builders import at, directory, temporary
from tests.support.ledgers import raw
from tests.support.stage import ANA, Stage
from worker.daemon import Daemon

END = at(0.05)
ANAS = temporary("ana", expires_at=END)
BOBS = temporary("bob", duration="2h")


@asynccontextmanager
async def running(stage: Stage) -> AsyncIterator[Daemon]:
    """A worker that was let into the ledger, as every command is."""
    process = stage.process(listen_port=None, watch_every_s=1.0, grace_s=1.0)
    stage.processes.remove(process)
    await process.ledger.check()
    daemon = Daemon(process.door, process.shared)
    task = asyncio.ensure_future(daemon.run())
    try:
        await stage.settle()
        yield daemon
    finally:
        process.shared.stop.set()
        await stage.advance(seconds=5)
        assert await task
        process.door.close()
        await process.ledger.__aexit__()


def migrate(stage: Stage, revision: str = "9999") -> None:
    with raw(stage.url) as database:
        database.execute("BEGIN IMMEDIATE")
        database.execute("ALTER TABLE grants ADD COLUMN of_the_newer TEXT")
        database.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        database.execute("COMMIT")


async def test_whose_ledger_is_migrated_beneath_it_keeps_every_end_and_does_nothing_else(
    stage: Stage,
) -> None:
    await stage.ingest(directory(windows=[ANAS]))
    async with running(stage) as daemon:
        await stage.advance(seconds=5)
        assert len(stage.inline(ANA)) == 1
        assert daemon.unready() == []
        migrate(stage)
        await stage.ingest(directory(windows=[ANAS, BOBS]))
        await stage.advance_to(END - timedelta(seconds=1))
        assert len(stage.inline(ANA)) == 1
        await stage.advance_to(END + timedelta(seconds=2))
        assert stage.inline(ANA) == {}, "an end that it knew"
        (why,) = daemon.unready()
        said = f"migrated to schema 9999 while this program ran, which knows {REVISION}"
        assert said in why
        await stage.advance(minutes=2)
        assert len(stage.calls(["put_inline"])) == 1, "it gave what the newer program had written"
        assert await stage.of(Removed) == [], "it wrote into a schema that it does not know"
        assert len(await stage.of(Applied)) == 1


async def test_the_newer_that_comes_after_it_gives_what_waits_and_records_what_was_taken(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.ingest(directory(windows=[ANAS]))
    async with running(stage):
        await stage.advance(seconds=5)
        migrate(stage)
        await stage.ingest(directory(windows=[ANAS, BOBS]))
        await stage.advance_to(END + timedelta(seconds=5))
    with monkeypatch.context() as newer:
        newer.setattr(opening, "REVISION", "9999")
        async with running(stage):
            await stage.advance(seconds=5)
        (removed,) = await stage.of(Removed)
        assert (removed.cause, removed.outcome) == ("expired", "found_absent")
        assert len(await stage.of(Applied)) == 2
    await stage.verified()
