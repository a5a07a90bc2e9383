"""How long the ledger's questions take on a ledger of any size, warm, on either engine.

    python -m benchmarks.questions --engine sqlite --events 200000
    python -m benchmarks.questions --engine sqlite --events 10000000 --keep big.db

Builds a synthetic ledger (`benchmarks/synthetic.py`; four events a grant), or asks the one that
`--keep` kept. Every question is asked so many times about somebody else and another instant, each
in a transaction of its own as a command does; p50 and p99 in milliseconds, how many rows it found,
and the ratio to the least that can be asked: where the head is.
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from time import perf_counter

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncConnection

from benchmarks.machine import machine
from benchmarks.postgres import PRODUCTION
from benchmarks.synthetic import BEGINNING, Company, build
from ledger.answer import At, Between
from ledger.store import Ledger, questions
from ledger.store.append import read_head
from ledger.store.dialect import parse_url
from ledger.store.reads import Filter
from ledger.store.views import read_account
from migrations.upgrade import upgrade
from tests.support.postgres import started

Ask = Callable[[AsyncConnection, Random], Awaitable[int]]
"""Asks once, about whatever chance says; how many rows there were."""

HEAD = "where the head is"
NEWEST = 1_000


def asked_of(company: Company, now: datetime) -> dict[str, Ask]:
    """Everything that is asked, by what it is called; `now` is the instant of the newest event."""

    def past(random: Random) -> datetime:
        return BEGINNING + timedelta(seconds=random.randrange(company.days * 86_400))

    def account(random: Random) -> Filter:
        number = 0 if random.random() < 0.02 else random.randrange(company.accounts)
        return Filter(account=company.account(number))

    def principal(random: Random) -> Filter:
        return Filter(principal=company.principal(random.randrange(company.principals)))

    def policy(random: Random) -> Filter:
        return Filter(policy=company.policy(random.randrange(company.policies)))

    def team(random: Random) -> Filter:
        return Filter(team=company.team(random.randrange(company.policies)))

    def everybody(_random: Random) -> Filter:
        return Filter()

    def who(keep: Callable[[Random], Filter], when: str) -> Ask:
        async def ask(connection: AsyncConnection, random: Random) -> int:
            at = now if when == "now" else past(random)
            known = past(random) if when.endswith("as known at K") else None
            span = Between(at, at + timedelta(days=1)) if when == "between A and B" else At(at)
            found = await questions.who_has_access(
                connection, keep=keep(random), when=span, as_known_at=known
            )
            return len(found.access)

        return ask

    async def head(connection: AsyncConnection, _random: Random) -> int:
        return min(1, (await read_head(connection)).position)

    async def expiries(connection: AsyncConnection, _random: Random) -> int:
        a_day = company.events / 4 / company.days
        until = now + timedelta(days=min(6.0, NEWEST / a_day))
        found = await questions.expiring(connection, keep=Filter(), now=now, until=until)
        return len(found.access)

    async def expiries_of_account(connection: AsyncConnection, random: Random) -> int:
        until = now + timedelta(days=7)
        found = await questions.expiring(connection, keep=account(random), now=now, until=until)
        return len(found.access)

    async def history(connection: AsyncConnection, random: Random) -> int:
        found = await questions.history(connection, keep=principal(random), newest=NEWEST)
        return len(found.events)

    async def keeping(connection: AsyncConnection, random: Random) -> int:
        number = random.randrange(company.accounts)
        return len((await read_account(connection, company.account(number))).rows)

    return {
        HEAD: head,
        "an account, now": who(account, "now"),
        "an account, at T": who(account, "at T"),
        "an account, between A and B": who(account, "between A and B"),
        "an account, at T as known at K": who(account, "at T as known at K"),
        "a principal, now": who(principal, "now"),
        "a principal, at T": who(principal, "at T"),
        "a principal, at T as known at K": who(principal, "at T as known at K"),
        "a principal, its history": history,
        "an account, what ends in a week": expiries_of_account,
        "everybody, the next 1,000 ends": expiries,
        "a policy, now": who(policy, "now"),
        "a policy, at T": who(policy, "at T"),
        "a team, now": who(team, "now"),
        "everybody, now": who(everybody, "now"),
        "an account, as its keeper reads it": keeping,
    }


SLOW = {"everybody, now": 5, "a team, now": 30, "everybody, the next 1,000 ends": 60}
"""Asked less often: the answers are long."""


async def measure(url: URL, company: Company, times: int) -> None:
    base = 0.0
    print(f"{'question':36}{'p50 ms':>9}{'p99 ms':>9}{'rows':>9}{'to the head':>13}")
    async with Ledger(url) as ledger:
        async with ledger.reading() as connection:
            now = (await read_head(connection)).recorded_at or company.end
        for name, ask in asked_of(company, now).items():
            random = Random(7)  # noqa: S311 - the same questions every time
            taken_ms: list[float] = []
            rows: list[int] = []
            count = min(times, SLOW.get(name, times))
            for number in range(2 * count):  # the first half only warms
                if number == count:
                    random = Random(7)  # noqa: S311 - likewise
                began = perf_counter()
                async with ledger.reading() as connection:
                    found = await ask(connection, random)
                if number >= count:
                    taken_ms.append((perf_counter() - began) * 1e3)
                    rows.append(found)
            p50, p99 = median(taken_ms), quantiles(taken_ms, n=100, method="inclusive")[98]
            base = base or p50
            print(f"{name:36}{p50:9.2f}{p99:9.2f}{median(rows):9,.0f}{p50 / base:12.1f}x")


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
