"""The ledger as the worker uses it: one open store behind the protocols of keepers and feed.

Invariant: what was found to be another ledger than the one that this process has followed stays so
to its end: `departed` is never taken back. What AWS confirmed is recorded all the same, as far as
that ledger knows what it is about; what it does not know is told in the log, and lost to it.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

import structlog

from ledger.envelope import Draft
from ledger.errors import ChainBroken
from ledger.model import AccountId
from ledger.project import GrantRow
from ledger.state import AccountView
from ledger.store import Ledger
from ledger.store.append import Appended, read_head
from ledger.store.dialect import Watch, open_watch
from ledger.store.feed import NOTHING_SEEN, Bookmark, Seen, departed, follow, said_after, speaks
from ledger.store.leases import Beat, Fence, Replica, beat, leave
from ledger.store.of_all import Kept, still_holds
from ledger.store.sources import StoredSource, keep_sources
from ledger.store.standing import AccountStatus, forget_accounts, write_accounts
from ledger.store.views import accounts_to_keep, closed_rows_of, read_accounts
from worker.last_said import LastSaid

log = structlog.get_logger()


class LedgerDoor:
    """Every method raises LedgerUnavailable as weather. Close it to stop watching."""

    def __init__(self, ledger: Ledger) -> None:
        self.departed: str | None = None
        """Why this is not the ledger that was followed until now; None: it is, for all we know."""
        self._newest = NOTHING_SEEN
        self._kept = Kept()
        self._said = LastSaid(self._look_for_words)
        self._ledger = ledger
        self._watch = open_watch(ledger.url, ledger.address)

    def close(self) -> None:
        self._watch.close()

    # --- for keepers ----------------------------------------------------------------------------

    async def append(
        self, drafts: Sequence[Draft], *, now: datetime, fence: Fence | None = None
    ) -> Appended:
        """Raises Fenced where another worker keeps these accounts since."""
        try:
            return await self._ledger.append(drafts, now=now, fence=fence)
        except ChainBroken:
            if not await self._has_departed():
                raise
        return await self._append_what_is_known(drafts, now=now, fence=fence)

    async def _append_what_is_known(
        self, drafts: Sequence[Draft], *, now: datetime, fence: Fence | None
    ) -> Appended:
        """One by one: what is about a grant that an older copy does not know can stand nowhere."""
        done: list[Appended] = []
        for draft in drafts:
            try:
                done.append(await self._ledger.append([draft], now=now, fence=fence))
            except ChainBroken as error:
                lost = repr(draft.event)
                log.error("evidence_lost", why=str(error), lost=lost)  # noqa: TRY400  it is whole
        return Appended(
            positions=tuple(position for each in done for position in each.positions),
            recorded=tuple(item for each in done for item in each.recorded),
            head=done[-1].head if done else (await self.head()).position,
        )

    async def _has_departed(self) -> bool:
        if self.departed is None:
            try:
                await self.seen_after(self._newest)
            except ChainBroken:
                return True
        return self.departed is not None

    async def read_account(self, account: AccountId) -> AccountView:
        """Of one instant, at which what was followed until then stood there, or `departed`."""
        return (await self.read_accounts([account]))[account]

    async def read_accounts(self, accounts: Sequence[AccountId]) -> dict[AccountId, AccountView]:
        """The same of several, `ACCOUNTS_MAX` at most, as they are all at one instant."""
        async with self._ledger.reading() as connection:
            self._look_at(await departed(connection, self._newest))
            return await read_accounts(connection, accounts, self._kept)

    async def read_again(self, view: AccountView) -> AccountView:
        """`view` itself where nothing was said since that concerns its account, else a new one."""
        async with self._ledger.reading() as connection:
            self._look_at(await departed(connection, self._newest))
            if self.departed is None and await still_holds(connection, view):
                return view
            return (await read_accounts(connection, [view.account], self._kept))[view.account]

    async def last_said(self, account: AccountId) -> int | None:
        """Where people last said something about it, or about all; None: in another ledger."""
        said = await self._said.about(account)
        return said if self.departed is None else None

    async def _look_for_words(self) -> dict[AccountId | None, int]:
        async with self._ledger.reading() as connection:
            try:
                return await said_after(connection, self._newest)
            except ChainBroken as error:
                self.distrust(str(error))
                return {}

    def _look_at(self, why: str | None) -> None:
        """What was kept of another ledger holds no more in this one."""
        if why is not None:
            self.distrust(why)
        if self.departed is not None:
            self._kept = Kept()

    async def read_closed(self, account: AccountId, objects: list[str]) -> tuple[GrantRow, ...]:
        async with self._ledger.reading() as connection:
            return await closed_rows_of(connection, account, objects)

    async def keep_source(self, source: StoredSource) -> None:
        async with self._ledger.writing() as connection:
            await keep_sources(connection, [source])

    # --- among workers --------------------------------------------------------------------------

    async def beat(self, me: Replica, *, now: datetime, let_go: Collection[int]) -> Beat:
        async with self._ledger.leasing() as connection:
            return await beat(connection, me, now=now, let_go=let_go)

    async def leave(self, me: Replica) -> None:
        async with self._ledger.leasing() as connection:
            await leave(connection, me)

    # --- for the daemon and its feed ------------------------------------------------------------

    @property
    def watch(self) -> Watch:
        """The ear itself: when it is worth asking."""
        return self._watch

    def changed(self) -> bool:
        return self._watch.changed()

    def distrust(self, why: str) -> None:
        """From here on this is another ledger; the first cause found is the one that is kept."""
        self.departed = self.departed or why

    async def head(self) -> Bookmark:
        """Where the ledger ends now: where a reader may begin."""
        async with self._ledger.reading() as connection:
            head = await read_head(connection)
        self._newest = Bookmark(head.position, head.hash)
        self._said.note(None, head.position)  # what came before it was not looked at
        return self._newest

    async def seen_after(self, bookmark: Bookmark) -> tuple[Seen, ...]:
        """What is behind it; ChainBroken, and `departed`, where it does not stand any more."""
        try:
            async with self._ledger.reading() as connection:
                seen = await follow(connection, bookmark)
        except ChainBroken as error:
            self.distrust(str(error))
            raise
        for item in seen:
            if speaks(item):
                self._said.note(item.account, item.position)
        if seen:
            self._newest = Bookmark(seen[-1].position, seen[-1].hash)
        return seen

    async def accounts(self) -> tuple[AccountId, ...]:
        async with self._ledger.reading() as connection:
            return await accounts_to_keep(connection)

    async def write_status(self, statuses: Sequence[AccountStatus]) -> None:
        async with self._ledger.writing() as connection:
            await write_accounts(connection, statuses)
            await forget_accounts(connection, {status.account for status in statuses})
