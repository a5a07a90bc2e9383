"""PostgreSQL 15 and newer, by psycopg: its append lock, its clock, its own words for trouble.

Invariant: a transaction that appends holds the append lock from its first statement to its commit,
and reads the head in a later one: read in the same, it would be of before the lock was there.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import chain
from operator import itemgetter
from typing import Any

from sqlalchemy import URL, Connection, Table, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ledger.errors import (
    LedgerError,
    LedgerMissing,
    LedgerOutdated,
    LedgerReadOnly,
    LedgerRefused,
    LedgerUnavailable,
)
from ledger.store.dialect.address import Address, shown

OLDEST = 15
"""The oldest major version that this program is tried on."""

APPEND_LOCK = 0x1A4D_1ED6_0001
"""An advisory lock, each database having its own; the number means nothing."""

LEASE_LOCK = 0x1A4D_1ED6_0003
"""Another: held while workers share the accounts out, which no long append may hold up."""

FROZEN_WRITER_MAX_S = 300
"""How long a writer may keep the append lock without a word; the server then ends it. Reading
provenance takes seconds, and no statement of ours counts."""

FROZEN_SHARER_MAX_S = 2
"""The same for a worker that shares accounts out: the others' leases run out meanwhile."""

PARAMETERS: Mapping[str, object] = {
    "application_name": "iam-ledger",
    "client_encoding": "utf8",
    "connect_timeout": 10,
    # A server that went without a word is found in half a minute, not in the two hours of TCP.
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""Of every connection; what stands behind the URL's `?` goes before it."""


# --- opening --------------------------------------------------------------------------------------


def open_engine(url: URL, *, address: Address, busy_timeout_s: float) -> AsyncEngine:
    """An engine whose every connection is made with the address as it is at that moment."""
    try:
        engine = create_async_engine(url, use_native_hstore=False)
    except ModuleNotFoundError as error:
        raise LedgerMissing(
            f"{shown(url)} needs the driver for PostgreSQL ({error.name}), which is not "
            "installed: pip install 'iam-ledger[postgres]'"
        ) from error

    locks = {
        number: f"SELECT set_config('lock_timeout', '{int(busy_timeout_s * 1000)}ms', true), "
        f"set_config('idle_in_transaction_session_timeout', '{frozen_max_s}s', true), "
        f"pg_advisory_xact_lock({number})"
        for number, frozen_max_s in (
            (APPEND_LOCK, FROZEN_WRITER_MAX_S),
            (LEASE_LOCK, FROZEN_SHARER_MAX_S),
        )
    }

    @event.listens_for(engine.sync_engine, "do_connect")
    def _open(_dialect: object, _record: object, args: list[Any], options: dict[str, Any]) -> None:
        options.update(parameters(address()))

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        lock = connection.get_execution_options().get("ledger_lock")
        if lock is not None:
            connection.exec_driver_sql(locks[lock])

    @event.listens_for(engine.sync_engine, "handle_error")
    def _part(context: ExceptionContext) -> None:
        # A primary that became a replica goes on answering: the pool must look for the new one.
        if getattr(context.original_exception, "sqlstate", None) == _READ_ONLY:
            context.is_disconnect = True

    return engine


def parameters(url: URL) -> dict[str, Any]:
    """`url` as the driver takes it, with our own words where the URL has none."""
    from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

    _, options = PGDialect_psycopg().create_connect_args(url)  # type: ignore[no-untyped-call]  # SQLAlchemy's own
    return {**PARAMETERS, **options}


def for_reading(engine: AsyncEngine) -> AsyncEngine:
    """The same engine, each transaction of which sees one instant.

    Not marked as read-only: the pool would put that back by asking for read-write, which a replica
    refuses in words of its own.
    """
    return engine.execution_options(isolation_level="REPEATABLE READ")


def for_writing(engine: AsyncEngine) -> AsyncEngine:
    """The same engine, taking the append lock first; each statement sees what is committed."""
    return engine.execution_options(isolation_level="READ COMMITTED", ledger_lock=APPEND_LOCK)


def for_leasing(engine: AsyncEngine) -> AsyncEngine:
    """The same engine, taking the lock of those who share the accounts out."""
    return engine.execution_options(isolation_level="READ COMMITTED", ledger_lock=LEASE_LOCK)


def check_server(connection: Connection) -> None:
    """Refuses a server that cannot keep a ledger."""
    major = int((connection.dialect.server_version_info or (0,))[0])
    if major < OLDEST:
        raise LedgerOutdated(f"the server is PostgreSQL {major}; a ledger needs {OLDEST} or newer")
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    if encoding != "UTF8":
        raise LedgerMissing(
            f"the database's encoding is {encoding}; a ledger needs one made with ENCODING 'UTF8'"
        )


# --- its own mind ---------------------------------------------------------------------------------

CLOCK = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"


async def clock_us(connection: AsyncConnection) -> int | None:
    """The server's clock."""
    return int((await connection.exec_driver_sql(CLOCK)).scalar_one())


TRIGGERS = """
    SELECT t.tgname AS name, concat_ws(' ',
        pg_get_triggerdef(t.oid, true), t.tgenabled, p.prosrc,
        CASE p.proconfig WHEN ARRAY['search_path=' || quote_ident(current_schema()) || ', pg_temp']
             THEN 'pinned' ELSE array_to_string(p.proconfig, ' ') END) AS shown
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid
    WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND NOT t.tgisinternal
    UNION ALL
    SELECT 'rule ' || rulename, definition FROM pg_rules WHERE schemaname = current_schema()
    UNION ALL
    SELECT 'row security of ' || relname, '' FROM pg_class
    WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relrowsecurity
"""


def triggers(connection: Connection) -> dict[str, str]:
    """Name -> how it stands, of every trigger and of all else that acts on rows unasked.

    A trigger as the server words it, whether it fires (A: always), and its function.
    """
    return {row.name: row.shown for row in connection.exec_driver_sql(TRIGGERS)}


async def copy_rows(
    connection: AsyncConnection, table: Table, rows: Iterator[Mapping[str, Any]]
) -> None:
    """Adds `rows`, at least one and all of the same columns, by COPY in the same transaction."""
    import psycopg

    first = next(rows)
    values = itemgetter(*first)
    columns = ", ".join(f'"{name}"' for name in first)
    statement = f'COPY "{table.name}" ({columns}) FROM STDIN'
    driver: Any = (await connection.get_raw_connection()).driver_connection
    try:
        async with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in chain([first], rows):
                await copy.write_row(values(row))
    except psycopg.OperationalError as error:
        meant = told_of(error)
        if meant is None:
            raise
        raise meant from error


# --- what went wrong ------------------------------------------------------------------------------

_READ_ONLY = "25006"
_REFUSED = ("28", "42501", "3D000")
_WEATHER = (
    "08",  # the connection
    "40",  # a deadlock, a serialisation: nothing of it was done
    "53",  # out of connections, memory or disk
    "55P03",  # another writer does not finish
    "57",  # an administrator: shut down, cancelled, starting up
    "58",  # the server's own disk
    "25P03",  # this program was frozen for too long
    "25P04",
    "XX001",  # damaged pages: a keeper goes on with what it knows; a person restores
    "XX002",
)
"""Beginnings of SQLSTATEs. Every other is a mistake of ours and crashes."""

_ADVICE = (
    (
        r"password authentication failed|no password supplied|role .* does not exist"
        r"|not permitted to log ?in|pg_hba\.conf",
        "check the user and the password of the database's address, and the files that hold them",
    ),
    (
        r"database .* does not exist",
        "create it (CREATE DATABASE … ENCODING 'UTF8'), then run `iam-ledger migrate`",
    ),
    (
        r"certificate|does not support SSL|SSL error|sslmode|sslrootcert",
        "check `sslmode` and `sslrootcert` behind the address's `?`",
    ),
    (r"permission denied", "`iam-ledger migrate --role` gives a role what its duty needs"),
)
"""What a refusal says -> what to do. Before a session stands there is no SQLSTATE to go by."""


def told(error: DBAPIError) -> LedgerError | None:
    """What `error` is to whoever uses the ledger; None: a mistake of ours."""
    meant = None if error.orig is None else told_of(error.orig)
    if meant is None and error.connection_invalidated:
        return LedgerUnavailable(f"the database went away: {error.orig}")
    return meant


def told_of(error: BaseException) -> LedgerError | None:
    """The same for an error of the driver."""
    state = getattr(error, "sqlstate", None)
    said = " ".join(str(error).split())
    advice = next((what for pattern, what in _ADVICE if re.search(pattern, said)), None)
    if state is None:
        if type(error).__name__ not in {"OperationalError", "ConnectionTimeout"}:
            return None
        if advice is not None:
            return LedgerRefused(f"the database lets nobody in: {said}; {advice}")
        return LedgerUnavailable(f"the database cannot be reached: {said}")
    if state == _READ_ONLY:
        return LedgerReadOnly(
            f"the database only reads here ({said}): it is a replica, or set so. Nothing was "
            "appended; give the primary's address, or all hosts with "
            "`?target_session_attrs=read-write`"
        )
    if state.startswith(_REFUSED):
        return LedgerRefused(f"the database refuses it: {said}" + (f"; {advice}" if advice else ""))
    if state.startswith(_WEATHER):
        return LedgerUnavailable(f"the database did not do it: {said}")
    return None
