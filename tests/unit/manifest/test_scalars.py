"""Durations, dates, instants: what they mean and what is refused."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from ledger.manifest.problems import Unreadable
from ledger.manifest.scalars import (
    calendar_day,
    day_end,
    duration_seconds,
    duration_text,
    instant,
    whole_number,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1m", 60),
        ("4h", 14_400),
        ("1d", 86_400),
        ("1d2h30m", 95_400),
        ("90m", 5_400),
        ("0d4h", 14_400),
        ("3650d", 315_360_000),
    ],
)
def test_a_duration_is_elapsed_time(text: str, seconds: int) -> None:
    assert duration_seconds(text, "duration") == seconds


@pytest.mark.parametrize(
    "text",
    [
        *("", "4", "h", "4H", "30s", "1w", "2h1d", "1h 30m", " 4h", "-4h", "+4h", "1.5h", "PT4H"),
        *("0h", "0d0h0m", "3650d1m", "9999999d", "4h\n", "٤h", "1:30", "4h4h"),
    ],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        duration_seconds(text, "duration")


@pytest.mark.parametrize("seconds", [60, 5_400, 86_400, 95_400, 93_784])
def test_a_duration_is_told_as_it_is_written(seconds: int) -> None:
    text = duration_text(seconds)
    whole = seconds - seconds % 60
    assert duration_seconds(text.partition(str(seconds % 60) + "s")[0], "duration") == whole


@pytest.mark.parametrize("text", ["2025-11-30", "2024-02-29", "2000-01-01", "2999-12-31"])
def test_a_day_is_read(text: str) -> None:
    assert calendar_day(text, "expiration_date") == date.fromisoformat(text)


@pytest.mark.parametrize(
    "text",
    [
        *("2025-02-29", "2025-13-01", "2025-11-31", "2025-1-3", "25-11-30", "20251130"),
        *("2025-11-30 ", "2025-11-30T00:00Z", "30.11.2025", "1999-12-31", "3000-01-01", "", "٢٠٢٥"),
    ],
)
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        calendar_day(text, "expiration_date")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-11-30T14:30:00+01:00", datetime(2025, 11, 30, 13, 30, tzinfo=UTC)),
        ("2025-11-30T14:30Z", datetime(2025, 11, 30, 14, 30, tzinfo=UTC)),
        ("2025-11-30 14:30:05z", datetime(2025, 11, 30, 14, 30, 5, tzinfo=UTC)),
        ("2025-11-30t14:30:05.999999999-00:30", datetime(2025, 11, 30, 15, 0, 5, tzinfo=UTC)),
        ("2000-01-01T00:00+14:00", datetime(1999, 12, 31, 10, 0, tzinfo=UTC)),
        ("2999-12-31T23:59:59-14:00", datetime(3000, 1, 1, 13, 59, 59, tzinfo=UTC)),
    ],
)
def test_an_instant_is_utc_and_whole_seconds(text: str, expected: datetime) -> None:
    found = instant(text, "expires_at")
    assert found == expected
    assert found.utcoffset() == timedelta(0)
    assert found.microsecond == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2030-01-01T10:00", "`expires_at` is 2030-01-01T10:00, which has no time zone"),
        ("2030-01-01T10:00:60Z", "`expires_at` is 2030-01-01T10:00:60Z, a leap second"),
        ("2030-01-01T24:00Z", "`expires_at` is 2030-01-01T24:00Z, a time that no clock shows"),
        ("2030-01-01T10:60Z", "`expires_at` is 2030-01-01T10:60Z, a time that no clock shows"),
        ("2030-02-30T10:00Z", "`expires_at` is 2030-02-30, a day that no calendar has"),
        ("2030-01-01", "`expires_at` is 2030-01-01, which is no instant"),
        ("tomorrow", "`expires_at` is tomorrow, which is no instant"),
        ("2030-01-01T10:00+0100", "`expires_at` is 2030-01-01T10:00+0100, which is no instant"),
        ("2030-01-01T10:00+15:00", "`expires_at` is 2030-01-01T10:00+15:00: no place has the "
         "offset +15:00"),
        ("2030-01-01T10:00+01:75", "`expires_at` is 2030-01-01T10:00+01:75: no place has the "
         "offset +01:75"),
    ],
)  # fmt: skip
def test_what_is_no_instant_is_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(Unreadable) as caught:
        instant(text, "expires_at")
    assert caught.value.message == message


def test_an_instant_without_zone_is_told_what_to_write() -> None:
    with pytest.raises(Unreadable) as caught:
        instant("2030-01-01T10:00", "expires_at")
    assert caught.value.hint == "write 2030-01-01T10:00Z"


@pytest.mark.parametrize("text", ["", "-1", "1.0", "1_0", "１", "0x1", "1e3", "9" * 5_000])
def test_what_is_no_whole_number_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        whole_number(text, "count", 0, 10**9)


@pytest.mark.parametrize(
    ("day", "zone", "end"),
    [
        ("2025-11-30", "UTC", "2025-12-01T00:00:00"),
        ("2025-11-30", "Europe/Berlin", "2025-11-30T23:00:00"),
        ("2025-11-30", "America/Los_Angeles", "2025-12-01T08:00:00"),
        ("2025-11-30", "Pacific/Auckland", "2025-11-30T11:00:00"),
        ("2026-03-29", "Europe/Berlin", "2026-03-29T22:00:00"),
        ("2026-10-25", "Europe/Berlin", "2026-10-25T23:00:00"),
        # Midnight is skipped: clocks went from 00:00 to 01:00, on that instant.
        ("2018-11-03", "America/Sao_Paulo", "2018-11-04T03:00:00"),
        ("2022-03-26", "Asia/Beirut", "2022-03-26T22:00:00"),
        # Clocks went from 23:30 to 00:30: the new day began at 00:30.
        ("1919-03-30", "America/Toronto", "1919-03-31T04:30:00"),
        # Midnight came twice (01:00 went back to 00:00): the first of them.
        ("2024-11-02", "America/Havana", "2024-11-03T04:00:00"),
        # 24:00 went back to 23:00: the day had a second last hour.
        ("2018-02-17", "America/Sao_Paulo", "2018-02-18T03:00:00"),
        # A whole day was skipped: the 30th of December never came.
        ("2011-12-29", "Pacific/Apia", "2011-12-30T10:00:00"),
    ],
)
def test_a_day_ends_with_the_first_instant_of_the_next(day: str, zone: str, end: str) -> None:
    found = day_end(date.fromisoformat(day), zone)
    assert found == datetime.fromisoformat(end).replace(tzinfo=UTC)
    assert found.astimezone(ZoneInfo(zone)).date() > date.fromisoformat(day)
    a_second_before = (found - timedelta(seconds=1)).astimezone(ZoneInfo(zone))
    assert a_second_before.date() == date.fromisoformat(day)
