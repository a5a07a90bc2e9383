"""What the machine does to a database: told as weather, and nothing acknowledged is lost by it."""

import asyncio
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import URL
from sqlalchemy.exc import OperationalError

from ledger.envelope import Draft
from ledger.errors import LedgerBusy, LedgerUnavailable
from ledger.events import PolicyDefined, Stuck
from ledger.model import AccountId, Policy
from ledger.store import Ledger, dialect
from ledger.store.append import Appended, count_events
from ledger.store.dialect import Watch, file_of, open_watch, single_worker, weather
from ledger.store.standing import AccountStatus, write_accounts
from ledger.store.verify import verify
from tests.support.damage import full_disk
from tests.support.histories import NOON, PROD, TEAM
from tests.support.ledgers import make_ledger, raw

NOBODY = 65_534


def large(number: int, size: int = 3_000) -> Draft:
    """A draft of so many characters."""
    return Draft(PolicyDefined(Policy(TEAM, f"p{number}", "n", "x" * size)), 0)


@contextmanager
def unprivileged() -> Iterator[None]:
    """As somebody whom file permissions bind: root is nobody meanwhile."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter: pytest's own belong to whoever runs it alone."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        yield folder


@contextmanager
def with_modes(modes: Mapping[Path, int]) -> Iterator[None]:
    """Seen by somebody whom these permissions bind; put right again afterwards."""
    for path, mode in modes.items():
        path.chmod(mode)
    try:
        with unprivileged():
            yield
    finally:
        for path in modes:
            path.chmod(0o777)


async def test_a_read_only_file_refuses_appends_and_still_answers(open_folder: Path) -> None:
    url = make_ledger(open_folder)
    path = open_folder / "ledger.db"
    async with Ledger(url) as ledger:
        await ledger.append([large(1)], now=NOON)
    with with_modes({path: 0o444}):
        async with Ledger(url) as ledger:
            with pytest.raises(LedgerUnavailable, match="readonly"):
                await ledger.append([large(2)], now=NOON)
            async with ledger.reading() as connection:
                assert await count_events(connection) == 1
    async with Ledger(url) as ledger:
        assert (await ledger.append([large(2)], now=NOON)).positions == (2,)


async def test_a_read_only_folder_is_weather(open_folder: Path) -> None:
    """WAL keeps two files beside the database, and the worker its lock."""
    url = make_ledger(open_folder)
    with with_modes({open_folder / "ledger.db": 0o444, open_folder: 0o555}):
        async with Ledger(url) as ledger:
            with pytest.raises(LedgerUnavailable):
                await ledger.append([large(1)], now=NOON)
        with pytest.raises(LedgerUnavailable, match="lock cannot be opened"), single_worker(url):
            pytest.fail("the lock was held in a folder that nobody may write to")
    async with Ledger(url) as ledger:
        assert (await ledger.append([large(1)], now=NOON)).positions == (1,)


async def test_a_full_disk_loses_nothing_that_was_acknowledged(ledger_url: URL) -> None:
    with full_disk(pages=70):
        async with Ledger(ledger_url) as ledger:
            told: list[int] = []
            failed: list[str] = []
            for number in range(60):
                try:
                    told += (await ledger.append([large(number)], now=NOON)).positions
                except LedgerUnavailable as error:
                    failed.append(str(error))
            assert len(told) > 5
            assert len(failed) > 5
            assert all("full" in message for message in failed)
            async with ledger.reading() as connection:
                assert await count_events(connection) == len(told)
            assert (await verify(ledger)).ok
    async with Ledger(ledger_url) as ledger:
        done = await ledger.append([large(number) for number in range(60)], now=NOON)
        assert len(done.recorded) == len(failed)
        assert (await verify(ledger)).ok


async def test_a_commit_that_does_not_fit_fails_all_who_share_it_and_leaves_nothing(
    ledger_url: URL,
) -> None:
    with full_disk(pages=60):
        async with Ledger(ledger_url) as ledger:
            done = await asyncio.gather(
                *(ledger.append([large(n)], now=NOON) for n in range(60)), return_exceptions=True
            )
            told = [item for item in done if isinstance(item, Appended)]
            assert all(isinstance(item, Appended | LedgerUnavailable) for item in done)
            async with ledger.reading() as connection:
                assert await count_events(connection) == len(told)
            assert len(told) <= 1, "who came first had a commit of its own; all others shared one"


async def test_a_status_that_cannot_be_written_is_weather(ledger_url: URL) -> None:
    with full_disk(pages=40):
        async with Ledger(ledger_url) as ledger:
            many = [AccountStatus(AccountId(f"{n:012}"), (), "w" * 900, NOON) for n in range(200)]
            with pytest.raises(LedgerUnavailable, match="full"):
                async with ledger.writing() as connection:
                    await write_accounts(connection, many)


async def test_another_writer_that_does_not_finish_is_weather(
    ledger_url: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialect, "BUSY_TIMEOUT_S", 0.05)
    async with Ledger(ledger_url) as ledger:
        with raw(ledger_url) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(LedgerUnavailable, match="locked"):
                await ledger.append([large(1)], now=NOON)
            async with ledger.reading() as connection:
                assert await count_events(connection) == 0, "reading waits for no writer"
        assert (await ledger.append([large(1)], now=NOON)).positions == (1,)


def test_a_mistake_of_ours_is_no_weather() -> None:
    class Mistake(sqlite3.OperationalError):
        sqlite_errorcode = sqlite3.SQLITE_ERROR

    with pytest.raises(OperationalError), weather():
        raise OperationalError("SELEC", None, Mistake('near "SELEC": syntax error'))


# --- one worker -------------------------------------------------------------------------------


def test_a_second_worker_on_one_file_is_refused_by_name(ledger_url: URL) -> None:
    with single_worker(ledger_url):
        with pytest.raises(LedgerBusy) as caught, single_worker(ledger_url):
            pytest.fail("two workers at once")
        assert f"another worker (process {os.getpid()}) keeps {file_of(ledger_url)}" in str(
            caught.value
        )
        assert "Stop that one first" in str(caught.value)
    with single_worker(ledger_url):
        pass


COUNT = "SELECT count(*) FROM events"


def by_symlink(path: Path) -> Path:
    link = path.with_name("soft.db")
    link.symlink_to(path.name)
    return link


def by_hard_link(path: Path) -> Path:
    link = path.with_name("hard.db")
    link.hardlink_to(path)
    return link


def without_its_lock_file(path: Path) -> Path:
    path.with_name(path.name + ".lock.worker").unlink()
    return path


@pytest.mark.parametrize("again", [by_symlink, by_hard_link, without_its_lock_file])
def test_a_second_worker_is_refused_under_whatever_name(
    ledger_url: URL, again: Callable[[Path], Path]
) -> None:
    path = file_of(ledger_url)
    assert path is not None
    with single_worker(ledger_url):
        other = ledger_url.set(database=str(again(path)))
        with pytest.raises(LedgerBusy, match="another worker"), single_worker(other):
            pytest.fail("two workers at once")
    with single_worker(other):
        pass


def test_being_the_one_worker_takes_no_lock_from_sqlite(ledger_url: URL) -> None:
    """Whoever closes the file last removes the journal: others must see that we have it open."""
    path = file_of(ledger_url)
    assert path is not None
    journal = Path(f"{path}-wal")
    with closing(sqlite3.connect(path)) as ours:
        ours.execute(COUNT).fetchone()
        with single_worker(ledger_url):
            pass
        with pytest.raises(LedgerBusy), single_worker(ledger_url), single_worker(ledger_url):
            pytest.fail("two workers at once")
        script = f"""
import sqlite3
import subprocess
other = sqlite3.connect({str(path)!r})
other.execute({COUNT!r}).fetchone()
other.close()"""
        subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
        assert journal.exists()
    assert not journal.exists()


def test_workers_of_two_ledgers_do_not_meet(tmp_path: Path) -> None:
    one, other = make_ledger(tmp_path, "one.db"), make_ledger(tmp_path, "other.db")
    with single_worker(one), single_worker(other):
        pass


HOLDER = """
import sys
from ledger.store.dialect import parse_url, single_worker
with single_worker(parse_url(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


async def test_a_worker_that_is_killed_holds_nothing(ledger_url: URL) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        HOLDER,
        ledger_url.render_as_string(hide_password=False),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"held\n"
    with pytest.raises(LedgerBusy, match=f"process {process.pid}"), single_worker(ledger_url):
        pytest.fail("two workers at once")
    process.kill()
    await process.wait()
    with single_worker(ledger_url):
        pass


# --- watching ---------------------------------------------------------------------------------


@pytest.fixture
def watch(ledger_url: URL) -> Iterator[Watch]:
    opened = open_watch(ledger_url)
    yield opened
    opened.close()


async def test_a_watch_tells_of_each_commit_of_any_other_connection_once(
    ledger: Ledger, watch: Watch
) -> None:
    assert watch.changed(), "whoever begins to watch has everything to read"
    assert not watch.changed()
    await ledger.append([large(1)], now=NOON)
    assert watch.changed()
    assert not watch.changed()
    async with Ledger(ledger.url) as other:
        await other.append([large(2)], now=NOON)
    assert watch.changed()
    assert not watch.changed()


async def test_a_watch_is_not_woken_by_what_changes_nothing(ledger: Ledger, watch: Watch) -> None:
    watch.changed()
    async with ledger.reading() as connection:
        await count_events(connection)
    assert not watch.changed()
    with raw(ledger.url) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO latest VALUES ('x', '', '', '', 1)")
        assert not watch.changed(), "nothing is committed yet"
        other.execute("ROLLBACK")
    assert not watch.changed()
    await ledger.append([large(1)], now=NOON)
    watch.changed()
    await ledger.append([large(1)], now=NOON)
    assert not watch.changed(), "an append of what stands already changes nothing"


async def test_a_watch_outlives_a_ledger_that_is_away(ledger_url: URL, watch: Watch) -> None:
    path = file_of(ledger_url)
    assert path is not None
    away = path.with_name("away.db")
    path.rename(away)
    with pytest.raises(LedgerUnavailable, match="cannot be watched"):
        watch.changed()
    away.rename(path)
    assert watch.changed()
    async with Ledger(ledger_url) as ledger:
        await ledger.append([Draft(Stuck(PROD, "Busy", "x"), 0)], now=NOON)
    assert watch.changed()
