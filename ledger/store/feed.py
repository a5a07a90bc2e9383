"""What a worker follows the ledger by: the envelopes of new events, never their content.

Invariant: nothing behind `after` is skipped; an event that this program cannot read is seen like
any other: its columns say whom it is about. A nudge needs no more.
"""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.codec import KINDS, VERSION
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
        )
        .where(events.c.position > after)
        .order_by(events.c.position)
        .limit(at_most)
    )
    return tuple(
        Seen(
            position=row.position,
            kind=row.kind,
            readable=row.kind in KINDS and row.version == VERSION,
            team=row.team,
            account=row.account,
            principal=row.principal,
        )
        for row in await connection.execute(query)
    )
