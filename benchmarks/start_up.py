"""What the whole `who-has-access` process takes beside importing what it cannot do without.

    python -m benchmarks.start_up [--rounds 15]

Runs the command on a small ledger, and a Python that only imports `sqlalchemy.ext.asyncio`, by
turns; medians of the clock and of a processor, and their ratios.
"""

import argparse
import asyncio
import resource
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from benchmarks.building import build
from benchmarks.machine import machine
from benchmarks.synthetic import Company
from ledger.store import Ledger
from ledger.store.dialect import parse_url
from migrations.upgrade import upgrade

IMPORT = "import sqlalchemy.ext.asyncio"
ENTRY = "import sys; from cli.main import main; sys.exit(main(sys.argv[1:]))"


def run(arguments: list[str]) -> tuple[float, float]:
    """Seconds by the clock, and of a processor."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = perf_counter()
    subprocess.run([sys.executable, "-c", *arguments], check=True, stdout=subprocess.DEVNULL)
    took_s = perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return took_s, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


async def fill(url_text: str) -> None:
    async with Ledger(parse_url(url_text)) as ledger:
        await build(ledger, Company(events=5_000, accounts=20, principals=100, policies=10))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    print(machine())
    with TemporaryDirectory() as folder:
        url_text = f"sqlite+aiosqlite:///{Path(folder)}/ledger.db"
        upgrade(parse_url(url_text))
        asyncio.run(fill(url_text))
        asking = ["--database", url_text, "who-has-access", "--account", "100000000003"]
        asking += ["--at", "2024-06-01T00:00:00Z"]
        commands = {"import": [IMPORT], "who-has-access": [ENTRY, *asking]}
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(rounds):
            for name, arguments in commands.items():
                taken[name].append(run(arguments))
    clock, processor = (
        {name: median(one[which] for one in runs) for name, runs in taken.items()}
        for which in (0, 1)
    )
    for name in commands:
        print(
            f"{name:16} clock {clock[name]:6.3f} s {clock[name] / clock['import']:5.2f}x"
            f"   processor {processor[name]:6.3f} s {processor[name] / processor['import']:5.2f}x"
        )


if __name__ == "__main__":
    main()
