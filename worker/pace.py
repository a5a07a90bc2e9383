"""How fast an account is called: as fast as AWS has lately let us, account by account.

AWS tells nobody its rates. Each account has a bucket for reads and one for writes; their rates grow
while they are what holds us up and AWS does not throttle, and halve when it does. Invariants: no
account waits for another; no call waits for longer than `WAIT_MAX_S`; what takes access away waits
only where AWS itself has said lately that it is too much.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

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
from worker.errors import AwsError, AwsThrottled
from worker.metrics import Metrics

T = TypeVar("T")

WAIT_MAX_S = 2.0
"""A removal that comes due meanwhile waits no longer than this for the call under way."""

WARY = timedelta(seconds=60)
"""How long after being throttled removals too keep to the pace."""

PAGE_ITEMS = 100
"""Of an account's reading, for counting its calls (worker.aws.account)."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Of one kind of call, a second."""

    first: float
    least: float
    most: float
    burst: int
    """Calls at once, after a rest."""


READS = Rates(first=20, least=2, most=100, burst=40)
WRITES = Rates(first=5, least=1, most=30, burst=20)
"""iam.md: about 5/s an account to begin with; reads more."""


@dataclass(slots=True)
class Pace:
    """One account's pace for one kind of call. Pure: instants come from the caller."""

    rates: Rates
    rate: float = field(init=False)
    """Calls a second, at present."""
    _tokens: float = field(init=False)
    _filled_at: datetime | None = None
    _throttled_at: datetime | None = None
    _not_before: datetime | None = None

    def __post_init__(self) -> None:
        self.rate = self.rates.first
        self._tokens = self.rates.burst

    def wait_s(self, now: datetime, *, urgent: bool = False) -> float:
        """How long a call has to wait; 0: it may go at once."""
        self._fill(now)
        if urgent and not self.wary(now):
            return 0.0
        asked_s = (self._not_before - now).total_seconds() if self._not_before else 0.0
        own_s = (1 - self._tokens) / self.rate
        return min(WAIT_MAX_S, max(0.0, asked_s, own_s))

    def went(self, calls: int, now: datetime, *, held_up: bool) -> None:
        """A call that stands for so many of AWS's was taken. `held_up`: it had waited here."""
        self._fill(now)
        # What is owed is never more than what the longest wait pays back.
        self._tokens = max(self._tokens - calls, 1 - self.rate * WAIT_MAX_S)
        if held_up:
            self.rate = min(self.rates.most, self.rate + 1 / self.rate)

    def throttled(self, now: datetime, retry_after_s: float | None) -> None:
        """Halves the rate; several refusals of one moment are one."""
        self._fill(now)
        if self._throttled_at is None or (now - self._throttled_at).total_seconds() * self.rate > 1:
            self.rate = max(self.rates.least, self.rate / 2)
        self._throttled_at = now
        self._tokens = min(self._tokens, 0.0)
        if retry_after_s is not None:
            self._not_before = now + timedelta(seconds=retry_after_s)

    def wary(self, now: datetime) -> bool:
        """Whether AWS has said lately that it is too much."""
        return self._throttled_at is not None and now - self._throttled_at < WARY

    def _fill(self, now: datetime) -> None:
        if self._filled_at is not None:
            passed_s = max(0.0, (now - self._filled_at).total_seconds())
            self._tokens = min(self.rates.burst, self._tokens + passed_s * self.rate)
        self._filled_at = now


class Sleeping(Protocol):
    """What is needed of the clock (worker.clock)."""

    def now(self) -> datetime: ...

    async def sleep_until(self, instant: datetime) -> None: ...


@dataclass(slots=True)
class Paces:
    """Those of one account, and what they wait by."""

    clock: Sleeping
    random: Callable[[], float]
    on_wait: Callable[[str, float], None]
    """(kind of call, seconds) of each wait."""
    reads: Pace = field(default_factory=lambda: Pace(READS))
    writes: Pace = field(default_factory=lambda: Pace(WRITES))

    @asynccontextmanager
    async def turn(
        self, pace: Pace, *, urgent: bool = False
    ) -> AsyncIterator[Callable[[int], None]]:
        """Waits, then lets a call be made; it is told how many of AWS's calls that was."""
        held_up = False
        wait_s = pace.wait_s(self.clock.now(), urgent=urgent)
        if wait_s:
            held_up = True
            jitter_s = self.random() / pace.rate / 4
            wait_s = min(WAIT_MAX_S, wait_s + jitter_s)
            self.on_wait("write" if pace is self.writes else "read", wait_s)
            await self.clock.sleep_until(self.clock.now() + timedelta(seconds=wait_s))
        calls = 1

        def count(number: int) -> None:
            nonlocal calls
            calls = number

        try:
            yield count
        except AwsThrottled as error:
            pace.throttled(self.clock.now(), error.retry_after_s)
            raise
        except AwsError:
            pace.went(calls, self.clock.now(), held_up=False)
            raise
        pace.went(calls, self.clock.now(), held_up=held_up)


class PacedAccount:
    """`AwsAccount` over another, each call at its pace."""

    def __init__(self, aws: AwsAccount, paces: Paces) -> None:
        self.account: AccountId = aws.account
        self._aws = aws
        self._paces = paces

    async def enter(self) -> None:
        await self._aws.enter()

    # --- reads ------------------------------------------------------------------------------------

    async def _read(
        self, ask: Callable[[], Awaitable[T]], calls: Callable[[T], int] = lambda _: 1
    ) -> T:
        async with self._paces.turn(self._paces.reads) as count:
            found = await ask()
            count(calls(found))
        return found

    async def observe(self) -> AccountState:
        return await self._read(self._aws.observe, _pages)

    async def read_limits(self) -> AccountLimits:
        return await self._read(self._aws.read_limits)

    async def read_principal(self, principal: Principal) -> PrincipalState | None:
        """Itself, two listings, and each inline policy."""
        return await self._read(
            lambda: self._aws.read_principal(principal),
            lambda state: 3 + len(state.inline) if state else 1,
        )

    async def read_policy(self, arn: str) -> ManagedPolicyState | None:
        return await self._read(lambda: self._aws.read_policy(arn), lambda state: 3 if state else 1)

    async def read_policy_tags(self, arn: str) -> dict[str, str]:
        return await self._read(lambda: self._aws.read_policy_tags(arn))

    async def read_holders(self, arn: str) -> tuple[Principal, ...]:
        return await self._read(lambda: self._aws.read_holders(arn))

    async def read_source(self, arn: str, version: str | None = None) -> SourceDocument:
        calls = 2 if version is None else 1
        return await self._read(lambda: self._aws.read_source(arn, version), lambda _: calls)

    # --- writes -----------------------------------------------------------------------------------

    async def _write(
        self, write: Callable[[], Awaitable[Answer]], *, urgent: bool = False
    ) -> Answer:
        async with self._paces.turn(self._paces.writes, urgent=urgent):
            return await write()

    async def put_inline(self, principal: Principal, name: str, document: str) -> Answer:
        return await self._write(lambda: self._aws.put_inline(principal, name, document))

    async def delete_inline(self, principal: Principal, name: str) -> Answer:
        return await self._write(lambda: self._aws.delete_inline(principal, name), urgent=True)

    async def attach(self, principal: Principal, arn: str) -> Answer:
        return await self._write(lambda: self._aws.attach(principal, arn))

    async def detach(self, principal: Principal, arn: str) -> Answer:
        return await self._write(lambda: self._aws.detach(principal, arn), urgent=True)

    async def create_policy(
        self, *, name: str, path: str, document: str, tags: dict[str, str]
    ) -> Answer:
        return await self._write(
            lambda: self._aws.create_policy(name=name, path=path, document=document, tags=tags)
        )

    async def create_policy_version(self, arn: str, document: str) -> Answer:
        return await self._write(lambda: self._aws.create_policy_version(arn, document))

    async def delete_policy_version(self, arn: str, version: str) -> Answer:
        return await self._write(lambda: self._aws.delete_policy_version(arn, version))

    async def delete_policy(self, arn: str) -> Answer:
        return await self._write(lambda: self._aws.delete_policy(arn))


def _pages(state: AccountState) -> int:
    items = len(state.principals) + len(state.policies)
    return max(1, -(-items // PAGE_ITEMS))


class _Gate(Protocol):
    def account(self, entry: Account) -> AwsAccount: ...

    def clock_offset_s(self) -> float | None: ...


class PacedGate:
    """A gate behind which every account has a pace of its own."""

    def __init__(
        self,
        gate: _Gate,
        clock: Sleeping,
        random: Callable[[], float],
        metrics: Metrics | None = None,
    ) -> None:
        """`metrics`: None where nobody asks."""
        self._gate = gate
        self._clock = clock
        self._random = random
        self._metrics = metrics
        self._paces: dict[AccountId, Paces] = {}
        if metrics is not None:
            metrics.accounts_throttled.set_function(self.throttled)

    def account(self, entry: Account) -> PacedAccount:
        paces = self._paces.setdefault(
            entry.account, Paces(self._clock, self._random, self._waited)
        )
        return PacedAccount(self._gate.account(entry), paces)

    def throttled(self) -> int:
        """Accounts in which AWS has said lately that it is too much."""
        now = self._clock.now()
        both = ((paces.reads, paces.writes) for paces in self._paces.values())
        return sum(any(pace.wary(now) for pace in paces) for paces in both)

    def _waited(self, kind: str, seconds: float) -> None:
        if self._metrics is not None:
            self._metrics.pace_waited.labels(kind).inc(seconds)

    def clock_offset_s(self) -> float | None:
        return self._gate.clock_offset_s()
