"""Rows are for ever: what was written once is read, and would be written again, byte for byte."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from ledger.codec import (
    FAR,
    GENESIS,
    KINDS,
    Envelope,
    cause_in,
    chain_hash,
    decode,
    decode_provenance,
    dedup_key,
    encode,
    instant_of,
    instant_text,
    kind_of,
    microseconds,
)
from ledger.envelope import Draft, Provenance
from ledger.errors import UnknownEvent
from ledger.events import (
    AccountMapped,
    AccountUnmapped,
    Adopted,
    Applied,
    DriftFound,
    DriftRepaired,
    Event,
    Held,
    Ingested,
    PolicyDefined,
    Refused,
    Released,
    Removed,
    Sighted,
    Stuck,
)
from ledger.values import plain
from tests.support.every_kind import ACCOUNT, CONFIRMED, EVERY_KIND, POLICY, SAID_LATER
from tests.support.histories import NOON, PROD, TEAM

FIRST_ROWS = Path(__file__).with_name("first_rows.json")
"""A row of every kind as the first version wrote it. Never edited: a later version adds its own."""
LATER_ROWS = Path(__file__).with_name("later_rows.json")
"""What came to be said since then, in a chain of its own. Appended to, never changed."""

PROVENANCE = Provenance(
    source="temporary-access/payments.yaml:14",
    commit="1a2b3c4d5e6f70819203a4b5c6d7e8f901234567",
    author="Bob <bob@example.com>",
    merged_at=NOON,
    pull_request="https://example.com/pull/7",
    approved_by=("carol", "dan"),
    run_url="https://example.com/run/1",
)
EVIDENCE = Provenance(replica="worker-1", pass_id="p1")


def rows(said: Sequence[Event] = EVERY_KIND) -> list[Envelope]:
    """The chain of `said`, as this version writes it."""
    written: list[Envelope] = []
    for position, event in enumerate(said, 1):
        draft = Draft(event, position - 1, PROVENANCE if position % 2 else EVIDENCE)
        previous = written[-1].hash if written else GENESIS
        written.append(
            encode(
                draft,
                position=position,
                recorded_at_us=microseconds(CONFIRMED) + position,
                prev_hash=previous,
            )
        )
    return written


def rows_in(path: Path) -> list[Any]:
    found = json.loads(path.read_text("utf-8"))
    assert isinstance(found, list)
    return found


def first_rows() -> list[Any]:
    return rows_in(FIRST_ROWS)


def test_every_kind_is_among_the_first_rows() -> None:
    assert {row["kind"] for row in first_rows()} == set(KINDS)
    assert {kind_of(type(event)) for event in EVERY_KIND} == set(KINDS)


def test_this_version_writes_the_very_bytes_that_the_first_one_wrote() -> None:
    for written, first in zip(rows(), first_rows(), strict=True):
        assert asdict(written) == first


def test_this_version_reads_what_the_first_one_wrote() -> None:
    for first, event in zip(first_rows(), EVERY_KIND, strict=True):
        row = Envelope(**first)
        assert decode(row.kind, row.version, row.payload) == event
        assert decode_provenance(row.provenance) in (PROVENANCE, EVIDENCE)
        assert cause_in(row.dedup_key) == row.position - 1
        assert chain_hash(row) == row.hash


def test_what_came_later_keeps_its_bytes_from_then_on() -> None:
    for written, later, event in zip(
        rows(SAID_LATER), rows_in(LATER_ROWS), SAID_LATER, strict=True
    ):
        assert asdict(written) == later
        assert decode(written.kind, written.version, written.payload) == event


@pytest.mark.parametrize(
    ("terms", "version"),
    [
        ({}, 1),
        ({"allow_dangerous": "why"}, 1),
        ({"require_mfa": True}, 2),
        ({"enforcement": "daemon"}, 2),
    ],
)
def test_a_row_that_an_older_program_would_obey_wrongly_is_of_a_newer_version(
    terms: dict[str, Any], version: int
) -> None:
    (row,) = rows([PolicyDefined(replace(POLICY, **terms))])
    assert (row.kind, row.version) == ("policy_defined", version)
    said = json.loads(row.payload)["policy"]
    assert {name: said[name] for name in terms} == terms
    new = {"require_mfa", "enforcement", "allow_dangerous"}
    assert new & said.keys() == terms.keys()


def test_one_changed_byte_of_an_early_row_breaks_every_hash_behind_it() -> None:
    honest = rows()
    changed = replace(honest[0], payload=honest[0].payload.replace("prod", "prof"))
    previous = chain_hash(changed)
    for row in honest[1:]:
        again = chain_hash(replace(row, prev_hash=previous))
        assert again != row.hash
        previous = again


@pytest.mark.parametrize(
    ("kind", "version"),
    [("foreseen", 1), ("granted", 2), ("granted", 0), ("policy_defined", 3), ("policy_defined", 0)],
)
def test_what_is_newer_than_this_program_is_named(kind: str, version: int) -> None:
    with pytest.raises(UnknownEvent, match=f"'{kind}' version {version} is newer") as caught:
        decode(kind, version, "{}")
    assert (caught.value.kind, caught.value.version) == (kind, version)


def test_a_field_that_an_older_row_has_not_got_is_what_its_default_says() -> None:
    row = rows()[EVERY_KIND.index(next(e for e in EVERY_KIND if isinstance(e, Stuck)))]
    older = {k: v for k, v in json.loads(row.payload).items() if k not in ("grant", "policy")}
    event = decode("stuck", 1, json.dumps(older))
    assert event == Stuck(PROD, "AccessDenied", "not allowed to sts:AssumeRole", None, TEAM)


def test_no_float_and_no_foreign_type_can_stand_in_an_event() -> None:
    foreign: tuple[Any, ...] = (1.5, b"x", {"a": 1}, [1], {1}, timedelta(1))
    for value in foreign:
        with pytest.raises(TypeError, match="cannot stand in an event"):
            plain(value)
        with pytest.raises(TypeError, match="cannot stand in an event"):
            plain(PolicyDefined(replace(POLICY, max_duration_s=value)))


def test_an_instant_without_a_zone_is_refused() -> None:
    naive = NOON.replace(tzinfo=None)
    with pytest.raises(ValueError, match="no time zone"):
        instant_text(naive)
    with pytest.raises(TypeError):
        microseconds(naive)


def test_one_instant_is_one_text_whatever_zone_it_was_said_in() -> None:
    elsewhere = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert instant_text(elsewhere) == instant_text(NOON) == "2026-03-02T12:00:00Z"
    assert microseconds(elsewhere) == microseconds(NOON)


@pytest.mark.parametrize(
    "instant",
    [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2026, 3, 2, 12, 0, 0, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ],
)
def test_instants_are_exact_at_the_edges(instant: datetime) -> None:
    assert instant_of(microseconds(instant)) == instant
    assert microseconds(instant) < FAR


@pytest.mark.parametrize("key", ["", "granted", "granted:", "granted:x:y", "granted:²:y", "a:-1:b"])
def test_a_key_that_names_no_cause_is_told(key: str) -> None:
    with pytest.raises(ValueError, match="names no cause"):
        cause_in(key)


def of_kind(kind: type) -> Any:
    return next(event for event in EVERY_KIND if isinstance(event, kind))


@pytest.mark.parametrize(
    ("kind", "other"),
    [
        (AccountMapped, {"account": replace(ACCOUNT, environment="stage")}),
        (AccountUnmapped, {"account": replace(ACCOUNT, environment="stage")}),
        (Sighted, {"policy_arn": "arn:aws:iam::aws:policy/Other"}),
        (Adopted, {"policy_arn": "arn:aws:iam::aws:policy/Other"}),
        (DriftFound, {"object": "inline user/ana other"}),
        (DriftRepaired, {"object": "inline user/ana other"}),
        (Held, {"hold": "hold-2"}),
        (Released, {"hold": "hold-2"}),
        (Ingested, {"teams": (TEAM, "research")}),
    ],
)
def test_one_cause_may_have_several_events_of_a_kind(kind: type, other: dict[str, Any]) -> None:
    event = of_kind(kind)
    assert dedup_key(event, 3) != dedup_key(replace(event, **other), 3)
    assert dedup_key(event, 3) == dedup_key(replace(event), 3)


def test_the_same_thing_with_another_detail_is_the_same_thing() -> None:
    """A step told twice, with another request id or another instant, happened once."""
    for kind, other in (
        (Applied, {"requests": ("req-9",), "confirmed_at": NOON}),
        (Removed, {"requests": ("req-9",), "outcome": "answered", "lateness_us": 1}),
        (Refused, {"message": "another number"}),
    ):
        event = of_kind(kind)
        assert dedup_key(event, 3) == dedup_key(replace(event, **other), 3)
