"""The closed union of all that can ever stand in the ledger.

Intent is what people declared, appended by `ingest` and by operators' commands; evidence is what
AWS confirmed, appended by the worker. Rows are for ever: a field is never renamed or taken away,
a change of meaning is a new version of its kind (`ledger.codec`).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ledger.model import (
    Account,
    AccountId,
    Enforcement,
    Grant,
    GrantId,
    Policy,
    Principal,
    Team,
)


@dataclass(frozen=True, slots=True)
class GrantRef:
    """Which turn of which grant, with what an auditor filters by."""

    id: GrantId
    turn: int
    team: Team
    account: AccountId
    principal: Principal
    policy: str


def ref(grant: Grant) -> GrantRef:
    """The reference that events about `grant` carry."""
    return GrantRef(grant.id, grant.turn, grant.team, grant.account, grant.principal, grant.policy)


@dataclass(frozen=True, slots=True)
class Word:
    """Who said so, for what a person decides at a terminal."""

    by: str
    reason: str
    os_user: str
    host: str
    database_role: str | None
    """None on SQLite, which knows no roles."""


# --- intent -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AccountMapped:
    """A team's environment is this account, and this is the way into it."""

    account: Account


@dataclass(frozen=True, slots=True)
class AccountUnmapped:
    """Carries the last known way in: what is still owed there must be taken away."""

    account: Account


@dataclass(frozen=True, slots=True)
class PolicyDefined:
    """What may be requested under a name, from now on."""

    policy: Policy


@dataclass(frozen=True, slots=True)
class PolicyRetired:
    """Nothing may be requested under that name any more."""

    team: Team
    policy: str
    iam_name: str


@dataclass(frozen=True, slots=True)
class SettingsChanged:
    """What the worker obeys, and what may never change once there are names that hang on it."""

    policy_path: str
    drift: Literal["warn", "repair"]
    managed_principals: tuple[str, ...]
    protected_principals: tuple[str, ...]
    user_names: Literal["local-part", "email"]
    max_revocations_count: int = 20
    max_revocations_percent: int = 50
    """What one repair of drift may take away; the latter of the grants in force in the account."""


@dataclass(frozen=True, slots=True)
class Granted:
    """Declared: this principal has this policy's access, in this account, for this window."""

    grant: Grant


RevokedCause = Literal["removed", "replaced", "operator"]


@dataclass(frozen=True, slots=True)
class Revoked:
    """Declared no longer: the line went or was replaced, or an operator ended it."""

    grant: GrantRef
    cause: RevokedCause
    spent_at: datetime | None = None
    """The end that the line says now, where it was shortened into the past; None otherwise."""
    hold: str | None = None
    """The hold that ended it, for cause `operator`."""


@dataclass(frozen=True, slots=True)
class Held:
    """An operator's word that a principal gets nothing, or not this policy, until released."""

    hold: str
    principal: Principal
    account: AccountId | None
    """None: in every account."""
    policy: str | None
    """None: every policy."""
    team: Team | None
    """Whose policy of that name; None with `policy` None."""
    word: Word


@dataclass(frozen=True, slots=True)
class Released:
    """A hold is lifted: lines after it grant again."""

    hold: str
    principal: Principal
    account: AccountId | None
    policy: str | None
    team: Team | None
    word: Word | None
    """None: an ingest of the whole directory found no line in force naming what was held."""


@dataclass(frozen=True, slots=True)
class Ingested:
    """One reading of the directory that was new, by commit or by what it changed."""

    teams: tuple[Team, ...]
    commit: str | None
    """None outside a git work tree."""
    dirty: bool
    granted: int
    revoked: int
    policies: int
    accounts: int


@dataclass(frozen=True, slots=True)
class RetryRequested:
    """A person's word to try again what is parked or missing."""

    grant: GrantRef
    word: Word


@dataclass(frozen=True, slots=True)
class Settled:
    """A person's word that a step which AWS refuses is over; never shown as `removed`."""

    grant: GrantRef
    word: Word


@dataclass(frozen=True, slots=True)
class Adopted:
    """What somebody else made and the YAML declares is ours from now on."""

    account: AccountId
    team: Team
    policy: str
    policy_arn: str
    principal: Principal | None
    """None: the policy itself; else its attachment to that principal."""
    word: Word


# --- evidence ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Made:
    """One object in IAM that stands for a grant or a policy."""

    kind: Literal["inline", "attachment", "policy"]
    name: str
    """Inline: its name. Attachment and policy: the managed policy's ARN."""
    sha256: str | None
    """Of the canonical document as written; None for an attachment."""


@dataclass(frozen=True, slots=True)
class Pin:
    """Which text of an AWS-managed policy a copy was made from."""

    arn: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Sighted:
    """Whether an attachment of a policy that we did not create stood before our first attach."""

    grant: GrantRef
    policy_arn: str
    present: bool


@dataclass(frozen=True, slots=True)
class Applied:
    """AWS confirmed all objects of a grant."""

    grant: GrantRef
    made: tuple[Made, ...]
    enforcement: Enforcement | None
    """None: permanent."""
    pins: tuple[Pin, ...]
    policy_position: int
    """Where the `policy_defined` stands whose content was written."""
    requests: tuple[str, ...]
    """AWS's request ids, in the order of the calls; empty where all stood already."""
    confirmed_at: datetime
    principal_id: str | None = None
    """AWS's own id of the principal, which one made anew has not; None: not recorded."""


RemovedCause = Literal["expired", "revoked", "drift"]


@dataclass(frozen=True, slots=True)
class Removed:
    """AWS confirmed that nothing stands for the grant any more."""

    grant: GrantRef
    cause: RemovedCause
    outcome: Literal["answered", "found_absent"]
    """`found_absent`: it was gone when we came; lateness is then an upper bound."""
    lateness_us: int
    """Microseconds from the grant's end or revocation to the confirmation; never negative."""
    requests: tuple[str, ...]
    confirmed_at: datetime
    kept_for: tuple[GrantId, ...] = ()
    """Grants that still need an attachment or a name which this one shared."""


@dataclass(frozen=True, slots=True)
class Left:
    """The grant is over, and what stood before us (an attachment) was left standing."""

    grant: GrantRef
    made: tuple[Made, ...]
    confirmed_at: datetime
    requests: tuple[str, ...] = ()
    """Of the calls that took away what else stood for it."""


@dataclass(frozen=True, slots=True)
class PolicyWritten:
    """AWS confirmed the customer-managed policy of a team's policy in one account."""

    account: AccountId
    team: Team
    policy: str
    made: Made
    policy_position: int
    requests: tuple[str, ...]
    confirmed_at: datetime


@dataclass(frozen=True, slots=True)
class PolicyDeleted:
    """AWS confirmed that it is gone from that account."""

    account: AccountId
    team: Team
    policy: str
    policy_arn: str
    outcome: Literal["answered", "found_absent"]
    requests: tuple[str, ...]
    confirmed_at: datetime


@dataclass(frozen=True, slots=True)
class Refused:
    """The account's numbers forbid it; nothing of the grant stands. Tried again, not given up."""

    grant: GrantRef
    code: str
    message: str
    policy_position: int
    requests: tuple[str, ...] = ()
    """Of the calls that took away what stood for it until then."""


@dataclass(frozen=True, slots=True)
class Stuck:
    """A step that does not get done: a refusal at once, weather after a minute. One per subject."""

    account: AccountId
    code: str
    message: str
    grant: GrantRef | None = None
    team: Team | None = None
    policy: str | None = None
    """With `grant` None: the policy whose object is stuck; both None: the whole account."""


@dataclass(frozen=True, slots=True)
class Unstuck:
    """What was stuck about this subject is so no more."""

    account: AccountId
    grant: GrantRef | None = None
    team: Team | None = None
    policy: str | None = None


@dataclass(frozen=True, slots=True)
class DriftFound:
    """Something of ours is not as we wrote it, or something under our names is not ours."""

    account: AccountId
    drift: Literal["missing", "altered", "extra"]
    object: str
    """`inline user/ana iam-ledger-…`, `attachment role/ci arn:…` or `policy arn:…`."""
    grant: GrantRef | None
    team: Team | None
    policy: str | None
    first_seen_at: datetime
    actor: str | None
    """Who, where CloudTrail can say; else None."""
    principal_id: str | None = None
    """The new id of a principal that was deleted and made anew; None: it is the same."""
    nothing_left: bool = False
    """Missing, and with it the last object of its grant."""
    loosened: bool = False
    """Altered, so that it would let access go on past its end."""


@dataclass(frozen=True, slots=True)
class DriftRepaired:
    """What was found differing is as we wrote it again."""

    account: AccountId
    object: str
    how: Literal["written", "found"]
    """`found`: it was right again without us."""
    grant: GrantRef | None
    team: Team | None
    policy: str | None
    confirmed_at: datetime
    requests: tuple[str, ...] = ()
    """Of the calls that put it right; empty where it was right again without us."""


Intent = (
    AccountMapped
    | AccountUnmapped
    | PolicyDefined
    | PolicyRetired
    | SettingsChanged
    | Granted
    | Revoked
    | Held
    | Released
    | Ingested
    | RetryRequested
    | Settled
    | Adopted
)
Evidence = (
    Sighted
    | Applied
    | Removed
    | Left
    | PolicyWritten
    | PolicyDeleted
    | Refused
    | Stuck
    | Unstuck
    | DriftFound
    | DriftRepaired
)
Event = Intent | Evidence
