"""How long the ledger's questions take on a ledger of any size, warm, on either engine.

    python -m benchmarks.questions --engine sqlite --events 200000
    python -m benchmarks.questions --engine sqlite --events 10000000 --keep big.db

Builds a synthetic ledger (`benchmarks/building.py`; four events a grant), or asks the one that
`--keep` kept. Every question is asked so many times about somebody else and another instant, each
in a transaction of its own as a command does; p50 and p99 in milliseconds, the p50 of this
process's own work (what compares on a machine that others use too), how many rows it found,
and the ratio to one row by its primary key, asked of the raw driver in the same way.
"""

import argparse
import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

import psycopg
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncConnection

from benchmarks.building import build, check
from benchmarks.machine import machine
from benchmarks.postgres import PRODUCTION
from benchmarks.synthetic import BEGINNING, Company
from ledger.answer import At, Between
from ledger.store import Ledger, questions
from ledger.store.append import read_head
from ledger.store.dialect import file_of, parse_url
from ledger.store.reads import Filter
from ledger.store.views import read_account
from migrations.upgrade import upgrade
from tests.support.postgres import conninfo, started

Ask = Callable[[AsyncConnection, Random], Awaitable[int]]
"""Asks once, about whatever chance says; how many rows there were."""

HEAD = "where the head is"
NEWEST = 1_000


@dataclass(frozen=True, slots=True)
class Subjects:
    """Whom and what chance asks about."""

    company: Company
    now: datetime
    """The instant of the newest event."""

    def past(self, random: Random) -> datetime:
        return BEGINNING + timedelta(seconds=random.randrange(self.company.days * 86_400))

    def account(self, random: Random) -> Filter:
        number = 0 if random.random() < 0.02 else random.randrange(self.company.accounts)
        return Filter(account=self.company.account(number))

    def principal(self, random: Random) -> Filter:
        return Filter(principal=self.company.principal(random.randrange(self.company.principals)))

    def policy(self, random: Random) -> Filter:
        return Filter(policy=self.company.policy(random.randrange(self.company.policies)))

    def team(self, random: Random) -> Filter:
        return Filter(team=self.company.team(random.randrange(self.company.policies)))

    def everybody(self, _random: Random) -> Filter:
        return Filter()

    def next_ends(self) -> datetime:
        """Until when about `NEWEST` grants end; windows reach no farther than six days."""
        a_day = self.company.events / 4 / self.company.days
        return self.now + timedelta(days=min(6.0, NEWEST / a_day))


Keep = Callable[[Random], Filter]


def _who(about: Subjects, keep: Keep, when: str) -> Ask:
    async def ask(connection: AsyncConnection, random: Random) -> int:
        at = about.now if when == "now" else about.past(random)
        known = about.past(random) if when.endswith("as known at K") else None
        span = Between(at, at + timedelta(days=1)) if when == "between A and B" else At(at)
        found = await questions.who_has_access(
            connection, keep=keep(random), when=span, as_known_at=known
        )
        return len(found.access)

    return ask


def _ends(about: Subjects, keep: Keep, until: datetime) -> Ask:
    async def ask(connection: AsyncConnection, random: Random) -> int:
        found = await questions.expiring(connection, keep=keep(random), now=about.now, until=until)
        return len(found.access)

    return ask


def _history(keep: Keep) -> Ask:
    async def ask(connection: AsyncConnection, random: Random) -> int:
        found = await questions.history(connection, keep=keep(random), newest=NEWEST)
        return len(found.events)

    return ask


def _keeping(company: Company) -> Ask:
    async def ask(connection: AsyncConnection, random: Random) -> int:
        number = random.randrange(company.accounts)
        return len((await read_account(connection, company.account(number))).rows)

    return ask


async def _head(connection: AsyncConnection, _random: Random) -> int:
    return min(1, (await read_head(connection)).position)


def asked_of(company: Company, now: datetime) -> dict[str, Ask]:
    """Everything that is asked, by what it is called; `now` is the instant of the newest event."""
    about = Subjects(company, now)
    account, principal, policy = about.account, about.principal, about.policy
    return {
        HEAD: _head,
        "an account, now": _who(about, account, "now"),
        "an account, at T": _who(about, account, "at T"),
        "an account, between A and B": _who(about, account, "between A and B"),
        "an account, at T as known at K": _who(about, account, "at T as known at K"),
        "a principal, now": _who(about, principal, "now"),
        "a principal, at T": _who(about, principal, "at T"),
        "a principal, at T as known at K": _who(about, principal, "at T as known at K"),
        "a principal, its history": _history(principal),
        "an account, what ends in a week": _ends(about, account, now + timedelta(days=7)),
        "everybody, the next 1,000 ends": _ends(about, about.everybody, about.next_ends()),
        "a policy, now": _who(about, policy, "now"),
        "a policy, at T": _who(about, policy, "at T"),
        "a team, now": _who(about, about.team, "now"),
        "everybody, now": _who(about, about.everybody, "now"),
        "an account, as its keeper reads it": _keeping(company),
    }


SLOW = {"everybody, now": 5, "a team, now": 30, "everybody, the next 1,000 ends": 60}
"""Asked less often: the answers are long."""


@dataclass(slots=True)
class Taken:
    """How long one question took, each time, and how many rows it found."""

    name: str
    ms: list[float] = field(default_factory=list)
    processor_ms: list[float] = field(default_factory=list)
    """Of this process; a server's work is not in it."""
    rows: list[int] = field(default_factory=list)

    def note(self, began_s: float, processor_began_s: float, rows: int) -> None:
        self.ms.append((perf_counter() - began_s) * 1e3)
        self.processor_ms.append((process_time() - processor_began_s) * 1e3)
        self.rows.append(rows)

    def tell(self, base_ms: float | None = None) -> float:
        """Prints a line; the p50."""
        p50, p99 = median(self.ms), quantiles(self.ms, n=100, method="inclusive")[98]
        used, ratio = median(self.processor_ms), p50 / (base_ms or p50)
        rows = median(self.rows)
        print(f"{self.name:36}{p50:9.2f}{p99:9.2f}{used:11.2f}{rows:9,.0f}{ratio:12.1f}x")
        return p50


def bare(url: URL, head: int, times: int) -> Taken:
    """The least that can be asked: one row by its primary key, of the driver and nothing else."""
    taken, random = Taken("one event by its key, bare driver"), Random(7)  # noqa: S311 - no secret
    path = file_of(url)
    connection: Any = psycopg.connect(conninfo(url)) if path is None else sqlite3.connect(path)
    positions = [random.randrange(1, head + 1) for _ in range(times)]
    with closing(connection):
        for number, position in enumerate(positions * 2):  # the first half only warms
            began, processor_began = perf_counter(), process_time()
            query = f"SELECT * FROM events WHERE position = {position}"  # noqa: S608 - a number
            found = connection.execute(query).fetchall()
            connection.rollback()
            if number >= times:
                taken.note(began, processor_began, len(found))
    return taken


async def timed(ledger: Ledger, name: str, ask: Ask, times: int) -> Taken:
    taken = Taken(name)
    for warm in (False, True):
        random = Random(7)  # noqa: S311 - the same questions every time
        for _ in range(times):
            began, processor_began = perf_counter(), process_time()
            async with ledger.reading() as connection:
                found = await ask(connection, random)
            if warm:
                taken.note(began, processor_began, found)
    return taken


async def measure(url: URL, company: Company, times: int) -> None:
    print(
        f"{'question':36}{'p50 ms':>9}{'p99 ms':>9}{'processor':>11}{'rows':>9}{'to the bare':>13}"
    )
    async with Ledger(url) as ledger:
        async with ledger.reading() as connection:
            head = await read_head(connection)
        base_ms = bare(url, head.position, times).tell()
        for name, ask in asked_of(company, head.recorded_at or company.end).items():
            count = min(times, SLOW.get(name, times))
            (await timed(ledger, name, ask, count)).tell(base_ms)


@contextmanager
def empty(engine: str, keep: Path | None) -> Iterator[tuple[URL, bool]]:
    """A ledger's address, and whether it holds something already."""
    if engine == "postgresql":
        with started(PRODUCTION) as server:
            yield server.migrated(upgrade), False
        return
    with TemporaryDirectory() as folder:
        path = keep or Path(folder) / "ledger.db"
        stands = path.exists()
        url = parse_url(f"sqlite+aiosqlite:///{path}")
        if not stands:
            upgrade(url)
        yield url, stands


async def make(url: URL, company: Company) -> None:
    began = perf_counter()
    async with Ledger(url) as ledger:
        await build(ledger, company)
        print(await check(ledger))
    print(f"built in {perf_counter() - began:,.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--engine", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--accounts", type=int, default=5_000)
    parser.add_argument("--times", type=int, default=300)
    parser.add_argument("--keep", type=Path, help="SQLite: build it here, or ask what stands here")
    asked = parser.parse_args()
    company = Company(events=asked.events, accounts=asked.accounts)
    print(machine())
    with empty(asked.engine, asked.keep) as (url, stands):
        if not stands:
            asyncio.run(make(url, company))
        asyncio.run(measure(url, company, asked.times))


if __name__ == "__main__":
    main()
