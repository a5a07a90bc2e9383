"""What a report tells, as values: gathered from the ledger in one transaction.

Invariant: who had access, in which state and why is answered by `ledger.answer` and the questions
of the store, as for `who-has-access` and `status`; here it is only sorted into parts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from cli.exits import Exit, Stop
from cli.filters import Asked, filter_of
from cli.report.timeline import Mark, Stretch, marks_of, stretches
from cli.standing import Report as Status
from cli.standing import report_of
from ledger.answer import At, Between, State, When, state_during, state_of, without_access
from ledger.envelope import Recorded, subject
from ledger.project import GrantRow

if TYPE_CHECKING:
    from ledger.model import GrantId
    from ledger.store import Ledger
    from ledger.store.checkpoints import Kept
    from ledger.store.lookup import Connection
    from ledger.store.questions import Found
    from ledger.store.reads import Filter
    from ledger.store.standing import Standing

BEFORE = timedelta(days=30)
"""How far back the timeline of a report about one instant goes."""

GRANTS_MAX = 20_000
"""In one page: more than a browser opens with ease, and than anybody reads."""
EXPLAINED_MAX = 5_000
"""Grants up to which each stands with its events."""


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked."""

    asked: Asked
    when: When
    as_known_at: datetime | None
    within: timedelta
    made_at: datetime
    command: str
    """The same question, as it can be typed again."""

    @property
    def period(self) -> Between:
        """What the timeline shows."""
        if isinstance(self.when, Between):
            return self.when
        try:
            return Between(self.when.instant - BEFORE, self.when.instant + self.within)
        except OverflowError:
            raise Stop(
                Exit.USAGE, "the timeline would reach beyond the calendar; give --between"
            ) from None

    @property
    def known_at(self) -> datetime:
        """The instant up to which the ledger can know anything: what lies behind it is to come."""
        return self.as_known_at or self.made_at

    @property
    def last(self) -> datetime:
        """The instant from which "soon" is counted."""
        return self.when.end if isinstance(self.when, Between) else self.when.instant

    @property
    def present(self) -> bool:
        """Whether it is about how things stand now, too."""
        if self.as_known_at is not None:
            return False
        if isinstance(self.when, At):
            return self.when.instant == self.made_at
        return self.when.start <= self.made_at < self.when.end


@dataclass(frozen=True, slots=True)
class Entry:
    """One turn of a grant."""

    found: "Found"
    state: State | None
    """As the report's question finds it; None: it gives no access then."""
    history: Sequence[Recorded] = ()
    pieces: tuple[Stretch, ...] = ()
    marks: tuple[Mark, ...] = ()

    @property
    def row(self) -> GrantRow:
        return self.found.row

    def late(self, period: Between) -> tuple[Stretch, ...]:
        """What lies behind its end and was not confirmed removed yet, and reaches into `period`."""
        due = self.row.due_at
        if due is None:
            return ()
        owed = ("ending", "stuck")
        return tuple(
            piece
            for piece in self.pieces
            if piece.state in owed and piece.start >= due and piece.within(period)
        )


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a page says."""

    question: Question
    position: int
    hash: str
    recorded_at: datetime | None
    ledger_id: str
    access: tuple[Entry, ...]
    """Whoever has access then."""
    around: tuple[Entry, ...]
    """Others who have it at another time of the timeline."""
    denied: tuple[Entry, ...]
    """Meant to have access, and refused or taken away."""
    checkpoint: "Kept | None"
    status: Status | None
    """How it all stands now; None where the report is about another time."""
    keep: "Filter"
    unknown: tuple[str, ...] = ()
    explained: bool = field(default=True)
    """Whether the events of each grant are told."""

    @property
    def everything(self) -> tuple[Entry, ...]:
        return (*self.access, *self.around)

    @property
    def expiring(self) -> list[Entry]:
        """What ends soon, the nearest end first."""
        last = self.question.last
        soon = [one for one in self.everything if ends_within(one.row, last, self.question.within)]
        return sorted(soon, key=lambda one: one.row.due_at or last)

    @property
    def late(self) -> list[Entry]:
        return [one for one in self.everything if one.late(self.question.period)]

    @property
    def drifted(self) -> list[Entry]:
        return [
            one
            for one in (*self.everything, *self.denied)
            if any(
                mark.kind == "drift" and mark.at < self.question.period.end for mark in one.marks
            )
        ]

    def in_state(self, *states: State) -> list[Entry]:
        return [one for one in self.access if one.state in states]

    def concerns(self, recorded: Recorded) -> bool:
        """Whether an event about no single grant belongs to what was asked."""
        from ledger.store.questions import principal_keys

        about, keep = subject(recorded.event), self.keep
        if keep.environment is not None:
            accounts = {one.row.grant.account for one in self.everything}
            if about.account is not None and about.account not in accounts:
                return False
        wrong = [
            known is not None and asked is not None and known != asked
            for known, asked in (
                (about.account, keep.account),
                (about.team, keep.team),
                (about.policy, keep.policy),
            )
        ]
        if about.principal is not None and keep.principal is not None:
            wrong.append(about.principal.key not in principal_keys(keep.principal))
        return not any(wrong)


def ends_within(row: GrantRow, after: datetime, span: timedelta) -> bool:
    """Whether it gives access then or later, and has its end in `after < end <= after + span`."""
    end = row.due_at
    if end is None or not after < end <= after + span:
        return False
    return state_of(row, max(after, row.access_from)) is not None


async def gather(ledger: "Ledger", question: Question) -> Facts:
    """Stop (1) for more than `GRANTS_MAX` grants."""
    from ledger.store import questions
    from ledger.store.append import read_head
    from ledger.store.of_all import ledger_id
    from ledger.store.reads import events_at

    async with ledger.reading() as connection:
        keep = await filter_of(connection, question.asked)
        answer = await questions.who_has_access(
            connection,
            keep=keep,
            when=question.period,
            as_known_at=question.as_known_at,
            denied=True,
        )
        found = (*answer.access, *answer.denied)
        if len(found) > GRANTS_MAX:
            raise Stop(
                Exit.FAILED,
                f"{len(found):,} grants are more than the {GRANTS_MAX:,} of one page; ask for less "
                "(--account, --team, a shorter --between), or take `who-has-access -o csv`. "
                "Nothing was written",
            )
        explained = len(found) <= EXPLAINED_MAX
        histories: dict[tuple[GrantId, int], list[Recorded]] = {}
        if explained:
            keys = [one.row.key for one in found]
            histories = await questions.events_of(connection, keys, upto=answer.position)
        entries = [_entry(one, question, histories.get(one.row.key, ())) for one in found]
        head = await read_head(connection)
        at = await events_at(connection, [answer.position])
        unknown: tuple[str, ...] = ()
        if not found:
            unknown = await questions.unknown_words(connection, keep)
        standing = await _standing(connection, question) if question.present else None
        return Facts(
            question=question,
            position=answer.position,
            hash=at[answer.position].hash if answer.position in at else head.hash,
            recorded_at=at[answer.position].recorded_at if answer.position in at else None,
            ledger_id=await ledger_id(connection),
            access=tuple(one for one in entries if one.state is not None),
            around=tuple(_around(entries, question)),
            denied=tuple(one for one in entries if without_access(one.row, question.when)),
            checkpoint=await _newest_checkpoint(connection, answer.position),
            status=None if standing is None else report_of(standing, question.made_at),
            keep=keep,
            unknown=unknown,
            explained=explained,
        )


def _entry(found: "Found", question: Question, history: Sequence[Recorded]) -> Entry:
    row = found.row
    pieces = tuple(
        piece
        for piece in stretches(row)
        if piece.state != "ending" or piece.start <= question.known_at
    )
    return Entry(found, state_during(row, question.when), history, pieces, marks_of(row, history))


def _around(entries: Sequence[Entry], question: Question) -> Iterator[Entry]:
    for one in entries:
        if one.state is None and any(piece.within(question.period) for piece in one.pieces):
            yield one


async def _standing(connection: "Connection", question: Question) -> "Standing":
    from ledger.store.standing import read_standing

    return await read_standing(connection, now=question.made_at)


async def _newest_checkpoint(connection: "Connection", position: int) -> "Kept | None":
    from ledger.store.checkpoints import stream_kept

    newest = None
    async for kept in stream_kept(connection):
        if kept.position <= position:
            newest = kept
    return newest
