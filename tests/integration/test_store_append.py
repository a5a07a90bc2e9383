"""Appending: one order, one chain, one transaction; shared commits in which nobody is lost."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise

import pytest
from sqlalchemy import URL, event
from sqlalchemy.engine import Engine

from ledger.codec import GENESIS, chain_hash, microseconds
from ledger.envelope import Draft
from ledger.errors import ChainBroken, LedgerUnavailable
from ledger.events import AccountMapped, Applied, Granted, PolicyDefined, Stuck, ref
from ledger.model import Account, AccountId, Policy
from ledger.store import Ledger, dialect
from ledger.store import ledger as door
from ledger.store.append import Appended, append
from ledger.store.reads import all_grants, read_grants, stream_envelopes
from ledger.store.verify import verify
from tests.support.histories import ATTACHED, NOON, PROD, TEAM, after, grant
from tests.support.ledgers import NewLedger, another_writer, raw

pytestmark = pytest.mark.every_engine

FIX = Draft(PolicyDefined(Policy(TEAM, "fix", "payments-fix", "{}")), 0)
WHAT = grant("aaaaaaaaaaaaaaaa", ends=after(2))
NEVER_GRANTED = Draft(Applied(ref(WHAT), (ATTACHED,), "aws", (), 1, (), NOON), 0)
"""What no ledger can take: evidence about a grant that nobody granted."""


def numbered(number: int, cause: int = 0) -> Draft:
    """One of many drafts that differ."""
    account = AccountId(f"{number:012}")
    return Draft(AccountMapped(Account(TEAM, "prod", account, "Deployer")), cause)


def held(url: URL) -> dict[str, list[tuple[object, ...]]]:
    """Everything that stands in the three tables."""
    tables = ("events", "grants", "latest")
    with raw(url) as database:
        return {
            name: [tuple(row) for row in database.execute(f"SELECT * FROM {name}")]  # noqa: S608 - names of our own tables
            for name in tables
        }


def keys(url: URL) -> list[str]:
    with raw(url) as database:
        return [
            row[0] for row in database.execute("SELECT dedup_key FROM events ORDER BY position")
        ]


@contextmanager
def commits() -> Iterator[list[object]]:
    """Collects one item for each transaction that is committed meanwhile, by anybody."""
    seen: list[object] = []

    def count(connection: object) -> None:
        seen.append(connection)

    event.listen(Engine, "commit", count)
    try:
        yield seen
    finally:
        event.remove(Engine, "commit", count)


# --- the chain --------------------------------------------------------------------------------


async def test_the_first_event_follows_nothing_and_every_other_the_one_before(
    ledger: Ledger,
) -> None:
    for number in range(3):
        await ledger.append([numbered(2 * number), numbered(2 * number + 1)], now=after(number))
    async with ledger.reading() as connection:
        rows = [row async for row in stream_envelopes(connection)]
    assert [row.position for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[0].prev_hash == GENESIS
    assert all(one.hash == next_one.prev_hash for one, next_one in pairwise(rows))
    assert all(chain_hash(row) == row.hash for row in rows)


async def test_what_is_acknowledged_stands_for_every_other_connection(ledger: Ledger) -> None:
    done = await ledger.append([FIX, numbered(1)], now=NOON)
    assert done.positions == (1, 2)
    assert [item.event for item in done.recorded] == [FIX.event, numbered(1).event]
    assert done.head == 2
    assert keys(ledger.url) == [item.dedup_key for item in done.recorded]


async def test_the_same_append_twice_appends_nothing(ledger: Ledger) -> None:
    first = await ledger.append([FIX, numbered(1)], now=NOON)
    before = held(ledger.url)
    again = await ledger.append([numbered(1), FIX], now=after(1))
    assert again.positions == (2, 1)
    assert again.recorded == ()
    assert again.head == first.head
    assert held(ledger.url) == before


async def test_one_draft_said_twice_in_one_append_is_one_event(ledger: Ledger) -> None:
    done = await ledger.append([FIX, numbered(1), FIX], now=NOON)
    assert done.positions == (1, 2, 1)
    assert len(done.recorded) == 2


async def test_the_same_thing_for_another_cause_is_another_event(ledger: Ledger) -> None:
    """A, B, A again is not swallowed."""
    await ledger.append([numbered(1)], now=NOON)
    again = await ledger.append([numbered(1, cause=1)], now=NOON)
    assert again.positions == (2,)


async def test_nothing_to_append_is_nothing(ledger: Ledger) -> None:
    assert await ledger.append([], now=NOON) == Appended((), (), 0)


async def test_time_never_goes_backwards_in_the_ledger(ledger: Ledger) -> None:
    for number, now in enumerate((after(2), NOON, after(3))):
        await ledger.append([numbered(number)], now=now)
    with raw(ledger.url) as database:
        times = [row[0] for row in database.execute("SELECT recorded_at FROM events")]
    assert times == [microseconds(after(2)), microseconds(after(2)), microseconds(after(3))]


# --- one transaction --------------------------------------------------------------------------


async def test_a_failing_append_leaves_neither_events_nor_projection(ledger: Ledger) -> None:
    await ledger.append([FIX], now=NOON)
    before = held(ledger.url)
    other = grant("bbbbbbbbbbbbbbbb", ends=after(2))
    with pytest.raises(ChainBroken, match="was never granted"):
        await ledger.append([Draft(Granted(other), 1), NEVER_GRANTED], now=NOON)
    assert held(ledger.url) == before
    assert (await ledger.append([Draft(Granted(other), 1)], now=NOON)).positions == (2,)


async def test_a_transaction_that_is_given_up_leaves_nothing(ledger: Ledger) -> None:
    before = held(ledger.url)

    async def give_up() -> None:
        async with ledger.writing() as connection:
            done = await append(connection, [Draft(Granted(WHAT), 0), FIX], now=NOON)
            raise RuntimeError(f"given up behind position {done.head}")

    with pytest.raises(RuntimeError, match="given up behind position 2"):
        await give_up()
    assert held(ledger.url) == before


async def test_the_projection_is_there_as_soon_as_its_event_is(ledger: Ledger) -> None:
    granted = Draft(Granted(WHAT), 0)
    applied = Draft(Applied(ref(WHAT), (), "aws", (), 0, (), after(1)), 1)
    await ledger.append([granted, applied], now=NOON)
    async with ledger.reading() as connection:
        (row,) = await read_grants(connection, all_grants())
    assert row.grant == WHAT
    assert row.applied is not None
    assert row.applied.position == 2


# --- shared commits ---------------------------------------------------------------------------


async def test_appends_of_one_moment_share_commits(ledger: Ledger) -> None:
    with commits() as seen:
        done = await asyncio.gather(*(ledger.append([numbered(n)], now=NOON) for n in range(200)))
    assert sorted(item.positions[0] for item in done) == list(range(1, 201))
    assert len(seen) <= 3
    assert (await verify(ledger)).ok


async def test_each_is_told_its_own_positions_in_the_order_asked(ledger: Ledger) -> None:
    asked = [[numbered(10 * n + k) for k in range(n % 4)] for n in range(40)]
    done = await asyncio.gather(*(ledger.append(drafts, now=NOON) for drafts in asked))
    for drafts, item in zip(asked, done, strict=True):
        assert [recorded.event for recorded in item.recorded] == [d.event for d in drafts]
        assert [recorded.position for recorded in item.recorded] == list(item.positions)
        assert list(item.positions) == sorted(item.positions)


async def test_two_who_say_the_same_at_once_are_told_the_same_position(ledger: Ledger) -> None:
    done = await asyncio.gather(*(ledger.append([FIX], now=NOON) for _ in range(5)))
    assert [item.positions for item in done] == [(1,)] * 5
    assert sum(len(item.recorded) for item in done) == 1


async def test_a_commit_has_a_ceiling_and_no_append_is_cut_in_two(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "DRAFTS_A_COMMIT_MAX", 10)
    with commits() as seen:
        small = [ledger.append([numbered(n)], now=NOON) for n in range(30)]
        large = ledger.append([numbered(100 + n) for n in range(25)], now=NOON)
        *_, whole = await asyncio.gather(*small, large)
    assert 4 <= len(seen) <= 6
    first = whole.positions[0]
    assert whole.positions == tuple(range(first, first + 25))


SIZE = 12


@pytest.mark.parametrize("where", range(SIZE))
async def test_one_bad_draft_fails_alone_wherever_it_stands(ledger: Ledger, where: int) -> None:
    """Failure 3: of a batch with one bad item, none was lost and none doubled."""
    drafts = [NEVER_GRANTED if n == where else numbered(n) for n in range(SIZE)]
    done = await asyncio.gather(
        *(ledger.append([draft], now=NOON) for draft in drafts), return_exceptions=True
    )
    assert isinstance(done[where], ChainBroken)
    told = [item.positions[0] for item in done if isinstance(item, Appended)]
    assert sorted(told) == list(range(1, SIZE))
    assert len(keys(ledger.url)) == len(set(keys(ledger.url))) == SIZE - 1
    assert (await verify(ledger)).ok


async def test_of_a_thousand_with_some_bad_none_is_lost_and_none_doubled(ledger: Ledger) -> None:
    bad = {0, 499, 500, 999}
    drafts = [NEVER_GRANTED if n in bad else numbered(n) for n in range(1_000)]
    done = await asyncio.gather(
        *(ledger.append([draft], now=NOON) for draft in drafts), return_exceptions=True
    )
    failed = {n for n, item in enumerate(done) if isinstance(item, ChainBroken)}
    told = [item.positions[0] for item in done if isinstance(item, Appended)]
    assert failed == bad
    assert sorted(told) == list(range(1, 997))
    assert len(keys(ledger.url)) == 996


@contextmanager
def at_step(step: int, call: Callable[[], object]) -> Iterator[list[str]]:
    """Does `call` at the so many-th thing that any engine does; collects what they all did."""
    seen: list[str] = []

    def hook(name: str) -> Callable[..., None]:
        def happened(*_: object) -> None:
            seen.append(name)
            if len(seen) == step:
                call()

        return happened

    names = ("begin", "before_cursor_execute", "after_cursor_execute", "commit", "rollback")
    hooks = {name: hook(name) for name in names}
    for name, happened in hooks.items():
        event.listen(Engine, name, happened)
    try:
        yield seen
    finally:
        for name, happened in hooks.items():
            event.remove(Engine, name, happened)


@pytest.mark.parametrize("victims", [(0,), (3,), (0, 3)], ids=["who-commits", "a-waiter", "both"])
async def test_a_cancelled_append_fails_nobody_else_and_may_be_repeated(
    new_ledger: NewLedger, victims: tuple[int, ...]
) -> None:
    """Cancelled at every step of the commit that the first makes for all."""
    step, steps = 0, 1
    while step < steps:
        step += 1
        async with Ledger(new_ledger()) as ledger:
            tasks: list[asyncio.Task[Appended]] = []

            def cancel(tasks: list[asyncio.Task[Appended]] = tasks) -> None:
                for number in victims:
                    tasks[number].cancel()

            with at_step(step, cancel) as seen:
                tasks += [
                    asyncio.create_task(ledger.append([numbered(n)], now=NOON)) for n in range(5)
                ]
                done = await asyncio.gather(*tasks, return_exceptions=True)
            steps = len(seen)
            others = [item for n, item in enumerate(done) if n not in victims]
            assert all(isinstance(item, Appended) for item in others), (step, others)
            if 0 not in victims:  # their one commit went through: it was new, and they are told
                told = [item.recorded for item in others if isinstance(item, Appended)]
                assert [len(recorded) for recorded in told] == [1] * len(others), step
            again = [await ledger.append([numbered(n)], now=NOON) for n in range(5)]
            assert sorted(item.positions[0] for item in again) == [1, 2, 3, 4, 5], step
            assert len(keys(ledger.url)) == 5
    assert steps > 8


async def test_a_database_that_does_not_answer_fails_all_who_wait_and_loses_nothing(
    ledger_url: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialect, "BUSY_TIMEOUT_S", 0.05)
    async with Ledger(ledger_url) as ledger:
        await ledger.append([FIX], now=NOON)
        with another_writer(ledger_url):
            done = await asyncio.gather(
                *(ledger.append([numbered(n)], now=NOON) for n in range(3)), return_exceptions=True
            )
            assert all(isinstance(item, LedgerUnavailable) for item in done), done
        assert len(keys(ledger_url)) == 1
        again = await asyncio.gather(*(ledger.append([numbered(n)], now=NOON) for n in range(3)))
        assert sorted(item.positions[0] for item in again) == [2, 3, 4]


# --- many writers -----------------------------------------------------------------------------


async def test_two_open_ledgers_write_one_order_without_a_gap(ledger_url: URL) -> None:
    async with Ledger(ledger_url) as one, Ledger(ledger_url) as other:
        done = await asyncio.gather(
            *(
                which.append([numbered(2 * n + k)], now=NOON + timedelta(seconds=n))
                for n in range(60)
                for k, which in enumerate((one, other))
            )
        )
        assert sorted(item.positions[0] for item in done) == list(range(1, 121))
        assert (await verify(one)).ok


WRITER = """
import asyncio, sys
from datetime import UTC, datetime
from ledger.envelope import Draft
from ledger.events import Stuck
from ledger.model import AccountId
from ledger.store import Ledger
from ledger.store.dialect import parse_url

async def write(url, who, count):
    async with Ledger(parse_url(url)) as ledger:
        for number in range(count):
            stuck = Draft(Stuck(AccountId(who * 12), "Busy", str(number)), number)
            shared = Draft(Stuck(AccountId("9" * 12), "Busy", "both say so"), number)
            await ledger.append([stuck, shared], now=datetime(2026, 3, 2, 12, tzinfo=UTC))

asyncio.run(write(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


async def test_two_processes_write_one_order_without_a_gap(ledger_url: URL) -> None:
    address = ledger_url.render_as_string(hide_password=False)
    running = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", WRITER, address, who, "40")
        for who in ("1", "2")
    ]
    assert [await process.wait() for process in running] == [0, 0]
    async with Ledger(ledger_url) as ledger:
        verification = await verify(ledger)
        async with ledger.reading() as connection:
            rows = [row async for row in stream_envelopes(connection)]
    assert verification.ok, verification.problems
    assert [row.position for row in rows] == list(range(1, 121))
    for account in ("1" * 12, "2" * 12, "9" * 12):
        causes = [row.dedup_key.split(":")[1] for row in rows if row.account == account]
        assert causes == [str(number) for number in range(40)]


async def test_a_reader_that_follows_the_head_skips_nobody(ledger_url: URL) -> None:
    """Positions come in the order of commits: what is behind the head now was there before."""
    seen: list[int] = []
    async with Ledger(ledger_url) as one, Ledger(ledger_url) as other, Ledger(ledger_url) as reader:
        writing = asyncio.gather(
            *(
                which.append([numbered(2 * n + k)], now=NOON)
                for n in range(40)
                for k, which in enumerate((one, other))
            )
        )
        while len(seen) < 80:
            async with reader.reading() as connection:
                behind = seen[-1] if seen else 0
                seen += [row.position async for row in stream_envelopes(connection, after=behind)]
        await writing
    assert seen == list(range(1, 81))


async def test_an_alert_about_one_account_is_no_alert_about_another(ledger: Ledger) -> None:
    done = await ledger.append(
        [Draft(Stuck(PROD, "Busy", "x"), 0), Draft(Stuck(AccountId("9" * 12), "Busy", "x"), 0)],
        now=NOON,
    )
    assert done.positions == (1, 2)
