"""Where people last said something about each account: whether what was read of it still holds.

Invariant: nothing that was committed before it was asked is missed. One look at the ledger answers
all who asked before it began, so that a thousand keepers that wake at one instant cost one.
"""

from collections.abc import Awaitable, Callable, Sequence

from ledger.model import AccountId
from ledger.store.together import Asked, Together

Look = Callable[[], Awaitable[dict[AccountId | None, int]]]
"""Positions by account, None: of all, of whatever may have been said since the last look."""


class LastSaid:
    """One process's memory of it; grows with the accounts that it hears of."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._of: dict[AccountId | None, int] = {}
        self._asking = Together(self._answer)

    async def about(self, account: AccountId) -> int:
        """The newest position at which anything was said to it, or to all; LedgerUnavailable."""
        return await self._asking.ask(account)

    def note(self, account: AccountId | None, position: int) -> None:
        """Something was said there, to `account` or (None) to all, as somebody else has seen."""
        self._of[account] = max(position, self._of.get(account, 0))

    async def _answer(self, asked: Sequence[Asked[AccountId, int]]) -> None:
        for account, position in (await self._look()).items():
            self.note(account, position)
        to_all = self._of.get(None, 0)
        for each in asked:
            each.answer(max(to_all, self._of.get(each.what, 0)))
