"""Every released schema, frozen with rows in it, comes up to this program's with all it held."""

import asyncio
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, create_engine

from ledger import guards
from ledger.schema import REVISION, metadata
from ledger.store import Ledger
from ledger.store.dialect import file_of, parse_url
from ledger.store.verify import verify
from migrations.upgrade import config_for, upgrade
from tests.support.ledgers import raw

FROZEN = sorted(Path(__file__).parent.glob("schema_*.sql"))
"""As `sqlite3`'s `.dump` wrote them when they were this program's; never edited."""


def tables_in(dump: Path) -> dict[str, list[str]]:
    """Those that it holds, but alembic's own, each with its columns."""
    text = dump.read_text(encoding="utf-8")
    made = re.findall(r"^CREATE TABLE (\w+) \(\n(.*?)^\)", text, re.MULTILINE | re.DOTALL)
    return {
        name: re.findall(r'^\t"?([a-z]\w*)', columns, re.MULTILINE)
        for name, columns in made
        if name != "alembic_version"
    }


@dataclass(frozen=True)
class Thawed:
    """A database as it was when its schema was this program's."""

    url: URL
    tables: dict[str, list[str]]
    """With the columns that they had then."""

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        with raw(self.url) as database:
            return {
                table: [
                    tuple(row)
                    for row in database.execute(
                        f"SELECT {', '.join(map(quoted, columns))} FROM {table} ORDER BY 1, 2"  # noqa: S608 - our own names
                    )
                ]
                for table, columns in self.tables.items()
            }


def quoted(name: str) -> str:
    return f'"{name}"'


def thaw(dump: Path, folder: Path) -> Thawed:
    path = folder / "ledger.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(dump.read_text(encoding="utf-8"))
    return Thawed(parse_url(f"sqlite+aiosqlite:///{path}"), tables_in(dump))


def standing(url: URL) -> dict[str, str]:
    with raw(url) as database:
        found = database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        return {row["name"]: row["sql"] for row in found}


def revision_of(url: URL) -> str:
    with raw(url) as database:
        (found,) = database.execute("SELECT version_num FROM alembic_version").fetchone()
        return str(found)


@pytest.fixture(params=FROZEN, ids=lambda dump: dump.stem)
def frozen(request: pytest.FixtureRequest, tmp_path: Path) -> Thawed:
    return thaw(request.param, tmp_path)


def test_every_schema_before_this_programs_own_is_frozen_here() -> None:
    steps = ScriptDirectory.from_config(config_for(parse_url("sqlite:///x"))).walk_revisions()
    revisions = [f"schema_{step.revision}" for step in steps]
    names = {dump.stem for dump in FROZEN}
    assert revisions[0] == f"schema_{REVISION}"
    assert set(revisions[1:]) <= names <= set(revisions)


def test_what_is_frozen_holds_rows_in_every_table(frozen: Thawed) -> None:
    assert {"events", "grants", "latest", "account_status"} <= frozen.tables.keys()
    assert all(frozen.rows().values())
    assert len(frozen.rows()["events"]) > 15


def test_an_older_ledger_comes_up_with_every_row_and_every_guard(frozen: Thawed) -> None:
    before = frozen.rows()
    upgrade(frozen.url)
    assert frozen.rows() == before
    assert guards.missing("sqlite", standing(frozen.url)) == ()
    assert revision_of(frozen.url) == REVISION


def test_the_guards_of_an_older_ledger_refuse_after_it_came_up(frozen: Thawed) -> None:
    upgrade(frozen.url)
    with raw(frozen.url) as database:
        for statement in (
            "UPDATE events SET payload = '{}' WHERE position = 1",
            "DELETE FROM events WHERE position = 1",
            "INSERT OR REPLACE INTO events SELECT * FROM events WHERE position = 1",
        ):
            with pytest.raises(sqlite3.IntegrityError, match="the ledger is"):
                database.execute(statement)


def test_an_older_ledger_verifies_after_it_came_up(frozen: Thawed) -> None:
    upgrade(frozen.url)

    async def look() -> None:
        async with Ledger(frozen.url) as ledger:
            await ledger.check()
            found = await verify(ledger)
        assert found.ok, found.problems

    asyncio.run(look())


def test_coming_up_twice_changes_nothing(frozen: Thawed) -> None:
    upgrade(frozen.url)
    path = file_of(frozen.url)
    assert path is not None
    before = path.read_bytes()
    upgrade(frozen.url)
    assert path.read_bytes() == before


def test_the_migrations_make_the_tables_that_the_store_names(tmp_path: Path) -> None:
    url = parse_url(f"sqlite+aiosqlite:///{tmp_path}/new.db")
    upgrade(url)
    engine = create_engine(url.set(drivername="sqlite"))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_the_first_schema_cannot_be_taken_back(tmp_path: Path) -> None:
    url = parse_url(f"sqlite+aiosqlite:///{tmp_path}/new.db")
    upgrade(url)
    with pytest.raises(RuntimeError, match="cannot be taken back"):
        command.downgrade(config_for(url), "base")
    assert revision_of(url) == REVISION
