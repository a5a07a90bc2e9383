"""Reading events and the newest words back, typed.

Every function takes a connection inside a transaction: what it answers is of one instant.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, and_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.codec import Envelope, decode, decode_provenance, instant_of
from ledger.envelope import Recorded
from ledger.errors import ChainBroken
from ledger.project import GrantRow, LatestKey, Topic
from ledger.rows import row_of
from ledger.schema import events, grants, latest
from ledger.store.append import chunks

STREAM_ROWS = 2_000
"""How many rows a stream holds at a time."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What to keep; None keeps all. Texts are compared exactly, `principal` by its key."""

    account: str | None = None
    environment: str | None = None
    team: str | None = None
    principal: str | None = None
    """`user/ana`, or `ana` for that name of any kind; case is ignored."""
    policy: str | None = None
    grant: str | None = None
    """A grant's id, or the beginning of one."""


def recorded_of(row: Mapping[Any, Any]) -> Recorded:
    """One row of `events`; UnknownEvent for a kind or version that is newer than this program.

    ChainBroken for one that nobody can read: the ledger writes none such.
    """
    try:
        return Recorded(
            row["position"],
            instant_of(row["recorded_at"]),
            decode(row["kind"], row["version"], row["payload"]),
            decode_provenance(row["provenance"]),
            row["dedup_key"],
            row["hash"],
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ChainBroken(
            f"the event at position {row['position']} cannot be read ({error}); run "
            "`iam-ledger verify`"
        ) from error


def envelope_of(row: Mapping[Any, Any]) -> Envelope:
    """The same row exactly as stored, for hashing."""
    values = dict(row)
    values["recorded_at_us"] = values.pop("recorded_at")
    return Envelope(**values)


async def stream_envelopes(
    connection: AsyncConnection, *, after: int | None = None
) -> AsyncGenerator[Envelope, None]:
    """Every row behind `after` (None: all), in order, a bounded number in memory at a time."""
    query = select(events).order_by(events.c.position)
    if after is not None:
        query = query.where(events.c.position > after)
    async with connection.stream(query, execution_options={"yield_per": STREAM_ROWS}) as result:
        async for row in result.mappings():
            yield envelope_of(row)


async def read_events(connection: AsyncConnection, query: Select[Any]) -> tuple[Recorded, ...]:
    """The events that `query` (a select over `events`) finds, in its order."""
    result = await connection.execute(query)
    return tuple(recorded_of(row) for row in result.mappings())


async def events_at(connection: AsyncConnection, positions: Sequence[int]) -> dict[int, Recorded]:
    """The events at these positions."""
    found: dict[int, Recorded] = {}
    for some in chunks(sorted(set(positions))):
        for item in await read_events(
            connection, select(events).where(events.c.position.in_(some))
        ):
            found[item.position] = item
    return found


async def newest(
    connection: AsyncConnection, topic: Topic, *, account: str | None = None
) -> dict[LatestKey, Recorded]:
    """The newest event of every subject of `topic`, of one account or of all."""
    where = [latest.c.topic == topic]
    if account is not None:
        where.append(latest.c.account == account)
    query = (
        select(
            latest.c.topic,
            latest.c.account.label("l_account"),
            latest.c.team.label("l_team"),
            latest.c.name,
            events,
        )
        .join(events, events.c.position == latest.c.position)
        .where(and_(*where))
        .order_by(events.c.position)
    )
    result = await connection.execute(query)
    return {
        LatestKey(row["topic"], row["l_account"], row["l_team"], row["name"]): recorded_of(row)
        for row in result.mappings()
    }


async def read_grants(connection: AsyncConnection, query: Select[Any]) -> tuple[GrantRow, ...]:
    """The rows that `query` (a select over `grants`) finds, in its order."""
    result = await connection.execute(query)
    return tuple(row_of(columns) for columns in result.mappings())


def all_grants() -> Select[Any]:
    return select(grants)
