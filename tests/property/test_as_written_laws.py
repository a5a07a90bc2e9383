"""A row that is told without being written again is, in every byte, what writing it again gives."""

from dataclasses import astuple, replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.codec import GENESIS, KINDS, Envelope, as_written, encode, encode_unhashed
from ledger.envelope import Draft
from ledger.events import DriftFound, Event, PolicyDefined
from tests.support.every_kind import EVERY_KIND, POLICY
from tests.support.strategies import drafts, events_of, provenances

COLUMNS = ["team", "account", "grant_id", "principal", "policy"]
VALUES: dict[str, list[Any]] = {
    "kind": ["granted", "settled", "foreseen", ""],
    "version": [0, 1, 2, 3],
    "turn": [None, 1, 2],
    "dedup_key": [":x:", "::", ":01:", ": 1:", ":-1:", ":²:", ""],
}
ODD: list[Any] = [None, True, False, 0, 1, 7, 2**70, "", "x", "user/ana", "User/ana", [], {}, [1]]
ODD += ["2026-03-02T12:00:00Z", "2026-03-02T12:00:00+00:00", "2026-03-02 12:00:00Z", 1.5, -1]
ODD += ["2026-W10-1T12:00:00Z", "2026-03-02T12:00:00.000000Z", "2026-03-02T13:00:00+01:00", "é\x07"]


def row_of(draft: Draft) -> Envelope:
    return encode(draft, position=1_000_001, recorded_at_us=5, prev_hash=GENESIS)


def told(row: Envelope) -> Draft | None:
    """What is told of a row, once it is sure that it would be written so again."""
    found = as_written(astuple(row)[:-2])
    if found is None:
        return None
    draft = Draft(found.event, found.cause, found.provenance)
    again = encode_unhashed(
        draft, position=row.position, recorded_at_us=row.recorded_at_us, prev_hash=row.prev_hash
    )
    assert astuple(replace(row, hash="")) == astuple(again)
    assert list(map(type, astuple(row)[:-1])) == list(map(type, astuple(again)[:-1]))
    return draft


@pytest.mark.parametrize("kind", sorted(KINDS))
@settings(max_examples=4, deadline=None)
@given(data=st.data())
def test_every_kind_is_told_as_it_was_written(kind: str, data: st.DataObject) -> None:
    """Otherwise each row of it would be looked at closely, which takes three times as long."""
    draft = Draft(data.draw(events_of(kind)), 3, data.draw(provenances))
    assert told(row_of(draft)) == draft


def changed(value: Any, data: st.DataObject) -> Any:
    """`value` with one thing in it other than it was: a leaf, a key more, a key less, an item."""
    inside = isinstance(value, dict | list) and value and data.draw(st.booleans())
    if inside and isinstance(value, dict):
        key = data.draw(st.sampled_from(list(value)))
        how = data.draw(st.sampled_from(["in it", "gone", "renamed"]))
        rest = {k: v for k, v in value.items() if k != key}
        if how == "gone":
            return rest
        name = (
            key if how == "in it" else data.draw(st.sampled_from([f"{key}x", "requests", "hold"]))
        )
        return rest | {name: changed(value[key], data) if how == "in it" else value[key]}
    if inside:
        index = data.draw(st.integers(0, len(value) - 1))
        return [changed(v, data) if n == index else v for n, v in enumerate(value)]
    return data.draw(st.sampled_from(ODD))


@settings(max_examples=250, deadline=None)
@given(drafts, st.data())
def test_what_is_told_of_a_changed_payload_would_be_written_so_again(
    draft: Draft, data: st.DataObject
) -> None:
    row = row_of(draft)
    name = data.draw(st.sampled_from(["payload", "payload", "provenance"]))
    was = row.payload if name == "payload" else row.provenance
    value = changed(orjson.loads(was), data)
    order = data.draw(st.sampled_from([orjson.OPT_SORT_KEYS, orjson.OPT_SORT_KEYS, 0]))
    try:
        text = orjson.dumps(value, option=order).decode()
    except TypeError:  # 2**70: JSON can say it, orjson cannot
        text = was.replace(":", f":{2**70},", 1)
    if data.draw(st.integers(0, 9)) == 0:
        text = text.replace(",", ", ", 1)
    told(replace(row, payload=text) if name == "payload" else replace(row, provenance=text))


@settings(max_examples=100, deadline=None)
@given(drafts, st.sampled_from([*COLUMNS, *VALUES]), st.data())
def test_what_is_told_of_a_changed_column_would_be_written_so_again(
    draft: Draft, column: str, data: st.DataObject
) -> None:
    """Of a type that the ledger writes there: all others are found before."""
    row = row_of(draft)
    value = data.draw(st.sampled_from(VALUES.get(column, [None, "", "user/ana", "x"])))
    if column == "dedup_key":
        value = row.dedup_key.replace(f":{draft.cause}:", value, 1)
    if value != getattr(row, column):
        assert told(replace(row, **{column: value})) is None


DRIFT = next(event for event in EVERY_KIND if isinstance(event, DriftFound))
MFA = PolicyDefined(replace(POLICY, require_mfa=True))


@pytest.mark.parametrize(
    ("event", "was", "becomes"),
    [
        (DRIFT, '"object":', '"nothing_left":false,"object":'),
        (DRIFT, '"drift":', ' "drift":'),
        (DRIFT, '"drift":', '"drift":"1","drift":'),
        (DRIFT, '"drift":', '"\\u0064rift":'),
        (DRIFT, '"drift":', '"Drift":'),
        (MFA, '"require_mfa":true', '"require_mfa":1'),
        (MFA, '"require_mfa":true,', ""),
    ],
)
def test_a_payload_in_other_words_is_not_told(event: Event, was: str, becomes: str) -> None:
    row = row_of(Draft(event, 3))
    assert row.payload.count(was) == 1
    assert told(row) is not None
    assert as_written(astuple(replace(row, payload=row.payload.replace(was, becomes)))[:-2]) is None


def test_a_row_of_another_version_than_its_words_ask_for_is_not_told() -> None:
    for event, version in ((MFA, 1), (replace(MFA, policy=POLICY), 2)):
        assert as_written(astuple(replace(row_of(Draft(event, 3)), version=version))[:-2]) is None
