"""What this process has done to an account lately is so, whatever IAM's reads say meanwhile.

IAM's reads lag behind its writes, and a call may not know yet what the one before it made (IAM user
guide, "Changes that I make are not always immediately visible"). Invariant: for two minutes after a
confirmed write no reading contradicts it, and no answer of "not there" to what that write made, nor
of "in use" to what it took away, is believed: AwsBusy, so that it is asked again.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from ledger.model import Account, AccountId, Principal
from worker.account import (
    AccountLimits,
    AccountState,
    Answer,
    AwsAccount,
    ManagedPolicyState,
    PrincipalState,
    SourceDocument,
)
from worker.errors import AwsBusy, AwsMissing, AwsRefused
from worker.timing import SETTLING

K = TypeVar("K")
V = TypeVar("V")

FIRST_VERSION = "v1"
"""Of every policy that is made (API reference, CreatePolicy)."""

MALFORMED = "MalformedPolicyDocument"
"""IAM's answer, among others, to a text about a principal that it does not know yet."""

IN_USE = "DeleteConflict"


class _Lately(Generic[K, V]):
    """Facts that are forgotten after two minutes."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._known: dict[K, tuple[datetime, V]] = {}

    def learn(self, key: K, value: V, since: datetime | None = None) -> None:
        self._known[key] = (since or self._now(), value)

    def forget(self, key: K) -> None:
        self._known.pop(key, None)

    def __contains__(self, key: K) -> bool:
        return key in self.all()

    def all(self) -> dict[K, V]:
        oldest = self._now() - SETTLING
        if any(since <= oldest for since, _ in self._known.values()):
            self._known = {k: known for k, known in self._known.items() if known[0] > oldest}
        return {key: value for key, (_, value) in self._known.items()}


@dataclass(frozen=True, slots=True)
class _Made:
    """A policy of ours, as we made it or rewrote it."""

    document: str
    state: ManagedPolicyState | None = None
    """As a reading would show it; None: it was made before, and only its text is known."""
    tags: dict[str, str] = field(default_factory=dict)

    def rewritten(self, document: str) -> "_Made":
        """With another version, which is the default: their numbers count up."""
        if self.state is None:
            return _Made(document)
        version = f"v{int(self.state.default_version[1:]) + 1}"
        versions = (*self.state.versions, version)
        state = replace(self.state, document=document, default_version=version, versions=versions)
        return _Made(document, state, self.tags)


class OwnWrites:
    """The memory of one account. Losing it costs what it is for, until two minutes have passed."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.inline: _Lately[tuple[str, str], str | None] = _Lately(now)
        """(principal's key, name) -> the text put there; None: deleted."""
        self.attached: _Lately[tuple[str, str], bool] = _Lately(now)
        """(principal's key, ARN) -> attached, or detached."""
        self.policies: _Lately[str, _Made | None] = _Lately(now)
        """ARN -> as we made it; None: deleted."""
        self.pruned: _Lately[str, None] = _Lately(now)
        """ARNs of policies of which we deleted a version."""
        self.young: _Lately[str, None] = _Lately(now)
        """Keys of principals that were made less than two minutes ago."""
        self._ids: dict[str, str] = {}

    # --- readings, put right ----------------------------------------------------------------------

    def principal(self, state: PrincipalState) -> PrincipalState:
        key = state.principal.key
        self._meet(key, state)
        inline, attached = dict(state.inline), set(state.attached)
        for (who, name), text in self.inline.all().items():
            if who == key and text is None:
                inline.pop(name, None)
            elif who == key and text is not None:
                inline[name] = text
        for (who, arn), stands in self.attached.all().items():
            if who == key:
                (attached.add if stands else attached.discard)(arn)
        return replace(state, inline=inline, attached=frozenset(attached))

    def _meet(self, key: str, state: PrincipalState) -> None:
        """Of a principal made anew, nothing is known that was done to the one before it."""
        if self._ids.get(key, state.unique_id) != state.unique_id:
            for known in [known for known in self.inline.all() if known[0] == key]:
                self.inline.forget(known)
            for known in [known for known in self.attached.all() if known[0] == key]:
                self.attached.forget(known)
        self._ids[key] = state.unique_id
        if state.created_at is not None:
            self.young.learn(key, None, since=state.created_at)
            self.young.all()  # most are old, and forgotten at once

    def policy(self, arn: str, read: ManagedPolicyState | None) -> ManagedPolicyState | None:
        known = self.policies.all()
        if arn not in known:
            return read
        made = known[arn]
        if made is None:
            return None
        return made.state if read is None else replace(read, document=made.document)

    def account(self, state: AccountState) -> AccountState:
        policies = dict(state.policies)
        by_arn = {policy.arn: name for name, policy in policies.items()}
        for arn in self.policies.all():
            name = by_arn.get(arn)
            right = self.policy(arn, policies.pop(name) if name is not None else None)
            if right is not None:
                policies[right.name.casefold()] = right
        principals = {key: self.principal(each) for key, each in state.principals.items()}
        return AccountState(principals, policies)

    # --- answers that come too soon ---------------------------------------------------------------

    @contextmanager
    def patient(self, *subjects: str) -> Iterator[None]:
        """Refusals that may be of what is too new, or has gone too lately, are AwsBusy within.

        `subjects`: keys of principals and ARNs that the call is about.
        """
        try:
            yield
        except AwsMissing as error:
            if any(self._new(subject) for subject in subjects):
                raise AwsBusy(error.code, error.message) from error
            raise
        except AwsRefused as error:
            young = any(subject in self.young for subject in subjects)
            if (error.code == MALFORMED and young) or (
                error.code == IN_USE and any(self._left(subject) for subject in subjects)
            ):
                raise AwsBusy(error.code, error.message) from error
            raise

    def _new(self, subject: str) -> bool:
        return subject in self.young or self.policies.all().get(subject) is not None

    def _left(self, arn: str) -> bool:
        """Whether something has lately gone that kept it from being deleted."""
        gone = (which for (_, which), stands in self.attached.all().items() if not stands)
        return arn in self.pruned or arn in gone

    @staticmethod
    def believe(answer: Answer, what: str, *, stood: bool) -> Answer:
        """AwsBusy for an `absent` of what, by our own doing, `stood` lately."""
        if answer.outcome == "absent" and stood:
            raise AwsBusy("NoSuchEntity", f"{what} was written just now, and IAM does not know it")
        return answer


class SettledAccount:
    """`AwsAccount` over another, by what `own` remembers. Unanswered calls teach nothing."""

    def __init__(self, aws: AwsAccount, own: OwnWrites) -> None:
        self.account: AccountId = aws.account
        self._aws = aws
        self._own = own

    async def enter(self) -> None:
        await self._aws.enter()

    async def observe(self) -> AccountState:
        return self._own.account(await self._aws.observe())

    async def read_limits(self) -> AccountLimits:
        return await self._aws.read_limits()

    async def read_principal(self, principal: Principal) -> PrincipalState | None:
        state = await self._aws.read_principal(principal)
        return None if state is None else self._own.principal(state)

    async def read_policy(self, arn: str) -> ManagedPolicyState | None:
        return self._own.policy(arn, await self._aws.read_policy(arn))

    async def read_policy_tags(self, arn: str) -> dict[str, str]:
        try:
            return await self._aws.read_policy_tags(arn)
        except AwsMissing:
            made = self._own.policies.all().get(arn)
            if made is None or made.state is None:
                raise
            return dict(made.tags)

    async def read_holders(self, arn: str) -> tuple[Principal, ...]:
        with self._own.patient(arn):
            return await self._aws.read_holders(arn)

    async def read_source(self, arn: str, version: str | None = None) -> SourceDocument:
        return await self._aws.read_source(arn, version)

    # --- writes -----------------------------------------------------------------------------------

    async def put_inline(self, principal: Principal, name: str, document: str) -> Answer:
        with self._own.patient(principal.key):
            answer = await self._aws.put_inline(principal, name, document)
        self._own.inline.learn((principal.key, name), document)
        return answer

    async def delete_inline(self, principal: Principal, name: str) -> Answer:
        key = (principal.key, name)
        answer = await self._aws.delete_inline(principal, name)
        self._own.believe(answer, name, stood=self._own.inline.all().get(key) is not None)
        self._own.inline.learn(key, None)
        return answer

    async def attach(self, principal: Principal, arn: str) -> Answer:
        with self._own.patient(principal.key, arn):
            answer = await self._aws.attach(principal, arn)
        self._own.attached.learn((principal.key, arn), value=True)
        return answer

    async def detach(self, principal: Principal, arn: str) -> Answer:
        key = (principal.key, arn)
        answer = await self._aws.detach(principal, arn)
        self._own.believe(answer, arn, stood=self._own.attached.all().get(key, False))
        self._own.attached.learn(key, value=False)
        return answer

    async def create_policy(
        self, *, name: str, path: str, document: str, tags: dict[str, str]
    ) -> Answer:
        answer = await self._aws.create_policy(name=name, path=path, document=document, tags=tags)
        if answer.arn is not None:
            versions = (FIRST_VERSION,)
            state = ManagedPolicyState(name, path, answer.arn, document, FIRST_VERSION, versions)
            self._own.policies.learn(answer.arn, _Made(document, state, dict(tags)))
        return answer

    async def create_policy_version(self, arn: str, document: str) -> Answer:
        with self._own.patient(arn):
            answer = await self._aws.create_policy_version(arn, document)
        before = self._own.policies.all().get(arn)
        self._own.policies.learn(arn, before.rewritten(document) if before else _Made(document))
        return answer

    async def delete_policy_version(self, arn: str, version: str) -> Answer:
        answer = await self._aws.delete_policy_version(arn, version)
        self._own.pruned.learn(arn, None)
        return answer

    async def delete_policy(self, arn: str) -> Answer:
        with self._own.patient(arn):
            answer = await self._aws.delete_policy(arn)
        made = self._own.policies.all().get(arn)
        self._own.believe(answer, arn, stood=made is not None and made.state is not None)
        self._own.policies.learn(arn, None)
        return answer


class _Gate(Protocol):
    def account(self, entry: Account) -> AwsAccount: ...

    def clock_offset_s(self) -> float | None: ...


class SettledGate:
    """A gate behind which every account remembers what was done to it through here."""

    def __init__(self, gate: _Gate, now: Callable[[], datetime]) -> None:
        self._gate = gate
        self._now = now
        self._own: dict[AccountId, OwnWrites] = {}

    def account(self, entry: Account) -> SettledAccount:
        own = self._own.setdefault(entry.account, OwnWrites(self._now))
        return SettledAccount(self._gate.account(entry), own)

    def clock_offset_s(self) -> float | None:
        return self._gate.clock_offset_s()
