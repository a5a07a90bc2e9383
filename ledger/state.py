"""What a reader needs of the ledger to decide: values, read in one transaction by the store.

`IntentView` is all that `ingest` compares a directory with; `AccountView` is all that a keeper
obeys in its account. The deciding stays pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ledger.events import (
    Adopted,
    DriftFound,
    Held,
    PolicyRetired,
    PolicyWritten,
    SettingsChanged,
    Sighted,
    Stuck,
)
from ledger.model import Account, AccountId, GrantId, Policy, Principal, Team
from ledger.project import GrantRow, LatestKey, sighting_name


@dataclass(frozen=True, slots=True)
class Head:
    """The newest event: what the next one chains to."""

    position: int
    hash: str
    recorded_at: datetime | None
    """None: the ledger is empty."""


@dataclass(frozen=True, slots=True)
class DefinedPolicy:
    """A policy as it was last defined."""

    policy: Policy
    position: int
    """Of its newest `policy_defined`: what a grant's `applied` answers."""


@dataclass(frozen=True, slots=True)
class IntentView:
    """What the ledger holds as declared, with what is needed to refuse and to warn."""

    head: Head
    accounts: Mapping[tuple[Team, str], tuple[Account, int]]
    """(team, environment) -> account as mapped now, and where that stands."""
    policies: Mapping[tuple[Team, str], DefinedPolicy]
    settings: SettingsChanged | None
    """None: nothing was ever ingested."""
    positions: Mapping[LatestKey, int]
    """Newest event of every account, policy, settings, hold: the cause of the next one."""
    holds: tuple[Held, ...]
    """Those in force."""
    last_commits: Mapping[Team, str | None]
    rows: Mapping[GrantId, GrantRow]
    """The newest turn of every grant that is open now or was asked for by id."""

    def any_grant_or_policy(self) -> bool:
        return bool(self.positions) and any(key.topic == "policy" for key in self.positions)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something that stands in the ledger and that this program cannot read."""

    position: int
    """Of the event; 0 where it is a row of the projection."""
    subject: LatestKey | None
    """Whose newest word it is; None where it is about a grant."""
    message: str
    """What, where and why, for a person."""


@dataclass(frozen=True, slots=True)
class AccountView:
    """All the ledger says about one account.

    With anything `unreadable` it is not all: then nothing may be added, changed or judged by it,
    and only what `rows` says is over may be taken away.
    """

    account: AccountId
    position: int
    """The head when this was read: nothing up to it is missing here."""
    ledger_id: str
    entries: tuple[Account, ...]
    """Teams' environments that map it now; empty when it is unmapped and only owes removals."""
    way_in: Account | None
    """How to get in: a mapping, else the last known one. None: nobody ever mapped it."""
    settings: SettingsChanged | None
    rows: tuple[GrantRow, ...]
    """Every turn on which something is live, to come, or owed; oldest first."""
    policies: Mapping[tuple[Team, str], DefinedPolicy]
    """Every policy defined now, of the teams that map the account or have rows in it."""
    objects: Mapping[tuple[Team, str], PolicyWritten]
    """Customer-managed policies that we made or adopted here and have not deleted. Of one that was
    adopted, and not written since, `policy_position` is 0 and nobody knows its text."""
    object_positions: Mapping[tuple[Team, str], int]
    """Where the newest evidence about each of them stands, deletions included."""
    retired: Mapping[tuple[Team, str], PolicyRetired]
    """Policies of the same teams that are defined no more: what is left of them has this name."""
    sightings: Mapping[str, Sighted]
    """By `project.sighting_name`: the newest look at each attachment before an attach of ours."""
    stuck: Mapping[tuple[str, str], Stuck]
    """(team, policy) -> what is stuck about a policy here; ("", "") is the whole account."""
    stuck_positions: Mapping[tuple[str, str], int]
    drift: Mapping[str, tuple[DriftFound, int]]
    """By object: what was found and is not yet right again, and where that stands."""
    unreadable: tuple[Unreadable, ...] = ()
    """Newer than this program, or damaged: about this account, its grants in force, the policies of
    its teams, or the settings."""
    adopted: Mapping[str, tuple[Adopted, int]] = field(default_factory=dict)
    """Attachments taken over from somebody else since the newest look at them, by the names of
    `sightings`, and where that stands."""
    sighting_positions: Mapping[str, int] = field(default_factory=dict)
    """Where the newest of `sightings`, or of `adopted`, stands."""

    def ours(self, principal: Principal, policy_arn: str) -> bool | None:
        """Whether this attachment is ours to take away: made by us, or taken over.

        None: nobody has looked whether it stood before us.
        """
        if sighting_name(principal, policy_arn) in self.adopted:
            return True
        seen = self.sighting(principal, policy_arn)
        return None if seen is None else not seen.present

    def sighting(self, principal: Principal, policy_arn: str) -> Sighted | None:
        """The newest look at this attachment; None: nobody has looked yet."""
        return self.sightings.get(sighting_name(principal, policy_arn))
