"""Lives of grants: what really stood in AWS, hour by hour, and what the ledger was told of it.

The two part where they do in earnest: an answer comes late or never, a stranger takes something
away, a removal is recorded after the fact. What is told is never a lie.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hypothesis import strategies as st

from ledger.codec import GENESIS
from ledger.envelope import Provenance, Recorded
from ledger.events import (
    Applied,
    DriftFound,
    Event,
    Granted,
    Left,
    Made,
    Refused,
    Removed,
    RetryRequested,
    Revoked,
    Settled,
    Stuck,
    Unstuck,
    Word,
    ref,
)
from ledger.model import Enforcement, Grant, Window
from tests.support.histories import DEV, PROD, after, grant

HOURS = 24
"""How long a world lasts; everything in it happens on a whole hour."""

WORD = Word("olga", "it is gone, I looked", "olga", "bastion", None)


def hour(number: int) -> datetime:
    return after(number)


@dataclass(slots=True)
class Life:
    """One turn of one grant."""

    grant: Grant
    enforcement: Enforcement | None
    told: list[tuple[Event, datetime]] = field(default_factory=list)
    """Each with when it was recorded, in order."""
    stood: list[tuple[datetime, datetime | None]] = field(default_factory=list)
    """From when to when its object stood in AWS; None: to the end of the world."""

    def truly(self, at: datetime) -> bool:
        """Whether AWS would have let the principal in at `at`."""
        window = self.grant.window
        if at < window.starts_at:
            return False
        if self.enforcement == "aws" and window.over(at):
            return False
        return any(start <= at and (end is None or at < end) for start, end in self.stood)


@dataclass(slots=True)
class _Living:
    """A life while it is lived."""

    life: Life
    draw: st.DrawFn
    now: int
    standing: bool = False
    known: bool = False
    """Whether the ledger was told that it stands."""
    refused: bool = False
    missing: bool = False
    """Whether the ledger was told that a stranger took it."""
    stuck: bool = False
    revoked: bool = False
    closed: bool = False

    def tell(self, event: Event, *, late: bool = True) -> None:
        """The ledger hears of it, perhaps only hours later."""
        self.now += self.draw(st.sampled_from([0, 0, 1, 3])) if late else 0
        self.life.told.append((event, hour(self.now)))

    def due(self) -> bool:
        return self.revoked or self.life.grant.window.over(hour(self.now))

    def falls(self) -> None:
        """The object is gone from now on."""
        if self.standing:
            start, _ = self.life.stood[-1]
            self.life.stood[-1] = (start, hour(self.now))
        self.standing = self.known = False

    def may(self) -> list[Callable[[], None]]:
        """What can happen next."""
        if self.closed:
            return [] if self.revoked else [self.revoke]
        acts = [] if self.revoked else [self.revoke]
        if self.stuck or self.refused or self.missing:
            acts.append(self.ask_again)
        if not self.refused:
            acts.append(self.unstick if self.stuck else self.stick)
        if self.standing and self.known:
            acts.append(self.taken_by_a_stranger)
        if self.due():
            acts += [self.remove, self.remove, self.settle]
            return acts if self.life.grant.temporary else [*acts, self.leave, self.leave]
        early = hour(self.now) < self.life.grant.window.starts_at
        if not (early and self.must_tell()):
            acts += [self.write, self.write, self.write]
        # What stands unrecorded is read back, and told, before anything else is said of it.
        return acts if self.standing and not self.known else [*acts, self.refuse]

    # --- what may happen --------------------------------------------------------------------------

    def must_tell(self) -> bool:
        """What it knows to be refused or missing, or cannot end by itself, it records at once.

        A worker leaves alone what is missing; whoever has it written again waits for the record.
        """
        return self.refused or self.missing or self.life.enforcement == "daemon"

    def write(self) -> None:
        """Written first, or again for a new text of the policy."""
        at = hour(self.now)
        if not self.standing:
            self.standing = True
            self.life.stood.append((at, None))
        if self.must_tell() or self.draw(st.sampled_from([True, True, False])):
            made = Made("inline", self.life.grant.object or "", "0" * 64)
            event = Applied(ref(self.life.grant), (made,), self.life.enforcement, (), 1, (), at)
            self.tell(event, late=not self.must_tell())
            self.known, self.refused, self.missing = True, False, False

    def refuse(self) -> None:
        self.falls()
        self.refused = True
        self.tell(Refused(ref(self.life.grant), "TooLarge", "no", 1), late=False)

    def taken_by_a_stranger(self) -> None:
        self.falls()
        where = self.life.grant
        event = DriftFound(
            account=where.account,
            drift="missing",
            object="inline",
            grant=ref(where),
            team=where.team,
            policy=where.policy,
            first_seen_at=hour(self.now),
            actor=None,
        )
        if self.draw(st.booleans()):
            self.tell(event)
            self.missing = True

    def revoke(self) -> None:
        self.revoked = True
        self.tell(Revoked(ref(self.life.grant), "removed"), late=False)

    def stick(self) -> None:
        self.stuck = True
        self.tell(Stuck(self.life.grant.account, "AccessDenied", "no", ref(self.life.grant)))

    def unstick(self) -> None:
        self.stuck = False
        self.tell(Unstuck(self.life.grant.account, ref(self.life.grant)))

    def ask_again(self) -> None:
        """A person wants it tried again: from then on it may be written any time."""
        self.stuck = self.refused = self.missing = False
        self.tell(RetryRequested(ref(self.life.grant), WORD), late=False)

    def remove(self) -> None:
        at = hour(self.now)
        self.falls()
        if self.draw(st.sampled_from([True, True, False])):
            self.closed = True
            self.tell(Removed(ref(self.life.grant), "expired", "answered", 0, (), at))

    def leave(self) -> None:
        self.closed = True
        self.tell(Left(ref(self.life.grant), (), hour(self.now)))

    def settle(self) -> None:
        self.closed = True
        self.tell(Settled(ref(self.life.grant), WORD), late=False)


@st.composite
def lives(draw: st.DrawFn, name: str = "a" * 16) -> Life:
    """A life of a permanent or temporary grant, of either class, told truly."""
    granted = draw(st.integers(0, 8))
    enforcement: Enforcement | None = draw(st.sampled_from(["aws", "aws", "daemon", None]))
    start = granted if enforcement is None else draw(st.integers(max(0, granted - 3), granted + 6))
    length = draw(st.sampled_from([1, 2, 5, 9, 14]))
    window = Window(hour(start), None if enforcement is None else hour(start + length))
    if window.over(hour(granted)):
        window = Window(window.starts_at, hour(granted + length))
    what = grant(
        name,
        draw(st.sampled_from(["user/ana", "user/ben", "role/Cat"])),
        policy=draw(st.sampled_from(["fix", "look"])),
        account=draw(st.sampled_from([PROD, DEV])),
        window=window,
        object=None if enforcement is None else f"iam-ledger-{name}",
    )
    life = Life(what, enforcement)
    living = _Living(life, draw, granted)
    living.tell(Granted(what), late=False)
    for _ in range(draw(st.integers(2, 10))):
        living.now += draw(st.sampled_from([0, 1, 1, 2]))
        acts = living.may()
        if acts:
            draw(st.sampled_from(acts))()
    return life


@st.composite
def worlds(draw: st.DrawFn, size_max: int = 6) -> list[Life]:
    """Several grants side by side."""
    count = draw(st.integers(1, size_max))
    return [draw(lives(letter * 16)) for letter in "abcdefgh"[:count]]


def told(world: Sequence[Life]) -> list[tuple[Event, datetime]]:
    """What the ledger was told of them all, in the order of recording."""
    every = [item for life in world for item in life.told]
    return sorted(every, key=lambda item: item[1])


def recorded(story: Sequence[tuple[Event, datetime]]) -> list[Recorded]:
    """The same as it stands in a ledger."""
    return [
        Recorded(position, at, event, Provenance(), str(position), GENESIS)
        for position, (event, at) in enumerate(story, 1)
    ]


def moments() -> list[datetime]:
    """Every hour of the world and the instants around it."""
    tick = timedelta(microseconds=1)
    return [hour(n) + step for n in range(-1, HOURS + 26) for step in (-tick, 0 * tick, tick)]
