"""What `verify` costs beside reading and hashing the same rows bare, on this machine, in one run.

    python benchmarks/verify_chain.py --events 1000000

Makes a ledger of so many events in a temporary folder, then reads it the bare way (sqlite3, one
query, every hash computed), and by `verify`: its chain only, all of it, and against checkpoints.
Prints seconds and ratios; asserts nothing about either.
"""

import argparse
import asyncio
import sqlite3
import sys
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

from sqlalchemy import URL

from ledger import signing
from ledger.checkpoint import Checkpoint, Witness, checkpoint_in, parse_note, text_of
from ledger.codec import GENESIS, Envelope, chain_hash
from ledger.envelope import Draft, Provenance
from ledger.events import Granted
from ledger.model import AccountId, Grant, GrantId, Team, Window, parse_principal
from ledger.store import Ledger
from ledger.store.dialect import parse_url
from ledger.store.verify import verify
from migrations.upgrade import upgrade
from worker.clock import SystemClock

BATCH = 10_000
CHECKPOINT_EVERY = 1_000
SIGNATURES = 2_000


def drafts(first: int, count: int) -> list[Draft]:
    """Grants as a directory of many teams would have them."""
    start = SystemClock().now().replace(microsecond=0)
    said = Provenance(
        source="permanent-access/payments.yaml:14",
        commit="1a2b3c4d5e6f70819203a4b5c6d7e8f901234567",
        author="Bob <bob@example.com>",
        approved_by=("carol", "dan"),
        pull_request="https://example.com/pull/7",
    )
    return [
        Draft(
            Granted(
                Grant(
                    id=GrantId(f"{number:016x}"),
                    turn=1,
                    team=Team(f"team-{number % 50}"),
                    environment="prod",
                    account=AccountId(f"{100_000_000_000 + number % 400}"),
                    principal=parse_principal(f"user/person-{number % 3_000}"),
                    policy="look",
                    window=Window(start, None),
                    object=None,
                )
            ),
            0,
            said,
        )
        for number in range(first, first + count)
    ]


async def fill(url: URL, events: int) -> None:
    async with Ledger(url) as ledger:
        for first in range(0, events, BATCH):
            batch = drafts(first, min(BATCH, events - first))
            await ledger.append(batch, now=SystemClock().now())


def bare(path: Path) -> list[Envelope]:
    """Reads and hashes every row, and does nothing else; the rows that a checkpoint was made at."""
    names = [f.name for f in fields(Envelope)]
    columns = ", ".join("recorded_at" if name == "recorded_at_us" else name for name in names)
    database, before, kept = sqlite3.connect(path), GENESIS, []
    query = f"SELECT {columns} FROM events ORDER BY position"  # noqa: S608 - our own names
    for values in database.execute(query):
        row = Envelope(*values)
        if row.prev_hash != before or chain_hash(row) != row.hash:
            sys.exit("the ledger that was just made is broken")
        before = row.hash
        if row.position % CHECKPOINT_EVERY == 0:
            kept.append(row)
    database.close()
    return kept


async def look(url: URL, witnesses: list[Witness], *, chain_only: bool = False) -> None:
    async with Ledger(url) as ledger:
        found = await verify(ledger, witnesses=witnesses, chain_only=chain_only)
    if not found.ok:
        sys.exit(f"the ledger that was just made is broken: {found.problems}")


class Timed:
    """Prints what a piece of work took: by the clock, and of a processor, which is what compares on
    a machine that others use too."""

    def __init__(self, what: str, base: "Timed | None" = None) -> None:
        self._what, self._base = what, base
        self.processor_s = 0.0

    def __enter__(self) -> "Timed":
        self._began_s, self._processor_began_s = perf_counter(), process_time()
        return self

    def __exit__(self, *_: object) -> None:
        took_s = perf_counter() - self._began_s
        self.processor_s = process_time() - self._processor_began_s
        line = f"{self._what:<36} {took_s:8.2f} s, {self.processor_s:8.2f} s of a processor"
        if self._base is not None:
            line += f", {self.processor_s / self._base.processor_s:5.1f} times the bare way"
        print(line)


def signatures() -> None:
    signer = signing.signer_of("example.com/ledger", b"\x01" * 32)
    seen = Checkpoint("iam-ledger/0123456789ab", 1, "ab" * 32)
    began = perf_counter()
    for _ in range(SIGNATURES):
        note = signer.sign(seen)
    signing_us = (perf_counter() - began) / SIGNATURES * 1e6
    began = perf_counter()
    for _ in range(SIGNATURES):
        read = parse_note(str(note).encode())
        signing.check(read, [signer.key])
        checkpoint_in(read)
    checking_us = (perf_counter() - began) / SIGNATURES * 1e6
    print(
        f"a checkpoint of {len(text_of(seen))} bytes: {signing_us:.0f} µs to sign, "
        f"{checking_us:.0f} µs to read and check"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=100_000)
    events = parser.parse_args().events
    with TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        url = parse_url(f"sqlite+aiosqlite:///{path}")
        upgrade(url)
        with Timed(f"{events:,} events appended"):
            asyncio.run(fill(url, events))
        bare(path)  # so that both find the file in the page cache
        with Timed("read and hashed, the bare way") as base:
            kept = bare(path)
        with Timed("verify --chain", base):
            asyncio.run(look(url, [], chain_only=True))
        with Timed("verify", base):
            asyncio.run(look(url, []))
        origin = f"iam-ledger/{first_hash(path)[:12]}"
        witnesses = [
            Witness("kept", Checkpoint(origin, row.position, row.hash), "key") for row in kept
        ]
        with Timed(f"verify against {len(witnesses):,} checkpoints", base):
            asyncio.run(look(url, witnesses))
    signatures()


def first_hash(path: Path) -> str:
    database = sqlite3.connect(path)
    (found,) = database.execute("SELECT hash FROM events WHERE position = 1").fetchone()
    database.close()
    return str(found)


if __name__ == "__main__":
    main()
