"""Reads the values of `ledger.state`: each of one instant, through indexes, never by scanning."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    and_,
    bindparam,
    case,
    func,
    or_,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.account_words import OF_THE_ACCOUNT, AccountWords
from ledger.codec import KINDS, NEWEST, VERSION, instant_of, kind_of, microseconds
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
from ledger.rows import row_of
from ledger.schema import events, grants
from ledger.state import AccountView, DefinedPolicy, IntentView, Unreadable
from ledger.store.append import chunks, read_head
from ledger.store.of_all import InCommon, Kept, read_in_common
from ledger.store.reads import (
    WORDS_OF_ACCOUNTS,
    Newest,
    by_name,
    newest,
    newest_readable,
    read_grants,
    read_newest,
    recorded_of,
    unhurried,
)

E = TypeVar("E")

ACCOUNTS_MAX = 100
"""Read at one time: bounds what one answer holds."""

_ACCOUNTS = grants.c.account.in_(bindparam("accounts", expanding=True))

_OPEN = (
    select(grants)
    .where(_ACCOUNTS, grants.c.closed_position.is_(None))
    .order_by(grants.c.granted_position)
)

_TOO_NEW = (
    select(
        grants.c.account,
        events.c.position,
        events.c.kind,
        events.c.version,
        events.c.grant_id,
    )
    .join(grants, and_(grants.c.grant_id == events.c.grant_id, grants.c.turn == events.c.turn))
    .where(
        _ACCOUNTS,
        grants.c.closed_position.is_(None),
        or_(
            events.c.kind.not_in(sorted(KINDS)),
            events.c.version < VERSION,
            events.c.version > case(NEWEST, value=events.c.kind, else_=VERSION),
        ),
    )
    .order_by(events.c.position)
)
"""Statements that every keeper asks are made once."""

_DUE_AT = case(
    (grants.c.revoked_at < grants.c.ends_at, grants.c.revoked_at), else_=grants.c.ends_at
)
_EXPOSED = func.coalesce(grants.c.enforcement, "") == "daemon"
_OWING = (
    select(grants.c.account, _EXPOSED.label("exposed"), func.min(_DUE_AT).label("due_at"))
    .where(
        grants.c.closed_position.is_(None),
        or_(
            grants.c.revoked_position.is_not(None),
            grants.c.ends_at <= bindparam("now", type_=BigInteger),
        ),
    )
    .group_by(grants.c.account, _EXPOSED)
)


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


async def read_accounts(
    connection: AsyncConnection, accounts: Sequence[AccountId], kept: Kept
) -> dict[AccountId, AccountView]:
    """The same of several, `ACCOUNTS_MAX` at most; what all have in common stands in `kept`."""
    words = await read_all_words(connection, accounts, await kept.at(connection))
    return {account: each.view() for account, each in words.items()}


async def read_words(connection: AsyncConnection, account: AccountId) -> AccountWords:
    """The same before it is put together, for whoever asks what more events would make of it."""
    found = await read_all_words(connection, [account], await read_in_common(connection))
    return found[account]


async def read_all_words(
    connection: AsyncConnection, accounts: Sequence[AccountId], in_common: InCommon
) -> dict[AccountId, AccountWords]:
    """The same of several accounts, by as many statements as of one: `ACCOUNTS_MAX` at most.

    `in_common`: of this same instant.
    """
    if len(accounts) > ACCOUNTS_MAX:
        raise ValueError(f"{len(accounts)} accounts are more than {ACCOUNTS_MAX} at a time")
    words = await _own_words(connection, accounts)
    rows, bad_rows = await _open_rows(connection, accounts)
    too_new = await _too_new(connection, accounts)
    return {
        account: AccountWords(
            account=account,
            position=in_common.position,
            ledger_id=in_common.ledger_id,
            rows=rows[account],
            known=words[account].known,
            of_all=in_common.of_all,
            unreadable=words[account].unreadable,
            too_new=too_new.get(account, {}),
            bad_rows=tuple(bad_rows.get(account, ())),
            older_way_in=(
                await _older_way_in(connection, account)
                if any(key.topic == "account" for key in words[account].unreadable)
                else None
            ),
        )
        for account in accounts
    }


async def _own_words(
    connection: AsyncConnection, accounts: Sequence[AccountId]
) -> dict[AccountId, Newest]:
    found = {account: Newest({}, {}) for account in accounts}
    asked = {"topics": OF_THE_ACCOUNT, "accounts": accounts}
    words = await read_newest(connection, WORDS_OF_ACCOUNTS, asked)
    for key, item in words.known.items():
        found[AccountId(key.account)].known[key] = item
    for key, unread in words.unreadable.items():
        found[AccountId(key.account)].unreadable[key] = unread
    return found


async def _open_rows(
    connection: AsyncConnection, accounts: Sequence[AccountId]
) -> tuple[dict[AccountId, dict[tuple[GrantId, int], GrantRow]], dict[AccountId, list[Unreadable]]]:
    rows: dict[AccountId, dict[tuple[GrantId, int], GrantRow]] = {each: {} for each in accounts}
    bad: dict[AccountId, list[Unreadable]] = defaultdict(list)
    result = await connection.execute(_OPEN, {"accounts": accounts})
    async for columns in unhurried(by_name(result)):
        account = AccountId(columns["account"])
        try:
            row = row_of(columns)
        except ChainBroken as error:
            bad[account].append(Unreadable(0, None, str(error)))
        else:
            rows[account][row.key] = row
    return rows, bad


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


async def _too_new(
    connection: AsyncConnection, accounts: Sequence[AccountId]
) -> dict[AccountId, dict[int, Unreadable]]:
    """Events about grants in force here that only a newer program can read, by position.

    Its projection of them stands in the rows, ends and all; what else they say nobody here knows.
    """
    found: dict[AccountId, dict[int, Unreadable]] = defaultdict(dict)
    for row in await connection.execute(_TOO_NEW, {"accounts": accounts}):
        why = UnknownEvent(row.kind, row.version)
        message = f"grant {row.grant_id}, position {row.position}: {why}"
        found[row.account][row.position] = Unreadable(row.position, None, message)
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


async def owing(
    connection: AsyncConnection, *, now: datetime
) -> dict[AccountId, tuple[bool, datetime]]:
    """The accounts in which a removal is due at `now`, by what is due first in each.

    False: something of class `daemon`, which nobody but the worker ends; then since when.
    """
    found: dict[AccountId, tuple[bool, datetime]] = {}
    for row in await connection.execute(_OWING, {"now": microseconds(now)}):
        account, first = AccountId(row.account), (not row.exposed, instant_of(row.due_at))
        found[account] = min(found.get(account, first), first)
    return found


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
