"""A worker's ear: every commit is heard, and nothing is lost with an ear."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import pytest
from sqlalchemy import URL

from ledger.envelope import Draft
from ledger.errors import LedgerUnavailable
from ledger.events import Stuck
from ledger.store import Ledger, dialect
from ledger.store.append import append
from ledger.store.dialect import listening, open_watch
from ledger.store.feed import NOTHING_SEEN, Seen
from tests.support.histories import NOON, PROD
from tests.support.postgres import Postgres, cut
from worker.clock import SystemClock
from worker.feed import Feed
from worker.ledger_door import LedgerDoor
from worker.metrics import Metrics

pytestmark = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)


def numbered(number: int) -> Draft:
    return Draft(Stuck(PROD, "Busy", "x"), number)


async def write(url: URL, number: int = 0) -> None:
    async with Ledger(url) as ledger:
        await ledger.append([numbered(number)], now=NOON)


# --- hearing --------------------------------------------------------------------------------------


@pytest.fixture
async def watch(ledger_url: URL) -> AsyncIterator[dialect.Watch]:
    """An ear that has begun to hear."""
    opened = open_watch(ledger_url)
    assert opened.changed(), "whoever begins to watch has everything to read"
    await heard(opened)
    yield opened
    opened.close()
    await asyncio.sleep(0)


async def heard(watch: dialect.Watch) -> None:
    async with asyncio.timeout(60):
        await watch.heard.wait()
    watch.changed()


async def test_every_commit_is_heard_at_once(ledger_url: URL, watch: dialect.Watch) -> None:
    for number in range(5):
        await write(ledger_url, number)
        await heard(watch)
        assert not watch.heard.is_set()


async def test_what_is_not_committed_is_not_heard(ledger: Ledger, postgres: Postgres) -> None:
    assert ledger.url.database is not None
    with postgres.connected(ledger.url.database) as connection:
        connection.execute(f"LISTEN {listening.CHANNEL}".encode())

        async def give_up() -> None:
            async with ledger.writing() as writing:
                await append(writing, [numbered(0), numbered(1)], now=NOON)
                raise RuntimeError("given up")

        with pytest.raises(RuntimeError, match="given up"):
            await give_up()
        await ledger.append([numbered(2)], now=NOON)
        first = next(connection.notifies(timeout=60))
        assert (first.channel, first.payload) == (listening.CHANNEL, "1")


async def test_an_ear_that_was_cut_off_hears_again_and_looks_for_what_it_missed(
    ledger_url: URL, watch: dialect.Watch
) -> None:
    for number in range(3):
        cut(ledger_url)
        await write(ledger_url, number)  # perhaps while nobody listens
        await heard(watch)  # the new connection's own call, or the commit
    await write(ledger_url, 99)
    await heard(watch)


async def test_a_silent_connection_is_asked_whether_it_still_stands(
    ledger_url: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats: asyncio.Queue[bool] = asyncio.Queue()
    told = listening._told

    async def count(connection: object) -> bool:
        beats.put_nowait(found := await told(connection))
        return found

    monkeypatch.setattr(listening, "BEAT_EVERY_S", 0.02)
    monkeypatch.setattr(listening, "_told", count)
    opened = open_watch(ledger_url)
    opened.changed()
    await heard(opened)
    async with asyncio.timeout(60):
        assert [await beats.get() for _ in range(3)] == [False, False, False]
        await write(ledger_url)
        await heard(opened)
        while not await beats.get():
            pass
    opened.close()
    await asyncio.sleep(0)


async def test_an_ear_to_a_server_that_is_away_is_silent_and_tries_again(
    ledger_url: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: asyncio.Queue[None] = asyncio.Queue()

    def away() -> URL:
        tried.put_nowait(None)
        if tried.qsize() > 4:
            raise LedgerUnavailable("the file that names it is away too")
        return ledger_url.update_query_dict({"host": "/nowhere"})

    monkeypatch.setattr(listening, "PAUSE_MIN_S", 0.001)
    opened = open_watch(ledger_url, away)
    async with asyncio.timeout(60):
        for _ in range(6):
            assert opened.changed(), "the ledger itself says what is wrong"
            await tried.get()
    assert not opened.heard.is_set()
    assert opened.every_s is not None, "somebody must ask now and then"
    opened.close()
    await asyncio.sleep(0)


# --- the worker's feed ----------------------------------------------------------------------------


class Following:
    """A worker's feed that looks by itself once an hour only: all else it must hear."""

    def __init__(self, url: URL) -> None:
        self.ledger = Ledger(url)
        self.door = LedgerDoor(self.ledger)
        self.told: asyncio.Queue[int] = asyncio.Queue()
        self.returned = asyncio.Event()
        self.stop = asyncio.Event()
        self.feed = Feed(
            self.door,
            SystemClock(),
            Metrics(),
            every=timedelta(hours=1),
            bookmark=NOTHING_SEEN,
            on_departed=pytest.fail,
            heard=self.door.watch.heard,
        )

    async def tell(self, seen: Sequence[Seen]) -> None:
        for item in seen:
            self.told.put_nowait(item.position)

    async def __aenter__(self) -> "Following":
        self.running = asyncio.create_task(
            self.feed.run(self.tell, self.stop, on_return=self.returned.set)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop.set()
        await self.running
        self.door.close()
        await self.ledger.__aexit__()

    async def expect(self, *positions: int) -> None:
        async with asyncio.timeout(60):
            assert [await self.told.get() for _ in positions] == list(positions)


async def test_a_worker_is_told_of_each_commit_without_looking(ledger_url: URL) -> None:
    await write(ledger_url, 0)
    async with Following(ledger_url) as worker:
        await worker.expect(1)
        for number in range(1, 6):
            await write(ledger_url, number)
            await worker.expect(number + 1)


async def test_a_worker_whose_connections_are_cut_misses_nothing_and_doubles_nothing(
    ledger_url: URL,
) -> None:
    async with Following(ledger_url) as worker:
        for number in range(6):
            if number % 2:
                cut(ledger_url)
            await write(ledger_url, number)
            await worker.expect(number + 1)
