"""A ledger of any size that never was: grants of three years, four events each, as `append` would
have written them.

Invariant: what is built verifies (a test holds it), so that what is measured on it is what a real
ledger of that size would give. It is put in by bulk, its indexes made last: `append` takes longer.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from itertools import islice
from random import Random
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import guards
from ledger.codec import GENESIS, dedup_key, encode_values, microseconds
from ledger.envelope import Draft, Provenance, Recorded
from ledger.events import (
    AccountMapped,
    Applied,
    Event,
    Granted,
    Made,
    PolicyDefined,
    Removed,
    RemovedCause,
    Revoked,
    ref,
)
from ledger.model import (
    Account,
    AccountId,
    Grant,
    GrantId,
    Policy,
    Team,
    Window,
    parse_principal,
)
from ledger.project import GrantRow, LatestKey, fold, latest_keys, row_key
from ledger.rows import columns_of
from ledger.schema import events, grants, latest
from ledger.store import Ledger
from ledger.store.dialect import insert_rows

BATCH = 10_000
COLUMNS = [column.name for column in events.columns]
BEGINNING = datetime(2023, 1, 1, tzinfo=UTC)
TEAMS = 50
TEXT = '{"Statement":[{"Action":"s3:*","Effect":"Allow","Resource":"*"}],"Version":"2012-10-17"}'
BY_WORKER = Provenance(replica="worker-1", pass_id="pass-1")  # noqa: S106 - no password
LETTERS = "abcdefghijklmnopqrstuvwxyz234567"


@dataclass(frozen=True, slots=True)
class Company:
    """Whose ledger it is."""

    events: int
    accounts: int = 5_000
    """The first of them takes a fiftieth of all grants."""
    principals: int = 20_000
    policies: int = 400
    days: int = 1_095
    permanent: float = 0.03
    """The part of the grants that has no end."""
    seed: int = 1

    @property
    def end(self) -> datetime:
        return BEGINNING + timedelta(days=self.days)

    def account(self, number: int) -> AccountId:
        return AccountId(f"{100_000_000_000 + number}")

    def principal(self, number: int) -> str:
        return f"{'role' if number % 10 == 0 else 'user'}/person-{number:05}"

    def policy(self, number: int) -> str:
        return f"policy-{number:03}"

    def team(self, number: int) -> Team:
        return Team(f"team-{number % TEAMS:02}")


def said_in(number: int) -> Provenance:
    """Where a grant's line came from, as `ingest` in a pipeline says it."""
    return Provenance(
        source=f"temporary-access/team-{number % TEAMS:02}.yaml:{number % 5_000}",
        commit=f"{number * 2654435761 % 2**64:040x}",
        author="Bob <bob@example.com>",
        merged_at=BEGINNING,
        approved_by=("carol", "dan"),
        pull_request=f"https://example.com/pull/{number % 10_000}",
    )


def history(company: Company) -> Iterator[tuple[datetime, Draft]]:
    """Every event and its instant, in order, without an end; `company.events` is what to take."""
    random = Random(company.seed)  # noqa: S311 - the same company every time
    position = 0
    for event in _catalogue(company):
        position += 1
        yield BEGINNING, Draft(event, 0)
    each = timedelta(days=company.days) / max(1, company.events // 4)
    waiting: list[tuple[datetime, int, Grant, str, int]] = []
    number, now = 0, BEGINNING
    while True:
        now = BEGINNING + each * number
        while waiting and waiting[0][0] <= now:
            at, order, grant, step, cause = heappop(waiting)
            position += 1
            event, following = _step(random, grant, step, at)
            yield at, Draft(event, cause, BY_WORKER)
            if following is not None:
                due, name = following
                heappush(waiting, (due, order, grant, name, position))
        grant = _grant(company, random, number, now.replace(microsecond=0))
        position += 1
        yield now, Draft(Granted(grant), 0, said_in(number))
        heappush(waiting, (now + timedelta(seconds=2), number, grant, "apply", position))
        number += 1


def _catalogue(company: Company) -> Iterator[Event]:
    for number in range(company.accounts):
        account = company.account(number)
        yield AccountMapped(Account(company.team(number), f"env-{number}", account, "Deployer"))
    for number in range(company.policies):
        name, team = company.policy(number), company.team(number)
        yield PolicyDefined(Policy(team, name, f"{team}-{name}", TEXT))


def _grant(company: Company, random: Random, number: int, now: datetime) -> Grant:
    account = 0 if random.random() < 0.02 else random.randrange(company.accounts)
    policy = random.randrange(company.policies)
    ends = now + timedelta(seconds=int(min(random.expovariate(1 / 86_400), 6 * 86_400)) + 3_600)
    identity = "".join(random.choices(LETTERS, k=16))
    return Grant(
        id=GrantId(identity),
        turn=1,
        team=company.team(policy),
        environment=f"env-{account}",
        account=company.account(account),
        principal=parse_principal(company.principal(random.randrange(company.principals))),
        policy=company.policy(policy),
        window=Window(now, None if random.random() < company.permanent else ends),
        object=f"iam-ledger-{identity}",
        ticket=f"OPS-{number}",
    )


def _step(
    random: Random, grant: Grant, step: str, at: datetime
) -> tuple[Event, tuple[datetime, str] | None]:
    """What happens to a grant now, and what next: applied, written again or revoked, removed."""
    what, ends = ref(grant), grant.window.ends_at
    requests = (f"request-{grant.id}",)
    later = ends or at + timedelta(days=400)
    if step in ("apply", "again"):
        made = Made("inline", grant.object or "", sha256="ab" * 32)
        applied = Applied(what, (made,), None if ends is None else "aws", (), 1, requests, at)
        if step == "again":
            return applied, (later + timedelta(seconds=1), "remove")
        following = "revoke" if ends is None or random.random() < 0.15 else "again"
        return applied, (at + (later - at) / 2, following)
    if step == "revoke":
        return Revoked(what, "removed"), (at + timedelta(seconds=2), "remove-revoked")
    cause: RemovedCause = "revoked" if step == "remove-revoked" else "expired"
    return Removed(what, cause, "answered", 1_000_000, requests, at), None


# --- putting it in ----------------------------------------------------------------------------


async def build(ledger: Ledger, company: Company) -> None:
    """Fills an empty ledger: events, and the projection as they make it."""
    async with _bare(ledger):
        await _fill(ledger, company)


@asynccontextmanager
async def _bare(ledger: Ledger) -> AsyncIterator[None]:
    """Without indexes, which are made again at the end, and SQLite's guards, which look at rows."""
    indexes = [index for table in (events, grants) for index in table.indexes]
    engine = ledger.url.get_backend_name()
    names = guards.names(engine) if engine == "sqlite" else ()
    async with ledger.writing() as connection:
        for name in names:
            await connection.execute(text(guards.removing(engine, name)))
        for index in indexes:
            await connection.run_sync(index.drop)
    yield
    async with ledger.writing() as connection:
        for index in indexes:
            await connection.run_sync(index.create)
        for name in names:
            for ddl in guards.making(engine, name):
                await connection.exec_driver_sql(ddl)
    if engine == "postgresql":  # as its autovacuum does, which servers for tests run without
        async with ledger.writing() as connection:
            await connection.execute(text("ANALYZE"))


async def _fill(ledger: Ledger, company: Company) -> None:
    drafts = islice(history(company), company.events)
    position, prev_hash = 0, GENESIS
    rows: dict[tuple[GrantId, int], GrantRow] = {}
    newest: dict[LatestKey, int] = {}
    while some := list(islice(drafts, BATCH)):
        written: list[dict[str, Any]] = []
        closed: list[dict[str, Any]] = []
        for at, draft in some:
            position += 1
            key = dedup_key(draft.event, draft.cause)
            at_us = microseconds(at)
            values = encode_values(
                draft, key, position=position, recorded_at_us=at_us, prev_hash=prev_hash
            )
            prev_hash = values[-1]
            written.append(dict(zip(COLUMNS, values, strict=True)))
            recorded = Recorded(position, at, draft.event, draft.provenance, key, prev_hash)
            newest.update(dict.fromkeys(latest_keys(draft.event), position))
            grant = row_key(draft.event)
            if grant is None:
                continue
            folded = fold(rows.get(grant), recorded)
            if folded is not None:
                rows[grant] = folded
                if folded.closed is not None:
                    closed.append(columns_of(rows.pop(grant)))
        async with ledger.writing() as connection:
            await insert_rows(connection, events, written)
            await _insert(connection, grants, closed)
    async with ledger.writing() as connection:
        await _insert(connection, grants, [columns_of(row) for row in rows.values()])
        said = [asdict(key) | {"position": at} for key, at in newest.items()]
        await _insert(connection, latest, said)


async def _insert(connection: AsyncConnection, table: Any, rows: list[dict[str, Any]]) -> None:
    if rows:
        await insert_rows(connection, table, rows)
