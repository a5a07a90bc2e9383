"""One worker a database, and its ear: every commit is heard, and nothing is lost with an ear."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import pytest
from sqlalchemy import URL

from ledger.envelope import Draft
from ledger.errors import LedgerBusy, LedgerUnavailable
from ledger.events import Stuck
from ledger.store import Ledger, dialect
from ledger.store.append import append
from ledger.store.dialect import holding, listening, open_watch, single_worker
from ledger.store.feed import NOTHING_SEEN, Seen
from tests.support.commands import Shell
from tests.support.histories import NOON, PROD
from tests.support.ledgers import raw
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


# --- one worker -----------------------------------------------------------------------------------


def test_a_second_worker_on_one_database_is_refused_by_name(ledger_url: URL) -> None:
    with single_worker(ledger_url):
        with pytest.raises(LedgerBusy) as caught, single_worker(ledger_url):
            pytest.fail("two workers at once")
        assert f"another worker (iam-ledger worker {os.getpid()} on " in str(caught.value)
        assert f"keeps {dialect.shown(ledger_url)}" in str(caught.value)
        assert "Stop that one first" in str(caught.value)
    with single_worker(ledger_url):
        pass


HOLDER = """
import sys
from ledger.store.dialect import parse_url, single_worker
with single_worker(parse_url(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


async def test_a_worker_that_is_killed_holds_nothing(ledger_url: URL) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        HOLDER,
        ledger_url.render_as_string(hide_password=False),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"held\n"
    with pytest.raises(LedgerBusy, match=f"worker {process.pid}"), single_worker(ledger_url):
        pytest.fail("two workers at once")
    process.kill()
    await process.wait()
    async with asyncio.timeout(60):
        while True:
            try:
                with single_worker(ledger_url):
                    return
            except LedgerBusy:
                await asyncio.sleep(0.01)


async def held_by(url: URL) -> str | None:
    """The session's name; None while nobody holds the lock."""

    def ask() -> str | None:
        with raw(url) as database:
            found = database.execute(holding.HOLDER.decode()).fetchone()
        return None if found is None else str(found[0])

    return await asyncio.to_thread(ask)


async def becomes(url: URL, *, held: bool) -> None:
    async with asyncio.timeout(60):
        while (await held_by(url) is not None) is not held:  # noqa: ASYNC110 - it happens elsewhere
            await asyncio.sleep(0.01)


async def test_a_worker_whose_session_was_cut_takes_its_right_again(
    ledger_url: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that restarts forgets the lock: another could start beside a worker that goes on."""
    monkeypatch.setattr(holding, "BEAT_S", 0.01)
    with single_worker(ledger_url) as hold:
        cut(ledger_url)
        await becomes(ledger_url, held=False)
        keeping = asyncio.create_task(hold.keep())
        await becomes(ledger_url, held=True)
        with pytest.raises(LedgerBusy), single_worker(ledger_url):
            pytest.fail("two workers at once")
        assert not keeping.done()
        keeping.cancel()
    await becomes(ledger_url, held=False)


async def test_a_worker_whose_right_another_has_taken_learns_that_it_must_stop(
    ledger_url: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "BEAT_S", 0.01)
    with single_worker(ledger_url) as hold:
        cut(ledger_url)
        await becomes(ledger_url, held=False)
        with single_worker(ledger_url):
            async with asyncio.timeout(60):
                with pytest.raises(LedgerBusy, match="another worker"):
                    await hold.keep()


async def test_a_worker_that_cannot_reach_the_server_keeps_on_asking(
    ledger_url: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "BEAT_S", 0.01)
    asked: asyncio.Queue[None] = asyncio.Queue()
    loop, away = asyncio.get_running_loop(), False

    def address() -> URL:
        if not away:
            return ledger_url
        loop.call_soon_threadsafe(asked.put_nowait, None)
        return ledger_url.update_query_dict({"host": "/nowhere"})

    with single_worker(ledger_url, address) as hold:
        away = True
        cut(ledger_url)
        keeping = asyncio.create_task(hold.keep())
        async with asyncio.timeout(60):
            for _ in range(3):
                await asked.get()
        away = False
        await becomes(ledger_url, held=True)
        assert not keeping.done()
        keeping.cancel()


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


async def test_a_second_worker_command_is_refused_with_the_reason(ledger_url: URL) -> None:
    with single_worker(ledger_url):
        ran = await asyncio.to_thread(Shell(ledger_url).run, "worker", "--once")
    assert ran.code == 1
    assert "another worker" in ran.err
