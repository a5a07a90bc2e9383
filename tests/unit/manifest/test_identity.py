"""What makes two lines the same grant: pinned for ever."""

import base64
import hashlib
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from ledger.manifest import EndsAt, LastDay, Lasts, Permanent, Source
from ledger.manifest.identity import Meaning, grant_id
from ledger.model import AccountId, Team, parse_principal
from tests.unit.manifest.directory import PERMANENT, TEMPORARY, accepted, entry, said

TEAM = Team("pay")
ANA = parse_principal("user/ana")
START = datetime(2030, 1, 1, 8, tzinfo=UTC)
NOON = datetime(2030, 1, 5, 13, 30, tzinfo=UTC)
ANAS = Meaning(TEAM, "prod", AccountId("222222222222"), ANA, "dev.x", Permanent())

VECTORS = {
    "permanent": (ANAS, "6tmpgoun54apqlfo"),
    "last-day": (replace(ANAS, end=LastDay(date(2030, 1, 5))), "pzrrt2orspzeg6c2"),
    "ends-at": (replace(ANAS, end=EndsAt(NOON)), "nijrwtv4xyt5uvuv"),
    "lasts": (replace(ANAS, end=Lasts(14_400)), "wiuldgwn5n35akl5"),
    "lasts-start-ticket": (
        replace(ANAS, end=Lasts(60), starts_at=START, ticket="OPS-1"),
        "mrrlfcrnp74a3yqd",
    ),
    "unicode": (
        replace(ANAS, team=Team("päy"), policy="dév x", end=Lasts(60), ticket="日本"),
        "2cbfn7oea7fobwk7",
    ),
}


@pytest.mark.parametrize(("meaning", "pinned"), VECTORS.values(), ids=VECTORS)
def test_an_id_never_changes(meaning: Meaning, pinned: str) -> None:
    assert grant_id(meaning) == pinned


def test_the_rule_is_what_its_docstring_says() -> None:
    said = '["iam-ledger grant 1","ends-at","pay","222222222222","user/ana","dev.x",null,'
    digest = hashlib.sha256((said + '"2030-01-05T13:30:00Z"]').encode()).digest()
    assert VECTORS["ends-at"][1] == base64.b32encode(digest).decode().lower()[:16]


def test_all_vectors_are_different() -> None:
    assert len({pinned for _, pinned in VECTORS.values()}) == len(VECTORS)


def the_id(text: str) -> str:
    (grant,) = accepted({TEMPORARY: entry(text)}).grants
    return grant.id


BASE = "user: ana@example.com\nexpires_at: 2030-01-05T13:30Z"
SAME = [
    "user: ANA@example.com\nexpires_at: 2030-01-05T13:30Z",
    "user: ana@other.org\nexpires_at: 2030-01-05T13:30Z",
    "user: people/ana\nexpires_at: 2030-01-05T13:30Z",
    "user: arn:aws:iam::222222222222:user/people/Ana\nexpires_at: 2030-01-05T13:30Z",
    "user: ana\nexpires_at: '2030-01-05T14:30:00.5+01:00'",
    "user: ana\nexpires_at: 2030-01-05T13:30Z\ndescription: other\nticket: OPS-1",
    "expires_at: 2030-01-05T13:30Z\nusers: [ana]",
]
OTHER = [
    "user: ben\nexpires_at: 2030-01-05T13:30Z",
    "role: ana\nexpires_at: 2030-01-05T13:30Z",
    "user: ana\nexpires_at: 2030-01-05T13:31Z",
    "user: ana\nexpires_at: 2030-01-05T13:30Z\nstarts_at: 2030-01-01T08:00Z",
    "user: ana\nexpires_at: 2030-01-05T13:30Z\ngrant: dev.read-only",
    "user: ana\nexpires_at: 2030-01-05T13:30Z\nenvironment: nonprod",
    "user: ana\nexpiration_date: 2030-01-05",
    "user: ana\nduration: 4h",
]


@pytest.mark.parametrize("text", SAME)
def test_another_writing_of_one_meaning_is_the_same_grant(text: str) -> None:
    assert the_id(text) == the_id(BASE)


def test_another_meaning_is_another_grant() -> None:
    ids = [the_id(text) for text in (BASE, *OTHER)]
    assert len(set(ids)) == len(ids)


def test_a_durations_length_text_and_account_are_no_part_of_it() -> None:
    one = the_id("duration: 4h\ndescription: a")
    assert the_id("duration: 6h\ndescription: b") == one
    accounts = {"aws-accounts/pay.yaml": 'aws-accounts: {prod: "999999999999"}'}
    (moved,) = accepted({**accounts, TEMPORARY: entry("duration: 4h")}).grants
    assert moved.id == one
    assert the_id("duration: 4h\nticket: OPS-2") != one
    assert the_id("duration: 4h\nstarts_at: 2030-01-01T00:00Z") != one
    both = {"aws-accounts/pay.yaml": 'aws-accounts: {prod: "222222222222", p: "222222222222"}'}
    (renamed,) = accepted({**both, TEMPORARY: entry("duration: 4h\nenvironment: p")}).grants
    assert renamed.id != one


def test_a_dated_grant_does_not_hang_on_its_environments_name() -> None:
    both = {"aws-accounts/pay.yaml": 'aws-accounts: {prod: "222222222222", p: "222222222222"}'}
    (renamed,) = accepted({**both, TEMPORARY: entry(BASE + "\nenvironment: p")}).grants
    assert renamed.id == the_id(BASE)


def test_entries_of_one_identity_are_one_grant_with_every_place() -> None:
    text = """\
permanent-access:
  - {users: [ana@a.com, ben], environment: prod, grant: dev.read-only, description: first}
  - {users: [ANA, ana@A.com], environments: [prod, prod], grant: dev.read-only}
"""
    ana, ben = accepted({PERMANENT: text}).grants
    assert ana.sources == (
        Source(PERMANENT, 2, 14),
        Source(PERMANENT, 3, 14),
        Source(PERMANENT, 3, 19),
    )
    assert ana.description == "first"
    assert ben.sources == (Source(PERMANENT, 2, 25),)
    assert set(ana.sources) < set(ana.deciding)


def test_two_duration_entries_of_one_identity_are_refused() -> None:
    text = entry("duration: 4h") + entry("duration: 6h").partition("\n")[2]
    assert said({TEMPORARY: text}) == [
        f"{TEMPORARY}:7:11: this `duration` is that of {TEMPORARY}:3 again: the same team, "
        "environment, principal, policy, start and ticket; "
        "to ask twice give one of them another `ticket` or `starts_at`"
    ]
    apart = entry("duration: 4h") + entry("duration: 4h\nticket: x").partition("\n")[2]
    assert len(accepted({TEMPORARY: apart}).grants) == 2


def test_one_duration_entry_that_names_somebody_twice_is_one_grant() -> None:
    (grant,) = accepted({TEMPORARY: entry("users: [ana, ANA]")}).grants
    assert [source.column for source in grant.sources] == [13, 18]


def test_two_dated_entries_of_one_identity_are_one_grant() -> None:
    text = entry(BASE) + entry(BASE + "\nticket: x").partition("\n")[2]
    (grant,) = accepted({TEMPORARY: text}).grants
    assert [source.line for source in grant.sources] == [2, 6]
    assert grant.end_source == Source(TEMPORARY, 3, 17)
