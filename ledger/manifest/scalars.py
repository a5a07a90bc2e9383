"""Texts to durations, dates, instants and whole numbers.

Invariant: an instant is aware, UTC and of whole seconds, and nothing here looks at a clock or at
the machine's own time zone.
"""

import re
from datetime import UTC, date, datetime, time, timedelta, timezone
from functools import lru_cache
from zoneinfo import ZoneInfo

from ledger.manifest.problems import Unreadable

DURATION_MAX_S = 3_650 * 86_400
YEAR_MIN, YEAR_MAX = 2000, 2999
OFFSET_MAX_MINUTES = 14 * 60
"""The Line Islands' +14:00 is the farthest from UTC that any place is."""

DURATION = re.compile(r"(?:([0-9]{1,6})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,8})m)?\Z")
DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})\Z")
_DAY_AND_TIME = (
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.[0-9]+)?)?"
)
_OFFSET = r"([Zz]|[+-][0-9]{2}:[0-9]{2})"
INSTANT = re.compile(rf"{_DAY_AND_TIME}{_OFFSET}\Z")
_PERHAPS_INSTANT = re.compile(rf"{_DAY_AND_TIME}{_OFFSET}?\Z")
"""So that what only lacks its zone is told just that."""


def duration_seconds(text: str, key: str) -> int:
    """`1d2h30m` in seconds of elapsed time (a day is 24 hours)."""
    found = DURATION.match(text)
    if found is None or not text:
        raise Unreadable(
            "duration",
            f"`{key}` is {text}, which is no duration",
            "write days, hours and minutes in this order, as 4h or 1d2h30m",
        )
    days, hours, minutes = (int(part or 0) for part in found.groups())
    seconds = days * 86_400 + hours * 3_600 + minutes * 60
    if seconds == 0:
        raise Unreadable("duration", f"`{key}` is {text}, which is no time at all")
    if seconds > DURATION_MAX_S:
        raise Unreadable("duration", f"`{key}` is {text}", "at most 3650d can be asked for")
    return seconds


def duration_text(seconds: int) -> str:
    """The inverse: `9000` is `2h30m`; what is left below a minute is shown as seconds."""
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, rest = divmod(rest, 60)
    parts = ((days, "d"), (hours, "h"), (minutes, "m"), (rest, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0m"


def calendar_day(text: str, key: str) -> date:
    found = DATE.match(text)
    if found is None:
        hint = "write YYYY-MM-DD, as 2030-01-31"
        if _PERHAPS_INSTANT.match(text):
            hint = "for an instant use `expires_at`, or write the day alone"
        raise Unreadable("date", f"`{key}` is {text}, which is no date", hint)
    year, month, day = (int(part) for part in found.groups())
    try:
        value = date(year, month, day)
    except ValueError:
        raise Unreadable("date", f"`{key}` is {text}, a day that no calendar has") from None
    if not YEAR_MIN <= year <= YEAR_MAX:
        raise Unreadable("date", f"`{key}` is {text}", f"years run from {YEAR_MIN} to {YEAR_MAX}")
    return value


def instant(text: str, key: str) -> datetime:
    """RFC 3339 with its zone, seconds optional, in UTC with the fraction cut down."""
    found = _PERHAPS_INSTANT.match(text)
    if found is None:
        hint = "write it as 2030-01-31T14:30Z"
        if DATE.match(text):
            hint = f"write a time and zone too, as {text}T14:30Z"
        raise Unreadable("instant", f"`{key}` is {text}, which is no instant", hint)
    day_text, hour, minute, second, zone = found.groups()
    day = calendar_day(day_text, key)
    if zone is None:
        raise Unreadable(
            "time-zone", f"`{key}` is {text}, which has no time zone", f"write {text}Z"
        )
    if second == "60":
        raise Unreadable("instant", f"`{key}` is {text}, a leap second", "write :59")
    try:
        clock = time(int(hour), int(minute), int(second or 0))
    except ValueError:
        raise Unreadable("instant", f"`{key}` is {text}, a time that no clock shows") from None
    return datetime.combine(day, clock, tzinfo=_offset(zone, text, key)).astimezone(UTC)


def _offset(zone: str, text: str, key: str) -> timezone:
    if zone in "Zz":
        return UTC
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    distance = hours * 60 + minutes
    if minutes > 59 or distance > OFFSET_MAX_MINUTES:
        raise Unreadable("time-zone", f"`{key}` is {text}: no place has the offset {zone}")
    return timezone(timedelta(minutes=-distance if zone[0] == "-" else distance))


def whole_number(text: str, key: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise Unreadable("number", f"`{key}` is {text}, which is no whole number")
    value = int(text)
    if not least <= value <= most:
        raise Unreadable("number", f"`{key}` is {text}", f"it runs from {least} to {most}")
    return value


@lru_cache(maxsize=4_096)
def day_end(day: date, time_zone: str) -> datetime:
    """The first instant of the day after `day` in that zone, in UTC: the end of a half-open window.

    Where clocks skip midnight it is the instant of the skip; where midnight comes twice, the first.
    """
    zone = ZoneInfo(time_zone)
    midnight = datetime.combine(day + timedelta(days=1), time(), tzinfo=zone)
    found = midnight.astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=None) == midnight.replace(tzinfo=None):
        return found
    # In a gap fold=1 gives an instant before the skip, fold=0 one at or after it (PEP 495).
    before, after = midnight.replace(fold=1).astimezone(UTC), found
    while (after - before) > timedelta(seconds=1):
        between = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
        if between.astimezone(zone).date() > day:
            after = between
        else:
            before = between
    return after
