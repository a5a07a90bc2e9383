"""A window in its reader's words: as its line says it, with the exact instants beside.

Pure. Invariant: the words never stand for the instant; whoever reads only the instant knows all.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from cli.instants import shown
from ledger.manifest import DeclaredGrant, LastDay, Lasts
from ledger.manifest.scalars import duration_text
from ledger.model import Window


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads, and when."""

    now: datetime
    time_zone: str
    """In which a line's day ends."""
    to_come: bool
    """Whether the ingest is still to come, from which a `duration` counts."""

    def window(self, window: Window, line: DeclaredGrant | None) -> str:
        """From now on: when it starts is told where that is to come. `line`: what declares it."""
        starts = f"from {shown(window.starts_at)} " if window.starts_at > self.now else ""
        if window.ends_at is None:
            return f"{starts}permanent"
        until = f"until {shown(window.ends_at)}"
        match None if line is None else line.end:
            case Lasts(seconds) if line is not None and line.starts_at is None and self.to_come:
                return f"for {duration_text(seconds)} from the ingest on: {until} if that were now"
            case Lasts(seconds):
                return f"{starts}for {duration_text(seconds)}, {until}"
            case LastDay(day):
                return f"{starts}through {day} in {self.time_zone}, {until}"
            case _:
                length = window.ends_at - max(window.starts_at, self.now)
                return f"{starts}{until} ({'' if starts else 'in '}{span_text(length)})"


def span_text(span: timedelta) -> str:
    """`2d4h`, `3h59m`, `45s`: the two largest of days, hours, minutes and seconds, cut down."""
    seconds = int(span.total_seconds())
    for larger, smaller in ((86_400, 3_600), (3_600, 60)):
        if seconds >= larger:
            return duration_text(seconds - seconds % smaller)
    return duration_text(seconds)


def moved(before: Window, after: Window) -> str:
    """How much later or earlier it ends; empty where one of them has no end."""
    if before.ends_at is None or after.ends_at is None or before.ends_at == after.ends_at:
        return ""
    later = after.ends_at > before.ends_at
    length = span_text(abs(after.ends_at - before.ends_at))
    return f" ({length} {'later' if later else 'earlier'})"
