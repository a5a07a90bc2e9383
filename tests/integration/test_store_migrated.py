"""A newer program migrates the ledger while this one has it open: this one does no more in it."""

import asyncio

import pytest
from sqlalchemy import URL

from ledger.envelope import Draft
from ledger.errors import LedgerMigrated, LedgerOutdated
from ledger.schema import REVISION
from ledger.store import Ledger
from ledger.store.append import count_events
from ledger.store.dialect import shown
from tests.support.every_kind import EVERY_KIND
from tests.support.histories import NOON
from tests.support.ledgers import another_writer, raw

pytestmark = pytest.mark.every_engine


def migrate(url: URL, revision: str) -> None:
    """As a program of that schema would: a column that this one does not know, and its number."""
    with raw(url) as database:
        database.execute("BEGIN")
        database.execute(f"ALTER TABLE grants ADD COLUMN of_{revision} TEXT")
        database.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        database.execute("COMMIT")


def number_of_events(url: URL) -> int:
    with raw(url) as database:
        return int(database.execute("SELECT count(*) FROM events").fetchone()[0])


@pytest.mark.parametrize("revision", ["0005", "9999"])
async def test_nothing_is_read_recorded_or_shared_out_by_who_knows_another_schema(
    ledger_url: URL, revision: str
) -> None:
    async with Ledger(ledger_url) as ledger:
        await ledger.check()
        await ledger.append([Draft(EVERY_KIND[0], 0)], now=NOON)
        migrate(ledger_url, revision)
        said = f"migrated to schema {revision} while this program ran, which knows {REVISION}"
        with pytest.raises(LedgerMigrated, match=said):
            await ledger.append([Draft(EVERY_KIND[1], 0)], now=NOON)
        for transaction in (ledger.reading, ledger.writing, ledger.leasing):
            with pytest.raises(LedgerMigrated, match=said) as caught:
                async with transaction():
                    raise AssertionError("let in")
            assert shown(ledger_url) in str(caught.value)
            assert "Start the newer iam-ledger in its place" in str(caught.value)
    assert number_of_events(ledger_url) == 1


async def test_an_append_that_waited_for_the_migration_records_nothing(ledger_url: URL) -> None:
    """It began before, under the schema that it knows."""
    async with Ledger(ledger_url) as ledger:
        await ledger.check()
        with another_writer(ledger_url) as migrating:
            appending = asyncio.ensure_future(ledger.append([Draft(EVERY_KIND[0], 0)], now=NOON))
            await asyncio.sleep(0)
            migrating.execute("UPDATE alembic_version SET version_num = '9999'")
            migrating.execute("COMMIT")
            migrating.execute("BEGIN")
        with pytest.raises(LedgerMigrated):
            await appending
    assert number_of_events(ledger_url) == 0


async def test_who_looks_for_tampering_was_never_let_in_and_reads_on(ledger_url: URL) -> None:
    migrate(ledger_url, "9999")
    async with Ledger(ledger_url) as ledger:
        with pytest.raises(LedgerOutdated):
            await ledger.check()
        async with ledger.reading() as connection:
            assert await count_events(connection) == 0


@pytest.mark.parametrize(
    ("revision", "do"),
    [
        ("0005", r"run `iam-ledger migrate`\. Nothing was changed"),
        ("9999", r"a newer iam-ledger has migrated it.*pip install --upgrade"),
    ],
)
async def test_who_starts_on_another_schema_is_told_what_to_type(
    ledger_url: URL, revision: str, do: str
) -> None:
    migrate(ledger_url, revision)
    async with Ledger(ledger_url) as ledger:
        with pytest.raises(LedgerOutdated, match=f"has schema {revision}.*{REVISION}.*{do}"):
            await ledger.check()
