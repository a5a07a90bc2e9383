"""A real ledger that tells the fake clock when its threads work, and can be killed around a commit.

Behind `worker.ledger_door.LedgerDoor` it is what a worker process sees.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import URL, event
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.errors import LedgerUnavailable
from ledger.store import Ledger
from tests.support.fake_aws.faults import Life
from tests.support.fake_clock import Activity
from tests.support.threadless import connect


def _hurry(connection: Any, _record: object) -> None:
    """Processes die here, machines do not: no need to wait for the disk."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=OFF")
    cursor.close()


def _threadless(_dialect: object, _record: object, _args: Any, options: Any) -> None:
    options["async_creator_fn"] = connect


class WatchedLedger(Ledger):
    """One process's way into the ledger."""

    def __init__(self, url: URL, activity: Activity, life: Life | None = None) -> None:
        super().__init__(url)
        self.life = life or Life()
        self.commits = 0
        """Write transactions begun, each of which becomes one commit unless something fails."""
        self.dies_before: int | None = None
        """The process dies just before this commit, the first being 1."""
        self.dies_after: int | None = None
        self.out = False
        """Whether the database does not answer."""
        self.mute = False
        """Whether what a worker says to the others does not get through; all else does."""
        self._activity = activity

        if url.get_backend_name() == "sqlite":
            event.listen(self._engine.sync_engine, "do_connect", _threadless)
            event.listen(self._engine.sync_engine, "connect", _hurry)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        self._check()
        with self._activity.doing():
            async with super().reading() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        self._check()
        with self._activity.doing():
            self.commits += 1
            number = self.commits
            async with super().writing() as connection:
                yield connection
                if number == self.dies_before:
                    self.life.end(f"before commit {number}")
            if number == self.dies_after:
                self.life.end(f"after commit {number}")

    @asynccontextmanager
    async def leasing(self) -> AsyncIterator[AsyncConnection]:
        self._check()
        if self.mute:
            raise LedgerUnavailable("no word of a worker gets through, as the test wanted")
        with self._activity.doing():
            async with super().leasing() as connection:
                yield connection

    def _check(self) -> None:
        self.life.check()
        if self.out:
            raise LedgerUnavailable("the database does not answer, as the test wanted")
