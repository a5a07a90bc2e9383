"""From a directory to the ledger: read, decide, find where it came from, lock, append, report.

Invariant: what is appended was decided against the very ledger that it is appended to. Everything
slow (reading, blame) happens before the append lock; under it the head is read again, and whatever
moved is decided again.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from ledger.commits import Commits, HistoryUnknown, Stale
from ledger.decide import Directory, Terms, asked, decide
from ledger.decide.decision import Brake, Check, Counts, Decision, Note, Origin, fits
from ledger.envelope import Draft, Provenance
from ledger.errors import LedgerBusy, LedgerError, StaleCommit
from ledger.events import Event
from ledger.manifest import Problem, read
from ledger.memory import kept
from ledger.model import Team
from ledger.state import IntentView
from ledger.store import Ledger
from ledger.store.append import append, read_head
from ledger.store.lookup import Connection, ended_rows
from ledger.store.reads import events_at
from ledger.store.views import read_intent

ATTEMPTS_MAX = 5
"""How often the head may move in a way that changes what is decided."""

Trace = Callable[[Sequence[Origin | None]], Sequence[Provenance]]
"""Where lines came from, one answer for each; None asks about the ingest itself. May be slow."""


class BrakeMet(LedgerError):
    """More access would end than may end unasked: nothing was appended."""

    def __init__(self, brake: Brake) -> None:
        super().__init__(f"{brake.message}; nothing was appended")
        self.brake = brake


def untraced(origins: Sequence[Origin | None]) -> Sequence[Provenance]:
    """Only what the files themselves say: path and line."""
    return tuple(Provenance(source=source_text(origin)) for origin in origins)


def source_text(origin: Origin | None) -> str | None:
    """`path:line` of a line that stands, the path of one that is gone; None: neither."""
    shown = getattr(origin, "shown", None)
    if shown is not None:
        return f"{shown.path}:{shown.line}"
    return getattr(origin, "path", None)


@dataclass(frozen=True, slots=True)
class IngestRequest:
    """One reading of a directory."""

    files: Mapping[str, bytes]
    now: datetime
    """Windows and durations count from it, and it says what is over."""
    folders: tuple[str, ...] = ()
    """Names of what else stands at the top of the directory."""
    teams: frozenset[Team] | None = None
    """Only these; None: the whole directory."""
    commits: Commits | None = None
    """None outside a work tree: nothing is compared then."""
    commit: str | None = None
    """What to record outside a work tree, or where a person says better; None: the head."""
    trace: Trace = untraced
    check: Check = fits
    consent: int | None = None
    """`--allow-revocations`."""
    allow_stale: bool = False
    dry_run: bool = False

    @property
    def recorded_commit(self) -> str | None:
        if self.commit is not None:
            return self.commit
        return None if self.commits is None else self.commits.head


@dataclass(frozen=True, slots=True)
class Reported:
    """An event that was or would be appended."""

    event: Event
    provenance: Provenance
    position: int | None
    """None in a dry run."""


@dataclass(frozen=True, slots=True)
class Report:
    """What an ingest did, or would do."""

    commit: str | None
    dirty: bool
    dry_run: bool
    position: int
    """The ledger's head after it."""
    compared: bool
    """Whether the commit was held against the last ones; False outside a work tree."""
    counts: Counts = field(default_factory=Counts)
    events: tuple[Reported, ...] = ()
    notes: tuple[Note, ...] = ()
    """Warnings of the decision."""
    problems: tuple[Problem, ...] = ()
    """Of reading and deciding; with any error nothing was appended."""
    stops: tuple[Note, ...] = ()
    """Why an ingest would stop here; in a dry run only, elsewhere it is raised."""
    decision: Decision | None = None
    """None when the directory could not be read."""
    view: IntentView | None = field(default=None, repr=False)
    """What the ledger held before."""

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity == "error")


async def plan(ledger: Ledger, request: IngestRequest) -> Report:
    """What `ingest` would append; nothing is."""
    return await ingest(ledger, replace(request, dry_run=True))


async def ingest(ledger: Ledger, request: IngestRequest) -> Report:
    """Appends the difference between the directory and the ledger, whole or not at all.

    Repeating it is safe and appends nothing. With errors in the directory the report says them and
    nothing is appended. Raises StaleCommit, BrakeMet, HistoryUnknown, LedgerUnavailable; nothing
    was appended then either.
    """
    with kept():
        return await _ingest(ledger, request)


async def _ingest(ledger: Ledger, request: IngestRequest) -> Report:
    reading = read(request.files, request.folders, request.teams, request.now)
    dirty = request.commits is not None and request.commits.dirty
    if reading.manifest is None:
        async with ledger.reading() as connection:
            head = await read_head(connection)
        return replace(
            _bare(request, dirty=dirty, position=head.position), problems=reading.problems
        )
    directory = Directory(reading.manifest, request.recorded_commit, dirty)
    report = await _Ingest(ledger, request, directory).run()
    return replace(report, problems=(*reading.problems, *report.problems))


def _bare(request: IngestRequest, *, dirty: bool, position: int) -> Report:
    return Report(
        commit=request.recorded_commit,
        dirty=dirty,
        dry_run=request.dry_run,
        position=position,
        compared=request.commits is not None,
    )


@dataclass(slots=True)
class _Considered:
    """A decision, and the ledger that it was made against."""

    view: IntentView
    decision: Decision


@dataclass(slots=True)
class _Ingest:
    """One run; remembers what was found out, so that a second look asks only what is new."""

    ledger: Ledger
    request: IngestRequest
    directory: Directory
    ancestors: dict[str, bool] = field(default_factory=dict)
    traced: dict[Origin | None, Provenance] = field(default_factory=dict)

    async def run(self) -> Report:
        for attempt in range(ATTEMPTS_MAX):
            async with self.ledger.reading() as connection:
                considered = await self._consider(connection)
            stops = await self._stops(considered)
            if self.request.dry_run or not considered.decision.planned:
                return self._report(considered, stops)
            await self._trace(considered)
            async with self.ledger.writing() as connection:
                if (await read_head(connection)).position != considered.view.head.position:
                    considered = await self._consider(connection)
                    await self._stops(considered)
                    if considered.decision.problems:
                        return self._report(considered, ())
                    if self._untraced(considered) and attempt < ATTEMPTS_MAX - 1:
                        continue  # blame is slow: not under the lock
                    await self._trace(considered)
                return await self._append(connection, considered)
        raise LedgerBusy("the ledger kept changing while it was compared; nothing was appended")

    # --- gather and decide --------------------------------------------------------------------

    async def _consider(self, connection: Connection) -> _Considered:
        manifest = self.directory.manifest
        request = self.request
        terms = Terms(request.now, request.teams, request.consent, request.check)
        view = await read_intent(
            connection,
            teams=request.teams,
            ids=[grant.id for grant in manifest.grants],
            now=request.now,
        )
        questions = asked(view, manifest, terms)
        found = await events_at(connection, questions.positions)
        terms = replace(
            terms,
            sources={
                position: item.provenance.source
                for position, item in found.items()
                if item.provenance.source is not None
            },
            repeats=await ended_rows(connection, questions.accesses, now=request.now),
        )
        return _Considered(view, decide(view, self.directory, terms))

    async def _stops(self, considered: _Considered) -> tuple[Note, ...]:
        """Why this may not be appended; raised, unless it is only a plan."""
        stops: list[Note] = []
        try:
            stale = await self._stale(considered)
        except HistoryUnknown as unknown:
            if not self.request.dry_run:
                raise
            stops.append(Note("history-unknown", str(unknown)))
            stale = None
        if stale is not None:
            if not self.request.dry_run:
                raise StaleCommit(f"{stale.message}; nothing was appended")
            stops.append(Note("stale-commit", stale.message))
        brake = considered.decision.brake
        if brake is not None:
            if not self.request.dry_run:
                raise BrakeMet(brake)
            stops.append(Note("brake", brake.message))
        return tuple(stops)

    async def _stale(self, considered: _Considered) -> Stale | None:
        commits, commit = self.request.commits, self.request.recorded_commit
        if commits is None or commit is None or self.request.allow_stale:
            return None
        behind: dict[Team, str] = {}
        for team in considered.decision.teams:
            last = considered.view.last_commits.get(team)
            if last is None or last == commit:
                continue
            if last not in self.ancestors:
                self.ancestors[last] = await asyncio.to_thread(commits.is_ancestor, last)
            if not self.ancestors[last]:
                behind[team] = last
        return Stale(commit, behind) if behind else None

    # --- where it came from -------------------------------------------------------------------

    def _untraced(self, considered: _Considered) -> list[Origin | None]:
        origins = dict.fromkeys(item.origin for item in considered.decision.planned)
        return [origin for origin in origins if origin not in self.traced]

    async def _trace(self, considered: _Considered) -> None:
        unknown = self._untraced(considered)
        if unknown:
            found = await asyncio.to_thread(self.request.trace, unknown)
            self.traced.update(zip(unknown, found, strict=True))

    # --- act ----------------------------------------------------------------------------------

    async def _append(self, connection: Connection, considered: _Considered) -> Report:
        drafts = [
            Draft(item.event, item.cause, self.traced[item.origin])
            for item in considered.decision.planned
        ]
        appended = await append(connection, drafts, now=self.request.now)
        events = tuple(
            Reported(draft.event, draft.provenance, position)
            for draft, position in zip(drafts, appended.positions, strict=True)
        )
        return replace(self._report(considered, ()), position=appended.head, events=events)

    def _report(self, considered: _Considered, stops: tuple[Note, ...]) -> Report:
        decision = considered.decision
        bare = _bare(
            self.request, dirty=self.directory.dirty, position=considered.view.head.position
        )
        return replace(
            bare,
            counts=decision.counts,
            events=tuple(
                Reported(item.event, Provenance(source=source_text(item.origin)), None)
                for item in decision.planned
            ),
            notes=(*decision.notes, *_dirty(self.directory)),
            problems=decision.problems,
            stops=stops,
            decision=decision,
            view=considered.view,
        )


def _dirty(directory: Directory) -> tuple[Note, ...]:
    if not directory.dirty:
        return ()
    commit = "" if directory.commit is None else f" {directory.commit[:12]}"
    message = f"the work tree differs from its commit{commit}: lines that no commit holds have none"
    return (Note("dirty", message, hint="commit first, so that reviewers see what is ingested"),)
