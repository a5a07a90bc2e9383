"""Recording what AWS confirmed, so that a database outage loses none of it.

Invariant: evidence is kept in memory, in order, until the ledger has acknowledged it; nothing new
is recorded before what is waiting.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from ledger.envelope import Draft, Provenance
from ledger.events import Event, Left, Removed
from ledger.model import GrantId
from ledger.store.append import Appended
from ledger.store.leases import Fence


class Appending(Protocol):
    """The part of the ledger that evidence needs; the tests put a faulty one in its place."""

    async def append(
        self, drafts: "list[Draft]", *, now: datetime, fence: Fence | None = None
    ) -> Appended: ...


class Evidence:
    """One keeper's way of telling the ledger what happened. Commits are shared by all keepers."""

    def __init__(
        self,
        ledger: Appending,
        replica: str,
        fence: Fence | None = None,
        told: Callable[[Appended], None] = lambda _: None,
    ) -> None:
        """`fence`: None where no other worker may keep the account. `told` hears of all that the
        ledger has taken."""
        self._ledger = ledger
        self._fence = fence
        self._told = told
        self._provenance = Provenance(replica=replica)
        self._waiting: list[Draft] = []

    @property
    def waiting(self) -> int:
        """How many confirmed facts the ledger does not have yet."""
        return len(self._waiting)

    @property
    def ends_waiting(self) -> frozenset[tuple[GrantId, int]]:
        """Grants whose end AWS has confirmed, and the ledger does not know yet."""
        events = (draft.event for draft in self._waiting)
        return frozenset(
            (event.grant.id, event.grant.turn)
            for event in events
            if isinstance(event, Removed | Left)
        )

    def begin_pass(self, pass_id: str) -> None:
        """What is recorded from now on belongs to this pass."""
        self._provenance = replace(self._provenance, pass_id=pass_id)

    async def record(self, event: Event, *, cause: int, now: datetime) -> None:
        """Returns when `event`, and all before it, is durable.

        LedgerUnavailable: it is kept, and goes with the next call or `flush`. Fenced: another
        worker keeps the account, and finds out for itself.
        """
        self._waiting.append(Draft(event, cause, self._provenance))
        await self.flush(now)

    async def flush(self, now: datetime) -> None:
        """Records what is waiting; LedgerUnavailable leaves all of it waiting."""
        if not self._waiting:
            return
        sending = list(self._waiting)
        appended = await self._ledger.append(sending, now=now, fence=self._fence)
        del self._waiting[: len(sending)]
        self._told(appended)
