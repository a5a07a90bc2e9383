"""What `ingest` of a large directory takes, first and unchanged, beside composing its YAML bare.

    python -m benchmarks.ingest --grants 100000
    python -m benchmarks.ingest --grants 100000 --engine postgresql

Half of the grants are temporary, an entry each; half are permanent, four people and five policies
an entry. The bare way is PyYAML's C loader composing the same bytes into nodes, and nothing more.
Seconds of a processor compare on a machine that others use too; memory is the peak so far.
"""

import argparse
import asyncio
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

import yaml
from sqlalchemy import URL

from benchmarks.machine import machine
from benchmarks.postgres import PRODUCTION
from ledger.ingest import IngestRequest, Report, ingest
from ledger.manifest import read
from ledger.store import Ledger
from ledger.store.dialect import parse_url
from migrations.upgrade import upgrade
from tests.support.postgres import started
from worker.clock import SystemClock

TEAMS = 50
POLICIES = 10
ACCOUNTS = 10
PEOPLE, GRANTED = 4, 5


def directory(grants: int) -> dict[str, bytes]:
    """Path -> content."""
    files: dict[str, bytes] = {}
    tomorrow = (SystemClock().now() + timedelta(days=2)).strftime("%Y-%m-%d")
    for team in range(TEAMS):
        name = f"team-{team:02}"
        accounts = [
            f'  env-{n}: "{team * ACCOUNTS + n + 100_000_000_000}"' for n in range(ACCOUNTS)
        ]
        policies = [_policy(number) for number in range(POLICIES)]
        count = grants // TEAMS // 2
        temporary = [_temporary(number, tomorrow) for number in range(count)]
        permanent = [_permanent(number) for number in range(count // (PEOPLE * GRANTED))]
        for folder, lines in (
            ("aws-accounts", accounts),
            ("aws-policies", policies),
            ("temporary-access", temporary),
            ("permanent-access", permanent),
        ):
            text = "\n".join([f"{folder}:", *lines, ""])
            files[f"{folder}/{name}.yaml"] = text.encode()
    return files


def _policy(number: int) -> str:
    return (
        f"  policy-{number}:\n"
        "    custom_statements:\n"
        "      - effect: Allow\n"
        f'        actions: ["s3:Get{number}*"]\n'
        '        resources: ["*"]'
    )


def _temporary(number: int, day: str) -> str:
    return (
        "  - description: Looking into what broke\n"
        f"    user: person-{number}@example.com\n"
        f"    environment: env-{number % ACCOUNTS}\n"
        f"    grant: policy-{number % POLICIES}\n"
        f"    expiration_date: {day}\n"
        f"    ticket: OPS-{number}"
    )


def _permanent(number: int) -> str:
    people = ", ".join(f"member-{number * PEOPLE + n}@example.com" for n in range(PEOPLE))
    granted = ", ".join(f"policy-{n}" for n in range(GRANTED))
    return (
        "  - description: The team may look\n"
        f"    users: [{people}]\n"
        f"    environments: [env-{number % ACCOUNTS}]\n"
        f"    grants: [{granted}]"
    )


class Stages:
    """Prints what each piece of work took, and its ratio to the first."""

    def __init__(self) -> None:
        self._base_s = 0.0

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        began_s, processor_began_s = perf_counter(), process_time()
        yield
        took_s, processor_s = perf_counter() - began_s, process_time() - processor_began_s
        self._base_s = self._base_s or processor_s
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{what:36}{took_s:8.1f} s, {processor_s:7.1f} s of a processor,"
            f" {processor_s / self._base_s:5.1f}x, peak {peak_mb:,.0f} MB"
        )


def compose_bare(files: dict[str, bytes]) -> None:
    for content in files.values():
        yaml.compose(content, Loader=yaml.CSafeLoader)


async def _ingest(url: URL, files: dict[str, bytes]) -> Report:
    async with Ledger(url) as ledger:
        report = await ingest(ledger, IngestRequest(files=files, now=SystemClock().now()))
    assert not report.errors, report.errors[:3]  # noqa: S101 - the directory is ours
    return report


def measure(url: URL, grants: int) -> None:
    files, stages = directory(grants), Stages()
    size_mb = sum(len(content) for content in files.values()) / 1e6
    with stages.timed(f"C loader composing {size_mb:.1f} MB"):
        compose_bare(files)
    with stages.timed("reading it (`validate`)"):
        reading = read(files, (), None, SystemClock().now())
    assert reading.manifest is not None  # noqa: S101 - the directory is ours
    count = len(reading.manifest.grants)
    del reading
    with stages.timed(f"ingest, {count:,} grants, first"):
        first = asyncio.run(_ingest(url, files))
    with stages.timed("ingest, unchanged"):
        again = asyncio.run(_ingest(url, files))
    print(f"events appended: {len(first.events):,}, then {len(again.events):,}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--engine", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--grants", type=int, default=10_000)
    asked = parser.parse_args()
    print(machine())
    if asked.engine == "postgresql":
        with started(PRODUCTION) as server:
            measure(server.migrated(upgrade), asked.grants)
        return
    with TemporaryDirectory() as folder:
        url = parse_url(f"sqlite+aiosqlite:///{folder}/ledger.db")
        upgrade(url)
        measure(url, asked.grants)


if __name__ == "__main__":
    main()
