"""A replica answers and takes nothing; where the primary moves, an open ledger follows."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from sqlalchemy import URL

from ledger.envelope import Draft
from ledger.errors import LedgerReadOnly
from ledger.events import Stuck
from ledger.store import Ledger
from ledger.store.append import read_head
from ledger.store.verify import verify
from migrations.upgrade import upgrade
from tests.support.commands import Shell
from tests.support.histories import NOON, PROD
from tests.support.postgres import NEEDED, REPLICATED, NoPostgres, Postgres, started
from tests.support.processes import until


class Pair:
    """A primary with a ledger, and a replica that follows it."""

    def __init__(self) -> None:
        with ExitStack() as stack:
            self.primary = stack.enter_context(started(REPLICATED))
            self.ledger = self.primary.create()
            upgrade(self.ledger)
            self.replica = stack.enter_context(started(REPLICATED, of=self.primary))
            self._running = stack.pop_all()

    def address(self, *servers: Postgres) -> URL:
        """Of whichever of these servers takes writes."""
        hosts = ",".join(str(server.admin.query["host"]) for server in servers)
        asked = {"host": hosts, "target_session_attrs": "read-write"}
        return self.ledger.update_query_dict(asked)

    @property
    def of_replica(self) -> URL:
        return self.replica.url(str(self.ledger.database))

    def caught_up(self) -> bool:
        where = "SELECT pg_current_wal_lsn()::text"
        with self.primary.connected() as primary, self.replica.connected() as replica:
            (lsn,) = primary.execute(where).fetchone() or ("",)
            query = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
            (there,) = replica.execute(query, (lsn,)).fetchone() or (False,)
            return bool(there)

    def fail_over(self) -> None:
        """The replica is the primary from here on, and the old one takes nothing any more."""
        until(self.caught_up, "what was acknowledged is on the replica")
        with self.primary.connected() as connection:
            connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            connection.execute("SELECT pg_reload_conf()")
        with self.replica.connected() as connection:
            connection.execute("SELECT pg_promote()")

    def stop(self) -> None:
        self._running.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    try:
        made = Pair()
    except NoPostgres:
        pytest.skip(NEEDED)
    yield made
    made.stop()


def numbered(number: int) -> Draft:
    return Draft(Stuck(PROD, "Busy", "x"), number)


async def test_a_replica_answers_and_says_where_to_write(pair: Pair) -> None:
    async with Ledger(pair.ledger) as ledger:
        await ledger.append([numbered(0)], now=NOON)
    until(pair.caught_up, "the event on the replica")
    async with Ledger(pair.of_replica) as replica:
        await replica.check()
        assert (await verify(replica)).ok
        for _ in range(2):  # also by a connection that was used before
            with pytest.raises(LedgerReadOnly, match="target_session_attrs=read-write"):
                await replica.append([numbered(1)], now=NOON)
            async with replica.reading() as connection:
                assert (await read_head(connection)).position == 1


def test_a_command_that_writes_ends_with_78_on_a_replica_and_one_that_asks_with_0(
    pair: Pair,
) -> None:
    shell = Shell(pair.of_replica)
    assert shell.run("verify").code == 0
    ran = shell.run("migrate", "--rebuild")
    assert ran.code == 78
    assert "the database only reads here" in ran.err


async def test_a_ledger_that_is_open_follows_the_primary_to_its_new_place(pair: Pair) -> None:
    async with Ledger(pair.address(pair.primary, pair.replica)) as ledger:
        assert (await ledger.append([numbered(0)], now=NOON)).positions == (1,)
        pair.fail_over()
        with pytest.raises(LedgerReadOnly):
            await ledger.append([numbered(1)], now=NOON)
        assert (await ledger.append([numbered(1)], now=NOON)).positions == (2,)
        assert (await verify(ledger)).ok
