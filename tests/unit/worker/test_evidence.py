"""What AWS confirmed outlives a database that is away: kept in order, told once."""

from collections.abc import Sequence
from datetime import datetime

import pytest

from ledger.envelope import Draft
from ledger.errors import LedgerUnavailable
from ledger.events import Unstuck
from ledger.store.append import Appended
from ledger.store.leases import Fence
from tests.support.histories import NOON, PROD, TEAM
from worker.evidence import Evidence


class Faulty:
    """A ledger that may be away."""

    def __init__(self) -> None:
        self.away = False
        self.appended: list[Draft] = []

    async def append(
        self, drafts: Sequence[Draft], *, now: datetime, fence: Fence | None = None
    ) -> Appended:
        if self.away:
            raise LedgerUnavailable("away")
        self.appended += drafts
        return Appended((), (), 0)


def event(name: str) -> Unstuck:
    return Unstuck(PROD, team=TEAM, policy=name)


async def test_what_could_not_be_recorded_goes_first_when_the_ledger_is_back() -> None:
    ledger = Faulty()
    evidence = Evidence(ledger, "worker-1")
    ledger.away = True
    for name in ("a", "b"):
        with pytest.raises(LedgerUnavailable):
            await evidence.record(event(name), cause=1, now=NOON)
    assert evidence.waiting == 2
    ledger.away = False
    await evidence.record(event("c"), cause=1, now=NOON)
    assert [draft.event for draft in ledger.appended] == [event("a"), event("b"), event("c")]
    assert evidence.waiting == 0
    await evidence.flush(NOON)
    assert len(ledger.appended) == 3


async def test_each_fact_belongs_to_the_pass_that_found_it() -> None:
    ledger = Faulty()
    evidence = Evidence(ledger, "worker-1")
    evidence.begin_pass("p1")
    ledger.away = True
    with pytest.raises(LedgerUnavailable):
        await evidence.record(event("a"), cause=1, now=NOON)
    ledger.away = False
    evidence.begin_pass("p2")
    await evidence.record(event("b"), cause=2, now=NOON)
    found = [(draft.provenance.replica, draft.provenance.pass_id) for draft in ledger.appended]
    assert found == [("worker-1", "p1"), ("worker-1", "p2")]
    assert [draft.cause for draft in ledger.appended] == [1, 2]
