"""The one fold: events to the `grants` projection, used by append, rebuild and verify.

Invariant: folding all events of a grant's turn in order of position gives its row, whoever folds
and wherever the folding was interrupted. A row keeps when a thing happened and when it was
recorded, so that any past moment can be answered as it was and as it was known.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from ledger.envelope import Recorded
from ledger.errors import ChainBroken
from ledger.events import (
    AccountMapped,
    AccountUnmapped,
    Adopted,
    Applied,
    DriftFound,
    DriftRepaired,
    Event,
    Granted,
    Held,
    Ingested,
    Left,
    Made,
    Pin,
    PolicyDefined,
    PolicyDeleted,
    PolicyRetired,
    PolicyWritten,
    Refused,
    Released,
    Removed,
    RetryRequested,
    Revoked,
    RevokedCause,
    SettingsChanged,
    Settled,
    Sighted,
    Stuck,
    Unstuck,
)
from ledger.model import Enforcement, Grant, GrantId, Principal

ClosedHow = Literal["answered", "found_absent", "left", "settled"]
TroubleKind = Literal["refused", "stuck", "missing", "retry"]
"""`retry`: a person has asked to have it tried again, and it was not yet."""

REMADE = "remade"
"""Code of the trouble that a principal was deleted and made anew: what was written went with it."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One thing that happened to a grant."""

    position: int
    at: datetime
    """When it happened: for evidence, when AWS confirmed it."""
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a grant is not as it should be, until the worker says otherwise."""

    kind: TroubleKind
    since: Mark
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class GrantRow:
    """All that is known of one turn of one grant."""

    grant: Grant
    granted: Mark
    revoked: Mark | None = None
    revoked_cause: RevokedCause | None = None
    hold: str | None = None
    spent_at: datetime | None = None
    """The declared end where it is no longer the window's (a line shortened into the past)."""
    applied: Mark | None = None
    """The first confirmation; rewritings after it do not move it."""
    written_position: int | None = None
    """Of the newest `applied`."""
    policy_position: int | None = None
    """Which `policy_defined` the newest `applied` or `refused` answered."""
    enforcement: Enforcement | None = None
    made: tuple[Made, ...] = ()
    pins: tuple[Pin, ...] = ()
    principal_id: str | None = None
    """AWS's id of the principal that the newest `applied` was for; None: not recorded."""
    closed: Mark | None = None
    """Nothing is owed any more: removed, left standing because it stood before us, or settled."""
    closed_how: ClosedHow | None = None
    lateness_us: int | None = None
    trouble: Trouble | None = None

    @property
    def key(self) -> tuple[GrantId, int]:
        return self.grant.id, self.grant.turn

    @property
    def declared_end(self) -> datetime | None:
        """The end that makes the identity spent; None for permanent access."""
        return self.spent_at or self.grant.window.ends_at

    @property
    def due_at(self) -> datetime | None:
        """When it must be gone: its end or its revocation, the earlier. None: not in sight."""
        ends = [self.grant.window.ends_at, self.revoked.at if self.revoked else None]
        return min((end for end in ends if end is not None), default=None)

    def live(self, at: datetime) -> bool:
        """Whether it is meant to give access at `at`: in its window and not revoked."""
        return self.revoked is None and self.grant.window.covers(at)

    def owed(self, at: datetime) -> bool:
        """Whether its removal is due at `at` and nothing has confirmed it yet.

        A revocation is compared with no clock: whoever recorded it may have had a wrong one.
        """
        return self.closed is None and (self.revoked is not None or self.grant.window.over(at))

    @property
    def never_written(self) -> bool:
        """Whether the last word on it is that the account refused it, and nothing stood before."""
        return self.applied is None and self.trouble is not None and self.trouble.kind == "refused"

    @property
    def access_from(self) -> datetime:
        """No access came from a grant before it was ingested."""
        return max(self.grant.window.starts_at, self.granted.at)

    @property
    def access_to(self) -> datetime | None:
        """Until when somebody may have had access by it; None: no end in sight.

        Class `aws` is over at the window's end, cleaned or not. Everything else is over when its
        removal was confirmed. What was refused and never written gave none.
        """
        if self.never_written:
            return self.access_from
        end = None if self.enforcement == "daemon" else self.grant.window.ends_at
        if self.closed is None or self.closed_how in ("left", "settled"):
            return end
        return self.closed.at if end is None else min(end, self.closed.at)


_OF_A_GRANT = (
    Applied,
    Removed,
    Revoked,
    RetryRequested,
    Left,
    Settled,
    Refused,
    Stuck,
    Unstuck,
    DriftFound,
    DriftRepaired,
)
"""What may change the state of a grant that was granted; the commonest first."""


def fold(row: GrantRow | None, recorded: Recorded) -> GrantRow | None:
    """`row` after `recorded`; unchanged (None too) by an event that changes no grant's state.

    Raises ChainBroken for evidence about a turn that was never granted, or a turn granted twice:
    no writer of ours can make such a history.
    """
    event = recorded.event
    if isinstance(event, Granted):
        if row is not None:
            raise ChainBroken(f"grant {event.grant.id} turn {event.grant.turn} is granted twice")
        return GrantRow(event.grant, _mark(recorded, recorded.recorded_at))
    if not isinstance(
        event,
        Revoked
        | RetryRequested
        | Sighted
        | Applied
        | Removed
        | Left
        | Settled
        | Refused
        | Stuck
        | Unstuck
        | DriftFound
        | DriftRepaired,
    ):
        return row
    if event.grant is None:
        return row
    if row is None:
        raise ChainBroken(f"grant {event.grant.id} turn {event.grant.turn} was never granted")
    return _after(row, recorded)


def _after(row: GrantRow, recorded: Recorded) -> GrantRow:
    event = recorded.event
    match event:
        case Revoked():
            return replace(
                row,
                revoked=_mark(recorded, recorded.recorded_at),
                revoked_cause=event.cause,
                hold=event.hold,
                spent_at=event.spent_at,
            )
        case Applied():
            return replace(
                row,
                applied=row.applied or _mark(recorded, event.confirmed_at),
                written_position=recorded.position,
                policy_position=event.policy_position,
                enforcement=event.enforcement,
                made=event.made,
                pins=event.pins,
                principal_id=event.principal_id,
                trouble=None,
            )
        case Sighted() if row.grant.temporary:
            # About to be attached: until `applied` says how it stands, no date is known to end it.
            return replace(row, enforcement="daemon")
        case RetryRequested():
            return _asked_again(row, recorded, event.word.by)
        case Removed() if event.cause == "drift":
            return row
        case Removed():
            return _closed(row, recorded, event.confirmed_at, event.outcome, event.lateness_us)
        case Left():
            return _closed(row, recorded, event.confirmed_at, "left", None)
        case Settled():
            return _closed(row, recorded, recorded.recorded_at, "settled", None)
        case Refused():
            trouble = Trouble(
                "refused", _mark(recorded, recorded.recorded_at), event.code, event.message
            )
            return replace(row, trouble=trouble, policy_position=event.policy_position)
        case Stuck():
            trouble = Trouble(
                "stuck", _mark(recorded, recorded.recorded_at), event.code, event.message
            )
            return replace(row, trouble=trouble)
        case Unstuck():
            return replace(row, trouble=None)
        case DriftFound() if event.drift == "missing":
            return _missing(row, recorded, event)
        case DriftRepaired() if row.trouble is not None and row.trouble.kind == "missing":
            return replace(row, trouble=None)  # it stands again, so it gives access again
        case _:
            return row


def _missing(row: GrantRow, recorded: Recorded, event: DriftFound) -> GrantRow:
    """Of several objects the others still give access: that one is gone is told, no more."""
    if event.principal_id is not None:
        why = f"{row.grant.principal} was deleted and made anew ({event.principal_id})"
        trouble = Trouble("missing", _mark(recorded, event.first_seen_at), REMADE, why)
    elif event.nothing_left or len(row.made) <= 1:
        why = f"{event.object} was taken away by somebody else"
        trouble = Trouble("missing", _mark(recorded, event.first_seen_at), "missing", why)
    else:
        return row
    return replace(row, trouble=trouble)


def _asked_again(row: GrantRow, recorded: Recorded, by: str) -> GrantRow:
    if row.closed is not None:
        return row
    mark = _mark(recorded, recorded.recorded_at)
    return replace(row, trouble=Trouble("retry", mark, "retry", f"to be tried again, says {by}"))


def _mark(recorded: Recorded, at: datetime) -> Mark:
    return Mark(recorded.position, at, recorded.recorded_at)


def _closed(
    row: GrantRow, recorded: Recorded, at: datetime, how: ClosedHow, lateness_us: int | None
) -> GrantRow:
    """The first confirmation stands; a later one (the name came back) changes no answer.

    That it was refused and never written stays known: it never gave access, over or not.
    """
    if row.closed is not None:
        return row
    return replace(
        row,
        closed=_mark(recorded, at),
        closed_how=how,
        lateness_us=lateness_us,
        trouble=row.trouble if row.never_written else None,
    )


def row_key(event: Event) -> tuple[GrantId, int] | None:
    """Which row `fold` must be given for `event`; None when it needs none."""
    if isinstance(event, Granted):
        return event.grant.id, event.grant.turn
    grant = getattr(event, "grant", None)
    return None if grant is None else (grant.id, grant.turn)


# --- what is not a grant: the newest event of each subject -----------------------------------

Topic = Literal[
    "account", "policy", "settings", "ingested", "hold", "sighted", "object", "stuck", "drift"
]


@dataclass(frozen=True, slots=True)
class LatestKey:
    """A subject other than a grant, whose newest event is what is true of it now."""

    topic: Topic
    account: str = ""
    team: str = ""
    name: str = ""

    def __str__(self) -> str:
        return " ".join(part for part in (self.topic, self.account, self.team, self.name) if part)


def latest_keys(event: Event) -> tuple[LatestKey, ...]:
    """The subjects of which `event` becomes the newest word."""
    match event:
        case Granted() | Applied() | Removed() | Revoked():
            return ()  # first, since most are one of these
        case AccountMapped() | AccountUnmapped():
            where = event.account
            return (LatestKey("account", where.account, where.team, where.environment),)
        case PolicyDefined():
            return (LatestKey("policy", team=event.policy.team, name=event.policy.name),)
        case PolicyRetired():
            return (LatestKey("policy", team=event.team, name=event.policy),)
        case SettingsChanged():
            return (LatestKey("settings"),)
        case Ingested():
            return tuple(LatestKey("ingested", team=team) for team in event.teams)
        case Held() | Released():
            return (LatestKey("hold", name=event.hold),)
        case Sighted():
            name = sighting_name(event.grant.principal, event.policy_arn)
            return (LatestKey("sighted", event.grant.account, name=name),)
        case Adopted() if event.principal is not None:
            name = sighting_name(event.principal, event.policy_arn)
            return (LatestKey("sighted", event.account, name=name),)
        case Adopted() | PolicyWritten() | PolicyDeleted():
            return (LatestKey("object", event.account, event.team, event.policy),)
        case Stuck() | Unstuck() if event.grant is None:
            return (LatestKey("stuck", event.account, event.team or "", event.policy or ""),)
        case DriftFound() | DriftRepaired():
            return (LatestKey("drift", event.account, name=event.object),)
        case _:
            return ()


def sighting_name(principal: Principal, policy_arn: str) -> str:
    """How the ledger names one attachment."""
    return f"{principal.key} {policy_arn}"
