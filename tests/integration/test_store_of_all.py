"""What all accounts have in common is read once, and never given for an instant at which it was
otherwise; what many accounts hold costs as many statements as what one does."""

from dataclasses import replace

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from ledger.envelope import Draft
from ledger.events import (
    AccountMapped,
    Applied,
    Event,
    Granted,
    Made,
    PolicyDefined,
    PolicyRetired,
    Removed,
    Revoked,
    SettingsChanged,
    ref,
)
from ledger.model import Account, AccountId, Grant, Policy, Team
from ledger.state import AccountView
from ledger.store import Ledger
from ledger.store.append import read_head
from ledger.store.of_all import Kept, still_holds
from ledger.store.views import ACCOUNTS_MAX, owing, read_account, read_accounts
from tests.support.histories import DEV, NOON, PROD, TEAM, after, grant
from tests.support.ledgers import tampering
from worker.timing import overdue

pytestmark = pytest.mark.every_engine

MAPPED = Account(TEAM, "prod", PROD, "Deployer")
OTHER = Account(TEAM, "dev", DEV, "Deployer")
FIX = Policy(TEAM, "fix", "payments-fix", '{"Statement":[]}')
ENDING = grant("aaaaaaaaaaaaaaaa", ends=after(2))
ELSEWHERE = grant("bbbbbbbbbbbbbbbb", "user/ben", ends=after(2), environment="dev", account=DEV)
RETIRED = PolicyRetired(TEAM, "fix", "payments-fix")
SETTINGS = SettingsChanged("/iam-ledger/", "warn", ("user/*",), (), "local-part")
MADE = Made("inline", "iam-ledger-x", "0" * 64)


async def append(ledger: Ledger, *events: Event) -> None:
    async with ledger.reading() as connection:
        head = (await read_head(connection)).position
    await ledger.append([Draft(event, head) for event in events], now=NOON)


async def begin(ledger: Ledger) -> None:
    await append(ledger, AccountMapped(MAPPED), AccountMapped(OTHER), PolicyDefined(FIX), SETTINGS)
    await append(ledger, Granted(ENDING), Granted(ELSEWHERE))


async def read(ledger: Ledger, kept: Kept) -> dict[AccountId, AccountView]:
    """As a worker reads both accounts, held to what is read with no memory at all."""
    async with ledger.reading() as connection:
        found = await read_accounts(connection, [PROD, DEV], kept)
        for account, view in found.items():
            assert view == await read_account(connection, account)
    return found


async def test_what_is_kept_is_what_stands_after_anything_that_is_said_to_all(
    ledger: Ledger,
) -> None:
    kept = Kept()
    assert await read(ledger, kept)  # an empty ledger
    await begin(ledger)
    assert (await read(ledger, kept))[PROD].policies[TEAM, "fix"].policy == FIX
    said: list[Event] = [
        PolicyDefined(replace(FIX, document='{"Statement":[{}]}')),
        PolicyDefined(Policy(Team("other"), "fix", "other-fix", "{}")),
        SettingsChanged("/elsewhere/", "repair", ("user/*",), (), "local-part"),
        RETIRED,
        Granted(grant("cccccccccccccccc", ends=after(2))),
    ]
    for each in said:
        await append(ledger, each)
        await read(ledger, kept)
        await read(ledger, kept)
    view = (await read(ledger, kept))[PROD]
    assert (TEAM, "fix") not in view.policies
    assert view.retired[TEAM, "fix"] == RETIRED


async def test_a_reader_that_began_before_a_word_does_not_get_it(ledger: Ledger) -> None:
    await begin(ledger)
    kept = Kept()
    async with ledger.reading() as early:
        before = await read_account(early, PROD)  # its instant is fixed from here on
        await append(ledger, RETIRED)
        assert (TEAM, "fix") not in (await read(ledger, kept))[PROD].policies
        assert (await read_accounts(early, [PROD], kept))[PROD] == before
        assert (TEAM, "fix") in before.policies
    assert (TEAM, "fix") not in (await read(ledger, kept))[PROD].policies


async def test_what_was_not_said_to_all_is_not_read_for_all_again(ledger: Ledger) -> None:
    await begin(ledger)
    kept = Kept()
    await read(ledger, kept)
    async with ledger.reading() as connection:
        first = (await kept.at(connection)).of_all
    await append(ledger, Applied(ref(ENDING), (MADE,), "aws", (), 1, (), NOON))
    async with ledger.reading() as connection:
        in_common = await kept.at(connection)
    assert in_common.of_all is first
    assert in_common.position == 7


async def test_a_view_holds_until_something_is_said_to_its_account_or_to_all(
    ledger: Ledger,
) -> None:
    await begin(ledger)

    async def holding() -> set[AccountId]:
        async with ledger.reading() as connection:
            return {each.account for each in views.values() if await still_holds(connection, each)}

    views = await read(ledger, Kept())
    assert await holding() == {PROD, DEV}
    await append(ledger, Applied(ref(ENDING), (MADE,), "aws", (), 1, (), NOON))
    assert await holding() == {DEV}
    views = await read(ledger, Kept())
    assert await holding() == {PROD, DEV}
    await append(ledger, RETIRED)
    assert await holding() == set()


async def test_a_view_that_could_not_be_read_whole_never_holds(ledger: Ledger) -> None:
    await begin(ledger)
    with tampering(ledger.url) as database:
        database.execute("UPDATE grants SET principal = 'x' WHERE grant_id = ?", (ENDING.id,))
    async with ledger.reading() as connection:
        views = await read_accounts(connection, [PROD, DEV], Kept())
        assert [await still_holds(connection, views[each]) for each in (PROD, DEV)] == [False, True]


async def test_many_accounts_cost_as_many_statements_as_one(ledger: Ledger) -> None:
    await begin(ledger)
    many = [PROD, DEV, *(AccountId(f"{number:012}") for number in range(ACCOUNTS_MAX - 2))]
    asked: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    async def cost(accounts: list[AccountId], kept: Kept) -> int:
        asked.clear()
        async with ledger.reading() as connection:
            await read_accounts(connection, accounts, kept)
        return len([statement for statement in asked if statement.startswith("SELECT")])

    kept = Kept()
    event.listen(Engine, "before_cursor_execute", note)
    try:
        first, again = await cost([PROD], kept), await cost([PROD], kept)
        assert await cost(many, kept) == again
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert (first, again) == (7, 4)
    async with ledger.reading() as connection:
        with pytest.raises(ValueError, match="at a time"):
            await read_accounts(connection, [*many, AccountId("999999999999")], kept)


async def test_the_accounts_in_which_something_is_due_are_told_by_what_is_due_first(
    ledger: Ledger,
) -> None:
    """As `worker.timing.overdue` orders the grants of one account."""
    accounts = {name: AccountId(f"{number:012}") for number, name in enumerate("abcdefg")}

    def one(where: str, number: int, hours: float | None) -> Grant:
        ends = None if hours is None else after(hours)
        return grant(f"{where * 15}{number}", account=accounts[where], ends=ends)

    standing = {
        "late": one("a", 1, 1),
        "later": one("a", 2, 3),
        "to come": one("a", 3, 9),
        "of class daemon": one("b", 1, 4),
        "and one of AWS's": one("b", 2, 1),
        "revoked before its end": one("c", 1, 9),
        "permanent and revoked": one("d", 1, None),
        "revoked, and due since its end": one("e", 1, 0.01),
        "removed": one("f", 1, 1),
        "permanent": one("g", 1, None),
    }
    await append(ledger, *(Granted(each) for each in standing.values()))
    attached = Made("attachment", "arn:aws:iam::aws:policy/X", None)
    told = [Applied(ref(standing["of class daemon"]), (attached,), "daemon", (), 1, (), NOON)]
    await append(ledger, *told)
    gone = Removed(ref(standing["removed"]), "expired", "answered", 0, (), NOON)
    revoked = [ref(each) for name, each in standing.items() if "revoked" in name]
    await append(ledger, gone, *(Revoked(each, "removed") for each in revoked))
    async with ledger.reading() as connection:
        found = await owing(connection, now=after(5))
        views = await read_accounts(connection, list(accounts.values()), Kept())
    assert set(found) == {accounts[name] for name in "abcde"}
    assert min(found, key=lambda account: found[account]) == accounts["b"], "nobody else ends it"
    for account, view in views.items():
        due = overdue(view.rows, after(5))
        first = (due[0].enforcement != "daemon", due[0].due_at) if due else None
        assert found.get(account) == first
