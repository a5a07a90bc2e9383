"""How long a commit of `ingest` takes to become the worker's first AWS call, on both engines.

    python -m benchmarks.wake_up [--grants 40]

A worker runs against a stand-in for AWS that answers at once, in this process and on this machine's
clock. Each round ingests one grant more for somebody else, by a way into the ledger of its own, and
measures from the end of `ingest`, which is its commit, to the next call. On SQLite the worker looks
20 times a second; on PostgreSQL it is told. Prints milliseconds; asserts nothing about them.
"""

import argparse
import asyncio
import logging
import statistics
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import structlog
from sqlalchemy import URL

from ledger.ingest import IngestRequest, ingest
from ledger.model import AccountId
from ledger.store import Ledger
from ledger.store.dialect import parse_url
from migrations.upgrade import upgrade
from tests.support.builders import DEV, PROD, Files, directory, permanent
from tests.support.fake_aws.account import FakeAws, FakeGate
from tests.support.postgres import started
from worker.clock import SystemClock
from worker.daemon import Daemon
from worker.keeper import Shared
from worker.ledger_door import LedgerDoor
from worker.metrics import Metrics
from worker.settings import WorkerSettings
from worker.sources import Sources

ROLE = "AWSSelfServeDeployer"
CALL_MAX_S = 30
QUIET_S = 0.3


def told(count: int) -> Files:
    """The directory with so many people in it."""
    return directory(standing=[permanent(*(f"user{n}" for n in range(count)), grant="look")])


def shared_for(door: LedgerDoor, aws: FakeAws) -> Shared:
    return Shared(
        ledger=door,
        gate=FakeGate(aws),
        clock=SystemClock(),
        metrics=Metrics(),
        settings=WorkerSettings(listen_port=None),
        sources=Sources(door.keep_source),
        stop=asyncio.Event(),
        observing=asyncio.Semaphore(4),
    )


async def quiet(calls: "asyncio.Queue[float]") -> None:
    """Returns when no call came for a while."""
    with suppress(TimeoutError):
        while True:
            async with asyncio.timeout(QUIET_S):
                await calls.get()


async def measure(url: URL, grants: int) -> list[float]:
    """Milliseconds of each round."""
    clock, calls = SystemClock(), asyncio.Queue[float]()
    aws = FakeAws(clock, latency=timedelta(0))
    for account in (PROD, DEV):
        iam = aws.open_account(AccountId(account), role=ROLE)
        for number in range(grants):
            iam.add(f"user/user{number}")
    aws.on_call.append(lambda: calls.put_nowait(perf_counter()))
    found: list[float] = []
    async with Ledger(url) as pipeline, Ledger(url) as own:
        await ingest(pipeline, IngestRequest(told(0), clock.now()))
        shared = shared_for(LedgerDoor(own), aws)
        running = asyncio.create_task(Daemon(shared.ledger, shared).run())  # type: ignore[arg-type]  # the door that was put in
        await quiet(calls)
        for number in range(1, grants + 1):
            await ingest(pipeline, IngestRequest(told(number), clock.now()))
            committed = perf_counter()
            async with asyncio.timeout(CALL_MAX_S):
                found.append((await calls.get() - committed) * 1000)
            await quiet(calls)
        shared.stop.set()
        await running
    return found


def show(name: str, found: list[float]) -> None:
    ordered = sorted(found)
    print(
        f"{name:12} p50 {statistics.median(found):6.1f}  "
        f"p90 {ordered[int(0.9 * len(ordered))]:6.1f}  max {ordered[-1]:6.1f} ms"
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--grants", type=int, default=40)
    grants: int = options.parse_args().grants
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with TemporaryDirectory() as folder:
        url = parse_url(f"sqlite:///{Path(folder) / 'ledger.db'}")
        upgrade(url)
        show("SQLite", asyncio.run(measure(url, grants)))
    with started({"fsync": "on", "synchronous_commit": "on"}) as server:
        url = server.create()
        upgrade(url)
        show("PostgreSQL", asyncio.run(measure(url, grants)))


if __name__ == "__main__":
    main()
