"""A ledger on a server, dumped and restored by PostgreSQL's own tools: whole, guarded, noticed."""

import asyncio
import subprocess
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL

from ledger.errors import ChainBroken
from ledger.store import Ledger
from tests.support.commands import Shell, StillClock
from tests.support.forging import grow, look, sign, story
from tests.support.histories import after, append_all
from tests.support.ledgers import NewLedger, raw
from tests.support.postgres import Postgres, binaries, conninfo
from worker.ledger_door import LedgerDoor


def run(tool: str, *arguments: object) -> None:
    done = subprocess.run(
        [binaries() / tool, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def dump(url: URL, file: Path) -> Path:
    run("pg_dump", "--format=custom", "--file", file, conninfo(url))
    return file


def restore(file: Path, url: URL, *how: str) -> None:
    run("pg_restore", "--exit-on-error", "--single-transaction", *how, "-d", conninfo(url), file)


@pytest.fixture
def engine() -> str:
    return "postgresql"


@pytest.fixture
def url(new_ledger: NewLedger) -> URL:
    made = new_ledger()
    asyncio.run(append_all(made, story().drafts))
    return made


def test_what_is_restored_is_the_same_ledger_and_as_well_guarded(
    url: URL, postgres: Postgres, tmp_path: Path
) -> None:
    note = sign(url)
    file = dump(url, tmp_path / "ledger.dump")
    restored = postgres.create()
    try:
        restore(file, restored)
        assert look(restored, note).ok, "hashes, tables, guards, kept checkpoints"
        asked = ("who-has-access", "--between", "2026-03-01", "2026-03-04", "-o", "json")
        was, now = (Shell(at, StillClock(after(9))).run(*asked) for at in (url, restored))
        assert was.json["access"]
        assert now == was
        for change in ("UPDATE events SET kind = 'x'", "DELETE FROM events", "TRUNCATE events"):
            with raw(restored) as database, pytest.raises(psycopg.Error, match="append-only"):
                database.execute(change)
        grow(restored, "ffff2222aaaa3333")
        assert look(restored, note).ok, "and it goes on"
    finally:
        postgres.drop(restored)


def test_an_older_dump_restored_under_a_worker_is_noticed(url: URL, tmp_path: Path) -> None:
    file = dump(url, tmp_path / "ledger.dump")
    grow(url, "ffff2222aaaa3333")

    async def follow() -> str | None:
        async with Ledger(url) as ledger:
            door = LedgerDoor(ledger)
            bookmark = await door.head()
            await asyncio.to_thread(restore, file, url, "--clean")
            with pytest.raises(ChainBroken, match="older copy"):
                await door.seen_after(bookmark)
            assert await door.seen_after(await door.head()) == ()
            return door.departed

    assert asyncio.run(follow()) is not None
    assert look(url).ok
