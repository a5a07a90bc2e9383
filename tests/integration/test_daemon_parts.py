"""The daemon's ears and doors: the feed that follows the ledger, and what HTTP says of it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from ledger.errors import ChainBroken, LedgerUnavailable
from ledger.model import AccountId
from ledger.store.feed import NOTHING_SEEN, SEEN_MAX, Bookmark, Seen
from tests.support.fake_clock import FakeClock
from worker.errors import CannotListen
from worker.feed import Feed
from worker.http import serving
from worker.metrics import Metrics

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
EVERY = timedelta(milliseconds=50)


@dataclass
class Events:
    """A ledger as the feed sees it: a number of events, and weather."""

    newest: int = 0
    line: str = "a"
    """Which history it is: that of all its hashes."""
    away: bool = False
    looked: int = 0
    _told: int = 0

    def changed(self) -> bool:
        self.looked += 1
        if self.away:
            raise LedgerUnavailable("gone fishing")
        changed, self._told = self.newest != self._told, self.newest
        return changed

    async def head(self) -> Bookmark:
        return Bookmark(self.newest, f"{self.line}{self.newest}")

    async def seen_after(self, bookmark: Bookmark) -> tuple[Seen, ...]:
        if self.away:
            raise LedgerUnavailable("gone fishing")
        position = bookmark.position
        if position and (position > self.newest or bookmark.hash != f"{self.line}{position}"):
            raise ChainBroken("another ledger")
        last = min(self.newest, position + SEEN_MAX)
        account = AccountId("111111111111")
        return tuple(
            Seen(number, "granted", True, None, account, None, f"{self.line}{number}")
            for number in range(position + 1, last + 1)
        )


@dataclass
class Ear:
    events: Events = field(default_factory=Events)
    clock: FakeClock = field(default_factory=lambda: FakeClock(NOON))
    metrics: Metrics = field(default_factory=Metrics)
    heard: list[int] = field(default_factory=list)
    departed: list[str] = field(default_factory=list)
    returned: int = 0

    def feed(self) -> Feed:
        return Feed(
            self.events,
            self.clock,
            self.metrics,
            every=EVERY,
            bookmark=NOTHING_SEEN,
            on_departed=self.departed.append,
        )

    async def tell(self, seen: Sequence[Seen]) -> None:
        self.heard += [item.position for item in seen]

    def came_back(self) -> None:
        self.returned += 1

    async def run(self, feed: Feed, seconds: float) -> None:
        stop = asyncio.Event()
        running = asyncio.ensure_future(feed.run(self.tell, stop, on_return=self.came_back))
        await self.clock.advance_to(self.clock.now() + timedelta(seconds=seconds))
        stop.set()
        await running


async def test_everything_new_is_told_once_and_in_order() -> None:
    ear = Ear()
    feed = ear.feed()
    ear.events.newest = 3
    await ear.run(feed, 0.2)
    ear.events.newest = 5
    await ear.run(feed, 0.2)
    assert ear.heard == [1, 2, 3, 4, 5]
    assert ear.metrics.registry.get_sample_value("iam_ledger_ledger_head_position") == 5


async def test_more_than_one_answer_holds_is_told_whole() -> None:
    ear = Ear()
    ear.events.newest = 2 * SEEN_MAX + 7
    await ear.feed().look(ear.tell)
    assert ear.heard == list(range(1, ear.events.newest + 1))


async def test_a_ledger_that_is_away_is_asked_gently_and_nothing_is_lost() -> None:
    ear = Ear()
    feed = ear.feed()
    ear.events.away = True
    ear.events.newest = 2
    await ear.run(feed, 10)
    assert ear.events.looked <= 11, "about once a second"
    assert feed.answered_at is None
    assert ear.returned == 0
    ear.events.away = False
    await ear.run(feed, 1)
    assert ear.heard == [1, 2]
    assert feed.answered_at is not None


async def test_whoever_waits_for_the_ledger_hears_that_it_is_back() -> None:
    ear = Ear()
    feed = ear.feed()
    stop = asyncio.Event()
    running = asyncio.ensure_future(feed.run(ear.tell, stop, on_return=ear.came_back))
    await ear.clock.advance_to(NOON + timedelta(seconds=1))
    ear.events.away = True
    await ear.clock.advance_to(NOON + timedelta(seconds=5))
    ear.events.away = False
    await ear.clock.advance_to(NOON + timedelta(seconds=10))
    stop.set()
    await running
    assert ear.returned == 1


async def test_a_failure_between_the_look_and_the_reading_is_made_up_for() -> None:
    ear = Ear()
    feed = ear.feed()
    ear.events.newest = 1

    async def fail(_seen: Sequence[Seen]) -> None:
        raise LedgerUnavailable("just now")

    with pytest.raises(LedgerUnavailable):
        await feed.look(fail)
    await feed.look(ear.tell)
    assert ear.heard == [1]


async def test_a_ledger_that_went_back_is_told_once_and_followed_from_where_it_ends() -> None:
    ear = Ear()
    feed = ear.feed()
    ear.events.newest = 5
    await ear.run(feed, 0.2)
    ear.events.newest = 3
    await ear.run(feed, 0.2)
    assert ear.departed == ["another ledger"]
    ear.events.newest = 4
    await ear.run(feed, 0.2)
    assert ear.heard == [1, 2, 3, 4, 5, 4], "what comes after is news"
    assert len(ear.departed) == 1
    assert ear.metrics.registry.get_sample_value("iam_ledger_ledger_head_position") == 4


async def test_a_ledger_that_went_back_and_grew_past_what_was_seen_is_told_too() -> None:
    ear = Ear()
    feed = ear.feed()
    ear.events.newest = 5
    await ear.run(feed, 0.2)
    ear.events.newest, ear.events.line = 9, "b"
    await ear.run(feed, 0.2)
    assert ear.departed == ["another ledger"]
    assert ear.heard == [1, 2, 3, 4, 5]


async def test_a_head_that_cannot_be_read_leaves_the_departure_for_the_next_look() -> None:
    ear = Ear()
    feed = ear.feed()
    ear.events.newest = 5
    await feed.look(ear.tell)
    ear.events.newest, ear.events.line = 4, "b"

    async def away() -> Bookmark:
        raise LedgerUnavailable("just now")

    events, head = ear.events, ear.events.head
    events.head = away  # type: ignore[method-assign]  # for one look
    with pytest.raises(LedgerUnavailable):
        await feed.look(ear.tell)
    assert ear.departed == []
    events.head = head  # type: ignore[method-assign]  # as it was
    await feed.look(ear.tell)
    assert ear.departed == ["another ledger"]


# --- HTTP -----------------------------------------------------------------------------------------


async def ask(port: int, path: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}{path}") as answer,
    ):
        return answer.status, await answer.text()


async def test_livez_says_that_the_loop_turns_whatever_else_is_wrong() -> None:
    reasons: list[str] = []
    async with serving("127.0.0.1", 0, metrics=Metrics(), unready=lambda: reasons) as port:
        assert (await ask(port, "/readyz"))[0] == 200
        reasons.append("the ledger does not answer")
        status, text = await ask(port, "/readyz")
        assert status == 503
        assert "the ledger does not answer" in text
        assert (await ask(port, "/livez"))[0] == 200
        assert (await ask(port, "/nothing"))[0] == 404


async def test_metrics_are_born_at_zero_and_name_nobody() -> None:
    metrics = Metrics()
    async with serving("127.0.0.1", 0, metrics=metrics, unready=list) as port:
        status, text = await ask(port, "/metrics")
    assert status == 200
    for line in (
        'iam_ledger_revocation_lateness_seconds_count{enforcement="aws"} 0.0',
        'iam_ledger_revocation_lateness_seconds_bucket{enforcement="daemon",le="5.0"} 0.0',
        "iam_ledger_grants_exposed 0.0",
        'iam_ledger_aws_api_requests_total{operation="PutUserPolicy",outcome="ok"} 0.0',
        'iam_ledger_steps_total{reason="drift_missing"} 0.0',
    ):
        assert line in text
    assert "iam_ledger_build_info{" in text


def test_a_label_that_is_not_in_the_closed_lists_is_a_bug() -> None:
    with pytest.raises(KeyError):
        Metrics().on_call("InventPolicy", "ok", 0.1)
    with pytest.raises(KeyError):
        Metrics().on_call("PutUserPolicy", "splendid", 0.1)


async def test_an_address_that_is_taken_is_told_with_its_reason() -> None:
    async with serving("127.0.0.1", 0, metrics=Metrics(), unready=list) as port:
        again: Any = serving("127.0.0.1", port, metrics=Metrics(), unready=list)
        with pytest.raises(CannotListen, match=f"127.0.0.1:{port}"):
            await again.__aenter__()
