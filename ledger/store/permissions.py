"""Who could do one action: the grants of an answer, held against what their policies said then.

Invariant: a grant is left out only where all its texts of that time were read and none allows the
action, or a Deny among the principal's own forbids it. A text that nobody stored makes `unknown`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.answer import At, Between, When, instant_of_answer, state_of
from ledger.codec import kind_of
from ledger.events import PolicyDefined
from ledger.model import Policy, Team
from ledger.permits import Asked, Verdict, judge
from ledger.project import GrantRow
from ledger.schema import events
from ledger.store.append import chunks
from ledger.store.questions import Found, WhoHasAccess
from ledger.store.reads import read_events
from ledger.store.sources import StoredSource, read_sources

Permits = Literal["yes", "conditional", "unknown"]

NOT_IN_ANSWER = (
    "policies that this ledger did not grant",
    "resource policies",
    "permissions boundaries and service control policies",
    "the root user",
    "IAM Identity Center",
    "who may assume a named role",
    "who was in a named group",
)
"""What decides about access in AWS too, and is unknown here."""

_RANK: dict[Permits, int] = {"unknown": 0, "conditional": 1, "yes": 2}


@dataclass(frozen=True, slots=True)
class Permitted:
    """One grant by which somebody could, or may have been able to, do what is asked."""

    found: Found
    permits: Permits
    """The most that it came to in the time asked about."""
    unread: tuple[str, ...]
    """AWS-managed policies whose text of then is not stored."""


@dataclass(frozen=True, slots=True)
class _Texts:
    """What policies said, and from when."""

    defined: Mapping[tuple[Team, str], Sequence[tuple[datetime, Policy]]]
    managed: Mapping[str, Sequence[StoredSource]]


@dataclass(frozen=True, slots=True)
class _Own:
    """The documents of one grant at one instant."""

    documents: tuple[str, ...]
    unread: tuple[str, ...]
    second_factor: bool = False
    """Whether each Allow was written with that condition, which stands in none of the texts."""


async def permitted(
    connection: AsyncConnection, answer: WhoHasAccess, when: When, asked: Asked
) -> tuple[Permitted, ...]:
    """Those of `answer.access` that permit what is asked at some instant of `when`, in order."""
    texts = await _texts(connection, answer)
    by_principal: dict[tuple[str, str], list[Found]] = defaultdict(list)
    for item in answer.access:
        grant = item.row.grant
        by_principal[grant.account, grant.principal.key].append(item)
    kept: dict[tuple[str, int], Permitted] = {}
    for items in by_principal.values():
        for instant in _instants(items, texts, when):
            for one in _at(items, texts, instant, asked):
                known = kept.get(one.found.row.key)
                if known is None or _RANK[known.permits] < _RANK[one.permits]:
                    kept[one.found.row.key] = one
    return tuple(kept[item.row.key] for item in answer.access if item.row.key in kept)


def _instants(items: Sequence[Found], texts: _Texts, when: When) -> list[datetime]:
    """Every instant of `when` from which on a principal's grants or their texts are others."""
    match when:
        case At(instant):
            return [instant]
        case Between(start, end):
            rows = [item.row for item in items]
            found = {start, *(row.access_from for row in rows)}
            found |= {at for row in rows if (at := instant_of_answer(row, when)) is not None}
            for row in rows:
                key = (row.grant.team, row.grant.policy)
                for at, policy in texts.defined.get(key, ()):
                    found.add(at)
                    for arn in policy.managed_policies:
                        found |= {source.seen_at for source in texts.managed.get(arn, ())}
            return sorted(instant for instant in found if start <= instant < end)


def _at(
    items: Sequence[Found], texts: _Texts, instant: datetime, asked: Asked
) -> Iterable[Permitted]:
    """The grants of one principal that permit it at `instant`."""
    owns = [
        (item, _own(item.row, texts, instant))
        for item in items
        if state_of(item.row, instant) is not None
    ]
    everything = [document for _, own in owns for document in own.documents]
    denied = _denied(everything, asked)
    for item, own in owns:
        permits = _permits(own, asked, denied=denied)
        if permits is not None:
            yield Permitted(item, permits, own.unread)


def _permits(own: _Own, asked: Asked, *, denied: Verdict) -> Permits | None:
    """What one grant comes to, given what the principal's Denies leave of an Allow on all."""
    alone = judge(own.documents, asked)
    if denied == "no":
        return None
    if alone == "yes":
        return "yes" if denied == "yes" and not own.second_factor else "conditional"
    if alone == "conditional":
        return "conditional"
    return "unknown" if own.unread else None


_ALLOW_ALL = '{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}'


def _denied(documents: Sequence[str], asked: Asked) -> Verdict:
    """What would be left of an Allow on everything, under the Denies among `documents`."""
    return judge([_ALLOW_ALL, *documents], asked)


def _own(row: GrantRow, texts: _Texts, instant: datetime) -> _Own:
    policy = _newest_by(texts.defined.get((row.grant.team, row.grant.policy), ()), instant)
    if policy is None:
        return _Own((), (f"policy {row.grant.policy}",))
    documents = [] if policy.document is None else [policy.document]
    # A copy keeps the text that it was made from; what is attached follows AWS.
    attached = {made.name for made in row.made if made.kind == "attachment"}
    pins = {pin.arn: pin.version for pin in row.pins if pin.arn not in attached}
    unread = []
    for arn in policy.managed_policies:
        source = _source(texts.managed.get(arn, ()), pins.get(arn), instant)
        if source is None:
            unread.append(arn)
        else:
            documents.append(source.document)
    return _Own(tuple(documents), tuple(unread), policy.require_mfa)


def _newest_by(found: Sequence[tuple[datetime, Policy]], instant: datetime) -> Policy | None:
    """The one in force at `instant`; the first where all came later."""
    before = [policy for at, policy in found if at <= instant]
    return before[-1] if before else (found[0][1] if found else None)


def _source(
    stored: Sequence[StoredSource], version: str | None, instant: datetime
) -> StoredSource | None:
    """The pinned version; else the newest that was read by then. None: none is stored."""
    if version is not None:
        return next((source for source in stored if source.version == version), None)
    before = [source for source in stored if source.seen_at <= instant]
    return before[-1] if before else None


async def _texts(connection: AsyncConnection, answer: WhoHasAccess) -> _Texts:
    keys = {(item.row.grant.team, item.row.grant.policy) for item in answer.access}
    defined: dict[tuple[Team, str], list[tuple[datetime, Policy]]] = {}
    for some in chunks(sorted({policy for _, policy in keys})):
        query = (
            select(events)
            .where(
                and_(
                    events.c.policy.in_(some),
                    events.c.kind == kind_of(PolicyDefined),
                    events.c.position <= answer.position,
                )
            )
            .order_by(events.c.position)
        )
        for item in await read_events(connection, query):
            event = item.event
            if isinstance(event, PolicyDefined):
                key = (event.policy.team, event.policy.name)
                if key in keys:
                    defined.setdefault(key, []).append((item.recorded_at, event.policy))
    arns = {
        arn
        for versions in defined.values()
        for _, policy in versions
        for arn in policy.managed_policies
    }
    return _Texts(defined, await read_sources(connection, arns))
