"""The timeline: stretches as `ledger.answer` tells them, and a scale that a person can read."""

import re
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.report.timeline import TICKS_MAX, Mark, Stretch, drawing, marks_of, stretches, ticks
from ledger.answer import Between, access_span, state_of
from ledger.envelope import Provenance, Recorded
from ledger.events import (
    Applied,
    DriftFound,
    DriftRepaired,
    Event,
    Granted,
    Removed,
    Revoked,
    Stuck,
    ref,
)
from ledger.model import Grant
from ledger.project import GrantRow, fold
from tests.support.histories import ATTACHED, NOON, PROD, after, grant

ANA = grant("aaaa2222bbbb3333", ends=after(10))
BEN = grant("bbbb2222cccc3333", "user/ben")


def told(*events: tuple[Event, datetime]) -> tuple[GrantRow, list[Recorded]]:
    """What a grant's events make of it."""
    row, history = None, []
    for position, (event, at) in enumerate(events, start=1):
        recorded = Recorded(position, at, event, Provenance(), f"k{position}", "0" * 64)
        history.append(recorded)
        row = fold(row, recorded)
    assert row is not None
    return row, history


def applied(what: Grant, at: datetime, enforcement: str | None = "aws") -> tuple[Event, datetime]:
    return Applied(ref(what), (ATTACHED,), enforcement, (), 1, (), at), at  # type: ignore[arg-type]  # of three words


def removed(what: Grant, at: datetime) -> tuple[Event, datetime]:
    return Removed(ref(what), "expired", "answered", 1, (), at), at


def states(row: GrantRow) -> list[tuple[str, datetime, datetime | None]]:
    return [(one.state, one.start, one.end) for one in stretches(row)]


def test_access_is_declared_then_confirmed_and_over_at_its_date() -> None:
    row, _ = told((Granted(ANA), NOON), applied(ANA, after(1)), removed(ANA, after(10.5)))
    assert states(row) == [("declared", NOON, after(1)), ("confirmed", after(1), after(10))]


def test_what_only_the_worker_ends_is_late_until_its_removal() -> None:
    row, _ = told((Granted(ANA), NOON), applied(ANA, after(1), "daemon"), removed(ANA, after(12)))
    assert states(row)[-1] == ("ending", after(10), after(12))


def test_permanent_access_that_was_revoked_is_late_for_as_long_as_nothing_confirms() -> None:
    row, _ = told(
        (Granted(BEN), NOON), applied(BEN, after(1), None), (Revoked(ref(BEN), "removed"), after(5))
    )
    assert states(row)[-1] == ("ending", after(5), None)


def test_what_is_stuck_is_shown_from_then_on() -> None:
    stuck = Stuck(PROD, "AccessDenied", "no", ref(ANA))
    row, _ = told((Granted(ANA), NOON), (stuck, after(2)))
    assert states(row) == [("declared", NOON, after(2)), ("stuck", after(2), after(10))]


@given(
    st.lists(st.integers(1, 40), min_size=3, max_size=3),
    st.sampled_from(["aws", "daemon"]),
    st.booleans(),
)
def test_stretches_are_the_access_span_without_gaps_each_of_one_state(
    hours: list[int], enforcement: str, revoked: bool
) -> None:
    first, second, third = sorted(hours)
    events = [(Granted(ANA), NOON), applied(ANA, after(first), enforcement)]
    if revoked:
        events.append((Revoked(ref(ANA), "removed"), after(second)))
    row, _ = told(*events, removed(ANA, after(third)))
    span, found = access_span(row), stretches(row)
    assert span is not None
    assert (found[0].start, found[-1].end) == span
    for one, following in pairwise(found):
        assert one.end == following.start
        assert one.state != following.state
    for minute in range(0, 60 * 41, 17):
        at = NOON + timedelta(minutes=minute)
        covering = [
            one.state for one in found if one.start <= at and (one.end is None or at < one.end)
        ]
        known = state_of(row, at)
        assert covering == ([] if known is None else [known])


def test_drift_and_the_removal_are_marked_at_their_instants() -> None:
    found = DriftFound(PROD, "altered", "inline x", ref(ANA), None, None, after(2), None)
    right = DriftRepaired(PROD, "inline x", "written", ref(ANA), None, None, after(3))
    row, history = told(
        (Granted(ANA), NOON),
        applied(ANA, after(1)),
        (found, after(2.5)),
        (right, after(3)),
        removed(ANA, after(10)),
    )
    assert marks_of(row, history) == (
        Mark(after(2), "drift"),
        Mark(after(3), "repaired"),
        Mark(after(10), "removed"),
    )


# --- the scale --------------------------------------------------------------------------------

LENGTHS = st.timedeltas(timedelta(seconds=1), timedelta(days=365 * 300))
STARTS = st.timedeltas(timedelta(days=-20_000), timedelta(days=20_000)).map(lambda by: NOON + by)


@given(STARTS, LENGTHS)
def test_ticks_lie_in_the_period_in_order_and_are_few(start: datetime, length: timedelta) -> None:
    period = Between(start, start + length)
    found = [at for at, _ in ticks(period)]
    assert found == sorted(set(found))
    assert len(found) <= TICKS_MAX
    assert all(period.start <= at < period.end for at in found)
    if length >= timedelta(minutes=10):
        assert found, "no tick at all"


@pytest.mark.parametrize(
    ("start", "hours", "names"),
    [
        (NOON, 6, ["12:00", "13:00", "14:00", "15:00", "16:00", "17:00"]),
        (NOON, 24, ["12:00", "18:00", "3 Mar", "06:00"]),
        (NOON, 24 * 5, ["3 Mar", "4 Mar", "5 Mar", "6 Mar", "7 Mar"]),
        (NOON, 24 * 37, ["9 Mar", "16 Mar", "23 Mar", "30 Mar", "6 Apr"]),
        (NOON, 24 * 365, ["Apr 2026", "Jul 2026", "Oct 2026", "Jan 2027"]),
    ],
)
def test_ticks_are_round_and_called_as_people_call_them(
    start: datetime, hours: int, names: list[str]
) -> None:
    assert [name for _, name in ticks(Between(start, start + timedelta(hours=hours)))] == names


def test_a_drawing_keeps_inside_its_period() -> None:
    pieces = (
        Stretch(after(-50), after(1), "declared"),
        Stretch(after(1), None, "confirmed"),
        Stretch(after(90), None, "ending"),
    )
    drawn = drawing(
        pieces, (Mark(after(5), "drift"), Mark(after(50), "removed")), Between(NOON, after(10))
    ).html
    assert re.findall(r'<rect x="([\d.]+)%" y="\d+" width="([\d.]+)%"', drawn) == [
        ("0.0", "10.0"),
        ("10.0", "90.0"),
    ]
    assert re.findall(r'<svg x="([\d.]+)%"', drawn) == ["50.0"]
