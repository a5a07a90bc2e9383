"""The words of the ledger as values whose constructors refuse nonsense.

Invariant: every instant here is aware, UTC and of whole seconds; every window is half open,
`starts_at <= t < ends_at`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Literal, NewType

AccountId = NewType("AccountId", str)
"""Twelve digits, leading zeros kept. Made by `account_id`."""

GrantId = NewType("GrantId", str)
"""Sixteen base32 characters of a SHA-256 over what the grant means (`ledger.manifest.identity`)."""

Team = NewType("Team", str)
"""A team's name: the stem of its files."""

Enforcement = Literal["aws", "daemon"]
"""Who ends a temporary grant: AWS by a date in the document, or only the worker's removal."""

ACCOUNT = re.compile(r"[0-9]{12}\Z")
_NAME = re.compile(r"[\w+=,.@-]+\Z", re.ASCII)


def account_id(text: str) -> AccountId:
    """`text` as an account id; ValueError unless it is exactly twelve ASCII digits."""
    if not ACCOUNT.match(text):
        raise ValueError(f"account id {text!r} is not 12 digits")
    return AccountId(text)


def whole_second(instant: datetime) -> datetime:
    """`instant` in UTC with its fraction cut down; ValueError when it has no time zone."""
    if instant.tzinfo is None:
        raise ValueError(f"{instant.isoformat()} has no time zone")
    return instant.astimezone(UTC).replace(microsecond=0)


class PrincipalKind(StrEnum):
    """What IAM calls the kinds of identity that policies attach to."""

    USER = "user"
    ROLE = "role"
    GROUP = "group"


@dataclass(frozen=True, slots=True)
class KindFacts:
    """All that differs between kinds of principal; whoever needs a difference reads it here.

    Sizes are characters with white space left out, and counts, as AWS's quota page gives them
    (IAM and STS quotas, "IAM object quotas").
    """

    kind: PrincipalKind
    singular_key: str
    plural_key: str
    name_max: int
    temporary: bool
    """Whether a window on it belongs to one person or workload (a group's members come and go)."""
    email_allowed: bool
    mfa: bool
    """Whether who acts as one can have shown a second factor: a group's members are users, and the
    session of a role seldom knows of one."""
    inline_chars_max: int
    attached_max: int
    given_again: bool = False
    """Whether one that was deleted and made anew gets its grants again by itself: a role is its
    line's still; a user of that name may be another person, and a group may be other people."""


PRINCIPAL_KINDS: dict[PrincipalKind, KindFacts] = {
    facts.kind: facts
    for facts in (
        KindFacts(PrincipalKind.USER, "user", "users", 64, True, True, True, 2_048, 10),
        KindFacts(PrincipalKind.ROLE, "role", "roles", 64, True, False, False, 10_240, 10, True),
        KindFacts(PrincipalKind.GROUP, "group", "groups", 128, False, False, True, 5_120, 10),
    )
}


_KINDS = {kind.value: kind for kind in PrincipalKind}

PRINCIPALS_MAX = 65_536
"""Whose texts are kept in mind: a company's users, roles and groups."""

DEPLOYER_KIND = PrincipalKind.ROLE
"""What a `deployer_role` is."""


@dataclass(frozen=True, slots=True)
class Principal:
    """An IAM user, role or group of some account, by kind and name.

    Equality ignores the path (IAM names are unique without it) and keeps the case as written;
    compare `key` where case must not count, as IAM itself does.
    """

    kind: PrincipalKind
    name: str
    path: str = field(default="/", compare=False)
    """With leading and trailing slash. `/` also where the path was never told."""

    def __post_init__(self) -> None:
        if not _NAME.match(self.name):
            raise ValueError(f"{self.name!r} is not an IAM name")
        if len(self.name) > self.facts.name_max:
            raise ValueError(f"{self.name!r} is longer than {self.facts.name_max} characters")
        if not (self.path.startswith("/") and self.path.endswith("/")):
            raise ValueError(f"path {self.path!r} must start and end with a slash")

    @property
    def facts(self) -> KindFacts:
        return PRINCIPAL_KINDS[self.kind]

    @property
    def key(self) -> str:
        """`user/ana`: kind and name, case folded. The same for every spelling IAM takes as one."""
        return f"{self.kind}/{self.name.casefold()}"

    def matches(self, patterns: Iterable[str]) -> bool:
        """Whether any pattern like `user/break-glass-*` or `role/guard/*` covers it.

        `*` and `?` also cross slashes, as in IAM's own patterns; case is ignored. A pattern is held
        against `kind/name` and `kind/path/name`.
        """
        key, long = self.key, f"{self.kind}{self.path}{self.name}".casefold()
        return any(
            fnmatchcase(key, folded) or fnmatchcase(long, folded)
            for folded in (pattern.casefold() for pattern in patterns)
        )

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


@lru_cache(PRINCIPALS_MAX)
def parse_principal(text: str) -> Principal:
    """The inverse of `str(principal)`; ValueError on anything else."""
    word, slash, name = text.partition("/")
    kind = _KINDS.get(word)
    if not slash or kind is None:
        raise ValueError(f"{text!r} is not kind/name")
    return Principal(kind, name)


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """When access is meant to be: `starts_at <= t < ends_at`."""

    starts_at: datetime
    ends_at: datetime | None
    """None: until somebody revokes it (permanent access)."""

    def __post_init__(self) -> None:
        for instant in (self.starts_at, self.ends_at):
            if instant is None:
                continue
            if instant.utcoffset() != timedelta(0):
                raise ValueError(f"{instant.isoformat()} is not in UTC")
            if instant.microsecond:
                raise ValueError(f"{instant.isoformat()} has a fraction of a second")
        if self.ends_at is not None and self.ends_at <= self.starts_at:
            raise ValueError(f"window ends at {self.ends_at}, not after its start {self.starts_at}")

    def covers(self, instant: datetime) -> bool:
        return self.starts_at <= instant and (self.ends_at is None or instant < self.ends_at)

    def over(self, instant: datetime) -> bool:
        """Whether the end has come: true at `ends_at` itself, never for permanent access."""
        return self.ends_at is not None and self.ends_at <= instant


@dataclass(frozen=True, slots=True)
class Account:
    """One environment of one team: an AWS account and how to get into it."""

    team: Team
    environment: str
    account: AccountId
    deployer_role: str
    """The role's name, or path/name, assumed in the account."""
    external_id: str | None = None
    """Sent with AssumeRole; None sends none."""
    source_identity: str | None = None
    """Set with AssumeRole, and kept by AWS in every session that follows; None sets none."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What may be requested: custom statements, AWS-managed policies, or both."""

    team: Team
    name: str
    """As the YAML names it."""
    iam_name: str
    """The customer-managed policy's name: `{team}-{policy}`, dots and foreign signs replaced."""
    document: str | None
    """Canonical JSON of an IAM document with the custom statements; None where there are none."""
    managed_policies: tuple[str, ...] = ()
    """ARNs of AWS-managed policies, in the order written."""
    description: str | None = None
    max_duration_s: int | None = None
    """Seconds that a temporary grant may last; None: no cap of its own."""
    require_mfa: bool = False
    """Whether each Allow asks for a session that was begun with a second factor."""
    enforcement: Enforcement = "aws"
    """`daemon`: temporary grants that AWS itself cannot end are made all the same."""
    allow_dangerous: str | None = None
    """Why its content may escalate privileges, as its reviewers let it stand; None: not said."""

    def __post_init__(self) -> None:
        if self.document is None and not self.managed_policies:
            raise ValueError(f"policy {self.name!r} has neither statements nor managed policies")


PERCENT_FROM = 5
"""Fewer accesses than this are never judged by their share: one of two is half."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the whole directory says, the worker's part and ingest's part together."""

    deployer_role: str = "AWSSelfServeDeployer"
    policy_path: str = "/iam-ledger/"
    max_temporary_days: int = 6
    time_zone: str = "UTC"
    user_names: Literal["local-part", "email"] = "local-part"
    drift: Literal["warn", "repair"] = "warn"
    dangerous: Literal["warn", "refuse"] = "warn"
    """What a policy meets that could escalate privileges and has no `allow_dangerous`."""
    max_revocations_count: int = 20
    max_revocations_percent: int = 50
    managed_principals: tuple[str, ...] = ("user/*", "role/*", "group/*")
    protected_principals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Grant:
    """One principal, one policy, one account, one window; identified by its meaning."""

    id: GrantId
    turn: int
    """1 for the first time; a line removed and restored, or a length changed, is the next turn."""
    team: Team
    environment: str
    account: AccountId
    principal: Principal
    policy: str
    window: Window
    object: str | None
    """Name of what stands for it in IAM (an inline policy); None for permanent access."""
    continues: tuple[GrantId, int] | None = None
    """The grant and turn whose place it takes, revoked in the same transaction."""
    ticket: str | None = None
    description: str | None = None

    @property
    def temporary(self) -> bool:
        return self.window.ends_at is not None
