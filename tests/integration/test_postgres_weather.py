"""What a server, its administrator and its network do to a ledger, each told by what to do."""

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from psycopg import sql
from sqlalchemy import URL

from cli.environment import Environment
from cli.session import Session
from cli.terminal import Terminal
from ledger.codec import instant_of
from ledger.envelope import Draft
from ledger.errors import (
    LedgerError,
    LedgerMissing,
    LedgerOutdated,
    LedgerReadOnly,
    LedgerRefused,
    LedgerUnavailable,
)
from ledger.events import Stuck
from ledger.model import AccountId
from ledger.schema import events, metadata
from ledger.store import Ledger, dialect
from ledger.store.append import append, read_head
from ledger.store.dialect import postgresql
from ledger.store.dialect.roles import DUTIES, MAY, Duty, allow
from ledger.store.leases import SHARDS, Replica, beat, read_replicas
from ledger.store.verify import rebuild, verify
from migrations.upgrade import upgrade
from tests.support.commands import Shell, StillClock
from tests.support.histories import NOON, PROD
from tests.support.ledgers import another_writer, raw
from tests.support.postgres import Postgres, cut

pytestmark = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)


RIGHT = "right"


def numbered(number: int) -> Draft:
    return Draft(Stuck(PROD, "Busy", "x"), number)


async def check(url: URL) -> None:
    async with Ledger(url) as ledger:
        await ledger.check()


async def write(url: URL, number: int = 0) -> None:
    async with Ledger(url) as ledger:
        await ledger.append([numbered(number)], now=NOON)


def text_of(url: URL) -> str:
    return url.render_as_string(hide_password=False)


# --- roles ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Roles:
    """Makes roles that are asked for their password, and are gone after the test."""

    server: Postgres
    made: list[str]

    def make(self, name: str) -> str:
        role = f"{name}_{os.getpid()}"
        with self.server.connected() as connection:
            connection.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                    sql.Identifier(role), sql.Literal(RIGHT)
                )
            )
            connection.execute(sql.SQL("GRANT with_password TO {}").format(sql.Identifier(role)))
        self.made.append(role)
        return role

    def renew(self, role: str, password: str) -> None:
        with self.server.connected() as connection:
            connection.execute(
                sql.SQL("ALTER ROLE {} PASSWORD {}").format(
                    sql.Identifier(role), sql.Literal(password)
                )
            )


@pytest.fixture
def roles(postgres: Postgres, ledger_url: URL) -> Iterator[Roles]:
    with postgres.connected() as connection:
        if not connection.execute(
            "SELECT 1 FROM pg_roles WHERE rolname = 'with_password'"
        ).fetchone():
            connection.execute("CREATE ROLE with_password")
    found = Roles(postgres, [])
    yield found
    assert ledger_url.database is not None
    with postgres.connected(ledger_url.database) as connection:
        for role in found.made:
            connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(role)))
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


async def allowed(url: URL, roles: Roles, duty: Duty) -> URL:
    """The ledger as a role sees it that has this duty."""
    role = roles.make(duty)
    async with Ledger(url) as ledger, ledger.writing() as connection:
        await allow(connection, role, duty)
    return url.set(username=role, password=RIGHT)


@pytest.mark.parametrize("duty", DUTIES)
async def test_each_role_can_do_its_duty_and_change_no_history(
    ledger_url: URL, roles: Roles, duty: Duty
) -> None:
    await write(ledger_url)
    own = await allowed(ledger_url, roles, duty)
    async with Ledger(own) as ledger:
        await ledger.check()
        assert (await verify(ledger)).ok
        if duty == "audit":
            with pytest.raises(LedgerRefused, match=r"permission denied.*migrate --role"):
                await ledger.append([numbered(1)], now=NOON)
        else:
            assert (await ledger.append([numbered(1)], now=NOON)).positions == (2,)
        with pytest.raises(LedgerRefused, match="permission denied"):
            await rebuild(ledger)
    with raw(own) as database:
        for statement in (
            "UPDATE events SET payload = '{}'",
            "DELETE FROM events",
            "TRUNCATE events",
            "ALTER TABLE events DISABLE TRIGGER ALL",
            "DROP TABLE events",
            "DROP TRIGGER events_keep_chain ON events",
            "CREATE OR REPLACE FUNCTION events_keep_chain() RETURNS trigger LANGUAGE plpgsql "
            "AS 'BEGIN RETURN NULL; END'",
            "SET session_replication_role = replica",
            "UPDATE checkpoints SET note = ''",
            "UPDATE alembic_version SET version_num = 'x'",
        ):
            with pytest.raises(Exception, match=r"permission denied|must be owner"):
                database.execute(statement)


@pytest.mark.parametrize("duty", DUTIES)
def test_every_table_is_named_in_every_duty(duty: Duty, engine: str) -> None:
    """A new table that nobody may read stops those who must, in production only."""
    assert MAY[duty].keys() == {*metadata.tables, "alembic_version"}


async def test_a_duty_that_changes_takes_back_what_the_old_one_gave(
    ledger_url: URL, roles: Roles
) -> None:
    own = await allowed(ledger_url, roles, "worker")
    await write(own)
    assert own.username is not None
    async with Ledger(ledger_url) as ledger, ledger.writing() as connection:
        await allow(connection, own.username, "audit")
    with pytest.raises(LedgerRefused):
        await write(own, 1)


async def test_whoever_stands_above_the_ledger_is_given_no_duty(
    ledger_url: URL, postgres: Postgres
) -> None:
    async with Ledger(ledger_url) as ledger:
        for role, why in ((postgres.admin.username, "is a superuser"), ("nobody_yet", "no role")):
            with pytest.raises(LedgerRefused, match=why):
                async with ledger.writing() as connection:
                    await allow(connection, str(role), "ingest")


def test_the_command_makes_the_ledger_and_gives_roles_their_duties(
    postgres: Postgres, roles: Roles
) -> None:
    role, url = roles.make('of "ci" 100%'), postgres.create()
    try:
        shell = Shell(variables={"IAM_LEDGER_DATABASE_URL": text_of(url)})
        ran = shell.run("migrate", "--role", f"{role}=ingest")
        assert (ran.code, ran.err) == (0, "")
        assert f"{role}: may do what ingest needs, and no more" in ran.out
        assert shell.run("migrate", "--role", f"{role}=owner").code == 64
        own = url.set(username=role, password=RIGHT)
        asyncio.run(write(own))
    finally:
        postgres.drop(url)


def test_a_server_is_never_migrated_unasked(
    postgres: Postgres, tmp_path: Path, engine: str
) -> None:
    url = postgres.create()
    try:
        shell = Shell(variables={"IAM_LEDGER_DATABASE_URL": text_of(url)})
        (tmp_path / "aws-accounts").mkdir()
        for command in (("ingest", str(tmp_path)), ("status",), ("worker", "--once")):
            ran = shell.run(*command)
            assert ran.code == 78, ran
            assert "`iam-ledger migrate`" in ran.err or "holds no ledger" in ran.err
        with raw(url) as database:
            assert not database.execute(
                "SELECT 1 FROM pg_tables WHERE tablename = 'events'"
            ).fetchall()
    finally:
        postgres.drop(url)


# --- what went wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"host": "/nowhere"}, LedgerUnavailable, "cannot be reached.*No such file"),
        ({"host": "127.0.0.1", "port": "1"}, LedgerUnavailable, "cannot be reached.*refused"),
        ({"host": "name.invalid"}, LedgerUnavailable, "cannot be reached"),
        ({"user": "nobody_here"}, LedgerRefused, "does not exist; check the user and the password"),
        ({"dbname": "no_ledger_here"}, LedgerRefused, "does not exist; create it"),
    ],
    ids=str,
)
async def test_whoever_cannot_get_in_is_told_why_and_what_to_do(
    ledger_url: URL, change: dict[str, str], kind: type[LedgerError], message: str
) -> None:
    with pytest.raises(LedgerUnavailable, match=message) as caught:
        await check(ledger_url.update_query_dict(change))
    assert type(caught.value) is kind


async def test_a_wrong_password_is_refused_and_never_shown(ledger_url: URL, roles: Roles) -> None:
    own = ledger_url.set(username=roles.make("wrong"), password="sesame")
    with pytest.raises(
        LedgerRefused, match=r"password authentication failed.*check the user"
    ) as told:
        await check(own)
    assert "sesame" not in str(told.value)


async def test_a_password_that_is_renewed_is_read_again_for_the_next_connection(
    ledger_url: URL, roles: Roles, tmp_path: Path
) -> None:
    """Weather while the file is old, and over as soon as it is new; the process never restarts."""
    own = await allowed(ledger_url, roles, "worker")
    assert own.username is not None
    where, secret = tmp_path / "url", tmp_path / "password"
    where.write_text(text_of(own.set(password=None)) + "\n")
    secret.write_text(RIGHT)
    files = {
        "IAM_LEDGER_DATABASE_URL_FILE": str(where),
        "IAM_LEDGER_DATABASE_PASSWORD_FILE": str(secret),
    }
    environment = Environment(files)
    session = Session(environment, Terminal.of_process(environment), StillClock())
    async with session.ledger() as ledger:
        await ledger.append([numbered(0)], now=NOON)
        roles.renew(own.username, "newer")
        cut(ledger_url, own.username)
        with pytest.raises(LedgerUnavailable):
            await ledger.append([numbered(1)], now=NOON)
        with pytest.raises(LedgerRefused, match="password authentication failed"):
            await ledger.append([numbered(1)], now=NOON)
        secret.unlink()
        with pytest.raises(LedgerUnavailable, match=r"cannot be read: .*PASSWORD_FILE names"):
            await ledger.append([numbered(1)], now=NOON)
        secret.write_text("newer\n")
        assert (await ledger.append([numbered(1)], now=NOON)).positions == (2,)


async def test_a_server_that_restarts_is_weather_once_and_nothing_is_lost(
    ledger_url: URL,
) -> None:
    async with Ledger(ledger_url) as ledger:
        await asyncio.gather(*(ledger.append([numbered(n)], now=NOON) for n in range(4)))
        cut(ledger_url)
        with pytest.raises(LedgerUnavailable, match=r"terminating connection|closed|went away"):
            await ledger.append([numbered(4)], now=NOON)
        assert (await ledger.append([numbered(4)], now=NOON)).positions == (5,)
        assert (await verify(ledger)).ok


async def test_a_connection_cut_within_a_transaction_leaves_nothing_and_is_weather(
    ledger_url: URL,
) -> None:
    many = [Draft(Stuck(AccountId(f"{n:012}"), "Busy", "x"), 0) for n in range(200)]

    async def by_statements(ledger: Ledger) -> None:
        async with ledger.writing() as connection:
            await append(connection, many, now=NOON)
            cut(ledger_url)
            await append(connection, [numbered(1)], now=NOON)

    async def by_copy(ledger: Ledger) -> None:
        async with ledger.writing() as connection:
            await read_head(connection)
            cut(ledger_url)
            await dialect.insert_rows(connection, events, [{"position": 1}] * 100)

    async with Ledger(ledger_url) as ledger:
        for appending in (by_statements, by_copy):
            with pytest.raises(LedgerUnavailable):
                await appending(ledger)
        async with ledger.reading() as connection:
            assert (await read_head(connection)).position == 0


async def test_a_server_that_only_reads_answers_and_says_where_to_write(
    ledger_url: URL, postgres: Postgres
) -> None:
    """A replica refuses with the same code; new connections find one that was promoted."""
    database = sql.Identifier(str(ledger_url.database))
    await write(ledger_url)
    set_to = sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = {}")
    with postgres.connected() as connection:
        connection.execute(set_to.format(database, sql.SQL("on")))
    async with Ledger(ledger_url) as ledger:
        await ledger.check()
        with pytest.raises(LedgerReadOnly, match=r"replica.*target_session_attrs=read-write"):
            await ledger.append([numbered(1)], now=NOON)
        with postgres.connected() as connection:
            connection.execute(set_to.format(database, sql.SQL("off")))
        assert (await ledger.append([numbered(1)], now=NOON)).positions == (2,)
    with postgres.connected() as connection:
        reset = sql.SQL("ALTER DATABASE {} RESET default_transaction_read_only")
        connection.execute(reset.format(database))


async def test_another_schema_and_no_schema_are_refused_by_name(
    ledger_url: URL, postgres: Postgres
) -> None:
    with raw(ledger_url) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(LedgerOutdated, match="has schema 9999, this program needs"):
        await check(ledger_url)
    empty = postgres.create()
    try:
        with pytest.raises(LedgerMissing, match=r"holds no ledger.*`iam-ledger migrate`"):
            await check(empty)
    finally:
        postgres.drop(empty)


async def test_an_older_server_is_refused(ledger_url: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql, "OLDEST", 99)
    with pytest.raises(LedgerOutdated, match="a ledger needs 99 or newer"):
        await check(ledger_url)


def test_a_database_that_cannot_hold_every_name_is_refused(postgres: Postgres, engine: str) -> None:
    url = postgres.url(f"latin_{os.getpid()}")
    how = "CREATE DATABASE {} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'"
    with postgres.connected() as connection:
        connection.execute(sql.SQL(how).format(sql.Identifier(str(url.database))))
    try:
        with pytest.raises(LedgerMissing, match="encoding is LATIN1; a ledger needs one made with"):
            upgrade(url)
    finally:
        postgres.drop(url)


async def test_a_writer_that_does_not_finish_is_weather_and_blocks_no_reader(
    ledger_url: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialect, "BUSY_TIMEOUT_S", 0.05)
    async with Ledger(ledger_url) as ledger:
        with another_writer(ledger_url):
            with pytest.raises(LedgerUnavailable, match="lock timeout"):
                await ledger.append([numbered(0)], now=NOON)
            async with ledger.reading() as connection:
                assert (await read_head(connection)).position == 0
        assert (await ledger.append([numbered(0)], now=NOON)).positions == (1,)


async def test_a_worker_that_freezes_while_it_speaks_silences_nobody_for_long(
    ledger_url: URL,
) -> None:
    """It would keep all others from following it."""
    one, two = (Replica(f"{name} 1", name) for name in ("one", "two"))
    async with Ledger(ledger_url) as frozen, Ledger(ledger_url) as other:

        async def freezes() -> None:
            async with frozen.leasing() as connection:
                async with other.leasing() as theirs:  # waits until the server steps in
                    await beat(theirs, two, now=NOON)
                await beat(connection, one, now=NOON)

        with pytest.raises(LedgerUnavailable, match=r"idle-in-transaction|closed|went away"):
            await freezes()
        async with other.reading() as connection:
            (living,) = await read_replicas(connection, now=NOON)
    assert (living.name, living.shards) == ("two", SHARDS)


async def test_a_writer_that_is_frozen_loses_the_lock(
    ledger_url: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "FROZEN_WRITER_MAX_S", 1)
    async with Ledger(ledger_url) as frozen:
        monkeypatch.undo()
        async with Ledger(ledger_url) as other:

            async def freeze() -> None:
                async with frozen.writing() as connection:
                    await other.append([numbered(0)], now=NOON)  # waits until the server steps in
                    await append(connection, [numbered(1)], now=NOON)

            with pytest.raises(LedgerUnavailable, match=r"idle-in-transaction|closed|went away"):
                await freeze()
            async with other.reading() as connection:
                assert (await read_head(connection)).position == 1


# --- the server's clock ---------------------------------------------------------------------------


async def test_what_is_recorded_is_recorded_by_the_servers_clock(
    ledger_url: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    before = datetime.now(UTC) - timedelta(minutes=1)
    async with Ledger(ledger_url) as ledger:
        for now in (NOON, NOON - timedelta(days=900), datetime.now(UTC) + timedelta(days=900)):
            done = await ledger.append([numbered(now.day + now.year)], now=now)
            assert before < done.recorded[0].recorded_at < before + timedelta(minutes=10)
        with raw(ledger_url) as database:
            times = [row[0] for row in database.execute("SELECT recorded_at FROM events")]
    assert times == sorted(times)
    assert instant_of(times[0]) > before
