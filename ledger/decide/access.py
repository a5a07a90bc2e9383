"""The difference in grants: what would be granted, revoked, held back, or is over.

Invariant: access at t is declared if and only if some window covers t; a line that is over, held,
or read by a clock that runs behind grants nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from ledger.codec import instant_text
from ledger.decide.catalogue import Catalogue, gone, problem_at
from ledger.decide.decision import (
    Change,
    Declared,
    HeldLine,
    Note,
    Origin,
    OverLine,
    Planned,
    Terms,
    named,
)
from ledger.decide.holds import holding
from ledger.decide.remapping import mapping_of, moved
from ledger.decide.renaming import repeats, restarts
from ledger.decide.succession import build, predecessors
from ledger.decide.windows import Resolved, is_live, resolve
from ledger.decide.writability import unwritable
from ledger.events import Granted, Revoked, RevokedCause, ref
from ledger.manifest.declared import DeclaredGrant, Lasts, Manifest
from ledger.manifest.limits import too_far, too_long
from ledger.manifest.problems import Problem
from ledger.model import Grant, GrantId, Team
from ledger.project import GrantRow
from ledger.state import IntentView

CLOCK_BEHIND_MAX = timedelta(seconds=60)
"""A clock further behind the ledger's newest event than this grants nothing."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A live row that a decision ends."""

    row: GrantRow
    cause: RevokedCause
    line: DeclaredGrant | None
    """What declares it still, be it in another account; None: nothing does."""
    event: Revoked


@dataclass(slots=True)
class Access:
    """What would become of the grants."""

    live: tuple[GrantRow, ...]
    """Of the teams ingested, before anything is done."""
    cuts: list[Cut] = field(default_factory=list)
    wanted: list[Resolved] = field(default_factory=list)
    grants: tuple[Grant, ...] = ()
    in_force: list[DeclaredGrant] = field(default_factory=list)
    """Lines that are not over, held ones among them."""
    held: list[HeldLine] = field(default_factory=list)
    over: list[OverLine] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    revoked: tuple[Planned, ...] = ()
    granted: tuple[Planned, ...] = ()
    changes: tuple[Change, ...] = ()

    @property
    def adds(self) -> tuple[Grant, ...]:
        return tuple(grant for grant in self.grants if grant.continues is None)

    @property
    def ends(self) -> tuple[GrantRow, ...]:
        replaced = {change.before.key for change in self.changes}
        return tuple(cut.row for cut in self.cuts if cut.row.key not in replaced)


def compare(
    view: IntentView,
    manifest: Manifest,
    terms: Terms,
    teams: frozenset[Team],
    catalogue: Catalogue,
) -> Access:
    """The grants' difference for `teams`."""
    declared = [grant for grant in manifest.grants if grant.team in teams]
    resolved = [
        resolve(grant, view, time_zone=manifest.settings.time_zone, now=terms.now)
        for grant in declared
    ]
    access = Access(live_rows(view, teams, terms))
    for item in resolved:
        _classify(access, item, view, manifest)
    _mind_the_clock(access, view, terms)
    wanted, elsewhere = {item.declared.id for item in access.wanted}, moved(view, manifest, teams)
    for row in undeclared(view, manifest, teams, terms):
        line = elsewhere.get(row.grant.id)
        follows = line is not None and line.id in wanted
        cause: RevokedCause = "replaced" if follows else "removed"
        access.cuts.append(Cut(row, cause, line, Revoked(ref(row.grant), cause)))
    for item in access.wanted:
        if item.live and item.row is not None:
            event = Revoked(ref(item.row.grant), "replaced")
            access.cuts.append(Cut(item.row, "replaced", item.declared, event))
    access.problems += _limits(access.wanted, manifest, terms)
    lines = _new_or_changed(access, catalogue)
    access.problems += unwritable(manifest, teams, lines, terms.check)
    access.notes += repeats(access.wanted, terms.repeats, manifest, terms.now)
    access.notes += restarts(access.wanted, [cut.row for cut in access.cuts if cut.line is None])
    _succeed(access, view, manifest, terms)
    return access


def live_rows(view: IntentView, teams: frozenset[Team], terms: Terms) -> tuple[GrantRow, ...]:
    """What the ledger holds as access of `teams`, now or to come; oldest first."""
    rows = (row for row in view.rows.values() if row.grant.team in teams)
    live = [row for row in rows if is_live(row, terms.now)]
    return tuple(sorted(live, key=lambda row: row.granted.position))


def undeclared(
    view: IntentView, manifest: Manifest, teams: frozenset[Team], terms: Terms
) -> Iterator[GrantRow]:
    """Live rows that no line declares any more."""
    declared = {grant.id for grant in manifest.grants}
    yield from (row for row in live_rows(view, teams, terms) if row.grant.id not in declared)


def _classify(access: Access, item: Resolved, view: IntentView, manifest: Manifest) -> None:
    declared = item.declared
    if item.standing == "void":
        source = declared.end_source or declared.sources[0]
        message = f"this starts at {instant_text(item.starts_at)} and ends before that"
        access.problems.append(problem_at(manifest, source, "window", message))
        return
    if item.standing != "in-force":
        _over(access, item)
        return
    access.in_force.append(declared)
    hold = holding(view.holds, declared)
    if hold is None:
        if not item.unchanged:
            access.wanted.append(item)
        return
    access.held.append(HeldLine(declared, hold))
    if item.live and item.row is not None:
        event = Revoked(ref(item.row.grant), "operator", hold=hold.hold)
        access.cuts.append(Cut(item.row, "operator", declared, event))


def _over(access: Access, item: Resolved) -> None:
    declared = item.declared
    if item.standing == "spent" and item.row is not None and item.row.declared_end is not None:
        ended_at, spent = item.row.declared_end, True
        message = f"the access of {named(declared)} ended at {instant_text(ended_at)}"
        message += " and stays over, whatever its line says now"
    elif item.ends_at is not None:
        ended_at, spent = item.ends_at, False
        message = f"the end of {named(declared)}, {instant_text(ended_at)}, has passed already"
        if item.live and item.row is not None:
            message += ": its access ends with this ingest"
            event = Revoked(ref(item.row.grant), "replaced", spent_at=ended_at)
            access.cuts.append(Cut(item.row, "replaced", declared, event))
        else:
            message += ": nothing is granted"
    else:
        raise ValueError(f"grant {declared.id} is over and has no end")
    hint = "to ask anew, give another `ticket` or `starts_at`"
    if not isinstance(declared.end, Lasts):
        hint += ", with a later end"
    code = "spent" if spent else "already-ended"
    access.over.append(OverLine(declared, ended_at, spent))
    access.notes.append(Note(code, message, declared.sources[0], hint))


def _mind_the_clock(access: Access, view: IntentView, terms: Terms) -> None:
    head_at = view.head.recorded_at
    if head_at is None or head_at - terms.now <= CLOCK_BEHIND_MAX or not access.wanted:
        return
    message = (
        f"this machine's clock says {instant_text(terms.now)}, and the ledger's newest event was "
        f"recorded at {instant_text(head_at)}: with a clock that is behind nothing is granted "
        f"({len(access.wanted)} held back); lines taken away are still revoked"
    )
    access.notes.append(
        Note("clock-behind", message, hint="set the clock, then ingest the same commit again")
    )
    for item in access.wanted:
        if item.live and item.row is not None and item.row.grant.account != item.declared.account:
            # Its environment is another account now: nothing may be left behind in the old one.
            event = Revoked(ref(item.row.grant), "replaced")
            access.cuts.append(Cut(item.row, "replaced", item.declared, event))
    access.wanted.clear()


# --- what refuses -----------------------------------------------------------------------------


def _limits(wanted: Sequence[Resolved], manifest: Manifest, terms: Terms) -> Iterator[Problem]:
    """Only for what is new or ends later than before: time alone makes no line an error."""
    for item in wanted:
        if item.ends_at is None or not item.end_moved_later:
            continue
        declared = item.declared
        source = declared.end_source or declared.sources[0]
        far = too_far(declared, item.ends_at, manifest.settings, terms.now)
        if far is not None:
            yield problem_at(manifest, source, "too-far", far)
        policy = manifest.policy(declared.team, declared.policy)
        if policy is None:
            continue
        seconds = int((item.ends_at - item.starts_at).total_seconds())
        long = too_long(seconds, policy.policy)
        if long is not None:
            yield problem_at(manifest, source, "too-long", long)


def _new_or_changed(access: Access, catalogue: Catalogue) -> Iterator[DeclaredGrant]:
    """New lines, and lines of changed policies: what stands already is not judged again."""
    new = {item.declared.id for item in access.wanted}
    for declared in access.in_force:
        if declared.id in new or (declared.team, declared.policy) in catalogue.redefined:
            yield declared


# --- the events -------------------------------------------------------------------------------


def _succeed(access: Access, view: IntentView, manifest: Manifest, terms: Terms) -> None:
    """Pairs what ends with what continues it, and makes the events of both."""
    cut = {item.row.key for item in access.cuts}
    continued = predecessors(access.wanted, [item.row for item in access.cuts], terms.now)
    surviving = [row for row in access.live if row.key not in cut]
    access.grants = build(access.wanted, continued, surviving)
    replaced = {row.key for row in continued.values()}

    def origin(cut: Cut) -> Origin:
        place = None if cut.line is None else _place(cut.row, cut.line, manifest)
        return place or gone(terms, view, cut.row.granted.position, cut.row.grant.team)

    access.revoked = tuple(
        Planned(_with_cause(item, replaced), item.row.granted.position, origin(item))
        for item in sorted(access.cuts, key=lambda item: item.row.granted.position)
    )
    access.granted = tuple(
        Planned(Granted(grant), _cause(item.row), _lines(item.declared))
        for item, grant in zip(access.wanted, access.grants, strict=True)
    )
    access.changes = tuple(
        Change(continued[grant.id], grant) for grant in access.grants if grant.id in continued
    )


def _with_cause(cut: Cut, replaced: set[tuple[GrantId, int]]) -> Revoked:
    if cut.cause == "removed" and cut.row.key in replaced:
        return Revoked(ref(cut.row.grant), "replaced")
    return cut.event


def _place(row: GrantRow, line: DeclaredGrant, manifest: Manifest) -> Declared | None:
    """What ended `row`: the line, or the account's where that took it to another one."""
    return mapping_of(manifest, line) if line.account != row.grant.account else _lines(line)


def _lines(declared: DeclaredGrant) -> Declared:
    return Declared(declared.sources[0], declared.deciding or declared.sources)


def _cause(row: GrantRow | None) -> int:
    """The newest thing known of the turn before; 0 for the first."""
    if row is None:
        return 0
    marks = (row.granted, row.revoked, row.applied, row.closed)
    return max(mark.position for mark in marks if mark is not None)
