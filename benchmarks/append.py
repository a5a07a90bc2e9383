"""What `append` costs beside the driver's own way of putting the same rows into the same table.

    python -m benchmarks.append --engine sqlite --events 1000000
    python -m benchmarks.append --engine postgresql --events 1000000

Every way takes the same events in commits of 10,000, by turns, so that what else the machine does
falls on all: the driver (sqlite3's `executemany`, psycopg's COPY) takes rows that stand ready,
`append` takes drafts, which it looks for, makes canonical, chains and folds. Each way has a
database of its own with the same tables, indexes and guards, but for the one without guards.
"""

import argparse
import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any
from unittest.mock import patch

import psycopg
from sqlalchemy import URL

from benchmarks.machine import machine, server_s
from benchmarks.postgres import PRODUCTION
from benchmarks.synthetic import Company, history
from ledger import guards
from ledger.codec import GENESIS, dedup_key, encode_values, microseconds
from ledger.envelope import Draft
from ledger.schema import events
from ledger.store import Ledger
from ledger.store import append as appending
from ledger.store.dialect import file_of, parse_url
from migrations.upgrade import upgrade
from tests.support.postgres import conninfo, started
from worker.clock import SystemClock

BATCH = 10_000
COLUMNS = [column.name for column in events.columns]
RAW = "the driver, guards"

Row = tuple[Any, ...]
Put = Callable[[Sequence[Draft], Sequence[Row]], Awaitable[None]]


# --- the ways -------------------------------------------------------------------------------------


@contextmanager
def by_executemany(url: URL) -> Iterator[Put]:
    database = sqlite3.connect(str(file_of(url)), isolation_level=None)
    for pragma in ("synchronous=FULL", "foreign_keys=ON", "recursive_triggers=ON"):
        database.execute(f"PRAGMA {pragma}")
    marks = ", ".join("?" * len(COLUMNS))
    statement = f"INSERT INTO events ({', '.join(COLUMNS)}) VALUES ({marks})"  # noqa: S608 - our own names

    async def put(_drafts: Sequence[Draft], rows: Sequence[Row]) -> None:
        database.execute("BEGIN IMMEDIATE")
        database.executemany(statement, rows)
        database.execute("COMMIT")

    yield put
    database.close()


@contextmanager
def by_copy(url: URL) -> Iterator[Put]:
    database = psycopg.connect(conninfo(url))
    statement = f"COPY events ({', '.join(COLUMNS)}) FROM STDIN".encode()

    async def put(_drafts: Sequence[Draft], rows: Sequence[Row]) -> None:
        with database.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
        database.commit()

    yield put
    database.close()


@asynccontextmanager
async def by_append(url: URL, *, projection: bool) -> AsyncIterator[Put]:
    async def nothing(*_: object) -> None:
        """Instead of the projection."""

    async with Ledger(url) as ledger:

        async def put(drafts: Sequence[Draft], _rows: Sequence[Row]) -> None:
            with ExitStack() as stack:
                if not projection:
                    stack.enter_context(patch.object(appending, "project", nothing))
                done = await ledger.append(drafts, now=SystemClock().now())
            assert len(done.recorded) == len(drafts)  # noqa: S101 - nothing stood there before

        yield put


def unguard(url: URL) -> None:
    engine = url.get_backend_name()
    path = file_of(url)
    for name in guards.names(engine):
        ddl = guards.removing(engine, name)
        if path is None:
            with psycopg.connect(conninfo(url)) as server:
                server.execute(ddl.encode())
        else:
            sqlite3.connect(path).execute(ddl).connection.close()


# --- measuring ------------------------------------------------------------------------------------


def rows_of(drafts: Sequence[Draft], position: int, prev_hash: str) -> list[Row]:
    """The drafts as rows that stand ready, behind `position`."""
    now_us = microseconds(SystemClock().now())
    rows: list[Row] = []
    for number, draft in enumerate(drafts, position + 1):
        key = dedup_key(draft.event, draft.cause)
        row = encode_values(draft, key, position=number, recorded_at_us=now_us, prev_hash=prev_hash)
        prev_hash = row[-1]
        rows.append(row)
    return rows


@dataclass(slots=True)
class Way:
    """One way of appending, into a database of its own."""

    name: str
    url: URL
    put: Put
    wall_s: float = 0.0
    processor_s: float = 0.0
    """Of this process and of the server's, which work at the same time."""

    async def take(self, drafts: Sequence[Draft], rows: Sequence[Row]) -> None:
        began, processor_began_s = perf_counter(), self._processor_s()
        await self.put(drafts, rows)
        self.wall_s += perf_counter() - began
        self.processor_s += self._processor_s() - processor_began_s

    def _processor_s(self) -> float:
        return process_time() + (0 if file_of(self.url) else server_s(self.url))


async def measure(count: int, urls: Sequence[URL]) -> list[Way]:
    drafts = (draft for _, draft in history(Company(events=count)))
    position, prev_hash = 0, GENESIS
    async with AsyncExitStack() as stack:
        bare, raw, chained, whole = urls
        unguard(bare)
        driver = by_executemany if file_of(bare) is not None else by_copy
        events_only = await stack.enter_async_context(by_append(chained, projection=False))
        both = await stack.enter_async_context(by_append(whole, projection=True))
        ways = [
            Way("the driver, no guards", bare, stack.enter_context(driver(bare))),
            Way(RAW, raw, stack.enter_context(driver(raw))),
            Way("append, events only", chained, events_only),
            Way("append, events and projection", whole, both),
        ]
        while position < count:
            some = list(islice(drafts, min(BATCH, count - position)))
            rows = rows_of(some, position, prev_hash)
            position, prev_hash = position + len(rows), rows[-1][-1]
            for way in ways:
                await way.take(some, rows)
    return ways


def show(engine: str, count: int, ways: Sequence[Way]) -> None:
    print(f"{engine}, {count:,} events in commits of {BATCH:,}; µs an event, and to `{RAW}`")
    base = next(way for way in ways if way.name == RAW)
    for way in ways:
        print(
            f"  {way.name:30} clock {way.wall_s / count * 1e6:6.1f} µs"
            f" {way.wall_s / base.wall_s:5.2f}x {count / way.wall_s:9,.0f}/s"
            f"   processor {way.processor_s / count * 1e6:6.1f} µs"
            f" {way.processor_s / base.processor_s:5.2f}x"
        )


def new_file(folder: Path, number: int) -> URL:
    url = parse_url(f"sqlite+aiosqlite:///{folder}/{number}.db")
    upgrade(url)
    return url


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--engine", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--events", type=int, default=100_000)
    asked = parser.parse_args()
    print(machine())
    if asked.engine == "sqlite":
        with TemporaryDirectory() as folder:
            urls = [new_file(Path(folder), number) for number in range(4)]
            ways = asyncio.run(measure(asked.events, urls))
    else:
        with started(PRODUCTION) as server:
            urls = [server.migrated(upgrade) for _ in range(4)]
            ways = asyncio.run(measure(asked.events, urls))
    show(asked.engine, asked.events, ways)


if __name__ == "__main__":
    main()
