"""An older copy in the ledger's place, under a worker that runs: it adds nothing more and says so.

What is due is still taken away, what AWS confirms is still recorded, and a person heals it.
"""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import URL
from structlog.testing import capture_logs

from ledger.checkpoint import Checkpoint, Witness, origin_of
from ledger.envelope import Draft
from ledger.errors import ChainBroken
from ledger.events import Applied, GrantRef, Removed, Stuck
from ledger.ingest import IngestRequest, ingest
from ledger.model import GrantId, Team, parse_principal
from ledger.store import Ledger
from ledger.store import checkpoints as store
from ledger.store.append import read_head
from ledger.store.checkpoints import Made
from ledger.store.dialect import file_of, parse_url
from ledger.store.of_all import ledger_id
from ledger.store.standing import read_accounts
from tests.support.builders import at, directory, temporary
from tests.support.forging import SIGNER
from tests.support.ledgers import raw
from tests.support.stage import ANA, DEV, PROD, Process, Stage
from worker.checkpoints import Checkpoints
from worker.daemon import Daemon
from worker.ledger_door import LedgerDoor

SECOND = timedelta(seconds=1)
BOB = parse_principal("user/bob")
LATER = temporary("bob", starts_at=at(0) + 360 * SECOND, expires_at=at(4))
"""Written five minutes before its start: a minute after `NOW`."""
SOON = temporary("bob", expires_at=at(4))
SHORT = temporary("ana", expires_at=at(0) + 60 * SECOND)
LONG = temporary("ana", environment="dev", expires_at=at(4))


@asynccontextmanager
async def running(
    stage: Stage, seal: Callable[[Process], Checkpoints] | None = None
) -> AsyncIterator[tuple[Process, Daemon]]:
    """A daemon that serves; nobody nudges it but its own feed, and no bug ends it."""
    process = stage.process(listen_port=None, grace_s=0.2, status_every_s=5.0)
    stage.processes.remove(process)
    checkpoints = None if seal is None else seal(process)
    daemon = Daemon(process.door, process.shared, checkpoints)
    task = asyncio.ensure_future(daemon.run())
    try:
        await stage.settle()
        yield process, daemon
    finally:
        process.shared.stop.set()
        done = await asyncio.gather(task, return_exceptions=True)
        process.door.close()
        await process.ledger.__aexit__()
    assert done[0] is True, done


def backup(url: URL, to: Path) -> Path:
    """`VACUUM INTO`, as the page about the ledger says."""
    with raw(url) as database:
        database.execute("VACUUM INTO ?", (str(to),))
    return to


# --- how an older copy comes into the ledger's place ----------------------------------------------

Restore = Callable[[Path, Path], None]


def by_its_own_means(copy: Path, path: Path) -> None:
    """`.restore` of SQLite's shell."""
    with closing(sqlite3.connect(copy)) as old, closing(sqlite3.connect(path)) as new:
        old.backup(new)


def by_another_file(copy: Path, path: Path) -> None:
    """Moved there, and the journals of what was there taken away."""
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    fresh = path.with_name("fresh.db")
    fresh.write_bytes(copy.read_bytes())
    os.replace(fresh, path)


def over_the_same_file(copy: Path, path: Path) -> None:
    """What nobody should do while it is open: SQLite then mixes the two."""
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    path.write_bytes(copy.read_bytes())


WAYS = pytest.mark.parametrize(
    "restore", [by_its_own_means, by_another_file], ids=lambda way: way.__name__
)


async def put_back(stage: Stage, restore: Restore, copy: Path) -> None:
    """As an operator does: nobody has it open but the worker."""
    await stage.ledger.__aexit__()
    path = file_of(stage.url)
    assert path is not None
    restore(copy, path)
    await stage.advance(seconds=12)


def stopped(process: Process) -> float | None:
    registry = process.shared.metrics.registry
    return registry.get_sample_value("iam_ledger_additions_stopped")


@WAYS
async def test_nothing_is_added_by_an_older_copy_and_what_is_due_is_taken_away(
    stage: Stage, tmp_path: Path, restore: Restore
) -> None:
    await stage.ingest(directory(windows=[SHORT, LONG, LATER]))
    async with running(stage) as (process, daemon):
        await stage.advance(seconds=3)
        copy = backup(stage.url, tmp_path / "backup.db")
        await stage.ingest(directory(windows=[SHORT, LONG]))
        await stage.advance(seconds=2)
        assert stopped(process) == 0
        assert daemon.unready() == []
        await put_back(stage, restore, copy)
        assert stopped(process) == 1

        more = temporary("ana", duration="2h")
        await stage.ingest(directory(windows=[SHORT, LONG, LATER, more]))
        await stage.advance(seconds=70)
        assert stage.inline(BOB) == {}, "withdrawn since, and in force by the older copy"
        assert stage.inline(ANA, PROD) == {}, "what ended is taken away, what came is not given"
        assert len(stage.inline(ANA, DEV)) == 1, "what stands and is in force stays"
        assert len(await stage.of(Removed)) == 1
        await stage.ingest(directory(windows=[SHORT, LATER, more]))
        await stage.advance(seconds=2)
        assert stage.inline(ANA, DEV) == {}, "a revocation is heard as before"
        assert stopped(process) == 1, "only a person says that it is whole again"
    await stage.verified()


async def test_not_one_pass_adds_by_an_older_copy_before_anybody_has_looked(
    stage: Stage, tmp_path: Path
) -> None:
    """The feed looks every 50 ms; a keeper may wake in between, and asks by itself."""
    await stage.ingest(directory(windows=[LATER]))
    copy = backup(stage.url, tmp_path / "backup.db")
    await stage.ingest(directory())
    process = await stage.start()
    await process.door.head()
    await put_back(stage, by_its_own_means, copy)
    process.nudge()
    await stage.advance(seconds=70)
    assert stage.inline(BOB) == {}
    assert process.door.departed is not None


@WAYS
async def test_it_is_told_loudly_and_once(stage: Stage, tmp_path: Path, restore: Restore) -> None:
    await stage.ingest(directory(windows=[LONG]))
    async with running(stage) as (_, daemon):
        await stage.advance(seconds=3)
        copy = backup(stage.url, tmp_path / "backup.db")
        await stage.ingest(directory(windows=[LONG, LATER]))
        await stage.advance(seconds=2)
        with capture_logs() as logs:
            await put_back(stage, restore, copy)
            await stage.advance(seconds=60)
        (told,) = [entry for entry in logs if entry["event"] == "history_broken"]
        assert told["log_level"] == "error"
        assert "older copy" in told["why"]
        (reason,) = daemon.unready()
        assert "older copy" in reason
        assert "repeat the revocations" in reason
        async with stage.ledger.reading() as connection:
            kept = await read_accounts(connection)
        errors = [account.last_error or "" for account in kept]
        assert [error[:14] for error in errors] == ["HistoryBroken:"] * 2, "what `status` shows"


async def test_a_copy_written_over_the_open_file_gives_nothing_either(
    stage: Stage, tmp_path: Path
) -> None:
    await stage.ingest(directory(windows=[LONG, LATER]))
    async with running(stage) as (_, daemon):
        await stage.advance(seconds=3)
        copy = backup(stage.url, tmp_path / "backup.db")
        await stage.ingest(directory(windows=[LONG]))
        await stage.advance(seconds=2)
        await put_back(stage, over_the_same_file, copy)
        await stage.advance(seconds=120)
        assert daemon.unready() != [], "which of the reasons is SQLite's to say"
        assert stage.inline(BOB) == {}


async def test_an_older_copy_that_grew_past_what_was_seen_is_noticed_too(
    stage: Stage, tmp_path: Path
) -> None:
    await stage.ingest(directory(windows=[LONG]))
    copy = backup(stage.url, tmp_path / "backup.db")
    async with Ledger(parse_url(f"sqlite+aiosqlite:///{copy}")) as elsewhere:
        windows = [LONG, *(temporary("ana", expires_at=at(hours)) for hours in range(1, 9))]
        asked = IngestRequest(files=directory(windows=windows), now=stage.clock.now())
        grown = await ingest(elsewhere, asked)
    async with running(stage) as (process, daemon):
        await stage.advance(seconds=3)
        async with stage.ledger.reading() as connection:
            assert (await read_head(connection)).position < (grown.position or 0)
        await put_back(stage, by_its_own_means, copy)
        assert stopped(process) == 1
        assert "has grown since" in daemon.unready()[0]
        assert stage.inline(ANA, PROD) == {}


async def test_what_aws_confirmed_of_a_grant_that_the_older_copy_lacks_ends_no_worker(
    stage: Stage, tmp_path: Path
) -> None:
    """It is told in the log, all else is recorded; ingested again, it is found standing."""
    await stage.ingest(directory(windows=[LONG]))
    async with running(stage) as (process, _):
        await stage.advance(seconds=3)
        copy = backup(stage.url, tmp_path / "backup.db")
        stage.aws.latency = 5 * SECOND
        await stage.ingest(directory(windows=[LONG, SOON]))
        while not stage.inline(BOB):
            await stage.advance(seconds=1)
        with capture_logs() as logs:
            await put_back(stage, by_its_own_means, copy)
            await stage.advance(seconds=20)
        lost = [entry for entry in logs if entry["event"] == "evidence_lost"]
        assert any("Applied" in entry["lost"] for entry in lost)
        assert stopped(process) == 1
        assert len(stage.inline(BOB)) == 1
        stage.aws.latency = 0 * SECOND
        await stage.ingest(directory())
        await stage.advance(seconds=10)
        assert stage.inline(ANA, DEV) == {}
        assert len(await stage.of(Removed)) == 1, "and recorded"
    await stage.ingest(directory(windows=[SOON]))
    async with running(stage) as (process, daemon):
        assert stopped(process) == 0
        assert daemon.unready() == []
        (applied,) = [event for event in await stage.of(Applied) if event.grant.account == PROD]
        assert applied.grant is not None
    await stage.verified()


async def test_ingested_again_and_started_anew_it_is_whole(stage: Stage, tmp_path: Path) -> None:
    """The runbook: ingest, repeat the revocations made since, restart the worker."""
    await stage.ingest(directory(windows=[LONG, SOON]))
    async with running(stage) as (process, _):
        await stage.advance(seconds=3)
        copy = backup(stage.url, tmp_path / "backup.db")
        await stage.ingest(directory(windows=[LONG, LATER]))
        await stage.revoke(principal=ANA)
        await stage.advance(seconds=2)
        assert stage.inline(ANA, DEV) == {}
        await put_back(stage, by_another_file, copy)
        await stage.ingest(directory(windows=[LONG, LATER]))
        await stage.revoke(principal=ANA)
        await stage.advance(minutes=5)
        assert stage.inline(BOB) == {}
        assert stopped(process) == 1
    async with running(stage) as (process, _):
        await stage.advance(seconds=5)
        assert stopped(process) == 0
        assert len(stage.inline(BOB)) == 1, "the one that was declared since"
        assert stage.inline(ANA, DEV) == {}
    await stage.verified()


# --- with a checkpoint, across a restart ---------------------------------------------------------


async def test_a_worker_with_a_checkpoint_knows_an_older_copy_when_it_starts(
    stage: Stage, tmp_path: Path
) -> None:
    """What was put back while no worker ran; without a checkpoint nobody could tell."""
    await stage.ingest(directory(windows=[SOON]))
    copy = backup(stage.url, tmp_path / "backup.db")
    await stage.ingest(directory())
    async with stage.ledger.reading() as connection:
        head = await read_head(connection)
        signed = Checkpoint(origin_of(await ledger_id(connection)), head.position, head.hash)
    await put_back(stage, by_another_file, copy)

    def seal(process: Process) -> Checkpoints:
        async def make(remembered: Witness | None, now: datetime) -> Made | None:
            if remembered is kept and stage.clock.now() < begun + SECOND:
                await stage.clock.sleep_until(now + 2 * SECOND)  # all that adds is faster
            return await store.make(
                process.ledger, SIGNER.sign, SIGNER.key.short, now=now, remembered=remembered
            )

        begun, kept = stage.clock.now(), Witness("checkpoint.txt", signed, SIGNER.key.short)
        return Checkpoints(make, stage.clock, process.shared.metrics, None, kept)

    async with running(stage, seal) as (process, daemon):
        await stage.advance(minutes=2)
        assert stopped(process) == 1
        assert "checkpoint.txt" in daemon.unready()[0]
        assert stage.inline(BOB) == {}
    async with running(stage) as (process, _):
        await stage.advance(seconds=5)
        assert len(stage.inline(BOB)) == 1, "nothing else kept it away"


# --- the door -------------------------------------------------------------------------------------

GRANT = GrantRef(GrantId("f" * 16), 1, Team("payments"), PROD, ANA, "fix")
UNKNOWN = Draft(Removed(GRANT, "expired", "answered", 0, (), at(1)), 0)


async def test_what_no_ledger_of_ours_could_say_is_a_bug_as_long_as_nothing_went_back(
    stage: Stage,
) -> None:
    await stage.ingest(directory(windows=[LONG]))
    door = LedgerDoor(stage.ledger)
    await door.head()
    with pytest.raises(ChainBroken, match="never granted"):
        await door.append([UNKNOWN], now=stage.clock.now())
    assert door.departed is None


async def test_whoever_records_first_notices_as_well(stage: Stage, tmp_path: Path) -> None:
    await stage.ingest(directory())
    copy = backup(stage.url, tmp_path / "backup.db")
    await stage.ingest(directory(windows=[LONG]))
    door = LedgerDoor(stage.ledger)
    await door.head()
    await put_back(stage, by_its_own_means, copy)
    told = Draft(Stuck(PROD, "Busy", "x"), 0)
    done = await door.append([UNKNOWN, told], now=stage.clock.now())
    assert [item.event for item in done.recorded] == [told.event]
    assert door.departed is not None
    assert "older copy" in door.departed
