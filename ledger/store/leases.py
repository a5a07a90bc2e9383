"""Which worker keeps which accounts: leases on shards of them, each with a fencing token.

Invariant: a shard's token grows whenever somebody takes the shard, and what is appended under a
token is refused once a later one was given out. So two workers may believe that they keep an
account; only one of them can record anything. Times are the database server's, so that no worker's
clock counts; on SQLite, which has no server, the caller's.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zlib import crc32

from sqlalchemy import ColumnElement, Row, delete, insert, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.codec import instant_of, microseconds
from ledger.errors import Fenced, LedgerBusy
from ledger.model import AccountId
from ledger.schema import leases, replicas
from ledger.store.dialect import clock_us

SHARDS = 64
"""Into so many parts the accounts fall; no more workers than that can share a ledger."""

LEASE = timedelta(seconds=6)
"""How long a lease stands without a word of its holder."""


def shard_of(account: AccountId) -> int:
    """The same in every process and version: it decides who may write."""
    return crc32(account.encode()) % SHARDS


@dataclass(frozen=True, slots=True)
class Fence:
    """The right to record evidence of one shard's accounts."""

    shard: int
    token: int
    """Grows with every taking; a later one makes this one void."""


@dataclass(frozen=True, slots=True)
class Replica:
    """One process that keeps accounts."""

    instance: str
    """Unique among processes; two may have one name."""
    name: str
    alone: bool = False
    """Whether it keeps a ledger with nobody beside it (`--once`, `--account`)."""


@dataclass(frozen=True, slots=True)
class LivingReplica:
    """One process that has said so lately."""

    name: str
    shards: int
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Beat:
    """What stands after one word of a replica."""

    held: tuple[Fence, ...]
    """Its leases, renewed, in order of their shards."""
    surplus: tuple[int, ...]
    """Shards to be let go, since others have fewer: end their work first."""
    replicas: int
    """How many live, this one among them."""


async def beat(
    connection: AsyncConnection,
    me: Replica,
    *,
    now: datetime,
    let_go: Collection[int] = (),
    lease: timedelta = LEASE,
) -> Beat:
    """Says that `me` lives, renews its leases but those `let_go`, and takes what is its share.

    A lease that ran out and was taken by nobody is still its holder's. For use in `Ledger.leasing`,
    where no two do it at once. LedgerBusy where somebody else keeps the ledger alone, or `me` would
    and others live; nothing is changed then.
    """
    server_us = await clock_us(connection)
    now_us = microseconds(now) if server_us is None else server_us
    until_us = now_us + lease // timedelta(microseconds=1)
    living = await _join(connection, me, now_us=now_us, until_us=until_us)
    standing = {row.shard: row for row in await connection.execute(select(leases))}
    mine = {
        shard: int(row.token)
        for shard, row in standing.items()
        if row.instance == me.instance and shard not in let_go
    }
    share = _share(me, living)
    await _hold(connection, me, mine, until_us=until_us)
    await _give_back(connection, leases.c.shard.in_(sorted(let_go)), me)
    free = (shard for shard in range(SHARDS) if _is_free(standing.get(shard), me, now_us))
    for shard, _ in zip(free, range(share - len(mine)), strict=False):
        row = standing.get(shard)
        mine[shard] = 1 if row is None else int(row.token) + 1
        await _take(connection, me, Fence(shard, mine[shard]), until_us=until_us)
    return Beat(
        held=tuple(Fence(shard, token) for shard, token in sorted(mine.items())),
        surplus=tuple(sorted(mine)[share:]),
        replicas=len(living),
    )


async def _join(
    connection: AsyncConnection, me: Replica, *, now_us: int, until_us: int
) -> list[str]:
    """The instances that live now, in order; `me` is one of them from here on."""
    rows = list(await connection.execute(select(replicas).where(replicas.c.lives_until > now_us)))
    others = [row for row in rows if row.instance != me.instance]
    for other in others:
        if me.alone or other.alone:
            how = "keeps this ledger alone" if other.alone else "keeps this ledger"
            raise LedgerBusy(
                f"another worker ({other.name}) {how}; one that makes a single pass, or keeps some "
                "accounts only, shares a ledger with nobody. Stop that one first"
            )
    await connection.execute(
        delete(replicas).where(
            (replicas.c.instance == me.instance) | (replicas.c.lives_until <= now_us)
        )
    )
    values = {"instance": me.instance, "name": me.name, "alone": int(me.alone)}
    await connection.execute(
        insert(replicas), values | {"seen_at": now_us, "lives_until": until_us}
    )
    return sorted([*(row.instance for row in others), me.instance])


def _share(me: Replica, living: Sequence[str]) -> int:
    """How many shards are `me`'s part: equal but for one, the first in order having that one."""
    each, over = divmod(SHARDS, len(living))
    return each + (living.index(me.instance) < over)


def _is_free(row: Row[tuple[object, ...]] | None, me: Replica, now_us: int) -> bool:
    if row is None or row.instance is None:
        return True
    return bool(row.instance != me.instance and row.held_until <= now_us)


async def _hold(
    connection: AsyncConnection, me: Replica, shards: Collection[int], *, until_us: int
) -> None:
    await connection.execute(
        update(leases)
        .where(leases.c.shard.in_(sorted(shards)), leases.c.instance == me.instance)
        .values(held_until=until_us)
    )


async def _take(connection: AsyncConnection, me: Replica, fence: Fence, *, until_us: int) -> None:
    values = {"token": fence.token, "instance": me.instance, "held_until": until_us}
    if fence.token == 1:
        await connection.execute(insert(leases), values | {"shard": fence.shard})
    else:
        await connection.execute(update(leases).where(leases.c.shard == fence.shard).values(values))


async def _give_back(connection: AsyncConnection, which: ColumnElement[bool], me: Replica) -> None:
    """Tokens stay: who takes one next must have a later one."""
    await connection.execute(
        update(leases)
        .where(which, leases.c.instance == me.instance)
        .values(instance=None, held_until=0)
    )


async def leave(connection: AsyncConnection, me: Replica) -> None:
    """Gives back all that `me` holds, so that others need not wait for it to run out."""
    await _give_back(connection, true(), me)
    await connection.execute(delete(replicas).where(replicas.c.instance == me.instance))


async def check_fences(connection: AsyncConnection, fences: Collection[Fence]) -> None:
    """Fenced where any of these shards was taken by somebody else since; else none can be taken
    before this transaction ends. A lease that merely ran out is no reason: nobody else can write.
    """
    if not fences:
        return
    shards = sorted({fence.shard for fence in fences})
    query = select(leases.c.shard, leases.c.token).where(leases.c.shard.in_(shards))
    rows = await connection.execute(query.with_for_update(read=True))
    standing = {row.shard: row.token for row in rows}
    for fence in fences:
        if standing.get(fence.shard) != fence.token:
            raise Fenced(
                f"another worker keeps shard {fence.shard} of the accounts since (token "
                f"{standing.get(fence.shard)}, ours was {fence.token}): nothing was recorded"
            )


async def read_replicas(connection: AsyncConnection, *, now: datetime) -> tuple[LivingReplica, ...]:
    """Who keeps accounts of this ledger now, in order of their names."""
    server_us = await clock_us(connection)
    now_us = microseconds(now) if server_us is None else server_us
    held: dict[str, int] = {}
    for row in await connection.execute(select(leases.c.instance)):
        held[row.instance] = held.get(row.instance, 0) + 1
    rows = await connection.execute(select(replicas).where(replicas.c.lives_until > now_us))
    found = [
        LivingReplica(row.name, held.get(row.instance, 0), instant_of(row.seen_at)) for row in rows
    ]
    return tuple(sorted(found, key=lambda one: (one.name, one.seen_at)))
