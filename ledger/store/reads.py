"""Reading events and the newest words back, typed.

Every function takes a connection inside a transaction: what it answers is of one instant.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from sqlalchemy import CursorResult, Select, bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.codec import Envelope, decode, decode_provenance, instant_of
from ledger.envelope import Provenance, Recorded
from ledger.errors import ChainBroken, UnknownEvent
from ledger.project import GrantRow, LatestKey, Topic
from ledger.rows import row_of
from ledger.schema import events, grants, latest
from ledger.state import Unreadable
from ledger.store.append import chunks

STREAM_ROWS = 2_000
"""How many rows a stream holds at a time."""

AT_A_TIME = 100
"""Rows that become events or grants before others get their turn: two to five milliseconds."""

T = TypeVar("T")


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
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise ChainBroken(
            f"the event at position {row['position']} cannot be read ({error}); run "
            "`iam-ledger verify`"
        ) from error


def provenance_of(position: int, text: str | None) -> Provenance:
    """The provenance of the event at `position`; ChainBroken where there is none to be read."""
    if text is None:
        raise ChainBroken(
            f"nothing stands at position {position}, where a grant's event should be; run "
            "`iam-ledger verify`"
        )
    try:
        return decode_provenance(text)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise ChainBroken(
            f"the provenance of the event at position {position} cannot be read ({error}); run "
            "`iam-ledger verify`"
        ) from error


_ENVELOPE = [
    events.c["recorded_at" if field.name == "recorded_at_us" else field.name]
    for field in fields(Envelope)
]
"""The columns of a row in the order of an envelope's fields."""


async def stream_envelopes(
    connection: AsyncConnection, *, after: int | None = None, last: int | None = None
) -> AsyncGenerator[Envelope, None]:
    """Every row behind `after` and up to `last` (None: all), in order, a bounded number in memory
    at a time."""
    async with aclosing(stream_columns(connection, after=after, last=last)) as batches:
        async for some in batches:
            for columns in some:
                yield Envelope(*columns)


async def stream_columns(
    connection: AsyncConnection, *, after: int | None = None, last: int | None = None
) -> AsyncGenerator[Sequence[tuple[Any, ...]], None]:
    """The same by batches, each row as it stands, in the order of an envelope's fields."""
    query = select(*_ENVELOPE).order_by(events.c.position)
    if after is not None:
        query = query.where(events.c.position > after)
    if last is not None:
        query = query.where(events.c.position <= last)
    async with connection.stream(query, execution_options={"yield_per": STREAM_ROWS}) as result:
        # By partitions: a row by itself costs a switch between greenlets, a third of the reading.
        async for some in result.partitions():
            yield [tuple(row) for row in some]


async def read_events(connection: AsyncConnection, query: Select[Any]) -> tuple[Recorded, ...]:
    """The events that `query` (a select over `events`) finds, in its order."""
    result = await connection.execute(query)
    return tuple(recorded_of(row) for row in by_name(result))


async def events_at(connection: AsyncConnection, positions: Sequence[int]) -> dict[int, Recorded]:
    """The events at these positions."""
    found: dict[int, Recorded] = {}
    for some in chunks(sorted(set(positions))):
        for item in await read_events(
            connection, select(events).where(events.c.position.in_(some))
        ):
            found[item.position] = item
    return found


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest words about the subjects of one topic."""

    known: dict[LatestKey, Recorded]
    """In order of position."""
    unreadable: dict[LatestKey, Unreadable]

    @property
    def positions(self) -> dict[LatestKey, int]:
        """Where each newest word stands, whether it can be read or not."""
        known = {key: item.position for key, item in self.known.items()}
        return known | {key: item.position for key, item in self.unreadable.items()}


async def newest(connection: AsyncConnection, topic: Topic) -> Mapping[LatestKey, Recorded]:
    """The newest event of every subject of `topic`.

    UnknownEvent or ChainBroken where one of them cannot be read.
    """
    rows = (await connection.execute(_WORDS, {"topics": [topic]})).mappings()
    return {_subject_of(row): _word_of(row) async for row in unhurried(rows)}


async def newest_readable(
    connection: AsyncConnection, topic: Topic, *, account: str | None = None
) -> Newest:
    """The same, of one account or of all, for those who must go on with what can be read."""
    if account is None:
        return await read_newest(connection, _WORDS, {"topics": [topic]})
    asked = {"topics": [topic], "accounts": [account]}
    return await read_newest(connection, WORDS_OF_ACCOUNTS, asked)


async def read_newest(
    connection: AsyncConnection, query: Select[Any], asked: Mapping[str, object]
) -> Newest:
    """What `query` finds of `latest` and the events it points at: one bad row stops nobody else."""
    known: dict[LatestKey, Recorded] = {}
    unreadable: dict[LatestKey, Unreadable] = {}
    async for row in unhurried(by_name(await connection.execute(query, asked))):
        subject = _subject_of(row)
        try:
            known[subject] = _word_of(row)
        except (UnknownEvent, ChainBroken) as error:
            position = row["l_position"]
            message = f"{subject}, position {position}: {error}"
            unreadable[subject] = Unreadable(position, subject, message)
    return Newest(known, unreadable)


def _subject_of(row: Mapping[Any, Any]) -> LatestKey:
    return LatestKey(row["topic"], row["l_account"], row["l_team"], row["l_name"])


def _word_of(row: Mapping[Any, Any]) -> Recorded:
    if row["position"] is None:
        raise ChainBroken(
            f"nothing stands at position {row['l_position']}, where the newest word on "
            f"{_subject_of(row)} should be; run `iam-ledger verify`"
        )
    return recorded_of(row)


_WORDS = (
    select(
        latest.c.topic,
        latest.c.account.label("l_account"),
        latest.c.team.label("l_team"),
        latest.c.name.label("l_name"),
        latest.c.position.label("l_position"),
        events,
    )
    .join(events, events.c.position == latest.c.position, isouter=True)
    .where(latest.c.topic.in_(bindparam("topics", expanding=True)))
    .order_by(latest.c.position)
)
WORDS_OF_ACCOUNTS = _WORDS.where(latest.c.account.in_(bindparam("accounts", expanding=True)))
"""Of `topics`, in order of position; made once, since every keeper asks them."""


async def unhurried(items: Iterable[T]) -> AsyncGenerator[T, None]:
    """`items`, so few at a time that what is made of each holds up nobody else for long."""
    for number, item in enumerate(items, 1):
        yield item
        if number % AT_A_TIME == 0:
            await asyncio.sleep(0)


def by_name(result: CursorResult[Any]) -> Iterator[dict[str, Any]]:
    """Rows as dictionaries: of a row of forty columns each look-up costs less than in a mapping
    that asks its row."""
    names = tuple(result.keys())
    return (dict(zip(names, row, strict=True)) for row in result)


async def read_grants(connection: AsyncConnection, query: Select[Any]) -> tuple[GrantRow, ...]:
    """The rows that `query` (a select over `grants`) finds, in its order.

    ChainBroken where one of them cannot be read.
    """
    result = await connection.execute(query)
    return tuple(row_of(columns) for columns in by_name(result))


def all_grants() -> Select[Any]:
    return select(grants)
