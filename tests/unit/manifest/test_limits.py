"""How far ahead an end may be, and how long a window may last."""

from datetime import UTC, datetime, timedelta

import pytest

from ledger.manifest import SETTINGS_FILE, limit_problems, too_far, too_long
from ledger.manifest.scalars import day_end
from tests.unit.manifest.directory import PERMANENT, POLICIES, TEMPORARY, accepted, entry

NOW = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
CAPPED = {
    "aws-policies/pay.yaml": POLICIES.replace(
        "  dev.break-glass:\n", "  dev.break-glass:\n    max_duration: 8h\n"
    )
}


def limits(text: str, settings: str = "{}", *, capped: bool = False) -> list[str]:
    files = {SETTINGS_FILE: f"settings: {settings}", TEMPORARY: entry(text)}
    manifest = accepted({**files, **(CAPPED if capped else {})})
    return [str(problem) for problem in limit_problems(manifest, NOW)]


@pytest.mark.parametrize(
    "text",
    [
        "duration: 6d",
        "expires_at: 2030-01-07T12:00Z",
        "expiration_date: 2030-01-07",
        "starts_at: 2030-01-06T12:00Z\nduration: 1d",
        "starts_at: 2020-01-06T12:00Z\nexpires_at: 2030-01-07T12:00Z",
        "expiration_date: 2025-11-30",
        "expires_at: 2025-11-30T00:00Z",
    ],
)
def test_an_end_within_six_days_or_past_is_allowed(text: str) -> None:
    assert limits(text) == []


FAR = {
    "duration": (
        "duration: 6d1m",
        "2:15: `duration` of 6d1m ends at 2030-01-07T12:01:00Z, more than 6 days ahead "
        "(`max_temporary_days`): the last end that can be asked for is 2030-01-07T12:00:00Z",
    ),
    "instant": (
        "expires_at: 2030-01-07T12:00:01Z",
        "2:17: `expires_at` is 2030-01-07T12:00:01Z, more than 6 days ahead "
        "(`max_temporary_days`): the last end that can be asked for is 2030-01-07T12:00:00Z",
    ),
    "day": (
        "expiration_date: 2030-01-08",
        "2:22: `expiration_date` is 2030-01-08, more than 6 days ahead "
        "(`max_temporary_days`): the last day that can be asked for is 2030-01-07 (UTC)",
    ),
    "start": (
        "starts_at: 2030-01-07T11:00Z\nduration: 2h",
        "3:15: `duration` of 2h ends at 2030-01-07T13:00:00Z, more than 6 days ahead "
        "(`max_temporary_days`): the last end that can be asked for is 2030-01-07T12:00:00Z",
    ),
}


@pytest.mark.parametrize(("text", "expected"), FAR.values(), ids=FAR)
def test_an_end_further_ahead_is_told_at_its_place(text: str, expected: str) -> None:
    assert limits(text) == [f"{TEMPORARY}:{expected}"]


def test_the_days_ahead_are_the_settings_and_counted_where_the_settings_say() -> None:
    late = "{max_temporary_days: 1, time_zone: Pacific/Auckland}"
    assert limits("expiration_date: 2030-01-03", late) == []
    assert limits("expiration_date: 2030-01-04", late) == [
        f"{TEMPORARY}:2:22: `expiration_date` is 2030-01-04, more than 1 day ahead "
        "(`max_temporary_days`): the last day that can be asked for is 2030-01-03 "
        "(Pacific/Auckland)"
    ]


def test_a_policys_own_cap_holds_for_the_whole_window() -> None:
    assert limits("duration: 8h", capped=True) == []
    assert limits("duration: 9h", capped=True) == [
        f"{TEMPORARY}:2:15: the window lasts 9h, and policy `dev.break-glass` allows 8h "
        "(`max_duration`)"
    ]
    assert limits("expires_at: 2030-01-01T20:00Z", capped=True) == []
    early = "starts_at: 2030-01-01T10:00Z\nexpires_at: 2030-01-01T19:00Z"
    assert limits(early, capped=True) == [
        f"{TEMPORARY}:3:17: the window lasts 9h, and policy `dev.break-glass` allows 8h "
        "(`max_duration`)"
    ]
    assert len(limits("expiration_date: 2030-01-08", capped=True)) == 2


def test_one_line_that_grants_many_is_told_once_with_its_text() -> None:
    text = entry("users: [a, b]\nenvironments: [prod, nonprod]\nduration: 7d")
    (problem,) = limit_problems(accepted({TEMPORARY: text}), NOW)
    assert (problem.code, problem.severity) == ("too-far", "error")
    assert problem.excerpt == "    duration: 7d"


def test_permanent_access_has_no_limit() -> None:
    text = "permanent-access: [{user: a, environment: prod, grant: dev.break-glass}]"
    manifest = accepted({PERMANENT: text, **CAPPED})
    assert limit_problems(manifest, NOW) == ()
    assert too_far(manifest.grants[0], NOW + timedelta(days=99), manifest.settings, NOW) is None
    policy = manifest.policies[0].policy
    assert too_long(10**9, policy) is None


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Auckland", "America/Los_Angeles"])
@pytest.mark.parametrize("hours", range(0, 24 * 9, 5))
def test_time_alone_never_brings_an_accepted_line_beyond_a_limit(zone: str, hours: int) -> None:
    files = {
        SETTINGS_FILE: f"settings: {{time_zone: {zone}}}",
        TEMPORARY: entry("expiration_date: 2030-01-06\ngrant: dev.read-only"),
    }
    manifest = accepted(files)
    (grant,) = manifest.grants
    end = day_end(grant.end.day, zone)  # type: ignore[union-attr]  # a last day, as written above
    assert too_far(grant, end, manifest.settings, NOW + timedelta(hours=hours)) is None
