"""Real SQLite ledgers for tests: every test has a migrated one of its own, in a file.

Migrating takes a quarter of a second, so it happens once a process and the bytes are copied.
"""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import pytest
from sqlalchemy import URL

from ledger import guards
from ledger.store import Ledger
from ledger.store.dialect import file_of, parse_url
from migrations.upgrade import upgrade


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


@contextmanager
def raw(url: URL) -> Iterator[sqlite3.Connection]:
    """The database itself, behind the store's back; every statement commits at once."""
    path = file_of(url)
    assert path is not None
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.row_factory = sqlite3.Row
        yield database


@contextmanager
def tampering(url: URL) -> Iterator[sqlite3.Connection]:
    """The database with its guards off, as whoever owns the file can have it; then on again."""
    with raw(url) as database:
        for name in guards.SQLITE:
            database.execute(f"DROP TRIGGER {name}")
        yield database
        for ddl in guards.statements("sqlite"):
            database.execute(ddl)


def overwrite(
    database: sqlite3.Connection, table: str, column: str, value: object, *, where: str
) -> None:
    """Sets one column of the rows that `where` names; there must be some."""
    changed = database.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (value,))  # noqa: S608 - a test's own words
    assert changed.rowcount > 0, f"nothing in {table} where {where}"


@pytest.fixture
def ledger_url(tmp_path: Path) -> URL:
    """The address of a new, empty ledger."""
    return make_ledger(tmp_path)


@pytest.fixture
async def ledger(ledger_url: URL) -> AsyncIterator[Ledger]:
    """A new, empty ledger, open."""
    async with Ledger(ledger_url) as opened:
        yield opened
