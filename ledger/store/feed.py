"""What a worker follows the ledger by: the envelopes of new events, never their content.

Invariant: nothing behind `after` is skipped; an event that this program cannot read is seen like
any other: its columns say whom it is about. A nudge needs no more. Who follows knows by the hash of
what it saw last that the ledger still is the one it followed: a hash stands for all before it.
"""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.codec import GENESIS, readable
from ledger.errors import ChainBroken
from ledger.model import AccountId, Team
from ledger.schema import events

SEEN_MAX = 10_000
"""How many envelopes are handed over at once."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The envelope of one event."""

    position: int
    kind: str
    readable: bool
    """Whether this program knows the kind in this version."""
    team: Team | None
    account: AccountId | None
    """None: a policy, a hold, settings or an ingest; every account of `team`, or any, may care."""
    principal: str | None
    """Its key."""
    hash: str


@dataclass(frozen=True, slots=True)
class Bookmark:
    """The newest event that a reader has seen, and by its hash all before it."""

    position: int
    hash: str


NOTHING_SEEN = Bookmark(0, GENESIS)


async def seen_after(
    connection: AsyncConnection, after: int, *, at_most: int = SEEN_MAX
) -> tuple[Seen, ...]:
    """The envelopes behind position `after`, in order; when `at_most` came, ask again for more."""
    query = (
        select(
            events.c.position,
            events.c.kind,
            events.c.version,
            events.c.team,
            events.c.account,
            events.c.principal,
            events.c.hash,
        )
        .where(events.c.position > after)
        .order_by(events.c.position)
        .limit(at_most)
    )
    return tuple(
        Seen(
            position=row.position,
            kind=row.kind,
            readable=readable(row.kind, row.version),
            team=row.team,
            account=row.account,
            principal=row.principal,
            hash=row.hash,
        )
        for row in await connection.execute(query)
    )


async def follow(connection: AsyncConnection, bookmark: Bookmark) -> tuple[Seen, ...]:
    """The envelopes behind `bookmark`, `SEEN_MAX` at most.

    ChainBroken where the ledger does not hold what was seen: it is an older copy, or was changed.
    """
    if bookmark == NOTHING_SEEN:
        return await seen_after(connection, 0)
    found = await seen_after(connection, bookmark.position - 1, at_most=SEEN_MAX + 1)
    why = _departed(bookmark, found[0].hash if found else None)
    if why is not None:
        raise ChainBroken(why)
    return found[1:]


async def departed(connection: AsyncConnection, bookmark: Bookmark) -> str | None:
    """Why the ledger is not the one in which `bookmark` was seen; None: it is. One row is read."""
    if bookmark == NOTHING_SEEN:
        return None
    query = select(events.c.hash).where(events.c.position == bookmark.position)
    return _departed(bookmark, (await connection.execute(query)).scalar_one_or_none())


def _departed(bookmark: Bookmark, standing: str | None) -> str | None:
    """`standing`: the hash of what stands where the bookmark was; None: nothing does."""
    if standing is None:
        return (
            f"the ledger ends before position {bookmark.position}, which was seen: it was put back "
            "to an older copy"
        )
    if standing != bookmark.hash:
        return (
            f"position {bookmark.position} is not the event that was seen there: the ledger was "
            "put back to an older copy and has grown since, or was changed"
        )
    return None
