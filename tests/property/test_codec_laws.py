"""What the codec promises about every event, of every kind."""

import json
from dataclasses import asdict, fields, replace
from datetime import datetime

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.codec import (
    GENESIS,
    KINDS,
    Envelope,
    cause_in,
    chain_hash,
    decode,
    decode_made,
    decode_provenance,
    dedup_key,
    encode,
    encode_made,
    encode_provenance,
    instant_of,
    instant_text,
    microseconds,
)
from ledger.envelope import Draft, Provenance, subject
from ledger.events import Event, Ingested, Made, Pin, PolicyRetired
from ledger.model import Team
from tests.support.strategies import drafts, events, events_of, instants, of, provenances

FEW = settings(max_examples=40, deadline=None)


def row_of(draft: Draft) -> Envelope:
    return encode(draft, position=7, recorded_at_us=5, prev_hash=GENESIS)


@pytest.mark.parametrize("kind", sorted(KINDS))
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_every_kind_comes_back_as_it_went(kind: str, data: st.DataObject) -> None:
    event = data.draw(events_of(kind))
    row = row_of(Draft(event, 3))
    assert row.kind == kind
    again = decode(row.kind, row.version, row.payload)
    assert again == event
    assert row_of(Draft(again, 3)) == row


@FEW
@given(drafts)
def test_rows_are_rfc_8785_bytes_with_ascii_keys(draft: Draft) -> None:
    row = row_of(draft)
    for text in (row.payload, row.provenance):
        value = orjson.loads(text)
        plain = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert text == plain
        assert all(key.isascii() for key in keys_in(value))


def keys_in(value: object) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(key for item in value.values() for key in keys_in(item))]
    if isinstance(value, list):
        return [key for item in value for key in keys_in(item)]
    assert not isinstance(value, float)
    return []


@FEW
@given(provenances)
def test_provenance_comes_back_and_what_is_unknown_leaves_no_trace(provenance: Provenance) -> None:
    text = encode_provenance(provenance)
    assert decode_provenance(text) == provenance
    known = {f.name for f in fields(Provenance) if getattr(provenance, f.name) not in (None, ())}
    assert set(json.loads(text)) == known


@FEW
@given(of(tuple[Made, ...]), of(tuple[Pin, ...]))
def test_what_was_made_comes_back(made: tuple[Made, ...], pins: tuple[Pin, ...]) -> None:
    assert decode_made(encode_made(made, pins)) == (made, pins)


@FEW
@given(instants)
def test_instants_lose_not_a_microsecond(instant: datetime) -> None:
    assert instant_of(microseconds(instant)) == instant
    assert datetime.fromisoformat(instant_text(instant)) == instant
    assert instant_text(instant).endswith("Z")


@FEW
@given(drafts, st.data())
def test_a_change_of_any_column_breaks_the_hash(draft: Draft, data: st.DataObject) -> None:
    row = row_of(draft)
    values = asdict(row)
    name = data.draw(st.sampled_from(sorted(set(values) - {"hash"})))
    value = values[name]
    values[name] = value + 1 if isinstance(value, int) else f"{value or ''}x"
    assert chain_hash(Envelope(**values)) != row.hash


@FEW
@given(drafts, st.data())
def test_one_changed_character_of_the_payload_breaks_the_hash(
    draft: Draft, data: st.DataObject
) -> None:
    row = row_of(draft)
    at = data.draw(st.integers(0, len(row.payload) - 1))
    other = data.draw(st.characters(exclude_categories=["Cs"], exclude_characters=row.payload[at]))
    changed = replace(row, payload=row.payload[:at] + other + row.payload[at + 1 :])
    assert chain_hash(changed) != row.hash


@FEW
@given(drafts)
def test_nothing_and_an_empty_text_are_not_the_same_to_the_hash(draft: Draft) -> None:
    row = row_of(draft)
    absent, empty = replace(row, policy=None), replace(row, policy="")
    assert chain_hash(absent) != chain_hash(empty)


@FEW
@given(drafts, st.integers(1, 8))
def test_text_cannot_be_moved_from_one_column_to_the_next(draft: Draft, length: int) -> None:
    row = replace(row_of(draft), principal="p" * length, policy="q")
    moved = replace(row, principal="p" * (length - 1), policy="pq")
    assert chain_hash(row) != chain_hash(moved)


@FEW
@given(events, st.integers(0, 2**53 - 1))
def test_a_dedup_key_tells_its_cause(event: Event, cause: int) -> None:
    assert cause_in(dedup_key(event, cause)) == cause
    assert dedup_key(event, cause) != dedup_key(event, cause + 1)


def subject_of(event: Event) -> tuple[object, ...]:
    """What two events of one kind must share to be about the same."""
    about = subject(event)
    if about.grant is not None:
        return about.grant, about.turn
    principal = None if about.principal is None else about.principal.key
    return about.account or "", about.team or "", principal or "", about.policy or ""


@st.composite
def twins(draw: st.DrawFn) -> tuple[Event, Event]:
    """Two events of one kind that differ in some of their fields, or in none."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    one, other = draw(events_of(kind)), draw(events_of(kind))
    names = [f.name for f in fields(one)]
    taken = draw(st.sets(st.sampled_from(names)))
    return one, replace(one, **{name: getattr(other, name) for name in taken})


@settings(max_examples=300, deadline=None)
@given(twins())
def test_two_subjects_never_share_a_dedup_key(pair: tuple[Event, Event]) -> None:
    one, other = pair
    if subject_of(one) != subject_of(other):
        assert dedup_key(one, 3) != dedup_key(other, 3)


CRAFTY = st.text("a:,%3A", max_size=4)
"""Names that try to look like the key's own punctuation."""
STEMS = CRAFTY.filter(bool)
"""A team is the stem of a file: never empty."""


@settings(max_examples=300, deadline=None)
@given(st.tuples(CRAFTY, CRAFTY), st.tuples(CRAFTY, CRAFTY))
def test_signs_in_names_make_no_two_policies_one(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    keys = {dedup_key(PolicyRetired(Team(team), name, "n"), 0) for team, name in (one, other)}
    assert len(keys) == len({one, other})


@settings(max_examples=300, deadline=None)
@given(st.lists(STEMS, max_size=3).map(tuple), st.lists(STEMS, max_size=3).map(tuple))
def test_signs_in_names_make_no_two_ingests_one(
    one: tuple[Team, ...], other: tuple[Team, ...]
) -> None:
    ingests = [Ingested(teams, "c", False, 0, 0, 0, 0) for teams in (one, other)]
    assert len({dedup_key(event, 0) for event in ingests}) == len({one, other})
