"""A real ledger that tells the fake clock when its threads work, and can be killed around a commit.

It holds to `worker.keeper.Reading`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.errors import LedgerUnavailable
from ledger.model import AccountId
from ledger.project import GrantRow
from ledger.state import AccountView
from ledger.store import Ledger
from ledger.store.views import closed_rows_of, read_account
from tests.support.fake_aws.faults import Life
from tests.support.fake_clock import Activity


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
        self._activity = activity

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

    def _check(self) -> None:
        self.life.check()
        if self.out:
            raise LedgerUnavailable("the database does not answer, as the test wanted")

    async def read_account(self, account: AccountId) -> AccountView:
        async with self.reading() as connection:
            return await read_account(connection, account)

    async def read_closed(self, account: AccountId, objects: list[str]) -> tuple[GrantRow, ...]:
        async with self.reading() as connection:
            return await closed_rows_of(connection, account, objects)
