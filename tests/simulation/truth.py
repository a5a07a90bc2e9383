"""Who should have access, said without any of the program's own words: lines, holds and time.

Invariant: nothing is imported here from the product. A directory is what it was at each instant;
access at an instant is what some line in force then says, unless it is held.
"""

from dataclasses import dataclass, field
from datetime import datetime

Where = tuple[str, str, str]
"""Account, principal (`user/ana`) and policy."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the files; `ends_at` None: permanent access."""

    account: str
    principal: str
    policy: str
    starts_at: datetime | None
    ends_at: datetime | None

    @property
    def where(self) -> Where:
        return self.account, self.principal, self.policy

    def __str__(self) -> str:
        window = "for good"
        if self.ends_at is not None:
            start = f"{self.starts_at:%H:%M:%S}" if self.starts_at else "at once"
            window = f"{start} to {self.ends_at:%H:%M:%S}"
        return f"{self.account[:4]} {self.principal} {self.policy} {window}"

    def covers(self, instant: datetime) -> bool:
        if self.ends_at is None:
            return True
        return (self.starts_at is None or self.starts_at <= instant) and instant < self.ends_at

    def over(self, instant: datetime) -> bool:
        return self.ends_at is not None and self.ends_at <= instant


@dataclass(slots=True)
class Truth:
    """All that people have said so far."""

    lines: tuple[Line, ...] = ()
    """The directory in force."""
    holds: set[Where] = field(default_factory=set)
    ever: set[Line] = field(default_factory=set)
    """Every line that there ever was."""
    changes: list[tuple[datetime, frozenset[Line], frozenset[Where]]] = field(default_factory=list)
    """What was in force from each instant on."""

    def ingested(self, lines: tuple[Line, ...], now: datetime) -> None:
        self.lines = lines
        self.ever |= set(lines)
        named = {line.where for line in lines if not line.over(now)}
        self.holds &= named
        self._changed(now)

    def revoked(self, where: Where, now: datetime) -> None:
        self.holds.add(where)
        self._changed(now)

    def released(self, where: Where, now: datetime) -> None:
        """What was held is given again only to a line that comes after it."""
        self.lines = tuple(line for line in self.lines if line.where != where)
        self.holds.discard(where)
        self._changed(now)

    def _changed(self, now: datetime) -> None:
        self.changes.append((now, frozenset(self.lines), frozenset(self.holds)))

    def means(self, where: Where, instant: datetime) -> bool:
        """Whether there should be access at `instant`, which is not before the last change."""
        if where in self.holds:
            return False
        return any(line.where == where and line.covers(instant) for line in self.lines)

    def meant(self, where: Where, instant: datetime) -> bool:
        """The same for any instant so far."""
        known = [change for change in self.changes if change[0] <= instant]
        if not known:
            return False
        _, lines, holds = known[-1]
        return where not in holds and any(
            line.where == where and line.covers(instant) for line in lines
        )

    def unbroken(self, where: Where, instant: datetime) -> bool:
        """Whether no change of that very instant took it away, be it for no time at all."""
        return all(
            where not in holds
            and any(line.where == where and line.covers(instant) for line in lines)
            for at, lines, holds in self.changes
            if at == instant
        )

    def could_be(self, where: Where, instant: datetime) -> bool:
        """Whether what was once said still allows it by its date."""
        return any(line.where == where and not line.over(instant) for line in self.ever)
