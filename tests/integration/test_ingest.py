"""Ingest against a real SQLite ledger: whole or not at all, once, and against what stands."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime

import pytest
from sqlalchemy import URL

from ledger.commits import HistoryUnknown
from ledger.decide.decision import Declared, Gone, Origin
from ledger.envelope import Provenance
from ledger.errors import StaleCommit
from ledger.events import Granted, Ingested, Revoked
from ledger.ingest import BrakeMet, IngestRequest, Report, ingest, plan, untraced
from ledger.manifest import read
from ledger.model import GrantId, Team
from ledger.project import LatestKey
from ledger.store import Ledger
from ledger.store.append import read_head
from ledger.store.reads import all_grants, events_at, read_grants
from ledger.store.views import read_intent
from tests.support.builders import NOW, Book, Files, at, directory, permanent, temporary

pytestmark = pytest.mark.every_engine


@pytest.fixture
async def ledger(ledger_url: URL) -> AsyncIterator[Ledger]:
    async with Ledger(ledger_url) as opened:
        yield opened


class Branch:
    """Commits c1, c2, c3 … one after the other; anything else is on another branch."""

    def __init__(self, head: str, *, dirty: bool = False) -> None:
        self.head = head
        self.dirty = dirty

    def is_ancestor(self, commit: str) -> bool:
        return commit[0] == self.head[0] and int(commit[1:]) <= int(self.head[1:])


def request(files: Files, now: datetime = NOW, commit: str | None = None) -> IngestRequest:
    return IngestRequest(files, now, commits=None if commit is None else Branch(commit))


async def position(ledger: Ledger) -> int:
    async with ledger.reading() as connection:
        return (await read_head(connection)).position


STANDING = directory(standing=[permanent("ana", "bob")], windows=[temporary(duration="4h")])


async def test_the_same_directory_twice_appends_nothing(ledger: Ledger) -> None:
    first = await ingest(ledger, request(STANDING, commit="c1"))
    assert (first.counts.granted, first.position) == (3, 9)
    assert [event.position for event in first.events] == list(range(1, 10))
    second = await ingest(ledger, request(STANDING, at(1), commit="c1"))
    assert (second.events, second.position) == ((), 9)


async def test_a_plan_says_what_ingest_appends_and_appends_nothing(ledger: Ledger) -> None:
    planned = await plan(ledger, request(STANDING))
    assert await position(ledger) == 0
    assert (planned.dry_run, planned.position) == (True, 0)
    done = await ingest(ledger, request(STANDING))
    assert [event.event for event in planned.events] == [event.event for event in done.events]
    assert {event.position for event in planned.events} == {None}


async def test_an_error_anywhere_appends_nothing_at_all(ledger: Ledger) -> None:
    broken = STANDING | directory("other", standing=[permanent("carl", grant="nothing")])
    report = await ingest(ledger, request(broken))
    assert len(report.errors) == 1
    assert report.decision is None
    assert (report.events, await position(ledger)) == ((), 0)


async def test_an_error_of_deciding_appends_nothing_either(ledger: Ledger) -> None:
    files = directory(standing=[permanent("ana")], windows=[temporary(duration="9d")])
    report = await ingest(ledger, request(files))
    assert [problem.code for problem in report.errors] == ["too-far"]
    assert await position(ledger) == 0


async def test_the_brake_stops_an_ingest_and_is_only_noted_by_a_plan(ledger: Ledger) -> None:
    await ingest(ledger, request(STANDING))
    before = await position(ledger)
    with pytest.raises(BrakeMet, match="--allow-revocations 3; nothing was appended") as stopped:
        await ingest(ledger, request({}, at(1)))
    assert [row.grant.principal.name for row in stopped.value.brake.ends] == ["ana", "bob", "ana"]
    planned = await plan(ledger, request({}, at(1)))
    assert [note.code for note in planned.stops] == ["brake"]
    assert await position(ledger) == before
    allowed = await ingest(ledger, replace(request({}, at(1)), consent=3))
    assert allowed.counts.revoked == 3


async def test_a_source_file_that_is_gone_is_remembered_from_the_ledger(ledger: Ledger) -> None:
    await ingest(ledger, request(STANDING))
    without = {path: text for path, text in STANDING.items() if "temporary" not in path}
    with pytest.raises(BrakeMet) as stopped:
        await ingest(ledger, request(without, at(1)))
    assert stopped.value.brake.reasons == ("file-gone",)
    assert stopped.value.brake.files_gone == ("temporary-access/payments.yaml",)


# --- stale commits ----------------------------------------------------------------------------


async def test_an_older_commit_is_refused_and_a_newer_one_goes_on(ledger: Ledger) -> None:
    await ingest(ledger, request(STANDING, commit="c2"))
    before = await position(ledger)
    with pytest.raises(StaleCommit, match=r"payments at c2.*nothing was appended"):
        await ingest(ledger, request(directory(), at(1), "c1"))
    planned = await plan(ledger, request(STANDING, at(1), "c1"))
    assert [note.code for note in planned.stops] == ["stale-commit"]
    assert await position(ledger) == before
    assert (await ingest(ledger, request(STANDING, at(1), "c3"))).position == before + 1


async def test_another_branch_is_refused_unless_a_person_says_so(ledger: Ledger) -> None:
    await ingest(ledger, request(STANDING, commit="c2"))
    with pytest.raises(StaleCommit):
        await ingest(ledger, request(STANDING, at(1), "d9"))
    forced = await ingest(ledger, replace(request(STANDING, at(1), "d9"), allow_stale=True))
    assert isinstance(forced.events[-1].event, Ingested)


async def test_each_team_keeps_its_own_last_commit(ledger: Ledger) -> None:
    both = directory("alpha") | directory("beta")
    await ingest(ledger, request(both, commit="c1"))
    alpha = frozenset({Team("alpha")})
    await ingest(ledger, replace(request(both, at(1), "c3"), teams=alpha))
    beta = frozenset({Team("beta")})
    await ingest(ledger, replace(request(both, at(2), "c2"), teams=beta))
    with pytest.raises(StaleCommit, match="alpha at c3"):
        await ingest(ledger, request(both, at(3), "c2"))


async def test_the_commit_ingested_last_needs_no_history_to_be_compared(ledger: Ledger) -> None:
    class Forgetful(Branch):
        def is_ancestor(self, commit: str) -> bool:
            raise HistoryUnknown(f"nobody knows {commit}")

    await ingest(ledger, request(STANDING, commit="c2"))
    again = replace(request(STANDING, at(1)), commits=Forgetful("c2"))
    assert (await ingest(ledger, again)).events == ()
    with pytest.raises(HistoryUnknown):
        await ingest(ledger, replace(again, commits=Forgetful("c3")))


async def test_outside_a_work_tree_nothing_is_compared_and_the_report_says_so(
    ledger: Ledger,
) -> None:
    await ingest(ledger, request(STANDING, commit="c2"))
    report = await ingest(ledger, request(STANDING, at(1)))
    assert (report.compared, report.commit) == (False, None)


async def test_a_dirty_work_tree_is_recorded_and_warned_of(ledger: Ledger) -> None:
    dirty = replace(request(STANDING), commits=Branch("c1", dirty=True))
    report = await ingest(ledger, dirty)
    assert [note.code for note in report.notes] == ["dirty"]
    event = report.events[-1].event
    assert isinstance(event, Ingested)
    assert (event.dirty, event.commit) == (True, "c1")


# --- races ------------------------------------------------------------------------------------


async def test_two_ingests_at_once_grant_once(ledger: Ledger) -> None:
    reports = await asyncio.gather(
        *(ingest(ledger, request(STANDING, at(number / 3600), "c1")) for number in range(4))
    )
    assert sorted(len(report.events) for report in reports) == [0, 0, 0, 9]
    async with ledger.reading() as connection:
        assert len(await read_grants(connection, all_grants())) == 3


async def test_an_ingest_that_was_overtaken_compares_again_under_the_lock(ledger: Ledger) -> None:
    """A newer commit lands while the older one is still asking git: the older one must stop."""
    loop = asyncio.get_running_loop()
    overtaken: list[Report] = []

    def slow(origins: Sequence[Origin | None]) -> Sequence[Provenance]:
        newer = ingest(ledger, request(directory(), at(), "c2"))
        overtaken.append(asyncio.run_coroutine_threadsafe(newer, loop).result(timeout=30))
        return untraced(origins)

    with pytest.raises(StaleCommit, match="payments at c2"):
        await ingest(ledger, replace(request(STANDING, commit="c1"), trace=slow))
    assert len(overtaken) == 1
    async with ledger.reading() as connection:
        assert await read_grants(connection, all_grants()) == ()


async def test_what_is_decided_again_is_traced_again_outside_the_lock(ledger: Ledger) -> None:
    """The second look finds a line to revoke that the first did not: git is asked once more."""
    loop = asyncio.get_running_loop()
    asked: list[int] = []

    def slow(origins: Sequence[Origin | None]) -> Sequence[Provenance]:
        asked.append(len(origins))
        if len(asked) == 1:
            more = directory(standing=[permanent("ana", "bob", "carl")])
            other = ingest(ledger, request(more, at()))
            asyncio.run_coroutine_threadsafe(other, loop).result(timeout=30)
        return untraced(origins)

    files = directory(standing=[permanent("ana")])
    report = await ingest(ledger, replace(request(files), trace=slow))
    assert (report.counts.granted, report.counts.revoked) == (0, 2)
    assert len(asked) == 2


# --- what is recorded -------------------------------------------------------------------------


async def test_every_event_carries_where_it_came_from(ledger: Ledger) -> None:
    seen: list[Origin | None] = []

    def trace(origins: Sequence[Origin | None]) -> Sequence[Provenance]:
        seen.extend(origins)
        return [
            Provenance(commit=f"by-{type(origin).__name__}", author="ana") for origin in origins
        ]

    await ingest(ledger, replace(request(STANDING, commit="c1"), trace=trace))
    gone = directory(windows=[temporary(duration="4h")], standing=[permanent("bob")])
    report = await ingest(ledger, replace(request(gone, at(1), "c2"), trace=trace))
    (removal,) = (event for event in report.events if isinstance(event.event, Revoked))
    assert removal.provenance.commit == "by-Gone"
    assert removal.position is not None
    async with ledger.reading() as connection:
        stored = (await events_at(connection, [removal.position]))[removal.position]
    assert stored.provenance == removal.provenance
    assert any(isinstance(origin, Declared) for origin in seen)
    assert any(isinstance(origin, Gone) and origin.since == "c1" for origin in seen)


async def test_a_spent_line_under_another_name_is_found_in_the_ledger(ledger: Ledger) -> None:
    await ingest(ledger, request(directory(windows=[temporary(duration="4h")])))
    renamed = directory(
        accounts={"production": "111111111111"},
        windows=[temporary(duration="4h", environment="production")],
    )
    report = await ingest(ledger, request(renamed, at(9)))
    assert [note.code for note in report.notes] == ["repeats-spent"]


async def test_the_ledger_in_memory_that_the_laws_use_answers_as_the_real_one(
    ledger: Ledger,
) -> None:
    book = Book()
    history = [
        STANDING,
        directory(standing=[permanent("ana")], windows=[temporary(duration="6h")]),
        directory(standing=[permanent("bob")]),
        directory("other", standing=[permanent("carl")]),
        STANDING,
    ]
    for number, files in enumerate(history):
        now = at(number)
        book.ingest(files, now)
        await ingest(ledger, replace(request(files, now), consent=1_000))
        reading = read(files, now=now)
        assert reading.manifest is not None
        ids: list[GrantId] = [grant.id for grant in reading.manifest.grants]
        async with ledger.reading() as connection:
            real = await read_intent(connection, teams=None, ids=ids, now=now)
        expected = book.view(now, ids)
        assert real.rows == expected.rows
        assert real.positions == expected.positions
        assert real.accounts == expected.accounts
        assert real.policies == expected.policies
        assert real.last_commits == expected.last_commits
        assert real.settings == expected.settings
        assert LatestKey("settings") in real.positions
    granted = [item.event for item in book.events if isinstance(item.event, Granted)]
    assert len(granted) == 8
