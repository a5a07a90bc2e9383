"""What is to be done in an account, in order: pure, from what should stand and what is recorded.

Removals come first, but what continues somebody's access comes before what it replaces. Carrying a
plan out and planning again gives nothing. What AWS holds is compared in `worker.deciding.drift`.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ledger.model import GrantId, Principal, Team
from ledger.project import GrantRow
from ledger.state import AccountView, DefinedPolicy
from worker.account import PrincipalState
from worker.deciding.desired import (
    WantedPolicy,
    arn_prefix,
    heirs,
    holders,
    may_be_unrecorded,
    may_hold,
    same_principal,
    taken_by_us,
    wanted_policies,
)
from worker.deciding.drift import Kind
from worker.deciding.repair import again, drifted_grants, drifted_policy, remade
from worker.timing import overdue, writable

Reason = Literal["first", "change", "end", "drift_missing", "drift_altered", "drift_extra"]

_REASONS: dict[Kind, Reason] = {
    "missing": "drift_missing",
    "altered": "drift_altered",
    "extra": "drift_extra",
}


@dataclass(frozen=True, slots=True)
class WriteGrant:
    """Make the objects of a grant stand."""

    row: GrantRow
    reason: Reason


@dataclass(frozen=True, slots=True)
class WritePolicy:
    """Make a customer-managed policy stand with this text."""

    wanted: WantedPolicy
    reason: Reason


@dataclass(frozen=True, slots=True)
class DeletePolicy:
    """Take away a customer-managed policy that nobody defines any more."""

    team: Team
    policy: str
    arn: str
    cause: int
    """Position of the evidence that it stands."""


@dataclass(frozen=True, slots=True)
class Work:
    """Everything outstanding, in the order in which it is carried out."""

    removals: tuple[GrantRow, ...]
    policies: tuple[WritePolicy, ...]
    grants: tuple[WriteGrant, ...]
    deletions: tuple[DeletePolicy, ...]

    def __bool__(self) -> bool:
        return bool(self.removals or self.policies or self.grants or self.deletions)


def nothing_parked(_: Hashable) -> bool:
    return False


def plan(
    view: AccountView,
    now: datetime,
    *,
    retry_refused: bool,
    parked: Callable[[Hashable], bool] = nothing_parked,
) -> Work:
    """What the ledger's own record says is not yet done at `now`.

    `retry_refused`: try again what the account's numbers forbade (at each resync). `parked` tells
    by grant key or ("policy", team, name) what is not to be tried yet.
    """
    wanted = wanted_policies(view)
    removals = tuple(
        row
        for row in overdue(view.rows, now)
        if not parked(row.key) and not isinstance(removal_of(view, row, now), Waits)
    )
    policies = (_policy_step(view, key, policy) for key, policy in sorted(wanted.items()))
    drifted = drifted_grants(view)
    grants = (
        _grant_step(view, row, now, retry_refused=retry_refused)
        or _mending(view, row, now, drifted.get(row.key))
        for row in view.rows
    )
    return Work(
        removals=removals,
        policies=tuple(
            step
            for step in policies
            if step and not parked(("policy", step.wanted.team, step.wanted.policy))
        ),
        grants=tuple(step for step in grants if step and not parked(step.row.key)),
        deletions=tuple(
            DeletePolicy(key[0], key[1], made.made.name, view.object_positions[key])
            for key, made in sorted(view.objects.items())
            if key not in wanted and not _held(view, key) and not parked(("policy", *key))
        ),
    )


def _held(view: AccountView, key: tuple[Team, str]) -> bool:
    """Whether a grant of it still owes its removal: IAM deletes no policy that is attached."""
    arn = view.objects[key].made.name
    return any(
        (row.grant.team, row.grant.policy) == key
        and (not row.grant.temporary or arn in may_hold(view, row))
        for row in view.rows
    )


def _policy_step(
    view: AccountView, key: tuple[Team, str], wanted: WantedPolicy
) -> WritePolicy | None:
    written = view.objects.get(key)
    if written is None:
        return WritePolicy(wanted, "first")
    if written.policy_position != wanted.position:
        return WritePolicy(wanted, "change")
    drift = drifted_policy(view, written.made.name, view.object_positions[key])
    return None if drift is None else WritePolicy(wanted, _REASONS[drift])


def _grant_step(
    view: AccountView, row: GrantRow, now: datetime, *, retry_refused: bool
) -> WriteGrant | None:
    if not writable(row, now):
        return None
    key = (row.grant.team, row.grant.policy)
    defined = view.policies.get(key)
    if defined is None:
        return None
    if not row.grant.temporary and defined.policy.document is not None:
        written = view.objects.get(key)
        if written is None or written.policy_position != defined.position:
            return None  # nothing is attached that is not known to be ours, and up to date
    trouble = row.trouble.kind if row.trouble else None
    if trouble == "missing":
        return WriteGrant(row, "drift_missing") if again(view, row) else None
    if trouble == "retry":
        return WriteGrant(row, "first" if row.written_position is None else "change")
    if trouble == "refused" and not (retry_refused or _healed(view, row, defined)):
        return None
    if row.written_position is None:
        return WriteGrant(row, "first")
    if row.policy_position != defined.position or trouble == "refused":
        return WriteGrant(row, "change")
    return None


def _mending(
    view: AccountView, row: GrantRow, now: datetime, drift: Kind | None
) -> WriteGrant | None:
    """What stands for `row` and is not as it was written, where that is to be put right."""
    defined = view.policies.get((row.grant.team, row.grant.policy))
    missing = row.trouble is not None and row.trouble.kind == "missing"
    if drift is None or missing or defined is None or not writable(row, now):
        return None
    return WriteGrant(row, _REASONS[drift])


def _healed(view: AccountView, row: GrantRow, defined: DefinedPolicy) -> bool:
    """Whether what a refused grant was refused for has changed: its policy, or that it stands."""
    written = view.object_positions.get((row.grant.team, row.grant.policy), 0)
    since = row.trouble.since.position if row.trouble is not None else 0
    return row.policy_position != defined.position or written > since


# --- removals -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Waits:
    """Nothing yet: a grant that continues this one is about to be written over it."""

    successor: GrantRow


@dataclass(frozen=True, slots=True)
class Replaced:
    """Nothing to call: the name carries a grant that goes on, and has been written."""

    successor: GrantRow


@dataclass(frozen=True, slots=True)
class Remove:
    """These go, by names that the record knows."""

    principal: Principal
    inline: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    """ARNs of customer-managed policies that are this grant's alone: detached, then deleted."""
    detach: tuple[str, ...] = ()
    kept_for: tuple[GrantId, ...] = ()
    """Grants that still need one of its attachments."""
    left: tuple[str, ...] = ()
    """Attachments that stood before us, and stay."""
    unsure: tuple[str, ...] = ()
    """Attachments of which no readable evidence says whether they stood before us."""
    look: bool = False
    """Evidence of a write may be lost: what else carries its name is looked for afterwards."""


Removal = Waits | Replaced | Remove


def removal_of(
    view: AccountView, row: GrantRow, now: datetime, standing: PrincipalState | None = None
) -> Removal:
    """How the objects of `row`, whose end has come, go at `now`.

    A name that a live grant carries, and may have been written under, is never taken away.
    `standing`: who has the principal's name now, where `who_first` wants that read.
    """
    carrier = _carrier(view, row, now)
    for successor in (carrier, _continuing(view, row, now)):
        if successor is not None and _pending(row, successor, now):
            return Waits(successor)
    if carrier is not None and carrier.written_position is not None:
        return Replaced(carrier)
    return _objects_of(view, row, now, standing)


def who_first(view: AccountView, row: GrantRow, removal: Remove) -> bool:
    """Whether it is to be read who has the name now, before policies of AWS's own are detached.

    Somebody made anew may have them by another hand. What ends by the clock waits for no reading,
    but where it is known that somebody was.
    """
    foreign = any(not arn.startswith(arn_prefix(view)) for arn in removal.detach)
    asked = not row.grant.temporary or remade(view, row)
    return foreign and asked and row.principal_id is not None


def _carrier(view: AccountView, row: GrantRow, now: datetime) -> GrantRow | None:
    """The grant that should stand now under the same name on the same principal."""
    name, who = row.grant.object, row.grant.principal.key
    for other in view.rows:
        grant = other.grant
        if other.key == row.key or name is None or not writable(other, now):
            continue
        if grant.object == name and grant.principal.key == who:
            return other
    return None


def _continuing(view: AccountView, row: GrantRow, now: datetime) -> GrantRow | None:
    """The grant that should stand now in this one's place."""
    continuing = (other for other in view.rows if other.grant.continues == row.key)
    return next((other for other in continuing if writable(other, now)), None)


def _pending(row: GrantRow, successor: GrantRow, now: datetime) -> bool:
    """Whether the old object must stay until the successor is written.

    One that continues it, over others that were never written or at once, and cannot be written
    keeps the old one until the earlier of the two ends (its own is still to come, or it would be no
    successor); any other keeps it for no longer than a pass.
    """
    if successor.written_position is not None:
        return False
    cannot = successor.trouble is not None and successor.trouble.kind in ("refused", "stuck")
    before, name = successor.grant.continues, row.grant.object
    # Whoever continues another carries the name of the first of them all.
    along = name is not None and name == successor.grant.object
    continues = before is not None and (before == row.key or along)
    return not cannot or (continues and not row.grant.window.over(now))


def _objects_of(
    view: AccountView, row: GrantRow, now: datetime, standing: PrincipalState | None
) -> Remove:
    principal = row.grant.principal
    another = standing is not None and not same_principal(row, standing)
    others = [other for other in view.rows if other.key != row.key and writable(other, now)]
    detach: list[str] = []
    left: list[str] = []
    unsure: list[str] = []
    kept: list[GrantId] = []
    for arn in may_hold(view, row):
        needed_by = holders(others, view, principal, arn) or heirs(
            others, view, arn, leaving={row.key}
        )
        ours = taken_by_us(view, row, arn, standing)
        if needed_by:
            kept += [other.grant.id for other in needed_by]
        elif ours:
            detach.append(arn)
        elif standing is None or not another or arn in standing.attached:
            (unsure if ours is None else left).append(arn)
    look = row.grant.object is not None and may_be_unrecorded(view, row)
    copies = [made.name for made in row.made if made.kind == "inline"]
    if look and row.grant.object is not None:
        copies.append(row.grant.object)
    return Remove(
        principal,
        inline=tuple(dict.fromkeys(copies)),
        parts=tuple(made.name for made in row.made if made.kind == "policy"),
        detach=tuple(detach),
        kept_for=tuple(dict.fromkeys(kept)),
        left=tuple(left),
        unsure=tuple(unsure),
        look=look,
    )
