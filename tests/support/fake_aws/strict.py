"""AWS at its strictest with one account: late to show, late to know, quick to throttle.

Invariant: what was done stands at once, whatever reads and later calls make of it meanwhile. None
of this is so unless a test asks for it; a fake that is not asked pays nothing for it.
Sources: IAM user guide, "Changes that I make are not always immediately visible"; API reference,
common errors (Throttling, ConcurrentModification, EntityTemporarilyUnmodifiable).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.support.fake_aws.iam import Iam
from worker.errors import AwsBusy, AwsMissing, AwsRefused, AwsThrottled

NO_TIME = timedelta(0)


@dataclass(frozen=True, slots=True)
class Rate:
    """A token bucket's: so many calls at once, and so many a second from then on."""

    per_s: float
    burst: int


@dataclass(frozen=True, slots=True)
class Strictness:
    """How one account is treated. What is left out is AWS on its best day."""

    lag: timedelta = NO_TIME
    """Reads may show the account as it was this long ago."""
    unknown_for: timedelta = NO_TIME
    """A call that names what was made less than this ago finds nothing: NoSuchEntity. What was
    detached less than this ago still keeps its policy from being deleted."""
    unmodifiable_for: timedelta = NO_TIME
    """A principal whose name was made anew cannot be changed yet: EntityTemporarilyUnmodifiable."""
    exclusive_for: timedelta = NO_TIME
    """So soon after a change of something there is no other: ConcurrentModification."""
    reads: Rate | None = None
    writes: Rate | None = None
    """None: nothing is ever throttled."""
    page_items: int | None = None
    """`observe` sees so many at one instant, and the next ones a call later; None: all at once."""

    @property
    def remembers(self) -> timedelta:
        """How old what is still asked for may be."""
        return max(self.lag, self.unknown_for)


@dataclass(slots=True)
class Bucket:
    """AWS's count of one account's calls of one kind."""

    rate: Rate
    tokens: float
    filled_at: datetime

    def take(self, calls: int, now: datetime) -> bool:
        """Whether AWS takes them. Several at once may borrow: they are paid for by waiting."""
        passed_s = (now - self.filled_at).total_seconds()
        self.tokens = min(self.rate.burst, self.tokens + passed_s * self.rate.per_s)
        self.filled_at = now
        if self.tokens < 1:
            return False
        self.tokens -= calls
        return True


@dataclass(slots=True)
class Strict:
    """One account's strictness at work: what it remembers of its past, and of who called."""

    rules: Strictness
    iam: Iam
    random: Callable[[], float] = lambda: 1.0
    """In [0, 1]: how much of the lag the replica that answers a read has. 1: always the oldest."""
    reads: Bucket | None = None
    writes: Bucket | None = None
    _past: list[tuple[datetime, Iam]] = field(default_factory=list)
    """How the account stood from each instant on, oldest first."""
    _changed_at: dict[str, datetime] = field(default_factory=dict)

    @classmethod
    def begin(cls, rules: Strictness, iam: Iam, random: Callable[[], float]) -> "Strict":
        now = iam.now()
        reads, writes = (
            None if rate is None else Bucket(rate, rate.burst, now)
            for rate in (rules.reads, rules.writes)
        )
        past = [(now, iam.copy())] if rules.remembers else []
        return cls(rules, iam, random, reads, writes, past)

    def remember(self) -> None:
        """After every change."""
        if not self.rules.remembers:
            return
        now = self.iam.now()
        oldest = now - self.rules.remembers
        while len(self._past) > 1 and self._past[1][0] <= oldest:
            del self._past[0]
        self._past.append((now, self.iam.copy()))

    def seen(self) -> Iam:
        """The account as the replica that is asked now knows it."""
        return self._at(self.rules.lag * self.random())

    def _at(self, age: timedelta) -> Iam:
        if not age:
            return self.iam
        instant = self.iam.now() - age
        known = [iam for at, iam in self._past if at <= instant]
        return known[-1] if known else self._past[0][1]

    # --- before a call is done ------------------------------------------------------------------

    def throttle(self, bucket: Bucket | None, calls: int) -> None:
        if bucket is not None and not bucket.take(calls, self.iam.now()):
            raise AwsThrottled("Throttling", "Rate exceeded")

    def check_write(self, operation: str, about: str) -> None:
        """Raises what a call that comes too soon is answered. `about`: as `Call` has it."""
        now = self.iam.now()
        target, _, named = about.partition(" ")
        if now - self.iam.remade.get(target, datetime.min.replace(tzinfo=now.tzinfo)) < (
            self.rules.unmodifiable_for
        ):
            raise AwsBusy("EntityTemporarilyUnmodifiable", f"{target} cannot be modified yet")
        if self._changed_at.get(target, now - self.rules.exclusive_for) > (
            now - self.rules.exclusive_for
        ):
            raise AwsBusy("ConcurrentModification", f"{target} is being changed by another request")
        self._changed_at[target] = now
        if self.rules.unknown_for:
            self._check_known(operation, target, named)

    def _check_known(self, operation: str, target: str, named: str) -> None:
        """NoSuchEntity for what is too new, DeleteConflict for what was in use just now."""
        known = self._at(self.rules.unknown_for)
        entity = known.entities.get(target)
        match operation:
            case "put_inline":
                found = entity is not None
            case "attach":
                found = entity is not None and known.find(named) is not None
            case "delete_inline":
                found = entity is not None and named in entity.inline
            case "detach":
                found = entity is not None and named in entity.attached
            case "create_policy":
                found = True
            case _:
                found = known.find(target) is not None
        if not found:
            raise AwsMissing("NoSuchEntity", f"{named or target} is not known here yet")
        if operation == "delete_policy" and known.holders(target):
            raise AwsRefused("DeleteConflict", "Cannot delete a policy attached to entities.")
