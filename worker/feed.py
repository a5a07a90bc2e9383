"""Follows the ledger: whatever is appended by somebody else is told within one look.

So is that the ledger is another than it was: what was seen before must stand there still.
A look costs microseconds while nothing happens; where the ledger can be heard (PostgreSQL), none is
taken without cause for seconds. Weather of the database is counted and outlived: the keepers have
clocks of their own, and a nudge that comes late costs latency only.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from ledger.errors import ChainBroken, LedgerUnavailable
from ledger.store.feed import SEEN_MAX, Bookmark, Seen
from worker.clock import Clock
from worker.metrics import Metrics

log = structlog.get_logger()

AWAY_PAUSE = timedelta(seconds=1)
"""Between looks at a ledger that does not answer."""


class News(Protocol):
    """The ledger as the feed sees it."""

    def changed(self) -> bool:
        """Whether anything was committed since the last call; LedgerUnavailable."""
        ...

    async def head(self) -> Bookmark:
        """Where it ends now; LedgerUnavailable."""
        ...

    async def seen_after(self, bookmark: Bookmark) -> tuple[Seen, ...]:
        """The next envelopes behind `bookmark`, `SEEN_MAX` at most; LedgerUnavailable.

        ChainBroken where what it marks does not stand there any more.
        """
        ...


Tell = Callable[[Sequence[Seen]], Awaitable[None]]
Depart = Callable[[str], None]


class Feed:
    """One process's ear to the ledger."""

    def __init__(
        self,
        news: News,
        clock: Clock,
        metrics: Metrics,
        *,
        every: timedelta,
        bookmark: Bookmark,
        on_departed: Depart,
        heard: asyncio.Event | None = None,
    ) -> None:
        """Looks `every` so often, and as soon as `heard` is set, which looking clears.

        `on_departed` is told why the ledger is not the one that was followed; it is then followed
        from where it ends now, and whoever is told must look at all of it.
        """
        self.answered_at: datetime | None = None
        """When the ledger last answered; None: never yet."""
        self.away: LedgerUnavailable | None = None
        """Why it does not answer; None: it does."""
        self._news = news
        self._clock = clock
        self._metrics = metrics
        self._every = every
        self._bookmark = bookmark
        self._on_departed = on_departed
        self._behind = False
        self._wakers = () if heard is None else (heard,)

    async def run(self, tell: Tell, stop: asyncio.Event, *, on_return: Callable[[], None]) -> None:
        """Looks until the worker stops; `tell` hears of all that is behind `bookmark`.

        `on_return`: the ledger answers again, and whoever waits for it need wait no longer.
        """
        while not stop.is_set():
            try:
                await self.look(tell)
                if self.away is not None:
                    self.away = None
                    log.info("ledger_returned")
                    on_return()
            except LedgerUnavailable as error:
                self.away, self._behind = error, True
                self._metrics.ledger_errors.inc()
                log.warning("ledger_unavailable", why=str(error))
                await self._clock.sleep_until(self._clock.now() + AWAY_PAUSE, stop)
                continue
            due = self._clock.now() + self._every
            await self._clock.sleep_until(due, stop, *self._wakers)

    async def look(self, tell: Tell) -> None:
        """Tells what is new, if anything; LedgerUnavailable leaves it for the next look."""
        if not (self._news.changed() or self._behind):
            self.answered_at = self._clock.now()
            return
        self._behind = True
        try:
            await self._read_on(tell)
        except ChainBroken as error:
            self._bookmark = await self._news.head()
            self._metrics.head.set(self._bookmark.position)
            self._on_departed(str(error))
        self._behind = False
        self.answered_at = self._clock.now()

    async def _read_on(self, tell: Tell) -> None:
        while seen := await self._news.seen_after(self._bookmark):
            await tell(seen)
            self._bookmark = Bookmark(seen[-1].position, seen[-1].hash)
            self._metrics.head.set(self._bookmark.position)
            if len(seen) < SEEN_MAX:
                return
