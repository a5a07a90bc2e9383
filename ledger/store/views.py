"""Reads the values of `ledger.state`: each of one instant, through indexes, never by scanning."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.account_words import OF_ALL, OF_THE_ACCOUNT, AccountWords
from ledger.codec import KINDS, NEWEST, VERSION, kind_of, microseconds
from ledger.envelope import Recorded
from ledger.errors import ChainBroken, UnknownEvent
from ledger.events import (
    AccountMapped,
    AccountUnmapped,
    Adopted,
    Held,
    Ingested,
    PolicyDefined,
    PolicyWritten,
    SettingsChanged,
)
from ledger.model import Account, AccountId, GrantId, Team
from ledger.project import GrantRow, LatestKey
from ledger.schema import events, grants
from ledger.state import AccountView, DefinedPolicy, IntentView, Unreadable
from ledger.store.append import chunks, read_head
from ledger.store.reads import (
    Newest,
    newest,
    newest_readable,
    read_grants,
    read_grants_readable,
    recorded_of,
)

E = TypeVar("E")


async def read_intent(
    connection: AsyncConnection,
    *,
    teams: Collection[Team] | None,
    ids: Sequence[GrantId],
    now: datetime,
) -> IntentView:
    """What is declared of `teams` (None: all), with the newest turn of each of `ids`."""
    accounts = await newest(connection, "account")
    policies = await newest(connection, "policy")
    settings = await newest(connection, "settings")
    holds = await newest(connection, "hold")
    ingested = await newest(connection, "ingested")
    now_us = microseconds(now)
    where = [grants.c.revoked_position.is_(None), grants.c.ends_at > now_us]
    if teams is not None:
        where.append(grants.c.team.in_(sorted(teams)))
    rows = {row.grant.id: row for row in await read_grants(connection, _select_rows(*where))}
    missing = [grant for grant in ids if grant not in rows]
    for some in chunks(missing):
        for row in await read_grants(connection, _newest_turns(some)):
            rows[row.grant.id] = row
    positions = {
        key: item.position
        for found in (accounts, policies, settings, holds, ingested)
        for key, item in found.items()
    }
    return IntentView(
        head=await read_head(connection),
        accounts={
            (item.event.account.team, item.event.account.environment): (
                item.event.account,
                item.position,
            )
            for item in accounts.values()
            if isinstance(item.event, AccountMapped)
        },
        policies=_defined(policies),
        settings=_settings(settings),
        positions=positions,
        holds=tuple(i.event for i in holds.values() if isinstance(i.event, Held)),
        last_commits={
            Team(key.team): item.event.commit
            for key, item in ingested.items()
            if isinstance(item.event, Ingested)
        },
        rows=rows,
    )


async def read_account(connection: AsyncConnection, account: AccountId) -> AccountView:
    """All the ledger says about `account` at this instant.

    What cannot be read stands in `unreadable`, and all the rest in its place.
    """
    return (await read_words(connection, account)).view()


async def read_words(
    connection: AsyncConnection, account: AccountId, of_all: Sequence[Newest] | None = None
) -> AccountWords:
    """The same before it is put together, for whoever asks what more events would make of it.

    `of_all`: the words on the topics `OF_ALL`, from whoever reads many accounts; None reads them.
    """
    found = [await newest_readable(connection, topic, account=account) for topic in OF_THE_ACCOUNT]
    if of_all is None:
        of_all = [await newest_readable(connection, topic) for topic in OF_ALL]
    found += of_all
    rows, bad_rows = await read_grants_readable(
        connection, _select_rows(grants.c.account == account, grants.c.closed_position.is_(None))
    )
    unreadable = {key: item for words in found for key, item in words.unreadable.items()}
    astray = any(key.topic == "account" for key in unreadable)
    return AccountWords(
        account=account,
        position=(await read_head(connection)).position,
        ledger_id=await ledger_id(connection),
        rows={row.key: row for row in rows},
        known={key: item for words in found for key, item in words.known.items()},
        unreadable=unreadable,
        too_new=await _too_new(connection, account),
        bad_rows=bad_rows,
        older_way_in=await _older_way_in(connection, account) if astray else None,
    )


def _words(found: Newest, kind: type[E]) -> dict[LatestKey, E]:
    """The subjects whose newest word is of `kind`, in order of position."""
    return {k: item.event for k, item in found.known.items() if isinstance(item.event, kind)}


async def _older_way_in(connection: AsyncConnection, account: AccountId) -> Account | None:
    """Where the newest mapping cannot be read, the newest that can: better than none."""
    query = (
        select(events)
        .where(
            events.c.account == account,
            events.c.kind.in_([kind_of(AccountMapped), kind_of(AccountUnmapped)]),
        )
        .order_by(events.c.position.desc())
    )
    for row in (await connection.execute(query)).mappings():
        with suppress(UnknownEvent, ChainBroken):
            event = recorded_of(row).event
            if isinstance(event, AccountMapped | AccountUnmapped):
                return event.account
    return None


async def _too_new(connection: AsyncConnection, account: AccountId) -> dict[int, Unreadable]:
    """Events about grants in force here that only a newer program can read, by position.

    Its projection of them stands in the rows, ends and all; what else they say nobody here knows.
    """
    query = (
        select(events.c.position, events.c.kind, events.c.version, events.c.grant_id)
        .join(grants, and_(grants.c.grant_id == events.c.grant_id, grants.c.turn == events.c.turn))
        .where(
            grants.c.account == account,
            grants.c.closed_position.is_(None),
            or_(
                events.c.kind.not_in(sorted(KINDS)),
                events.c.version < VERSION,
                events.c.version > case(NEWEST, value=events.c.kind, else_=VERSION),
            ),
        )
        .order_by(events.c.position)
    )
    found: dict[int, Unreadable] = {}
    for row in await connection.execute(query):
        why = UnknownEvent(row.kind, row.version)
        message = f"grant {row.grant_id}, position {row.position}: {why}"
        found[row.position] = Unreadable(row.position, None, message)
    return found


async def accounts_to_keep(connection: AsyncConnection) -> tuple[AccountId, ...]:
    """Every account that is mapped, holds a policy of ours, or still owes a removal.

    Those too of which nobody can read whether they do: nothing is let go of unread.
    """
    mapped = await newest_readable(connection, "account")
    objects = await newest_readable(connection, "object")
    owing = await connection.execute(
        select(grants.c.account).where(grants.c.closed_position.is_(None)).distinct()
    )
    found = {key.account for words in (mapped, objects) for key in words.unreadable}
    found |= {key.account for key in _words(mapped, AccountMapped)}
    found |= {key.account for key in _words(objects, PolicyWritten)}
    found |= {key.account for key in _words(objects, Adopted)}
    found |= {row.account for row in owing}
    return tuple(AccountId(account) for account in sorted(found))


async def closed_rows_of(
    connection: AsyncConnection, account: AccountId, objects: Sequence[str]
) -> tuple[GrantRow, ...]:
    """The grants of `account`, over and done with, whose names in IAM are among `objects`."""
    found: list[GrantRow] = []
    for some in chunks(objects):
        found += await read_grants(
            connection,
            _select_rows(
                grants.c.account == account,
                grants.c.object.in_(some),
                grants.c.closed_position.is_not(None),
            ),
        )
    return tuple(found)


async def ledger_id(connection: AsyncConnection) -> str:
    """Twelve characters of the first event's hash; empty while there is no event.

    Made with the first event and never again, it tells two installations apart in one account.
    """
    first = await connection.execute(select(events.c.hash).where(events.c.position == 1))
    found = first.scalar_one_or_none()
    return "" if found is None else str(found)[:12]


def _select_rows(*where: ColumnElement[bool]) -> Select[Any]:
    return select(grants).where(and_(*where)).order_by(grants.c.granted_position)


def _newest_turns(ids: Sequence[GrantId]) -> Select[Any]:
    newest_turn = (
        select(grants.c.grant_id, func.max(grants.c.turn).label("turn"))
        .where(grants.c.grant_id.in_(ids))
        .group_by(grants.c.grant_id)
        .subquery()
    )
    return select(grants).join(
        newest_turn,
        and_(grants.c.grant_id == newest_turn.c.grant_id, grants.c.turn == newest_turn.c.turn),
    )


def _defined(
    found: Mapping[LatestKey, Recorded],
) -> dict[tuple[Team, str], DefinedPolicy]:
    return {
        (item.event.policy.team, item.event.policy.name): DefinedPolicy(
            item.event.policy, item.position
        )
        for item in found.values()
        if isinstance(item.event, PolicyDefined)
    }


def _settings(found: Mapping[LatestKey, Recorded]) -> SettingsChanged | None:
    for item in found.values():
        if isinstance(item.event, SettingsChanged):
            return item.event
    return None
