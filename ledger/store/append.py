"""Appending: events, the grants' projection and the newest words, in one transaction.

Invariant: positions are dense and in commit order, because the head is read after the append lock
was taken and the lock is held to the commit. An event that stands already (same dedup key) is
skipped, so that every append may be repeated.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import and_, bindparam, delete, func, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.codec import GENESIS, Envelope, dedup_key, encode, instant_of, microseconds
from ledger.envelope import Draft, Recorded
from ledger.model import GrantId
from ledger.project import GrantRow, LatestKey, fold, latest_keys, row_key
from ledger.rows import columns_of, row_of
from ledger.schema import events, grants, latest
from ledger.state import Head
from ledger.store.dialect import clock_us, insert_rows

CHUNK = 400
"""Values in one IN list: below every engine's limit on bound parameters."""

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


async def read_head(connection: AsyncConnection) -> Head:
    row = (
        await connection.execute(
            select(events.c.position, events.c.hash, events.c.recorded_at)
            .order_by(events.c.position.desc())
            .limit(1)
        )
    ).first()
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
    position, prev_hash = head.position, head.hash
    new: list[Recorded] = []
    rows: list[dict[str, Any]] = []
    for key, draft in zip(keys, drafts, strict=True):
        if key in standing:
            continue
        position += 1
        row = encode(draft, position=position, recorded_at_us=recorded_at_us, prev_hash=prev_hash)
        prev_hash = row.hash
        standing[key] = position
        rows.append(_values(row))
        new.append(
            Recorded(
                position, instant_of(recorded_at_us), draft.event, draft.provenance, key, row.hash
            )
        )
    if rows:
        await insert_rows(connection, events, rows)
        await project(connection, new)
    return Appended(tuple(standing[key] for key in keys), tuple(new), position)


def _values(row: Envelope) -> dict[str, Any]:
    """`row` as the table names its columns."""
    values = {name: getattr(row, name) for name in row.__slots__}
    values["recorded_at"] = values.pop("recorded_at_us")
    return values


async def _standing(connection: AsyncConnection, keys: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for some in chunks(keys):
        result = await connection.execute(
            select(events.c.dedup_key, events.c.position).where(events.c.dedup_key.in_(some))
        )
        found.update((row.dedup_key, row.position) for row in result)
    return found


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
        columns_of(row) | {"b_grant_id": key[0], "b_turn": key[1]}
        for key, row in after.items()
        if key in before and row is not before[key]
    ]
    if inserted:
        await connection.execute(insert(grants), inserted)
    if changed:
        names = [column.name for column in grants.columns]
        await connection.execute(
            update(grants)
            .where(
                and_(grants.c.grant_id == bindparam("b_grant_id")),
                grants.c.turn == bindparam("b_turn"),
            )
            .values({name: bindparam(name) for name in names}),
            changed,
        )
    await _renew_latest(connection, new)


async def _renew_latest(connection: AsyncConnection, new: Sequence[Recorded]) -> None:
    newest: dict[LatestKey, int] = {
        key: item.position for item in new for key in latest_keys(item.event)
    }
    if not newest:
        return
    rows = [asdict(key) | {"position": position} for key, position in newest.items()]
    await connection.execute(
        delete(latest).where(
            and_(
                latest.c.topic == bindparam("topic"),
                latest.c.account == bindparam("account"),
                latest.c.team == bindparam("team"),
                latest.c.name == bindparam("name"),
            )
        ),
        rows,
    )
    await connection.execute(insert(latest), rows)


async def read_rows(
    connection: AsyncConnection, keys: Sequence[tuple[GrantId, int]]
) -> dict[tuple[GrantId, int], GrantRow]:
    """The projection's rows of these turns, those that exist."""
    found: dict[tuple[GrantId, int], GrantRow] = {}
    for some in chunks(keys, CHUNK // 2):
        result = await connection.execute(
            select(grants).where(tuple_(grants.c.grant_id, grants.c.turn).in_(some))
        )
        for columns in result.mappings():
            row = row_of(columns)
            found[row.key] = row
    return found


async def count_events(connection: AsyncConnection) -> int:
    return int((await connection.execute(select(func.count()).select_from(events))).scalar_one())
