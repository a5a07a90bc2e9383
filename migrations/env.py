"""alembic's way into a ledger: async, one transaction, the engine the store itself uses."""

import asyncio

from alembic import context
from sqlalchemy import Connection

from ledger import guards
from ledger.schema import metadata
from ledger.store.dialect import (
    check_server,
    dispose,
    for_writing,
    open_engine,
    parse_url,
    triggers,
    weather,
)


def _migrate(connection: Connection) -> None:
    check_server(connection)
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()
        _put_guards_back(connection)


def _put_guards_back(connection: Connection) -> None:
    """Whoever took them away is found by `verify`; the ledger is append-only again from here."""
    standing = triggers(connection)
    dialect = connection.dialect.name
    for name in guards.missing(dialect, standing):
        if name in standing:
            connection.exec_driver_sql(guards.removing(dialect, name))
        for ddl in guards.making(dialect, name):
            connection.exec_driver_sql(ddl)


async def _online() -> None:
    url = parse_url(context.config.attributes["url"])
    engine = for_writing(open_engine(url, create=True))
    try:
        with weather():
            async with engine.begin() as connection:
                await connection.run_sync(_migrate)
    finally:
        await dispose(engine)


asyncio.run(_online())
