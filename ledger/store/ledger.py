"""The ledger as a database: the door to all that reads and appends.

Invariant: whatever is acknowledged is durable, in order, and chained; whatever is not acknowledged
left nothing behind. The only SQL is in this package.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import URL, inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import guards
from ledger.envelope import Draft
from ledger.errors import LedgerMissing, LedgerOutdated
from ledger.schema import REVISION, events
from ledger.store.append import Appended, append
from ledger.store.dialect import (
    dispose,
    file_of,
    for_writing,
    open_engine,
    shown,
    triggers,
    weather,
)

DRAFTS_A_COMMIT_MAX = 10_000
"""A commit of this size holds the append lock for about 0.2 s."""


@dataclass(slots=True, eq=False)
class _Waiting:
    drafts: Sequence[Draft]
    now: datetime
    done: asyncio.Future[Appended]


class Ledger:
    """One open ledger. Use as an async context manager; any number of tasks may share it."""

    def __init__(self, url: URL) -> None:
        self.url = url
        self._engine = open_engine(url)
        self._writer = for_writing(self._engine)
        self._waiting: list[_Waiting] = []
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> "Ledger":
        return self

    async def __aexit__(self, *_: object) -> None:
        await dispose(self._engine)

    # --- transactions -------------------------------------------------------------------------

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that sees one instant of the ledger; LedgerUnavailable as weather."""
        with weather():
            async with self._engine.connect() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction under the append lock, committed at the end unless it raises."""
        with weather():
            async with self._writer.begin() as connection:
                yield connection

    async def append(self, drafts: Sequence[Draft], *, now: datetime) -> Appended:
        """Appends in one commit, shared with whoever else is waiting to append.

        Returns when the commit is durable. Repeating it after any failure is safe: what stands
        already is skipped.
        """
        mine = _Waiting(drafts, now, asyncio.get_running_loop().create_future())
        self._waiting.append(mine)
        try:
            async with self._turn:
                if not mine.done.done():
                    await self._append_waiting()
            return await mine.done
        finally:
            if mine in self._waiting:
                self._waiting.remove(mine)

    async def _append_waiting(self) -> None:
        """Commits for everybody who waits, up to the ceiling; whoever is next takes the rest."""
        batch: list[_Waiting] = []
        size = 0
        for waiting in self._waiting:
            if batch and size + len(waiting.drafts) > DRAFTS_A_COMMIT_MAX:
                break
            batch.append(waiting)
            size += len(waiting.drafts)
        try:
            async with self.writing() as connection:
                results = [
                    await append(connection, waiting.drafts, now=waiting.now) for waiting in batch
                ]
        except Exception as error:
            for waiting in batch:
                self._waiting.remove(waiting)
                if not waiting.done.done():
                    waiting.done.set_exception(error)
                    waiting.done.exception()  # retrieved: its task may have been cancelled
            return
        # A cancellation above leaves the others waiting: the next to get its turn commits for them.
        for waiting, result in zip(batch, results, strict=True):
            self._waiting.remove(waiting)
            if not waiting.done.done():
                waiting.done.set_result(result)

    # --- start-up -----------------------------------------------------------------------------

    async def check(self) -> None:
        """Refuses a ledger that is missing, of another schema, or without its guards."""
        path = file_of(self.url)
        where = shown(self.url)
        if path is not None and not path.exists():
            raise LedgerMissing(
                f"there is no ledger at {where}; set --database or IAM_LEDGER_DATABASE_URL, or "
                "make one with `iam-ledger migrate`"
            )
        async with self.reading() as connection:
            tables = await connection.run_sync(lambda sync: set(inspect(sync).get_table_names()))
            if events.name not in tables or "alembic_version" not in tables:
                raise LedgerMissing(
                    f"{where} holds no ledger; set --database or IAM_LEDGER_DATABASE_URL, or "
                    "make one with `iam-ledger migrate`"
                )
            found = await connection.execute(text("SELECT version_num FROM alembic_version"))
            revision = found.scalar_one_or_none()
            if revision != REVISION:
                raise LedgerOutdated(
                    f"{where} has schema {revision}, this program needs {REVISION}; "
                    "run `iam-ledger migrate` of the newer of the two"
                )
            standing = await connection.run_sync(triggers)
        gone = guards.missing(self.url.get_backend_name(), standing)
        if gone:
            raise LedgerOutdated(
                f"{where} has lost the guards that keep it append-only ({', '.join(gone)}): "
                "somebody has changed the schema by hand. Run `iam-ledger verify`, find out who, "
                "then `iam-ledger migrate` puts them back"
            )
