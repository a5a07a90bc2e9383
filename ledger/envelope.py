"""What surrounds an event: its cause, where it came from, what it is about."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, assert_never

from ledger.events import (
    AccountMapped,
    AccountUnmapped,
    Adopted,
    Applied,
    DriftFound,
    DriftRepaired,
    Event,
    Granted,
    GrantRef,
    Held,
    Ingested,
    Left,
    PolicyDefined,
    PolicyDeleted,
    PolicyRetired,
    PolicyWritten,
    Refused,
    Released,
    Removed,
    RetryRequested,
    Revoked,
    SettingsChanged,
    Settled,
    Sighted,
    Stuck,
    Unstuck,
)
from ledger.model import AccountId, Grant, GrantId, Principal, Team


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where an event came from. Every None is shown as "not recorded", never borrowed."""

    source: str | None = None
    """`path:line` of the line that declares it."""
    commit: str | None = None
    """The one that brought the line to the branch."""
    author: str | None = None
    merged_at: datetime | None = None
    pull_request: str | None = None
    approved_by: tuple[str, ...] = ()
    run_url: str | None = None
    replica: str | None = None
    """The worker process, for evidence."""
    pass_id: str | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """An event about to be appended."""

    event: Event
    cause: int
    """Position of the event that this one answers (0: none). Part of the dedup key, so that the
    same thing happening again for a new cause is a new event."""
    provenance: Provenance = Provenance()


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event as it stands in the ledger."""

    position: int
    recorded_at: datetime
    event: Event
    provenance: Provenance
    dedup_key: str
    hash: str


class Subject(NamedTuple):
    """The envelope's columns: what an event is about, for filters and indexes."""

    team: Team | None = None
    account: AccountId | None = None
    grant: GrantId | None = None
    turn: int | None = None
    principal: Principal | None = None
    policy: str | None = None


def _of(grant: GrantRef | Grant) -> Subject:
    return Subject(grant.team, grant.account, grant.id, grant.turn, grant.principal, grant.policy)


def subject(event: Event) -> Subject:
    """What `event` is about."""
    match event:
        case (
            Applied()
            | Granted()
            | Removed()
            | Revoked()
            | RetryRequested()
            | Settled()
            | Sighted()
            | Left()
            | Refused()
        ):  # first, since most are one of these
            return _of(event.grant)
        case AccountMapped() | AccountUnmapped():
            return Subject(event.account.team, event.account.account)
        case PolicyDefined():
            return Subject(event.policy.team, policy=event.policy.name)
        case PolicyRetired():
            return Subject(event.team, policy=event.policy)
        case SettingsChanged() | Ingested():
            return Subject()
        case Held() | Released():
            return Subject(
                event.team, event.account, principal=event.principal, policy=event.policy
            )
        case Adopted():
            return Subject(
                event.team, event.account, principal=event.principal, policy=event.policy
            )
        case PolicyWritten() | PolicyDeleted():
            return Subject(event.team, event.account, policy=event.policy)
        case Stuck() | Unstuck() | DriftFound() | DriftRepaired():
            if event.grant is not None:
                return _of(event.grant)
            return Subject(event.team, event.account, policy=event.policy)
        case _:
            assert_never(event)
