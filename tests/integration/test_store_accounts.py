"""How accounts are kept: the one table that is overwritten, and what `status` reads of it."""

from datetime import timedelta

import pytest

from ledger.envelope import Draft
from ledger.events import AccountMapped
from ledger.model import Account, AccountId, Team
from ledger.store import Ledger
from ledger.store.append import count_events
from ledger.store.standing import (
    AccountStatus,
    forget_accounts,
    read_accounts,
    write_accounts,
)
from tests.support.histories import DEV, NOON, PROD, after

pytestmark = pytest.mark.every_engine

KEPT = AccountStatus(
    PROD,
    (),
    replica="worker-1",
    heartbeat_at=NOON + timedelta(microseconds=7),
    last_pass_at=after(-1),
    last_error="AccessDenied: not allowed to assume the role",
    next_try_at=after(0.25),
)
FRESH = AccountStatus(DEV, (), replica="worker-1", heartbeat_at=NOON)


async def write(ledger: Ledger, *statuses: AccountStatus) -> None:
    async with ledger.writing() as connection:
        await write_accounts(connection, statuses)


async def read(ledger: Ledger) -> tuple[AccountStatus, ...]:
    async with ledger.reading() as connection:
        return await read_accounts(connection)


async def test_what_a_worker_says_of_its_accounts_is_read_as_it_said_it(ledger: Ledger) -> None:
    await write(ledger, KEPT, FRESH)
    assert await read(ledger) == (KEPT, FRESH)


async def test_a_new_word_takes_the_place_of_the_old_and_of_no_other_account(
    ledger: Ledger,
) -> None:
    await write(ledger, KEPT, FRESH)
    healed = AccountStatus(PROD, (), replica="worker-2", heartbeat_at=after(1))
    await write(ledger, FRESH, AccountStatus(PROD, (), "worker-2", after(0.5)), healed)
    assert await read(ledger) == (healed, FRESH)


async def test_an_account_that_nobody_has_to_keep_any_more_is_forgotten(ledger: Ledger) -> None:
    """Mapped by nobody, and nothing owed in it; another worker's account stays."""
    mapped = AccountMapped(Account(Team("payments"), "dev", DEV, "Deployer"))
    await ledger.append([Draft(mapped, 0)], now=NOON)
    await write(ledger, KEPT, FRESH)
    for kept in ({PROD}, {DEV}, set[AccountId]()):
        async with ledger.writing() as connection:
            await forget_accounts(connection, kept)
        left = [status.account for status in await read(ledger)]
        assert left == ([PROD, DEV] if PROD in kept else [DEV])


async def test_thousands_of_accounts_are_written_at_once(ledger: Ledger) -> None:
    many = [AccountStatus(AccountId(f"{n:012}"), (), "worker-1", NOON) for n in range(3_000)]
    await write(ledger, *many)
    await write(ledger, *many)
    assert await read(ledger) == tuple(many)


async def test_nothing_of_it_stands_in_the_chain(ledger: Ledger) -> None:
    await write(ledger, KEPT)
    async with ledger.reading() as connection:
        assert await count_events(connection) == 0


async def test_no_accounts_are_no_work(ledger: Ledger) -> None:
    await write(ledger)
    assert await read(ledger) == ()


async def test_who_keeps_it_must_be_said_and_nothing_else_is_lost_for_it(ledger: Ledger) -> None:
    await write(ledger, KEPT)
    with pytest.raises(ValueError, match="kept by nobody"):
        await write(ledger, FRESH, AccountStatus(PROD, ("payments/prod",)))
    assert await read(ledger) == (KEPT,)


async def test_a_mapped_account_that_nobody_keeps_yet_is_listed(ledger: Ledger) -> None:
    mapped = Account(Team("payments"), "prod", PROD, "Deployer")
    await ledger.append([Draft(AccountMapped(mapped), 0)], now=NOON)
    assert await read(ledger) == (AccountStatus(PROD, ("payments/prod",)),)
    await write(ledger, FRESH)
    assert await read(ledger) == (AccountStatus(PROD, ("payments/prod",)), FRESH)
