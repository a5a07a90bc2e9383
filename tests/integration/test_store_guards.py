"""The events table is append-only inside the database itself, for whoever opens the file."""

import sqlite3
from collections.abc import Iterator, Mapping

import pytest
from sqlalchemy import URL

from ledger import guards
from ledger.envelope import Draft
from ledger.schema import events
from ledger.store import Ledger
from tests.support.every_kind import EVERY_KIND
from tests.support.histories import NOON
from tests.support.ledgers import raw

COLUMNS = [column.name for column in events.columns]


@pytest.fixture
async def five(ledger: Ledger) -> URL:
    """A ledger of five events."""
    await ledger.append([Draft(event, 0) for event in EVERY_KIND[:5]], now=NOON)
    return ledger.url


def standing(database: sqlite3.Connection) -> list[tuple[object, ...]]:
    return [tuple(row) for row in database.execute("SELECT * FROM events ORDER BY position")]


def another(database: sqlite3.Connection, **changes: object) -> dict[str, object]:
    """The row that could come next, with some columns changed."""
    row = dict(database.execute("SELECT * FROM events ORDER BY position DESC LIMIT 1").fetchone())
    fresh = {"position": row["position"] + 1, "prev_hash": row["hash"], "dedup_key": "a:0:new"}
    return row | fresh | {"hash": "f" * 64} | changes


def insert(database: sqlite3.Connection, row: Mapping[str, object], how: str = "INSERT") -> None:
    names, marks = ", ".join(row), ", ".join("?" * len(row))
    database.execute(f"{how} INTO events ({names}) VALUES ({marks})", tuple(row.values()))


@pytest.fixture(params=["ON", "OFF"], ids=["recursive-triggers", "as-sqlite-comes"])
def outside(five: URL, request: pytest.FixtureRequest) -> Iterator[sqlite3.Connection]:
    """A connection that is not the store's; what it found must stand when it is done."""
    with raw(five) as database:
        database.execute(f"PRAGMA recursive_triggers = {request.param}")
        before = standing(database)
        assert len(before) == 5
        yield database
        assert standing(database) == before


def test_the_next_row_can_be_inserted_so_that_refusals_mean_something(five: URL) -> None:
    with raw(five) as database:
        insert(database, another(database))
        assert len(standing(database)) == 6


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("how", ["UPDATE", "UPDATE OR REPLACE", "UPDATE OR IGNORE"])
def test_no_column_of_any_row_can_be_updated(
    outside: sqlite3.Connection, column: str, how: str
) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="append-only: UPDATE refused"):
        outside.execute(f"{how} events SET {column} = {column} WHERE position = 3")


@pytest.mark.parametrize("where", ["", " WHERE position = 5", " WHERE position = 1"])
def test_no_row_can_be_deleted(outside: sqlite3.Connection, where: str) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="append-only: DELETE refused"):
        outside.execute(f"DELETE FROM events{where}")  # noqa: S608 - a test's own words


REPLACING = ("INSERT OR REPLACE", "REPLACE", "INSERT OR IGNORE", "INSERT OR FAIL", "INSERT")


@pytest.mark.parametrize("how", REPLACING)
def test_no_row_can_be_put_in_the_place_of_another(outside: sqlite3.Connection, how: str) -> None:
    """REPLACE erases the row in its way without firing delete triggers."""
    for position in (1, 5):
        with pytest.raises(sqlite3.IntegrityError, match="this row is not its next"):
            insert(outside, another(outside, position=position), how)


@pytest.mark.parametrize("how", ["INSERT OR REPLACE", "REPLACE"])
@pytest.mark.parametrize("hidden", ["rowid", "oid", "_rowid_"])
def test_no_row_is_replaced_by_the_number_that_sqlite_hides(
    five: URL, how: str, hidden: str
) -> None:
    """A next row in every other respect, laid upon the third by a key that no trigger sees."""
    with raw(five) as database:
        before = standing(database)
        insert(database, {hidden: 3} | another(database), how)
        assert standing(database)[:5] == before


@pytest.mark.parametrize("how", REPLACING)
def test_no_event_can_be_said_again_in_place_of_what_stands(
    outside: sqlite3.Connection, how: str
) -> None:
    (key,) = outside.execute("SELECT dedup_key FROM events WHERE position = 2").fetchone()
    with pytest.raises(sqlite3.IntegrityError, match="this event stands already"):
        insert(outside, another(outside, dedup_key=key), how)


def test_no_upsert_changes_what_stands(outside: sqlite3.Connection) -> None:
    row = another(outside, position=3)
    names, marks = ", ".join(row), ", ".join("?" * len(row))
    with pytest.raises(sqlite3.IntegrityError, match="not its next"):
        outside.execute(
            f"INSERT INTO events ({names}) VALUES ({marks}) "  # noqa: S608 - a test's own words
            "ON CONFLICT (position) DO UPDATE SET payload = 'x'",
            tuple(row.values()),
        )


@pytest.mark.parametrize("how", REPLACING)
@pytest.mark.parametrize(
    "changes",
    [
        {"position": 7},
        {"position": 0},
        {"position": -1},
        {"position": 2**62},
        {"prev_hash": "0" * 64},
        {"prev_hash": "e" * 64},
        {"prev_hash": ""},
    ],
    ids=str,
)
def test_no_position_is_skipped_and_no_chain_is_forked(
    outside: sqlite3.Connection, how: str, changes: dict[str, object]
) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="this row is not its next"):
        insert(outside, another(outside, **changes), how)


@pytest.mark.parametrize("column", ["position", "prev_hash", "dedup_key", "hash", "payload"])
def test_nothing_that_a_row_needs_may_be_absent(outside: sqlite3.Connection, column: str) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        insert(outside, another(outside, **{column: None}), "INSERT OR REPLACE")


def test_the_first_row_follows_nothing_but_the_beginning(ledger_url: URL) -> None:
    row = dict.fromkeys(COLUMNS, "x") | {"recorded_at": 1, "version": 1, "turn": None}
    with raw(ledger_url) as database:
        for position, prev_hash in ((1, "f" * 64), (2, "0" * 64), (0, "0" * 64)):
            with pytest.raises(sqlite3.IntegrityError, match="not its next"):
                insert(database, row | {"position": position, "prev_hash": prev_hash})
        insert(database, row | {"position": 1, "prev_hash": "0" * 64})


def test_the_guards_cover_an_insert_of_many_rows_at_once(outside: sqlite3.Connection) -> None:
    row = another(outside)
    names = ", ".join(row)
    marks = "(" + ", ".join("?" * len(row)) + ")"
    doubled = (*row.values(), *(row | {"dedup_key": "b:0:new"}).values())
    with pytest.raises(sqlite3.IntegrityError, match="not its next"):
        outside.execute(f"INSERT INTO events ({names}) VALUES {marks}, {marks}", doubled)  # noqa: S608 - a test's own words


def test_guards_are_told_apart_by_every_word_but_not_by_their_line_breaks() -> None:
    whole = {name: guards.statement("sqlite", name) for name in guards.SQLITE}
    assert guards.missing("sqlite", whole) == ()
    assert guards.missing("sqlite", dict(guards.SQLITE)) == ()
    assert guards.missing("sqlite", {}) == tuple(guards.SQLITE)
    weak = whole | {"events_keep_chain": whole["events_keep_chain"].replace("+ 1", "+ 2")}
    assert guards.missing("sqlite", weak) == ("events_keep_chain",)


def test_an_engine_without_guards_of_its_own_is_refused() -> None:
    with pytest.raises(ValueError, match="no guards for oracle"):
        guards.statements("oracle")
