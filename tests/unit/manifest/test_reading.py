"""The directory as a whole: teams, time, and what counts."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from ledger.manifest import SETTINGS_FILE, Problem, Source, read
from tests.unit.manifest.directory import (
    ACCOUNTS,
    PERMANENT,
    POLICIES,
    TEMPORARY,
    accepted,
    entry,
    reading,
    said,
)

OPS = {
    "aws-accounts/ops.yaml": ACCOUNTS,
    "aws-policies/ops.yaml": POLICIES,
    "temporary-access/ops.yaml": entry("duration: 4h"),
}
END = datetime(2030, 1, 6, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def test_a_problem_has_all_its_parts() -> None:
    (problem,) = reading({TEMPORARY: entry("duration: 4x")}).problems
    assert problem == Problem(
        Source(TEMPORARY, 2, 15),
        "error",
        "duration",
        "`duration` is 4x, which is no duration",
        "write days, hours and minutes in this order, as 4h or 1d2h30m",
        "  - duration: 4x",
    )
    assert str(problem) == f"{TEMPORARY}:2:15: {problem.message}; {problem.hint}"


def test_problems_come_in_the_order_of_their_places() -> None:
    files = {
        TEMPORARY: entry("user: 'a b'\nduration: x"),
        SETTINGS_FILE: "settings: {drift: x, time_zone: y}",
        PERMANENT: "permanent-access: [1, 2]",
    }
    places = [problem.source for problem in reading(files).problems]
    assert places == sorted(places)
    assert len(places) == 6


def test_only_the_chosen_teams_count() -> None:
    files = {**OPS, TEMPORARY: entry("duration: x")}
    assert reading(files).manifest is None
    manifest = accepted(files, teams=["ops"])
    assert manifest.teams == ("ops",)
    assert {item.account.team for item in manifest.accounts} == {"ops"}
    assert {item.policy.team for item in manifest.policies} == {"ops"}
    assert {grant.team for grant in manifest.grants} == {"ops"}
    assert TEMPORARY in manifest.files


def test_settings_count_for_whatever_team_is_chosen() -> None:
    assert len(said({**OPS, SETTINGS_FILE: "settings: {drift: x}"}, teams=["ops"])) == 1


def test_a_chosen_team_without_files_is_a_warning_and_an_empty_manifest() -> None:
    result = reading({}, teams=["payy"])
    assert [(p.severity, str(p)) for p in result.problems] == [
        ("warning", "aws-accounts/payy.yaml:1:1: team `payy` has no files; did you mean `pay`?")
    ]
    assert result.manifest is not None
    assert result.manifest.teams == ()
    assert result.manifest.grants == ()
    assert result.errors == ()


ENDED = {
    "environment": ("environment: gone", 0,
                    "3:18: environment `gone` (in `environment`) is not in aws-accounts"),
    "policy": ("grant: gone", 0, "3:12: policy `gone` (in `grant`) is not in aws-policies"),
    "account": ("user: arn:aws:iam::333333333333:user/x", 0,
                "3:11: `arn:aws:iam::333333333333:user/x` is in account 333333333333, and "
                "environment `prod` is account 222222222222"),
    "protected": ("user: root-like", 1, "3:11: `root-like` is one of `protected_principals`"),
    "unmanaged": ("role: ci", 1, "3:11: `ci` is none of `managed_principals`"),
}  # fmt: skip
GUARDS = "settings: {managed_principals: ['user/*'], protected_principals: ['user/root-like']}"


@pytest.mark.parametrize("end", ["expiration_date: 2030-01-05", "expires_at: 2030-01-06T00:00Z"])
@pytest.mark.parametrize(("text", "kept", "expected"), ENDED.values(), ids=ENDED)
def test_what_a_line_refers_to_is_only_warned_of_once_it_has_ended(
    end: str, text: str, kept: int, expected: str
) -> None:
    files = {SETTINGS_FILE: GUARDS, TEMPORARY: entry(f"{end}\n{text}")}
    for now in (None, END - SECOND):
        (error,) = reading(files, now=now).problems
        assert error.severity == "error"
    ended = reading(files, now=END)
    (warning,) = ended.problems
    assert warning.severity == "warning"
    assert str(warning) == (
        f"{TEMPORARY}:{expected}; the line has ended, so nothing more is asked of it"
    )
    assert ended.manifest is not None
    assert len(ended.manifest.grants) == kept


def test_a_line_that_ended_and_refers_to_what_is_there_stays_in_the_manifest() -> None:
    text = entry("expiration_date: 2030-01-05\nenvironments: [gone, prod]")
    result = reading({TEMPORARY: text}, now=END)
    assert [problem.severity for problem in result.problems] == ["warning"]
    assert result.manifest is not None
    assert [grant.environment for grant in result.manifest.grants] == ["prod"]


def test_the_last_day_ends_where_the_settings_say() -> None:
    files = {
        SETTINGS_FILE: "settings: {time_zone: Pacific/Auckland}",
        TEMPORARY: entry("expiration_date: 2030-01-05\ngrant: gone"),
    }
    end = datetime(2030, 1, 5, 11, 0, tzinfo=UTC)
    assert reading(files, now=end - SECOND).manifest is None
    assert reading(files, now=end).manifest is not None


def test_a_duration_has_never_ended_here() -> None:
    text = entry("duration: 4h\nstarts_at: 2020-01-01T00:00Z\ngrant: gone")
    assert reading({TEMPORARY: text}, now=END).manifest is None


def test_an_ended_line_still_has_to_be_readable() -> None:
    text = entry("expiration_date: 2020-01-05\nuser: 'a b'")
    assert reading({TEMPORARY: text}, now=END).manifest is None


def test_an_address_that_left_does_not_stand_in_its_successors_way() -> None:
    old = entry("expiration_date: 2030-01-05\nuser: ana@a.com")
    new = entry("duration: 4h\nuser: ana@b.org").partition("\n")[2]
    assert reading({TEMPORARY: old + new}, now=END - SECOND).manifest is None
    result = reading({TEMPORARY: old + new}, now=END)
    assert result.manifest is not None
    assert len(result.manifest.grants) == 2


def test_thousands_of_wrong_lines_are_told_in_bounded_time() -> None:
    one = entry("grant: dev.break-glas").partition("\n")[2]
    found = reading({TEMPORARY: "temporary-access:\n" + one * 5_000}).problems
    assert len(found) == 5_000
    assert found[0].hint == "did you mean `dev.break-glass`?"


def test_reading_needs_neither_order_nor_the_whole_directory() -> None:
    files = {path: text.encode() for path, text in OPS.items()}
    backwards = dict(reversed(files.items()))
    assert read(files) == read(backwards)
    assert read({}).manifest is not None


def test_an_identity_that_comes_ten_thousand_times_costs_no_more_than_ten_thousand() -> None:
    users = ", ".join(["ana", "ANA"] * 10_000)
    text = f"permanent-access: [{{users: [{users}], environment: prod, grant: dev.read-only}}]"
    before = time.process_time()
    (grant,) = accepted({PERMANENT: text}).grants
    assert len(grant.sources) == 20_000
    assert time.process_time() - before < 5
