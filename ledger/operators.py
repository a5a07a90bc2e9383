"""What a person ends at a terminal, at once and never braked: `revoke`, and its undoing, `release`.

Invariant: a hold is appended in the same transaction as the revocations it stands for, so that no
ingest between them can grant anew. A hold in force is never doubled.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ledger.codec import instant_text
from ledger.decide.holds import covers, hold_key
from ledger.decide.windows import is_live
from ledger.envelope import Draft, Recorded
from ledger.errors import NotFound
from ledger.events import Held, Released, Revoked, Word, ref
from ledger.model import PRINCIPAL_KINDS, AccountId, Principal
from ledger.naming import named_grant, near, spoken
from ledger.project import GrantRow
from ledger.store import Ledger
from ledger.store.append import append
from ledger.store.lookup import Connection, live_rows_of, principals
from ledger.store.reads import newest

GRANTS_MAX = 1_000
"""Grants named in one command."""


@dataclass(frozen=True, slots=True)
class OverAlready:
    """A grant that was named and gives no access any more: nothing was done about it."""

    row: GrantRow
    held_by: str | None
    """The hold that keeps its access away; None: a line may grant it anew."""

    @property
    def message(self) -> str:
        grant, row = self.row.grant, self.row
        if row.revoked is not None:
            over = f"was revoked ({row.revoked_cause}) at {instant_text(row.revoked.at)}"
        elif grant.window.ends_at is not None:
            over = f"ended at {instant_text(grant.window.ends_at)}"
        else:
            raise ValueError(f"grant {grant.id} is not over")
        held = "" if self.held_by is None else f"; its access is held by {self.held_by}"
        return f"grant {grant.id} ({grant.principal}, policy {grant.policy}) {over}{held}"


@dataclass(frozen=True, slots=True)
class Revocation:
    """What `revoke` did."""

    position: int
    """The ledger's head after it."""
    holds: tuple[Held, ...]
    """In force now for what was asked; those that stood already among them."""
    new_holds: tuple[str, ...]
    revoked: tuple[GrantRow, ...]
    """What was live before, oldest first."""
    over: tuple[OverAlready, ...]

    def by_account(self) -> dict[AccountId, tuple[GrantRow, ...]]:
        """What the worker now owes, account by account."""
        found: dict[AccountId, list[GrantRow]] = {}
        for row in sorted(self.revoked, key=lambda row: row.grant.account):
            found.setdefault(row.grant.account, []).append(row)
        return {account: tuple(rows) for account, rows in found.items()}


@dataclass(frozen=True, slots=True)
class Release:
    """What `release` did."""

    position: int
    hold: Held | Released
    already: bool
    """Whether it was released before, and nothing was done."""


# --- revoke -----------------------------------------------------------------------------------


@dataclass(slots=True)
class _Asked:
    """What must end, gathered before anything is written."""

    holds: dict[str, Recorded]
    """Every hold there ever was, in force or released, by id."""
    standing: list[Held] = field(default_factory=list)
    """In force, for what was asked."""
    new: list[Held] = field(default_factory=list)
    causes: dict[str, int] = field(default_factory=dict)

    def in_force(self) -> list[Held]:
        found = [item.event for item in self.holds.values() if isinstance(item.event, Held)]
        return [*found, *self.new]

    def add(self, wanted: Held, cause: int) -> None:
        """Remembers `wanted`, unless a hold in force forbids as much already."""
        for hold in self.in_force():
            if _includes(hold, wanted):
                if hold not in self.standing:
                    self.standing.append(hold)
                return
        self.new.append(wanted)
        self.standing.append(wanted)
        self.causes[wanted.hold] = cause

    def next_id(self) -> str:
        """`hold-7`: short enough to type, and never used twice in one ledger.

        Holds are counted under the append lock and none is ever forgotten.
        """
        return f"hold-{len(self.holds) + len(self.new) + 1}"


def _includes(hold: Held, other: Held) -> bool:
    """Whether `hold` forbids all that `other` would."""
    return (
        hold.principal.key == other.principal.key
        and hold.account in (None, other.account)
        and hold.policy in (None, other.policy)
        and hold.team in (None, other.team)
    )


async def revoke(
    ledger: Ledger,
    *,
    word: Word,
    now: datetime,
    grants: Sequence[str] = (),
    principal: Principal | str | None = None,
) -> Revocation:
    """Ends access at once and holds it, by a person's word.

    `grants`: ids, or beginnings of them that are unique; what is held is the (account, principal,
    policy) of each. `principal`: everything, in every account, later lines included; a text is an
    IAM name of any kind. Repeating it changes nothing.

    Raises NotFound, with near misses, before anything is appended; ValueError when nothing or too
    much is named.
    """
    if (principal is None) == (not grants):
        raise ValueError("name grants or a principal, one of the two")
    if len(grants) > GRANTS_MAX:
        raise ValueError(f"name {GRANTS_MAX} grants at most in one command")
    async with ledger.writing() as connection:
        asked = _Asked(await _holds(connection))
        word = await spoken(connection, word)
        named = [
            await named_grant(connection, text, undone="nothing was revoked")
            for text in dict.fromkeys(grants)
        ]
        over = []
        for row in named:
            if is_live(row, now):
                asked.add(_hold_of(row, asked.next_id(), word), row.granted.position)
            else:
                over.append(_over(row, asked))
        if principal is not None:
            for known in await _known(connection, principal, asked):
                asked.add(Held(asked.next_id(), known, None, None, None, word), 0)
        rows = await _live(connection, asked.standing, now)
        drafts = [Draft(hold, asked.causes[hold.hold]) for hold in asked.new]
        drafts += [_revoked(row, asked.standing) for row in rows]
        appended = await append(connection, drafts, now=now)
    return Revocation(
        position=appended.head,
        holds=tuple(asked.standing),
        new_holds=tuple(hold.hold for hold in asked.new),
        revoked=rows,
        over=tuple(over),
    )


async def _holds(connection: Connection) -> dict[str, Recorded]:
    return {key.name: item for key, item in (await newest(connection, "hold")).items()}


def _hold_of(row: GrantRow, hold: str, word: Word) -> Held:
    grant = row.grant
    return Held(hold, grant.principal, grant.account, grant.policy, grant.team, word)


def _over(row: GrantRow, asked: _Asked) -> OverAlready:
    held_by = next((hold.hold for hold in asked.in_force() if covers(hold, row.grant)), None)
    return OverAlready(row, held_by)


async def _known(
    connection: Connection, wanted: Principal | str, asked: _Asked
) -> tuple[Principal, ...]:
    """Whom a person means: somebody who was granted something once, or is under a hold.

    One of another spelling would be a hold on nobody, released by the next ingest.
    """
    everybody = {each.key: each for each in await principals(connection)}
    everybody |= {hold.principal.key: hold.principal for hold in asked.in_force()}
    keys = _keys(wanted)
    found = tuple(everybody[key] for key in sorted(keys & everybody.keys()))
    if not found and isinstance(wanted, str):
        # An address names the user of its local part, unless users are named by addresses.
        name = wanted.casefold().partition("@")[0]
        mailed = {
            f"{kind}/{name}" for kind, facts in PRINCIPAL_KINDS.items() if facts.email_allowed
        }
        found = tuple(everybody[key] for key in sorted(mailed & everybody.keys()) if "@" in wanted)
    if not found:
        names = [str(each) for each in everybody.values()]
        if not isinstance(wanted, Principal) and "/" not in wanted:
            names = [each.name for each in everybody.values()]
        close = near(str(wanted), names)
        raise NotFound(
            f"nobody named `{wanted}` was ever granted anything{close}; nothing was done"
        )
    return found


def _keys(wanted: Principal | str) -> set[str]:
    """The keys of principals that `wanted` may name as it stands."""
    if isinstance(wanted, Principal):
        return {wanted.key}
    folded = wanted.casefold()
    return {folded} | {f"{kind}/{folded}" for kind in PRINCIPAL_KINDS}


async def _live(
    connection: Connection, holds: Sequence[Held], now: datetime
) -> tuple[GrantRow, ...]:
    """Everything that gives access under `holds`: the access ends, not only the line named."""
    rows: dict[int, GrantRow] = {}
    for principal in {hold.principal.key: hold.principal for hold in holds}.values():
        for row in await live_rows_of(connection, principal, now=now):
            if any(covers(hold, row.grant) for hold in holds):
                rows[row.granted.position] = row
    return tuple(rows[position] for position in sorted(rows))


def _revoked(row: GrantRow, holds: Sequence[Held]) -> Draft:
    hold = next(hold.hold for hold in holds if covers(hold, row.grant))
    return Draft(Revoked(ref(row.grant), "operator", hold=hold), row.granted.position)


# --- release ----------------------------------------------------------------------------------


async def release(ledger: Ledger, hold: str, *, word: Word, now: datetime) -> Release:
    """Lifts a hold by a person's word; the next ingest grants what its lines still ask for.

    Repeating it changes nothing. Raises NotFound, with near misses, for a hold that never was.
    """
    async with ledger.writing() as connection:
        holds = await _holds(connection)
        found = holds.get(hold)
        if found is None:
            in_force = [name for name, item in holds.items() if isinstance(item.event, Held)]
            close = near(hold, holds) or (f" (in force: {', '.join(in_force)})" if in_force else "")
            raise NotFound(f"there is no hold `{hold}`{close}; nothing was released")
        held = found.event
        if isinstance(held, Released):
            appended = await append(connection, [], now=now)
            return Release(appended.head, held, already=True)
        if not isinstance(held, Held):
            raise TypeError(f"{hold_key(hold)} is not a hold")
        word = await spoken(connection, word)
        event = Released(hold, held.principal, held.account, held.policy, held.team, word)
        appended = await append(connection, [Draft(event, found.position)], now=now)
    return Release(appended.head, held, already=False)
