"""What disks do to a ledger in a file: full, or with other bytes than were written."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, event
from sqlalchemy.pool import Pool

from ledger.store.dialect import file_of
from tests.support.ledgers import raw


@contextmanager
def full_disk(pages: int) -> Iterator[None]:
    """No database grows beyond so many pages: what SQLite itself says when the disk is full."""

    def limit(connection: sqlite3.Connection, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA max_page_count = {pages}")
        cursor.close()

    event.listen(Pool, "connect", limit)
    try:
        yield
    finally:
        event.remove(Pool, "connect", limit)


def spoil_header(url: URL) -> None:
    """The first bytes say no more that it is a database."""
    _overwrite(url, 0, b"\xff" * 16)


def spoil_page(url: URL, name: str) -> None:
    """The root page of a table or an index, as its tree is read from there."""
    with raw(url) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = database.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)
        ).fetchone()
        (size,) = database.execute("PRAGMA page_size").fetchone()
    _overwrite(url, (page - 1) * size, b"\xff" * size)


def _overwrite(url: URL, at: int, content: bytes) -> None:
    path = file_of(url)
    assert path is not None
    with Path(path).open("r+b") as file:
        file.seek(at)
        file.write(content)
