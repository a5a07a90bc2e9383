"""The worker signs every ten minutes, never a history that departs from what it signed before."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import pytest

from ledger.checkpoint import Checkpoint, Note, Witness, checkpoint_in, parse_note
from ledger.errors import ChainBroken, LedgerUnavailable
from ledger.store import Ledger
from ledger.store import checkpoints as store
from ledger.store.checkpoints import Made
from tests.support.fake_clock import FakeClock
from tests.support.forging import SIGNER, hash_anew, read_rows, story, write_rows
from tests.support.histories import NOON
from tests.support.ledgers import raw
from worker.checkpoints import Checkpoints
from worker.metrics import Metrics


@dataclass
class Signing:
    """A ledger of so many events, with weather and history of the test's making."""

    size: int = 5
    fails: Exception | None = None
    asked: list[tuple[Witness | None, datetime]] = field(default_factory=list)

    async def make(self, remembered: Witness | None, now: datetime) -> Made | None:
        self.asked.append((remembered, now))
        if self.fails is not None:
            raise self.fails
        if not self.size:
            return None
        checkpoint = Checkpoint("iam-ledger/0123456789ab", self.size, "ab" * 32)
        return Made(checkpoint, SIGNER.sign(checkpoint))


@dataclass
class Desk:
    signing: Signing = field(default_factory=Signing)
    clock: FakeClock = field(default_factory=lambda: FakeClock(NOON))
    metrics: Metrics = field(default_factory=Metrics)
    written: list[Note] = field(default_factory=list)

    def checkpoints(self, publish: Callable[[Note], None] | None = None) -> Checkpoints:
        return Checkpoints(self.signing.make, self.clock, self.metrics, publish)

    def sample(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"iam_ledger_{name}")


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_one_is_made_at_once_and_then_every_ten_minutes_until_the_end(desk: Desk) -> None:
    stop = asyncio.Event()
    running = asyncio.ensure_future(desk.checkpoints().run(stop))
    await desk.clock.advance(minutes=29)
    minutes = [(now - NOON).total_seconds() / 60 for _, now in desk.signing.asked]
    assert minutes == [0, 10, 20]
    assert desk.sample("checkpoint_timestamp_seconds") == NOON.timestamp() + 20 * 60
    stop.set()
    await desk.clock.settle()
    assert running.done()
    await running


async def test_each_is_held_against_the_one_before(desk: Desk) -> None:
    made = desk.checkpoints()
    await made.seal()
    desk.signing.size = 9
    await made.seal()
    await made.seal()
    held = [None if kept is None else kept.checkpoint.size for kept, _ in desk.signing.asked]
    assert held == [None, 5, 9]
    assert desk.sample("checkpoint_position") == 9


async def test_weather_costs_one_checkpoint_and_is_counted(desk: Desk) -> None:
    made = desk.checkpoints()
    desk.signing.fails = LedgerUnavailable("gone fishing")
    await made.seal()
    assert desk.sample("ledger_errors_total") == 1
    desk.signing.fails = None
    await made.seal()
    assert made.remembered is not None


async def test_a_broken_history_is_told_until_it_is_right_again(desk: Desk) -> None:
    made = desk.checkpoints()
    await made.seal()
    desk.signing.fails = ChainBroken("it saw 5 events and the ledger ends at position 3")
    await made.seal()
    assert desk.sample("history_broken") == 1
    assert made.remembered is not None
    assert made.remembered.checkpoint.size == 5
    desk.signing.fails = None
    await made.seal()
    assert desk.sample("history_broken") == 0


async def test_an_empty_ledger_is_waited_for(desk: Desk) -> None:
    desk.signing.size = 0
    made = desk.checkpoints(desk.written.append)
    await made.seal()
    assert (made.remembered, desk.written) == (None, [])


async def test_it_is_written_out_each_time(desk: Desk) -> None:
    made = desk.checkpoints(desk.written.append)
    await made.seal()
    desk.signing.size = 6
    await made.seal()
    assert [checkpoint_in(note).size for note in desk.written] == [5, 6]


async def test_a_file_that_cannot_be_written_is_tried_again_and_hides_nothing(desk: Desk) -> None:
    failing = True

    def publish(note: Note) -> None:
        if failing:
            raise OSError("no space left")
        desk.written.append(note)

    made = desk.checkpoints(publish)
    await made.seal()
    assert made.remembered is not None
    failing = False
    await made.seal()
    assert len(desk.written) == 1


async def test_a_bug_comes_through(desk: Desk) -> None:
    desk.signing.fails = RuntimeError("a bug")
    with pytest.raises(RuntimeError):
        await desk.checkpoints().seal()


async def test_a_running_worker_does_not_sign_over_a_ledger_that_was_forged_under_it(
    tmp_path: Path, desk: Desk
) -> None:
    """Nor once the forger has thrown away what the ledger kept."""
    url = await asyncio.to_thread(story().write, tmp_path)
    async with Ledger(url) as ledger:

        async def make(remembered: Witness | None, now: datetime) -> Made | None:
            return await store.make(
                ledger, SIGNER.sign, SIGNER.key.short, now=now, remembered=remembered
            )

        made = Checkpoints(make, desk.clock, desk.metrics)
        await made.seal()
        assert desk.sample("checkpoint_position") == 12
        rows = read_rows(url)
        forged = replace(rows[3], provenance='{"author":"eve"}')
        write_rows(url, hash_anew([*rows[:3], forged, *rows[4:]]))
        with raw(url) as database:
            database.execute("DELETE FROM checkpoints")
        await made.seal()
        assert desk.sample("history_broken") == 1
        with raw(url) as database:
            assert database.execute("SELECT count(*) FROM checkpoints").fetchone()[0] == 0


async def test_a_worker_that_starts_anew_holds_the_ledger_against_the_file(
    tmp_path: Path, desk: Desk
) -> None:
    url = await asyncio.to_thread(story().write, tmp_path)
    async with Ledger(url) as ledger:
        first = await store.make(ledger, SIGNER.sign, SIGNER.key.short, now=NOON)
        assert first is not None
        seen = checkpoint_in(parse_note(str(first.note).encode()))
        write_rows(url, read_rows(url)[:-2])
        with raw(url) as database:
            database.execute("DELETE FROM checkpoints")

        async def make(remembered: Witness | None, now: datetime) -> Made | None:
            return await store.make(
                ledger, SIGNER.sign, SIGNER.key.short, now=now, remembered=remembered
            )

        kept = Witness("checkpoint.txt", seen, SIGNER.key.short)
        made = Checkpoints(make, desk.clock, desk.metrics, None, kept)
        await made.seal()
    assert desk.sample("history_broken") == 1
