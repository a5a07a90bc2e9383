"""What is over stays over, and what may be asked for: spent lines and limits."""

from typing import Any

import pytest

from ledger.model import Policy
from tests.support.builders import (
    NOW,
    PROD,
    TEAM,
    Book,
    Entry,
    Files,
    at,
    directory,
    permanent,
    policy,
    temporary,
)

DURATION = temporary(duration="4h")
INSTANT = temporary(expires_at=at(4))
DAY = temporary(expiration_date="2026-03-02")


@pytest.mark.parametrize("entry", [DURATION, INSTANT, DAY])
def test_a_line_whose_end_has_passed_is_spent_kept_or_removed_and_restored(entry: Entry) -> None:
    book = Book()
    files = directory(windows=[entry])
    book.ingest(files)
    assert book.ingest(files, at(16)).counts.granted == 0
    book.ingest(directory(), at(17))
    decision = book.ingest(files, at(18))
    assert decision.counts.granted == 0
    (note,) = decision.notes
    assert note.code == "spent"
    assert note.source is not None
    assert note.source.path == "temporary-access/payments.yaml"
    assert note.hint is not None
    assert "to ask anew, give another `ticket` or `starts_at`" in note.hint


def test_the_last_second_before_the_end_may_still_be_extended_and_the_end_may_not() -> None:
    for moment, live in ((at(4) - (at(1) - NOW) / 3600, True), (at(4), False)):
        book = Book()
        book.ingest(directory(windows=[DURATION]))
        book.ingest(directory(windows=[temporary(duration="6h")]), moment)
        assert bool(book.live(at(5))) is live


def test_another_ticket_asks_anew() -> None:
    book = Book()
    book.ingest(directory(windows=[DURATION]))
    book.ingest(directory(windows=[DURATION, temporary(duration="4h", ticket="OPS-2")]), at(9))
    (row,) = book.live(at(9))
    assert row.grant.window.starts_at == at(9)


@pytest.mark.parametrize("entry", [INSTANT, DAY, temporary(duration="4h", starts_at=at())])
def test_a_new_line_that_has_already_ended_grants_nothing_and_says_so(entry: Entry) -> None:
    decision = Book().ingest(directory(windows=[entry]), at(24))
    assert [note.code for note in decision.notes] == ["already-ended"]
    assert decision.counts.granted == 0
    assert [line.spent for line in decision.over] == [False]


def test_a_spent_line_under_another_environments_name_is_marked() -> None:
    book = Book()
    book.ingest(directory(windows=[DURATION]))
    renamed = directory(
        accounts={"production": "111111111111"},
        windows=[temporary(duration="4h", environment="production")],
    )
    decision = book.ingest(renamed, at(9))
    assert [note.code for note in decision.notes] == ["repeats-spent"]
    assert decision.counts.granted == 1


def test_of_several_spent_lines_that_it_repeats_the_newest_is_named() -> None:
    book = Book()
    for number, name in enumerate(("first", "second", "third")):
        files = directory(
            accounts={name: PROD}, windows=[temporary(duration="4h", environment=name)]
        )
        decision = book.ingest(files, at(9 * number))
    (note,) = decision.notes
    assert note.code == "repeats-spent"
    assert "of team payments in second, over since 2026-03-02T22:00:00Z" in note.message


RUNNING = directory(windows=[DURATION, temporary("bob", expires_at=at(4))])


def renamed(team: str = TEAM, environment: str = "production", **end: Any) -> Files:
    entries = [
        temporary("ana", environment=environment, **end),
        temporary("bob", environment=environment, expires_at=at(4)),
    ]
    return directory(team, accounts={environment: PROD}, windows=entries)


@pytest.mark.parametrize(
    "files", [renamed(duration="4h"), renamed("checkout", "prod", duration="4h")]
)
def test_a_running_duration_whose_team_or_environment_is_renamed_starts_anew_and_says_so(
    files: Files,
) -> None:
    book = Book()
    book.ingest(RUNNING)
    (note,) = book.ingest(files, at(1)).notes
    assert note.code == "clock-restarts"
    assert "it ended at 2026-03-02T13:00:00Z, and now it ends at 2026-03-02T14:00:00Z" in (
        note.message
    )
    assert note.source is not None
    assert note.source.path.startswith("temporary-access/")
    assert note.hint == (
        "to keep its end, write `expires_at: 2026-03-02T13:00:00Z` instead of `duration`"
    )
    assert book.ingest(files, at(2)).notes == ()


@pytest.mark.parametrize(
    "files",
    [
        renamed(duration="4h", ticket="OPS-2"),
        renamed(duration="3h"),  # an hour later it ends at the very same instant
        renamed(expires_at=at(5)),
        directory(
            accounts={"production": PROD},
            windows=[temporary("bob", duration="4h", environment="production")],
        ),
        directory(windows=[temporary(duration="4h", environment="dev")]),
        directory(windows=[DURATION, temporary(duration="4h", environment="dev")]),
    ],
)
def test_what_keeps_its_end_or_asks_for_something_else_restarts_no_clock(files: Files) -> None:
    book = Book()
    book.ingest(RUNNING)
    assert book.ingest(files, at(1)).notes == ()


@pytest.mark.parametrize(
    "entry",
    [
        temporary("bob", duration="4h", environment="production"),
        temporary(duration="5h", environment="production"),
        temporary(duration="4h", environment="production", grant="look"),
        temporary(duration="4h", environment="production", ticket="OPS-2"),
    ],
)
def test_what_differs_from_a_spent_line_is_not_marked(entry: Entry) -> None:
    book = Book()
    book.ingest(directory(windows=[DURATION]))
    renamed = directory(accounts={"production": "111111111111"}, windows=[entry])
    assert book.ingest(renamed, at(9)).notes == ()


def test_a_new_line_beside_the_spent_one_it_resembles_is_not_marked() -> None:
    book = Book()
    book.ingest(directory(windows=[DURATION]))
    beside = directory(windows=[DURATION, temporary(duration="4h", environment="dev")])
    assert [note.code for note in book.ingest(beside, at(9)).notes] == ["spent"]


# --- limits -----------------------------------------------------------------------------------


def test_an_end_too_far_ahead_is_refused_at_its_place() -> None:
    decision = Book().ingest(directory(windows=[temporary(duration="7d")]))
    (problem,) = decision.problems
    assert problem.code == "too-far"
    assert problem.source.path == "temporary-access/payments.yaml"
    assert problem.excerpt is not None
    assert "duration" in problem.excerpt
    assert decision.planned == ()


def test_a_policy_caps_the_whole_window() -> None:
    policies = {"fix": policy(max_duration="2h")}
    decision = Book().ingest(directory(policies=policies, windows=[DURATION]))
    assert [problem.code for problem in decision.problems] == ["too-long"]


def test_what_was_accepted_stays_accepted_when_limits_shrink() -> None:
    book = Book()
    book.ingest(directory(windows=[DURATION]))
    stricter = directory(
        policies={"fix": policy(max_duration="2h"), "look": policy()}, windows=[DURATION]
    )
    decision = book.ingest(stricter, at(1))
    assert decision.problems == ()
    assert len(book.live(at(1))) == 1


def test_an_end_moved_later_meets_the_limits_and_one_moved_earlier_does_not() -> None:
    policies = {"fix": policy(max_duration="2h"), "look": policy()}
    book = Book()
    book.ingest(directory(windows=[temporary(duration="6h")]))
    later = directory(policies=policies, windows=[temporary(duration="7h")])
    assert [p.code for p in book.plan(later, at(1)).problems] == ["too-long"]
    earlier = directory(policies=policies, windows=[temporary(duration="5h")])
    assert book.plan(earlier, at(1)).problems == ()


def test_a_line_restored_with_its_old_end_meets_no_limit() -> None:
    book = Book()
    book.ingest(directory(windows=[DURATION]))
    book.ingest(directory(), at(1))
    policies = {"fix": policy(max_duration="2h"), "look": policy()}
    assert book.ingest(directory(policies=policies, windows=[DURATION]), at(2)).problems == ()
    assert len(book.live(at(2))) == 1


# --- what can never be written ----------------------------------------------------------------


def refuses(policy_: Policy, temporary_: bool, inline_chars_max: int) -> str | None:
    if not temporary_:
        return None
    return f"policy `{policy_.name}` takes more than {inline_chars_max} characters"


def test_a_new_line_that_can_never_be_written_is_refused_with_the_numbers() -> None:
    files = directory(windows=[DURATION], standing=[permanent("ana")])
    decision = Book().ingest(files, check=refuses)
    (problem,) = decision.problems
    assert (problem.code, problem.source.line) == ("cannot-be-written", 5)
    assert "2048" in problem.message


def test_a_policy_changed_under_a_live_line_is_checked_and_an_unchanged_one_is_not() -> None:
    book = Book()
    book.ingest(directory(windows=[DURATION]))
    assert book.plan(directory(windows=[DURATION]), at(1), check=refuses).problems == ()
    changed = {"fix": policy(description="wider"), "look": policy()}
    files = directory(windows=[DURATION], policies=changed)
    assert len(book.plan(files, at(1), check=refuses).problems) == 1
    assert book.plan(files, at(9), check=refuses).problems == ()


def test_a_policy_that_no_account_can_hold_is_refused_though_nobody_has_it_yet() -> None:
    def refuses_policies(policy_: Policy, temporary_: bool, _max: int) -> str | None:
        return None if temporary_ else f"policy `{policy_.name}` is too large for any account"

    decision = Book().ingest(directory(policies={"fix": policy()}), check=refuses_policies)
    (problem,) = decision.problems
    assert problem.code == "cannot-be-written"
    assert problem.source.path == "aws-policies/payments.yaml"
    assert decision.planned == ()
