"""Whether a database is this program's ledger: its tables, its schema, its guards.

Invariant: a program reads and writes the one schema that it knows. Another program may change the
schema at any time, under the append lock; so who was let in once asks again in every transaction.
"""

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from sqlalchemy import URL, Connection, Text, column, inspect, select, table
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import guards
from ledger.errors import LedgerForeign, LedgerMigrated, LedgerMissing, LedgerOutdated
from ledger.schema import REVISION, events
from ledger.store.dialect import check_server, file_of, shown, triggers

TABLES_SHOWN_MAX = 5

_VERSIONS = "alembic_version"
_REVISION = select(column("version_num", Text)).select_from(table(_VERSIONS))


class Readable(Protocol):
    """A database that may be a ledger."""

    url: URL

    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]: ...


async def check_ledger(ledger: Readable) -> None:
    """Refuses a ledger that is missing, of another schema, or without its guards."""
    path = file_of(ledger.url)
    where = shown(ledger.url)
    if path is not None and not path.is_file():
        raise LedgerMissing(
            f"there is no ledger at {where}; set --database or IAM_LEDGER_DATABASE_URL, or "
            "make one with `iam-ledger migrate`"
        )
    async with ledger.reading() as connection:
        await connection.run_sync(check_server)
        await connection.run_sync(_check_tables, where)
        revision = await _revision(connection)
        if revision != REVISION:
            raise LedgerOutdated(_outdated(where, revision))
        standing = await connection.run_sync(triggers)
    gone = guards.missing(ledger.url.get_backend_name(), standing)
    if gone:
        raise LedgerOutdated(
            f"{where} has lost the guards that keep it append-only ({', '.join(gone)}): "
            "somebody has changed the schema by hand. Run `iam-ledger verify`, find out who, "
            "then `iam-ledger migrate` puts them back"
        )


async def check_still(connection: AsyncConnection, url: URL) -> None:
    """LedgerMigrated where the schema is not any more what `check_ledger` has found."""
    revision = await _revision(connection)
    if revision != REVISION:
        raise LedgerMigrated(
            f"{shown(url)} was migrated to schema {revision} while this program ran, which knows "
            f"{REVISION}: it reads and records nothing any more. Start the newer iam-ledger in its "
            "place"
        )


async def _revision(connection: AsyncConnection) -> str | None:
    found: str | None = (await connection.execute(_REVISION)).scalar_one_or_none()
    return found


def _outdated(where: str, revision: str | None) -> str:
    """What is wrong, and what to type."""
    said = f"{where} has schema {revision}, this program needs {REVISION}"
    if revision is not None and revision > REVISION:
        return (
            f"{said}: a newer iam-ledger has migrated it. Run that version: `pip install --upgrade "
            "iam-ledger`, or its image. Nothing was changed"
        )
    return f"{said}: run `iam-ledger migrate`. Nothing was changed"


def _check_tables(connection: Connection, where: str) -> None:
    """LedgerMissing where nothing is yet, LedgerForeign where what is there is not a ledger's."""
    look = inspect(connection)
    tables = set(look.get_table_names())

    def has(table_name: str, columns: Iterable[str]) -> bool:
        if table_name not in tables:
            return False
        return {found["name"] for found in look.get_columns(table_name)}.issuperset(columns)

    versioned = has(_VERSIONS, ["version_num"])
    if versioned and has(events.name, events.columns.keys()):
        return
    if not tables or (versioned and tables == {_VERSIONS}):
        raise LedgerMissing(
            f"{where} holds no ledger; set --database or IAM_LEDGER_DATABASE_URL, or "
            "make one with `iam-ledger migrate`"
        )
    named = sorted(tables)
    shown_names = ", ".join(named[:TABLES_SHOWN_MAX]) + (", …" if named[TABLES_SHOWN_MAX:] else "")
    raise LedgerForeign(
        f"{where} holds no ledger; set --database or IAM_LEDGER_DATABASE_URL to one, or to a "
        f"database of its own: the tables here ({shown_names}) are not a ledger's. "
        "Nothing was changed"
    )
