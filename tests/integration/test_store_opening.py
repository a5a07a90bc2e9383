"""Start-up: what is no ledger is refused with what to do, and left exactly as it was."""

import asyncio
import hashlib
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import URL

from ledger import guards
from ledger.errors import LedgerMissing, LedgerOutdated, LedgerUnavailable
from ledger.schema import REVISION
from ledger.store import Ledger
from ledger.store.append import read_head
from ledger.store.dialect import file_of, parse_url, postgresql, shown
from tests.support.histories import NOON
from tests.support.ledgers import make_ledger, raw


def url_of(path: Path) -> URL:
    return parse_url(f"sqlite+aiosqlite:///{path}")


def contents(folder: Path) -> dict[str, str]:
    """Every file and its bytes' digest."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


async def check(url: URL) -> None:
    async with Ledger(url) as ledger:
        await ledger.check()


async def test_a_migrated_ledger_opens(ledger_url: URL) -> None:
    await check(ledger_url)


async def test_a_missing_ledger_is_named_with_what_to_do_and_is_not_made(tmp_path: Path) -> None:
    url = url_of(tmp_path / "none.db")
    with pytest.raises(LedgerMissing) as caught:
        await check(url)
    assert str(caught.value) == (
        f"there is no ledger at {shown(url)}; set --database or IAM_LEDGER_DATABASE_URL, or make "
        "one with `iam-ledger migrate`"
    )
    assert contents(tmp_path) == {}


async def test_a_ledger_that_is_gone_is_weather_and_is_not_made_anew(tmp_path: Path) -> None:
    """A keeper that runs meets it, long after start-up has looked."""
    async with Ledger(url_of(tmp_path / "none.db")) as ledger:
        with pytest.raises(LedgerUnavailable, match="unable to open"):
            async with ledger.reading() as connection:
                await read_head(connection)
        with pytest.raises(LedgerUnavailable, match="unable to open"):
            await ledger.append([], now=NOON)
    assert contents(tmp_path) == {}


def test_a_ledger_that_cannot_be_opened_leaves_no_thread_behind(tmp_path: Path) -> None:
    """One that outlives its loop dies with a traceback over whatever the command printed."""

    async def look() -> None:
        async with Ledger(url_of(tmp_path / "none.db")) as ledger:
            with pytest.raises(LedgerUnavailable):
                await ledger.append([], now=NOON)

    before = set(threading.enumerate())
    for _ in range(20):
        asyncio.run(look())
        assert set(threading.enumerate()) <= before


async def test_what_is_committed_is_on_the_disk(ledger: Ledger) -> None:
    """With synchronous=NORMAL acknowledged events were lost in 8 of 8 simulated power cuts."""
    for transaction in (ledger.reading, ledger.writing):
        async with transaction() as connection:
            found = await connection.run_sync(
                lambda sync: {
                    name: sync.exec_driver_sql(f"PRAGMA {name}").scalar_one()
                    for name in ("synchronous", "journal_mode", "recursive_triggers")
                }
            )
        assert found == {"synchronous": 2, "journal_mode": "wal", "recursive_triggers": 1}


async def test_a_folder_in_its_place_is_no_ledger(tmp_path: Path) -> None:
    with pytest.raises(LedgerMissing, match="there is no ledger at"):
        await check(url_of(tmp_path))


def empty(path: Path) -> None:
    path.touch()


def somebody_elses(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.executescript("CREATE TABLE events (x); INSERT INTO events VALUES (1);")


def half_a_ledger(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.executescript("CREATE TABLE alembic_version (version_num TEXT);")


@pytest.mark.parametrize("make", [empty, somebody_elses, half_a_ledger])
async def test_another_database_is_no_ledger_and_is_left_alone(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    path = tmp_path / "other.db"
    make(path)
    before = contents(tmp_path)
    with pytest.raises(LedgerMissing, match="holds no ledger; set --database or IAM_LEDGER_DATA"):
        await check(url_of(path))
    assert contents(tmp_path) == before


async def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to be one. " * 100)
    before = contents(tmp_path)
    with pytest.raises(LedgerMissing, match="no SQLite database; nothing was changed"):
        await check(url_of(path))
    assert contents(tmp_path) == before


@pytest.mark.parametrize("revision", ["0000", "9999", ""])
async def test_another_schema_is_refused_by_both_names(ledger_url: URL, revision: str) -> None:
    with raw(ledger_url) as database:
        database.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    with pytest.raises(
        LedgerOutdated, match=f"has schema {revision}, this program needs {REVISION}"
    ):
        await check(ledger_url)


async def test_a_ledger_whose_migration_was_never_recorded_is_refused(ledger_url: URL) -> None:
    with raw(ledger_url) as database:
        database.execute("DELETE FROM alembic_version")
    with pytest.raises(LedgerOutdated, match=f"has schema None, this program needs {REVISION}"):
        await check(ledger_url)


@pytest.mark.parametrize("name", sorted(guards.SQLITE))
async def test_a_ledger_without_one_of_its_guards_is_refused(ledger_url: URL, name: str) -> None:
    with raw(ledger_url) as database:
        database.execute(f"DROP TRIGGER {name}")
    with pytest.raises(LedgerOutdated) as caught:
        await check(ledger_url)
    assert f"lost the guards that keep it append-only ({name})" in str(caught.value)
    assert "`iam-ledger verify`" in str(caught.value)
    assert "`iam-ledger migrate` puts them back" in str(caught.value)


@pytest.mark.parametrize("name", sorted(guards.SQLITE))
async def test_a_guard_that_no_longer_guards_is_refused(ledger_url: URL, name: str) -> None:
    with raw(ledger_url) as database:
        database.execute(f"DROP TRIGGER {name}")
        database.execute(
            f"CREATE TRIGGER {name} BEFORE UPDATE ON events WHEN 0 BEGIN SELECT 1; END"
        )
    with pytest.raises(LedgerOutdated, match=name):
        await check(ledger_url)


async def test_a_ledger_is_opened_whatever_its_path_looks_like(tmp_path: Path) -> None:
    folder = tmp_path / "a b?c#d%20e;é"
    folder.mkdir()
    url = make_ledger(folder)
    assert file_of(url) == folder / "ledger.db"
    await check(parse_url(url.render_as_string()))
    async with Ledger(url) as ledger, ledger.reading() as connection:
        assert (await read_head(connection)).position == 0


async def test_a_damaged_database_is_weather_for_whoever_reads(ledger_url: URL) -> None:
    """A keeper goes on with what it knows; a person restores the file."""
    path = file_of(ledger_url)
    assert path is not None
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with pytest.raises(LedgerUnavailable, match="malformed"):
        await check(ledger_url)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("iam-ledger.db", "cannot be read; write for example sqlite"),
        ("postgresql+asyncpg://bob:secret@db/ledger", "only sqlite.aiosqlite and postgresql.psyco"),
        ("postgresql://bob:secret@db", "names no database; end it with /name"),
        ("mysql://bob:secret@db/ledger", "only sqlite.aiosqlite and postgresql.psycopg are"),
        ("sqlite+pysqlite:///x.db", "only sqlite.aiosqlite and postgresql.psycopg are supported"),
        ("sqlite://", "names no file"),
        ("sqlite+aiosqlite:///:memory:", "names no file"),
        ("sqlite+aiosqlite://", "names no file"),
    ],
)
def test_an_address_that_this_version_cannot_use_says_why_without_its_password(
    text: str, message: str
) -> None:
    with pytest.raises(LedgerMissing, match=message) as caught:
        parse_url(text)
    assert "secret" not in str(caught.value)


def test_a_plain_sqlite_address_is_understood() -> None:
    assert parse_url("sqlite:///some/ledger.db") == parse_url("sqlite+aiosqlite:///some/ledger.db")


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_a_plain_postgresql_address_is_understood_with_all_that_libpq_is_told(scheme: str) -> None:
    asked = "sslmode=verify-full&sslrootcert=/etc/rds.pem&target_session_attrs=read-write"
    url = parse_url(f"{scheme}://bob:secret@db:5433/ledger?{asked}")
    assert url.drivername == "postgresql+psycopg"
    assert "secret" not in shown(url)
    told = postgresql.parameters(url)
    assert told["sslmode"] == "verify-full"
    assert told["sslrootcert"] == "/etc/rds.pem"
    assert told["target_session_attrs"] == "read-write"
    assert (told["user"], told["password"], told["dbname"]) == ("bob", "secret", "ledger")


def test_what_the_address_says_goes_before_what_we_would_say() -> None:
    url = parse_url("postgresql:///ledger?connect_timeout=3&application_name=mine&host=/run/pg")
    told = postgresql.parameters(url)
    assert (told["connect_timeout"], told["application_name"]) == ("3", "mine")
    assert told["keepalives_idle"] == 15


def test_without_its_driver_a_ledger_on_a_server_is_refused_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(LedgerMissing, match=r"pip install 'iam-ledger\[postgres\]'") as caught:
        Ledger(parse_url("postgresql://bob:secret@db/ledger"))
    assert "secret" not in str(caught.value)


def test_a_ledger_in_a_file_never_loads_the_driver_of_a_server(ledger_url: URL) -> None:
    program = (
        "import asyncio, sys; from ledger.store import Ledger; "
        "from ledger.store.dialect import parse_url, single_worker, open_watch\n"
        "async def run(url):\n"
        "    async with Ledger(url) as ledger:\n"
        "        await ledger.check()\n"
        "    with single_worker(url):\n"
        "        open_watch(url).changed()\n"
        "asyncio.run(run(parse_url(sys.argv[1])))\n"
        "print([name for name in sys.modules if name.startswith('psycopg')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(ledger_url)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
