"""Puts a synthetic history into an empty ledger, in bulk: `append` takes ten times as long.

Invariant: what is built verifies (a test holds it), so that what is measured on it is what a real
ledger of that size would give. Of a large one `check` looks at a part.
"""

import sqlite3
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import Constraint, Table, UniqueConstraint, select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import AddConstraint, DropConstraint

from benchmarks.stencils import Pressing, Row
from benchmarks.synthetic import Company
from ledger import guards
from ledger.answer import as_known
from ledger.chain import Audit
from ledger.model import GrantId
from ledger.rows import columns_of
from ledger.schema import events, grants, latest
from ledger.store import Ledger
from ledger.store.append import chunks, read_head
from ledger.store.dialect import file_of
from ledger.store.questions import events_of
from ledger.store.reads import stream_columns

BATCH = 50_000
"""Events between two times that rows of grants are put in, and memory is given back."""

CHECKED = 100_000
"""Events at each end of the ledger whose chain is checked."""

GRANTS_CHECKED = 2_000

NAMES = ", ".join(column.name for column in events.columns)


async def build(ledger: Ledger, company: Company) -> None:
    """Fills an empty ledger: events, and the projection as they make it."""
    path = file_of(ledger.url)
    if path is not None:
        _fill_sqlite(path, Pressing(company))
        return
    async with _bare(ledger):
        await _fill_postgresql(ledger, Pressing(company))
    async with ledger.writing() as connection:  # as its autovacuum does, which tests run without
        await connection.execute(text("ANALYZE"))


def _batches(pressing: Pressing) -> Iterator[tuple[list[Row], list[Row]]]:
    """Rows of events, and those of grants that were over with them."""
    coming = pressing.events()
    while rows := list(islice(coming, BATCH)):
        closed, pressing.closed = pressing.closed, []
        yield rows, closed
    yield [], [*pressing.closed, *pressing.still_open()]


def _said(pressing: Pressing) -> list[Row]:
    """Rows of `latest`."""
    return [(*asdict(key).values(), position) for key, position in pressing.newest.items()]


# --- SQLite -----------------------------------------------------------------------------------


def _fill_sqlite(path: Path, pressing: Pressing) -> None:
    """Without a journal where nobody else has the file open; what is half made is thrown away."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        with suppress(sqlite3.OperationalError):
            database.execute("PRAGMA journal_mode=OFF")
        database.execute("PRAGMA synchronous=OFF")
        database.execute("PRAGMA cache_size=-1500000")
        made = database.execute(
            "SELECT type, name, sql FROM sqlite_master WHERE tbl_name IN ('events', 'grants') "
            "AND type IN ('index', 'trigger') AND sql IS NOT NULL"
        ).fetchall()
        for kind, name, _ in made:
            database.execute(f"DROP {kind} {name}")
        database.execute("BEGIN")
        for rows, closed in _batches(pressing):
            _insert(database, events, rows)
            _insert(database, grants, closed)
        _insert(database, latest, _said(pressing))
        for _, _, ddl in made:
            database.execute(ddl)
        database.execute("COMMIT")
        database.execute("PRAGMA journal_mode=WAL")


def _insert(database: sqlite3.Connection, table: Table, rows: list[Row]) -> None:
    marks = ", ".join("?" * len(table.columns))
    database.executemany(f"INSERT INTO {table.name} VALUES ({marks})", rows)  # noqa: S608 - our own names


# --- PostgreSQL -------------------------------------------------------------------------------


@asynccontextmanager
async def _bare(ledger: Ledger) -> AsyncIterator[None]:
    """Without what looks at each row: indexes, keys and guards, which are made again at the end."""
    indexes = [index for table in (events, grants) for index in table.indexes]
    unique = (key for key in events.constraints if isinstance(key, UniqueConstraint))
    keys: list[Constraint] = [*unique, grants.primary_key]
    names = guards.names("postgresql")
    async with ledger.writing() as connection:
        for name in names:
            await connection.execute(text(guards.removing("postgresql", name)))
        for index in indexes:
            await connection.run_sync(index.drop)
        for key in keys:
            await connection.execute(DropConstraint(key))
    yield
    async with ledger.writing() as connection:
        await connection.execute(text("SET LOCAL maintenance_work_mem = '1GB'"))
        for key in keys:
            await connection.execute(AddConstraint(key))
        for index in indexes:
            await connection.run_sync(index.create)
        for name in names:
            for ddl in guards.making("postgresql", name):
                await connection.exec_driver_sql(ddl)


async def _fill_postgresql(ledger: Ledger, pressing: Pressing) -> None:
    async with ledger.writing() as connection:
        for rows, closed in _batches(pressing):
            await _copy(connection, events, rows)
            await _copy(connection, grants, closed)
        await _copy(connection, latest, _said(pressing))


async def _copy(connection: AsyncConnection, table: Table, rows: Iterable[Row]) -> None:
    driver: Any = (await connection.get_raw_connection()).driver_connection
    async with driver.cursor() as cursor, cursor.copy(f"COPY {table.name} FROM STDIN") as copy:
        for row in rows:
            await copy.write_row(row)


# --- holding it against what it must be -------------------------------------------------------


async def check(ledger: Ledger) -> str:
    """What was checked of a ledger that is too large to verify; AssertionError where it is wrong.

    The chain of both ends, each row there as its event would be written, and some grants' rows
    against the fold of all their events.
    """
    random = Random(5)  # noqa: S311 - the same every time
    async with ledger.reading() as connection:
        head = (await read_head(connection)).position
        await _check_chain(connection, after=0, last=min(head, CHECKED))
        await _check_chain(connection, after=max(0, head - CHECKED), last=head)
        ids = [await _some_id(connection, random) for _ in range(GRANTS_CHECKED)]
        histories = await events_of(connection, [(grant, 1) for grant in ids])
        for some in chunks(ids):
            found = await connection.execute(select(grants).where(grants.c.grant_id.in_(some)))
            for stored in found.mappings():
                row = as_known(histories[GrantId(stored["grant_id"]), stored["turn"]], head)
                assert row is not None, stored  # noqa: S101 - what was built is ours
                assert dict(stored) == columns_of(row), stored  # noqa: S101 - likewise
    rows = min(head, 2 * CHECKED)
    return f"{head:,} events; {rows:,} of them and {len(histories):,} grants checked"


async def _some_id(connection: AsyncConnection, random: Random) -> GrantId:
    """The first grant behind an id made by chance."""
    beginning = "".join(random.choices("abcdefghijklmnopqrstuvwxyz234567", k=6))
    query = select(grants.c.grant_id).where(grants.c.grant_id >= beginning)
    found = await connection.execute(query.order_by(grants.c.grant_id).limit(1))
    return GrantId(found.scalar_one_or_none() or await _some_id(connection, random))


async def _check_chain(connection: AsyncConnection, *, after: int, last: int) -> None:
    audit = Audit(chain_only=after > 0, position=after)
    async for rows in stream_columns(connection, after=after, last=last):
        for row in rows:
            audit.hash = row[-2] if audit.count == 0 else audit.hash
            audit.look_at(row)
    assert not audit.problems, audit.problems  # noqa: S101 - what was built is ours
    assert audit.position == last  # noqa: S101 - likewise
