"""AWS's ids of the requests, in whatever evidence has some: CloudTrail is found by them."""

from dataclasses import fields, replace
from typing import Any, get_args

import pytest

from ledger.events import DriftFound, Event, Evidence, Sighted, Stuck, Unstuck
from ledger.sentences import REQUESTS_SHOWN, sentence
from tests.support.every_kind import EVERY_KIND

WRITING_NOTHING = {Sighted, Stuck, Unstuck, DriftFound}
"""Evidence of looks and of troubles: no call that changed something stands behind it."""


def naming() -> list[Event]:
    """One event of each kind that names requests."""
    found = {type(e): e for e in EVERY_KIND if "requests" in {f.name for f in fields(e)}}
    return list(found.values())


def test_all_evidence_of_a_change_can_name_its_requests() -> None:
    assert {type(event) for event in naming()} == set(get_args(Evidence)) - WRITING_NOTHING


@pytest.mark.parametrize("event", naming(), ids=lambda event: type(event).__name__)
def test_history_prints_them_three_a_sentence_and_counts_the_rest(event: Any) -> None:
    ids = tuple(f"request-{number}" for number in range(5))
    told = sentence(replace(event, requests=ids))
    assert "; requests request-0, request-1, request-2 and 2 more" in told
    assert sentence(replace(event, requests=ids[:1])).endswith("; request request-0")
    assert "request" not in sentence(replace(event, requests=()))
    assert REQUESTS_SHOWN == 3
