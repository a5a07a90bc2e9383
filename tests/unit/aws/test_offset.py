"""How far AWS's clock is from ours."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from worker.aws.offset import ClockOffset

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def seen(offset: ClockOffset, theirs: datetime, *, took_s: float = 0.2) -> None:
    """An answer whose header says `theirs`, half-way through a call begun at noon."""
    header = format_datetime(theirs.replace(microsecond=0), usegmt=True)
    offset.seen(header, NOON, NOON + timedelta(seconds=took_s))


def test_before_any_answer_nothing_is_known() -> None:
    assert ClockOffset().seconds is None


@pytest.mark.parametrize("ahead_s", [-3600, -40, 0, 40, 3600])
def test_the_offset_is_right_to_the_headers_own_second(ahead_s: int) -> None:
    offset = ClockOffset()
    for _ in range(5):
        seen(offset, NOON + timedelta(seconds=ahead_s))
    assert offset.seconds == pytest.approx(ahead_s, abs=0.6)


def test_two_odd_answers_of_five_move_nothing() -> None:
    offset = ClockOffset()
    for ahead_s in (0, 900, 0, -900, 0):
        seen(offset, NOON + timedelta(seconds=ahead_s))
    assert offset.seconds == pytest.approx(0, abs=0.6)


def test_only_the_newest_five_count() -> None:
    offset = ClockOffset()
    for ahead_s in (500, 500, 500, 500, 500, 10, 10, 10, 10, 10):
        seen(offset, NOON + timedelta(seconds=ahead_s))
    assert offset.seconds == pytest.approx(10, abs=0.6)


@pytest.mark.parametrize("header", [None, "", "yesterday", "2026-03-02"])
def test_an_answer_without_a_readable_date_says_nothing(header: str | None) -> None:
    offset = ClockOffset()
    offset.seen(header, NOON, NOON)
    assert offset.seconds is None
