"""Making and keeping checkpoints, and holding the ledger against one in an instant.

Invariant: nothing is signed that departs from what was signed before, as far as it is known here:
the newest kept ones and the one that the caller remembers. Who signs is a function that is passed
in: no key comes near the database.
"""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, inspect, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.checkpoint import (
    Checkpoint,
    CheckpointRefused,
    Note,
    Verdict,
    Witness,
    checkpoint_in,
    judge,
    origin_of,
    parse_note,
)
from ledger.codec import microseconds
from ledger.errors import ChainBroken
from ledger.schema import checkpoints, events
from ledger.store.append import read_head
from ledger.store.ledger import Ledger
from ledger.store.of_all import ledger_id

Sign = Callable[[Checkpoint], Note]

KEPT_LOOKED_AT = 2
"""The newest kept ones that a new one is held against: the last, by an old key and by a new."""

STREAM_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class Kept:
    """One row of the `checkpoints` table, unchecked."""

    position: int
    key: str
    hash: str
    note: str
    stands: str | None
    """The hash of the event at that position now; None where there is none."""

    def wrong(self, origin: str) -> str | None:
        """What does not fit together, the signature not looked at; None when all does."""
        try:
            said = checkpoint_in(parse_note(self.note.encode()))
        except (CheckpointRefused, AttributeError, UnicodeEncodeError) as error:
            return f"its note cannot be read: {error}"
        if said != Checkpoint(origin, self.position, self.hash):
            return "its note says something else than its row"
        if self.hash != self.stands:
            return "the event at its position is not the one that was signed"
        return None


@dataclass(frozen=True, slots=True)
class Made:
    """A checkpoint of the ledger as it is now."""

    checkpoint: Checkpoint
    note: Note


async def make(
    ledger: Ledger, sign: Sign, key: str, *, now: datetime, remembered: Witness | None = None
) -> Made | None:
    """Signs the head and keeps the note under `key`; None where the ledger is empty.

    ChainBroken, with nothing signed, when the ledger does not hold what was signed before.
    """
    async with ledger.writing() as connection:
        head = await read_head(connection)
        if head.position == 0 and remembered is None:
            return None
        await refuse_broken(connection, remembered)
        checkpoint = Checkpoint(origin_of(await ledger_id(connection)), head.position, head.hash)
        note = sign(checkpoint)
        stands = await connection.execute(
            select(checkpoints.c.note).where(
                checkpoints.c.position == head.position, checkpoints.c.key == key
            )
        )
        if stands.first() is None:
            await connection.execute(
                insert(checkpoints).values(
                    position=head.position,
                    key=key,
                    hash=head.hash,
                    note=str(note),
                    made_at=microseconds(now),
                )
            )
    return Made(checkpoint, note)


async def refuse_broken(connection: AsyncConnection, remembered: Witness | None) -> None:
    """ChainBroken when the ledger departs from the newest kept checkpoints or from `remembered`.

    Looks at single rows only: `verify` looks at all that they stand for.
    """
    query = select(checkpoints).order_by(checkpoints.c.position.desc()).limit(KEPT_LOOKED_AT)
    origin = origin_of(await ledger_id(connection))
    witnesses = [
        Witness(
            f"kept at position {row.position}", Checkpoint(origin, row.position, row.hash), row.key
        )
        for row in await connection.execute(query)
    ]
    if remembered is not None:
        witnesses.append(remembered)
    for verdict in await look(connection, witnesses):
        if verdict.wrong is not None:
            raise ChainBroken(
                f"the checkpoint {verdict.witness.name} no longer holds: {verdict.wrong}. Nothing "
                "was signed. Run `iam-ledger verify --checkpoint` with one that was kept elsewhere"
            )


async def look(connection: AsyncConnection, witnesses: list[Witness]) -> tuple[Verdict, ...]:
    """What the ledger's rows are to the witnesses, without recomputing any hash."""
    sizes = sorted({witness.checkpoint.size for witness in witnesses})
    found = await connection.execute(
        select(events.c.position, events.c.hash).where(events.c.position.in_(sizes))
    )
    head = await read_head(connection)
    return judge(
        witnesses,
        origin=origin_of(await ledger_id(connection)),
        head=head.position,
        hashes={row.position: row.hash for row in found},
    )


async def stream_kept(connection: AsyncConnection) -> AsyncGenerator[Kept, None]:
    """Every kept checkpoint in order; none where the schema is older than the table."""
    if not await connection.run_sync(lambda sync: inspect(sync).has_table(checkpoints.name)):
        return
    query = (
        select(
            checkpoints.c.position,
            checkpoints.c.key,
            checkpoints.c.hash,
            checkpoints.c.note,
            events.c.hash.label("stands"),
        )
        .join(events, events.c.position == checkpoints.c.position, isouter=True)
        .order_by(checkpoints.c.position, checkpoints.c.key)
    )
    options = {"yield_per": STREAM_ROWS}
    async with connection.stream(query, execution_options=options) as result:
        async for row in result:
            yield Kept(row.position, row.key, row.hash, row.note, row.stands)
