"""No step is given up, none is tried in a tight loop, and none holds up the others."""

from datetime import timedelta

from tests.support.histories import NOON
from worker.parking import Parking

MINUTE = timedelta(minutes=1)


def test_what_is_refused_again_waits_longer_each_time() -> None:
    parking = Parking()
    waits, now = [], NOON
    for _ in range(7):
        retry_at = parking.park("step", now)
        assert parking.parked("step", retry_at - timedelta(microseconds=1))
        assert not parking.parked("step", retry_at)
        waits.append((retry_at - now) // MINUTE)
        now = retry_at
    assert waits == [1, 2, 4, 8, 15, 15, 15]


def test_what_worked_starts_anew() -> None:
    parking = Parking()
    parking.park("step", NOON)
    parking.park("step", NOON)
    parking.done("step")
    assert not parking.parked("step", NOON)
    assert parking.park("step", NOON) == NOON + MINUTE


def test_weather_is_stuck_after_a_minute_and_not_before() -> None:
    parking = Parking()
    assert not parking.weather("step", NOON)
    assert not parking.weather("step", NOON + MINUTE - timedelta(microseconds=1))
    assert parking.weather("step", NOON + MINUTE)
    parking.done("step")
    assert not parking.weather("step", NOON + MINUTE)


def test_what_met_weather_comes_behind_what_did_not_and_takes_turns() -> None:
    parking = Parking()
    parking.weather("first", NOON)
    parking.weather("second", NOON + MINUTE)
    assert sorted(["second", "first", "never"], key=parking.turn) == ["never", "first", "second"]
    parking.weather("first", NOON + 2 * MINUTE)
    assert sorted(["second", "first"], key=parking.turn) == ["second", "first"]


def test_the_next_try_is_the_earliest_to_come_and_never_one_gone_by() -> None:
    parking = Parking()
    assert parking.next_try_at(NOON) is None
    parking.park("early", NOON)
    parking.park("late", NOON + MINUTE)
    assert parking.next_try_at(NOON) == NOON + MINUTE
    assert parking.next_try_at(NOON + MINUTE) == NOON + 2 * MINUTE
    assert parking.next_try_at(NOON + 2 * MINUTE) is None


def test_memory_is_of_what_still_lives() -> None:
    parking = Parking()
    for subject in ("gone", "here"):
        parking.park(subject, NOON)
        parking.weather(subject, NOON)
    parking.forget({"here"})
    assert parking.parked("here", NOON)
    assert not parking.parked("gone", NOON)
    assert parking.park("gone", NOON) == NOON + MINUTE
