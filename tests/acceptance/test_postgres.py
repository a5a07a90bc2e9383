"""The whole of it on a server: each process by a role that can do its duty and no more."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from psycopg import sql
from sqlalchemy import URL

from tests.acceptance.small import DEV, PROD, files, window
from tests.support.builders import Files
from tests.support.moto_server import MotoServer
from tests.support.postgres import Postgres, cut
from tests.support.processes import Installation, until
from tests.support.watching import inline_names

ANA = "user/ana"


@dataclass(frozen=True, slots=True)
class Server:
    """A database with a role for each duty."""

    postgres: Postgres
    url: URL
    folder: Path
    aws: str

    def program(self, duty: str) -> "OnServer":
        """The command as the role of that duty runs it; `owner` is above all."""
        address = self.url if duty == "owner" else self.url.set(username=role_of(duty))
        return OnServer(self.folder, self.aws, address=address)


@dataclass(slots=True)
class OnServer(Installation):
    """The command, with a ledger on a server."""

    address: URL | None = None

    @property
    def variables(self) -> dict[str, str]:
        assert self.address is not None
        known: dict[str, str] = Installation.variables.__get__(self)
        return known | {
            "IAM_LEDGER_DATABASE_URL": self.address.render_as_string(hide_password=False)
        }


def role_of(duty: str) -> str:
    return f"acceptance_{duty}_{os.getpid()}"


DUTIES = ("ingest", "worker", "audit")


@pytest.fixture
def server(postgres: Postgres, moto_server: MotoServer, tmp_path: Path) -> Iterator[Server]:
    for account in (PROD, DEV):
        for principal in ("user/ana", "user/ben", "role/deploy"):
            moto_server.add(account, principal)
    with ExitStack() as stack:
        for duty in DUTIES:
            role = sql.Identifier(role_of(duty))
            with postgres.connected() as connection:
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
            stack.callback(drop_role, postgres, role)
        url = postgres.create()
        stack.callback(postgres.drop, url)
        found = Server(postgres, url, tmp_path, moto_server.url)
        allowed = [word for duty in DUTIES for word in ("--role", f"{role_of(duty)}={duty}")]
        found.program("owner").ok("migrate", *allowed)
        yield found


def drop_role(postgres: Postgres, role: sql.Identifier) -> None:
    with postgres.connected() as connection:
        connection.execute(sql.SQL("DROP ROLE {}").format(role))


def write(folder: Path, declared: Files) -> Path:
    for name, content in declared.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def test_a_grant_comes_and_goes_though_the_database_is_cut_off_in_between(
    server: Server, tmp_path: Path
) -> None:
    ingesting, working, auditing = (server.program(duty) for duty in DUTIES)
    declared = write(tmp_path / "declared", files(window("ana"), pipeline=False))
    with working.daemon() as worker:
        cut(server.url)
        ingesting.ok("ingest", declared)
        until(lambda: bool(inline_names(PROD, ANA)), "the grant in AWS")
        until(lambda: "confirmed" in auditing.ask("who-has-access").out, "the evidence")

        alone = working.run("worker", "--once")
        assert alone.code == 1
        assert "another worker (worker) keeps this ledger" in alone.err

        cut(server.url)
        asked = ("--reason", "left", "--by", "carol")
        ingesting.ok("revoke", "--principal", "user/ana", *asked)
        until(lambda: not inline_names(PROD, ANA), "the end of it")
        until(lambda: "confirmed" not in auditing.ask("who-has-access").out, "the evidence")
        worker.terminate()
        assert worker.wait() == 0
        assert not [line for line in worker.logs if "exception" in line]

    assert auditing.ok("verify", "-o", "json").json["ok"]
    history = auditing.ok("history", "--principal", "user/ana", "-o", "json").out
    for kind in ("granted", "applied", "revoked", "removed"):
        assert f'"{kind}"' in history
    more = write(tmp_path / "more", files(window("ana"), window("ben"), pipeline=False))
    for command in (("ingest", more), ("worker", "--once"), ("migrate", "--rebuild")):
        refused = auditing.run(*command)
        assert refused.code != 0
        assert "Traceback" not in refused.err


def test_two_share_the_accounts_and_the_one_that_lives_serves_all(
    server: Server, tmp_path: Path
) -> None:
    ingesting, auditing = server.program("ingest"), server.program("audit")
    with (
        server.program("worker").daemon("--replica", "first") as first,
        server.program("worker").daemon("--replica", "second") as second,
    ):
        declared = write(tmp_path / "declared", files(window("ana"), pipeline=False))
        ingesting.ok("ingest", declared)
        until(lambda: bool(inline_names(PROD, ANA)), "the grant in AWS")
        until(lambda: second.gauge("iam_ledger_shards") == 32, "its share")
        assert first.gauge("iam_ledger_replicas") == 2
        first.kill()
        until(lambda: second.gauge("iam_ledger_shards") == 64, "the share of who was killed")
        asked = ("--reason", "left", "--by", "carol")
        ingesting.ok("revoke", "--principal", "user/ana", *asked)
        until(lambda: not inline_names(PROD, ANA), "the end of it")
        until(lambda: "confirmed" not in auditing.ask("who-has-access").out, "the evidence")
        second.terminate()
        assert second.wait() == 0
    assert auditing.ok("verify", "-o", "json").json["ok"]
