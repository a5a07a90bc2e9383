"""Which new grant takes whose place, and under which name it stands in IAM.

Invariant: a name in IAM belongs to one live grant of a principal at a time, so that no end of one
window can cut another; what continues access keeps its name, so that an extension has no gap.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from ledger.decide.brake import AccessKey, access_key
from ledger.decide.windows import Resolved
from ledger.model import Grant, GrantId
from ledger.project import GrantRow


def predecessors(
    wanted: Sequence[Resolved], revoked: Iterable[GrantRow], now: datetime
) -> dict[GrantId, GrantRow]:
    """New grant -> the row it continues: its own earlier turn, else the oldest of its access.

    One each, and what gives access now before what was to give it later: in its place there would
    be a gap. Nothing is continued across a gap: there the old name must go first.
    """
    free: dict[AccessKey, list[GrantRow]] = defaultdict(list)
    for row in sorted(revoked, key=lambda row: row.granted.position):
        free[access_key(row.grant)].append(row)
    found: dict[GrantId, GrantRow] = {}
    for item in wanted:
        olds = free.get(_key(item), [])
        own = next((row for row in olds if row.grant.id == item.declared.id), None)
        if own is not None:
            found[item.declared.id] = own
            olds.remove(own)
    for item in sorted(wanted, key=lambda item: item.starts_at):
        olds = free.get(_key(item), [])
        if item.declared.id in found:
            continue
        fitting = (row for row in olds if _no_gap(row, item, now))
        old = min(fitting, key=lambda row: not row.grant.window.covers(now), default=None)
        if old is not None:
            found[item.declared.id] = old
            olds.remove(old)
    return found


def _key(item: Resolved) -> AccessKey:
    declared = item.declared
    return declared.team, declared.account, declared.principal.key, declared.policy


def _no_gap(row: GrantRow, item: Resolved, now: datetime) -> bool:
    return item.starts_at <= max(now, row.grant.window.starts_at)


def build(
    wanted: Sequence[Resolved],
    continued: dict[GrantId, GrantRow],
    surviving: Iterable[GrantRow],
) -> tuple[Grant, ...]:
    """The grants to append, in the order of `wanted`, each with its turn and its name."""
    taken = {_place(row.grant, row.grant.object) for row in surviving}
    inherited = {
        item.declared.id: name
        for item in wanted
        if (name := _inherited(item, continued.get(item.declared.id))) is not None
    }
    taken |= {
        (item.declared.account, item.declared.principal.key, inherited[item.declared.id])
        for item in wanted
        if item.declared.id in inherited
    }
    return tuple(
        _grant(item, continued.get(item.declared.id), inherited.get(item.declared.id), taken)
        for item in wanted
    )


def _place(grant: Grant, name: str | None) -> tuple[str, str, str | None]:
    return grant.account, grant.principal.key, name


def _inherited(item: Resolved, old: GrantRow | None) -> str | None:
    if old is None or item.ends_at is None:
        return None
    return old.grant.object


def _grant(
    item: Resolved,
    old: GrantRow | None,
    inherited: str | None,
    taken: Collection[tuple[str, str, str | None]],
) -> Grant:
    declared = item.declared
    turn = 1 if item.row is None else item.row.grant.turn + 1
    name = inherited
    if name is None and item.ends_at is not None:
        name = f"iam-ledger-{declared.id}"
        if (declared.account, declared.principal.key, name) in taken:
            # Another grant continued this one under its name, and the line came back beside it.
            name = f"{name}-{turn}"
    return Grant(
        id=declared.id,
        turn=turn,
        team=declared.team,
        environment=declared.environment,
        account=declared.account,
        principal=declared.principal,
        policy=declared.policy,
        window=item.window,
        object=name,
        continues=None if old is None else old.key,
        ticket=declared.ticket,
        description=declared.description,
    )
