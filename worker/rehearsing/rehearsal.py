"""What a worker's first pass over an account would do: the pass itself, on an account that cannot
be written to and a ledger in memory.

Invariant: nothing is decided here. What a rehearsal says, a worker does, as long as neither the
ledger nor the account changes in between.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ledger.account_words import AccountWords
from ledger.codec import dedup_key
from ledger.envelope import Draft, Provenance, Recorded
from ledger.events import Event, Granted, Refused, Stuck, ref
from ledger.model import AccountId, GrantId
from ledger.project import GrantRow, row_key
from ledger.state import AccountView
from ledger.store.append import Appended
from ledger.store.leases import Fence
from ledger.store.sources import StoredSource
from worker.clock import Clock
from worker.errors import AccountClosed, AwsBusy, AwsError, AwsUnanswered
from worker.evidence import Evidence
from worker.keeper import Gate
from worker.metrics import Metrics
from worker.parking import Parking
from worker.rehearsing.rehearsed import RehearsedAccount, Step
from worker.sources import Sources
from worker.steps.passing import Context
from worker.steps.reconcile import reconcile
from worker.timing import OFFSET_GRANTING_MAX_S, judged_now, retry_delay, write_from

READING_ATTEMPTS_MAX = 4
"""How often one reading is tried where AWS is busy: about seven seconds."""

ReadClosed = Callable[[AccountId, list[str]], Awaitable[tuple[GrantRow, ...]]]
"""Closed grants of an account by their names in IAM (ledger.store.views.closed_rows_of)."""


class ImaginedLedger:
    """One account's words, with what would be appended behind them. Nothing leaves the memory."""

    def __init__(self, words: AccountWords) -> None:
        self.words = words
        self.events: list[Event] = []
        """In order; of each subject and cause one, as the ledger has it."""
        self.turns: dict[tuple[GrantId, int], GrantRow] = dict(words.rows)
        """Every turn that was ever open here, as it was last seen open."""
        self._standing: set[str] = set()

    async def append(
        self, drafts: Sequence[Draft], *, now: datetime, fence: Fence | None = None
    ) -> Appended:
        """Implements `worker.evidence.Appending`."""
        made: list[Recorded] = []
        for draft in drafts:
            key = dedup_key(draft.event, draft.cause)
            if key not in self._standing:
                self._standing.add(key)
                at = self.words.position + 1 + len(made)
                made.append(Recorded(at, now, draft.event, draft.provenance, key, ""))
        self.words = self.words.after(made)
        self.events += [item.event for item in made]
        for item in made:
            turn = row_key(item.event)
            if turn is not None and turn in self.words.rows:
                self.turns[turn] = self.words.rows[turn]
        positions = tuple(item.position for item in made)
        return Appended(positions, tuple(made), self.words.position)

    def closed(self, names: Iterable[str]) -> tuple[GrantRow, ...]:
        """Those that were open at first and are so no more, by their names in IAM."""
        wanted = set(names)
        return tuple(
            row
            for key, row in self.turns.items()
            if key not in self.words.rows and row.grant.object in wanted
        )


def planned(words: AccountWords, events: Iterable[Event], *, at: datetime) -> AccountWords:
    """`words` after an ingest at `at` that appends `events`; what stands already is passed over."""
    new = [e for e in events if not (isinstance(e, Granted) and row_key(e) in words.rows)]
    return words.after(
        Recorded(position, at, event, Provenance(), "", "")
        for position, event in enumerate(new, words.position + 1)
    )


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What would be done in one account, and what would not."""

    account: AccountId
    view: AccountView
    """As the ledger would stand after it."""
    turns: dict[tuple[GrantId, int], GrantRow] = field(default_factory=dict)
    """Every grant that the pass had to do with, over by now or not."""
    steps: tuple[Step, ...] = ()
    """The writing calls, in order."""
    events: tuple[Event, ...] = ()
    """The evidence that would be recorded."""
    failing: frozenset[Hashable] = frozenset()
    """What was tried in vain, by the subjects of `worker.parking`."""
    later: tuple[GrantRow, ...] = ()
    """Grants whose time to be written has not come."""
    error: AwsError | None = None
    """Why nothing could be found out; None: all could."""
    unfinished: str | None = None
    """Why this is not all: AWS was too busy, or the clock is too wrong. None: it is."""

    def tried(self, row: GrantRow) -> bool:
        """Whether a step of `row` was tried here and did not work."""
        if not self.failing.isdisjoint({row.key, ("returned", *row.key)}):
            return True
        return any(isinstance(e, Stuck) and e.grant == ref(row.grant) for e in self.events)

    def tried_policy(self, team: str, policy: str) -> bool:
        """The same of a policy; with both empty, of the account as a whole."""
        if not team and self.view.unreadable:
            return True
        if (("policy", team, policy) if team else "account") in self.failing:
            return True
        return any(
            isinstance(e, Stuck)
            and e.grant is None
            and (e.team or "", e.policy or "") == (team, policy)
            for e in self.events
        )

    def told_anew(self, row: GrantRow) -> bool:
        """Whether a refusal of `row` is of this pass, and no old word of the ledger's."""
        if self.error is None and self.unfinished is None:
            return True
        return any(isinstance(e, Refused) and e.grant == ref(row.grant) for e in self.events)


@dataclass(frozen=True, slots=True)
class Rehearsing:
    """What rehearsals of all accounts have in common."""

    gate: Gate
    clock: Clock
    read_closed: ReadClosed
    metrics: Metrics
    observing: asyncio.Semaphore
    sources: Sources = field(default_factory=lambda: Sources(_keep_nothing))
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def rehearse(self, words: AccountWords) -> Rehearsal:
        """One pass over the account of `words`. LedgerUnavailable where the ledger cannot be read.

        Every other failure is in what it gives back: a dead account delays no other.
        """
        account, way_in = words.account, words.view().way_in
        if way_in is None:
            error = AccountClosed("NotMapped", f"no team has ever mapped account {account}")
            return Rehearsal(account, words.view(), error=error)
        imagined = ImaginedLedger(words)
        aws = RehearsedAccount(self.gate.account(way_in), now=self._now, patiently=self._patiently)
        context = self._context(imagined)
        try:
            outcome = await reconcile(context, aws, words.view(), observe=True, at_once=True)
        except AccountClosed as error:
            return Rehearsal(account, words.view(), error=error)
        view, now = imagined.words.view(), self._now()
        unfinished = None
        if outcome.abandoned or not outcome.observed:
            unfinished = _unread(view, aws.unread)
        elif not self._granting():
            unfinished = "this machine's clock is too far from AWS's: nothing new would be granted"
        return Rehearsal(
            account=account,
            view=view,
            turns=imagined.turns,
            steps=tuple(aws.steps),
            events=tuple(imagined.events),
            failing=context.parking.failing(),
            later=tuple(r for r in view.rows if r.revoked is None and write_from(r) > now),
            unfinished=unfinished,
        )

    def _context(self, imagined: ImaginedLedger) -> Context:
        account = imagined.words.account

        async def read_view() -> AccountView:
            return imagined.words.view()

        async def read_closed(names: list[str]) -> tuple[GrantRow, ...]:
            return (*await self.read_closed(account, names), *imagined.closed(names))

        return Context(
            account=account,
            evidence=Evidence(imagined, "rehearsal"),
            metrics=self.metrics,
            sources=self.sources,
            parking=Parking(),
            now=self._now,
            read_view=read_view,
            read_closed=read_closed,
            stopping=self.stop.is_set,
            observing=self.observing,
            granting=self._granting,
            time_known=lambda: self.gate.clock_offset_s() is not None,
        )

    def _now(self) -> datetime:
        return judged_now(self.clock.now(), self.gate.clock_offset_s())

    def _granting(self) -> bool:
        return abs(self.gate.clock_offset_s() or 0.0) <= OFFSET_GRANTING_MAX_S

    async def _patiently(self, reading: Callable[[], Awaitable[None]]) -> None:
        for failures in range(1, READING_ATTEMPTS_MAX):
            try:
                await reading()
            except (AwsBusy, AwsUnanswered) as error:
                asked = timedelta(seconds=error.retry_after_s or 0.0)
                wait = max(retry_delay(failures, 0.0), asked)
            else:
                return
            await self.clock.sleep_until(self.clock.now() + wait, self.stop)
        await reading()


def _unread(view: AccountView, error: AwsError | None) -> str:
    """Why an account was not read whole, or not gone through to the end."""
    if view.unreadable:
        return "the ledger holds what this program cannot read"
    said = "AWS did not answer all that was asked"
    return said if error is None else f"{said}: {error.code}: {error.message}"


async def _keep_nothing(_source: StoredSource) -> None:
    """A rehearsal's copies are never given: their sources need not be shown later."""
