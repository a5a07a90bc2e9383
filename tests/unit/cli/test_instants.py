"""What people type for a time, and that nothing of it is guessed."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from cli.instants import Moment, parse_moment, parse_span, shown

NOW = datetime(2026, 3, 2, 9, 30, 15, 250_000, tzinfo=UTC)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]  # year, month, day, …


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("now", NOW),
        (" Now ", NOW),
        ("2026-03-03T10:00Z", utc(2026, 3, 3, 10)),
        ("2026-03-03 10:00:30z", utc(2026, 3, 3, 10, 0, 30)),
        ("2026-03-03T10:00:30.5+02:00", utc(2026, 3, 3, 8, 0, 30, 500_000)),
        ("2026-03-03T10:00-0330", utc(2026, 3, 3, 13, 30)),
        ("2h ago", NOW - timedelta(hours=2)),
        ("in 1d2h3m4s", NOW + timedelta(days=1, hours=2, minutes=3, seconds=4)),
    ],
)
def test_an_instant_is_read_in_utc(text: str, instant: datetime) -> None:
    assert parse_moment(text, NOW) == Moment(instant)


def test_a_date_is_its_whole_utc_day() -> None:
    day = parse_moment("2026-03-03", NOW)
    assert day == Moment(utc(2026, 3, 3), utc(2026, 3, 4))
    assert day.last == utc(2026, 3, 4) - timedelta(microseconds=1)
    assert Moment(NOW).last == NOW


def test_an_instant_without_a_zone_is_refused_with_the_one_to_write() -> None:
    with pytest.raises(ValueError, match="has no time zone; write 2026-03-03T10:00Z"):
        parse_moment("2026-03-03 10:00", NOW)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-02-30",
        "2026-03-03T25:00Z",
        "2026-03-03T10:00:00.1234567Z",
        "2h",
        "ago",
        "in",
        "in -2h",
        "٢h ago",
        "2026-03-03T10:00Z\n2026",
        "999999d ago",
        "9999-12-31T23:00-05:00",
        "0001-01-01T00:00+05:00",
    ],
)
def test_what_is_no_time_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no|outside the calendar|day is out of range"):
        parse_moment(text, NOW)


@pytest.mark.parametrize("text", ["", "0h", "1h30", "h", "1.5h", "-1h", "1h2d"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no length of time"):
        parse_span(text)


def test_people_are_shown_whole_seconds_and_a_dash_for_never() -> None:
    assert shown(NOW) == "2026-03-02T09:30:15Z"
    assert shown(NOW.astimezone(timezone(timedelta(hours=2)))) == "2026-03-02T09:30:15Z"
    assert shown(None) == "-"
