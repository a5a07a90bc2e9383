"""Laws of deciding, over random windows and random edits: failures 1 and 10 of others."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.answer import state_of
from ledger.project import GrantRow, Mark
from tests.support.builders import Book, Entry, Files, at, directory, temporary

HOURS = 30
"""How long a history is; every instant in it is a whole half hour."""

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Line:
    """One line of temporary-access: a window of one person, by its hours."""

    start: int
    end: int
    form: str

    def entry(self) -> Entry:
        starts_at = at(self.start)
        if self.form == "duration":
            return temporary(starts_at=starts_at, duration=f"{self.end - self.start}h")
        return temporary(starts_at=starts_at, expires_at=at(self.end))

    def covers(self, instant: datetime) -> bool:
        return at(self.start) <= instant < at(self.end)


@st.composite
def lines(draw: st.DrawFn) -> Line:
    start = draw(st.integers(0, HOURS - 1))
    end = draw(st.integers(start + 1, HOURS))
    return Line(start, end, draw(st.sampled_from(["duration", "instant"])))


def unique(found: Sequence[Line]) -> list[Line]:
    """Two durations of one start are one identity, which no directory may hold twice."""
    kept: dict[tuple[str, int, int], Line] = {}
    for line in found:
        key = (line.form, line.start, 0 if line.form == "duration" else line.end)
        kept.setdefault(key, line)
    return list(kept.values())


directories = st.lists(lines(), max_size=5).map(unique)


def files_of(declared: Sequence[Line]) -> Files:
    return directory(windows=[line.entry() for line in declared])


def gives_access(rows: Sequence[GrantRow], instant: datetime) -> bool:
    """By the ledger as it stood at `instant`."""
    return any(
        row.granted.at <= instant
        and row.grant.window.covers(instant)
        and (row.revoked is None or row.revoked.at > instant)
        for row in rows
    )


@settings(max_examples=60, deadline=None)
@given(directories, st.integers(0, HOURS))
def test_access_is_there_at_an_instant_exactly_when_some_window_covers_it(
    declared: list[Line], first: int
) -> None:
    book = Book()
    book.ingest(files_of(declared), at(first))
    for half in range(first * 2, HOURS * 2 + 1):
        instant = at(half / 2)
        expected = any(line.covers(instant) for line in declared)
        assert gives_access(list(book.rows.values()), instant) is expected


@settings(max_examples=60, deadline=None)
@given(st.lists(directories, min_size=1, max_size=5))
def test_edits_over_time_cut_no_window_that_is_still_declared(history: list[list[Line]]) -> None:
    """Between two ingests access is what the newest directory says, but for what is spent."""
    book = Book()
    ends: dict[tuple[str, int, int], datetime] = {}
    """Every identity ever granted, with the last end that it was told: spent once that has come,
    whether its line stood then or not."""
    live: set[tuple[str, int, int]] = set()
    for number, declared in enumerate(history):
        now = at(number * 6)
        free = [line for line in declared if ends.get(key(line), now + HOUR) > now]
        in_force = [line for line in free if at(line.end) > now]
        # Shortened into the past by this very ingest, having been live before it: spent as well.
        cut = [line for line in free if at(line.end) <= now and key(line) in live]
        ends |= {key(line): at(line.end) for line in (*in_force, *cut)}
        live = {key(line) for line in in_force}
        book.ingest(files_of(declared), now)
        for half in range(12):
            instant = now + timedelta(minutes=30 * half)
            expected = any(line.covers(instant) for line in in_force)
            assert gives_access(list(book.rows.values()), instant) is expected


def key(line: Line) -> tuple[str, int, int]:
    """What makes a line the same grant: not the length of a duration."""
    return line.form, line.start, 0 if line.form == "duration" else line.end


@settings(max_examples=60, deadline=None)
@given(st.lists(directories, min_size=1, max_size=4))
def test_deciding_twice_appends_nothing(history: list[list[Line]]) -> None:
    book = Book()
    for number, declared in enumerate(history):
        now = at(number * 5)
        book.ingest(files_of(declared), now, commit=f"c{number}")
        assert book.plan(files_of(declared), now, commit=f"c{number}").planned == ()


@settings(max_examples=60, deadline=None)
@given(st.lists(directories, min_size=2, max_size=5))
def test_an_identity_whose_end_has_passed_never_comes_back(history: list[list[Line]]) -> None:
    book = Book()
    over: dict[str, int] = {}
    for number, declared in enumerate(history):
        now = at(number * 6)
        book.ingest(files_of(declared), now)
        for grant, turn in over.items():
            turns = [t for known, t in book.turns() if known == grant]
            assert max(turns) == turn, "a grant whose end had passed got another turn"
        for row in book.rows.values():
            end = row.declared_end
            newest = max(t for known, t in book.turns() if known == row.grant.id)
            if row.grant.turn == newest and end is not None and end <= now + timedelta(hours=6):
                over[row.grant.id] = newest


@settings(max_examples=60, deadline=None)
@given(st.lists(directories, min_size=1, max_size=5))
def test_no_two_live_grants_of_one_person_carry_one_name(history: list[list[Line]]) -> None:
    book = Book()
    for number, declared in enumerate(history):
        now = at(number * 4)
        book.ingest(files_of(declared), now)
        open_rows = [
            row
            for row in book.rows.values()
            if row.revoked is None and not row.grant.window.over(now)
        ]
        names = [row.grant.object for row in open_rows]
        assert len(names) == len(set(names))


@settings(max_examples=60, deadline=None)
@given(st.lists(directories, min_size=1, max_size=5))
def test_an_answer_lists_whoever_is_declared_and_nobody_else(history: list[list[Line]]) -> None:
    """Failure 1, asked of the answers: while every removal is confirmed at its instant, somebody
    is listed exactly when a window in force covers the instant, however windows overlap."""
    book = Book()
    for number, declared in enumerate(history):
        now = at(number * 6)
        book.ingest(files_of(declared), now)
        rows = [removed_when_due(row) for row in book.rows.values()]
        for half in range(12):
            instant = now + timedelta(minutes=30 * half)
            listed = any(state_of(row, instant) is not None for row in rows)
            assert listed is gives_access(list(book.rows.values()), instant), instant


def removed_when_due(row: GrantRow) -> GrantRow:
    """As a worker that is never late leaves it."""
    if row.due_at is None:
        return row
    gone = Mark(row.granted.position, max(row.due_at, row.granted.at), row.granted.recorded_at)
    return replace(row, closed=gone, closed_how="answered")
