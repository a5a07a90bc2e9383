"""The migrations make what the tables say, all or nothing, and may be run at any time."""

import asyncio
import io
import re
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.schema import CreateIndex, CreateTable

from ledger import guards
from ledger.envelope import Draft
from ledger.errors import LedgerMissing, LedgerUnavailable
from ledger.schema import metadata
from ledger.store import Ledger
from ledger.store.dialect import parse_url, triggers
from ledger.store.verify import verify
from migrations.upgrade import config_for, upgrade
from tests.support.every_kind import EVERY_KIND
from tests.support.histories import NOON
from tests.support.ledgers import make_ledger, raw


def shape(path: Path) -> dict[str, str]:
    """Name -> DDL of everything in a database but alembic's own, white space evened out."""
    with closing(sqlite3.connect(path)) as database:
        found = database.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
        return {
            name: " ".join(sql.split()) for name, sql in found if not name.startswith("alembic")
        }


@pytest.fixture
def migrated(tmp_path: Path) -> Path:
    path = tmp_path / "migrated.db"
    upgrade(parse_url(f"sqlite:///{path}"))
    return path


@pytest.fixture
def connection(migrated: Path) -> Iterator[Connection]:
    engine = create_engine(f"sqlite:///{migrated}")
    with engine.connect() as opened:
        yield opened
    engine.dispose()


def test_every_table_and_index_is_word_for_word_what_the_tables_say(
    migrated: Path, tmp_path: Path
) -> None:
    """Partial indexes too, which alembic does not compare."""
    path = tmp_path / "created.db"
    engine = create_engine(f"sqlite:///{path}")
    metadata.create_all(engine)
    engine.dispose()
    made = {name: sql for name, sql in shape(migrated).items() if name not in guards.SQLITE}
    assert made == shape(path)
    assert "WHERE closed_position IS NULL" in made["ix_grants_open"]


def test_the_migrations_put_every_guard_in_place(connection: Connection) -> None:
    assert guards.missing("sqlite", triggers(connection)) == ()
    assert set(triggers(connection)) == set(guards.SQLITE)


def test_the_migrations_are_the_same_for_postgresql(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the guards, which come with PostgreSQL itself."""
    monkeypatch.setattr(guards, "statements", lambda _dialect: ())
    text = io.StringIO()
    context = MigrationContext.configure(
        dialect_name="postgresql", opts={"as_sql": True, "output_buffer": text}
    )
    script = ScriptDirectory.from_config(config_for(parse_url("sqlite:///any.db")))
    with Operations.context(context):
        for step in reversed(list(script.walk_revisions())):
            step.module.upgrade()
    made: set[str] = set()
    for statement in (" ".join(part.split()) for part in text.getvalue().split(";")):
        made = carried_out(statement, made)
    made.discard("")
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's own
    wanted = [CreateTable(table).compile(dialect=dialect) for table in metadata.tables.values()]
    wanted += [
        CreateIndex(index).compile(dialect=dialect)
        for table in metadata.tables.values()
        for index in table.indexes
    ]
    assert made == {" ".join(str(ddl).split()) for ddl in wanted}


def carried_out(statement: str, made: set[str]) -> set[str]:
    """What stands after `statement`, as the statements that would make it at once."""
    if statement.startswith("DROP INDEX "):
        gone = statement.removeprefix("DROP INDEX ")
        return {said for said in made if not said.startswith(f"CREATE INDEX {gone} ON ")}
    added = re.fullmatch(r"ALTER TABLE (\w+) ADD COLUMN (.*)", statement)
    if added is None:
        return made | {statement}
    (table,) = (said for said in made if said.startswith(f"CREATE TABLE {added[1]} ("))
    wider = table.replace(", CONSTRAINT", f", {added[2]}, CONSTRAINT", 1)
    return made - {table} | {wider}


async def fill(folder: Path) -> None:
    async with Ledger(parse_url(f"sqlite:///{folder / 'ledger.db'}")) as ledger:
        await ledger.append([Draft(event, 0) for event in EVERY_KIND[:7]], now=NOON)


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        return list(database.iterdump())


async def audited(folder: Path) -> bool:
    async with Ledger(parse_url(f"sqlite:///{folder / 'ledger.db'}")) as ledger:
        await ledger.check()
        return (await verify(ledger)).ok


@pytest.mark.parametrize("name", sorted(guards.SQLITE))
@pytest.mark.parametrize("weakened", [False, True], ids=["dropped", "weakened"])
def test_migrating_puts_back_a_guard_that_somebody_took_away(
    tmp_path: Path, name: str, weakened: bool
) -> None:
    url = make_ledger(tmp_path)
    asyncio.run(fill(tmp_path))
    with raw(url) as database:
        database.execute(f"DROP TRIGGER {name}")
        if weakened:
            database.execute(
                f"CREATE TRIGGER {name} BEFORE DELETE ON events WHEN 0 BEGIN SELECT 1; END"
            )
    upgrade(url)
    with raw(url) as database:
        assert database.execute("SELECT count(*) FROM events").fetchone()[0] == 7
    assert asyncio.run(audited(tmp_path))


MIGRATE = """
import sys
from ledger.store.dialect import parse_url
from migrations.upgrade import upgrade
upgrade(parse_url(sys.argv[1]))
"""


async def test_two_who_migrate_at_once_make_one_ledger(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'ledger.db'}"
    running = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", MIGRATE, address)
        for _ in range(3)
    ]
    assert [await process.wait() for process in running] == [0, 0, 0]
    assert await audited(tmp_path)


def test_a_migration_is_one_transaction_that_holds_the_lock_from_its_beginning(
    tmp_path: Path,
) -> None:
    """Two who both read the old schema first, and then write, could not both go on."""
    said: list[str] = []

    def note(*execution: object) -> None:
        said.append(str(execution[2]).split("\n")[0])

    event.listen(Engine, "before_cursor_execute", note)
    try:
        upgrade(parse_url(f"sqlite:///{tmp_path / 'ledger.db'}"))
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert [line for line in said if line.startswith(("BEGIN", "COMMIT"))] == ["BEGIN IMMEDIATE"]
    assert said.index("BEGIN IMMEDIATE") == 0


def test_a_migration_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "half.db"
    monkeypatch.setattr(guards, "statements", lambda _dialect: ("CREATE TRIGGER nonsense",))
    with pytest.raises(OperationalError, match="incomplete input"):
        upgrade(parse_url(f"sqlite:///{path}"))
    assert dump(path) == ["BEGIN TRANSACTION;", "COMMIT;"]
    monkeypatch.undo()
    upgrade(parse_url(f"sqlite:///{path}"))
    assert "events" in shape(path)


def test_what_is_no_database_is_not_migrated(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to be one. " * 100)
    before = path.read_bytes()
    with pytest.raises(LedgerMissing, match="no SQLite database; nothing was changed"):
        upgrade(parse_url(f"sqlite:///{path}"))
    assert path.read_bytes() == before


def test_a_ledger_cannot_be_made_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable, match="unable to open"):
        upgrade(parse_url(f"sqlite:///{tmp_path}/none/ledger.db"))
