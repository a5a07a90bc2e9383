"""What people declared, as values with their places.

Invariant: whatever stands in a `Manifest` was checked: references resolve, names are legal, ids are
unique.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import assert_never

from ledger.manifest.problems import Problem, Source
from ledger.manifest.scalars import day_end
from ledger.model import Account, AccountId, GrantId, Policy, Principal, Settings, Team


@dataclass(frozen=True, slots=True)
class DeclaredAccount:
    account: Account
    source: Source
    deciding: tuple[Source, ...]
    """Where its name and its number stand: the lines that say which account it is."""


@dataclass(frozen=True, slots=True)
class DeclaredDanger:
    """Where a policy allows what its reviewers should know of, and what that is."""

    source: Source
    message: str


@dataclass(frozen=True, slots=True)
class DeclaredPolicy:
    policy: Policy
    source: Source
    statement_sources: tuple[Source, ...]
    """Of each custom statement, in the document's order."""
    dangers: tuple[DeclaredDanger, ...] = ()
    """Whether its reviewers consented or not."""


# --- the ends of a window ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Permanent:
    """Until somebody takes the line away."""


@dataclass(frozen=True, slots=True)
class LastDay:
    """Through the end of that day in the settings' time zone (`expiration_date`)."""

    day: date


@dataclass(frozen=True, slots=True)
class EndsAt:
    """Up to that instant, and not at it (`expires_at`)."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Lasts:
    """For so long after its start (`duration`)."""

    seconds: int


End = Permanent | LastDay | EndsAt | Lasts


def end_of(end: End, starts_at: datetime, time_zone: str) -> datetime | None:
    """The instant when `end` comes for a window that starts at `starts_at`; None: permanent."""
    match end:
        case Permanent():
            return None
        case LastDay(day):
            return day_end(day, time_zone)
        case EndsAt(at):
            return at
        case Lasts(seconds):
            return starts_at + timedelta(seconds=seconds)
        case _:
            assert_never(end)


@dataclass(frozen=True, slots=True)
class DeclaredGrant:
    id: GrantId
    team: Team
    environment: str
    account: AccountId
    principal: Principal
    policy: str
    end: End
    starts_at: datetime | None
    """As written; None: at once."""
    ticket: str | None
    description: str | None
    sources: tuple[Source, ...]
    """Where each entry that declares it names the principal, in file order; the first is shown."""
    deciding: tuple[Source, ...]
    """Every place whose text makes it what it is (principal, environment, policy, window, ticket,
    and which account the environment is): whichever of these lines is newest brought the grant."""
    end_source: Source | None
    """Where its end is written; None: permanent."""

    def ends_at(self, starts_at: datetime, time_zone: str) -> datetime | None:
        """When it ends if it starts (or started) at `starts_at`; None: permanent."""
        return end_of(self.end, starts_at, time_zone)


# --- the whole --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Manifest:
    settings: Settings
    settings_source: Source | None
    """None: there is no settings file, or an empty one."""
    accounts: tuple[DeclaredAccount, ...]
    policies: tuple[DeclaredPolicy, ...]
    grants: tuple[DeclaredGrant, ...]
    teams: tuple[Team, ...]
    """Those with at least one file, sorted."""
    files: tuple[str, ...]
    """Every file read, sorted, so that a vanished source file can be noticed."""
    texts: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    """What each file says, for excerpts."""
    _accounts: dict[tuple[Team, str], DeclaredAccount] = field(
        init=False, compare=False, repr=False
    )
    _policies: dict[tuple[Team, str], DeclaredPolicy] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        accounts = {(item.account.team, item.account.environment): item for item in self.accounts}
        policies = {(item.policy.team, item.policy.name): item for item in self.policies}
        object.__setattr__(self, "_accounts", accounts)
        object.__setattr__(self, "_policies", policies)

    def account(self, team: Team, environment: str) -> DeclaredAccount | None:
        return self._accounts.get((team, environment))

    def policy(self, team: Team, name: str) -> DeclaredPolicy | None:
        return self._policies.get((team, name))


@dataclass(frozen=True, slots=True)
class Reading:
    """The whole outcome of reading a directory."""

    manifest: Manifest | None
    """None when any problem is an error: a directory counts whole or not at all."""
    problems: tuple[Problem, ...]
    """Errors and warnings, sorted by path, line and column."""

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity == "error")
