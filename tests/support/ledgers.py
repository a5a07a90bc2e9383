"""Real ledgers for tests: every test has a migrated one of its own, in a file or on a server.

Whoever is marked `every_engine` runs on SQLite and on PostgreSQL. Migrating takes a quarter of a
second, so it happens once a process: the file's bytes are copied, the database is used again once
it is as new.
"""

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from functools import cache
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from sqlalchemy import URL

from ledger import guards
from ledger.codec import Envelope
from ledger.schema import REVISION, metadata
from ledger.store import Ledger
from ledger.store.dialect import file_of, parse_url, postgresql
from migrations.upgrade import upgrade
from tests.support.postgres import Postgres, conninfo

ENGINES = ("sqlite", "postgresql")

NewLedger = Callable[[], URL]
"""Makes another empty ledger."""


@cache
def _template() -> bytes:
    """An empty ledger at head. Migrated in a thread of its own, since alembic starts a loop."""
    with TemporaryDirectory() as folder, ThreadPoolExecutor(1) as thread:
        path = Path(folder) / "template.db"
        thread.submit(upgrade, parse_url(f"sqlite+aiosqlite:///{path}")).result()
        assert not path.with_name("template.db-wal").exists(), "the template is not whole"
        return path.read_bytes()


def make_ledger(folder: Path, name: str = "ledger.db") -> URL:
    """A new, empty ledger in a file."""
    path = folder / name
    path.write_bytes(_template())
    return parse_url(f"sqlite+aiosqlite:///{quote(str(path))}")


# --- behind the store's back ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """A row by number and by name, as `sqlite3.Row` is."""

    names: Sequence[str]
    values: Sequence[Any]

    def keys(self) -> Sequence[str]:
        return self.names

    def __getitem__(self, key: int | str) -> Any:
        return self.values[self.names.index(key) if isinstance(key, str) else key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values)


def _rows(cursor: "psycopg.Cursor[Any]") -> Callable[[Sequence[Any]], Row]:
    names = [column.name for column in cursor.description or ()]
    return lambda values: Row(names, values)


class _Server:
    """A PostgreSQL connection that takes what a `sqlite3.Connection` takes."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self._connection = connection

    def execute(self, query: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> Any:
        return self._connection.execute(query.replace("?", "%s").encode(), values or None)


@contextmanager
def raw(url: URL) -> Iterator[Any]:
    """The database itself, a `sqlite3.Connection` or like one; every statement commits at once."""
    path = file_of(url)
    if path is None:
        with psycopg.connect(conninfo(url), autocommit=True, row_factory=_rows) as connection:
            yield _Server(connection)
        return
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.row_factory = sqlite3.Row
        yield database


@contextmanager
def another_writer(url: URL) -> Iterator[Any]:
    """Somebody who holds the append lock and does not finish; gives up in the end."""
    with raw(url) as database:
        if file_of(url) is None:
            database.execute("BEGIN")
            database.execute(f"SELECT pg_advisory_xact_lock({postgresql.APPEND_LOCK})")
        else:
            database.execute("BEGIN IMMEDIATE")
        yield database
        database.execute("ROLLBACK")


@contextmanager
def tampering(url: URL) -> Iterator[Any]:
    """The database with its guards off, as whoever owns it can have it; then on again."""
    engine = url.get_backend_name()
    with raw(url) as database:
        for name in guards.names(engine):
            database.execute(guards.removing(engine, name))
        yield database
        database.execute("BEGIN")
        for ddl in guards.statements(engine):
            database.execute(ddl)
        database.execute("COMMIT")


def envelope_in(row: Any) -> Envelope:
    """A row of `events`, by its columns' names."""
    names = [field.name for field in fields(Envelope)]
    return Envelope(**{name: row[name.removesuffix("_us")] for name in names})


def overwrite(database: Any, table: str, column: str, value: object, *, where: str) -> None:
    """Sets one column of the rows that `where` names; there must be some."""
    changed = database.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (value,))  # noqa: S608 - a test's own words
    assert changed.rowcount > 0, f"nothing in {table} where {where}"


# --- on the server --------------------------------------------------------------------------------


def _is_whole(database: Any) -> bool:
    """Whether nobody is in it any more, and its schema is as a migration leaves it."""
    (others,) = database.execute(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    ).fetchone()
    revisions = [tuple(row) for row in database.execute("SELECT version_num FROM alembic_version")]
    standing = {row["name"]: row["shown"] for row in database.execute(postgresql.TRIGGERS)}
    return (
        not others
        and revisions == [(REVISION,)]
        and standing.keys() == set(guards.names("postgresql"))
        and not guards.missing("postgresql", standing)
    )


def _give_back(server: Postgres, url: URL) -> None:
    """Empties a database for the next test, or throws it away where it is not what it was."""
    with raw(url) as database:
        whole = _is_whole(database)
        if whole:
            database.execute("BEGIN")
            database.execute("ALTER TABLE events DISABLE TRIGGER USER")
            for table in metadata.tables:
                database.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
            for name in guards.names("postgresql"):
                database.execute(f"ALTER TABLE events ENABLE ALWAYS TRIGGER {name}")
            database.execute("COMMIT")
    if whole:
        server.spare.append(url)
    else:
        server.drop(url)


async def _no_clock(_connection: object) -> None:
    """What the caller says is the time, as on SQLite: a test moves it."""


# --- fixtures -------------------------------------------------------------------------------------


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Whoever is marked `every_engine` and asks for a ledger gets one on each."""
    marked = metafunc.definition.get_closest_marker("every_engine")
    if marked is not None and "engine" in metafunc.fixturenames:
        metafunc.parametrize("engine", ENGINES, indirect=True)


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> str:
    """Where this test's ledgers are."""
    return str(getattr(request, "param", "sqlite"))


@pytest.fixture
def new_ledger(
    engine: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[NewLedger]:
    """Makes as many as a test wants; all of them are gone with it."""
    if engine == "sqlite":
        numbers = count(1)
        yield lambda: make_ledger(tmp_path, f"{next(numbers)}.db")
        return
    server: Postgres = request.getfixturevalue("postgres")
    monkeypatch.setattr(postgresql, "clock_us", _no_clock)
    made: list[URL] = []

    def make() -> URL:
        made.append(server.spare.pop() if server.spare else server.migrated(upgrade))
        return made[-1]

    yield make
    for url in made:
        _give_back(server, url)


@pytest.fixture
def ledger_url(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> URL:
    """The address of a new, empty ledger."""
    if engine == "sqlite":
        return make_ledger(tmp_path)
    make: NewLedger = request.getfixturevalue("new_ledger")
    return make()


@pytest.fixture
async def ledger(ledger_url: URL) -> AsyncIterator[Ledger]:
    """A new, empty ledger, open."""
    async with Ledger(ledger_url) as opened:
        yield opened
