"""When the worker must act: instants that matter, waits that grow, clocks that disagree."""

from datetime import datetime, timedelta

import pytest

from ledger.project import GrantRow, Mark
from tests.support.histories import NOON, after, grant
from worker.timing import (
    RETRY_DELAYS_S,
    WRITE_AHEAD,
    judged_now,
    next_boundary,
    next_wake,
    overdue,
    parked_delay,
    retry_delay,
    writable,
)

SECOND = timedelta(seconds=1)


def mark(at: datetime, position: int = 1) -> Mark:
    return Mark(position, at, at)


def row(
    name: str = "g",
    *,
    ends: float | None = 4,
    starts: float = 0,
    revoked: float | None = None,
    **more: object,
) -> GrantRow:
    what = grant(name, ends=None if ends is None else after(ends), starts=after(starts))
    cut = None if revoked is None else mark(after(revoked), 2)
    return GrantRow(what, mark(NOON), revoked=cut, **more)  # type: ignore[arg-type]  # fields of it


def test_waits_after_weather_grow_to_a_minute_and_are_spread_by_a_quarter() -> None:
    waits = [retry_delay(failures, 0).total_seconds() for failures in range(1, 12)]
    assert waits == [*RETRY_DELAYS_S, *[60] * 4]
    assert retry_delay(1, 0.999).total_seconds() == pytest.approx(0.75, abs=0.001)


@pytest.mark.parametrize("jitter", [0.0, 0.5, 0.999])
def test_nothing_that_failed_is_left_alone_for_longer_than_a_minute(jitter: float) -> None:
    minute = timedelta(minutes=1)
    assert minute * 0.75 <= parked_delay(jitter) <= minute
    assert retry_delay(1_000, jitter) <= minute


@pytest.mark.parametrize(
    ("offset_s", "judged"), [(None, 0), (0.0, 0), (2.0, 0), (-2.0, 0), (2.5, 1.5), (-40.0, -41)]
)
def test_a_clock_that_is_off_by_more_than_the_measure_gives_way_to_awss(
    offset_s: float | None, judged: float
) -> None:
    assert judged_now(NOON, offset_s) == NOON + timedelta(seconds=judged)


def test_a_copy_may_stand_five_minutes_ahead_and_an_attachment_not_a_moment() -> None:
    late, standing = row(starts=2), row(starts=2, ends=None)
    assert not writable(late, after(2) - WRITE_AHEAD - SECOND)
    assert writable(late, after(2) - WRITE_AHEAD)
    assert not writable(standing, after(2) - SECOND)
    assert writable(standing, after(2))


def test_nothing_is_written_at_or_after_the_end_or_once_revoked() -> None:
    assert writable(row(), after(4) - SECOND)
    assert not writable(row(), after(4))
    assert not writable(row(revoked=1), after(1))


def test_what_only_we_can_end_comes_first_then_what_is_longest_due() -> None:
    rows = [
        row("a", ends=3),
        row("b", ends=1),
        row("c", ends=2, enforcement="daemon"),
        row("d", ends=9, revoked=1.5),
        row("e", ends=9),
        row("f", ends=1, closed=mark(after(1), 3)),
    ]
    assert [found.grant.id for found in overdue(rows, after(3))] == ["c", "b", "d", "a"]


def test_something_is_due_at_its_end_and_not_a_moment_before() -> None:
    tick = timedelta(microseconds=1)
    assert overdue([row()], after(4) - tick) == ()
    assert len(overdue([row()], after(4))) == 1


def test_the_next_boundary_is_the_first_after_what_was_planned_for() -> None:
    """A window that closed while the pass ran would otherwise live until the next resync."""
    rows = [row("a", ends=1), row("b", starts=3, ends=5), row("c", ends=None)]
    assert next_boundary(rows, NOON) == after(1)
    assert next_boundary(rows, after(1)) == after(3) - WRITE_AHEAD
    assert next_boundary(rows, after(3) - WRITE_AHEAD) == after(3), "what no date holds back waits"
    assert next_boundary(rows, after(3)) == after(5)
    assert next_boundary(rows, after(5)) is None


def test_what_is_closed_has_no_boundary() -> None:
    assert next_boundary([row(closed=mark(NOON))], NOON) is None


def test_what_is_revoked_and_still_stands_has_its_own_end_for_a_boundary() -> None:
    """It may stand for a successor that cannot be written, and goes at the earlier of two ends."""
    revoked = row(revoked=1)
    assert next_boundary([revoked], NOON) == revoked.grant.window.ends_at


def test_a_keeper_wakes_at_the_earliest_of_what_it_knows() -> None:
    assert next_wake(boundary=None, retry_at=None, resync_at=after(3)) == after(3)
    assert next_wake(boundary=after(2), retry_at=None, resync_at=after(3)) == after(2)
    assert next_wake(boundary=after(2), retry_at=after(1), resync_at=after(3)) == after(1)
