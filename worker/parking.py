"""What a keeper remembers of steps that failed: when to try again, and when to say "stuck".

Invariant: no step is given up, and none is tried in a tight loop.
"""

from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from worker.timing import (
    PARKED,
    PARKED_TRIES_MAX,
    PARKED_TURNS_MAX,
    STUCK_AFTER,
    parked_delay,
)

_NEVER = datetime.min.replace(tzinfo=UTC)
_AT_THE_NEXT_LOOK = datetime.max.replace(tzinfo=UTC)

HEALED = timedelta(seconds=1)
"""After one of a cause has worked, the others of that cause are tried."""


@dataclass(slots=True)
class _Parked:
    at: datetime
    cause: Hashable
    hangs_on: int
    next_try_at: datetime


@dataclass(slots=True)
class Parking:
    """Per account, in memory: after a restart everything is simply tried again at once."""

    random: Callable[[], float] = lambda: 0.0
    _beat: datetime | None = None
    """One of the instants, a minute apart, at which what is parked is tried."""
    _parked: dict[Hashable, _Parked] = field(default_factory=dict)
    _weather_since: dict[Hashable, datetime] = field(default_factory=dict)
    _weather_last: dict[Hashable, datetime] = field(default_factory=dict)
    _heeded: dict[Hashable, int] = field(default_factory=dict)

    def park(
        self, subject: Hashable, now: datetime, *, cause: Hashable = None, hangs_on: int = 0
    ) -> datetime:
        """Leaves `subject` alone for a while after a refusal; returns when it is tried again.

        Within a minute, unless too many others are tried in that. `cause`: what has to heal; None:
        nothing in common with others. `hangs_on`: the newest position that it was tried by.
        """
        self._parked.pop(subject, None)
        next_try_at = self._turn_after(now)
        self._parked[subject] = _Parked(now, cause, hangs_on, next_try_at)
        return next_try_at

    def park_until_look(self, subject: Hashable, now: datetime, *, hangs_on: int = 0) -> None:
        """Leaves `subject` alone until the account is next read whole: each try of it writes."""
        self._parked[subject] = _Parked(now, None, hangs_on, _AT_THE_NEXT_LOOK)

    def look(self) -> None:
        """The account is read whole now."""
        for subject, entry in list(self._parked.items()):
            if entry.next_try_at == _AT_THE_NEXT_LOOK:
                del self._parked[subject]

    def _turn_after(self, now: datetime) -> datetime:
        """The first beat of the account's own minute that has room: one pass tries all of it."""
        if self._beat is None:
            self._beat = now + parked_delay(self.random())
        first = self._beat + ((now - self._beat) // PARKED + 1) * PARKED
        taken = Counter(entry.next_try_at for entry in self._parked.values())
        turns = [first + turn * PARKED for turn in range(PARKED_TURNS_MAX)]
        return next((turn for turn in turns if taken[turn] < PARKED_TRIES_MAX), turns[-1])

    def parked(self, subject: Hashable, now: datetime, *, since: datetime | None = None) -> bool:
        """`since`: what was parked before was another step of the same subject, and counts not."""
        entry = self._parked.get(subject)
        if entry is None or (since is not None and entry.at < since):
            return False
        return now < entry.next_try_at

    def heed(self, subject: Hashable, position: int) -> None:
        """A person's word at `position` wants `subject` tried at once; each word counts once."""
        if self._heeded.get(subject) != position:
            self._heeded[subject] = position
            self._parked.pop(subject, None)

    def hang(self, subject: Hashable, position: int) -> None:
        """What `subject` hangs on stands at `position` by now: what is news is tried at once."""
        entry = self._parked.get(subject)
        if entry is not None and entry.hangs_on < position:
            del self._parked[subject]

    def weather(self, subject: Hashable, now: datetime) -> bool:
        """Notes a failure that may pass; true when it has lasted long enough to be called stuck."""
        self._weather_last[subject] = now
        return now - self._weather_since.setdefault(subject, now) >= STUCK_AFTER

    def turn(self, subject: Hashable) -> datetime:
        """What to sort by, so that steps which always meet weather hold up no other step.

        When it last did; the beginning of time where it never has.
        """
        return self._weather_last.get(subject, _NEVER)

    def done(self, subject: Hashable, now: datetime) -> None:
        """It worked: nothing is remembered against it, and its cause may have healed for others."""
        healed = self._parked.pop(subject, None)
        for memory in (self._weather_since, self._weather_last):
            memory.pop(subject, None)
        if healed is None or healed.cause is None:
            return
        for entry in self._parked.values():
            if entry.cause == healed.cause:
                entry.next_try_at = min(entry.next_try_at, now + HEALED)

    def next_try_at(self, after: datetime) -> datetime | None:
        """The earliest retry later than `after`; None when there is none.

        What was to be tried by then has been, or is no longer wanted: it wakes nobody.
        """
        instants = (entry.next_try_at for entry in self._parked.values())
        to_come = (instant for instant in instants if after < instant < _AT_THE_NEXT_LOOK)
        return min(to_come, default=None)

    def failing(self) -> frozenset[Hashable]:
        """What was tried and has not worked since."""
        return frozenset({*self._parked, *self._weather_since})

    def forget(self, living: set[Hashable]) -> None:
        """Drops what is no longer a subject, so that memory stays bounded."""
        for memory in (self._parked, self._weather_since, self._weather_last, self._heeded):
            for subject in [known for known in memory if known not in living]:
                del memory[subject]
