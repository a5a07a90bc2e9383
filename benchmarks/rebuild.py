"""What making the projection anew takes, a million events, beside `verify`, which it begins with.

python -m benchmarks.rebuild --events 1000000
"""

import argparse
import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

from sqlalchemy import URL

from benchmarks.building import build
from benchmarks.machine import machine
from benchmarks.synthetic import Company
from ledger.store import Ledger
from ledger.store.dialect import parse_url
from ledger.store.verify import rebuild, verify
from migrations.upgrade import upgrade


async def measure(url: URL, events: int) -> None:
    async with Ledger(url) as ledger:
        await build(ledger, Company(events=events))
        for name, work in (("verify --chain", True), ("verify", False), ("rebuild", None)):
            began, processor_began = perf_counter(), process_time()
            if work is None:
                await rebuild(ledger)
            else:
                await verify(ledger, chain_only=work)
            each = 1e6 / events
            print(
                f"{name:16}{(perf_counter() - began) * each:8.1f} s a million events,"
                f" {(process_time() - processor_began) * each:7.1f} s of a processor"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=100_000)
    events = parser.parse_args().events
    print(machine())
    with TemporaryDirectory() as folder:
        url = parse_url(f"sqlite+aiosqlite:///{Path(folder)}/ledger.db")
        upgrade(url)
        asyncio.run(measure(url, events))


if __name__ == "__main__":
    main()
