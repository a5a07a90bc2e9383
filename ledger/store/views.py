"""Reads the values of `ledger.state`: each of one instant, through indexes, never by scanning."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.codec import microseconds
from ledger.envelope import Recorded
from ledger.events import (
    AccountMapped,
    AccountUnmapped,
    DriftFound,
    Held,
    Ingested,
    PolicyDefined,
    PolicyRetired,
    PolicyWritten,
    SettingsChanged,
    Sighted,
    Stuck,
)
from ledger.model import AccountId, GrantId, Team
from ledger.project import GrantRow, LatestKey
from ledger.schema import events, grants
from ledger.state import AccountView, DefinedPolicy, IntentView
from ledger.store.append import chunks, read_head
from ledger.store.reads import newest, read_grants


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
    """All the ledger says about `account` at this instant."""
    mapped = await newest(connection, "account", account=account)
    entries = tuple(
        item.event.account for item in mapped.values() if isinstance(item.event, AccountMapped)
    )
    last_known = [
        item.event.account
        for item in mapped.values()
        if isinstance(item.event, AccountMapped | AccountUnmapped)
    ]
    rows = await read_grants(
        connection,
        _select_rows(grants.c.account == account, grants.c.closed_position.is_(None)),
    )
    objects = await newest(connection, "object", account=account)
    teams = {entry.team for entry in entries} | {row.grant.team for row in rows}
    teams |= {Team(key.team) for key in objects}
    sightings = await newest(connection, "sighted", account=account)
    policies = await newest(connection, "policy")
    stuck = await newest(connection, "stuck", account=account)
    drift = await newest(connection, "drift", account=account)
    head = await read_head(connection)
    return AccountView(
        account=account,
        position=head.position,
        ledger_id=await ledger_id(connection),
        entries=entries,
        way_in=entries[-1] if entries else (last_known[-1] if last_known else None),
        settings=_settings(await newest(connection, "settings")),
        rows=rows,
        policies={key: policy for key, policy in _defined(policies).items() if key[0] in teams},
        retired={
            (item.event.team, item.event.policy): item.event
            for item in policies.values()
            if isinstance(item.event, PolicyRetired) and item.event.team in teams
        },
        objects={
            (Team(key.team), key.name): item.event
            for key, item in objects.items()
            if isinstance(item.event, PolicyWritten)
        },
        object_positions={(Team(k.team), k.name): item.position for k, item in objects.items()},
        sightings={
            key.name: item.event
            for key, item in sightings.items()
            if isinstance(item.event, Sighted)
        },
        stuck={
            (key.team, key.name): item.event
            for key, item in stuck.items()
            if isinstance(item.event, Stuck)
        },
        stuck_positions={(key.team, key.name): item.position for key, item in stuck.items()},
        drift={
            key.name: (item.event, item.position)
            for key, item in drift.items()
            if isinstance(item.event, DriftFound)
        },
    )


async def accounts_to_keep(connection: AsyncConnection) -> tuple[AccountId, ...]:
    """Every account that is mapped, holds a policy of ours, or still owes a removal."""
    mapped = await newest(connection, "account")
    objects = await newest(connection, "object")
    owing = await connection.execute(
        select(grants.c.account).where(grants.c.closed_position.is_(None)).distinct()
    )
    found = {k.account for k, item in mapped.items() if isinstance(item.event, AccountMapped)}
    found |= {k.account for k, item in objects.items() if isinstance(item.event, PolicyWritten)}
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
