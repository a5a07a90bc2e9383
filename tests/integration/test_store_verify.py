"""Verifying: what was changed is found where it was changed; rebuilding builds on nothing else."""

import asyncio
import sqlite3
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL

from ledger import guards
from ledger.chain import PROBLEMS_MAX
from ledger.codec import GENESIS, Envelope, chain_hash
from ledger.envelope import Draft
from ledger.errors import ChainBroken, UnknownEvent
from ledger.schema import grants
from ledger.store import Ledger
from ledger.store import verify as verifying
from ledger.store.reads import events_at
from ledger.store.verify import TAIL_NOTE, Verification, rebuild, verify
from tests.support.every_kind import EVERY_KIND
from tests.support.histories import NOON, Story, after, grant
from tests.support.ledgers import envelope_in, make_ledger, overwrite, raw, tampering

ANA = grant("a" * 16, ends=after(2))
BEN = grant("b" * 16, "user/ben", ends=after(3))

COLUMNS = [f.name.removesuffix("_us") for f in fields(Envelope)]
LINKED = ["position", "prev_hash", "hash", "recorded_at"]


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Ten events: two grants, both applied, one revoked and removed; and an account that sticks."""
    told = Story().mapped().granted(ANA).granted(BEN, after(0.1)).applied(ANA, after(0.2))
    told.applied(BEN, after(0.3)).revoked(ANA, after(1)).removed(ANA, after(1.1))
    folder = tmp_path_factory.mktemp("honest")
    told.stuck(None, after(1.2)).write(folder, "honest.db")
    assert not (folder / "honest.db-wal").exists(), "the file is not whole"
    return (folder / "honest.db").read_bytes()


@pytest.fixture
def url(tmp_path: Path, honest: bytes) -> URL:
    """A copy of those ten events."""
    made = make_ledger(tmp_path)
    (tmp_path / "ledger.db").write_bytes(honest)
    return made


COUNT = 10


def look(url: URL) -> Verification:
    async def run() -> Verification:
        async with Ledger(url) as ledger:
            return await verify(ledger)

    return asyncio.run(run())


def build(url: URL) -> int:
    async def run() -> int:
        async with Ledger(url) as ledger:
            return await rebuild(ledger)

    return asyncio.run(run())


def standing(url: URL) -> list[str]:
    """All that the file holds, in whatever order: indexes that were made again come last."""
    with raw(url) as database:
        return sorted(database.iterdump())


def test_an_honest_ledger_verifies_and_says_what_cannot_be_seen(url: URL) -> None:
    found = look(url)
    assert found.ok
    assert found.problems == ()
    assert found.problems_count == 0
    assert (found.events, found.head_position) == (COUNT, COUNT)
    with raw(url) as database:
        (head,) = database.execute("SELECT hash FROM events WHERE position = 10").fetchone()
    assert found.head_hash == head
    assert found.notes == (TAIL_NOTE,)


def test_an_empty_ledger_verifies(ledger_url: URL) -> None:
    found = look(ledger_url)
    assert found.ok
    assert (found.events, found.head_position, found.head_hash) == (0, 0, GENESIS)


def test_verifying_changes_nothing(url: URL) -> None:
    before = standing(url)
    look(url)
    assert standing(url) == before


# --- rows ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("position", [1, 5, COUNT])
@pytest.mark.parametrize("column", [name for name in COLUMNS if name not in LINKED])
def test_any_column_of_any_row_that_is_changed_is_found_there(
    url: URL, column: str, position: int
) -> None:
    with tampering(url) as database:
        row = database.execute("SELECT * FROM events WHERE position = ?", (position,)).fetchone()
        was = 0 if column == "turn" and row[column] is None else row[column]
        value = was + 1 if isinstance(was, int) else f"{was or ''}x"
        overwrite(database, "events", column, value, where=f"position = {position}")
    found = look(url)
    assert not found.ok
    assert (found.problems[0].position, found.problems[0].what) == (position, "hash")
    assert {problem.position for problem in found.problems if problem.what == "hash"} == {position}


@pytest.mark.parametrize("column", [name for name in COLUMNS if name != "position"])
def test_a_value_of_a_foreign_type_is_found_and_stops_nothing(url: URL, column: str) -> None:
    with tampering(url) as database:
        overwrite(database, "events", column, b"\xff", where="position = 4")
    found = look(url)
    assert not found.ok
    assert any(problem.what in ("columns", "previous hash") for problem in found.problems)
    assert found.events == COUNT


@pytest.mark.parametrize(
    ("change", "position", "what"),
    [
        ("UPDATE events SET prev_hash = 'x' WHERE position = 4", 4, "previous hash"),
        ("UPDATE events SET hash = 'x' WHERE position = 4", 4, "hash"),
        ("UPDATE events SET recorded_at = recorded_at - 90000000 WHERE position = 4", 4, "hash"),
        ("UPDATE events SET position = 99 WHERE position = 10", 99, "position"),
        ("UPDATE events SET position = -1 WHERE position = 1", -1, "position"),
        ("DELETE FROM events WHERE position = 1", 2, "position"),
        ("DELETE FROM events WHERE position = 6", 7, "position"),
        ("DELETE FROM events WHERE position BETWEEN 4 AND 8", 9, "position"),
    ],
)
def test_a_row_moved_unlinked_or_taken_out_is_found_at_the_first_that_shows_it(
    url: URL, change: str, position: int, what: str
) -> None:
    with tampering(url) as database:
        assert database.execute(change).rowcount >= 1
    found = look(url)
    assert (found.problems[0].position, found.problems[0].what) == (position, what)


def test_two_rows_that_change_places_are_found_at_the_first(url: URL) -> None:
    with tampering(url) as database:
        for was, becomes in ((4, -4), (7, 4), (-4, 7)):
            database.execute("UPDATE events SET position = ? WHERE position = ?", (becomes, was))
    assert look(url).problems[0].position == 4


def test_a_row_put_in_between_is_found(url: URL) -> None:
    with tampering(url) as database:
        database.execute("UPDATE events SET position = -position WHERE position > 5")
        database.execute("UPDATE events SET position = 1 - position WHERE position < 0")
        taken = {"position": "6", "dedup_key": "'stuck:0:made:up:::'"}
        values = ", ".join(taken.get(name, name) for name in COLUMNS)
        database.execute(f"INSERT INTO events SELECT {values} FROM events WHERE position = 5")  # noqa: S608 - a test's own words
    assert look(url).problems[0].position == 6


def test_a_cut_tail_alone_is_not_seen_and_that_is_said(url: URL) -> None:
    """The projections, which nobody cut, give it away; cut those too and nothing does."""
    with tampering(url) as database:
        database.execute("DELETE FROM events WHERE position = 10")
    found = look(url)
    assert [problem.what for problem in found.problems] == ["latest"]
    with raw(url) as database:
        database.execute("DELETE FROM latest WHERE topic = 'stuck'")
    found = look(url)
    assert found.ok
    assert found.notes == (TAIL_NOTE,)
    assert "cut tail cannot be seen" in TAIL_NOTE


def test_every_problem_is_counted_and_the_first_are_shown(url: URL) -> None:
    with tampering(url) as database:
        database.execute("UPDATE events SET prev_hash = 'x', hash = 'y', policy = 'z'")
    found = look(url)
    assert len(found.problems) == PROBLEMS_MAX
    assert found.problems_count > PROBLEMS_MAX
    assert found.problems[0].position == 1


# --- rows whose hashes were computed anew: the content speaks ---------------------------------


def rechain(database: sqlite3.Connection, position: int, **changes: Any) -> None:
    """Changes a row and computes every hash from there on, as a careful forger would."""
    rows = [envelope_in(row) for row in database.execute("SELECT * FROM events ORDER BY position")]
    previous = GENESIS
    for row in rows:
        made = replace(row, **changes) if row.position == position else row
        made = replace(made, prev_hash=previous)
        made = replace(made, hash=chain_hash(made))
        previous = made.hash
        values = {name: getattr(made, name) for name in made.__slots__}
        values["recorded_at"] = values.pop("recorded_at_us")
        names = ", ".join(f"{name} = ?" for name in values)
        database.execute(
            f"UPDATE events SET {names} WHERE position = ?",  # noqa: S608 - a test's own words
            (*values.values(), row.position),
        )


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("team", "research"),
        ("account", "222222222222"),
        ("grant_id", "b" * 16),
        ("turn", 2),
        ("principal", "user/ben"),
        ("policy", "look"),
        ("dedup_key", "granted:0:eeeeeeeeeeeeeeee:1:"),
        ("team", None),
    ],
)
def test_a_column_that_says_other_than_its_payload_is_found(
    url: URL, column: str, value: object
) -> None:
    """By the columns people filter: a row hidden from a question would be found here."""
    with tampering(url) as database:
        rechain(database, 4, **{column: value})
    problem = look(url).problems[0]
    assert (problem.position, problem.what) == (4, "columns")
    assert column in problem.message


@pytest.mark.parametrize(
    "payload", ["{", "[]", "{}", '{"grant": 7}', "null", '{"grant": {"id": "x"}}', ""]
)
def test_a_payload_that_nobody_can_read_is_found(url: URL, payload: str) -> None:
    with tampering(url) as database:
        rechain(database, 4, payload=payload)
    problem = look(url).problems[0]
    assert (problem.position, problem.what) == (4, "payload")


def test_a_payload_in_other_words_is_found(url: URL) -> None:
    """The same meaning in other bytes was not written by us."""
    with tampering(url) as database:
        (was,) = database.execute("SELECT payload FROM events WHERE position = 4").fetchone()
        rechain(database, 4, payload=was.replace(",", ", "))
    problem = look(url).problems[0]
    assert (problem.position, problem.what) == (4, "columns")
    assert "payload" in problem.message


def test_an_answer_to_what_comes_later_is_found(url: URL) -> None:
    with tampering(url) as database:
        (was,) = database.execute("SELECT dedup_key FROM events WHERE position = 4").fetchone()
        rechain(database, 4, dedup_key=was.replace("granted:0:", "granted:9:"))
    problem = look(url).problems[0]
    assert (problem.position, problem.what) == (4, "columns")
    assert "answers position 9, which comes later" in problem.message


def test_a_time_that_goes_backwards_is_found(url: URL) -> None:
    with tampering(url) as database:
        rechain(database, 6, recorded_at_us=1)
    assert [(problem.position, problem.what) for problem in look(url).problems][:1] == [(6, "time")]


def test_evidence_about_what_was_never_granted_is_found(url: URL) -> None:
    with tampering(url) as database:
        row = database.execute("SELECT * FROM events WHERE position = 6").fetchone()
        stranger = {
            name: row[name].replace("a" * 16, "e" * 16)
            for name in ("payload", "dedup_key", "grant_id")
        }
        rechain(database, 6, **stranger)
    problem = look(url).problems[0]
    assert (problem.position, problem.what) == (6, "history")
    assert "was never granted" in problem.message


# --- the projections ----------------------------------------------------------------------------


def columns_of_grants() -> list[str]:
    return [column.name for column in grants.columns if column.name not in ("grant_id", "turn")]


@pytest.mark.parametrize("column", columns_of_grants())
def test_any_changed_column_of_the_projection_is_found_and_rebuilt(url: URL, column: str) -> None:
    honest = standing(url)
    with raw(url) as database:
        row = database.execute("SELECT * FROM grants WHERE grant_id = ?", (ANA.id,)).fetchone()
        was = row[column]
        value = was + 1 if isinstance(was, int) else f"{was or ''}x"
        overwrite(database, "grants", column, value, where=f"grant_id = '{ANA.id}'")
    found = look(url)
    (problem,) = found.problems
    assert problem.what == "grants"
    assert f"grant {ANA.id} turn 1: {column} are not what" in problem.message
    assert build(url) == COUNT
    assert standing(url) == honest
    assert look(url).ok


@pytest.mark.parametrize(
    ("change", "what", "said"),
    [
        ("DELETE FROM grants WHERE policy = 'fix'", "grants", "has no row in the table"),
        ("UPDATE grants SET turn = 2", "grants", "stands in the table and no event grants it"),
        ("DELETE FROM latest WHERE topic = 'settings'", "latest", "settings is not in the table"),
        ("UPDATE latest SET position = 1 WHERE topic = 'stuck'", "latest", "its newest event is"),
        ("UPDATE latest SET name = 'x' WHERE topic = 'account'", "latest", "no event is about it"),
        ("UPDATE latest SET position = 'x'", "latest", "points to position x"),
        (
            "INSERT INTO latest VALUES ('hold', '', '', 'made up', 4)",
            "latest",
            "hold made up points to position 4; no event is about it",
        ),
    ],
)
def test_a_projection_that_says_other_than_the_events_is_found_and_rebuilt(
    url: URL, change: str, what: str, said: str
) -> None:
    honest = standing(url)
    with raw(url) as database:
        assert database.execute(change).rowcount >= 1
    found = look(url)
    assert {problem.what for problem in found.problems} == {what}
    assert any(said in problem.message for problem in found.problems), found.problems
    build(url)
    assert standing(url) == honest


# --- the guards ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(guards.SQLITE))
def test_a_guard_that_is_gone_is_found(url: URL, name: str) -> None:
    with raw(url) as database:
        database.execute(f"DROP TRIGGER {name}")
    (problem,) = look(url).problems
    assert (problem.position, problem.what) == (0, "guards")
    assert name in problem.message


@pytest.mark.parametrize("table", ["events", "grants", "latest", "account_status"])
def test_a_trigger_that_is_not_ours_is_found(url: URL, table: str) -> None:
    with raw(url) as database:
        database.execute(f"CREATE TRIGGER helper AFTER INSERT ON {table} BEGIN SELECT 1; END")
    (problem,) = look(url).problems
    assert problem.what == "guards"
    assert "the trigger helper is not ours" in problem.message


# --- too new ------------------------------------------------------------------------------------


def test_events_that_a_newer_program_wrote_are_listed_and_are_no_sign_of_tampering(
    url: URL,
) -> None:
    with tampering(url) as database:
        rechain(database, 10, version=2)
        rechain(database, 9, kind="foreseen")
    found = look(url)
    assert found.ok, found.problems
    assert [(new.kind, new.version, new.first_position, new.count) for new in found.too_new] == [
        ("foreseen", 1, 9, 1),
        ("stuck", 2, 10, 1),
    ]
    assert any("newer than this program" in note for note in found.notes)


def test_an_older_program_rebuilds_nothing_over_a_newer_ones_events(url: URL) -> None:
    with tampering(url) as database:
        rechain(database, 10, version=2)
    before = standing(url)
    with pytest.raises(UnknownEvent, match="'stuck' version 2"):
        build(url)
    assert standing(url) == before


# --- rebuilding ---------------------------------------------------------------------------------


def test_a_rebuild_on_a_broken_chain_is_refused_and_leaves_everything_as_it_was(url: URL) -> None:
    with tampering(url) as database:
        overwrite(database, "events", "policy", "other", where="position = 7")
    with raw(url) as database:
        overwrite(database, "grants", "policy", "other", where=f"grant_id = '{ANA.id}'")
    before = standing(url)
    with pytest.raises(ChainBroken, match=r"position 7, hash: .* Nothing was changed"):
        build(url)
    assert standing(url) == before


def test_a_rebuild_that_is_cut_short_leaves_everything_as_it_was(
    url: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = standing(url)

    class Cut(RuntimeError):
        pass

    def cut(_rows: object) -> object:
        raise Cut

    monkeypatch.setattr(verifying, "_batches", cut)
    with pytest.raises(Cut):
        build(url)
    assert standing(url) == before


def test_a_rebuild_touches_no_event_and_no_status(url: URL) -> None:
    with raw(url) as database:
        database.execute("INSERT INTO account_status VALUES ('111111111111', 'w', 1, 2, 'e', 3)")
    before = standing(url)
    assert build(url) == COUNT
    assert standing(url) == before


async def test_both_tell_how_far_they_are(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "PROGRESS_EVENTS", 2)
    await ledger.append([Draft(event, 0) for event in EVERY_KIND[:5]], now=NOON)
    for doing in (verify, rebuild):
        told: list[int] = []
        await doing(ledger, on_progress=told.append)
        assert told == [2, 4]


async def test_a_writer_goes_on_while_somebody_verifies(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what it appends meanwhile is neither missed nor seen by half."""
    monkeypatch.setattr(verifying, "PROGRESS_EVENTS", 1)
    await ledger.append([Draft(event, 0) for event in EVERY_KIND[:5]], now=NOON)
    writing: list[asyncio.Task[object]] = []

    def write(_count: int) -> None:
        if not writing:
            drafts = [Draft(EVERY_KIND[0], 7)]
            writing.append(asyncio.create_task(ledger.append(drafts, now=NOON)))

    found = await verify(ledger, on_progress=write)
    await asyncio.gather(*writing)
    assert found.ok
    assert found.events == 5
    assert (await verify(ledger)).events == 6


def test_two_ledgers_of_the_same_events_have_the_same_head(tmp_path: Path, url: URL) -> None:
    """The hash is of what happened, not of where it is kept."""
    other = make_ledger(tmp_path, "other.db")

    async def copy() -> None:
        async with Ledger(url) as ledger, Ledger(other) as to:
            async with ledger.reading() as connection:
                found = await events_at(connection, range(1, COUNT + 1))
            for item in found.values():
                cause = int(item.dedup_key.split(":")[1])
                await to.append([Draft(item.event, cause, item.provenance)], now=item.recorded_at)

    asyncio.run(copy())
    assert look(other).head_hash == look(url).head_hash
