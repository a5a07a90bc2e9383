"""Failure 7: one record that cannot be read stops nothing else, and is never passed over unsaid.

A newer program has written, or somebody has damaged a row: who adds or answers refuses; who takes
away goes on with every end that it knows.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from ledger.answer import At
from ledger.codec import chain_hash
from ledger.envelope import Draft
from ledger.errors import ChainBroken, LedgerError, UnknownEvent
from ledger.events import (
    AccountMapped,
    AccountUnmapped,
    Applied,
    DriftFound,
    Event,
    Granted,
    Made,
    PolicyDefined,
    PolicyWritten,
    Removed,
    SettingsChanged,
    Sighted,
    Stuck,
    ref,
)
from ledger.model import Account, AccountId, Policy, Team
from ledger.project import LatestKey
from ledger.state import AccountView
from ledger.store import Ledger
from ledger.store.append import read_head
from ledger.store.feed import seen_after
from ledger.store.questions import history, who_has_access
from ledger.store.reads import Filter
from ledger.store.standing import read_standing
from ledger.store.views import accounts_to_keep, read_account, read_intent
from tests.support.histories import DEV, NOON, PROD, TEAM, after, grant
from tests.support.ledgers import envelope_in, overwrite, raw, tampering

pytestmark = pytest.mark.every_engine

MAPPED = Account(TEAM, "prod", PROD, "Deployer")
OTHER = Account(TEAM, "dev", DEV, "Deployer")
FIX = Policy(TEAM, "fix", "payments-fix", '{"Statement":[]}')
ENDING = grant("aaaaaaaaaaaaaaaa", ends=after(2))
ELSEWHERE = grant("bbbbbbbbbbbbbbbb", "user/ben", ends=after(2), environment="dev", account=DEV)
WRITTEN = Made("policy", "arn:aws:iam::111111111111:policy/iam-ledger/payments-fix", "0" * 64)
SETTINGS = SettingsChanged("/iam-ledger/", "warn", ("user/*",), (), "local-part")
ARN = "arn:aws:iam::aws:policy/ReadOnlyAccess"
WROTE = PolicyWritten(PROD, TEAM, "fix", WRITTEN, 3, (), NOON)


async def begin(ledger: Ledger) -> None:
    """Two accounts, one grant in each."""
    await append(ledger, AccountMapped(MAPPED), AccountMapped(OTHER), PolicyDefined(FIX))
    await append(ledger, Granted(ENDING), Granted(ELSEWHERE))


async def append(ledger: Ledger, *events: Event) -> int:
    """Appends `events` for a cause of their own: the head."""
    async with ledger.reading() as connection:
        head = (await read_head(connection)).position
    done = await ledger.append([Draft(event, head) for event in events], now=NOON)
    return done.head


async def from_a_newer_program(ledger: Ledger, event: Event, kind: str | None = None) -> int:
    """`event` as a program writes it that calls it version 9, or another kind: its position."""
    position = await append(ledger, event)
    with tampering(ledger.url) as database:
        (row,) = database.execute("SELECT * FROM events WHERE position = ?", (position,))
        newer = replace(envelope_in(row), kind=kind or row["kind"], version=1 if kind else 9)
        database.execute(
            "UPDATE events SET kind = ?, version = ?, hash = ? WHERE position = ?",
            (newer.kind, newer.version, chain_hash(newer), position),
        )
    return position


async def damaged(ledger: Ledger, event: Event) -> int:
    """`event` with its payload destroyed: its position."""
    position = await append(ledger, event)
    with tampering(ledger.url) as database:
        database.execute("UPDATE events SET payload = '{' WHERE position = ?", (position,))
    return position


Spoil = Callable[[Ledger, Event], Awaitable[int]]
SPOILT = pytest.mark.parametrize("spoil", [from_a_newer_program, damaged])
"""How an event may come to be unreadable."""


async def view_of(ledger: Ledger, account: AccountId = PROD) -> AccountView:
    async with ledger.reading() as connection:
        return await read_account(connection, account)


NEWEST: list[tuple[Event, LatestKey]] = [
    (AccountMapped(replace(MAPPED, deployer_role="New")), LatestKey("account", PROD, TEAM, "prod")),
    (AccountUnmapped(MAPPED), LatestKey("account", PROD, TEAM, "prod")),
    (PolicyDefined(FIX), LatestKey("policy", team=TEAM, name="fix")),
    (SETTINGS, LatestKey("settings")),
    (
        PolicyWritten(PROD, TEAM, "fix", WRITTEN, 3, (), NOON),
        LatestKey("object", PROD, TEAM, "fix"),
    ),
    (Sighted(ref(ENDING), ARN, True), LatestKey("sighted", PROD, name=f"user/ana {ARN}")),
    (Stuck(PROD, "AccessDenied", "no"), LatestKey("stuck", PROD)),
    (
        DriftFound(PROD, "extra", "inline user/ana x", None, None, None, NOON, None),
        LatestKey("drift", PROD, name="inline user/ana x"),
    ),
]


@SPOILT
@pytest.mark.parametrize(("event", "subject"), NEWEST, ids=lambda v: str(v).partition("(")[0])
async def test_a_keeper_is_told_what_it_cannot_read_and_keeps_every_end(
    ledger: Ledger, spoil: Spoil, event: Event, subject: LatestKey
) -> None:
    await begin(ledger)
    position = await spoil(ledger, event)
    view = await view_of(ledger)
    (bad,) = view.unreadable
    assert (bad.position, bad.subject) == (position, subject)
    assert str(subject) in bad.message
    assert str(position) in bad.message
    assert [row.grant for row in view.rows] == [ENDING]
    assert view.way_in == MAPPED


@SPOILT
async def test_all_other_accounts_go_on(ledger: Ledger, spoil: Spoil) -> None:
    await begin(ledger)
    before = await view_of(ledger, DEV)
    await spoil(ledger, AccountMapped(MAPPED))
    await spoil(ledger, Stuck(PROD, "AccessDenied", "no"))
    after_it = await view_of(ledger, DEV)
    assert replace(after_it, position=before.position) == before
    assert after_it.unreadable == ()


@SPOILT
async def test_a_policy_or_settings_that_nobody_can_read_park_whom_they_concern(
    ledger: Ledger, spoil: Spoil
) -> None:
    await begin(ledger)
    stranger = Policy(Team("research"), "look", "research-look", "{}")
    await spoil(ledger, PolicyDefined(stranger))
    assert (await view_of(ledger)).unreadable == ()
    await spoil(ledger, PolicyDefined(FIX))
    for account in (PROD, DEV):
        view = await view_of(ledger, account)
        assert [bad.subject for bad in view.unreadable] == [NEWEST[2][1]]
        assert view.policies == {}
        assert view.retired == {}


@SPOILT
async def test_no_account_is_let_go_of_because_of_what_cannot_be_read(
    ledger: Ledger, spoil: Spoil
) -> None:
    await append(ledger, AccountMapped(MAPPED), AccountMapped(OTHER))
    await spoil(ledger, AccountUnmapped(MAPPED))
    await append(ledger, AccountUnmapped(OTHER))
    third = AccountId("333333333333")
    await spoil(ledger, replace(WROTE, account=third))
    async with ledger.reading() as connection:
        assert await accounts_to_keep(connection) == (PROD, third)


@SPOILT
async def test_an_account_never_read_before_has_no_way_in_and_says_so(
    ledger: Ledger, spoil: Spoil
) -> None:
    await spoil(ledger, AccountMapped(MAPPED))
    view = await view_of(ledger)
    assert view.way_in is None
    assert len(view.unreadable) == 1


@SPOILT
async def test_what_is_said_after_it_makes_it_readable_again(ledger: Ledger, spoil: Spoil) -> None:
    await begin(ledger)
    await spoil(ledger, AccountMapped(MAPPED))
    assert (await view_of(ledger)).unreadable
    await append(ledger, AccountMapped(MAPPED))
    assert (await view_of(ledger)).unreadable == ()


@SPOILT
async def test_the_cause_of_the_next_word_is_the_unreadable_one(
    ledger: Ledger, spoil: Spoil
) -> None:
    """A cause of 0 would make the alert the same event as the first one ever, and swallow it."""
    await begin(ledger)
    position = await spoil(ledger, Stuck(PROD, "AccessDenied", "no"))
    assert (await view_of(ledger)).stuck_positions == {("", ""): position}
    at = await spoil(ledger, WROTE)
    assert (await view_of(ledger)).object_positions == {(TEAM, "fix"): at}


async def test_a_newer_event_about_a_grant_in_force_is_told_and_its_row_is_kept(
    ledger: Ledger,
) -> None:
    await begin(ledger)
    made = Made("inline", "iam-ledger-aaaaaaaaaaaaaaaa", "0" * 64)
    applied = Applied(ref(ENDING), (made,), "aws", (), 3, (), NOON)
    position = await from_a_newer_program(ledger, applied, kind="strengthened")
    view = await view_of(ledger)
    (bad,) = view.unreadable
    assert (bad.position, bad.subject) == (position, None)
    assert ENDING.id in bad.message
    assert "strengthened" in bad.message
    assert [row.grant for row in view.rows] == [ENDING]
    assert (await view_of(ledger, DEV)).unreadable == ()


async def test_a_newer_event_about_a_grant_that_is_over_parks_nobody(ledger: Ledger) -> None:
    await begin(ledger)
    done = Removed(ref(ENDING), "expired", "answered", 0, (), after(2))
    await from_a_newer_program(ledger, done)
    assert (await view_of(ledger)).unreadable == ()


@pytest.mark.parametrize(
    ("column", "value"),
    [("made", "{"), ("made", 7), ("principal", "ana"), ("starts_at", 2**61), ("ends_at", 0)],
)
async def test_a_damaged_row_of_the_projection_hides_no_other(
    ledger: Ledger, column: str, value: object
) -> None:
    await begin(ledger)
    later = grant("cccccccccccccccc", "user/cat", ends=after(3))
    await append(ledger, Granted(later))
    with raw(ledger.url) as database:
        overwrite(database, "grants", column, value, where=f"grant_id = '{ENDING.id}'")
    view = await view_of(ledger)
    assert [row.grant for row in view.rows] == [later]
    (bad,) = view.unreadable
    assert ENDING.id in bad.message
    assert "iam-ledger verify" in bad.message
    assert (await view_of(ledger, DEV)).unreadable == ()


async def test_a_newest_word_that_points_nowhere_is_told(ledger: Ledger) -> None:
    await begin(ledger)
    with raw(ledger.url) as database:
        database.execute("UPDATE latest SET position = 900 WHERE topic = 'account'")
    view = await view_of(ledger)
    assert [bad.position for bad in view.unreadable] == [900]
    assert view.way_in == MAPPED


# --- who adds or answers refuses ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spoil", "error"), [(from_a_newer_program, UnknownEvent), (damaged, ChainBroken)]
)
async def test_ingest_refuses_what_it_cannot_read(
    ledger: Ledger, spoil: Spoil, error: type[LedgerError]
) -> None:
    await begin(ledger)
    await spoil(ledger, PolicyDefined(FIX))
    with pytest.raises(error):
        async with ledger.reading() as connection:
            await read_intent(connection, teams=None, ids=(), now=NOON)


@pytest.mark.parametrize(
    ("spoil", "error"), [(from_a_newer_program, UnknownEvent), (damaged, ChainBroken)]
)
async def test_a_history_with_something_unreadable_in_it_is_refused_not_shortened(
    ledger: Ledger, spoil: Spoil, error: type[LedgerError]
) -> None:
    await begin(ledger)
    await spoil(ledger, Stuck(PROD, "AccessDenied", "no"))
    async with ledger.reading() as connection:
        with pytest.raises(error):
            await history(connection, keep=Filter(account=PROD), newest=100)
        assert (await history(connection, keep=Filter(account=DEV), newest=100)).events


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE grants SET made = '{' WHERE grant_id = 'aaaaaaaaaaaaaaaa'",
        "UPDATE grants SET granted_position = 900 WHERE grant_id = 'aaaaaaaaaaaaaaaa'",
        "UPDATE events SET provenance = '{' WHERE grant_id = 'aaaaaaaaaaaaaaaa'",
    ],
)
async def test_nobody_vanishes_from_an_answer_because_a_row_is_damaged(
    ledger: Ledger, damage: str
) -> None:
    await begin(ledger)
    with tampering(ledger.url) as database:
        assert database.execute(damage).rowcount == 1
    async with ledger.reading() as connection:
        with pytest.raises(ChainBroken, match="iam-ledger verify"):
            await who_has_access(connection, keep=Filter(), when=At(after(1)))
        other = await who_has_access(connection, keep=Filter(account=DEV), when=At(after(1)))
        assert [found.row.grant for found in other.access] == [ELSEWHERE]


@SPOILT
async def test_status_shows_all_it_can_read_and_what_it_cannot(
    ledger: Ledger, spoil: Spoil
) -> None:
    await begin(ledger)
    await spoil(ledger, PolicyDefined(FIX))
    await spoil(ledger, AccountMapped(MAPPED))
    with raw(ledger.url) as database:
        database.execute("UPDATE grants SET made = '{' WHERE grant_id = ?", (ENDING.id,))
    async with ledger.reading() as connection:
        standing = await read_standing(connection, now=after(3))
    assert [found.row.grant for found in standing.open] == [ELSEWHERE]
    told = [bad.subject.topic if bad.subject else "row" for bad in standing.unreadable]
    assert told == ["policy", "account", "row"]
    assert [(kept.account, kept.environments) for kept in standing.accounts] == [
        (PROD, ("payments/prod",)),
        (DEV, ("payments/dev",)),
    ]


async def test_appending_goes_on_behind_what_cannot_be_read(ledger: Ledger) -> None:
    await begin(ledger)
    position = await from_a_newer_program(ledger, Stuck(PROD, "AccessDenied", "no"))
    assert await append(ledger, Stuck(DEV, "AccessDenied", "no")) == position + 1


async def test_the_feed_sees_an_event_by_its_envelope_whatever_its_kind(ledger: Ledger) -> None:
    await begin(ledger)
    newer = await from_a_newer_program(ledger, Sighted(ref(ENDING), ARN, True), kind="foreseen")
    broken = await damaged(ledger, SETTINGS)
    async with ledger.reading() as connection:
        seen = await seen_after(connection, newer - 2)
        one = await seen_after(connection, 0, at_most=1)
    assert [(item.position, item.kind, item.readable) for item in seen] == [
        (newer - 1, "granted", True),
        (newer, "foreseen", False),
        (broken, "settings_changed", True),
    ]
    assert (seen[1].team, seen[1].account, seen[1].principal) == (TEAM, PROD, "user/ana")
    assert seen[2].account is None
    assert [item.position for item in one] == [1]
