"""What a keeper knows of its account: as it was read, and what it has itself recorded since.

Invariant: what is given is what a reading now would give, but for `position`, which is where it was
read; where that is not certain, it is read. So an account in which nothing was said is read once,
and an end that comes is acted on from memory.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from ledger.envelope import Recorded
from ledger.events import Removed
from ledger.model import AccountId
from ledger.state import AccountView
from ledger.store.append import Appended


class Reading(Protocol):
    """The ledger, as far as an account's view is read from it."""

    async def read_account(self, account: AccountId) -> AccountView: ...

    async def last_said(self, account: AccountId) -> int | None:
        """Where anybody but its keeper last said something about it, or about all.

        None: nothing that was read before can be held against it.
        """
        ...


class Memory:
    """Of one account; one keeper's."""

    def __init__(self, account: AccountId, ledger: Reading) -> None:
        self._account = account
        self._ledger = ledger
        self._view: AccountView | None = None
        self._holds = False
        self._since: list[Recorded] = []
        """What was recorded since `_view`, which a crowd of ends would make anew for each."""

    @property
    def last(self) -> AccountView | None:
        """As it was known last, whether or not it still holds; None: never read."""
        if self._view is not None and self._since:
            after = without(self._view, self._since)
            self._holds = self._holds and after is not None
            self._view = after or self._view
            self._since.clear()
        return self._view

    async def view(self) -> AccountView:
        """What the ledger says now; LedgerUnavailable."""
        last = self.last
        if last is not None and self._holds and not last.unreadable:
            said = await self._ledger.last_said(self._account)
            if said is not None and said <= last.position:
                return last
        view = await self._ledger.read_account(self._account)
        self.know(view)
        return view

    def know(self, view: AccountView) -> None:
        """It was read just now."""
        self._view = view
        self._since.clear()
        self._holds = True

    def forget(self) -> None:
        """The next view is read."""
        self._holds = False

    def learn(self, appended: Appended) -> None:
        """What this keeper has recorded itself."""
        if len(appended.recorded) < len(appended.positions):
            self.forget()  # of what stood already nobody here knows what came between
        self._since += appended.recorded


def without(view: AccountView, recorded: Sequence[Recorded]) -> AccountView | None:
    """`view` after these events, where they only took access away; None: it has to be read."""
    gone = set()
    teams = {entry.team for entry in view.entries}
    for item in recorded:
        if not isinstance(item.event, Removed) or item.event.cause == "drift":
            return None
        if item.event.grant.team not in teams:
            return None  # its policies may have been in view for this grant alone
        gone.add((item.event.grant.id, item.event.grant.turn))
    return replace(view, rows=tuple(row for row in view.rows if row.key not in gone))
