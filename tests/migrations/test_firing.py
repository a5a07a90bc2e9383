"""What older programs wrote fires at its end under this one: every schema, either engine.

The rows that wait for their ends are made as the first program made them: its own frozen text, with
other names and ends in it.
"""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import URL

from ledger.codec import FAR, Envelope, chain_hash, instant_text, microseconds
from ledger.errors import LedgerOutdated
from ledger.events import Removed
from ledger.model import AccountId, parse_principal
from ledger.schema import REVISION
from ledger.store import Ledger
from ledger.store.dialect import parse_url, postgresql
from migrations.upgrade import config_for, upgrade
from tests.support.fake_aws.account import FakeAws
from tests.support.fake_clock import FakeClock
from tests.support.ledgers import raw
from tests.support.postgres import Postgres
from tests.support.stage import Stage
from tests.support.watched_ledger import WatchedLedger
from worker.iam.documents import minify, timed_copy

PROD, DEV = AccountId("1" * 12), AccountId("2" * 12)
ROOT = Path(__file__).parents[2]
FROZEN = sorted(Path(__file__).parent.glob("schema_*.sql"))
TEXT = '{"Statement":[{"Action":"s3:*","Effect":"Allow","Resource":"*"}],"Version":"2012-10-17"}'
OWN = "arn:aws:iam::aws:policy/ReadOnlyAccess"

FIRST = "aaaa2222bbbb3333"
"""The grant of the frozen ledgers whose rows are the pattern: `fix` for ana, made, and ended."""

CAME_UP_AT = datetime(2026, 3, 2, 17, 0, 10, tzinfo=UTC)
"""When the new program comes: the frozen history is of the hours before."""

NOT_YET = (
    *("closed_position", "closed_at", "closed_recorded_at", "closed_how", "lateness_us"),
    *("revoked_position", "revoked_at", "revoked_cause", "hold", "spent_at", "written_position"),
    *("trouble", "trouble_position", "trouble_at", "trouble_recorded_at", "trouble_code"),
    "trouble_message",
)
"""Columns that are empty in the row of a grant that stands untouched."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A grant that stands when the new program comes."""

    id: str
    user: str
    ends_at: datetime
    enforcement: str | None
    """None: granted, and not made yet."""

    @property
    def copy(self) -> Any:
        return minify(timed_copy([TEXT], ends_at=self.ends_at))


WAITING = (
    Waiting("eeee5555ffff6666", "eve", CAME_UP_AT.replace(minute=30, second=0), "aws"),
    Waiting("ffff5555aaaa6666", "fay", CAME_UP_AT.replace(hour=18, second=0), "daemon"),
    Waiting("aaaa5555bbbb6666", "gus", CAME_UP_AT.replace(hour=18, second=1), "aws"),
    Waiting("bbbb5555cccc6666", "hal", CAME_UP_AT.replace(hour=19, second=0), None),
    Waiting("cccc5555dddd6666", "ivy", CAME_UP_AT.replace(minute=0, second=9), "aws"),
)
"""The last of them ended a second before."""


def spoken(text: str, waiting: Waiting) -> str:
    """A row's text of the pattern, as it says the same of another grant."""
    said = text.replace(FIRST, waiting.id).replace("user/ana", f"user/{waiting.user}")
    said = said.replace("2026-03-02T16:00:00Z", instant_text(waiting.ends_at))
    said = said.replace("0" * 64, waiting.copy.sha256)
    if waiting.enforcement == "daemon":
        inline = (
            f'"kind":"inline","name":"iam-ledger-{waiting.id}","sha256":"{waiting.copy.sha256}"'
        )
        said = said.replace(inline, f'"kind":"attachment","name":"{OWN}","sha256":null')
        said = said.replace('"enforcement":"aws"', '"enforcement":"daemon"')
    return said


def add(database: Any, table: str, row: Mapping[str, Any]) -> None:
    columns = ", ".join(f'"{name}"' for name in row)
    marks = ", ".join("?" for _ in row)
    statement = f"INSERT INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608 - our own names
    database.execute(statement, tuple(row.values()))


def speak(database: Any, pattern: Mapping[str, Any], waiting: Waiting) -> int:
    """One event of the pattern's kind about `waiting`, behind all there is: its position."""
    newest = database.execute("SELECT * FROM events ORDER BY position DESC LIMIT 1").fetchone()
    said = Envelope(
        position=newest["position"] + 1,
        recorded_at_us=newest["recorded_at"],
        kind=pattern["kind"],
        version=1,
        team="payments",
        account=PROD,
        grant_id=waiting.id,
        turn=1,
        principal=f"user/{waiting.user}",
        policy="fix",
        payload=spoken(pattern["payload"], waiting),
        provenance=pattern["provenance"],
        dedup_key=spoken(pattern["dedup_key"], waiting),
        prev_hash=newest["hash"],
        hash="",
    )
    row = asdict(replace(said, hash=chain_hash(said)))
    add(database, "events", {"recorded_at": row.pop("recorded_at_us")} | row)
    return said.position


def sight(database: Any, waiting: Waiting) -> None:
    """That what is attached for it did not stand before, as is written before an attachment."""
    rows = json.loads((ROOT / "tests/unit/ledger/first_rows.json").read_text(encoding="utf-8"))
    (first,) = [row for row in rows if row["kind"] == "sighted"]
    pattern = {
        key: text.replace("cccccccccccccccc", FIRST)
        .replace("role/CI-deployer", "user/ana")
        .replace('"policy":"look"', '"policy":"fix"')
        for key, text in first.items()
        if isinstance(text, str)
    }
    pattern["payload"] = pattern["payload"].replace('"present":true', '"present":false')
    word = {"topic": "sighted", "account": PROD, "team": "", "name": f"user/{waiting.user} {OWN}"}
    add(database, "latest", word | {"position": speak(database, pattern, waiting)})


def let_wait(database: Any, waiting: Waiting) -> None:
    """The rows that the older program wrote about it, in its own schema."""
    row = database.execute("SELECT * FROM grants WHERE grant_id = ?", (FIRST,)).fetchone()
    patterns = {
        kind: database.execute(
            "SELECT * FROM events WHERE grant_id = ? AND kind = ?", (FIRST, kind)
        ).fetchone()
        for kind in ("granted", "applied")
    }
    recorded_at = database.execute("SELECT max(recorded_at) FROM events").fetchone()[0]
    held = dict(zip(row.keys(), row, strict=True)) | dict.fromkeys(NOT_YET)
    held |= {
        "grant_id": waiting.id,
        "principal": f"user/{waiting.user}",
        "principal_key": f"user/{waiting.user}",
        "object": spoken(row["object"], waiting),
        "made": spoken(row["made"], waiting),
        "enforcement": waiting.enforcement,
        "ends_at": microseconds(waiting.ends_at),
        "access_to": FAR if waiting.enforcement == "daemon" else microseconds(waiting.ends_at),
        "access_from": recorded_at,
        "granted_position": speak(database, patterns["granted"], waiting),
        "granted_at": recorded_at,
    }
    if waiting.enforcement == "daemon":
        sight(database, waiting)
    if waiting.enforcement is None:
        held |= {"made": '{"made":[],"pins":[]}', "policy_position": None}
        held |= dict.fromkeys(("applied_position", "applied_at", "applied_recorded_at"))
    else:
        held["applied_position"] = speak(database, patterns["applied"], waiting)
        held["applied_recorded_at"] = recorded_at
        held["written_position"] = row["written_position"] and held["applied_position"]
    add(database, "grants", held)


def on_server(url: URL, dump: Path, folder: Path) -> None:
    """The frozen ledger in PostgreSQL's tables of the same schema."""
    with ThreadPoolExecutor(1) as thread:  # alembic starts a loop
        revision = dump.stem.removeprefix("schema_")
        thread.submit(command.upgrade, config_for(url), revision).result()
    path = folder / "thawed.db"
    path.touch()
    with raw(parse_url(f"sqlite+aiosqlite:///{path}")) as thawed, raw(url) as database:
        thawed.executescript(dump.read_text(encoding="utf-8"))
        names = thawed.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")
        for (table,) in [tuple(row) for row in names]:
            if table.startswith(("alembic", "sqlite")):
                continue
            for row in thawed.execute(f"SELECT * FROM {table} ORDER BY 1"):  # noqa: S608 - likewise
                add(database, table, dict(zip(row.keys(), row, strict=True)))


@pytest.fixture(params=FROZEN, ids=lambda dump: dump.stem)
def dump(request: pytest.FixtureRequest) -> Path:
    frozen: Path = request.param
    return frozen


async def _no_clock(_connection: object) -> None:
    """The time is what the test says."""


@pytest.fixture
def older(
    engine: str,
    dump: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[URL]:
    """A ledger of an older program, in which grants wait for their ends."""
    server: Postgres | None = None
    if engine == "sqlite":
        url = parse_url(f"sqlite+aiosqlite:///{tmp_path}/older.db")
        (tmp_path / "older.db").touch()
        with raw(url) as database:
            database.executescript(dump.read_text(encoding="utf-8"))
    else:
        server = request.getfixturevalue("postgres")
        assert server is not None
        monkeypatch.setattr(postgresql, "clock_us", _no_clock)
        url = server.create()
        on_server(url, dump, tmp_path)
    with raw(url) as database:
        for waiting in WAITING:
            let_wait(database, waiting)
    yield url
    if server is not None:
        server.drop(url)


@asynccontextmanager
async def staged(url: URL) -> AsyncIterator[Stage]:
    """AWS as the older program left it."""
    clock = FakeClock(CAME_UP_AT)
    aws = FakeAws(clock)
    aws.publish("ReadOnlyAccess", TEXT)
    for account in (PROD, DEV):
        aws.open_account(account)
    prod = aws.iam(PROD)
    prod.attach(prod.add("role/CI-deployer"), OWN)
    for name in ("ana", "dan", "Cyd"):
        prod.add(f"user/{name}")
    for waiting in WAITING:
        user = prod.add(f"user/{waiting.user}")
        if waiting.enforcement == "aws":
            prod.put_inline(user, f"iam-ledger-{waiting.id}", waiting.copy.text)
        elif waiting.enforcement == "daemon":
            prod.attach(user, OWN)
    stage = Stage(url, clock, aws, WatchedLedger(url, clock.activity))
    try:
        yield stage
    finally:
        await stage.close()


@pytest.mark.every_engine
async def test_every_end_that_an_older_program_wrote_fires_and_no_sooner(older: URL) -> None:
    async with Ledger(older) as ledger:
        with pytest.raises(LedgerOutdated, match=f"needs {REVISION}: run `iam-ledger migrate`"):
            await ledger.check()
    with ThreadPoolExecutor(1) as thread:
        thread.submit(upgrade, older).result()
    async with staged(older) as stage:
        await stage.ledger.check()
        await stage.start()
        await stage.advance(seconds=5)
        for waiting in sorted(WAITING, key=lambda one: one.ends_at):
            who = parse_principal(f"user/{waiting.user}")
            if waiting.ends_at > stage.clock.now():
                await stage.advance_to(waiting.ends_at - timedelta(seconds=1))
                assert stage.inline(who, PROD) or stage.attached(who, PROD), waiting
            await stage.advance_to(max(stage.clock.now(), waiting.ends_at) + timedelta(seconds=5))
            assert not stage.inline(who, PROD), waiting
            assert not stage.attached(who, PROD), waiting
        ended = {event.grant.id for event in await stage.of(Removed) if event.cause == "expired"}
        assert {waiting.id for waiting in WAITING} <= ended
        assert stage.attached(parse_principal("role/CI-deployer"), PROD) == {OWN}, "it is permanent"
        await stage.verified()
