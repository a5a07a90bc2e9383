"""One AWS account as the worker sees it: what stands there, and what can be asked of it.

Two implementations hold to the protocol: `worker.aws.account` (the real one) and the tests' fake.
Every write is idempotent by its target state.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, Protocol

from ledger.model import AccountId, Principal, PrincipalKind

POLICIES_MAX = 1_500
"""Customer-managed policies of one account, unless its quota was raised (IAM and STS quotas)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """AWS's own success answer: IAM's confirmation."""

    outcome: Literal["done", "stood", "absent"]
    """`stood`: a creation found it there; `absent`: a removal found nothing."""
    request_id: str
    """Empty where the server sent none."""
    confirmed_at: datetime
    """By our clock, when the answer came."""
    arn: str | None = None
    """Of the managed policy, for its creation."""


@dataclass(frozen=True, slots=True)
class PrincipalState:
    """What hangs on one principal."""

    principal: Principal
    """With its real path."""
    unique_id: str
    """AWS's own id: a principal deleted and made anew has another."""
    inline: dict[str, str]
    """Name -> document text as AWS gives it, URL-decoded."""
    attached: frozenset[str]
    """ARNs of managed policies."""
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ManagedPolicyState:
    """One customer-managed policy."""

    name: str
    path: str
    arn: str
    document: str
    """The default version's text."""
    default_version: str
    versions: tuple[str, ...]
    """Version ids, oldest first, the default among them."""


Thing = tuple[str, str]
"""What hangs on a principal, by its key and the name or ARN; a policy itself: no key, its ARN."""


@dataclass(frozen=True, slots=True)
class AccountState:
    """What GetAccountAuthorizationDetails says of users, roles, groups and local policies."""

    principals: dict[str, PrincipalState]
    """By `Principal.key`."""
    policies: dict[str, ManagedPolicyState]
    """By name, case folded: IAM takes names as one whatever their case and path."""

    def without(self, taken: Collection[Thing]) -> "AccountState":
        """As it is since these were taken away, which the reading did not know yet."""
        principals = dict(self.principals)
        for key, name in taken:
            if key in principals:
                state = principals[key]
                inline = {each: text for each, text in state.inline.items() if each != name}
                principals[key] = replace(state, inline=inline, attached=state.attached - {name})
        gone = {arn for key, arn in taken if not key}
        policies = {name: each for name, each in self.policies.items() if each.arn not in gone}
        return AccountState(principals, policies)


@dataclass(frozen=True, slots=True)
class SourceDocument:
    """The text of an AWS-managed policy at one version."""

    arn: str
    version: str
    document: str


@dataclass(frozen=True, slots=True)
class AccountLimits:
    """The account's own quotas; what it did not tell is AWS's default."""

    attached: Mapping[PrincipalKind, int] = field(default_factory=dict)
    """Managed policies that may hang on one principal of a kind."""
    policies_max: int = POLICIES_MAX
    """Customer-managed policies in the whole account."""
    policies: int | None = None
    """How many of them stand; None: not told."""

    def attached_max(self, principal: Principal) -> int:
        return self.attached.get(principal.kind, principal.facts.attached_max)


class AwsReading(Protocol):
    """What can be asked of an account. Each call raises only `worker.errors.AwsError`s.

    AwsBusy, AwsUnanswered and AccountClosed may come from any; AwsRefused and AwsMissing as told.
    """

    account: AccountId

    async def enter(self) -> None:
        """Gets in, where that is still to do. The answers on the way tell AWS's time."""
        ...

    async def observe(self) -> AccountState:
        """The whole account, in pages of 100."""
        ...

    async def read_limits(self) -> AccountLimits:
        """The account's own quotas, and what is used of them. AwsRefused where it may not ask."""
        ...

    async def read_principal(self, principal: Principal) -> PrincipalState | None:
        """One principal's own lists, fresh; None when it does not exist."""
        ...

    async def read_policy(self, arn: str) -> ManagedPolicyState | None:
        """One managed policy with its versions; None when it does not exist."""
        ...

    async def read_policy_tags(self, arn: str) -> dict[str, str]:
        """AwsMissing when the policy does not exist."""
        ...

    async def read_holders(self, arn: str) -> tuple[Principal, ...]:
        """Whom a managed policy is attached to; AwsMissing when it does not exist."""
        ...

    async def read_source(self, arn: str, version: str | None = None) -> SourceDocument:
        """An AWS-managed policy's document, the default version where None; AwsMissing if none."""
        ...


class AwsTagging(AwsReading, Protocol):
    """What `adopt` needs: it changes nothing but tags."""

    async def tag_policy(self, arn: str, tags: dict[str, str]) -> Answer:
        """Adds them to what it has, in place of those with the same keys. AwsMissing if none."""
        ...


class AwsAccount(AwsReading, Protocol):
    """One account, entered by its role: what can be asked of it, and what can be changed in it."""

    async def put_inline(self, principal: Principal, name: str, document: str) -> Answer:
        """Makes or replaces it in one step. AwsMissing when the principal does not exist."""
        ...

    async def delete_inline(self, principal: Principal, name: str) -> Answer:
        """`absent` when it, or the principal, is not there."""
        ...

    async def attach(self, principal: Principal, arn: str) -> Answer:
        """AwsMissing when the principal or the policy does not exist."""
        ...

    async def detach(self, principal: Principal, arn: str) -> Answer:
        """`absent` when it, or the principal, is not there."""
        ...

    async def create_policy(
        self, *, name: str, path: str, document: str, tags: dict[str, str]
    ) -> Answer:
        """`stood`, without `arn`, when a policy of that name stands, whatever its path and text."""
        ...

    async def create_policy_version(self, arn: str, document: str) -> Answer:
        """A new default version. AwsRefused (`LimitExceeded`) at five versions."""
        ...

    async def delete_policy_version(self, arn: str, version: str) -> Answer: ...

    async def delete_policy(self, arn: str) -> Answer:
        """AwsRefused (`DeleteConflict`) while attached or with other versions; `absent` if gone."""
        ...
