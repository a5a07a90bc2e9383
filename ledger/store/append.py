"""Appending: events, the grants' projection and the newest words, in one transaction.

Invariant: positions are dense and in commit order, because the head is read after the append lock
was taken and the lock is held to the commit. An event that stands already (same dedup key) is
skipped, so that every append may be repeated.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.codec import GENESIS, Envelope, dedup_key, encode_values, instant_of, microseconds
from ledger.envelope import Draft, Recorded
from ledger.model import GrantId
from ledger.project import GrantRow, LatestKey, fold, latest_keys, row_key
from ledger.rows import FIXED, columns_of, row_of
from ledger.schema import events, grants, latest
from ledger.state import Head
from ledger.store.dialect import among, clock_us, delete_rows, insert_rows, update_rows

CHUNK = 400
"""Values in one IN list: below every engine's limit on bound parameters."""

ROWS_A_READING = 10_000
"""Grants whose rows are asked for at once."""

_KEY = ("grant_id", "turn")

T = TypeVar("T")


def chunks(items: Sequence[T], size: int = CHUNK) -> Iterator[Sequence[T]]:
    """`items` in slices of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of some drafts."""

    positions: tuple[int, ...]
    """Parallel to the drafts; of the event that stood already where it did."""
    recorded: tuple[Recorded, ...]
    """The new ones only, in order."""
    head: int


_HEAD = (
    select(events.c.position, events.c.hash, events.c.recorded_at)
    .order_by(events.c.position.desc())
    .limit(1)
)


async def read_head(connection: AsyncConnection) -> Head:
    row = (await connection.execute(_HEAD)).first()
    if row is None:
        return Head(0, GENESIS, None)
    return Head(row.position, row.hash, instant_of(row.recorded_at))


async def append(
    connection: AsyncConnection, drafts: Sequence[Draft], *, now: datetime
) -> Appended:
    """Appends what does not stand yet; the caller holds the append lock and commits.

    `recorded_at` is the database server's time, on SQLite `now`; or the head's where that is later:
    it never goes backwards.
    """
    head = await read_head(connection)
    keys = [dedup_key(draft.event, draft.cause) for draft in drafts]
    standing = await _standing(connection, keys)
    clock = await clock_us(connection)
    recorded_at_us = microseconds(now) if clock is None else clock
    if head.recorded_at is not None:
        recorded_at_us = max(recorded_at_us, microseconds(head.recorded_at))
    made = _Chain(head, recorded_at_us, standing)
    await insert_rows(connection, events, made.rows(zip(keys, drafts, strict=True)))
    if made.new:
        await project(connection, made.new)
    return Appended(tuple(standing[key] for key in keys), tuple(made.new), made.position)


class _Chain:
    """Makes drafts into rows, each behind the one before it, while the engine takes them."""

    def __init__(self, head: Head, recorded_at_us: int, standing: dict[str, int]) -> None:
        """`standing`: where the events of known dedup keys stand; those that are made join them."""
        self.new: list[Recorded] = []
        self.position, self._hash = head.position, head.hash
        self._at_us, self._at = recorded_at_us, instant_of(recorded_at_us)
        self._standing = standing

    def rows(self, drafts: Iterable[tuple[str, Draft]]) -> Iterator[dict[str, Any]]:
        """Of those that do not stand yet."""
        for key, draft in drafts:
            if key in self._standing:
                continue
            self.position += 1
            values = encode_values(
                draft,
                key,
                position=self.position,
                recorded_at_us=self._at_us,
                prev_hash=self._hash,
            )
            self._hash = values[-1]
            self._standing[key] = self.position
            self.new.append(
                Recorded(self.position, self._at, draft.event, draft.provenance, key, self._hash)
            )
            yield dict(zip(_COLUMNS, values, strict=True))


_COLUMNS = [field.name.removesuffix("_us") for field in fields(Envelope)]
"""An envelope's fields, as the table names them."""


async def _standing(connection: AsyncConnection, keys: Sequence[str]) -> dict[str, int]:
    query = select(events.c.dedup_key, events.c.position)
    result = await connection.execute(query.where(among(connection, events.c.dedup_key, keys)))
    return {row.dedup_key: row.position for row in result}


async def project(connection: AsyncConnection, new: Sequence[Recorded]) -> None:
    """Brings `grants` and `latest` up to `new`, which must follow what they hold already."""
    keys = {key for item in new if (key := row_key(item.event)) is not None}
    before = await read_rows(connection, sorted(keys))
    after = dict(before)
    for item in new:
        key = row_key(item.event)
        if key is None:
            continue
        row = fold(after.get(key), item)
        if row is not None:
            after[key] = row
    inserted = [columns_of(row) for key, row in after.items() if key not in before]
    changed = [
        {name: value for name, value in columns_of(row).items() if name not in FIXED}
        for key, row in after.items()
        if key in before and row is not before[key]
    ]
    if inserted:
        await insert_rows(connection, grants, inserted)
    if changed:
        await update_rows(connection, grants, changed, key=_KEY)
    await _renew_latest(connection, new)


async def _renew_latest(connection: AsyncConnection, new: Sequence[Recorded]) -> None:
    newest: dict[LatestKey, int] = {
        key: item.position for item in new for key in latest_keys(item.event)
    }
    if not newest:
        return
    rows = [asdict(key) | {"position": position} for key, position in newest.items()]
    await delete_rows(connection, latest, [asdict(key) for key in newest])
    await insert_rows(connection, latest, rows)


async def read_rows(
    connection: AsyncConnection, keys: Sequence[tuple[GrantId, int]]
) -> dict[tuple[GrantId, int], GrantRow]:
    """The projection's rows of these turns, those that exist."""
    wanted = set(keys)
    ids = sorted({grant for grant, _ in wanted})
    found: dict[tuple[GrantId, int], GrantRow] = {}
    for some in chunks(ids, ROWS_A_READING):
        result = await connection.execute(
            select(grants).where(among(connection, grants.c.grant_id, some))
        )
        for columns in result.mappings():
            if (columns["grant_id"], columns["turn"]) in wanted:
                row = row_of(columns)
                found[row.key] = row
    return found


async def count_events(connection: AsyncConnection) -> int:
    return int((await connection.execute(select(func.count()).select_from(events))).scalar_one())
