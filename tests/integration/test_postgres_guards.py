"""The events table on PostgreSQL is append-only for its very owner, and missed when it is not."""

import asyncio
import sys
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from psycopg import IntegrityError, sql
from sqlalchemy import URL, create_engine

from ledger import guards
from ledger.envelope import Draft
from ledger.errors import LedgerOutdated
from ledger.schema import events, metadata
from ledger.store import Ledger
from ledger.store.verify import verify
from migrations.upgrade import upgrade
from tests.support.every_kind import EVERY_KIND
from tests.support.histories import NOON
from tests.support.ledgers import NewLedger, raw, tampering
from tests.support.postgres import Postgres

pytestmark = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)

COLUMNS = [column.name for column in events.columns]
NAMES = guards.names("postgresql")


@pytest.fixture
async def five(ledger: Ledger) -> URL:
    """A ledger of five events."""
    await ledger.append([Draft(event, 0) for event in EVERY_KIND[:5]], now=NOON)
    return ledger.url


def standing(database: Any) -> list[tuple[object, ...]]:
    return [tuple(row) for row in database.execute("SELECT * FROM events ORDER BY position")]


def another(database: Any, **changes: object) -> dict[str, object]:
    """The row that could come next, with some columns changed."""
    found = database.execute("SELECT * FROM events ORDER BY position DESC LIMIT 1").fetchone()
    row = dict(zip(found.keys(), found, strict=True))
    fresh = {"position": row["position"] + 1, "prev_hash": row["hash"], "dedup_key": "a:0:new"}
    return row | fresh | {"hash": "f" * 64} | changes


def insert(database: Any, *rows: dict[str, object], more: str = "") -> None:
    marks = ", ".join("(" + ", ".join("?" * len(row)) + ")" for row in rows)
    values = [value for row in rows for value in row.values()]
    database.execute(f"INSERT INTO events ({', '.join(rows[0])}) VALUES {marks} {more}", values)  # noqa: S608 - a test's own words


@pytest.fixture(params=["origin", "replica"])
def outside(five: URL, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The owner's own connection, also as a replica's, for which plain triggers do not fire."""
    with raw(five) as database:
        database.execute(f"SET session_replication_role = {request.param}")
        before = standing(database)
        assert len(before) == 5
        yield database
        assert standing(database) == before


def test_the_next_rows_can_be_inserted_so_that_refusals_mean_something(five: URL) -> None:
    with raw(five) as database:
        row = another(database)
        second = row | {"position": 7, "prev_hash": row["hash"], "dedup_key": "b:0:new"}
        insert(database, second, row)
        assert len(standing(database)) == 7


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE events SET payload = payload WHERE position = 3", "UPDATE"),
        ("UPDATE events SET payload = '{}' WHERE position = 900", "UPDATE"),
        ("DELETE FROM events WHERE position = 5", "DELETE"),
        ("DELETE FROM events WHERE false", "DELETE"),
        ("TRUNCATE events", "TRUNCATE"),
        ("TRUNCATE grants, events CASCADE", "TRUNCATE"),
        (
            "MERGE INTO events USING (VALUES (3)) AS s(p) ON position = s.p "
            "WHEN MATCHED THEN UPDATE SET payload = '{}'",
            "UPDATE",
        ),
    ],
)
def test_nothing_that_stands_can_be_changed_or_taken_away(
    outside: Any, statement: str, what: str
) -> None:
    with pytest.raises(IntegrityError, match=f"append-only: {what} refused"):
        outside.execute(statement)


def test_no_upsert_changes_what_stands(outside: Any) -> None:
    for target in ("position", "dedup_key"):
        with pytest.raises(IntegrityError, match="append-only: UPDATE refused"):
            insert(
                outside,
                another(outside, position=3),
                more=f"ON CONFLICT ({target}) DO UPDATE SET payload = 'x'",
            )


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
    outside: Any, changes: dict[str, object]
) -> None:
    with pytest.raises(IntegrityError, match="this row is not its next"):
        insert(outside, another(outside, **changes))


@pytest.mark.parametrize(
    "changes", [{"position": 8}, {"prev_hash": "e" * 64}, {"position": 5}], ids=str
)
def test_the_rows_of_one_statement_are_a_chain_too(outside: Any, changes: dict[str, Any]) -> None:
    first = another(outside)
    second = first | {"position": 7, "prev_hash": first["hash"], "dedup_key": "b:0:new"} | changes
    with pytest.raises(IntegrityError):
        insert(outside, first, second)


def test_a_hole_in_the_history_is_not_filled_by_another_history(five: URL) -> None:
    with tampering(five) as database:
        database.execute("DELETE FROM events WHERE position = 3")
    with raw(five) as database:
        (before,) = database.execute("SELECT hash FROM events WHERE position = 2").fetchone()
        with pytest.raises(IntegrityError, match="not its next"):
            insert(database, another(database, position=3, prev_hash=before))


def test_the_rows_of_a_copy_are_a_chain_too(five: URL, postgres: Postgres) -> None:
    with raw(five) as database:
        row = another(database, prev_hash="e" * 64)
    assert five.database is not None
    with postgres.connected(five.database) as connection, connection.cursor() as cursor:
        statement = sql.SQL("COPY events ({}) FROM STDIN").format(
            sql.SQL(", ").join(map(sql.Identifier, row))
        )
        with (
            pytest.raises(IntegrityError, match="not its next"),
            cursor.copy(statement) as copy,
        ):
            copy.write_row(list(row.values()))


def test_the_first_row_follows_nothing_but_the_beginning(ledger_url: URL) -> None:
    row: dict[str, object] = dict.fromkeys(COLUMNS, "x")
    row |= {"recorded_at": 1, "version": 1, "turn": None}
    with raw(ledger_url) as database:
        for position, prev_hash in ((1, "f" * 64), (2, "0" * 64), (0, "0" * 64)):
            with pytest.raises(IntegrityError, match="not its next"):
                insert(database, row | {"position": position, "prev_hash": prev_hash})
        insert(database, row | {"position": 1, "prev_hash": "0" * 64})


def test_a_table_of_the_same_name_elsewhere_fools_no_guard(outside: Any) -> None:
    """A temporary table is found first, unless the guard says where to look."""
    row = another(outside, position=7, prev_hash="d" * 64)
    outside.execute("CREATE TEMP TABLE events AS TABLE public.events")
    outside.execute("UPDATE pg_temp.events SET position = 6, hash = repeat('d', 64)")
    names, marks = ", ".join(row), ", ".join("?" * len(row))
    with pytest.raises(IntegrityError, match="not its next"):
        outside.execute(
            f"INSERT INTO public.events ({names}) VALUES ({marks})",  # noqa: S608 - a test's own words
            list(row.values()),
        )
    outside.execute("DROP TABLE pg_temp.events")


# --- when they are gone ---------------------------------------------------------------------------


async def check(url: URL) -> None:
    async with Ledger(url) as ledger:
        await ledger.check()


async def whats(url: URL) -> list[str]:
    async with Ledger(url) as ledger:
        return [problem.message for problem in (await verify(ledger)).problems]


WEAKENED = {
    "dropped": "DROP TRIGGER {name} ON events",
    "disabled": "ALTER TABLE events DISABLE TRIGGER {name}",
    "not for replicas": "ALTER TABLE events ENABLE TRIGGER {name}",
    "hollow": "CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql "
    "SET search_path = public, pg_temp AS 'BEGIN RETURN NULL; END'",
    "unpinned": "ALTER FUNCTION {function}() RESET search_path",
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("how", WEAKENED)
async def test_a_ledger_that_has_lost_a_guard_is_refused_and_migrating_puts_it_back(
    five: URL, name: str, how: str
) -> None:
    function = "events_keep_chain" if name == "events_keep_chain" else "events_refuse_change"
    with raw(five) as database:
        database.execute(WEAKENED[how].format(name=name, function=function))
    with pytest.raises(LedgerOutdated, match=rf"lost the guards that keep it append-only.*{name}"):
        await check(five)
    assert any(name in message for message in await whats(five))
    await asyncio.to_thread(upgrade, five)
    await check(five)
    assert await whats(five) == []


@pytest.mark.parametrize(
    "ddl",
    [
        "CREATE TRIGGER another AFTER INSERT ON grants EXECUTE FUNCTION events_refuse_change()",
        "CREATE RULE another AS ON INSERT TO events DO INSTEAD NOTHING",
        "ALTER TABLE events ENABLE ROW LEVEL SECURITY",
    ],
)
async def test_what_else_acts_on_rows_unasked_is_found(five: URL, ddl: str) -> None:
    assert await whats(five) == []
    with raw(five) as database:
        database.execute(ddl)
    (message,) = await whats(five)
    assert "is not ours" in message


# --- what the migrations make ---------------------------------------------------------------------


def test_the_migrations_make_the_tables_that_the_store_names(ledger_url: URL) -> None:
    engine = create_engine(ledger_url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_every_text_is_compared_byte_by_byte_whatever_the_database_thinks(ledger_url: URL) -> None:
    """By another collation a range over a prefix misses rows, and an upgrade spoils indexes."""
    with raw(ledger_url) as database:
        found = database.execute(
            "SELECT table_name, column_name, collation_name FROM information_schema.columns "
            "WHERE table_schema = 'public' AND data_type = 'text'"
        ).fetchall()
    assert len(found) > 40
    assert {row["collation_name"] for row in found} == {"C"}


MIGRATE = """
import sys
from ledger.store.dialect import parse_url
from migrations.upgrade import upgrade
upgrade(parse_url(sys.argv[1]))
"""


async def test_three_who_migrate_at_once_make_one_ledger(postgres: Postgres, engine: str) -> None:
    url = postgres.create()
    try:
        address = url.render_as_string(hide_password=False)
        running = [
            await asyncio.create_subprocess_exec(sys.executable, "-c", MIGRATE, address)
            for _ in range(3)
        ]
        assert [await process.wait() for process in running] == [0, 0, 0]
        await check(url)
        assert await whats(url) == []
    finally:
        postgres.drop(url)


def test_a_migration_that_fails_leaves_nothing_behind(
    postgres: Postgres, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.create()
    try:
        monkeypatch.setattr(guards, "statements", lambda _dialect: ("SELECT 1 / 0",))
        with pytest.raises(Exception, match="division by zero"):
            upgrade(url)
        with raw(url) as database:
            assert (
                database.execute("SELECT * FROM pg_tables WHERE schemaname = 'public'").fetchall()
                == []
            )
    finally:
        postgres.drop(url)


async def test_a_ledger_may_stand_in_a_schema_of_its_own(postgres: Postgres, engine: str) -> None:
    url = postgres.create()
    try:
        with raw(url) as database:
            database.execute('CREATE SCHEMA "the Ledger"')
        own = url.update_query_dict({"options": '-csearch_path="the\\ Ledger"'})
        await asyncio.to_thread(upgrade, own)
        await check(own)
        async with Ledger(own) as ledger:
            await ledger.append([Draft(event, 0) for event in EVERY_KIND[:5]], now=NOON)
        assert await whats(own) == []
        with raw(url) as database:
            (number,) = database.execute('SELECT count(*) FROM "the Ledger".events').fetchone()
            assert number == 5
            with pytest.raises(psycopg.IntegrityError, match="append-only"):
                database.execute('DELETE FROM "the Ledger".events')
    finally:
        postgres.drop(url)


def test_no_two_tests_share_what_one_of_them_left(new_ledger: NewLedger) -> None:
    for url in (new_ledger(), new_ledger()):
        with raw(url) as database:
            assert standing(database) == []
