"""The ledger as the worker uses it: one open store behind the protocols of keepers and feed."""

from collections.abc import Sequence
from datetime import datetime

from ledger.envelope import Draft
from ledger.model import AccountId
from ledger.project import GrantRow
from ledger.state import AccountView
from ledger.store import Ledger
from ledger.store.append import Appended, read_head
from ledger.store.dialect import Watch, open_watch
from ledger.store.feed import Seen, seen_after
from ledger.store.sources import StoredSource, keep_sources
from ledger.store.standing import AccountStatus, write_accounts
from ledger.store.views import accounts_to_keep, closed_rows_of, read_account


class LedgerDoor:
    """Every method raises LedgerUnavailable as weather. Close it to stop watching."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._watch = open_watch(ledger.url, ledger.address)

    def close(self) -> None:
        self._watch.close()

    # --- for keepers ----------------------------------------------------------------------------

    async def append(self, drafts: Sequence[Draft], *, now: datetime) -> Appended:
        return await self._ledger.append(drafts, now=now)

    async def read_account(self, account: AccountId) -> AccountView:
        async with self._ledger.reading() as connection:
            return await read_account(connection, account)

    async def read_closed(self, account: AccountId, objects: list[str]) -> tuple[GrantRow, ...]:
        async with self._ledger.reading() as connection:
            return await closed_rows_of(connection, account, objects)

    async def keep_source(self, source: StoredSource) -> None:
        async with self._ledger.writing() as connection:
            await keep_sources(connection, [source])

    # --- for the daemon and its feed ------------------------------------------------------------

    @property
    def watch(self) -> Watch:
        """The ear itself: when it is worth asking."""
        return self._watch

    def changed(self) -> bool:
        return self._watch.changed()

    async def head(self) -> int:
        async with self._ledger.reading() as connection:
            return (await read_head(connection)).position

    async def seen_after(self, position: int) -> tuple[Seen, ...]:
        async with self._ledger.reading() as connection:
            return await seen_after(connection, position)

    async def accounts(self) -> tuple[AccountId, ...]:
        async with self._ledger.reading() as connection:
            return await accounts_to_keep(connection)

    async def write_status(self, statuses: Sequence[AccountStatus]) -> None:
        async with self._ledger.writing() as connection:
            await write_accounts(connection, statuses)
