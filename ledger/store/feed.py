"""What a worker follows the ledger by: the envelopes of new events, never their content.

Invariant: nothing behind `after` is skipped; an event that this program cannot read is seen like
any other: its columns say whom it is about. A nudge needs no more. Who follows knows by the hash of
what it saw last that the ledger still is the one it followed: a hash stands for all before it.
"""

from dataclasses import dataclass
from typing import get_args

from sqlalchemy import and_, bindparam, case, not_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.codec import GENESIS, NEWEST, VERSION, kind_of, readable
from ledger.errors import ChainBroken
from ledger.events import Evidence
from ledger.model import AccountId, Team
from ledger.schema import events

SEEN_MAX = 10_000
"""How many envelopes are handed over at once."""


ROUTINE = frozenset({"ingested", "held", "released"})
"""Intent that changes nothing by itself: what follows from it are events of their own."""


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

EVIDENCE = frozenset(kind_of(kind) for kind in get_args(Evidence))


def speaks(seen: Seen) -> bool:
    """Whether people said something by it. What a newer program wrote counts as said.

    Evidence does not: whoever keeps an account is the only one to record it.
    """
    return not seen.readable or seen.kind not in EVIDENCE | ROUTINE


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


_READABLE = events.c.version.between(VERSION, case(NEWEST, value=events.c.kind, else_=VERSION))
_SAID = (
    select(events.c.position, events.c.account, events.c.hash)
    .where(
        events.c.position >= bindparam("after"),
        or_(
            events.c.position == bindparam("after"),
            not_(and_(events.c.kind.in_(sorted(EVIDENCE | ROUTINE)), _READABLE)),
        ),
    )
    .order_by(events.c.position)
)


async def said_after(
    connection: AsyncConnection, bookmark: Bookmark
) -> dict[AccountId | None, int]:
    """Where people last said something (`speaks`) behind `bookmark`, by account; None: to all.

    ChainBroken where the ledger does not hold what was seen.
    """
    rows = (await connection.execute(_SAID, {"after": bookmark.position})).all()
    if bookmark != NOTHING_SEEN:
        why = _departed(bookmark, rows[0].hash if rows else None)
        if why is not None:
            raise ChainBroken(why)
    return {row.account: row.position for row in rows if row.position > bookmark.position}


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
