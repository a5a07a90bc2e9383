"""The brake: what it counts, what always meets it, and what lets an ingest pass."""

import pytest

from ledger.decide.decision import Brake, Decision
from ledger.events import Held
from ledger.model import Principal, PrincipalKind, Team
from tests.support.builders import (
    DEV,
    WORD,
    Book,
    Files,
    at,
    directory,
    permanent,
    temporary,
)


def people(count: int, first: int = 0) -> list[str]:
    return [f"user{number}" for number in range(first, first + count)]


def standing(count: int, first: int = 0, **more: object) -> Files:
    names = people(count, first)
    return directory(standing=[permanent(*names)] if names else [], **more)  # type: ignore[arg-type]  # builders check nothing


def after(before: Files, files: Files, *, consent: int | None = None) -> Decision:
    book = Book()
    book.ingest(before)
    return book.plan(files, at(1), consent=consent)


def met(decision: Decision) -> Brake:
    assert decision.brake is not None
    return decision.brake


@pytest.mark.parametrize(("kept", "braked"), [(80, False), (79, True)])
def test_more_than_twenty_ends_meet_it(kept: int, braked: bool) -> None:
    decision = after(standing(100), standing(kept))
    assert (decision.brake is not None) is braked
    if decision.brake is not None:
        assert decision.brake.reasons == ("count",)
        assert (decision.brake.number, decision.brake.percent) == (21, 21)
        assert "--allow-revocations 21" in decision.brake.message
        assert [row.grant.principal.name for row in decision.brake.ends] == people(21, 79)


@pytest.mark.parametrize(
    ("before", "kept", "braked"),
    [(5, 1, False), (10, 5, False), (9, 4, True), (6, 1, True)],
)
def test_more_than_half_meets_it_once_five_would_end(before: int, kept: int, braked: bool) -> None:
    decision = after(standing(before), standing(kept))
    assert (decision.brake is not None) is braked
    if decision.brake is not None:
        assert decision.brake.reasons == ("percent",)


def test_the_settings_say_where_it_lies() -> None:
    settings = {"max_revocations": {"count": 1, "percent": 100}}
    assert met(after(standing(9), standing(7, settings=settings))).reasons == ("count",)
    assert after(standing(9), standing(8, settings=settings)).brake is None


@pytest.mark.parametrize(
    ("consent", "braked"), [(None, True), (20, True), (21, False), (99, False)]
)
def test_only_a_number_that_is_large_enough_lets_it_pass(consent: int | None, braked: bool) -> None:
    decision = after(standing(100), standing(79), consent=consent)
    assert (decision.brake is not None) is braked


def test_an_empty_directory_always_meets_it() -> None:
    brake = met(after(standing(1), {}))
    assert brake.reasons == ("empty-directory",)
    assert after(standing(1), {}, consent=1).brake is None


def test_an_empty_directory_with_only_settings_is_empty() -> None:
    assert met(after(standing(1), {"iam-ledger.yaml": b"settings: {}"})).number == 1


def test_an_empty_directory_over_a_ledger_without_access_ends_nothing() -> None:
    assert after(directory(), {}).brake is None


def test_access_whose_file_is_gone_always_meets_it() -> None:
    brake = met(after(standing(3), directory()))
    assert brake.reasons == ("file-gone",)
    assert brake.files_gone == ("permanent-access/payments.yaml",)
    assert "permanent-access/payments.yaml" in brake.message


def test_a_file_that_is_gone_with_only_ended_lines_meets_nothing() -> None:
    book = Book()
    book.ingest(directory(windows=[temporary(duration="4h")]))
    assert book.plan(directory(), at(9)).brake is None


def test_a_renamed_file_ends_nothing() -> None:
    before = standing(3)
    after_ = {path.replace(".yaml", ".yml"): text for path, text in before.items()}
    decision = after(before, after_)
    assert (decision.brake, decision.counts.revoked) == (None, 0)


def longer(hours: int, count: int = 6) -> Files:
    return directory(windows=[temporary(name, duration=f"{hours}h") for name in people(count)])


def test_a_mass_extension_ends_nothing_and_a_mass_shortening_counts() -> None:
    assert after(longer(4), longer(6)).brake is None
    assert met(after(longer(6), longer(4))).number == 6


def test_access_that_another_live_window_covers_does_not_end() -> None:
    both = directory(
        windows=[
            entry
            for name in people(6)
            for entry in (temporary(name, duration="4h"), temporary(name, expires_at=at(8)))
        ]
    )
    one = directory(windows=[temporary(name, expires_at=at(8)) for name in people(6)])
    decision = after(both, one)
    assert (decision.counts.revoked, decision.brake) == (6, None)


def test_a_later_window_with_a_gap_before_it_does_not_hide_an_end() -> None:
    def later(hours: int) -> Files:
        return directory(
            windows=[temporary(name, starts_at=at(hours), expires_at=at(30)) for name in people(6)]
        )

    assert met(after(longer(8), later(5))).number == 6
    assert after(later(5), later(5)).brake is None


def test_a_remapped_environment_counts_what_ends_in_the_old_account() -> None:
    moved = standing(6, accounts={"prod": "333333333333", "dev": DEV})
    assert met(after(standing(6), moved)).number == 6


def test_the_share_is_of_the_teams_ingested() -> None:
    big = directory("big", standing=[permanent(*people(40))])
    small = directory("small", standing=[permanent(*people(8, 50))])
    less = directory("small", standing=[permanent(*people(2, 50))])
    book = Book()
    book.ingest(big | small)
    assert book.plan(big | less, at(1)).brake is None
    chosen = met(book.plan(big | less, at(1), teams=frozenset({"small"})))
    assert (chosen.number, chosen.live) == (6, 8)
    assert chosen.ends[0].grant.team == Team("small")


def test_a_chosen_team_without_files_is_not_an_empty_directory() -> None:
    book = Book()
    book.ingest(directory("small", standing=[permanent("ana")]) | directory("big"))
    brake = met(book.plan({}, at(1), teams=frozenset({"small"})))
    assert brake.reasons == ("file-gone",)


def test_what_an_operator_ended_is_not_counted() -> None:
    book = Book()
    files = standing(3, settings={"max_revocations": {"count": 0}})
    book.ingest(files)
    user0 = Principal(PrincipalKind("user"), "user0")
    book.record(Held("hold-1", user0, None, None, None, WORD), at(1))
    decision = book.plan(files, at(2))
    assert (decision.counts.revoked, decision.brake) == (1, None)


def test_expiry_is_never_braked() -> None:
    book = Book()
    book.ingest(longer(4, count=30))
    decision = book.plan(directory(), at(9))
    assert (decision.brake, decision.counts.revoked) == (None, 0)
