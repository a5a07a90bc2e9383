"""What an answer promises, held against what really was, and against another way of reckoning."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.answer import (
    At,
    Between,
    as_known,
    exposed,
    instant_of_answer,
    state_during,
    state_of,
    without_access,
)
from ledger.events import Left, Removed, Revoked, Settled
from tests.support.oracle import expected, trouble_in
from tests.support.worlds import HOURS, Life, hour, lives, moments, recorded

MANY = settings(max_examples=120, deadline=None)
MOMENTS = moments()


# --- the laws ---------------------------------------------------------------------------------


@MANY
@given(lives(), st.integers(0, HOURS))
def test_who_truly_had_access_is_never_left_out(life: Life, known: int) -> None:
    """By what was known at the time, of any time up to then; by what is known now, of all times."""
    history = recorded([item for item in life.told if item[1] <= hour(known)])
    then, now = as_known(history, len(history)), as_known(recorded(life.told), 99)
    assert now is not None
    for at in (at for at in MOMENTS if life.truly(at)):
        assert state_of(now, at) is not None, at
        if then is not None and at <= hour(known):
            assert state_of(then, at) is not None, at


@MANY
@given(lives(), st.integers(0, 10))
def test_each_state_is_what_its_events_say(life: Life, upto: int) -> None:
    history = recorded(life.told)[: upto + 1]
    row = as_known(recorded(life.told), len(history))
    assert row is not None
    for at in MOMENTS:
        assert state_of(row, at) == expected(history, at), at


@MANY
@given(lives(), st.integers(-1, 30), st.integers(1, 15))
def test_an_interval_is_answered_by_its_last_instant_with_access(
    life: Life, start: int, length: int
) -> None:
    row = as_known(recorded(life.told), 99)
    assert row is not None
    when = Between(hour(start), hour(start + length))
    inside = [at for at in MOMENTS if when.start <= at < when.end]
    listed = [at for at in inside if state_of(row, at) is not None]
    found = instant_of_answer(row, when)
    assert (found is not None) is bool(listed)
    if found is not None:
        assert found == listed[-1]
        assert state_during(row, when) == state_of(row, listed[-1])


@MANY
@given(lives())
def test_an_instant_is_answered_as_the_shortest_interval_is(life: Life) -> None:
    row = as_known(recorded(life.told), 99)
    assert row is not None
    for at in MOMENTS:
        shortest = Between(at, at + timedelta(microseconds=1))
        assert state_during(row, At(at)) == state_during(row, shortest)
        assert without_access(row, At(at)) == without_access(row, shortest)


@MANY
@given(lives())
def test_who_was_meant_to_and_has_none_is_told_apart_from_who_has(life: Life) -> None:
    history = recorded(life.told)
    row = as_known(history, 99)
    assert row is not None
    revoked = any(isinstance(item.event, Revoked) for item in history)
    over = any(isinstance(item.event, Removed | Left | Settled) for item in history)
    trouble = trouble_in(history)
    kept_out = trouble is not None and trouble[0] in ("refused", "missing")
    for at in MOMENTS:
        denied = without_access(row, At(at))
        assert not (denied and state_of(row, at) is not None)
        if not over:
            wanted = kept_out and not revoked and life.grant.window.covers(at)
            assert denied == (wanted and expected(history, at) is None), at


@MANY
@given(lives())
def test_exposed_is_owed_and_still_open(life: Life) -> None:
    history = recorded(life.told)
    row = as_known(history, 99)
    assert row is not None
    for at in MOMENTS:
        due = row.revoked is not None or life.grant.window.over(at)
        open_ = row.closed is None and expected(history, at) is not None
        assert exposed(row, at) == (due and open_), at


@MANY
@given(lives(), st.integers(0, 10))
def test_what_is_known_of_a_past_moment_is_what_a_reader_saw_then(life: Life, upto: int) -> None:
    """Nothing that was told later changes it."""
    history = recorded(life.told)
    assert as_known(history, upto) == as_known(history[:upto], 99)
