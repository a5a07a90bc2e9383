"""SQLite: one file, one machine. Its transactions, its power cuts, its lock and its counter."""

import asyncio
import fcntl
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, event
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ledger.errors import (
    LedgerBusy,
    LedgerDamaged,
    LedgerError,
    LedgerMissing,
    LedgerUnavailable,
)
from ledger.store.dialect.address import file_of


def open_engine(url: URL, *, create: bool, busy_timeout_s: float) -> AsyncEngine:
    """An engine whose transactions begin as asked for (`sqlite_begin`) and survive power cuts.

    Only with `create` (migrations) is a missing file made, and the file set to WAL, which it then
    stays: asking a wrong address leaves what is there as it was.
    """
    engine = create_async_engine(url, connect_args={"timeout": busy_timeout_s})

    @event.listens_for(engine.sync_engine, "do_connect")
    def _open(_dialect: object, _record: object, args: list[Any], options: dict[str, Any]) -> None:
        path = file_of(url)
        if path is not None:
            args[0] = _uri(path, "rwc" if create else "rw")
            options["uri"] = True
            # Where opening fails, the driver's thread lives on and answers to a loop that may be
            # closed by then. So what cannot be opened is met here, before there is a thread.
            sqlite3.connect(args[0], uri=True).close()

    @event.listens_for(engine.sync_engine, "connect")
    def _prepare(connection: Any, record: Any) -> None:
        # The driver's own BEGIN is switched off: it would begin late, and deferred.
        connection.isolation_level = None
        cursor = connection.cursor()
        if create:
            cursor.execute("PRAGMA journal_mode=WAL")
        for pragma in (
            "synchronous=FULL",  # NORMAL loses acknowledged events in a power cut
            "foreign_keys=ON",
            "recursive_triggers=ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        with suppress(sqlite3.Error):  # told to whoever asks first
            cursor.execute("PRAGMA user_version")  # opens the journal too
        cursor.close()
        record.info["files"] = files_at(file_of(url))

    @event.listens_for(engine.sync_engine, "checkout")
    def _look(_connection: object, record: Any, _proxy: object) -> None:
        if record.info["files"] != files_at(file_of(url)):
            raise DisconnectionError("another file was put in the ledger's place")

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        how = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {how}")

    return engine


Files = tuple[tuple[int, int] | None, ...]


def files_at(path: Path | None) -> Files:
    """What stands at the address now: the database and its journal, each None where it is not.

    Who has a database open keeps it when another is put in its place, and would go on for ever with
    what has no name any more: all that it is told would be lost.
    """
    return () if path is None else tuple(_file(f"{path}{suffix}") for suffix in ("", "-wal"))


def _file(name: str) -> tuple[int, int] | None:
    try:
        found = os.stat(name)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _uri(path: Path, mode: str) -> str:
    """The file as SQLite's URI; signs that mean something in a URI are escaped."""
    return f"{path.absolute().as_uri()}?mode={mode}"


def for_writing(engine: AsyncEngine) -> AsyncEngine:
    """The same engine, taking the append lock at BEGIN: the head is read after the lock."""
    return engine.execution_options(sqlite_begin="IMMEDIATE")


_WEATHER = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_AUTH,
    }
)
"""What the machine does to a database. Every other code is a mistake of ours and crashes."""


def told(error: DBAPIError) -> LedgerError | None:
    """What `error` is to whoever uses the ledger; None: a mistake of ours."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    primary = None if code is None else code & 0xFF
    if primary == sqlite3.SQLITE_NOTADB:
        return LedgerMissing(
            "the file is no SQLite database; nothing was changed. Check the address, or "
            "restore the ledger"
        )
    if primary == sqlite3.SQLITE_CORRUPT:
        return LedgerDamaged(
            f"the file is damaged ({error.orig}). Keep it and its journal as they are, and put the "
            "newest backup in its place: docs/ledger.md says how"
        )
    if primary in _WEATHER or error.connection_invalidated:
        return LedgerUnavailable(f"the database did not do it: {error.orig}")
    return None


def triggers(connection: Connection) -> dict[str, str]:
    """Name -> SQL text of every trigger."""
    rows = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
    return {row.name: row.sql for row in rows}


DAMAGES_MAX = 10


def damages(connection: Connection) -> list[str]:
    """An index without a row that its table has, pages that nothing leads to, and their like."""
    rows = connection.exec_driver_sql(f"PRAGMA integrity_check({DAMAGES_MAX})")
    return [text for (text,) in rows if text != "ok"]


@contextmanager
def single_worker(url: URL) -> Iterator[None]:
    """The locks are the kernel's and go with the process, however it dies.

    One is on a file beside the ledger, which says who holds it, and which a ledger put back in the
    old one's place does not loosen. The other is on the ledger itself, under whatever name.
    """
    path = file_of(url)
    if path is None:
        yield
        return
    real = path.resolve()
    with _locked(real.with_name(real.name + ".lock.worker"), path), _itself_locked(path):
        yield


@contextmanager
def _locked(lock: Path, database: Path) -> Iterator[None]:
    try:
        handle = lock.open("a+")
    except OSError as error:
        raise LedgerUnavailable(f"the worker's lock cannot be opened: {error}") from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            raise LedgerBusy(
                f"another worker (process {holder}) keeps {database}; a SQLite ledger has one "
                "worker at a time. Stop that one first; several need PostgreSQL"
            ) from None
        except OSError as error:
            raise LedgerUnavailable(f"{lock} cannot be locked: {error}") from error
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield


@contextmanager
def _itself_locked(database: Path) -> Iterator[None]:
    """A lock on the very file: a hard link is the same, and so is one whose lock file was removed.

    SQLite's own locks are fcntl's, which on Linux's local disks know nothing of flock's; elsewhere
    the two meet, and there is no such lock. What is opened here is never closed: closing any
    descriptor of a file takes all of fcntl's locks from the process that has it open
    (sqlite.org/howtocorrupt.html, 2.2). It ends with the process, which is one worker's.
    """
    if sys.platform != "linux":
        yield
        return
    try:
        descriptor = os.open(database, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield  # told by whoever opens it
        return
    except OSError as error:
        raise LedgerUnavailable(f"{database} cannot be opened: {error}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LedgerBusy(
            f"another worker keeps {database}, under another name or with its lock file removed; a "
            "SQLite ledger has one worker at a time. Stop that one first; several need PostgreSQL"
        ) from None
    except OSError as error:
        raise LedgerUnavailable(f"{database} cannot be locked: {error}") from error
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


class Watch:
    """Tells that another connection has committed, by polling `PRAGMA data_version`.

    The counter is relative to one connection and blind inside an open transaction, so this keeps a
    connection of its own, outside every pool.
    """

    every_s: float | None = None
    """To be asked as often as the worker's settings say."""

    def __init__(self, url: URL) -> None:
        path = file_of(url)
        if path is None:
            raise LedgerMissing("a ledger in memory cannot be watched from another connection")
        self.heard = asyncio.Event()
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._files: Files = ()
        self._seen = -1

    def changed(self) -> bool:
        """Whether anything was committed since the last call; true on the first, and when another
        file was put in this one's place. Takes about 10 µs.

        LedgerUnavailable when the file cannot be read.
        """
        if self._connection is not None and files_at(self._path) != self._files:
            self.close()
        try:
            if self._connection is None:
                self._connection = sqlite3.connect(
                    _uri(self._path, "ro"), uri=True, timeout=1, isolation_level=None
                )
                self._connection.execute("PRAGMA user_version")  # opens the journal too
                self._files = files_at(self._path)
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
