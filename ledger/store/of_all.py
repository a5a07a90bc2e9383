"""What every account's words have in common, read once and kept from one reading to the next.

Invariant: what is kept is given only for an instant at which it was so: a reader behind the newest
of these words, and one before whom something has been said since to all accounts, reads them anew.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import bindparam, exists, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.account_words import OF_ALL, OfAll
from ledger.envelope import Recorded
from ledger.project import LatestKey
from ledger.schema import events
from ledger.state import AccountView, Unreadable
from ledger.store.append import read_head
from ledger.store.reads import Newest, newest_readable

_SINCE = events.c.position > bindparam("position")
_SAID_TO_ALL = exists().where(events.c.account.is_(None), _SINCE)
"""Policies, settings, and whatever a newer program says without naming an account."""
_SAID_TO_ONE = exists().where(events.c.account == bindparam("account"), _SINCE)

_WHETHER_TO_ALL = select(_SAID_TO_ALL)
_WHETHER = select(_SAID_TO_ONE | _SAID_TO_ALL)


@dataclass(frozen=True, slots=True)
class InCommon:
    """What a reading of any account has in common with those of all others at its instant."""

    position: int
    """The head."""
    ledger_id: str
    of_all: OfAll


async def read_in_common(connection: AsyncConnection) -> InCommon:
    """At this instant."""
    of_all = of_all_in([await newest_readable(connection, topic) for topic in OF_ALL])
    head = await read_head(connection)
    return InCommon(head.position, await ledger_id(connection), of_all)


def of_all_in(found: Iterable[Newest]) -> OfAll:
    """Of the words on the topics `OF_ALL`."""
    known: dict[LatestKey, Recorded] = {}
    unreadable: dict[LatestKey, Unreadable] = {}
    for words in found:
        known |= words.known
        unreadable |= words.unreadable
    return OfAll(known, unreadable)


async def ledger_id(connection: AsyncConnection) -> str:
    """Twelve characters of the first event's hash; empty while there is no event.

    Made with the first event and never again, it tells two installations apart in one account.
    """
    first = await connection.execute(_FIRST)
    found = first.scalar_one_or_none()
    return "" if found is None else str(found)[:12]


_FIRST = select(events.c.hash).where(events.c.position == 1)


async def still_holds(connection: AsyncConnection, view: AccountView) -> bool:
    """Whether nothing was said since `view` was read, to its account or to all.

    What stands beside the events is not looked at: a view that could not be read whole is never
    taken to hold, since somebody may be mending it.
    """
    if view.unreadable:
        return False
    asked = {"account": view.account, "position": view.position}
    return not (await connection.execute(_WHETHER, asked)).scalar_one()


class Kept:
    """One process's memory of what all accounts have in common; it holds a copy at a time."""

    def __init__(self) -> None:
        self._words: InCommon | None = None
        """As it was read at its position, and has been until `_until`."""
        self._until = 0

    async def at(self, connection: AsyncConnection) -> InCommon:
        """What holds at the instant of `connection`."""
        kept = self._words
        if kept is None:
            return self._keep(await read_in_common(connection))
        head = (await connection.execute(_HEAD)).scalar_one() or 0
        if head < kept.position:
            return await read_in_common(connection)  # a reader that began before it was read
        if head > self._until:
            asked = {"position": self._until}
            if (await connection.execute(_WHETHER_TO_ALL, asked)).scalar_one():
                return self._keep(await read_in_common(connection))
            if self._words is kept:
                self._until = max(self._until, head)
        return InCommon(head, kept.ledger_id, kept.of_all)

    def _keep(self, words: InCommon) -> InCommon:
        if words.ledger_id and (self._words is None or words.position > self._words.position):
            self._words = words
            self._until = words.position
        return words


_HEAD = select(func.max(events.c.position))
