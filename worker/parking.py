"""What a keeper remembers of steps that failed: when to try again, and when to say "stuck".

Invariant: no step is given up, and none is tried in a tight loop.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from worker.timing import STUCK_AFTER, parked_delay

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class _Parked:
    refusals: int
    next_try_at: datetime


@dataclass(slots=True)
class Parking:
    """Per account, in memory: after a restart everything is simply tried again at once."""

    _parked: dict[Hashable, _Parked] = field(default_factory=dict)
    _weather_since: dict[Hashable, datetime] = field(default_factory=dict)
    _weather_last: dict[Hashable, datetime] = field(default_factory=dict)
    _heeded: dict[Hashable, int] = field(default_factory=dict)

    def park(self, subject: Hashable, now: datetime) -> datetime:
        """Leaves `subject` alone for a while after a refusal; returns when it is tried again."""
        refusals = self._parked[subject].refusals + 1 if subject in self._parked else 1
        next_try_at = now + parked_delay(refusals)
        self._parked[subject] = _Parked(refusals, next_try_at)
        return next_try_at

    def parked(self, subject: Hashable, now: datetime) -> bool:
        entry = self._parked.get(subject)
        return entry is not None and now < entry.next_try_at

    def heed(self, subject: Hashable, position: int) -> None:
        """A person's word at `position` wants `subject` tried at once; each word counts once."""
        if self._heeded.get(subject) != position:
            self._heeded[subject] = position
            self._parked.pop(subject, None)

    def weather(self, subject: Hashable, now: datetime) -> bool:
        """Notes a failure that may pass; true when it has lasted long enough to be called stuck."""
        self._weather_last[subject] = now
        return now - self._weather_since.setdefault(subject, now) >= STUCK_AFTER

    def turn(self, subject: Hashable) -> datetime:
        """What to sort by, so that steps which always meet weather hold up no other step.

        When it last did; the beginning of time where it never has.
        """
        return self._weather_last.get(subject, _NEVER)

    def done(self, subject: Hashable) -> None:
        """It worked: nothing is remembered against it."""
        for memory in (self._parked, self._weather_since, self._weather_last):
            memory.pop(subject, None)

    def next_try_at(self, after: datetime) -> datetime | None:
        """The earliest retry later than `after`; None when there is none.

        What was to be tried by then has been, or is no longer wanted: it wakes nobody.
        """
        instants = (entry.next_try_at for entry in self._parked.values())
        return min((instant for instant in instants if instant > after), default=None)

    def failing(self) -> frozenset[Hashable]:
        """What was tried and has not worked since."""
        return frozenset({*self._parked, *self._weather_since})

    def forget(self, living: set[Hashable]) -> None:
        """Drops what is no longer a subject, so that memory stays bounded."""
        for memory in (self._parked, self._weather_since, self._weather_last, self._heeded):
            for subject in [known for known in memory if known not in living]:
                del memory[subject]
