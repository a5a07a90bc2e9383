"""What a changed directory does to access, line by line."""

from datetime import timedelta

import pytest

from ledger.decide.decision import Declared, Gone
from ledger.events import Granted, Revoked
from tests.support.builders import (
    DEV,
    PROD,
    Book,
    Entry,
    Files,
    at,
    directory,
    permanent,
    policy,
    temporary,
)


def windows(*entries: Entry, **more: object) -> Files:
    return directory(windows=entries, **more)  # type: ignore[arg-type]  # builders check nothing


def test_the_same_directory_twice_appends_nothing() -> None:
    book = Book()
    files = directory(standing=[permanent("ana", "bob")], windows=[temporary(duration="4h")])
    assert len(book.ingest(files).planned) == 9
    assert book.ingest(files, at(1)).planned == ()


def test_events_stand_in_the_order_that_keeps_every_state_between_them_sound() -> None:
    book = Book()
    book.ingest(directory(standing=[permanent("ana", environment="dev")]))
    files = directory(
        accounts={"prod": PROD},
        policies={"look": policy(description="anew"), "more": policy()},
        standing=[permanent("bob")],
        settings={"protected_principals": ["user/root"]},
    )
    kinds = [type(item.event).__name__ for item in book.ingest(files, at(1)).planned]
    assert kinds == [
        "SettingsChanged",
        "PolicyDefined",
        "PolicyDefined",
        "Revoked",
        "Granted",
        "AccountUnmapped",
        "PolicyRetired",
        "Ingested",
    ]


def test_a_duration_counts_from_the_ingest_that_first_saw_it_in_whole_seconds() -> None:
    book = Book()
    book.ingest(windows(temporary(duration="4h")), at() + timedelta(milliseconds=999))
    (row,) = book.rows.values()
    assert (row.grant.window.starts_at, row.grant.window.ends_at) == (at(), at(4))
    assert row.grant.object == f"iam-ledger-{row.grant.id}"


def test_a_longer_duration_ends_later_by_the_difference_and_keeps_its_name_in_iam() -> None:
    book = Book()
    book.ingest(windows(temporary(duration="4h")))
    decision = book.ingest(windows(temporary(duration="6h")), at(3))
    first, second = book.rows.values()
    assert first.revoked_cause == "replaced"
    assert (second.grant.window.starts_at, second.grant.window.ends_at) == (at(), at(6))
    assert second.grant.turn == 2
    assert second.grant.continues == first.key
    assert second.grant.object == first.grant.object
    assert [change.after for change in decision.changes] == [second.grant]
    assert (decision.adds, decision.ends) == ((), ())


def test_a_shorter_duration_that_is_not_over_yet_ends_earlier() -> None:
    book = Book()
    book.ingest(windows(temporary(duration="6h")))
    book.ingest(windows(temporary(duration="4h")), at(3))
    (row,) = book.live(at(3))
    assert row.grant.window.ends_at == at(4)


def test_a_duration_shortened_into_the_past_ends_now_and_is_spent() -> None:
    book = Book()
    book.ingest(windows(temporary(duration="6h")))
    decision = book.ingest(windows(temporary(duration="2h")), at(3))
    (row,) = book.rows.values()
    assert row.revoked_cause == "replaced"
    assert row.spent_at == at(2)
    assert [note.code for note in decision.notes] == ["already-ended"]
    again = book.ingest(windows(temporary(duration="9h")), at(3.5))
    assert [note.code for note in again.notes] == ["spent"]
    assert book.live(at(3.5)) == []


def test_a_line_shortened_into_the_past_is_continued_by_the_one_that_asks_anew() -> None:
    book = Book()
    book.ingest(windows(temporary(duration="6h")))
    anew = temporary(duration="4h", ticket="OPS-2")
    book.ingest(windows(temporary(duration="2h"), anew), at(3))
    old, new = book.rows.values()
    assert (old.revoked_cause, old.spent_at) == ("replaced", at(2))
    assert (new.grant.continues, new.grant.object) == (old.key, old.grant.object)


def test_the_next_turn_answers_the_newest_thing_known_of_the_one_before() -> None:
    book = Book()
    files = windows(temporary(duration="4h"))
    book.ingest(files)
    book.ingest(directory(), at(1))
    (row,) = book.rows.values()
    assert row.revoked is not None
    planned = book.ingest(files, at(2)).planned
    assert [item.cause for item in planned if isinstance(item.event, Granted)] == [
        row.revoked.position
    ]


def test_another_time_zone_moves_the_end_of_a_day_and_continues_the_access() -> None:
    book = Book()
    entry = temporary(expiration_date="2026-03-03")
    book.ingest(windows(entry))
    book.ingest(windows(entry, settings={"time_zone": "America/New_York"}), at(1))
    first, second = book.rows.values()
    assert first.grant.window.ends_at == at(39)
    assert second.grant.window.ends_at == at(44)
    assert second.grant.continues == first.key


def test_a_remapped_environment_moves_a_duration_and_keeps_its_clock() -> None:
    book = Book()
    book.ingest(windows(temporary(duration="4h")))
    moved = windows(temporary(duration="4h"), accounts={"prod": "333333333333", "dev": DEV})
    decision = book.ingest(moved, at(1))
    first, second = book.rows.values()
    assert (first.revoked_cause, second.grant.account) == ("replaced", "333333333333")
    assert second.grant.window == first.grant.window
    assert second.grant.continues is None
    assert second.grant.turn == 2
    assert [row.grant.account for row in decision.ends] == [PROD]


@pytest.mark.parametrize("line", [{"duration": "4h"}, {"expires_at": at(4)}, {}], ids=str)
def test_what_a_remapped_environment_ends_and_grants_is_replaced_by_the_accounts_line(
    line: Entry,
) -> None:
    dated = [temporary(**line)] if line else []
    standing = [] if line else [permanent("ana")]
    book = Book()
    book.ingest(directory(standing=standing, windows=dated), commit="c1")
    accounts = {"dev": DEV, "prod": {"deployer_role": "Deployer", "id": "333333333333"}}
    remapped = directory(standing=standing, windows=dated, accounts=accounts)
    decision = book.ingest(remapped, at(1), commit="c2")
    first, second = book.rows.values()
    assert (first.revoked_cause, first.grant.account) == ("replaced", PROD)
    assert (second.grant.account, second.grant.continues) == ("333333333333", None)
    (end,) = (item.origin for item in decision.planned if isinstance(item.event, Revoked))
    (start,) = (item.origin for item in decision.planned if isinstance(item.event, Granted))
    assert isinstance(end, Declared)
    assert isinstance(start, Declared)
    assert {(source.path, source.line) for source in end.deciding} == {
        ("aws-accounts/payments.yaml", 4),
        ("aws-accounts/payments.yaml", 6),
    }
    assert set(end.deciding) < set(start.deciding)


def test_a_line_taken_out_of_a_remapped_environment_is_removed_and_not_replaced() -> None:
    """The same principal and policy stand in another environment: that is no move of this line."""
    book = Book()
    both = [permanent("ana"), permanent("ana", environment="dev")]
    book.ingest(directory(standing=both), commit="c1")
    moved = {"prod": "333333333333", "dev": DEV}
    decision = book.ingest(directory(standing=both[1:], accounts=moved), at(1))
    (end,) = (item for item in decision.planned if isinstance(item.event, Revoked))
    assert isinstance(end.event, Revoked)
    assert (end.event.grant.account, end.event.cause) == (PROD, "removed")
    assert end.origin == Gone("permanent-access/payments.yaml", "c1")


def test_a_removed_line_restored_before_its_end_resumes_the_old_end() -> None:
    book = Book()
    files = windows(temporary(duration="4h"))
    book.ingest(files)
    book.ingest(directory(), at(1))
    assert book.live(at(1)) == []
    book.ingest(files, at(2))
    (row,) = book.live(at(2))
    assert row.grant.turn == 2
    assert (row.grant.window.starts_at, row.grant.window.ends_at) == (at(), at(4))
    assert row.grant.continues is None


def test_what_gives_access_now_is_continued_before_what_was_to_give_it_later() -> None:
    """Two lines become one: in the place of the later one the first would leave a gap."""
    book = Book()
    later = temporary(starts_at=at(6), expires_at=at(9))
    book.ingest(windows(later))
    book.ingest(windows(later, temporary(expires_at=at(4))), at(0.5))
    book.ingest(windows(temporary(expires_at=at(5))), at(1))
    _, now, new = book.rows.values()
    assert (new.grant.continues, new.grant.object) == (now.key, now.grant.object)


def test_a_new_line_for_the_same_access_takes_the_place_of_the_one_taken_away() -> None:
    book = Book()
    book.ingest(windows(temporary(expires_at=at(4))))
    book.ingest(windows(temporary(expires_at=at(8))), at(1))
    first, second = book.rows.values()
    assert first.revoked_cause == "replaced"
    assert second.grant.continues == first.key
    assert second.grant.object == first.grant.object
    assert second.grant.id != first.grant.id


def test_each_removed_window_is_continued_once_oldest_first() -> None:
    book = Book()
    book.ingest(windows(temporary(expires_at=at(4))))
    book.ingest(windows(temporary(expires_at=at(4)), temporary(expires_at=at(5))), at(1))
    book.ingest(windows(temporary(expires_at=at(8))), at(2))
    oldest, other, new = book.rows.values()
    assert new.grant.continues == oldest.key
    assert (oldest.revoked_cause, other.revoked_cause) == ("replaced", "removed")


def test_access_to_come_later_continues_nothing_that_ends_now() -> None:
    book = Book()
    book.ingest(windows(temporary(expires_at=at(4))))
    book.ingest(windows(temporary(starts_at=at(6), expires_at=at(8))), at(1))
    old, new = book.rows.values()
    assert old.revoked_cause == "removed"
    assert new.grant.continues is None


@pytest.mark.parametrize("permanent_first", [True, False])
def test_permanent_and_temporary_access_continue_each_other_under_names_of_their_own(
    permanent_first: bool,
) -> None:
    book = Book()
    lasting = directory(standing=[permanent("ana", grant="fix")])
    passing = windows(temporary(duration="4h"))
    first, second = (lasting, passing) if permanent_first else (passing, lasting)
    book.ingest(first)
    book.ingest(second, at(1))
    old, new = book.rows.values()
    assert new.grant.continues == old.key
    assert new.grant.object == (f"iam-ledger-{new.grant.id}" if permanent_first else None)


def test_two_live_windows_never_share_a_name_in_iam() -> None:
    book = Book()
    early, late = temporary(expires_at=at(4)), temporary(expires_at=at(8))
    book.ingest(windows(early))
    book.ingest(windows(late), at(1))  # takes over the name of the early one
    book.ingest(windows(early, late), at(2))  # which comes back beside it
    names = [row.grant.object for row in book.live(at(3))]
    assert len(names) == len(set(names)) == 2


def test_a_removed_line_says_which_file_held_it_and_since_when_it_may_be_gone() -> None:
    book = Book()
    book.ingest(directory(standing=[permanent("ana")]), commit="c1")
    decision = book.ingest(directory(), at(1), commit="c2")
    (removal,) = (item for item in decision.planned if isinstance(item.event, Revoked))
    assert removal.origin == Gone("permanent-access/payments.yaml", "c1")


def test_a_new_line_is_brought_by_the_newest_of_all_places_that_decide_it() -> None:
    decision = Book().ingest(windows(temporary(duration="4h")))
    (grant,) = (item for item in decision.planned if isinstance(item.event, Granted))
    assert isinstance(grant.origin, Declared)
    places: dict[str, set[int]] = {}
    for source in grant.origin.deciding:
        places.setdefault(source.path, set()).add(source.line)
    assert places == {
        "temporary-access/payments.yaml": {5, 6, 7, 8},
        "aws-accounts/payments.yaml": {3},
    }


def test_only_the_chosen_teams_are_touched() -> None:
    book = Book()
    both = directory("alpha", standing=[permanent("ana")]) | directory(
        "beta", standing=[permanent("bob")]
    )
    book.ingest(both, commit="c1")
    without = directory("alpha") | directory("beta")
    decision = book.ingest(without, at(1), teams=frozenset({"alpha"}), commit="c2")
    assert decision.teams == ("alpha",)
    assert [row.grant.team for row in book.live(at(1))] == ["beta"]
    assert book.view(at(1)).last_commits == {"alpha": "c2", "beta": "c1"}


def test_a_team_that_is_gone_from_the_directory_loses_everything() -> None:
    book = Book()
    alpha = directory("alpha", standing=[permanent("ana")])
    book.ingest(alpha | directory("beta", standing=[permanent("bob")]))
    decision = book.ingest(alpha, at(1))
    assert decision.teams == ("alpha", "beta")
    assert [row.grant.team for row in book.live(at(1))] == ["alpha"]
    assert {team for team, _ in book.view(at(1)).accounts} == {"alpha"}
    assert {team for team, _ in book.view(at(1)).policies} == {"alpha"}


def test_a_team_that_nobody_ever_heard_of_is_not_recorded_as_ingested() -> None:
    book = Book()
    book.ingest(directory("alpha"), commit="c1")
    decision = book.ingest(directory("alpha"), at(1), teams=frozenset({"alhpa"}), commit="c2")
    assert (decision.teams, decision.planned) == ((), ())


def test_a_clock_behind_the_ledger_grants_nothing_and_names_both_instants() -> None:
    book = Book()
    standing = [permanent("ana"), permanent("bob")]
    book.ingest(directory(standing=standing, windows=[temporary("carl", duration="4h")]), at(2))
    decision = book.ingest(
        directory(
            standing=[permanent("ana"), permanent("dora")],
            windows=[temporary("carl", duration="6h")],
        ),
        at(1),
    )
    (note,) = (note for note in decision.notes if note.code == "clock-behind")
    assert "2026-03-02T10:00:00Z" in note.message
    assert "2026-03-02T11:00:00Z" in note.message
    assert decision.counts.granted == 0
    assert [row.grant.principal.name for row in decision.ends] == ["bob"]
    assert {row.grant.principal.name for row in book.live(at(2))} == {"ana", "carl"}


def test_a_clock_a_minute_behind_is_still_believed() -> None:
    book = Book()
    book.ingest(directory(), at())
    decision = book.ingest(directory(standing=[permanent("ana")]), at() - timedelta(seconds=60))
    assert decision.counts.granted == 1
    assert decision.notes == ()


def test_a_clock_behind_still_leaves_nothing_in_an_account_that_is_mapped_no_more() -> None:
    book = Book()
    book.ingest(windows(temporary(duration="4h")), at(2))
    moved = windows(temporary(duration="4h"), accounts={"prod": "333333333333"})
    book.ingest(moved, at(1))
    assert book.live(at(2)) == []
    book.ingest(moved, at(2.5))
    (row,) = book.live(at(2.5))
    assert (row.grant.account, row.grant.window.ends_at) == ("333333333333", at(6))
