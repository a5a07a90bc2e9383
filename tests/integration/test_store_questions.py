"""Questions whose answers hang on what was told late, healed since, or written by half."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from ledger.answer import At, Between
from ledger.envelope import Draft
from ledger.events import (
    AccountMapped,
    AccountUnmapped,
    Applied,
    Event,
    Granted,
    Made,
    Refused,
    Removed,
    Revoked,
    Stuck,
    ref,
)
from ledger.model import Account, AccountId, Enforcement, Grant, Team
from ledger.store import Ledger
from ledger.store.questions import (
    expiring,
    grants_by_id,
    history,
    position_at,
    principal_keys,
    unknown_words,
    who_has_access,
)
from ledger.store.reads import Filter
from tests.support.histories import DEV, NOON, PROD, TEAM, after, grant

ANA = grant("a" * 16, ends=after(5))
FOREVER = grant("b" * 16, "role/ci")

Told = Sequence[tuple[Event, datetime]]


def applied(what: Grant, at: datetime, how: Enforcement | None) -> Applied:
    return Applied(ref(what), (Made("inline", "x", "0" * 64),), how, (), 1, (), at)


def removed(what: Grant, at: datetime) -> Removed:
    return Removed(ref(what), "expired", "answered", 0, (), at)


def mapped(name: str, account: AccountId, team: Team = TEAM) -> AccountMapped:
    return AccountMapped(Account(team, name, account, "Deployer"))


async def tell(ledger: Ledger, told: Told) -> None:
    for position, (event, at) in enumerate(told):
        await ledger.append([Draft(event, position)], now=at)


async def listed(
    ledger: Ledger, at: float, *, known: float | None = None, keep: Filter | None = None
) -> list[str]:
    async with ledger.reading() as connection:
        found = await who_has_access(
            connection,
            keep=keep or Filter(),
            when=At(after(at)),
            as_known_at=None if known is None else after(known),
        )
    return [str(item.row.grant.principal) for item in found.access]


async def test_what_only_the_worker_ends_was_open_until_its_removal_was_known(
    ledger: Ledger,
) -> None:
    """Removed at eight, recorded at ten: at nine nobody knew."""
    await tell(
        ledger,
        [
            (Granted(ANA), NOON),
            (applied(ANA, after(1), "daemon"), after(1)),
            (removed(ANA, after(8)), after(10)),
        ],
    )
    assert await listed(ledger, 9) == []
    assert await listed(ledger, 9, known=9) == ["user/ana"]
    assert await listed(ledger, 7) == ["user/ana"]
    assert await listed(ledger, 8, known=10) == []


async def test_what_was_rewritten_so_that_aws_ends_it_was_open_as_known_before(
    ledger: Ledger,
) -> None:
    """The row is still open, and its window over: neither column tells."""
    await tell(
        ledger,
        [
            (Granted(ANA), NOON),
            (applied(ANA, after(1), "daemon"), after(1)),
            (applied(ANA, after(6), "aws"), after(6)),
        ],
    )
    assert await listed(ledger, 5.5) == []
    assert await listed(ledger, 5.5, known=5.5) == ["user/ana"]


async def test_what_was_revoked_and_removed_since_was_in_force_as_known_before(
    ledger: Ledger,
) -> None:
    await tell(
        ledger,
        [
            (Granted(ANA), NOON),
            (applied(ANA, after(1), "aws"), after(1)),
            (Revoked(ref(ANA), "removed"), after(2)),
            (removed(ANA, after(2)), after(2.5)),
        ],
    )
    assert await listed(ledger, 3) == []
    assert await listed(ledger, 3, known=2.2) == ["user/ana"]
    assert await listed(ledger, 3, known=1.5) == ["user/ana"]


async def test_a_refusal_that_was_healed_since_is_answered_as_it_was_known(
    ledger: Ledger,
) -> None:
    await tell(
        ledger,
        [
            (Granted(ANA), NOON),
            (Refused(ref(ANA), "TooLarge", "no", 1), after(1)),
            (applied(ANA, after(2), "aws"), after(2)),
        ],
    )
    assert await listed(ledger, 1.5, known=1.5) == []
    assert await listed(ledger, 3) == ["user/ana"]


async def test_nobody_had_access_before_the_grant_was_ingested(ledger: Ledger) -> None:
    early = grant("a" * 16, starts=after(-5), ends=after(5))
    await tell(ledger, [(Granted(early), NOON)])
    assert await listed(ledger, -1) == []
    assert await listed(ledger, 0) == ["user/ana"]
    assert await listed(ledger, 0, known=-1) == []


async def test_an_answer_names_the_position_it_knows_everything_up_to(ledger: Ledger) -> None:
    await tell(ledger, [(Granted(ANA), NOON), (Granted(FOREVER), after(2))])
    tick = timedelta(microseconds=1)
    expected = [(-1, 0), (0, 1), (1, 1), (2, 2), (9, 2)]
    async with ledger.reading() as connection:
        for hours, position in expected:
            assert await position_at(connection, after(hours)) == position
        assert await position_at(connection, after(2) - tick) == 1
        found = await who_has_access(connection, keep=Filter(), when=At(after(3)))
    assert found.position == 2
    assert [str(item.row.grant.principal) for item in found.access] == ["role/ci", "user/ana"]


async def test_many_events_of_one_instant_are_known_together(ledger: Ledger) -> None:
    many = [Draft(Granted(grant(f"{n:016}")), 0) for n in range(37)]
    await ledger.append(many, now=NOON)
    async with ledger.reading() as connection:
        assert await position_at(connection, NOON) == 37
        assert await position_at(connection, NOON - timedelta(microseconds=1)) == 0


@pytest.mark.parametrize(
    ("keep", "names"),
    [
        (Filter(), ["role/ci", "user/ana"]),
        (Filter(account=PROD), ["role/ci", "user/ana"]),
        (Filter(account=DEV), []),
        (Filter(environment="prod"), ["role/ci", "user/ana"]),
        (Filter(environment="Prod"), []),
        (Filter(team=TEAM), ["role/ci", "user/ana"]),
        (Filter(team="research"), []),
        (Filter(principal="ana"), ["user/ana"]),
        (Filter(principal="USER/ANA"), ["user/ana"]),
        (Filter(principal="role/path/CI"), ["role/ci"]),
        (Filter(principal="ana@example.com"), ["user/ana"]),
        (Filter(principal="role/ana"), []),
        (Filter(policy="fix"), ["role/ci", "user/ana"]),
        (Filter(policy="f%"), []),
        (Filter(grant="b"), ["role/ci"]),
        (Filter(grant="B"), []),
        (Filter(grant="%"), []),
    ],
    ids=str,
)
async def test_a_filter_keeps_what_it_names(ledger: Ledger, keep: Filter, names: list[str]) -> None:
    await tell(ledger, [(Granted(ANA), NOON), (Granted(FOREVER), NOON)])
    assert await listed(ledger, 1, keep=keep) == names


@pytest.mark.every_engine
async def test_a_renamed_environment_has_all_grants_of_its_account_under_both_names(
    ledger: Ledger,
) -> None:
    """A grant until revoked is the same one under the new name: its row keeps the old."""
    other = Team("research")
    foreign = grant("c" * 16, "user/zoe", team=other, environment="theirs")
    elsewhere = grant("d" * 16, "user/bob", account=DEV, environment="dev")
    told: list[Event] = [
        mapped("prod", PROD),
        mapped("theirs", PROD, other),
        mapped("dev", DEV),
        *(Granted(what) for what in (FOREVER, foreign, elsewhere)),
        mapped("live", PROD),
        AccountUnmapped(mapped("prod", PROD).account),
    ]
    await tell(ledger, [(event, NOON) for event in told])
    for name, expected in (
        ("live", ["role/ci"]),
        ("prod", ["role/ci"]),
        ("theirs", ["user/zoe"]),
        ("dev", ["user/bob"]),
        ("stage", []),
    ):
        keep = Filter(environment=name)
        assert await listed(ledger, 1, keep=keep) == expected
        assert await listed(ledger, 1, known=1, keep=keep) == expected
        async with ledger.reading() as connection:
            unknown = await unknown_words(connection, keep)
        assert bool(unknown) is (name == "stage")


async def test_a_word_that_names_nothing_is_told_as_a_likely_mistake(ledger: Ledger) -> None:
    await tell(ledger, [(mapped("prod", PROD), NOON), (Granted(ANA), NOON)])
    async with ledger.reading() as connection:
        known = Filter(PROD, "prod", TEAM, "ana", "fix", "aaa")
        assert await unknown_words(connection, known) == ()
        wrong = Filter(DEV, "prd", "payment", "anna", "fixx", "b")
        assert await unknown_words(connection, wrong) == (
            f"account `{DEV}`",
            "environment `prd`",
            "team `payment`",
            "principal `anna`",
            "policy `fixx`",
            "grant `b`",
        )


def test_an_address_stands_for_its_local_part_where_that_kind_has_addresses() -> None:
    assert principal_keys("Ana@Example.com") == (
        "user/ana@example.com",
        "role/ana@example.com",
        "group/ana@example.com",
        "user/ana",
    )
    assert principal_keys("user/some/path/Ana") == ("user/ana",)


async def test_a_history_is_the_newest_so_many_in_order(ledger: Ledger) -> None:
    stuck = [(Stuck(PROD, "Busy", str(n)), after(n)) for n in range(1, 6)]
    await tell(ledger, [(Granted(ANA), NOON), *stuck])
    async with ledger.reading() as connection:
        found = await history(connection, keep=Filter(account=PROD), newest=3)
        assert [item.position for item in found.events] == [4, 5, 6]
        assert (found.position, found.truncated) == (6, True)
        found = await history(connection, keep=Filter(account=PROD), newest=6)
        assert (len(found.events), found.truncated) == (6, False)
        found = await history(
            connection, keep=Filter(principal="ana"), newest=9, as_known_at=after(2)
        )
        assert [item.position for item in found.events] == [1]
        assert found.position == 3
        for keep in (Filter(grant="aaa"), Filter(policy="fix"), Filter(team=TEAM)):
            assert [
                item.position for item in (await history(connection, keep=keep, newest=9)).events
            ] == [1]


async def test_what_expires_comes_nearest_first_and_without_what_is_over_or_revoked(
    ledger: Ledger,
) -> None:
    late, soon = grant("c" * 16, ends=after(9)), grant("d" * 16, "user/zoe", ends=after(2))
    over, revoked = grant("e" * 16, ends=after(0.5)), grant("f" * 16, ends=after(2))
    told: list[tuple[Event, datetime]] = [
        (Granted(what), NOON) for what in (late, ANA, soon, over, revoked, FOREVER)
    ]
    await tell(ledger, [*told, (Revoked(ref(revoked), "removed"), NOON)])
    async with ledger.reading() as connection:
        found = await expiring(connection, keep=Filter(), now=after(1), until=after(5))
        assert [item.row.grant for item in found.access] == [soon, ANA]
        none = await expiring(
            connection, keep=Filter(team=Team("research")), now=after(1), until=after(99)
        )
        assert none.access == ()


async def test_every_turn_of_a_grant_is_found_by_its_id(ledger: Ledger) -> None:
    again = grant("a" * 16, turn=2, ends=after(9))
    await tell(
        ledger,
        [(Granted(ANA), NOON), (Revoked(ref(ANA), "removed"), NOON), (Granted(again), after(1))],
    )
    async with ledger.reading() as connection:
        found = await grants_by_id(connection, "aaaa")
    assert [item.row.grant for item in found] == [ANA, again]


async def test_an_interval_lists_whoever_had_access_at_any_instant_of_it(
    ledger: Ledger,
) -> None:
    await tell(ledger, [(Granted(ANA), NOON), (applied(ANA, NOON, "aws"), NOON)])
    tick = timedelta(microseconds=1)
    for start, end, expected in (
        (after(-9), NOON, 0),
        (after(-9), NOON + tick, 1),
        (after(5) - tick, after(9), 1),
        (after(5), after(9), 0),
    ):
        async with ledger.reading() as connection:
            found = await who_has_access(connection, keep=Filter(), when=Between(start, end))
        assert len(found.access) == expected, (start, end)
