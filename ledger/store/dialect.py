"""The one seam between engines: how to open, lock, watch and read a database's own mind.

All that only SQLite (or later only PostgreSQL) can do stands here; the rest is portable.
"""

import asyncio
import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from os import getpid
from pathlib import Path
from typing import Any, TextIO

from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ledger.errors import (
    LedgerBusy,
    LedgerMissing,
    LedgerUnavailable,
)

BUSY_TIMEOUT_S = 30
"""How long a writer waits for another; 10,000 events hold the lock for about 0.2 s."""


def parse_url(text: str) -> URL:
    """`text` as a database URL that this version can use; LedgerMissing says what is wrong."""
    try:
        url = make_url(text)
    except ArgumentError:
        raise LedgerMissing(
            "the database URL cannot be read; write for example sqlite+aiosqlite:///iam-ledger.db"
        ) from None
    if url.drivername == "sqlite":
        url = url.set(drivername="sqlite+aiosqlite")
    if url.drivername != "sqlite+aiosqlite":
        raise LedgerMissing(
            f"{shown(url)}: only sqlite+aiosqlite is supported by this version; "
            "PostgreSQL comes in a later one"
        )
    return url


def shown(url: URL) -> str:
    """The URL for people: the password left out."""
    return url.render_as_string(hide_password=True)


def file_of(url: URL) -> Path | None:
    """The file of a SQLite database; None for one in memory."""
    if not url.database or url.database == ":memory:":
        return None
    return Path(url.database)


def open_engine(url: URL) -> AsyncEngine:
    """An engine whose transactions begin as asked for (`sqlite_begin`) and survive power cuts."""
    engine = create_async_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S})

    @event.listens_for(engine.sync_engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        # The driver's own BEGIN is switched off: it would begin late, and deferred.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",  # NORMAL loses acknowledged events in a power cut
            "foreign_keys=ON",
            "recursive_triggers=ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        how = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {how}")

    return engine


def for_writing(engine: AsyncEngine) -> AsyncEngine:
    """The same engine, taking the append lock at BEGIN: the head is read after the lock."""
    return engine.execution_options(sqlite_begin="IMMEDIATE")


@contextmanager
def weather() -> Iterator[None]:
    """A database that does not answer becomes LedgerUnavailable; a bug stays what it is."""
    try:
        yield
    except DBAPIError as error:
        bugs = sqlite3.IntegrityError | sqlite3.ProgrammingError | sqlite3.InterfaceError
        if isinstance(error.orig, sqlite3.DatabaseError) and not isinstance(error.orig, bugs):
            raise LedgerUnavailable(f"the database did not do it: {error.orig}") from error
        raise


def triggers(connection: Connection) -> dict[str, str]:
    """Name -> SQL text of every trigger on `events`."""
    rows = connection.exec_driver_sql(
        "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'events'"
    )
    return {row.name: row.sql for row in rows}


@contextmanager
def single_worker(url: URL) -> Iterator[None]:
    """Holds the right to be the one worker on this SQLite file; LedgerBusy when another is.

    The lock is the kernel's and goes with the process, however it dies.
    """
    path = file_of(url)
    if path is None:
        yield
        return
    with _locked(path.with_name(path.name + ".lock.worker"), path):
        yield


@contextmanager
def _locked(lock: Path, database: Path) -> Iterator[TextIO]:
    with lock.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            raise LedgerBusy(
                f"another worker (process {holder}) keeps {database}; a SQLite ledger has one "
                "worker at a time. Stop that one first; several need PostgreSQL"
            ) from None
        handle.truncate(0)
        handle.write(str(getpid()))
        handle.flush()
        yield handle


class Watch:
    """Tells that another connection has committed, by polling `PRAGMA data_version`.

    The counter is relative to one connection and blind inside an open transaction, so this keeps a
    connection of its own, outside every pool.
    """

    def __init__(self, url: URL) -> None:
        path = file_of(url)
        if path is None:
            raise LedgerMissing("a ledger in memory cannot be watched from another connection")
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._seen = -1

    def changed(self) -> bool:
        """Whether anything was committed since the last call; true on the first. Takes about 10 µs.

        LedgerUnavailable when the file cannot be read.
        """
        try:
            if self._connection is None:
                self._connection = sqlite3.connect(
                    f"file:{self._path}?mode=ro", uri=True, timeout=1, isolation_level=None
                )
            (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error as error:
            self.close()
            raise LedgerUnavailable(f"the database cannot be watched: {error}") from error
        changed = bool(version != self._seen)
        self._seen = version
        return changed

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._seen = -1


async def dispose(engine: AsyncEngine) -> None:
    """Closes every connection; a cancelled caller waits for it all the same."""
    await asyncio.shield(engine.dispose())
