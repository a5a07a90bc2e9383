"""The rows of a period, exactly as they stand: what `export` hands to an auditor.

Invariant: nothing is left out between the first and the last row that is handed over, and a ledger
that somebody damaged is handed over as it is.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.codec import Envelope, microseconds
from ledger.schema import events
from ledger.store.reads import stream_envelopes


@dataclass(frozen=True, slots=True)
class Span:
    """Positions from `first` to `last`, both included; empty when `last` is before `first`."""

    first: int
    last: int

    def joined_to(self, size: int) -> "Span":
        """The same with the row before it, and on to the row that a checkpoint of `size` saw last:
        so that nobody can have left out a row of it, or put one in."""
        return Span(max(1, min(self.first - 1, size)), max(self.last, size))


async def span_of(
    connection: AsyncConnection, start: datetime | None, end: datetime | None
) -> Span:
    """What was recorded from `start` (None: the first event) to just before `end` (None: now)."""
    newest = await connection.execute(select(func.max(events.c.position)))
    head = newest.scalar_one() or 0
    first = 1 if start is None else await _split(connection, microseconds(start), head, odd=True)
    behind = head + 1
    if end is not None:
        behind = await _split(connection, microseconds(end), head, odd=False)
    return Span(first, behind - 1)


async def _split(connection: AsyncConnection, wanted_us: int, head: int, *, odd: bool) -> int:
    """The first position recorded at or after that instant; one behind the head when none was.

    By halving, as `recorded_at` never goes backwards. In a damaged ledger a gap is stepped over,
    and what is no instant counts as such a position if `odd`.
    """
    low, high = 1, head + 1
    while low < high:
        middle = (low + high) // 2
        query = (
            select(events.c.position, events.c.recorded_at)
            .where(events.c.position >= middle)
            .order_by(events.c.position)
            .limit(1)
        )
        position, instant_us = (await connection.execute(query)).one()
        if instant_us >= wanted_us if isinstance(instant_us, int) else odd:
            high = middle
        else:
            low = position + 1
    return low


def stream_span(connection: AsyncConnection, span: Span) -> AsyncGenerator[Envelope, None]:
    """Its rows in order, a bounded number in memory at a time."""
    return stream_envelopes(connection, after=span.first - 1, last=span.last)
