"""Many at once on one ledger: one order, nobody skipped, nobody turned away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.envelope import Draft
from ledger.events import AccountMapped, PolicyDefined, Stuck
from ledger.ingest import IngestRequest, ingest
from ledger.model import Account, AccountId, Policy
from ledger.store import Ledger
from ledger.store.append import Appended
from ledger.store.feed import seen_after
from ledger.store.reads import all_grants, read_grants
from ledger.store.verify import verify
from tests.support.builders import NOW, directory, permanent
from tests.support.histories import NOON, PROD, TEAM
from tests.support.ledgers import another_writer

pytestmark = pytest.mark.every_engine

WRITERS = 8
APPENDS = 15
BOTH = Draft(PolicyDefined(Policy(TEAM, "fix", "payments-fix", "{}")), 0)


def told(who: int, number: int) -> Draft:
    return Draft(Stuck(AccountId(f"{who:012}"), "Busy", str(number)), number)


async def write(ledger: Ledger, who: int) -> list[int]:
    """One writer, with a ledger of its own: the positions that it was told."""
    found: list[int] = []
    for number in range(APPENDS):
        done = await ledger.append([told(who, number), BOTH], now=NOON)
        found.append(done.positions[0])
    return found


async def follow(ledger: Ledger, until: int) -> list[int]:
    """What a reader sees that only ever asks for what is behind the last it saw."""
    seen: list[int] = []
    async with asyncio.timeout(120):
        while len(seen) < until:
            async with ledger.reading() as connection:
                news = await seen_after(connection, seen[-1] if seen else 0)
            seen += [item.position for item in news]
            await asyncio.sleep(0)
    return seen


async def test_eight_writers_make_one_order_and_a_reader_behind_them_misses_nothing(
    ledger_url: URL,
) -> None:
    total = WRITERS * APPENDS + 1
    async with AsyncExitStack() as stack:
        reader, *writers = [
            await stack.enter_async_context(Ledger(ledger_url)) for _ in range(WRITERS + 1)
        ]
        following = asyncio.create_task(follow(reader, total))
        positions = await asyncio.gather(*(write(one, n) for n, one in enumerate(writers)))
        assert await following == list(range(1, total + 1))
        assert len({at for some in positions for at in some}) == total - 1
        assert all(some == sorted(some) for some in positions)
        assert (await verify(reader)).ok


class Arriving(Ledger):
    """Tells when it is about to take the append lock."""

    def __init__(self, url: URL) -> None:
        super().__init__(url)
        self.arrived = asyncio.Event()

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        self.arrived.set()
        async with super().writing() as connection:
            yield connection


async def test_of_two_ingests_at_once_one_waits_and_decides_against_what_the_other_appended(
    ledger_url: URL,
) -> None:
    """Both have compared the same empty ledger when the first of them gets the lock."""
    one, other = directory(standing=[permanent("ana")]), directory(standing=[permanent("ben")])
    first, second = Arriving(ledger_url), Arriving(ledger_url)
    async with first, second:
        with another_writer(ledger_url):
            running = [
                asyncio.create_task(ingest(first, IngestRequest(one, NOW))),
                asyncio.create_task(ingest(second, IngestRequest(other, NOW))),
            ]
            await first.arrived.wait()
            await second.arrived.wait()
        reports = await asyncio.gather(*running)
        winner, loser = sorted(reports, key=lambda report: report.position)
        assert (winner.counts.granted, winner.counts.revoked) == (1, 0)
        assert (loser.counts.granted, loser.counts.revoked) == (1, 1), "it saw what was granted"
        async with first.reading() as connection:
            rows = await read_grants(connection, all_grants())
        assert sorted(row.revoked is None for row in rows) == [False, True]
        assert (await verify(first)).ok


async def test_an_ingest_and_a_worker_never_turn_each_other_away(ledger_url: URL) -> None:
    """On SQLite a writer that began by reading would be told `database is locked`."""
    large = [
        Draft(AccountMapped(Account(TEAM, f"e{n}", AccountId(f"{n:012}"), "Deployer")), 0)
        for n in range(2_000)
    ]
    async with Ledger(ledger_url) as ingesting, Ledger(ledger_url) as worker:
        arriving = asyncio.create_task(ingesting.append(large, now=NOON))
        kept: list[Appended] = []
        while not arriving.done() or len(kept) < 5:
            about = Draft(Stuck(PROD, "Busy", "again"), len(kept))
            kept.append(await worker.append([about], now=NOON))
        assert len((await arriving).recorded) == 2_000
        assert len({item.positions[0] for item in kept}) == len(kept)
        async with worker.reading() as connection:
            assert len(await seen_after(connection, 0)) == 2_000 + len(kept)


async def test_a_reading_sees_one_instant_however_long_it_looks(ledger_url: URL) -> None:
    """Or an answer would be put together from before and after an ingest."""
    async with Ledger(ledger_url) as reader, Ledger(ledger_url) as writer:
        await writer.append([told(1, 0)], now=NOON)
        async with reader.reading() as connection:
            assert len(await seen_after(connection, 0)) == 1
            await writer.append([told(1, 1)], now=NOON)
            assert len(await seen_after(connection, 0)) == 1
        async with reader.reading() as connection:
            assert len(await seen_after(connection, 0)) == 2
