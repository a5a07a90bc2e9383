"""asyncpg against psycopg 3 at what the ledger does, in one run on one server, as ratios.

    python -m benchmarks.postgres_drivers [--rounds 5] [--fsync]

Needs both drivers (`pip install asyncpg`, which the project itself does not use) and what
`tests/support/postgres.py` needs. Each figure is the median of its rounds, the two drivers taking
turns, so that what else the machine does falls on both.
"""

import argparse
import asyncio
import hashlib
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ledger.schema import events, metadata
from tests.support.postgres import Postgres, started

DRIVERS = ("asyncpg", "psycopg")
GENESIS = "0" * 64
BULK_EVENTS = 10_000
SINGLE_EVENTS = 200
QUESTIONS = 500
LOCK = 0x1A4D_1ED6
COLUMNS = [column.name for column in events.columns]
PAYLOAD = '{"grant":{"account":"111111111111","policy":"fix","principal":"user/ana"}}' * 3

Measured = Callable[[AsyncEngine], Awaitable[float]]


def rows_behind(position: int, prev_hash: str, count: int) -> Iterator[dict[str, Any]]:
    """`count` chained events of the size that a grant's are."""
    for number in range(position + 1, position + count + 1):
        digest = hashlib.sha256(f"{prev_hash}{number}{PAYLOAD}".encode()).hexdigest()
        yield {
            "position": number,
            "recorded_at": 1_700_000_000_000_000 + number,
            "kind": "granted",
            "version": 1,
            "team": "payments",
            "account": f"{number % 5000:012}",
            "grant_id": f"{number:016x}",
            "turn": 1,
            "principal": f"user/{number % 20000}",
            "policy": "fix",
            "payload": PAYLOAD,
            "provenance": "{}",
            "dedup_key": f"granted:{number}",
            "prev_hash": prev_hash,
            "hash": digest,
        }
        prev_hash = digest


async def locked_head(connection: AsyncConnection) -> tuple[int, str]:
    """The head, read in a statement of its own behind the append lock."""
    await connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
    head = (
        await connection.execute(
            select(events.c.position, events.c.hash).order_by(events.c.position.desc()).limit(1)
        )
    ).first()
    return (0, GENESIS) if head is None else (head.position, head.hash)


async def append_one_by_one(engine: AsyncEngine) -> float:
    began = time.perf_counter()
    for _ in range(SINGLE_EVENTS):
        async with engine.begin() as connection:
            position, prev_hash = await locked_head(connection)
            await connection.execute(insert(events), list(rows_behind(position, prev_hash, 1)))
    return (time.perf_counter() - began) / SINGLE_EVENTS * 1e6


async def append_by_core(engine: AsyncEngine) -> float:
    began = time.perf_counter()
    async with engine.begin() as connection:
        position, prev_hash = await locked_head(connection)
        rows = list(rows_behind(position, prev_hash, BULK_EVENTS))
        await connection.execute(insert(events), rows)
    return (time.perf_counter() - began) / BULK_EVENTS * 1e6


async def append_by_copy(engine: AsyncEngine) -> float:
    began = time.perf_counter()
    async with engine.begin() as connection:
        position, prev_hash = await locked_head(connection)
        rows = rows_behind(position, prev_hash, BULK_EVENTS)
        records = [tuple(row.values()) for row in rows]
        driver: Any = (await connection.get_raw_connection()).driver_connection
        if engine.dialect.driver == "asyncpg":
            await driver.copy_records_to_table(events.name, records=records, columns=COLUMNS)
        else:
            async with driver.cursor() as cursor:
                columns = ", ".join(COLUMNS)
                async with cursor.copy(f"COPY {events.name} ({columns}) FROM STDIN") as copy:
                    for record in records:
                        await copy.write_row(record)
    return (time.perf_counter() - began) / BULK_EVENTS * 1e6


async def ask(engine: AsyncEngine) -> float:
    began = time.perf_counter()
    for number in range(QUESTIONS):
        async with engine.connect() as connection:
            query = select(events).where(events.c.account == f"{number * 7 % 5000:012}").limit(20)
            (await connection.execute(query)).mappings().all()
    return (time.perf_counter() - began) / QUESTIONS * 1e6


async def read_all(engine: AsyncEngine) -> float:
    began, count = time.perf_counter(), 0
    async with engine.connect() as connection:
        streaming = {"yield_per": 2_000}
        async with connection.stream(select(events), execution_options=streaming) as result:
            async for _ in result.mappings():
                count += 1
    return (time.perf_counter() - began) / count * 1e6


async def connect(engine: AsyncEngine) -> float:
    began = time.perf_counter()
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))
    taken = time.perf_counter() - began
    await engine.dispose()
    return taken * 1e6


WORK: dict[str, Measured] = {
    "connect and first statement": connect,
    "append one event, a commit each": append_one_by_one,
    "append 10,000 by Core, an event": append_by_core,
    "append 10,000 by COPY, an event": append_by_copy,
    "a question by index, 20 rows": ask,
    "read all rows, a row": read_all,
}


def import_us(driver: str) -> float:
    """What importing the driver adds to a process that has SQLAlchemy."""
    program = (
        "import sqlalchemy.ext.asyncio, sys, time; began = time.perf_counter(); "
        f"import {driver}; print((time.perf_counter() - began) * 1e6)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    return float(done.stdout)


async def measure(server: Postgres, rounds: int) -> dict[str, dict[str, list[float]]]:
    engines = {}
    for driver in DRIVERS:
        url = server.create().set(drivername=f"postgresql+{driver}")
        engines[driver] = create_async_engine(url)
        async with engines[driver].begin() as connection:
            await connection.run_sync(metadata.create_all)
    taken: dict[str, dict[str, list[float]]] = {
        name: {driver: [] for driver in DRIVERS} for name in WORK
    }
    for _ in range(rounds):
        for name, work in WORK.items():
            for driver, engine in engines.items():
                taken[name][driver].append(await work(engine))
    for engine in engines.values():
        await engine.dispose()
    taken["import, beside SQLAlchemy"] = {
        driver: [import_us(driver) for _ in range(rounds)] for driver in DRIVERS
    }
    return taken


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--fsync", action="store_true", help="as in production")
    asked = options.parse_args()
    settings = {"fsync": "on", "synchronous_commit": "on"} if asked.fsync else None
    with started(settings) as server:
        taken = asyncio.run(measure(server, asked.rounds))
    print(f"{'microseconds':34}{'asyncpg':>10}{'psycopg':>10}  psycopg/asyncpg")
    for name, by_driver in taken.items():
        asyncpg, psycopg = (statistics.median(by_driver[driver]) for driver in DRIVERS)
        print(f"{name:34}{asyncpg:10,.0f}{psycopg:10,.0f}{psycopg / asyncpg:10.2f}")


if __name__ == "__main__":
    main()
