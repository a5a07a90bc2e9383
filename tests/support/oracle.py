"""What an answer must say, by kinds of events alone, their history read backwards.

Nothing here is of `project`, `answer` or `store` (a test looks): another way of reckoning.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ledger.envelope import Recorded
from ledger.events import (
    Applied,
    DriftFound,
    Granted,
    Left,
    Refused,
    Removed,
    RetryRequested,
    Revoked,
    Settled,
    Stuck,
    Unstuck,
)

TICK = timedelta(microseconds=1)


def trouble_in(history: Sequence[Recorded]) -> tuple[str, datetime] | None:
    """The newest trouble that nothing has healed, and since when."""
    for item in reversed(history):
        match item.event:
            case Applied() | Unstuck():
                return None
            case RetryRequested():
                return "retry", item.recorded_at
            case Refused():
                return "refused", item.recorded_at
            case Stuck():
                return "stuck", item.recorded_at
            case DriftFound(first_seen_at=since):
                return "missing", since
    return None


def expected(history: Sequence[Recorded], at: datetime) -> str | None:
    """How `at` is shown by what `history` tells of one grant; None: nobody has access."""
    events = [item.event for item in history]
    first, *_ = history
    assert isinstance(first.event, Granted)
    window = first.event.grant.window
    applied = [event for event in events if isinstance(event, Applied)]
    over = [i for i in history if isinstance(i.event, Removed | Left | Settled)]
    trouble = trouble_in([i for i in history if i not in over])
    if trouble is not None and trouble[0] == "refused" and not applied:
        return None
    if at < window.starts_at or at < first.recorded_at:
        return None
    daemon = bool(applied) and applied[-1].enforcement == "daemon"
    if window.over(at) and not daemon:
        return None
    closed_at = over[0].recorded_at if over else None
    if over and isinstance(over[0].event, Removed | Left):
        closed_at = over[0].event.confirmed_at
    closed = closed_at is not None and closed_at <= at
    if over and closed and isinstance(over[0].event, Removed):
        return None
    in_trouble = trouble[0] if trouble is not None and not over and trouble[1] <= at else None
    if in_trouble in ("refused", "missing"):
        return None
    if over and closed:
        return "settled" if isinstance(over[0].event, Settled) else "left"
    if in_trouble == "stuck":
        return "stuck"
    revoked = [i.recorded_at for i in history if isinstance(i.event, Revoked)]
    if window.over(at) or any(instant <= at for instant in revoked):
        return "ending"
    if in_trouble == "retry":
        return "declared"
    return "confirmed" if any(event.confirmed_at <= at for event in applied) else "declared"


@dataclass(frozen=True, slots=True)
class Shown:
    """One grant in an answer, its parts apart."""

    state: str
    """At the last instant of the question at which somebody may have had access."""
    declared_from: datetime
    confirmed_from: datetime | None
    revoked_at: datetime | None
    closed_at: datetime | None
    """Confirmed gone, or said to be over."""


def known_at(history: Iterable[Recorded], known: datetime | None) -> list[Recorded]:
    """What had been recorded by then; None: all."""
    return [item for item in history if known is None or item.recorded_at <= known]


def shown_between(
    history: Sequence[Recorded], start: datetime, end: datetime, changes: Iterable[datetime]
) -> Shown | None:
    """How one grant is shown for `start <= t < end`; None: not at all.

    `changes`: every instant at which anything may begin or end.
    """
    if not history:
        return None
    inside = sorted({start, end - TICK} | {at for at in changes if start <= at < end})
    states = [state for at in inside if (state := expected(history, at)) is not None]
    if not states:
        return None
    first, *_ = history
    assert isinstance(first.event, Granted)
    closed = None
    for item in history:
        if closed is None and isinstance(item.event, Removed | Left):
            closed = item.event.confirmed_at
        elif closed is None and isinstance(item.event, Settled):
            closed = item.recorded_at
    return Shown(
        state=states[-1],
        declared_from=max(first.event.grant.window.starts_at, first.recorded_at),
        confirmed_from=next(
            (item.event.confirmed_at for item in history if isinstance(item.event, Applied)), None
        ),
        revoked_at=next((i.recorded_at for i in history if isinstance(i.event, Revoked)), None),
        closed_at=closed,
    )
