"""The one seam between engines: how to open, lock, watch and read a database's own mind.

All that only SQLite or only PostgreSQL can do stands in this package; the rest is portable. The
driver of PostgreSQL is loaded by whoever opens a ledger there, and by nobody else.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from sqlalchemy import URL, Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.errors import LedgerUnavailable
from ledger.store.dialect import listening, postgresql, sqlite
from ledger.store.dialect.address import Address, file_of, parse_url, renewed, shown
from ledger.store.dialect.bulk import (
    among,
    delete_rows,
    insert_rows,
    update_rows,
    without_indexes,
)

__all__ = [
    "Address",
    "Watch",
    "among",
    "check_server",
    "clock_us",
    "damages",
    "delete_rows",
    "dispose",
    "file_of",
    "for_leasing",
    "for_reading",
    "for_writing",
    "insert_rows",
    "on_postgresql",
    "open_engine",
    "open_watch",
    "parse_url",
    "renewed",
    "shown",
    "single_worker",
    "triggers",
    "update_rows",
    "weather",
    "without_indexes",
]

BUSY_TIMEOUT_S = 30.0
"""How long a writer waits for another; 10,000 events hold the lock for about 0.2 s."""


def on_postgresql(what: URL | AsyncEngine | Connection | AsyncConnection) -> bool:
    """Which of the two engines it is."""
    name = what.get_backend_name() if isinstance(what, URL) else what.dialect.name
    return name == "postgresql"


def open_engine(url: URL, *, address: Address | None = None, create: bool = False) -> AsyncEngine:
    """An engine for `for_reading` and `for_writing`; LedgerMissing when its driver is.

    `address` says anew where the ledger is, for every connection; None: at `url`. Only with
    `create` (migrations) is a missing SQLite file made.
    """
    if on_postgresql(url):
        return postgresql.open_engine(
            url, address=address or (lambda: url), busy_timeout_s=BUSY_TIMEOUT_S
        )
    return sqlite.open_engine(url, create=create, busy_timeout_s=BUSY_TIMEOUT_S)


def for_reading(engine: AsyncEngine) -> AsyncEngine:
    """The same engine, each transaction of which sees one instant."""
    return postgresql.for_reading(engine) if on_postgresql(engine) else engine


def for_writing(engine: AsyncEngine) -> AsyncEngine:
    """The same engine, each transaction of which takes the append lock before all else."""
    if on_postgresql(engine):
        return postgresql.for_writing(engine)
    return sqlite.for_writing(engine)


def for_leasing(engine: AsyncEngine) -> AsyncEngine:
    """The same engine, for one worker at a time to say what it keeps; appends go on meanwhile."""
    if on_postgresql(engine):
        return postgresql.for_leasing(engine)
    return sqlite.for_writing(engine)


@contextmanager
def weather() -> Iterator[None]:
    """A database that does not answer becomes LedgerUnavailable; a bug stays what it is."""
    try:
        yield
    except PoolExhausted as error:
        raise LedgerUnavailable(f"the database is busy with other work of ours: {error}") from error
    except DBAPIError as error:
        of_sqlite = not hasattr(error.orig, "sqlstate")
        meant = sqlite.told(error) if of_sqlite else postgresql.told(error)
        if meant is None:
            raise
        raise meant from error


def check_server(connection: Connection) -> None:
    """LedgerOutdated or LedgerMissing where the server cannot keep a ledger."""
    if on_postgresql(connection):
        postgresql.check_server(connection)


async def clock_us(connection: AsyncConnection) -> int | None:
    """The database server's clock; None where there is no server, and the caller's counts."""
    return await postgresql.clock_us(connection) if on_postgresql(connection) else None


def triggers(connection: Connection) -> dict[str, str]:
    """Name -> how it stands, of all that acts on rows unasked; see `ledger.guards.missing`."""
    if on_postgresql(connection):
        return postgresql.triggers(connection)
    return sqlite.triggers(connection)


def damages(connection: Connection) -> list[str]:
    """What is wrong with the database below its rows, the first few; empty where nobody can tell.

    Reads all of it. PostgreSQL has a tool of its own for that (`pg_amcheck`).
    """
    return [] if on_postgresql(connection) else sqlite.damages(connection)


@contextmanager
def single_worker(url: URL) -> Iterator[bool]:
    """Where a ledger takes only one worker, holds the right to be it; LedgerBusy when another does.

    Yields whether it is so; on a server workers share (`ledger.store.leases`).
    """
    if on_postgresql(url):
        yield False
        return
    with sqlite.single_worker(url):
        yield True


class Watch(Protocol):
    """An ear to the ledger, on a connection of its own."""

    heard: asyncio.Event
    """Set when it is worth asking at once."""
    every_s: float | None
    """How often to ask unheard; None: as often as whoever asks can afford."""

    def changed(self) -> bool:
        """Whether something may have been committed since the last call; LedgerUnavailable."""
        ...

    def close(self) -> None: ...


def open_watch(url: URL, address: Address | None = None) -> Watch:
    """The engine's best ear; nothing is connected yet."""
    if on_postgresql(url):
        return listening.Watch(address or (lambda: url))
    return sqlite.Watch(url)


async def dispose(engine: AsyncEngine) -> None:
    """Closes every connection; a cancelled caller waits for it all the same."""
    closing = asyncio.ensure_future(engine.dispose())
    try:
        await asyncio.shield(closing)
    except asyncio.CancelledError:
        await closing
        raise
