"""What auditors ask, as SQL: who, when, as known then; histories; what stands wrong.

Every function takes a connection inside a transaction, so that one answer is of one instant. The
conditions find a superset through the indexes; `ledger.answer` decides.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.answer import At, Between, When, as_known, instant_of_answer, without_access
from ledger.codec import microseconds
from ledger.envelope import Provenance, Recorded
from ledger.errors import ChainBroken
from ledger.model import PRINCIPAL_KINDS, GrantId
from ledger.project import GrantRow
from ledger.rows import row_of
from ledger.schema import events, grants, latest
from ledger.state import Unreadable
from ledger.store.append import chunks, read_head
from ledger.store.reads import Filter, by_name, provenance_of, read_events, recorded_of

_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Found:
    """One turn of a grant with what brought it."""

    row: GrantRow
    provenance: Provenance
    """Of its `granted`."""


@dataclass(frozen=True, slots=True)
class WhoHasAccess:
    """An answer: everybody who may have access, and who was meant to and has none."""

    position: int
    """Everything up to this event is in the answer, and nothing behind it."""
    access: tuple[Found, ...]
    denied: tuple[Found, ...] = ()
    """In their window, but refused or missing."""


@dataclass(frozen=True, slots=True)
class History:
    position: int
    events: tuple[Recorded, ...]
    truncated: bool = field(default=False)
    """Whether older events were left out for the limit."""


async def position_at(connection: AsyncConnection, instant: datetime) -> int:
    """The newest position recorded at or before `instant`; 0 when nothing was."""
    found = await connection.execute(_POSITION_AT, {"instant": microseconds(instant)})
    return int(found.scalar_one())


def _position_at() -> Select[Any]:
    """`recorded_at` never goes backwards and positions are dense, so that halving finds it in about
    25 look-ups among ten million: all in one statement, since asking takes longer than finding."""
    head = select(func.coalesce(func.max(events.c.position), 0)).scalar_subquery()
    halving = select(literal(0, BigInteger).label("low"), head.label("high")).cte(
        "halving", recursive=True
    )
    middle = (halving.c.low + halving.c.high + 1) // 2
    at = select(events.c.recorded_at).where(events.c.position == middle).scalar_subquery()
    early = at <= bindparam("instant", type_=BigInteger)
    halving = halving.union_all(
        select(
            case((early, middle), else_=halving.c.low),
            case((early, halving.c.high), else_=middle - 1),
        ).where(halving.c.low < halving.c.high)
    )
    return select(halving.c.low).where(halving.c.low == halving.c.high).limit(1)


_POSITION_AT = _position_at()
"""Made once: that took as long as asking."""


async def who_has_access(
    connection: AsyncConnection,
    *,
    keep: Filter,
    when: When,
    as_known_at: datetime | None = None,
    denied: bool = False,
) -> WhoHasAccess:
    """Who may have access in `when`, by what is known now or was known at `as_known_at`.

    With `denied` also who was meant to and has none. Order: account, principal, policy, position.
    """
    first_us, last_us = _bounds(when)
    where = [grants.c.access_from <= last_us, *_conditions(keep)]
    if as_known_at is None:
        position = (await read_head(connection)).position
        found = await find(connection, [*where, grants.c.access_to > first_us])
        if denied:  # what was refused from the start has access from nowhere to nowhere
            where += [grants.c.trouble == "refused", grants.c.closed_position.is_(None)]
            found = _each_once(found + await find(connection, where))
    else:
        position = await position_at(connection, as_known_at)
        found = await _as_known(connection, where, first_us=first_us, position=position)
    return WhoHasAccess(
        position,
        tuple(item for item in found if instant_of_answer(item.row, when) is not None),
        tuple(item for item in found if denied and without_access(item.row, when)),
    )


async def _as_known(
    connection: AsyncConnection,
    where: Sequence[ColumnElement[bool]],
    *,
    first_us: int,
    position: int,
) -> list[Found]:
    """The candidates, each folded anew from its own events up to `position`.

    A row's access may have looked longer at `position` than it does now: it was revoked, closed or
    refused since. It cannot have looked longer than to its window's end, unless it was open then.
    """
    candidates = await find(
        connection,
        [
            *where,
            grants.c.granted_position <= position,
            or_(
                grants.c.access_to > first_us,
                grants.c.ends_at > first_us,
                grants.c.closed_position.is_(None),
                grants.c.closed_position > position,
            ),
        ],
    )
    histories = await events_of(connection, [item.row.key for item in candidates], upto=position)
    known: list[Found] = []
    for item in candidates:
        row = as_known(histories.get(item.row.key, ()), position)
        if row is not None:
            known.append(Found(row, item.provenance))
    return known


async def expiring(
    connection: AsyncConnection, *, keep: Filter, now: datetime, until: datetime
) -> WhoHasAccess:
    """Grants in force or to come whose end lies in `now < end <= until`, the nearest first."""
    where = [
        grants.c.ends_at > microseconds(now),
        grants.c.ends_at <= microseconds(until),
        grants.c.revoked_position.is_(None),
        grants.c.closed_position.is_(None),
        *_conditions(keep),
    ]
    found = await find(connection, where)
    found.sort(key=lambda item: (item.row.grant.window.ends_at or until, _order(item)))
    head = await read_head(connection)
    return WhoHasAccess(head.position, tuple(item for item in found if _will(item.row, now)))


def _will(row: GrantRow, now: datetime) -> bool:
    return instant_of_answer(row, At(max(now, row.access_from))) is not None


async def events_of(
    connection: AsyncConnection,
    keys: Iterable[tuple[GrantId, int]],
    *,
    upto: int | None = None,
) -> dict[tuple[GrantId, int], list[Recorded]]:
    """All events of these turns in order, up to a position; None: all there are."""
    wanted = set(keys)
    found: dict[tuple[GrantId, int], list[Recorded]] = {}
    for some in chunks(sorted({grant for grant, _ in wanted})):
        query = select(events).where(events.c.grant_id.in_(some))
        if upto is not None:
            query = query.where(events.c.position <= upto)
        for row in by_name(await connection.execute(query)):
            key = (GrantId(row["grant_id"]), int(row["turn"]))
            if key in wanted:
                found.setdefault(key, []).append(recorded_of(row))
    for recorded in found.values():  # here, since asked for in order they may be sought in order
        recorded.sort(key=attrgetter("position"))
    return found


async def history(
    connection: AsyncConnection,
    *,
    keep: Filter,
    newest: int,
    as_known_at: datetime | None = None,
) -> History:
    """The newest `newest` events about what `keep` names, oldest first."""
    head = (await read_head(connection)).position
    position = head if as_known_at is None else await position_at(connection, as_known_at)
    where: list[ColumnElement[bool]] = [events.c.position <= position]
    for column, value in (
        (events.c.account, keep.account),
        (events.c.team, keep.team),
        (events.c.policy, keep.policy),
    ):
        if value is not None:
            where.append(column == value)
    if keep.principal is not None:
        where.append(events.c.principal.in_(principal_keys(keep.principal)))
    if keep.grant is not None:
        where.append(_prefix(events.c.grant_id, keep.grant))
    query = select(events).where(and_(*where)).order_by(events.c.position.desc()).limit(newest + 1)
    found = await read_events(connection, query)
    kept = tuple(reversed(found[:newest]))
    return History(position, kept, truncated=len(found) > newest)


async def unknown_words(connection: AsyncConnection, keep: Filter) -> tuple[str, ...]:
    """Which filters name what no grant in this ledger ever named: typing errors, often.

    An environment is known by its account: no grant is made in one that was never mapped.
    """
    unknown: list[str] = []
    for name in ("account", "environment", "team", "principal", "policy", "grant"):
        value = getattr(keep, name)
        if value is None:
            continue
        named = Filter(**{name: value})
        where = [_mapped_as(value)] if name == "environment" else _conditions(named)
        some = select(exists().where(*where))
        if not (await connection.execute(some)).scalar_one():
            unknown.append(f"{name} `{value}`")
    return tuple(unknown)


async def grants_by_id(connection: AsyncConnection, prefix: str) -> list[Found]:
    """Every turn of the grants whose id begins with `prefix`."""
    return await find(connection, [_prefix(grants.c.grant_id, prefix)])


def principal_keys(text: str) -> tuple[str, ...]:
    """The keys that `user/ana`, `user/a/path/ana`, `ana` of any kind, or an address may stand for.

    `ana@example.com` is an IAM name that somebody may have, and the user `ana` by its local part.
    """
    folded = text.casefold()
    kind, slash, name = folded.partition("/")
    if slash:
        return (f"{kind}/{name.rpartition('/')[2]}",)
    keys = [f"{kind.value}/{folded}" for kind in PRINCIPAL_KINDS]
    if "@" in folded:
        local = folded.rpartition("@")[0]
        keys += [
            f"{k.value}/{local}" for k, facts in PRINCIPAL_KINDS.items() if facts.email_allowed
        ]
    return tuple(keys)


# --- conditions -------------------------------------------------------------------------------


def _bounds(when: When) -> tuple[int, int]:
    """First and last microsecond that `when` speaks of."""
    match when:
        case At(instant):
            return microseconds(instant), microseconds(instant)
        case Between(start, end):
            return microseconds(start), microseconds(end - _TICK)


def _conditions(keep: Filter) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = []
    for column, value in (
        (grants.c.account, keep.account),
        (grants.c.team, keep.team),
        (grants.c.policy, keep.policy),
    ):
        if value is not None:
            where.append(column == value)
    if keep.environment is not None:
        where.append(_in_environment(keep.environment))
    if keep.principal is not None:
        where.append(grants.c.principal_key.in_(principal_keys(keep.principal)))
    if keep.grant is not None:
        where.append(_prefix(grants.c.grant_id, keep.grant))
    return where


def _in_environment(name: str) -> ColumnElement[bool]:
    """Granted under that name, or in an account that is, or ever was, that environment of its team.

    An environment is renamed without its grants: a grant until revoked keeps the name that its
    account had when it was made.
    """
    account = and_(latest.c.account == grants.c.account, latest.c.team == grants.c.team)
    renamed = exists().where(_mapped_as(name), account).correlate(grants)
    return or_(grants.c.environment == name, renamed)


def _mapped_as(name: str) -> ColumnElement[bool]:
    """The words on accounts under that name: the newest stays when an account is unmapped."""
    return and_(latest.c.topic == "account", latest.c.name == name)


def _prefix(column: ColumnElement[Any], prefix: str) -> ColumnElement[bool]:
    """`column` begins with `prefix`, as a range that an index answers (LIKE ignores case)."""
    return and_(column >= literal(prefix), column < literal(prefix + "\U0010ffff"))


async def find(connection: AsyncConnection, where: Sequence[ColumnElement[bool]]) -> list[Found]:
    """The grants that meet `where`; ChainBroken where one of them cannot be read."""
    result = await connection.execute(_query(where))
    return sorted((_found_of(columns) for columns in by_name(result)), key=_order)


async def find_readable(
    connection: AsyncConnection, where: Sequence[ColumnElement[bool]]
) -> tuple[list[Found], list[Unreadable]]:
    """The same for those who must go on with what can be read, and what could not be."""
    found: list[Found] = []
    unreadable: list[Unreadable] = []
    for columns in by_name(await connection.execute(_query(where))):
        try:
            found.append(_found_of(columns))
        except ChainBroken as error:
            unreadable.append(Unreadable(columns["granted_position"], None, str(error)))
    return sorted(found, key=_order), unreadable


_EVERY_GRANT = select(grants, events.c.provenance.label("granted_provenance")).join(
    events, events.c.position == grants.c.granted_position, isouter=True
)
"""A grant whose event is gone is found all the same: nobody may vanish from an answer."""


def _query(where: Sequence[ColumnElement[bool]]) -> Select[Any]:
    return _EVERY_GRANT.where(*where)


def _found_of(columns: Mapping[Any, Any]) -> Found:
    position, text = columns["granted_position"], columns["granted_provenance"]
    return Found(row_of(columns), provenance_of(position, text))


def _each_once(found: list[Found]) -> list[Found]:
    return sorted({item.row.key: item for item in found}.values(), key=_order)


def _order(item: Found) -> tuple[str, str, str, int]:
    grant = item.row.grant
    return grant.account, grant.principal.key, grant.policy, item.row.granted.position
