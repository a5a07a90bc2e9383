"""What the page on PostgreSQL says to type is typed here, and its tables are what the code says."""

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from psycopg import Error, sql
from sqlalchemy import URL

from cli.environment import DATABASE, DATABASE_PASSWORD
from cli.exits import exit_of
from ledger import errors
from ledger.store import leases
from ledger.store.dialect import listening, parse_url, postgresql
from ledger.store.dialect.roles import DUTIES
from tests.docs.pages import page
from tests.support.commands import Shell
from tests.support.ledgers import raw
from tests.support.postgres import Postgres
from worker.leases import BEAT

PAGE = page("docs/postgresql.md")
NAMES = ("ledger_owner", "ledger_ingest", "ledger_worker", "ledger_auditor")


def block(language: str) -> str:
    (found,) = [block.text for block in PAGE.blocks if block.language == language]
    return found


def own(text: str) -> str:
    """The page's text with names that no other run uses."""
    for name in NAMES:
        text = text.replace(name, f"{name}_{os.getpid()}")
    return text


@dataclass(frozen=True, slots=True)
class SetUp:
    """A server where somebody has followed the page."""

    url: URL
    said: str

    def of(self, role: str) -> URL:
        return self.url.set(username=own(role))


@pytest.fixture
def followed(postgres: Postgres) -> Iterator[SetUp]:
    database = f"page_{os.getpid()}"
    url = postgres.url(database)
    statements = own(block("sql")).replace("DATABASE ledger", f"DATABASE {database}")
    line = own(block("sh").replace("\\\n", " "))
    program, *words = shlex.split(line)
    assert program == "iam-ledger"
    address = words[words.index("--database") + 1]
    words[words.index("--database") + 1] = str(
        parse_url(address).set(host=None, database=database, query=url.query)
    )
    try:
        with postgres.connected() as connection:
            for statement in statements.split(";")[:-1]:
                connection.execute(statement.encode())
        ran = Shell().run(*words)
        assert (ran.code, ran.err) == (0, "")
        yield SetUp(url, ran.out)
    finally:
        postgres.drop(url)
        with postgres.connected() as connection:
            for name in NAMES:
                drop = sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(own(name)))
                connection.execute(drop)


def test_whoever_follows_the_page_has_a_ledger_whose_roles_can_do_their_duty_only(
    followed: SetUp,
) -> None:
    for role, duty in zip(NAMES[1:], DUTIES, strict=True):
        assert f"{own(role)}: may do what {duty} needs" in followed.said
        assert Shell(followed.of(role)).run("verify").code == 0
        with raw(followed.of(role)) as database:
            for statement in ("DELETE FROM events", "DROP TABLE events", "TRUNCATE events"):
                with pytest.raises(Error, match=r"permission denied|must be owner"):
                    database.execute(statement)
    with raw(followed.of("ledger_owner")) as database:
        with pytest.raises(Error, match="append-only"):
            database.execute("TRUNCATE events")
        database.execute("DROP TABLE events")


def test_the_address_on_the_page_is_understood_with_all_that_it_says() -> None:
    address = "".join(line.strip() for line in block("text").splitlines())
    told = postgresql.parameters(parse_url(address))
    assert told["host"] == "db-1.example.com,db-2.example.com"
    assert (told["user"], told["dbname"]) == ("ledger_worker", "ledger")
    assert told["sslmode"] == "verify-full"
    assert told["sslrootcert"].endswith(".pem")
    assert told["target_session_attrs"] == "read-write"


def test_the_variables_and_numbers_on_the_page_are_the_programs_own() -> None:
    for setting in (DATABASE, DATABASE_PASSWORD):
        assert setting.filed
        assert f"| `{setting.variable}` | `{setting.variable}_FILE` |" in PAGE.text
    assert f"after {postgresql.FROZEN_WRITER_MAX_S // 60} minutes" in PAGE.text
    assert f"one of {leases.SHARDS} shards" in PAGE.text
    assert f"says every {BEAT.total_seconds():.0f} s that it lives" in PAGE.text
    followed = (leases.LEASE + BEAT).total_seconds()
    assert f"killed is followed within {followed:.0f} s" in PAGE.text
    assert f"every {listening.LOOK_EVERY_S:.0f} s" in PAGE.text
    assert f"{postgresql.OLDEST} to " in PAGE.text
    assert f"`{listening.CHANNEL}`" in PAGE.text


def test_the_table_of_what_goes_wrong_names_the_classes_with_their_exit_codes() -> None:
    rows = re.findall(r"^\|[^|]+\| `(\w+)` \| (\d+) \|", PAGE.text, re.MULTILINE)
    assert len(rows) == 7
    for name, code in rows:
        assert exit_of(getattr(errors, name)("x")) == int(code), name


def test_every_duty_stands_in_the_table_of_duties() -> None:
    for duty in DUTIES:
        assert re.search(rf"^\| `{duty}` \| ", PAGE.text, re.MULTILINE)
