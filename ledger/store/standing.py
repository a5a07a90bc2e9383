"""What `status` shows: what stands wrong now, and how every account is kept.

Invariant: how an account is kept stands in the one table that is overwritten; nothing of it is in
the chain, and losing it loses no truth. Grants are found through the index of those that are still
open, so that the cost goes with what is in force and never with the years behind it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import delete, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.account_words import OF_ALL
from ledger.answer import exposed
from ledger.codec import FAR, instant_of, microseconds
from ledger.envelope import Recorded
from ledger.events import AccountMapped, DriftFound, Held, PolicyDefined, SettingsChanged, Stuck
from ledger.model import AccountId, Policy, Team
from ledger.project import Topic
from ledger.schema import account_status, grants
from ledger.state import AccountView, Head, Unreadable
from ledger.store.append import chunks, read_head
from ledger.store.leases import LivingReplica, read_replicas
from ledger.store.of_all import InCommon, ledger_id, of_all_in
from ledger.store.questions import Found, find_readable
from ledger.store.reads import Newest, events_at, newest_readable
from ledger.store.views import ACCOUNTS_MAX, accounts_to_keep, read_all_words


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """How one account is kept; every None means that it never happened."""

    account: AccountId
    environments: tuple[str, ...]
    """`team/environment`; empty when it is unmapped and only owes removals."""
    replica: str | None = None
    heartbeat_at: datetime | None = None
    last_pass_at: datetime | None = None
    last_error: str | None = None
    next_try_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """Everything that is not as it should be, of one instant."""

    head: Head
    open: tuple[Found, ...]
    """Over or in trouble and not closed, or of class `daemon`."""
    left: tuple[Found, ...]
    """Over, and standing because it stood before us."""
    settled: tuple[tuple[Found, Recorded], ...]
    """Over by a person's word alone, and not denied by AWS's own date; each with that word."""
    stuck: tuple[Recorded, ...]
    """`stuck` of accounts and policies; those of grants are in `open`."""
    drift: tuple[Recorded, ...]
    held: tuple[Recorded, ...]
    accounts: tuple[AccountStatus, ...]
    replicas: tuple[LivingReplica, ...]
    """Workers that share the accounts now; a SQLite ledger's only worker is not among them."""
    policies: Mapping[tuple[Team, str], Policy]
    policy_path: str | None
    """None: nothing was ever ingested."""
    views: Mapping[AccountId, AccountView] = field(default_factory=dict)
    """Of accounts in which something is exposed or settled: what else stands there, and why."""
    unreadable: tuple[Unreadable, ...] = ()
    """What is newer than this program, or damaged: all else stands here, this does not."""


async def read_standing(connection: AsyncConnection, *, now: datetime) -> Standing:
    """All that `status` needs, at `now`; what cannot be read is told and hides nothing else."""
    wrong, bad = await find_readable(
        connection,
        [
            grants.c.closed_position.is_(None),
            or_(
                grants.c.revoked_position.is_not(None),
                grants.c.ends_at <= microseconds(now),
                grants.c.trouble.is_not(None),
                grants.c.enforcement == "daemon",
            ),
        ],
    )
    left, bad_left = await find_readable(
        connection,
        [grants.c.access_to == FAR, grants.c.closed_how == "left"],
    )
    settled, bad_settled = await find_readable(
        connection,
        [grants.c.access_to > microseconds(now), grants.c.closed_how == "settled"],
    )
    said = await events_at(
        connection, [one.row.closed.position for one in settled if one.row.closed is not None]
    )
    topics: tuple[Topic, ...] = ("settings", "policy", "stuck", "drift", "hold", "account")
    words = {topic: await newest_readable(connection, topic) for topic in topics}
    settings = [item.event for item in words["settings"].known.values()]
    asked = [one for one in wrong if exposed(one.row, now)] + settled
    head = await read_head(connection)
    of_all = of_all_in(words[topic] for topic in OF_ALL)
    in_common = InCommon(head.position, await ledger_id(connection), of_all)
    return Standing(
        head=head,
        open=tuple(wrong),
        left=tuple(left),
        settled=tuple(
            (one, said[one.row.closed.position])
            for one in settled
            if one.row.closed is not None and one.row.closed.position in said
        ),
        stuck=_those_of(words["stuck"], Stuck),
        drift=_those_of(words["drift"], DriftFound),
        held=_those_of(words["hold"], Held),
        accounts=await read_accounts(connection),
        replicas=await read_replicas(connection, now=now),
        policies=_policies(words["policy"]),
        policy_path=next(
            (event.policy_path for event in settings if isinstance(event, SettingsChanged)), None
        ),
        views=await _views(connection, asked, in_common),
        unreadable=(
            *(item for found in words.values() for item in found.unreadable.values()),
            *bad,
            *bad_left,
            *bad_settled,
        ),
    )


def _policies(found: Newest) -> dict[tuple[Team, str], Policy]:
    return {
        (item.event.policy.team, item.event.policy.name): item.event.policy
        for item in found.known.values()
        if isinstance(item.event, PolicyDefined)
    }


async def _views(
    connection: AsyncConnection, found: Sequence[Found], in_common: InCommon
) -> dict[AccountId, AccountView]:
    """Of the accounts of these grants."""
    views: dict[AccountId, AccountView] = {}
    for some in chunks(sorted({one.row.grant.account for one in found}), ACCOUNTS_MAX):
        words = await read_all_words(connection, some, in_common)
        views |= {account: each.view() for account, each in words.items()}
    return views


def _those_of(
    found: Newest, kind: type[Stuck] | type[DriftFound] | type[Held]
) -> tuple[Recorded, ...]:
    """Subjects whose newest word is of `kind`: not unstuck, repaired or released since."""
    return tuple(item for item in found.known.values() if isinstance(item.event, kind))


async def read_accounts(connection: AsyncConnection) -> tuple[AccountStatus, ...]:
    """Every account that is mapped, or that a worker has kept, in order of its id.

    One whose mapping cannot be read is listed as if it were: nobody knows that it is not.
    """
    mapped = await newest_readable(connection, "account")
    keys = [key for key, item in mapped.known.items() if isinstance(item.event, AccountMapped)]
    environments: dict[AccountId, list[str]] = {}
    for key in (*keys, *mapped.unreadable):
        environments.setdefault(AccountId(key.account), []).append(f"{key.team}/{key.name}")
    rows = {
        AccountId(row["account"]): row
        for row in (await connection.execute(select(account_status))).mappings()
    }
    found: list[AccountStatus] = []
    for account in sorted({*environments, *rows}):
        names = tuple(sorted(environments.get(account, ())))
        row = rows.get(account)
        if row is None:
            found.append(AccountStatus(account, names))
            continue
        found.append(
            AccountStatus(
                account=account,
                environments=names,
                replica=row["replica"],
                heartbeat_at=instant_of(row["heartbeat_at"]),
                last_pass_at=_instant(row["last_pass_at"]),
                last_error=row["last_error"],
                next_try_at=_instant(row["next_try_at"]),
            )
        )
    return tuple(found)


async def write_accounts(connection: AsyncConnection, statuses: Sequence[AccountStatus]) -> None:
    """Overwrites how these accounts are kept, and no other's; for use in `Ledger.writing`.

    What is written is what a worker knows: `environments` is not. Of two words about one account
    the later stands. ValueError for one that names no replica or no heartbeat: nobody keeps it.
    """
    rows = {status.account: _kept(status) for status in statuses}
    for some in chunks(sorted(rows)):
        await connection.execute(delete(account_status).where(account_status.c.account.in_(some)))
        await connection.execute(insert(account_status), [rows[account] for account in some])


async def forget_accounts(connection: AsyncConnection, kept: Collection[AccountId]) -> None:
    """Drops how accounts were kept that nobody has to keep any more; for use in `Ledger.writing`.

    Others than `kept` may be another worker's, which keeps them still.
    """
    rows = (await connection.execute(select(account_status.c.account))).scalars()
    others = {AccountId(account) for account in rows} - set(kept)
    over = sorted(others - set(await accounts_to_keep(connection))) if others else []
    for some in chunks(over):
        await connection.execute(delete(account_status).where(account_status.c.account.in_(some)))


def _kept(status: AccountStatus) -> dict[str, object]:
    if status.replica is None or status.heartbeat_at is None:
        raise ValueError(f"account {status.account} is kept by nobody: there is nothing to write")
    return {
        "account": status.account,
        "replica": status.replica,
        "heartbeat_at": microseconds(status.heartbeat_at),
        "last_pass_at": _us(status.last_pass_at),
        "last_error": status.last_error,
        "next_try_at": _us(status.next_try_at),
    }


def _us(instant: datetime | None) -> int | None:
    return None if instant is None else microseconds(instant)


def _instant(value_us: int | None) -> datetime | None:
    return None if value_us is None else instant_of(value_us)
