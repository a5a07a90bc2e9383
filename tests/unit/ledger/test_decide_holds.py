"""Operators' holds: what they silence, and when an ingest lets them go."""

import pytest

from ledger.decide import Decision
from ledger.events import Held, Released
from ledger.model import AccountId, Principal, PrincipalKind, Team
from tests.support.builders import (
    DEV,
    PROD,
    WORD,
    Book,
    at,
    directory,
    permanent,
    temporary,
)

ANA = Principal(PrincipalKind("user"), "ana")


def hold(name: str = "hold-1", *, account: str | None = None, policy: str | None = None) -> Held:
    team = None if policy is None else Team("payments")
    return Held(name, ANA, None if account is None else AccountId(account), policy, team, WORD)


def held(decision: Decision) -> list[tuple[str, str]]:
    return [(line.declared.environment, line.declared.policy) for line in decision.held]


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        (hold(), [("prod", "look"), ("dev", "look"), ("prod", "fix")]),
        (hold(account=PROD, policy="look"), [("prod", "look")]),
        (hold(account=PROD), [("prod", "look"), ("prod", "fix")]),
        (hold(account=DEV, policy="fix"), []),
    ],
)
def test_a_line_under_a_hold_grants_nothing_and_is_listed(
    over: Held, expected: list[tuple[str, str]]
) -> None:
    book = Book()
    book.record(over)
    files = directory(
        standing=[permanent("ANA", "bob"), permanent("ANA", environment="dev")],
        windows=[temporary("ana", duration="4h")],
    )
    decision = book.ingest(files)
    assert sorted(held(decision)) == sorted(expected)
    assert decision.counts.granted == 4 - len(expected)


def test_a_hold_goes_with_the_last_line_in_force_and_only_a_later_line_grants() -> None:
    book = Book()
    files = directory(standing=[permanent("ana", "bob")])
    book.ingest(files)
    book.record(hold(), at(1))
    book.ingest(files, at(2))
    assert book.of(Released) == []
    book.ingest(directory(standing=[permanent("bob")]), at(3))
    (released,) = book.of(Released)
    assert (released.hold, released.word) == ("hold-1", None)
    assert held(book.ingest(files, at(4))) == []
    assert [row.grant.principal.name for row in book.live(at(4))].count("ana") == 1


def test_a_line_that_is_over_keeps_no_hold() -> None:
    book = Book()
    files = directory(windows=[temporary(expires_at=at(4))])
    book.record(hold())
    book.ingest(files, at(1))
    assert book.of(Released) == []
    book.ingest(files, at(4))
    assert len(book.of(Released)) == 1


def test_an_ingest_of_chosen_teams_releases_nothing() -> None:
    book = Book()
    book.ingest(directory())
    book.record(hold(), at(1))
    book.ingest(directory(), at(2), teams=frozenset({"payments"}), commit="c1")
    assert book.of(Released) == []


def test_access_that_somehow_stands_under_a_hold_ends_with_the_next_ingest() -> None:
    book = Book()
    files = directory(standing=[permanent("ana")])
    book.ingest(files)
    book.record(hold(), at(1))
    book.ingest(files, at(2))
    (row,) = book.rows.values()
    assert (row.revoked_cause, row.hold) == ("operator", "hold-1")
