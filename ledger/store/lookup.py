"""Finding grants for whoever decides: by what a person typed, by whom they are for, by repetition.

Every function takes a connection inside a transaction: what it answers is of one instant.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.codec import microseconds
from ledger.model import Principal, parse_principal
from ledger.project import GrantRow
from ledger.schema import grants
from ledger.store.append import chunks
from ledger.store.dialect import on_postgresql
from ledger.store.reads import read_grants

Connection = AsyncConnection
"""An open transaction, for those who may not know SQL."""

MATCHES_MAX = 20
"""Grants shown for a prefix that is not unique."""


async def database_role(connection: Connection) -> str | None:
    """Whom the server let in; None on SQLite, which knows no roles."""
    if not on_postgresql(connection):
        return None
    return str((await connection.execute(select(func.session_user()))).scalar_one())


async def newest_turns(connection: Connection, prefix: str) -> tuple[GrantRow, ...]:
    """The newest turn of each grant whose id begins with `prefix`; at most `MATCHES_MAX`."""
    turns = (
        select(grants.c.grant_id, func.max(grants.c.turn).label("turn"))
        .where(and_(grants.c.grant_id >= prefix, grants.c.grant_id < prefix + "\x7f"))
        .group_by(grants.c.grant_id)
        .order_by(grants.c.grant_id)
        .limit(MATCHES_MAX)
        .subquery()
    )
    query = select(grants).join(
        turns, and_(grants.c.grant_id == turns.c.grant_id, grants.c.turn == turns.c.turn)
    )
    return await read_grants(connection, query.order_by(grants.c.grant_id))


async def grant_ids(connection: Connection) -> tuple[str, ...]:
    """Every grant's id, for near misses. Reads the whole index: for errors only."""
    result = await connection.execute(select(grants.c.grant_id).distinct())
    return tuple(str(row.grant_id) for row in result)


async def live_rows_of(
    connection: Connection, principal: Principal, *, now: datetime
) -> tuple[GrantRow, ...]:
    """What gives `principal` access now or will: neither revoked nor over; oldest first."""
    query = (
        select(grants)
        .where(
            grants.c.principal_key == principal.key,
            grants.c.revoked_position.is_(None),
            grants.c.ends_at > microseconds(now),
        )
        .order_by(grants.c.granted_position)
    )
    return await read_grants(connection, query)


async def principals(connection: Connection) -> tuple[Principal, ...]:
    """Everybody who was ever granted anything."""
    result = await connection.execute(select(grants.c.principal).distinct())
    return tuple(sorted({parse_principal(row.principal) for row in result}, key=str))


async def ended_rows(
    connection: Connection, accesses: Sequence[tuple[str, str]], *, now: datetime
) -> tuple[GrantRow, ...]:
    """Turns of these (principal's key, policy) whose declared end has passed, oldest first."""
    keys = sorted({key for key, _ in accesses})
    wanted = set(accesses)
    now_us = microseconds(now)
    found: list[GrantRow] = []
    for some in chunks(keys):
        query = (
            select(grants)
            .where(
                grants.c.principal_key.in_(some),
                or_(grants.c.ends_at <= now_us, grants.c.spent_at <= now_us),
            )
            .order_by(grants.c.granted_position)
        )
        rows = await read_grants(connection, query)
        found += [row for row in rows if (row.grant.principal.key, row.grant.policy) in wanted]
    return tuple(found)
