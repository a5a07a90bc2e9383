"""Instants as people type them: an instant with its offset, a date, `2h ago`, `in 3h`.

Invariant: nothing is guessed. A time without a time zone is an error, and a date is its whole UTC
day.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from ledger.codec import instant_text

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}\Z", re.ASCII)
_INSTANT = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)(Z|z|[+-]\d{2}:?\d{2})?\Z",
    re.ASCII,
)
_SPAN = re.compile(r"(?:(\d{1,6})d)?(?:(\d{1,7})h)?(?:(\d{1,9})m)?(?:(\d{1,10})s)?\Z", re.ASCII)

FORMS = "write an instant (2026-03-03T10:00Z), a date (2026-03-03), `now`, `2h ago` or `in 3h`"


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time, or a whole UTC day."""

    start: datetime
    end: datetime | None = None
    """Of a day, the next day's start; None: `start` is the one instant meant."""

    @property
    def last(self) -> datetime:
        """The last instant of it."""
        return self.start if self.end is None else self.end - timedelta(microseconds=1)


def parse_span(text: str) -> timedelta:
    """`1d2h30m`, `90s`: elapsed time, `1d` being 24 h. ValueError for anything else."""
    found = _SPAN.match(text.strip())
    parts = [int(part or 0) for part in found.groups()] if found else []
    if not any(parts):
        raise ValueError(f"`{text}` is no length of time; write for example 24h or 1d12h")
    days, hours, minutes, seconds = parts
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def parse_moment(text: str, now: datetime) -> Moment:
    """What `text` means at `now`; ValueError says what to write instead."""
    words = text.strip()
    try:
        if words.casefold() == "now":
            return Moment(now)
        if words.startswith("in "):
            return Moment(now + parse_span(words[3:]))
        if words.endswith(" ago"):
            return Moment(now - parse_span(words[:-4]))
        if _DAY.match(words):
            day = date.fromisoformat(words)
            start = datetime(day.year, day.month, day.day, tzinfo=UTC)
            return Moment(start, start + timedelta(days=1))
        return Moment(_instant(words))
    except OverflowError:
        raise ValueError(f"`{text}` lies outside the calendar") from None


def _instant(text: str) -> datetime:
    found = _INSTANT.match(text)
    if found is None:
        raise ValueError(f"`{text}` is no instant; {FORMS}")
    day, time, zone = found.groups()
    if zone is None:
        raise ValueError(f"`{text}` has no time zone; write {day}T{time}Z")
    try:
        return datetime.fromisoformat(f"{day}T{time}{zone.upper()}").astimezone(UTC)
    except ValueError as error:
        raise ValueError(f"`{text}` is no instant: {error}") from None


def shown(instant: datetime | None) -> str:
    """For people: whole seconds, RFC 3339 with `Z`; a dash for None."""
    return "-" if instant is None else instant_text(instant.replace(microsecond=0))
