"""The fold's own decisions: what the first confirmation, a late word or a foreign one changes."""

from dataclasses import replace
from datetime import datetime

import pytest

from ledger.codec import GENESIS, KINDS
from ledger.envelope import Provenance, Recorded
from ledger.errors import ChainBroken
from ledger.events import (
    Applied,
    DriftFound,
    DriftRepaired,
    Event,
    Granted,
    Made,
    PolicyDeleted,
    PolicyWritten,
    Refused,
    Removed,
    Revoked,
    Settled,
    Sighted,
    Stuck,
    Unstuck,
    Word,
    ref,
)
from ledger.model import Grant
from ledger.project import GrantRow, LatestKey, fold, latest_keys, row_key
from ledger.sentences import origin, sentence, titled
from tests.support.every_kind import EVERY_KIND
from tests.support.histories import NOON, PROD, after, grant

ANA = grant("a" * 16, ends=after(5))
MADE = Made("inline", "iam-ledger-x", "0" * 64)
WORD = Word("olga", "I looked", "olga", "bastion", None)


def told(*events: tuple[Event, datetime], of: Grant = ANA) -> GrantRow:
    row: GrantRow | None = None
    for position, (event, at) in enumerate([(Granted(of), NOON), *events], 1):
        row = fold(row, Recorded(position, at, event, Provenance(), str(position), GENESIS))
    assert row is not None
    return row


def applied(at: datetime, made: tuple[Made, ...] = (MADE,), position: int = 1) -> Applied:
    return Applied(ref(ANA), made, "aws", (), position, (), at)


def removed(at: datetime, cause: str = "expired") -> Removed:
    event = Removed(ref(ANA), "expired", "answered", 7, (), at)
    return replace(event, cause="drift") if cause == "drift" else event


def test_the_first_confirmation_stays_and_the_newest_content_counts() -> None:
    other = replace(MADE, sha256="1" * 64)
    row = told((applied(after(1)), after(1)), (applied(after(2), (other,), 9), after(2.5)))
    assert row.applied is not None
    assert (row.applied.position, row.applied.at) == (2, after(1))
    assert (row.written_position, row.policy_position, row.made) == (3, 9, (other,))


def test_the_first_removal_stands_however_often_the_name_comes_back() -> None:
    row = told(
        (removed(after(5)), after(5)),
        (removed(after(6)), after(6)),
        (Settled(ref(ANA), WORD), after(7)),
        (removed(after(8), "drift"), after(8)),
    )
    assert row.closed is not None
    assert (row.closed.position, row.closed.at, row.closed_how) == (2, after(5), "answered")
    assert row.lateness_us == 7


def test_a_removal_of_what_came_back_closes_nothing_by_itself() -> None:
    assert told((removed(after(1), "drift"), after(1))).closed is None


def test_a_new_confirmation_heals_every_trouble() -> None:
    missing = DriftFound(PROD, "missing", "inline x", ref(ANA), None, None, after(1), None)
    for trouble in (Refused(ref(ANA), "c", "m", 1), Stuck(PROD, "c", "m", ref(ANA)), missing):
        row = told((trouble, after(1)))
        assert row.trouble is not None
        assert told((trouble, after(1)), (applied(after(2)), after(2))).trouble is None


def test_what_is_missing_is_so_since_it_was_first_seen() -> None:
    missing = DriftFound(PROD, "missing", "inline x", ref(ANA), None, None, after(1), None)
    row = told((missing, after(3)))
    assert row.trouble is not None
    assert (row.trouble.since.at, row.trouble.since.recorded_at) == (after(1), after(3))


@pytest.mark.parametrize("drift", ["altered", "extra"])
def test_other_drift_changes_nobodys_access(drift: str) -> None:
    found = DriftFound(PROD, "altered", "inline x", ref(ANA), None, None, after(1), None)
    found = found if drift == "altered" else replace(found, drift="extra")
    assert told((found, after(1))) == told()


def test_a_word_about_the_account_is_no_word_about_a_grant() -> None:
    assert told((Stuck(PROD, "c", "m"), after(1)), (Unstuck(PROD), after(2))) == told()


def test_what_changes_no_state_changes_no_row() -> None:
    standing = grant("b" * 16, ends=None)
    seen = (Sighted(ref(standing), "arn", True), after(1))
    assert told(seen, of=standing) == told(of=standing)


def test_what_is_about_to_be_attached_for_a_time_is_ended_by_nobody_but_the_worker() -> None:
    """Were `applied` lost in a crash, no date could be believed to end it."""
    seen = Sighted(ref(ANA), "arn", False)
    row = told((seen, after(0.5)))
    assert (row.enforcement, row.access_to) == ("daemon", None)
    timed = told((seen, after(0.5)), (applied(after(1)), after(1)))
    assert (timed.enforcement, timed.access_to) == ("aws", after(5))


def test_a_revocation_keeps_why_and_until_when_the_line_says() -> None:
    event = Revoked(ref(ANA), "operator", after(0.5), "hold-1")
    row = told((event, after(1)))
    assert (row.revoked_cause, row.hold, row.spent_at) == ("operator", "hold-1", after(0.5))
    assert row.due_at == after(1)
    assert row.declared_end == after(0.5)
    assert row.owed(after(1))
    assert row.owed(after(0.9)), "whoever recorded it may have had a wrong clock"


def test_no_writer_of_ours_grants_a_turn_twice_or_tells_of_one_never_granted() -> None:
    with pytest.raises(ChainBroken, match="is granted twice"):
        told((Granted(ANA), after(1)))
    for event in EVERY_KIND:
        key = row_key(event)
        if key is None or isinstance(event, Granted | Sighted):
            continue
        with pytest.raises(ChainBroken, match="was never granted"):
            fold(None, Recorded(1, NOON, event, Provenance(), "k", GENESIS))


def test_every_kind_changes_a_row_or_is_the_newest_word_on_something() -> None:
    silent = {
        kind
        for event in EVERY_KIND
        for kind, cls in KINDS.items()
        if type(event) is cls and row_key(event) is None and not latest_keys(event)
    }
    assert silent == set()


def test_a_subject_names_itself() -> None:
    assert str(LatestKey("policy", team="payments", name="fix")) == "policy payments fix"
    assert str(LatestKey("settings")) == "settings"


# --- sentences ------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", EVERY_KIND, ids=lambda event: type(event).__name__)
def test_every_event_is_a_sentence_that_hides_nothing_and_shows_no_code(event: Event) -> None:
    said = sentence(event)
    assert 10 < len(said) < 400
    for sign in ("None", "(,", "()", "GrantRef", "datetime", "<", "Principal("):
        assert sign not in said
    assert said in titled(event)
    grant_of = getattr(event, "grant", None)
    if grant_of is not None and not isinstance(event, Granted):
        assert str(grant_of.principal) in titled(event)


@pytest.mark.parametrize("event", EVERY_KIND, ids=lambda event: type(event).__name__)
def test_whatever_happened_in_one_account_names_it(event: Event) -> None:
    account = getattr(event, "account", None)
    if isinstance(account, str):
        assert account in titled(event)


@pytest.mark.parametrize(
    ("thing", "said"),
    [
        ("inline user/dave iam-ledger-x", "inline user/dave iam-ledger-x in 111111111111"),
        (f"policy arn:aws:iam::{PROD}:policy/x", f"policy arn:aws:iam::{PROD}:policy/x"),
    ],
)
def test_what_drifts_without_a_grant_names_its_account_once(thing: str, said: str) -> None:
    found = DriftFound(PROD, "extra", thing, None, None, None, NOON, None)
    assert titled(found) == f"drift: {said} extra since 2026-03-02T12:00:00Z"
    over = DriftRepaired(PROD, thing, "found", None, None, None, NOON)
    assert titled(over) == (f"drift over: {said} right again without us at 2026-03-02T12:00:00Z")


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        ((), ""),
        (("r1",), "; request r1"),
        (("r1", "r2"), "; requests r1, r2"),
        (("r1", "r2", "r3", "r4", "r5"), "; requests r1, r2, r3 and 2 more"),
    ],
)
def test_a_sentence_ends_with_awss_own_names_of_the_calls(ids: tuple[str, ...], said: str) -> None:
    policy = "arn:aws:iam::111111111111:policy/x"
    made = Made("policy", policy, "0" * 64)
    events = (
        Applied(ref(ANA), (MADE,), "aws", (), 1, ids, NOON),
        Removed(ref(ANA), "expired", "answered", 0, ids, NOON),
        PolicyWritten(PROD, ANA.team, "fix", made, 1, ids, NOON),
        PolicyDeleted(PROD, ANA.team, "fix", policy, "answered", ids, NOON),
    )
    for event in events:
        assert sentence(event) == sentence(replace(event, requests=())) + said


def test_no_two_kinds_read_alike() -> None:
    said = [sentence(event) for event in EVERY_KIND]
    assert len(set(said)) == len(said)


def test_what_was_not_recorded_is_called_so() -> None:
    assert origin(Provenance()) == "origin not recorded"
    assert origin(Provenance(source="a.yaml:1")) == (
        "a.yaml:1, commit not recorded, by author not recorded, approvers not recorded"
    )
    assert origin(Provenance(replica="worker-1", pass_id="p")) == "by worker worker-1"
    known = Provenance(
        "a.yaml:1", "0123456789abcdef", "Bob", NOON, "https://pull/7", ("carol", "dan")
    )
    assert origin(known) == (
        "a.yaml:1, commit 0123456789, by Bob, approved by carol, dan, https://pull/7"
    )
