"""A whole story on one stage: a ledger on disk, AWS, one clock, and worker processes that may die.

Tests read a story (ingest, let time go by, look) and assert the world: who had access when.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import URL, select

from ledger import operators
from ledger.codec import kind_of
from ledger.envelope import Recorded
from ledger.events import Event
from ledger.ingest import IngestRequest, Report, ingest
from ledger.model import AccountId, Principal, parse_principal
from ledger.project import GrantRow
from ledger.schema import events
from ledger.store.reads import all_grants, read_events, read_grants
from ledger.store.verify import verify
from ledger.store.views import accounts_to_keep
from tests.support import builders
from tests.support.builders import NOW, WORD, Files
from tests.support.fake_aws.account import FakeAws, FakeGate
from tests.support.fake_aws.faults import Crash, Life
from tests.support.fake_clock import FakeClock
from tests.support.ledgers import make_ledger
from tests.support.watched_ledger import WatchedLedger
from worker.account import AccountLimits
from worker.keeper import Keeper, Shared
from worker.ledger_door import LedgerDoor
from worker.metrics import Metrics
from worker.own_writes import SettledGate
from worker.pace import PacedGate
from worker.settings import WorkerSettings
from worker.sources import Sources

PROD = AccountId(builders.PROD)
DEV = AccountId(builders.DEV)
ROLE = "AWSSelfServeDeployer"
ANA = parse_principal("user/ana")
CI = parse_principal("role/ci")
DEVS = parse_principal("group/devs")

CALLS_MAX = 1_000
"""Wakes that a stopping worker may need at most."""

E = TypeVar("E")


@dataclass(slots=True)
class Process:
    """One worker process: a keeper an account, its own way into the ledger and into AWS."""

    stage: "Stage"
    life: Life
    ledger: WatchedLedger
    door: LedgerDoor
    gate: FakeGate
    shared: Shared
    keepers: dict[AccountId, Keeper] = field(default_factory=dict)
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    async def find_keepers(self) -> list[Keeper]:
        """Makes a keeper for every account that the ledger wants kept; gives back the new ones."""
        wanted = await self.door.accounts()
        new = [Keeper(account, self.shared) for account in wanted if account not in self.keepers]
        self.keepers |= {keeper.account: keeper for keeper in new}
        return new

    def nudge(self) -> None:
        for keeper in self.keepers.values():
            keeper.nudge()

    async def run(self) -> None:
        """Starts the keepers that do not run yet."""
        for keeper in await self.find_keepers():
            self.tasks.append(asyncio.ensure_future(keeper.run()))

    async def once(self) -> bool:
        """`worker --once`: whether every account got all of it done."""
        await self.find_keepers()
        return all([await keeper.run_once() for keeper in self.keepers.values()])

    @property
    def dead(self) -> bool:
        return self.life.over

    def check(self) -> None:
        """Raises what a keeper died of, unless the test killed the process."""
        for task in self.tasks:
            if task.done() and not task.cancelled() and (error := task.exception()):
                if isinstance(error, Crash) and self.dead:
                    continue
                raise error

    async def stop(self) -> None:
        """An orderly end, which lets the calls under way end; of a dead process, its burial."""
        self.shared.stop.set()
        await self.stage.clock.settle()
        for _ in range(CALLS_MAX):
            wake = self.stage.clock.next_wake
            if self.dead or wake is None or all(task.done() for task in self.tasks):
                break
            await self.stage.clock.advance_to(wake)
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.door.close()
        await self.ledger.__aexit__()
        self.check()
        self.stage.processes.remove(self)
        self.stage.deaths += self.dead


@dataclass(slots=True)
class Stage:
    """Everything a story needs."""

    url: URL
    clock: FakeClock
    aws: FakeAws
    ledger: WatchedLedger
    """The pipeline's and the auditor's way in; it never dies."""
    processes: list[Process] = field(default_factory=list)
    deaths: int = 0
    """Processes that were buried."""

    @classmethod
    def empty(cls, folder: Path, name: str = "ledger.db", *, start: datetime = NOW) -> "Stage":
        clock = FakeClock(start)
        aws = FakeAws(clock)
        url = make_ledger(folder, name)
        for account in (PROD, DEV):
            aws.open_account(account, role=ROLE)
        return cls(url, clock, aws, WatchedLedger(url, clock.activity))

    # --- what people do --------------------------------------------------------------------------

    async def ingest(self, files: Files, **options: Any) -> Report:
        """Ingests the directory now, and nudges whoever works, as the feed would."""
        asked = IngestRequest(files=files, now=self.clock.now(), consent=1_000_000)
        report = await ingest(self.ledger, replace(asked, **options))
        assert not report.errors, "\n".join(str(problem) for problem in report.errors)
        await self._nudge()
        return report

    async def revoke(self, *grants: str, principal: Principal | None = None) -> None:
        await operators.revoke(
            self.ledger, grants=grants, principal=principal, word=WORD, now=self.clock.now()
        )
        await self._nudge()

    async def _nudge(self) -> None:
        for process in self.processes:
            if not process.dead:
                await process.run()
                process.nudge()

    def process(self, **settings: Any) -> Process:
        """A new process, with nothing started in it. Resyncs are for stories that ask for them."""
        life = Life()
        ledger = WatchedLedger(self.url, self.clock.activity, life)
        door, gate = LedgerDoor(ledger), FakeGate(self.aws, life)
        shared = Shared(
            ledger=door,
            gate=SettledGate(PacedGate(gate, self.clock, lambda: 0.5), self.clock.now),
            clock=self.clock,
            metrics=Metrics(),
            settings=WorkerSettings(**{"resync_every": timedelta(days=7)} | settings),
            sources=Sources(door.keep_source),
            stop=asyncio.Event(),
            observing=asyncio.Semaphore(32),
            random=lambda: 0.5,
        )
        process = Process(self, life, ledger, door, gate, shared)
        self.processes.append(process)
        return process

    async def start(self, **settings: Any) -> Process:
        """A worker that runs, and has done by now what there was to do."""
        process = self.process(**settings)
        await process.run()
        await self.settle()
        return process

    def without_slots(self, account: AccountId = PROD) -> None:
        """From now on nothing more may be attached to a user."""
        self.aws.iam(account).quotas = AccountLimits(attached={ANA.kind: 0})

    # --- time ------------------------------------------------------------------------------------

    async def settle(self) -> None:
        """Lets a second go by: time enough for some calls."""
        await self.advance(seconds=1)

    async def advance(self, **how_long: float) -> None:
        await self.advance_to(self.clock.now() + timedelta(**how_long))

    async def advance_to(self, instant: datetime) -> None:
        await self.clock.advance_to(instant)
        for process in self.processes:
            process.check()

    async def close(self) -> None:
        for process in list(self.processes):
            await process.stop()
        await self.ledger.__aexit__()

    # --- what the ledger says --------------------------------------------------------------------

    async def recorded(self) -> tuple[Recorded, ...]:
        async with self.ledger.reading() as connection:
            return await read_events(connection, select(events).order_by(events.c.position))

    async def of(self, kind: type[E]) -> list[E]:
        """The events of one kind, in order; what else stands there is not looked at."""
        query = select(events).where(events.c.kind == kind_of(kind)).order_by(events.c.position)
        async with self.ledger.reading() as connection:
            found = await read_events(connection, query)
        return [item.event for item in found if isinstance(item.event, kind)]

    async def kinds(self, *kinds: type[Event]) -> list[str]:
        """Names of the events of these kinds, in order."""
        found = await self.recorded()
        return [type(item.event).__name__ for item in found if isinstance(item.event, kinds)]

    async def rows(self) -> list[GrantRow]:
        """Every turn of every grant, in the order of granting."""
        async with self.ledger.reading() as connection:
            rows = await read_grants(connection, all_grants())
        return sorted(rows, key=lambda row: row.granted.position)

    async def row(self) -> GrantRow:
        """The only one."""
        (row,) = await self.rows()
        return row

    async def accounts(self) -> tuple[AccountId, ...]:
        async with self.ledger.reading() as connection:
            return await accounts_to_keep(connection)

    async def verified(self) -> None:
        """Asserts that the ledger holds together."""
        verification = await verify(self.ledger)
        assert verification.ok, verification.problems

    # --- what AWS holds --------------------------------------------------------------------------

    def inline(self, principal: Principal, account: AccountId = PROD) -> dict[str, str]:
        return dict(self.aws.iam(account).entities[principal.key].inline)

    def attached(self, principal: Principal, account: AccountId = PROD) -> set[str]:
        return set(self.aws.iam(account).entities[principal.key].attached)

    def policies(self, account: AccountId = PROD) -> set[str]:
        """Names of the customer's own policies."""
        return {policy.name for policy in self.aws.iam(account).policies.values()}

    def allows(
        self,
        principal: Principal = ANA,
        action: str = "s3:GetObject",
        *,
        at: datetime | None = None,
        account: AccountId = PROD,
    ) -> bool:
        return self.aws.allows(account, principal, action, at)

    def people(self, *texts: str, account: AccountId = PROD) -> None:
        """Makes principals by hand."""
        for text in texts:
            self.aws.iam(account).add(text)

    def calls(self, operations: Iterable[str] = (), account: AccountId | None = None) -> list[str]:
        """`put_inline user/ana iam-ledger-…`: what was asked of AWS (by default what writes)."""
        return [f"{c.operation} {c.about}" for c in self.aws.made(*operations, account=account)]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """An empty stage with ana, ci and devs in production, and ana in the other account."""
    opened = Stage.empty(tmp_path)
    opened.people("user/ana", "user/bob", "role/ci", "group/devs")
    opened.people("user/ana", account=DEV)
    yield opened
    await opened.close()
