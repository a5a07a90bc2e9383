"""When somebody had access by a grant, as stretches of one state each, and as a drawing of them.

Pure. Invariant: a stretch's state is what `ledger.answer` says of its first instant; nothing about
access is decided here. The drawing repeats what the row beside it says, so it is hidden from a
screen reader.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from cli.report.markup import Markup, element
from ledger.answer import Between, State, access_span, state_of
from ledger.envelope import Recorded
from ledger.events import DriftFound, DriftRepaired
from ledger.project import GrantRow

HEIGHT = 22
BAR_FROM, BAR_HEIGHT = 10, 8
TICKS_MAX = 6
LABELS_TO = 92.0
"""Per cent of the width: a name that begins behind it would stand outside."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_STEPS = (
    *(timedelta(minutes=number) for number in (1, 5, 15, 30)),
    *(_HOUR * number for number in (1, 3, 6, 12)),
    *(_DAY * number for number in (1, 2, 7, 14)),
)
_MONTH_STEPS = (1, 3, 6, 12, 24, 60, 120, 240, 600, 1_200, 6_000, 12_000)

_SHAPES = {
    "drift": "M0 1 L4.5 8.5 L-4.5 8.5 Z",
    "repaired": "M-4 4.5 L-1 7.5 L4 1",
    "removed": "M0 6 L0 22",
}
"""What is drawn at an instant, around the point 0."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """`start <= t < end` in one state; an end of None is not in sight."""

    start: datetime
    end: datetime | None
    state: State

    def within(self, period: Between) -> bool:
        return self.start < period.end and (self.end is None or period.start < self.end)


@dataclass(frozen=True, slots=True)
class Mark:
    """One instant that a drawing shows: `drift`, `repaired` or `removed`."""

    at: datetime
    kind: str


def stretches(row: GrantRow) -> tuple[Stretch, ...]:
    """All the time in which somebody may have had access by `row`, in order, without gaps."""
    span = access_span(row)
    if span is None:
        return ()
    start, end = span
    marks = (row.applied, row.closed, None if row.trouble is None else row.trouble.since)
    turns = {start, *(mark.at for mark in marks if mark is not None)}
    turns |= {row.due_at} if row.due_at is not None else set()
    inside = sorted(at for at in turns if start <= at and (end is None or at < end))
    found: list[Stretch] = []
    for first, after in pairwise([*inside, end]):
        state = state_of(row, first) if first is not None else None
        if first is None or state is None:
            continue
        if found and found[-1].state == state:
            found[-1] = Stretch(found[-1].start, after, state)
        else:
            found.append(Stretch(first, after, state))
    return tuple(found)


def marks_of(row: GrantRow, history: Sequence[Recorded]) -> tuple[Mark, ...]:
    """Drift that was found and put right, and the confirmed removal."""
    found = []
    for recorded in history:
        match recorded.event:
            case DriftFound():
                found.append(Mark(recorded.event.first_seen_at, "drift"))
            case DriftRepaired():
                found.append(Mark(recorded.event.confirmed_at, "repaired"))
            case _:
                pass
    if row.closed is not None and row.closed_how in ("answered", "found_absent"):
        found.append(Mark(row.closed.at, "removed"))
    return tuple(found)


# --- the scale --------------------------------------------------------------------------------


def ticks(period: Between) -> list[tuple[datetime, str]]:
    """Round instants of the period, `TICKS_MAX` at most, and how each is called."""
    length = period.end - period.start
    for step in _STEPS:
        if length <= step * TICKS_MAX:
            return [(at, _called(at, step)) for at in _every(period, step)]
    for months in _MONTH_STEPS:
        found = list(_months(period, months))
        if len(found) <= TICKS_MAX:
            break
    return [(at, f"{_MONTHS[at.month - 1]} {at.year}") for at in found]


def _every(period: Between, step: timedelta) -> Iterator[datetime]:
    day = period.start.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    number = -(-(period.start - day) // step)
    while (at := day + step * number) < period.end:
        yield at
        number += 1


def _months(period: Between, months: int) -> Iterator[datetime]:
    first = period.start.astimezone(UTC)
    count = (first.year * 12 + first.month - 1) // months * months
    while count // 12 < 10_000:
        at = datetime(max(count // 12, 1), count % 12 + 1, 1, tzinfo=UTC)
        if at >= period.end:
            return
        if at >= period.start:
            yield at
        count += months


def _called(at: datetime, step: timedelta) -> str:
    day = f"{at.day} {_MONTHS[at.month - 1]}"
    return day if step >= _DAY or (at.hour, at.minute) == (0, 0) else f"{at:%H:%M}"


def _percent(at: datetime, period: Between) -> float:
    share = (at - period.start) / (period.end - period.start)
    return round(100 * min(max(share, 0.0), 1.0), 2)


# --- drawing ----------------------------------------------------------------------------------


def definitions(period: Between, instant: datetime | None) -> Markup:
    """What every drawing of a page refers to: hatchings, and the lines of the scale."""
    lines = [_line(at, period, "tick") for at, _ in ticks(period)]
    if instant is not None:
        lines.append(_line(instant, period, "instant"))
    return element(
        "svg",
        element(
            "defs",
            _hatching("hatch-ending", "M-1 7 L7 -1 M5 9 L9 5 M-1 1 L1 -1"),
            _hatching("hatch-stuck", "M0 0 L8 8 M8 0 L0 8"),
            element("g", lines, id="scale"),
        ),
        class_="definitions",
        width=0,
        height=0,
        aria_hidden="true",
    )


def _hatching(name: str, path: str) -> Markup:
    drawn = (element("rect", width=8, height=8), element("path", d=path))
    return element(
        "pattern", *drawn, id=name, width=8, height=8, patternUnits="userSpaceOnUse", class_=name
    )


def _line(at: datetime, period: Between, kind: str) -> Markup:
    x = f"{_percent(at, period)}%"
    return element("line", x1=x, x2=x, y1=0, y2=HEIGHT, class_=kind)


def scale(period: Between) -> Markup:
    """The names of the ticks, over a column of drawings."""
    named = []
    for number, (at, name) in enumerate(ticks(period)):
        x = _percent(at, period)
        if x <= LABELS_TO:
            odd = "odd" if number % 2 else None
            named.append(element("text", name, x=f"{x}%", y=12, class_=odd))
    return element("svg", named, class_="scale", width="100%", height=16, aria_hidden="true")


def drawing(pieces: Iterable[Stretch], marks: Iterable[Mark], period: Between) -> Markup:
    """One grant's stretches and marks, as far as they lie in the period."""
    drawn = [element("use", href="#scale")]
    for piece in pieces:
        if not piece.within(period):
            continue
        x = _percent(piece.start, period)
        end = 100.0 if piece.end is None else _percent(piece.end, period)
        drawn.append(
            element(
                "rect",
                x=f"{x}%",
                y=BAR_FROM,
                width=f"{round(end - x, 2)}%",
                height=BAR_HEIGHT,
                class_=piece.state,
            )
        )
    drawn += [
        element(
            "svg",
            element("path", d=_SHAPES[mark.kind], class_=mark.kind),
            x=f"{_percent(mark.at, period)}%",
            overflow="visible",
        )
        for mark in marks
        if period.start <= mark.at < period.end
    ]
    return element("svg", drawn, class_="drawing", width="100%", height=HEIGHT, aria_hidden="true")


def swatch(state: str) -> Markup:
    """A state as the legend shows it."""
    shape = (
        element("rect", x=1, y=BAR_FROM, width=26, height=BAR_HEIGHT, class_=state)
        if state not in _SHAPES
        else element(
            "svg", element("path", d=_SHAPES[state], class_=state), x=14, overflow="visible"
        )
    )
    return element("svg", shape, class_="drawing", width=28, height=HEIGHT, aria_hidden="true")
