"""What ingest and keepers are told: all of one instant, and nothing that is not theirs."""

from dataclasses import replace
from datetime import datetime

from ledger.decide import Directory, Terms, decide
from ledger.envelope import Draft
from ledger.events import (
    AccountMapped,
    AccountUnmapped,
    Applied,
    DriftFound,
    DriftRepaired,
    Event,
    Granted,
    Held,
    Left,
    Made,
    PolicyDefined,
    PolicyDeleted,
    PolicyRetired,
    PolicyWritten,
    Released,
    Removed,
    Revoked,
    SettingsChanged,
    Sighted,
    Stuck,
    Unstuck,
    ref,
)
from ledger.model import Account, AccountId, Policy, Team
from ledger.state import AccountView, DefinedPolicy
from ledger.store import Ledger
from ledger.store.append import read_head
from ledger.store.lookup import (
    MATCHES_MAX,
    ended_rows,
    grant_ids,
    live_rows_of,
    newest_turns,
    principals,
)
from ledger.store.views import accounts_to_keep, closed_rows_of, read_account, read_intent
from tests.support import builders
from tests.support.builders import Book, directory, permanent, temporary
from tests.support.histories import DEV, NOON, PROD, TEAM, after, grant

ELSEWHERE = AccountId("333333333333")
MAPPED = Account(TEAM, "prod", PROD, "Deployer")
SETTINGS = SettingsChanged("/iam-ledger/", "warn", ("user/*",), (), "local-part")
FIX = Policy(TEAM, "fix", "payments-fix", "{}")
ARN = "arn:aws:iam::111111111111:policy/iam-ledger/payments-fix"
FOREIGN = "arn:aws:iam::aws:policy/ReadOnlyAccess"
WROTE = PolicyWritten(PROD, TEAM, "fix", Made("policy", ARN, "0" * 64), 1, (), NOON)


async def tell(ledger: Ledger, *events: Event, now: datetime = NOON) -> int:
    """Appends each for a cause of its own; where the last one stands."""
    position = 0
    for event in events:
        async with ledger.reading() as connection:
            head = (await read_head(connection)).position
        position = (await ledger.append([Draft(event, head)], now=now)).head
    return position


async def view_of(ledger: Ledger, account: AccountId = PROD) -> AccountView:
    async with ledger.reading() as connection:
        return await read_account(connection, account)


# --- a keeper's account -------------------------------------------------------------------------


async def test_an_account_that_nobody_knows_is_empty(ledger: Ledger) -> None:
    view = await view_of(ledger)
    assert (view.position, view.ledger_id, view.entries, view.way_in) == (0, "", (), None)
    assert (view.settings, view.rows, view.unreadable) == (None, (), ())


async def test_the_ledger_is_named_by_its_first_event_for_ever(ledger: Ledger) -> None:
    done = await ledger.append([Draft(SETTINGS, 0)], now=NOON)
    assert (await view_of(ledger)).ledger_id == done.recorded[0].hash[:12]
    await tell(ledger, AccountMapped(MAPPED))
    view = await view_of(ledger)
    assert view.ledger_id == done.recorded[0].hash[:12]
    assert view.position == 2
    assert view.settings == SETTINGS


async def test_the_way_in_is_a_mapping_in_force_else_the_last_that_was(ledger: Ledger) -> None:
    stage = replace(MAPPED, environment="stage", deployer_role="Other")
    await tell(ledger, AccountMapped(MAPPED), AccountMapped(stage))
    view = await view_of(ledger)
    assert view.entries == (MAPPED, stage)
    assert view.way_in == stage
    await tell(ledger, AccountUnmapped(stage))
    assert (await view_of(ledger)).way_in == MAPPED
    await tell(ledger, AccountUnmapped(MAPPED))
    view = await view_of(ledger)
    assert view.entries == ()
    assert view.way_in == MAPPED


async def test_rows_are_those_on_which_anything_is_live_to_come_or_owed(ledger: Ledger) -> None:
    over, left = grant("a" * 16, ends=after(1)), grant("b" * 16)
    revoked, to_come = grant("c" * 16), grant("d" * 16, starts=after(50), ends=after(60))
    other = grant("e" * 16, account=DEV)
    for what in (over, left, revoked, to_come, other):
        await tell(ledger, Granted(what))
    await tell(
        ledger,
        Removed(ref(over), "expired", "answered", 0, (), after(1)),
        Revoked(ref(left), "removed"),
        Left(ref(left), (), NOON),
        Revoked(ref(revoked), "removed"),
    )
    assert [row.grant for row in (await view_of(ledger)).rows] == [revoked, to_come]
    assert [row.grant for row in (await view_of(ledger, DEV)).rows] == [other]


async def test_policies_are_those_of_the_teams_that_have_anything_here(ledger: Ledger) -> None:
    research, guests, strangers = (Team(name) for name in ("research", "guests", "strangers"))
    await tell(
        ledger,
        AccountMapped(MAPPED),
        *(PolicyDefined(replace(FIX, team=team)) for team in (TEAM, research, guests, strangers)),
        Granted(grant("a" * 16, team=research)),
        replace(WROTE, team=guests),
    )
    view = await view_of(ledger)
    assert set(view.policies) == {(TEAM, "fix"), (research, "fix"), (guests, "fix")}
    assert view.policies[TEAM, "fix"] == DefinedPolicy(FIX, 2)
    retired = PolicyRetired(research, "fix", "payments-fix")
    await tell(ledger, retired, PolicyRetired(strangers, "fix", "payments-fix"))
    view = await view_of(ledger)
    assert set(view.policies) == {(TEAM, "fix"), (guests, "fix")}
    assert view.retired == {(research, "fix"): retired}


async def test_a_policy_deleted_here_is_gone_and_where_that_stands_is_kept(ledger: Ledger) -> None:
    at = await tell(ledger, AccountMapped(MAPPED), WROTE)
    view = await view_of(ledger)
    assert view.objects == {(TEAM, "fix"): WROTE}
    assert view.object_positions == {(TEAM, "fix"): at}
    at = await tell(ledger, PolicyDeleted(PROD, TEAM, "fix", ARN, "answered", (), NOON))
    view = await view_of(ledger)
    assert view.objects == {}
    assert view.object_positions == {(TEAM, "fix"): at}
    assert (await view_of(ledger, DEV)).objects == {}


async def test_the_newest_look_at_an_attachment_counts(ledger: Ledger) -> None:
    what = grant("a" * 16)
    await tell(ledger, Granted(what), Sighted(ref(what), FOREIGN, False))
    last = Sighted(ref(what), FOREIGN, True)
    await tell(ledger, last)
    view = await view_of(ledger)
    assert view.sighting(what.principal, FOREIGN) == last
    assert view.sighting(what.principal, ARN) is None


async def test_what_is_stuck_is_so_until_it_is_not(ledger: Ledger) -> None:
    account, policy = Stuck(PROD, "Denied", "no"), Stuck(PROD, "Conflict", "no", None, TEAM, "fix")
    at = await tell(ledger, account, policy)
    view = await view_of(ledger)
    assert view.stuck == {("", ""): account, (TEAM, "fix"): policy}
    assert view.stuck_positions == {("", ""): at - 1, (TEAM, "fix"): at}
    at = await tell(ledger, Unstuck(PROD))
    view = await view_of(ledger)
    assert view.stuck == {(TEAM, "fix"): policy}
    assert view.stuck_positions[("", "")] == at


async def test_drift_is_so_until_it_is_repaired(ledger: Ledger) -> None:
    found = DriftFound(PROD, "extra", "inline user/ana x", None, None, None, NOON, None)
    at = await tell(ledger, found)
    assert (await view_of(ledger)).drift == {"inline user/ana x": (found, at)}
    await tell(ledger, DriftRepaired(PROD, "inline user/ana x", "found", None, None, None, NOON))
    assert (await view_of(ledger)).drift == {}


async def test_an_account_is_kept_until_nothing_of_ours_is_owed_there(ledger: Ledger) -> None:
    async def kept() -> tuple[AccountId, ...]:
        async with ledger.reading() as connection:
            return await accounts_to_keep(connection)

    assert await kept() == ()
    what = grant("a" * 16, account=DEV)
    await tell(ledger, AccountMapped(MAPPED), Granted(what), replace(WROTE, account=ELSEWHERE))
    assert await kept() == (PROD, DEV, ELSEWHERE)
    await tell(ledger, AccountUnmapped(MAPPED), Revoked(ref(what), "removed"))
    assert await kept() == (DEV, ELSEWHERE), "a removal is owed, and a policy of ours stands"
    await tell(ledger, Removed(ref(what), "revoked", "answered", 0, (), NOON))
    await tell(ledger, PolicyDeleted(ELSEWHERE, TEAM, "fix", ARN, "answered", (), NOON))
    assert await kept() == ()


async def test_a_name_that_came_back_is_found_among_what_is_over(ledger: Ledger) -> None:
    over, live = grant("a" * 16, ends=after(1)), grant("b" * 16, ends=after(9))
    elsewhere = grant("c" * 16, ends=after(1), account=DEV)
    for what in (over, live, elsewhere):
        await tell(ledger, Granted(what))
    for what in (over, elsewhere):
        await tell(ledger, Removed(ref(what), "expired", "answered", 0, (), after(1)))
    names = [f"iam-ledger-{letter * 16}" for letter in "abcdefgh"] + ["theirs"] * 900
    async with ledger.reading() as connection:
        found = await closed_rows_of(connection, PROD, names)
    assert [row.grant for row in found] == [over]


# --- ingest's view ------------------------------------------------------------------------------


async def test_ingest_is_told_what_the_book_of_the_deciding_tests_tells(ledger: Ledger) -> None:
    """So that what those tests show on a book in memory holds on a real ledger."""
    book = Book()
    cases = [
        (0, directory(windows=[temporary(duration="4h"), temporary("ben", duration="2h")])),
        (1, directory(windows=[temporary(duration="6h")], standing=[permanent("cat")])),
        (3, directory("research", accounts={"lab": "444444444444"}, standing=[])),
        (4, directory(standing=[permanent("cat", "dan")], policies={"look": builders.policy()})),
        (8, directory(windows=[temporary(duration="6h")], settings={"max_temporary_days": 3})),
    ]
    for hours, files in cases:
        now = builders.at(hours)
        teams = frozenset([Team(next(iter(files)).partition("/")[2].removesuffix(".yaml"))])
        before = len(book.events)
        book.ingest(files, now, teams=frozenset(map(str, teams)), commit=f"c{hours}")
        causes = {item.position: int(item.dedup_key.split(":")[1]) for item in book.events}
        new = book.events[before:]
        drafts = [Draft(i.event, causes[i.position], i.provenance) for i in new]
        await ledger.append(drafts, now=now)
        ids = [row.grant.id for row in book.rows.values()]
        for asked, instant in ((ids, now), ([], now), ([], builders.at(hours + 5))):
            async with ledger.reading() as connection:
                found = await read_intent(connection, teams=None, ids=asked, now=instant)
            told = book.view(instant, asked)
            assert replace(found, head=told.head) == told
            assert found.head.position == told.head.position
    assert len(book.events) >= 20, "the story has become too short to show anything"


async def test_ingest_of_one_team_is_told_the_grants_of_that_team_alone(ledger: Ledger) -> None:
    ours, theirs = grant("a" * 16), grant("b" * 16, team=Team("research"))
    await tell(ledger, Granted(ours), Granted(theirs))
    async with ledger.reading() as connection:
        found = await read_intent(connection, teams=[TEAM], ids=[], now=NOON)
    assert set(found.rows) == {ours.id}


async def test_holds_are_told_until_they_are_released(ledger: Ledger) -> None:
    hold = Held("hold-1", grant("a" * 16).principal, None, None, None, builders.WORD)
    await tell(ledger, hold)
    async with ledger.reading() as connection:
        assert (await read_intent(connection, teams=None, ids=[], now=NOON)).holds == (hold,)
    await tell(ledger, Released("hold-1", hold.principal, None, None, None, None))
    async with ledger.reading() as connection:
        assert (await read_intent(connection, teams=None, ids=[], now=NOON)).holds == ()


async def test_deciding_on_what_ingest_is_told_changes_nothing_twice(ledger: Ledger) -> None:
    files = directory(windows=[temporary(duration="4h")])
    book = Book()
    book.ingest(files)
    for item in book.events:
        cause = int(item.dedup_key.split(":")[1])
        await ledger.append([Draft(item.event, cause)], now=item.recorded_at)
    declared = builders.manifest(files)
    async with ledger.reading() as connection:
        view = await read_intent(
            connection, teams=None, ids=[g.id for g in declared.grants], now=builders.NOW
        )
    assert decide(view, Directory(declared, None), Terms(builders.NOW, None, None)).planned == ()


# --- looking up ---------------------------------------------------------------------------------


async def test_a_grant_is_found_by_the_beginning_of_its_id_in_its_newest_turn(
    ledger: Ledger,
) -> None:
    first, second = grant("ab" * 8), grant("ab" * 8, turn=2)
    await tell(ledger, Granted(first), Revoked(ref(first), "removed"), Granted(second))
    await tell(ledger, Granted(grant("ac" * 8)), Granted(grant("b" * 16)))
    async with ledger.reading() as connection:
        found = await newest_turns(connection, "ab")
        assert [row.grant for row in found] == [second]
        assert len(await newest_turns(connection, "a")) == 2
        assert await newest_turns(connection, "zz") == ()
        assert await newest_turns(connection, "AB") == ()
        assert sorted(await grant_ids(connection)) == ["ab" * 8, "ac" * 8, "b" * 16]


async def test_of_too_many_matches_only_so_many_are_told(ledger: Ledger) -> None:
    await ledger.append(
        [Draft(Granted(grant(f"a{n:015}")), 0) for n in range(MATCHES_MAX + 5)], now=NOON
    )
    async with ledger.reading() as connection:
        assert len(await newest_turns(connection, "a")) == MATCHES_MAX


async def test_what_gives_a_person_access_is_found_however_the_name_is_spelt(
    ledger: Ledger,
) -> None:
    live, to_come = grant("a" * 16, "user/Ana"), grant("b" * 16, starts=after(5), ends=after(9))
    over, revoked = grant("c" * 16, ends=after(1)), grant("d" * 16)
    role = grant("e" * 16, "role/ana")
    for what in (live, to_come, over, revoked, role):
        await tell(ledger, Granted(what))
    await tell(ledger, Revoked(ref(revoked), "removed"))
    async with ledger.reading() as connection:
        found = await live_rows_of(connection, grant("x" * 16, "user/ANA").principal, now=after(2))
        assert [row.grant for row in found] == [live, to_come]
        named = [str(who) for who in await principals(connection)]
    assert named == ["role/ana", "user/Ana", "user/ana"]


async def test_what_ended_is_found_by_its_declared_end(ledger: Ledger) -> None:
    """Shortened into the past counts: the line says an end that has come."""
    over, shortened, live = (grant(letter * 16, ends=after(1)) for letter in "abc")
    shortened = replace(shortened, window=replace(shortened.window, ends_at=after(90)))
    live = replace(live, window=replace(live.window, ends_at=after(90)))
    for what in (over, shortened, live, grant("d" * 16, "user/ben", ends=after(1))):
        await tell(ledger, Granted(what))
    await tell(ledger, Revoked(ref(shortened), "removed", spent_at=after(0.5)))
    async with ledger.reading() as connection:
        found = await ended_rows(connection, [("user/ana", "fix")], now=after(2))
        assert [row.grant for row in found] == [over, shortened]
        assert await ended_rows(connection, [("user/ana", "look")], now=after(2)) == ()
        assert await ended_rows(connection, [("user/ana", "fix")], now=after(0.4)) == ()


async def test_applied_rows_read_back_with_all_that_was_made(ledger: Ledger) -> None:
    what = grant("a" * 16, ends=after(2))
    made = (Made("inline", "iam-ledger-x", "1" * 64), Made("attachment", FOREIGN, None))
    await tell(ledger, Granted(what), Applied(ref(what), made, "aws", (), 1, ("r",), after(1)))
    (row,) = (await view_of(ledger)).rows
    assert row.made == made
    assert row.applied is not None
    assert row.applied.at == after(1)
