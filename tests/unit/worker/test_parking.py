"""No step is given up, none is tried in a tight loop, and none holds up the others."""

from collections import Counter
from datetime import timedelta

import pytest

from tests.support.histories import NOON
from worker.parking import HEALED, Parking
from worker.timing import PARKED, PARKED_TRIES_MAX, PARKED_TURNS_MAX

MINUTE = timedelta(minutes=1)


def test_what_is_refused_is_tried_again_within_a_minute_however_often_it_was() -> None:
    parking, now = Parking(), NOON
    for _ in range(100):
        retry_at = parking.park("step", now)
        assert parking.parked("step", retry_at - timedelta(microseconds=1))
        assert not parking.parked("step", retry_at)
        assert retry_at - now == MINUTE
        now = retry_at


@pytest.mark.parametrize("random", [0.0, 0.5, 0.999])
def test_accounts_do_not_march_in_step_and_none_waits_for_longer_than_a_minute(
    random: float,
) -> None:
    waits = Parking(lambda: random).park("step", NOON) - NOON
    assert waits == PARKED * (1 - random / 4)


def test_what_is_refused_in_one_pass_is_tried_again_in_one_pass() -> None:
    parking = Parking()
    first = parking.park("first", NOON)
    for number in range(1, PARKED_TRIES_MAX):
        assert parking.park(number, NOON + MINUTE * number / PARKED_TRIES_MAX) == first
    assert parking.park("one too many", NOON) == first + MINUTE


def test_a_hundred_refused_steps_are_twenty_tries_a_minute_and_none_is_forgotten() -> None:
    parking, tries, now = Parking(), Counter[int](), NOON
    few = PARKED_TRIES_MAX * 5
    for number in range(few):
        parking.park(number, now)
    for _ in range(60):
        now += MINUTE
        due = [number for number in range(few) if not parking.parked(number, now)]
        assert len(due) <= PARKED_TRIES_MAX
        for number in due:
            tries[number] += 1
            parking.park(number, now)
    assert set(tries) == set(range(few))
    assert max(tries.values()) - min(tries.values()) <= 1


def test_nobodys_turn_is_further_off_than_a_quarter_of_an_hour() -> None:
    parking = Parking()
    waits = [parking.park(number, NOON) - NOON for number in range(1_000)]
    assert max(waits) == PARKED_TURNS_MAX * MINUTE
    assert Counter(waits)[MINUTE] == PARKED_TRIES_MAX


def test_one_that_works_brings_the_turn_of_all_that_waited_for_the_same() -> None:
    parking = Parking()
    for number in range(100):
        parking.park(number, NOON, cause="AccessDenied")
    parking.park("another", NOON, cause="NoSuchEntity")
    now = NOON + MINUTE
    parking.done(0, now)
    assert not any(parking.parked(number, now + HEALED) for number in range(100))
    assert parking.parked("another", now + HEALED)
    assert parking.next_try_at(now) == now + HEALED, "the keeper is woken for them"


def test_what_worked_starts_anew() -> None:
    parking = Parking()
    parking.park("step", NOON)
    parking.done("step", NOON)
    assert not parking.parked("step", NOON)
    assert parking.next_try_at(NOON) is None


def test_a_step_that_came_due_after_another_of_its_grant_was_refused_does_not_wait_for_it() -> None:
    parking = Parking()
    parking.park("grant", NOON)
    assert parking.parked("grant", NOON, since=NOON)
    assert not parking.parked("grant", NOON, since=NOON + timedelta(seconds=1))


def test_what_has_been_changed_since_it_was_refused_is_tried_at_once() -> None:
    parking = Parking()
    parking.park("grant", NOON, hangs_on=7)
    parking.hang("grant", 7)
    parking.hang("unknown", 8)
    assert parking.parked("grant", NOON)
    parking.hang("grant", 8)
    assert not parking.parked("grant", NOON)


def test_a_persons_word_counts_once() -> None:
    parking = Parking()
    parking.park("grant", NOON)
    parking.heed("grant", 7)
    assert not parking.parked("grant", NOON)
    parking.park("grant", NOON)
    parking.heed("grant", 7)
    assert parking.parked("grant", NOON)


def test_weather_is_stuck_after_a_minute_and_not_before() -> None:
    parking = Parking()
    assert not parking.weather("step", NOON)
    assert not parking.weather("step", NOON + MINUTE - timedelta(microseconds=1))
    assert parking.weather("step", NOON + MINUTE)
    parking.done("step", NOON + MINUTE)
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


def test_what_would_be_written_for_each_try_waits_for_the_next_look_at_the_account() -> None:
    parking = Parking()
    parking.park_until_look("grant", NOON)
    parking.park("other", NOON)
    assert parking.parked("grant", NOON + 365 * 24 * 60 * MINUTE)
    assert parking.next_try_at(NOON + MINUTE) is None, "it wakes nobody"
    parking.look()
    assert not parking.parked("grant", NOON)
    assert parking.parked("other", NOON)
