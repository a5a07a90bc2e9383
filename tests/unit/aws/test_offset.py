"""How far AWS's clock is from ours, whatever becomes of ours."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from worker.aws.offset import ClockOffset

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@dataclass
class Machine:
    """A machine whose clock may be set, beside AWS whose clock is right."""

    ahead_s: float = 0.0
    """Our clock less the true time."""
    passed_s: float = 0.0
    offset: ClockOffset = field(init=False)

    def __post_init__(self) -> None:
        self.offset = ClockOffset(self.now, lambda: 77.0 + self.passed_s)

    @property
    def truth(self) -> datetime:
        return NOON + timedelta(seconds=self.passed_s)

    def now(self) -> datetime:
        return self.truth + timedelta(seconds=self.ahead_s)

    def call(self, *, took_s: float = 0.2, wrong_s: float = 0.0) -> None:
        """An answer whose header was written half-way."""
        sent_s = self.offset.sent()
        theirs = self.truth + timedelta(seconds=took_s / 2 + wrong_s)
        self.passed_s += took_s
        header = format_datetime(theirs.replace(microsecond=0), usegmt=True)
        self.offset.seen(header, sent_s)


def test_before_any_answer_nothing_is_known() -> None:
    assert Machine().offset.seconds is None


@pytest.mark.parametrize("ahead_s", [-3600, -40, 0, 40, 3600])
def test_the_offset_is_right_to_the_headers_own_second(ahead_s: int) -> None:
    machine = Machine(ahead_s)
    for _ in range(5):
        machine.call()
    assert machine.offset.seconds == pytest.approx(-ahead_s, abs=0.8)


def test_a_clock_that_is_set_while_we_run_is_seen_at_once_without_a_new_answer() -> None:
    machine = Machine()
    for _ in range(5):
        machine.call()
    machine.passed_s += 300
    assert machine.offset.seconds == pytest.approx(0, abs=0.8)
    machine.ahead_s = 600
    assert machine.offset.seconds == pytest.approx(-600, abs=0.8)


def test_two_odd_answers_of_five_move_nothing() -> None:
    machine = Machine()
    for wrong_s in (0, 900, 0, -900, 0):
        machine.call(wrong_s=wrong_s)
    assert machine.offset.seconds == pytest.approx(0, abs=0.8)


def test_only_the_newest_five_count() -> None:
    machine = Machine()
    for wrong_s in (500, 500, 500, 500, 500, 10, 10, 10, 10, 10):
        machine.call(wrong_s=wrong_s)
    assert machine.offset.seconds == pytest.approx(10, abs=0.8)


@pytest.mark.parametrize("header", [None, "", "yesterday", "2026-03-02"])
def test_an_answer_without_a_readable_date_says_nothing(header: str | None) -> None:
    machine = Machine()
    machine.offset.seen(header, 0.0)
    assert machine.offset.seconds is None
