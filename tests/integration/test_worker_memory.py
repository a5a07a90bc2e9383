"""A keeper acts from memory, and no word of anybody's is missed by it."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from ledger.envelope import Draft
from ledger.events import Applied, Removed
from ledger.ingest import IngestRequest, ingest
from ledger.store import Ledger
from ledger.store.feed import NOTHING_SEEN, said_after, seen_after, speaks
from tests.support.builders import at, directory, temporary
from tests.support.every_kind import EVERY_KIND
from tests.support.histories import NOON
from tests.support.stage import ANA, DEV, PROD, Process, Stage
from worker.memory import Memory

READ = "s3:GetObject"


def readings(process: Process, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The accounts that `process` reads from its ledger from here on."""
    found: list[object] = []
    read = process.door.read_account

    async def counted(account: object) -> object:
        found.append(account)
        return await read(account)  # type: ignore[arg-type]  # as handed in

    monkeypatch.setattr(process.door, "read_account", counted)
    return found


async def test_an_end_is_kept_without_reading_the_account_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = [temporary("ana", expires_at=at(1)), temporary("bob", expires_at=at(2))]
    await stage.ingest(directory(windows=ends))
    process = await stage.start()
    read = readings(process, monkeypatch)
    await stage.advance_to(at(3))
    assert len(await stage.of(Removed)) == 2
    assert read == []


async def test_an_extension_that_nobody_was_told_of_is_heeded_at_the_end(stage: Stage) -> None:
    """No nudge has come by then: the ledger is asked at the call itself."""
    await stage.ingest(directory(windows=[temporary("ana", expires_at=at(1))]))
    await stage.start()
    await stage.advance_to(at(1) - timedelta(seconds=1))
    longer = directory(windows=[temporary("ana", expires_at=at(4))])
    await ingest(stage.ledger, IngestRequest(longer, stage.clock.now()))
    await stage.advance_to(at(1) + timedelta(seconds=1))
    assert stage.allows(ANA, READ)
    assert [removed.cause for removed in await stage.of(Removed)] == ["revoked"]


async def test_what_is_remembered_is_what_a_reading_gives(stage: Stage) -> None:
    ends = [temporary("ana", expires_at=at(1)), temporary("bob", expires_at=at(2))]
    await stage.ingest(directory(windows=ends))
    process = await stage.start()
    memory = Memory(PROD, process.door)
    before = await memory.view()
    event = Removed(
        grant=(await stage.of(Applied))[0].grant,
        cause="expired",
        outcome="answered",
        lateness_us=1,
        requests=(),
        confirmed_at=stage.clock.now(),
    )
    memory.learn(await process.door.append([Draft(event, 1)], now=stage.clock.now()))
    remembered = await memory.view()
    read = await process.door.read_account(PROD)
    assert remembered == replace(read, position=before.position)
    assert len(remembered.rows) == 1


async def test_a_word_to_another_account_makes_nobody_read(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.ingest(directory(windows=[temporary("ana", expires_at=at(1))]))
    process = await stage.start()
    memory = Memory(PROD, process.door)
    await memory.view()
    more = temporary("ana", environment="dev", expires_at=at(2))
    files = directory(windows=[temporary("ana", expires_at=at(1)), more])
    await ingest(stage.ledger, IngestRequest(files, stage.clock.now()))
    read = readings(process, monkeypatch)
    await memory.view()
    assert read == []
    await Memory(DEV, process.door).view()
    assert read == [DEV]


async def test_where_people_spoke_is_found_alike_by_the_ledger_and_by_whoever_follows_it(
    tmp_path: Path,
) -> None:
    stage = Stage.empty(tmp_path)
    async with Ledger(stage.url) as ledger:
        await ledger.append([Draft(event, 0) for event in EVERY_KIND], now=NOON)
        async with ledger.reading() as connection:
            said = await said_after(connection, NOTHING_SEEN)
            seen = await seen_after(connection, 0)
    await stage.close()
    assert said == {item.account: item.position for item in seen if speaks(item)}
    assert {item.kind for item in seen if not speaks(item)} >= {"removed", "applied", "ingested"}
