"""Verifying a ledger against itself and its checkpoints; making its projections anew.

Invariant: `verify` changes nothing and trusts nothing but the rows of `events`; `rebuild` builds on
no history that `verify` would refuse.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Table, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import guards
from ledger.chain import Audit, ChainProblem, TooNew
from ledger.checkpoint import Verdict, Witness, judge, origin_of
from ledger.errors import ChainBroken, UnknownEvent
from ledger.memory import kept
from ledger.project import LatestKey
from ledger.rows import columns_of
from ledger.schema import grants, latest
from ledger.store.checkpoints import stream_kept
from ledger.store.dialect import damages, insert_rows, triggers, without_indexes
from ledger.store.ledger import Ledger
from ledger.store.of_all import ledger_id
from ledger.store.reads import STREAM_ROWS, stream_columns

PROGRESS_EVENTS = 10_000
"""How often progress is told: about twice a second."""

TAIL_NOTE = (
    "Without a checkpoint a cut tail cannot be seen, nor a history that was recomputed from some "
    "point on: compare the number of events and the head's hash with what you noted elsewhere."
)

_LINKS = {"position", "previous hash", "hash", "columns"}
"""Problems that leave a row out of the chain."""

Progress = Callable[[int], None]
"""Told how many events have been looked at."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Verification:
    """What a ledger says about itself."""

    ok: bool
    """Nothing was found. Says nothing about what is too new, nor about a cut tail."""
    events: int
    head_position: int
    head_hash: str
    problems: tuple[ChainProblem, ...]
    """Checkpoints that do not hold, then the first `chain.PROBLEMS_MAX` others: those of the chain
    in order, then those of the tables."""
    problems_count: int
    too_new: tuple[TooNew, ...]
    """Kinds that this program cannot read: hashed and chained, but not looked into."""
    verdicts: tuple[Verdict, ...]
    """On the checkpoints that it was held against, the shortest first."""
    notes: tuple[str, ...]
    """What cannot be seen from here."""


async def verify(
    ledger: Ledger,
    *,
    witnesses: Sequence[Witness] = (),
    chain_only: bool = False,
    on_progress: Progress | None = None,
) -> Verification:
    """Reads every row once, in one transaction; other writers go on meanwhile.

    With `chain_only` what events say is not looked at, nor the tables that they make. With
    `witnesses` it proves that the ledger only grew since each of them was signed.
    LedgerUnavailable as weather. While it reads, SQLite's WAL cannot be cut back.
    """
    with kept():
        return await _verify(ledger, witnesses, on_progress, chain_only=chain_only)


async def _verify(
    ledger: Ledger,
    witnesses: Sequence[Witness],
    on_progress: Progress | None,
    *,
    chain_only: bool,
) -> Verification:
    hashes = dict.fromkeys((witness.checkpoint.size for witness in witnesses), "")
    async with ledger.reading() as connection:
        audit = Audit(chain_only=chain_only)
        await _read_through(connection, audit, on_progress, hashes)
        origin = origin_of(await ledger_id(connection))
        await _look_at_guards(connection, audit)
        if not chain_only:
            await _look_at_file(connection, audit)
            await _compare_tables(connection, audit)
        await _compare_kept(connection, audit, origin)
    verdicts = _doubted(audit, judge(witnesses, origin=origin, head=audit.position, hashes=hashes))
    broken = [
        ChainProblem(verdict.position, "checkpoint", f"{verdict.witness.name}: {verdict.wrong}")
        for verdict in verdicts
        if verdict.wrong is not None
    ]
    return Verification(
        ok=audit.problems_count == 0 and not broken,
        events=audit.count,
        head_position=audit.position,
        head_hash=audit.hash,
        problems=(*broken, *audit.problems),
        problems_count=audit.problems_count + len(broken),
        too_new=tuple(audit.too_new.values()),
        verdicts=verdicts,
        notes=tuple(_notes(audit, verdicts)),
    )


def _doubted(audit: Audit, verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """The same, where a hash at a checkpoint's size proves nothing for the chain up to it."""
    broken = [problem.position for problem in audit.problems if problem.what in _LINKS]
    first = min(broken, default=audit.position + 1)
    return tuple(
        verdict
        if verdict.wrong is not None or first > verdict.witness.checkpoint.size
        else replace(
            verdict, position=first, wrong=f"the chain up to it does not hold at position {first}"
        )
        for verdict in verdicts
    )


def _notes(audit: Audit, verdicts: Sequence[Verdict]) -> Iterator[str]:
    reached = max((v.witness.checkpoint.size for v in verdicts if v.wrong is None), default=0)
    if not verdicts:
        yield TAIL_NOTE
    elif reached < audit.position:
        yield (
            f"Behind position {reached} no checkpoint vouches for anything yet: there a cut tail "
            "or a recomputed history cannot be seen."
        )
    if audit.chain_only:
        yield (
            "Only hashes and order were looked at, not what the events say, nor the tables that "
            "answers are read from."
        )
    if audit.too_new:
        yield (
            "Some events are newer than this program: their hashes hold, their content and what "
            "follows from it was not compared. Verify with the newer program."
        )


async def rebuild(ledger: Ledger, *, on_progress: Progress | None = None) -> int:
    """Makes `grants` and `latest` anew from the events, all or nothing; how many events there are.

    Holds the append lock throughout, so others wait or see weather. ChainBroken or UnknownEvent,
    with nothing changed, where the events cannot be built upon.
    """
    with kept():
        return await _rebuild(ledger, on_progress)


async def _rebuild(ledger: Ledger, on_progress: Progress | None) -> int:
    async with ledger.writing() as connection:
        audit = Audit()
        await _read_through(connection, audit, on_progress)
        if audit.problems:
            first = audit.problems[0]
            raise ChainBroken(
                f"position {first.position}, {first.what}: {first.message}. Nothing was changed: "
                "no projection is made from a broken chain. Restore the ledger from a copy"
            )
        for unknown in audit.too_new.values():
            raise UnknownEvent(unknown.kind, unknown.version)
        rows = (columns_of(audit.rows[key]) for key in sorted(audit.rows))
        async with without_indexes(connection, grants):
            await _refill(connection, grants, rows)
        await _refill(
            connection,
            latest,
            (asdict(key) | {"position": position} for key, position in audit.newest.items()),
        )
    return audit.count


async def _read_through(
    connection: AsyncConnection,
    audit: Audit,
    on_progress: Progress | None,
    hashes: dict[int, str] | None = None,
) -> None:
    """Has `audit` look at every row; puts the hashes of those that `hashes` has as keys into it."""
    wanted = {} if hashes is None else hashes
    async with aclosing(stream_columns(connection)) as batches:
        async for rows in batches:
            for columns in rows:
                audit.look_at(columns)
                if wanted and audit.position in wanted:
                    wanted[audit.position] = audit.hash
                if on_progress is not None and audit.count % PROGRESS_EVENTS == 0:
                    on_progress(audit.count)


async def _look_at_guards(connection: AsyncConnection, audit: Audit) -> None:
    standing = await connection.run_sync(triggers)
    for name in guards.missing(connection.dialect.name, standing):
        audit.found(0, "guards", f"{name} does not stand as written: rows could be changed")
    for name in sorted(standing.keys() - set(guards.names(connection.dialect.name))):
        audit.found(0, "guards", f"the trigger {name} is not ours: nobody knows what it did")


async def _look_at_file(connection: AsyncConnection, audit: Audit) -> None:
    """An index may lack what its table has: then an answer lacks it, and no row is wrong."""
    for found in await connection.run_sync(damages):
        audit.found(0, "file", f"{found}. Put the newest backup in its place")


async def _compare_tables(connection: AsyncConnection, audit: Audit) -> None:
    streaming = {"yield_per": STREAM_ROWS}
    order = (grants.c.grant_id, grants.c.turn)
    query = select(grants).order_by(*order)
    async with connection.stream(query, execution_options=streaming) as result:
        async for some in result.mappings().partitions():
            for columns in some:
                audit.compare_grant(columns)
    async with connection.stream(select(latest), execution_options=streaming) as result:
        async for row in result.mappings():
            key = LatestKey(row["topic"], row["account"], row["team"], row["name"])
            audit.compare_latest(key, row["position"])
    audit.compare_rest()


async def _compare_kept(connection: AsyncConnection, audit: Audit, origin: str) -> None:
    """The `checkpoints` table against the rows that it speaks of. No key is known here, so that
    this finds mistakes and half-done forgeries; what proves is a checkpoint kept elsewhere."""
    async with aclosing(stream_kept(connection)) as rows:
        async for kept in rows:
            wrong = kept.wrong(origin)
            if wrong is not None:
                audit.found(kept.position, "checkpoint", f"the one kept by {kept.key}: {wrong}")


async def _refill(
    connection: AsyncConnection, table: Table, rows: Iterable[dict[str, Any]]
) -> None:
    await connection.execute(delete(table))
    for some in _batches(rows):
        await insert_rows(connection, table, some)


def _batches(rows: Iterable[T]) -> Iterator[list[T]]:
    waiting = iter(rows)
    while some := list(islice(waiting, STREAM_ROWS)):
        yield some
