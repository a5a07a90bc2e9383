"""The ledger as a database: the door to all that reads and appends.

Invariant: whatever is acknowledged is durable, in order, and chained; whatever is not acknowledged
left nothing behind. The only SQL is in this package.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.envelope import Draft
from ledger.errors import LedgerUnavailable
from ledger.store.append import Appended, append
from ledger.store.dialect import (
    Address,
    dispose,
    for_leasing,
    for_reading,
    for_writing,
    open_engine,
    weather,
)
from ledger.store.leases import Fence, check_fences
from ledger.store.opening import check_ledger, check_still
from ledger.store.together import Asked, Together

DRAFTS_A_COMMIT_MAX = 10_000
"""A commit of this size holds the append lock for about 0.2 s."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    drafts: Sequence[Draft]
    now: datetime
    fence: Fence | None


_Waiting = Asked[_Wanted, Appended]


class Ledger:
    """One open ledger. Use as an async context manager; any number of tasks may share it."""

    def __init__(self, url: URL, address: Address | None = None) -> None:
        """`address` says anew where it is, for each connection: passwords are renewed. None: `url`,
        for ever."""
        self.url = url
        self.address = address
        self._engine = open_engine(url, address=address)
        self._reader = for_reading(self._engine)
        self._writer = for_writing(self._engine)
        self._leaser = for_leasing(self._engine)
        self._appending = Together(self._append_waiting)
        self._checked = False

    async def __aenter__(self) -> "Ledger":
        return self

    async def __aexit__(self, *_: object) -> None:
        await dispose(self._engine)

    # --- transactions -------------------------------------------------------------------------

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that sees one instant of the ledger; LedgerUnavailable as weather."""
        with weather():
            async with self._reader.connect() as connection:
                await self._look_at(connection)
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction under the append lock, committed at the end unless it raises."""
        with weather():
            async with self._writer.begin() as connection:
                await self._look_at(connection)
                yield connection

    @asynccontextmanager
    async def leasing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction of one worker at a time, for `ledger.store.leases`; holds up no append."""
        with weather():
            async with self._leaser.begin() as connection:
                await self._look_at(connection)
                yield connection

    async def append(
        self, drafts: Sequence[Draft], *, now: datetime, fence: Fence | None = None
    ) -> Appended:
        """Appends in one commit, shared with whoever else is waiting to append.

        Recorded at the latest `now` of those who share it, and never before what stands already.
        Returns when the commit is durable. Repeating it after any failure is safe: what stands
        already is skipped. Raises Fenced where `fence` is void by the time of the commit; None:
        whoever appends shares nothing out.
        """
        return await self._appending.ask(_Wanted(drafts, now, fence))

    async def _append_waiting(self, waiting: Sequence[_Waiting]) -> None:
        """Commits for all of them up to the ceiling; one of the others then takes the rest.

        Who goes on where this one was cancelled skips what was durable already.
        """
        batch: list[_Waiting] = []
        size = 0
        for each in waiting:
            if batch and size + len(each.what.drafts) > DRAFTS_A_COMMIT_MAX:
                break
            batch.append(each)
            size += len(each.what.drafts)
        await self._settle(batch)

    async def _settle(self, batch: Sequence[_Waiting]) -> None:
        """Commits for all of `batch`; one that asks for what cannot be fails alone.

        It is found by halving: the others still share their commits.
        """
        (failure,) = await asyncio.gather(self._commit(batch), return_exceptions=True)
        if failure is None:
            return
        if not isinstance(failure, Exception):
            raise failure
        if isinstance(failure, LedgerUnavailable) or len(batch) == 1:
            for waiting in batch:
                waiting.fail(failure)
            return
        middle = len(batch) // 2
        await self._settle(batch[:middle])
        await self._settle(batch[middle:])

    async def _commit(self, batch: Sequence[_Waiting]) -> None:
        """One append for all: what each asked costs as little as if one had asked for it all."""
        async with self.writing() as connection:
            fences = {one.what.fence for one in batch if one.what.fence is not None}
            await check_fences(connection, fences)
            appended = await append(
                connection,
                [draft for waiting in batch for draft in waiting.what.drafts],
                now=max(waiting.what.now for waiting in batch),
            )
        new = {item.position: item for item in appended.recorded}
        start = 0
        for waiting in batch:
            positions = appended.positions[start : start + len(waiting.what.drafts)]
            start += len(waiting.what.drafts)
            # Where two say the same, it is new to the first of them only.
            own = tuple(new.pop(at) for at in dict.fromkeys(positions) if at in new)
            waiting.answer(Appended(positions, own, appended.head))

    # --- start-up -----------------------------------------------------------------------------

    async def check(self) -> None:
        """Refuses a ledger that is missing, of another schema, or without its guards; from here on
        every transaction refuses one that a newer program has migrated since, as LedgerMigrated."""
        await check_ledger(self)
        self._checked = True

    async def _look_at(self, connection: AsyncConnection) -> None:
        """After the append lock was taken: who migrates takes it too."""
        if self._checked:
            await check_still(connection, self.url)
