"""Many rows in one statement: each engine's own fast way, inside the transaction that is open.

Invariant: the same rows come to stand whichever way they go, and every guard looks at them. A few
rows go through SQLAlchemy as everything else does; its work for each row costs more than the
database's own, so that many are handed to the driver as they are.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import chain, islice
from typing import Any

import orjson
from sqlalchemy import (
    ARRAY,
    JSON,
    ColumnElement,
    Delete,
    Insert,
    Table,
    TableValuedAlias,
    Text,
    Update,
    and_,
    any_,
    bindparam,
    cast,
    column,
    delete,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.store.dialect import postgresql

Rows = Sequence[Mapping[str, Any]]
"""At least one, and all of the same columns."""

MANY = 50
"""Rows from which on the driver's own way pays."""

_WHERE = "where_"
"""Before the name of a parameter that finds a row, beside one that sets the same column."""


async def insert_rows(
    connection: AsyncConnection, table: Table, rows: Iterable[Mapping[str, Any]]
) -> None:
    """Adds `rows`, all of the same columns. Some statement must have been executed before.

    They are taken one by one: on PostgreSQL the server works on those that were made already while
    the next is made.
    """
    coming = iter(rows)
    first = list(islice(coming, MANY))
    if _is_postgresql(connection) and len(first) == MANY:
        await postgresql.copy_rows(connection, table, chain(first, coming))
    elif first:
        await _for_each(connection, insert(table), [*first, *coming])


async def update_rows(
    connection: AsyncConnection, table: Table, rows: Rows, *, key: Sequence[str]
) -> None:
    """Sets all columns of `rows` but `key` in the rows of this key; no key comes twice."""
    changed = [name for name in rows[0] if name not in key]
    if _is_postgresql(connection) and len(rows) >= MANY:
        given = _given(table, rows[0])
        statement = update(table).where(_same(table, given, key))
        values = {name: given.c[name] for name in changed}
        await connection.execute(statement.values(values), {"given": _text(rows)})
        return
    statement = update(table).where(
        and_(*(table.c[name] == bindparam(_WHERE + name) for name in key))
    )
    await _for_each(
        connection,
        statement.values({name: bindparam(name) for name in changed}),
        [{(_WHERE + name if name in key else name): row[name] for name in row} for row in rows],
    )


async def delete_rows(connection: AsyncConnection, table: Table, rows: Rows) -> None:
    """Takes away the rows that have the columns of one of `rows`."""
    names = list(rows[0])
    if _is_postgresql(connection) and len(rows) >= MANY:
        given = _given(table, rows[0])
        statement = delete(table).where(_same(table, given, names))
        await connection.execute(statement, {"given": _text(rows)})
        return
    where = and_(*(table.c[name] == bindparam(name) for name in names))
    await _for_each(connection, delete(table).where(where), rows)


@asynccontextmanager
async def without_indexes(connection: AsyncConnection, table: Table) -> AsyncIterator[None]:
    """While a table is filled anew: its indexes are made again at the end, at half the cost.

    PostgreSQL keeps them: there nobody else could read the table from here to the commit.
    """
    if _is_postgresql(connection):
        yield
        return
    indexes = sorted(table.indexes, key=lambda index: str(index.name))
    for index in indexes:
        await connection.run_sync(index.drop, checkfirst=True)
    yield
    for index in indexes:
        await connection.run_sync(index.create)


def among(
    connection: AsyncConnection, column: ColumnElement[Any], values: Iterable[str]
) -> ColumnElement[bool]:
    """`column` is one of `values`, which are one parameter however many they are."""
    if _is_postgresql(connection):
        return column == any_(literal(list(values), ARRAY(Text)))
    listed = func.json_each(literal(orjson.dumps(list(values)).decode(), Text))
    return column.in_(select(listed.table_valued("value").c.value))


def _is_postgresql(connection: AsyncConnection) -> bool:
    return connection.dialect.name == "postgresql"


async def _for_each(
    connection: AsyncConnection, statement: Insert | Update | Delete, rows: Rows
) -> None:
    """One statement, executed for each row."""
    if len(rows) < MANY or _is_postgresql(connection):
        await connection.execute(statement, list(rows))
        return
    text, names = _as_text(statement, list(rows[0]), connection.dialect)
    await connection.exec_driver_sql(text, [tuple(map(row.__getitem__, names)) for row in rows])


def _as_text(
    statement: Insert | Update | Delete, names: list[str], dialect: Dialect
) -> tuple[str, Sequence[str]]:
    """The statement as SQLAlchemy words it, and whose value each of its marks takes."""
    compiled = statement.compile(dialect=dialect, column_keys=names)
    return str(compiled), tuple(compiled.positiontup or ())


def _given(table: Table, row: Mapping[str, Any]) -> TableValuedAlias:
    """Rows in one parameter, as a table: an array of objects, which the server takes apart."""
    columns = [column(name, table.c[name].type) for name in row]
    rows = func.json_to_recordset(cast(bindparam("given", type_=Text), JSON))
    return rows.table_valued(*columns, name="given").render_derived(with_types=True)


def _same(table: Table, given: TableValuedAlias, names: Iterable[str]) -> ColumnElement[bool]:
    return and_(*(table.c[name] == given.c[name] for name in names))


def _text(rows: Rows) -> str:
    return orjson.dumps(list(rows)).decode()
