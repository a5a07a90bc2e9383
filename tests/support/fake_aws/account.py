"""AWS as the worker meets it: accounts behind a gate, calls that take time, answers that get lost.

How strict it is beyond that, account by account, is in `strict`; its clock may be another's.

Invariant: what a call changed stands whether or not its answer comes. Every call is logged, and
every change of who has access is kept with its instant, so that tests assert the world.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Literal, TypeVar, cast

from ledger.model import Account, AccountId, Principal
from tests.support.fake_aws.access import Moment, allowed, intervals
from tests.support.fake_aws.faults import Fault, FaultKind, Life
from tests.support.fake_aws.iam import Iam, ManagedPolicy
from tests.support.fake_aws.strict import Strict, Strictness
from worker.account import (
    AccountLimits,
    AccountState,
    Answer,
    ManagedPolicyState,
    PrincipalState,
    SourceDocument,
)
from worker.aws.offset import ClockOffset
from worker.clock import Clock
from worker.errors import AccountClosed, AwsBusy, AwsError, AwsMissing, AwsUnanswered

READS = {
    "enter",
    "observe",
    "read_limits",
    "read_principal",
    "read_policy",
    "read_policy_tags",
    "read_holders",
    "read_source",
}

REMOVALS = {"delete_inline", "detach", "delete_policy_version", "delete_policy"}
"""To which NoSuchEntity is an answer."""

SKEW_MAX = timedelta(minutes=5)
"""Further apart from AWS's clock, no signature is taken (SigV4)."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """One call that reached AWS, or was lost on its way."""

    at: datetime
    account: AccountId
    operation: str
    about: str
    role: str
    """Whose credentials signed it."""
    outcome: str
    """`done`, `stood`, `absent`, or the error's code."""

    @property
    def writes(self) -> bool:
        return self.operation not in READS


@dataclass(slots=True)
class Door:
    """What it takes to get into an account."""

    role: str
    external_id: str | None


@dataclass(slots=True)
class FakeAws:
    """All of AWS: accounts, AWS's own policies, faults, and a memory of everything."""

    clock: Clock
    latency: timedelta = timedelta(milliseconds=40)
    """Of one call, there and back: half of it before AWS does what is asked."""
    ahead: timedelta = timedelta(0)
    """AWS's clock less ours: what its answers are dated by, and its conditions judged by."""
    aws_managed: dict[str, ManagedPolicy] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    on_call: list[Callable[[], None]] = field(default_factory=list)
    """Told before and after every call has done its work."""
    _iams: dict[AccountId, Iam] = field(default_factory=dict)
    _doors: dict[AccountId, Door] = field(default_factory=dict)
    _strict: dict[AccountId, Strict] = field(default_factory=dict)
    _history: dict[tuple[AccountId, str], list[Moment]] = field(default_factory=dict)
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _requests: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    # --- setting the scene -----------------------------------------------------------------------

    def open_account(
        self, account: AccountId, *, role: str = "Deployer", external_id: str | None = None
    ) -> Iam:
        """A new, empty account, entered by `role`; what it gives back changes it by hand."""
        iam = Iam(account, self.aws_managed, self.now, self._ids)
        iam.changed = lambda: self._remember(iam)
        self._iams[account] = iam
        self._doors[account] = Door(role, external_id)
        return iam

    def iam(self, account: AccountId) -> Iam:
        return self._iams[account]

    def now(self) -> datetime:
        """By AWS's clock."""
        return self.clock.now() + self.ahead

    def be_strict(
        self, rules: Strictness, *accounts: AccountId, random: Callable[[], float] = lambda: 1.0
    ) -> None:
        """From now on, with these accounts (none named: all that are open)."""
        for account in accounts or self._iams:
            self._strict[account] = Strict.begin(rules, self._iams[account], random)

    def strict(self, account: AccountId) -> Strict | None:
        return self._strict.get(account)

    def seen(self, account: AccountId) -> Iam:
        """The account as a read shows it now."""
        strict = self._strict.get(account)
        return self._iams[account] if strict is None else strict.seen()

    def lock(self, account: AccountId, *, role: str = "Somebody-Else") -> None:
        """From now on only another role leads in."""
        self._doors[account].role = role

    def publish(self, name: str, *documents: str, path: str = "/") -> str:
        """An AWS-managed policy with these versions, the last one the default; its ARN."""
        arn = f"arn:aws:iam::aws:policy{path}{name}"
        versions = {f"v{number}": document for number, document in enumerate(documents, 1)}
        self.aws_managed[arn] = ManagedPolicy(name, path, arn, versions, f"v{len(documents)}")
        for iam in self._iams.values():
            self._remember(iam)
        return arn

    def fail(
        self,
        kind: FaultKind,
        operation: str | None = None,
        *,
        account: AccountId | None = None,
        about: str | None = None,
        at: Iterable[int] | int | None = None,
        until: datetime | None = None,
        code: str = "",
    ) -> Fault:
        """A rule, in force at once; the first that strikes a call decides it."""
        which = {at} if isinstance(at, int) else at
        fault = Fault(
            kind, account, operation, about, None if which is None else set(which), until, code
        )
        self.faults.append(fault)
        return fault

    def heal(self) -> None:
        """No faults any more."""
        self.faults.clear()

    # --- the truth -------------------------------------------------------------------------------

    def allows(
        self, account: AccountId, principal: Principal, action: str, at: datetime | None = None
    ) -> bool:
        """Whether it may use `action` now, or at a past instant, whoever gave it."""
        instant = at or self.clock.now()
        standing: tuple[str, ...] = ()
        for moment in self._history.get((account, principal.key), []):
            if moment.at <= instant:
                standing = moment.documents
        return allowed(standing, action, instant + self.ahead)

    def intervals(
        self, account: AccountId, principal: Principal, action: str
    ) -> list[tuple[datetime, datetime | None]]:
        """When it might use `action`, from the beginning until now, by our clock."""
        history = self._history.get((account, principal.key), [])
        ahead = self.ahead
        if not ahead:
            return intervals(history, action, self.clock.now())
        theirs = [Moment(moment.at + ahead, moment.documents) for moment in history]
        return [
            (start - ahead, None if end is None else end - ahead)
            for start, end in intervals(theirs, action, self.now())
        ]

    def made(self, *operations: str, account: AccountId | None = None) -> list[Call]:
        """The calls so far of these kinds (none named: those that write)."""
        return [
            call
            for call in self.calls
            if (call.operation in operations if operations else call.writes)
            and account in (None, call.account)
        ]

    def _remember(self, iam: Iam) -> None:
        strict = self._strict.get(iam.account)
        if strict is not None:
            strict.remember()
        now = self.clock.now()
        keys = {(iam.account, key) for key in iam.entities}
        keys |= {known for known in self._history if known[0] == iam.account}
        for account, key in keys:
            entity = iam.entities.get(key)
            documents = iam.documents(entity.principal) if entity else ()
            moments = self._history.setdefault((account, key), [])
            if not moments or moments[-1].documents != documents:
                moments.append(Moment(now, documents))

    # --- carrying a call out ---------------------------------------------------------------------

    async def carry(
        self,
        way: "FakeAccount",
        operation: str,
        about: str,
        work: Callable[[str], T],
        calls: int = 1,
    ) -> T:
        """One call: there, done or not, and back or not. `work` is given the request's id.

        `calls`: how many of IAM's it stands for, where calls are counted.
        """
        way.life.check()
        outcome = "lost"
        at = self.clock.now()
        try:
            result = await self._travel(way, operation, about, work, calls)
            outcome = result.outcome if isinstance(result, Answer) else "done"
        except AwsError as error:
            outcome = error.code
            raise
        finally:
            self.calls.append(
                Call(at, way.account, operation, about, way.entry.deployer_role, outcome)
            )
        return result

    async def _travel(
        self,
        way: "FakeAccount",
        operation: str,
        about: str,
        work: Callable[[str], T],
        calls: int,
    ) -> T:
        fault = next(
            (f for f in self.faults if f.strikes(way.account, operation, about, self.clock.now())),
            None,
        )
        if fault is not None and fault.kind == "crash_before":
            way.life.end(f"before {operation} of {about}")
        await self.clock.sleep_until(self.clock.now() + self.latency / 2)
        way.life.check()
        if fault is not None and not fault.done_first:
            await self._back()
            raise fault.error()
        try:
            self._admit(way, operation, about, calls)
            result = self._do(way, work)
        except AwsError:
            if fault is None:
                await self._back()
                raise
            result = None
        if fault is not None and fault.kind == "crash_after":
            way.life.end(f"after {operation} of {about}")
        await self._back()
        if fault is not None:
            raise fault.error()
        return cast("T", result)

    async def _back(self) -> None:
        await self.clock.sleep_until(self.clock.now() + self.latency / 2)

    def _admit(self, way: "FakeAccount", operation: str, about: str, calls: int) -> None:
        """Raises what AWS says before it does anything."""
        if abs(self.ahead) > SKEW_MAX:
            raise AwsBusy("SignatureDoesNotMatch", f"Signature expired: it is {self.now()}")
        self._check_door(way)
        strict = self._strict.get(way.account)
        if strict is None or operation == "enter":
            return  # STS counts by itself
        reads = operation in READS
        strict.throttle(strict.reads if reads else strict.writes, calls)
        if not reads:
            strict.check_write(operation, about)

    def _do(self, way: "FakeAccount", work: Callable[[str], T]) -> T:
        for told in self.on_call:
            told()
        result = work(f"request-{next(self._requests):05}")
        for told in self.on_call:
            told()
        return result

    def _check_door(self, way: "FakeAccount") -> None:
        door = self._doors.get(way.account)
        if door is None:
            raise AccountClosed("AccessDenied", f"there is no account {way.account}")
        if (door.role, door.external_id) != (way.entry.deployer_role, way.entry.external_id):
            raise AccountClosed(
                "AccessDenied", f"{way.entry.deployer_role} of {way.account} cannot be assumed"
            )


@dataclass(slots=True)
class FakeGate:
    """`worker.keeper.Gate` of one process."""

    aws: FakeAws
    life: Life = field(default_factory=Life)
    offset_s: float | None = 0.0
    """What is known of AWS's clock; None: nothing yet, until an account is entered."""
    tells_s: float = 0.0
    """What the answers on the way into an account tell of it."""
    measured: ClockOffset | None = None
    """What the `Date` headers tell, as the real gate measures it; None: `offset_s` is said."""
    entered: list[Account] = field(default_factory=list)

    def account(self, entry: Account) -> "FakeAccount":
        self.entered.append(entry)
        return FakeAccount(self.aws, entry, self.life, self._told, self.measured)

    def measure(self) -> None:
        """From now on the offset is read off AWS's answers."""
        began = self.aws.clock.now()

        def steady_s() -> float:
            return (self.aws.clock.now() - began).total_seconds()

        self.measured = ClockOffset(self.aws.clock.now, steady_s)

    def _told(self) -> None:
        self.offset_s = self.tells_s

    def clock_offset_s(self) -> float | None:
        return self.offset_s if self.measured is None else self.measured.seconds


def page_of(after: str, items: int) -> Callable[[Iam], tuple[AccountState, str | None]]:
    """So many principals and policies behind the one called `after`; None: those are the last."""

    def look(iam: Iam) -> tuple[AccountState, str | None]:
        whole = iam.describe()
        keys = sorted([*whole.principals, *(f"~{name}" for name in whole.policies)])
        behind = [key for key in keys if key > after]
        page = behind[:items]
        state = AccountState(
            {key: whole.principals[key] for key in page if not key.startswith("~")},
            {key[1:]: whole.policies[key[1:]] for key in page if key.startswith("~")},
        )
        return state, page[-1] if len(behind) > items else None

    return look


@dataclass(slots=True)
class FakeAccount:
    """`worker.account.AwsAccount` for one way into one account."""

    aws: FakeAws
    entry: Account
    life: Life = field(default_factory=Life)
    on_enter: Callable[[], None] = lambda: None
    dated: ClockOffset | None = None
    """Shown the date of every answer."""

    account: AccountId = field(init=False)

    def __post_init__(self) -> None:
        self.account = self.entry.account

    @property
    def _iam(self) -> Iam:
        return self.aws.iam(self.account)

    async def enter(self) -> None:
        """The door is tried at every call anyway."""
        if self.dated is not None:
            await self._carry("enter", "", lambda _: None)
        self.on_enter()

    async def observe(self) -> AccountState:
        strict = self.aws.strict(self.account)
        items = None if strict is None else strict.rules.page_items
        if items is None:
            return await self._read("observe", "", Iam.describe)
        principals: dict[str, PrincipalState] = {}
        policies: dict[str, ManagedPolicyState] = {}
        after: str | None = ""
        while after is not None:
            page, after = await self._read("observe", after, page_of(after, items))
            principals |= page.principals
            policies |= page.policies
        return AccountState(principals, policies)

    async def read_limits(self) -> AccountLimits:
        return await self._read("read_limits", "", Iam.limits)

    async def read_principal(self, principal: Principal) -> PrincipalState | None:
        entity = self._iam.entities.get(principal.key)
        calls = 3 + (0 if entity is None else len(entity.inline))
        return await self._read(
            "read_principal", principal.key, lambda iam: iam.principal(principal), calls
        )

    async def read_policy(self, arn: str) -> ManagedPolicyState | None:
        return await self._read("read_policy", arn, lambda iam: iam.policy(arn), 3)

    async def read_policy_tags(self, arn: str) -> dict[str, str]:
        return await self._read("read_policy_tags", arn, lambda iam: iam.tags(arn))

    async def read_holders(self, arn: str) -> tuple[Principal, ...]:
        return await self._read("read_holders", arn, lambda iam: iam.holders(arn))

    async def read_source(self, arn: str, version: str | None = None) -> SourceDocument:
        calls = 1 if version else 2
        return await self._read("read_source", arn, lambda iam: iam.source(arn, version), calls)

    async def _read(
        self, operation: str, about: str, look: Callable[[Iam], T], calls: int = 1
    ) -> T:
        return await self._carry(
            operation, about, lambda _: look(self.aws.seen(self.account)), calls
        )

    async def _carry(
        self, operation: str, about: str, work: Callable[[str], T], calls: int = 1
    ) -> T:
        if self.dated is None:
            return await self.aws.carry(self, operation, about, work, calls)
        sent_s = self.dated.sent()
        try:
            result = await self.aws.carry(self, operation, about, work, calls)
        except AwsUnanswered:
            raise  # no answer, no date
        except AwsError:
            self._read_date(self.dated, sent_s)
            raise
        self._read_date(self.dated, sent_s)
        return result

    def _read_date(self, offset: ClockOffset, sent_s: float) -> None:
        """The header of an answer that was given half a journey ago."""
        given = (self.aws.now() - self.aws.latency / 2).astimezone(UTC)
        offset.seen(format_datetime(given, usegmt=True), sent_s)

    async def put_inline(self, principal: Principal, name: str, document: str) -> Answer:
        return await self._write(
            "put_inline",
            f"{principal.key} {name}",
            lambda: self._iam.put_inline(principal, name, document),
        )

    async def delete_inline(self, principal: Principal, name: str) -> Answer:
        return await self._write(
            "delete_inline",
            f"{principal.key} {name}",
            lambda: self._iam.delete_inline(principal, name),
        )

    async def attach(self, principal: Principal, arn: str) -> Answer:
        return await self._write(
            "attach", f"{principal.key} {arn}", lambda: self._iam.attach(principal, arn)
        )

    async def detach(self, principal: Principal, arn: str) -> Answer:
        return await self._write(
            "detach", f"{principal.key} {arn}", lambda: self._iam.detach(principal, arn)
        )

    async def create_policy(
        self, *, name: str, path: str, document: str, tags: dict[str, str]
    ) -> Answer:
        def create(request: str) -> Answer:
            arn = self._iam.create_policy(name, path, document, tags)
            return self._answer("stood" if arn is None else "done", request, arn)

        return self._confirmed(await self._carry("create_policy", f"{path}{name}", create))

    async def create_policy_version(self, arn: str, document: str) -> Answer:
        return await self._write(
            "create_policy_version", arn, lambda: self._iam.create_version(arn, document)
        )

    async def delete_policy_version(self, arn: str, version: str) -> Answer:
        return await self._write(
            "delete_policy_version",
            f"{arn} {version}",
            lambda: self._iam.delete_version(arn, version),
        )

    async def delete_policy(self, arn: str) -> Answer:
        return await self._write("delete_policy", arn, lambda: self._iam.delete_policy(arn))

    async def tag_policy(self, arn: str, tags: dict[str, str]) -> Answer:
        return await self._write("tag_policy", arn, lambda: self._iam.tag(arn, tags))

    async def _write(self, operation: str, about: str, change: Callable[[], bool | None]) -> Answer:
        """`change` says False where there was nothing to take away."""

        def work(request: str) -> Answer:
            return self._answer("absent" if change() is False else "done", request)

        try:
            return self._confirmed(await self._carry(operation, about, work))
        except AwsMissing:
            if operation not in REMOVALS:
                raise
            return self._answer("absent", "")

    def _answer(
        self, outcome: Literal["done", "stood", "absent"], request: str, arn: str | None = None
    ) -> Answer:
        return Answer(outcome, request, self.aws.clock.now(), arn)

    def _confirmed(self, answer: Answer) -> Answer:
        """Confirmed when the answer is here, not when AWS did it."""
        return Answer(answer.outcome, answer.request_id, self.aws.clock.now(), answer.arn)
