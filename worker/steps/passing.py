"""What one pass over one account carries with it, and how a step of it may fail.

Invariant: one refused step delays no other; what failed is remembered, told once, and tried again.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

import structlog

from ledger.events import Adopted, Sighted, Stuck, Unstuck, ref
from ledger.events import Evidence as EvidenceEvent
from ledger.model import AccountId, Principal, Team
from ledger.project import GrantRow
from ledger.state import AccountView
from worker.account import AccountLimits, Answer, AwsAccount, PrincipalState, Thing
from worker.errors import AwsBusy, AwsError, AwsMissing, AwsRefused, AwsSettling, AwsUnanswered
from worker.evidence import Evidence
from worker.metrics import Metrics
from worker.parking import Parking
from worker.sources import Sources

log = structlog.get_logger()

BUSY_IN_A_ROW_MAX = 3
"""After so many calls that AWS was too busy for, the pass ends and the keeper waits."""


class PassAbandoned(Exception):
    """The account is too busy, or the worker is stopping: the rest waits for the next pass."""


@dataclass(slots=True)
class Context:
    """What one keeper hands to each of its passes."""

    account: AccountId
    evidence: Evidence
    metrics: Metrics
    sources: Sources
    parking: Parking
    now: Callable[[], datetime]
    """The instant by which ends are judged (worker.timing.judged_now)."""
    read_view: Callable[[], Awaitable[AccountView]]
    read_closed: Callable[[list[str]], Awaitable[tuple[GrantRow, ...]]]
    """Closed grants of the account by their names in IAM."""
    stopping: Callable[[], bool]
    """Whether to go no further: the worker stops, or the account is another's to keep."""
    observing: asyncio.Semaphore
    """Held while a whole account is read: bounds how many are at one time."""
    first_seen: dict[str, datetime] = field(default_factory=dict)
    """Drift: when each difference was first read."""
    limits: AccountLimits = field(default_factory=AccountLimits)
    """The account's own quotas, as they were read last."""
    granting: Callable[[], bool] = lambda: True
    """Whether the clock, and the ledger itself, are good enough for new grants."""
    time_known: Callable[[], bool] = lambda: True
    """Whether AWS has told its time yet: before that no end is judged."""


@dataclass(slots=True)
class Pass:
    """The state of one pass: the view it acts on, and how it goes."""

    context: Context
    aws: AwsAccount
    view: AccountView
    failures: int = 0
    busy_in_a_row: int = 0
    tried: set[Hashable] = field(default_factory=set)
    """Removals this pass has tried: each once."""
    taken: set[Thing] = field(default_factory=set)
    """What this pass has taken away."""
    waiting: set[Hashable] = field(default_factory=set)
    """Removals that wait for this pass to write what continues them."""
    look_again_at: datetime | None = None
    """When what this pass has read differing could be believed."""
    sighted: set[tuple[str, str]] = field(default_factory=set)
    """(principal's key, ARN) of attachments looked at by this pass before its first attach."""
    _by_principal: tuple[AccountView, dict[str, AccountView]] | None = None

    @property
    def now(self) -> datetime:
        return self.context.now()

    def view_of(self, principal: Principal) -> AccountView:
        """The view without other principals' grants and sightings, which is quick to go through."""
        if self._by_principal is None or self._by_principal[0] is not self.view:
            self._by_principal = (self.view, by_principal(self.view))
        nobody = replace(self.view, rows=(), sightings={}, adopted={})
        return self._by_principal[1].get(principal.key, nobody)

    async def attempt(
        self,
        subject: Hashable,
        step: Awaitable[object],
        *,
        row: GrantRow | None = None,
        policy: tuple[str, str] | None = None,
    ) -> bool:
        """Carries out one step; false when it failed, which has then been noted and told.

        PassAbandoned when AWS has been too busy too often. AccountClosed goes through.
        """
        try:
            await step
        except (AwsBusy, AwsUnanswered) as error:
            self.failures += 1
            self.busy_in_a_row += not isinstance(error, AwsSettling)
            log.info("step_waits", code=error.code, subject=str(subject))
            if self.context.parking.weather(subject, self.now):
                await self.tell_stuck(error, row=row, policy=policy)
            if self.busy_in_a_row >= BUSY_IN_A_ROW_MAX:
                raise PassAbandoned(error.code) from error
            return False
        except AwsRefused as error:
            self.failures += 1
            self.busy_in_a_row = 0
            self.park(subject, _heals_with(error, row), row=row, policy=policy)
            log.warning("step_refused", code=error.code, why=error.message, subject=str(subject))
            await self.tell_stuck(error, row=row, policy=policy)
            return False
        self.busy_in_a_row = 0
        if not self.context.parking.parked(subject, self.now):  # what is refused, its step parks
            self.context.parking.done(subject, self.now)
        return True

    def park(
        self,
        subject: Hashable,
        cause: Hashable,
        *,
        row: GrantRow | None,
        policy: tuple[str, str] | None = None,
    ) -> None:
        """Leaves `subject` alone, until its cause may have healed or what it hangs on changes."""
        key = (row.grant.team, row.grant.policy) if row is not None else policy
        position = 0 if key is None else hangs_on(self.view, key)
        self.context.parking.park(subject, self.now, cause=cause, hangs_on=position)

    async def believed(
        self,
        principal: Principal,
        call: Callable[[], Awaitable[Answer]],
        *,
        wanted: Callable[[PrincipalState | None], bool],
        outcome: Literal["stood", "absent"],
    ) -> Answer:
        """What `call` answers; where no answer came, what the principal's own lists say.

        AwsUnanswered when they do not show what was wanted: it will be tried again.
        """
        try:
            return await call()
        except AwsUnanswered:
            if not wanted(await self.aws.read_principal(principal)):
                raise
            return Answer(outcome, "", self.now)

    async def tell_stuck(
        self, error: AwsError, *, row: GrantRow | None, policy: tuple[str, str] | None
    ) -> None:
        """One `stuck` for a subject and its cause, never one a retry.

        Another refusal is another cause; weather that changes its name is still that weather.
        """
        if row is not None:
            known = row.trouble if row.trouble and row.trouble.kind == "stuck" else None
            if known is not None and _same_cause(known.code, error):
                return
            event = Stuck(self.context.account, error.code, error.message, grant=ref(row.grant))
            since = known.since.position if known is not None else 0
            await self.record(event, cause=max(newest_position(row), since))
            return
        team, name = policy or ("", "")
        standing = self.view.stuck.get((team, name))
        if standing is not None and _same_cause(standing.code, error):
            return
        event = Stuck(
            self.context.account,
            error.code,
            error.message,
            team=Team(team) if team else None,
            policy=name or None,
        )
        await self.record(event, cause=self.view.stuck_positions.get((team, name), 0))

    def policy_created(self) -> None:
        """One more than the account has told."""
        limits = self.context.limits
        if limits.policies is not None:
            self.context.limits = replace(limits, policies=limits.policies + 1)

    async def record(self, event: EvidenceEvent, *, cause: int) -> None:
        await self.context.evidence.record(event, cause=cause, now=self.now)

    async def tell_unstuck(self, team: Team | None, policy: str | None) -> None:
        """What was stuck about a policy, or with both None about the account, is well again."""
        key = (team or "", policy or "")
        if key in self.view.stuck:
            event = Unstuck(self.context.account, team=team, policy=policy)
            await self.record(event, cause=self.view.stuck_positions[key])

    def check_stop(self) -> None:
        """Between two steps: PassAbandoned when the worker is stopping."""
        if self.context.stopping():
            raise PassAbandoned("stopping")

    def check_adding(self) -> None:
        """Before each addition: PassAbandoned too when it may not be made any more.

        A pass may last longer than a lease does without a word, or a clock stays right.
        """
        self.check_stop()
        if not self.context.granting():
            raise PassAbandoned("nothing may be added any more")

    async def refresh(self) -> None:
        """Reads the truth again: an ingest may have changed it while calls were under way."""
        self.view = await self.context.read_view()

    def check_readable(self) -> None:
        """Before anything but removals: PassAbandoned where the ledger cannot be read whole.

        What is not in such a view may be wanted all the same. The next pass tells it.
        """
        if self.view.unreadable:
            raise PassAbandoned(f"unreadable: {self.view.unreadable[0].message}")


def by_principal(view: AccountView) -> dict[str, AccountView]:
    """`view` as it concerns each principal that has grants in it."""
    rows: dict[str, list[GrantRow]] = defaultdict(list)
    for row in view.rows:
        rows[row.grant.principal.key].append(row)
    sightings: dict[str, dict[str, Sighted]] = defaultdict(dict)
    for name, seen in view.sightings.items():
        sightings[seen.grant.principal.key][name] = seen
    adopted: dict[str, dict[str, tuple[Adopted, int]]] = defaultdict(dict)
    for name, (word, position) in view.adopted.items():
        if word.principal is not None:
            adopted[word.principal.key][name] = (word, position)
    return {
        key: replace(view, rows=tuple(some), sightings=sightings[key], adopted=adopted[key])
        for key, some in rows.items()
    }


def _heals_with(error: AwsRefused, row: GrantRow | None) -> tuple[str, str]:
    """What else is refused for the same cause works when this does: who is made, a right given."""
    missing = isinstance(error, AwsMissing) and row is not None
    return error.code, row.grant.principal.key if missing and row is not None else ""


def hangs_on(view: AccountView, policy: tuple[str, str]) -> int:
    """The newest position of what is written for `policy` and its grants."""
    key = (Team(policy[0]), policy[1])
    defined = view.policies.get(key)
    return max(defined.position if defined is not None else 0, view.object_positions.get(key, 0))


def _same_cause(code: str, error: AwsError) -> bool:
    return code == error.code or isinstance(error, AwsBusy | AwsUnanswered)


def newest_position(row: GrantRow) -> int:
    """The newest event that changed what is owed for `row`: the cause of what happens next."""
    return max(
        row.granted.position,
        row.revoked.position if row.revoked else 0,
        row.written_position or 0,
        row.closed.position if row.closed else 0,
        retried_at(row),
    )


def retried_at(row: GrantRow) -> int:
    """Where a person's word that it be tried again stands, which nothing has answered yet; else 0.

    What comes of it is told anew, were it the same as before.
    """
    retried = row.trouble is not None and row.trouble.kind == "retry"
    return row.trouble.since.position if row.trouble is not None and retried else 0
