"""What an ingest does or would do, part by part: ended, changed, granted, held, over, and why.

Pure. Invariant: whatever is or would be appended stands in one part; what is not named is counted.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from cli import answers, render
from cli.instants import shown
from ledger.decide.decision import Change, Decision, HeldLine, Note, OverLine
from ledger.events import (
    AccountMapped,
    AccountUnmapped,
    Event,
    Granted,
    Ingested,
    PolicyDefined,
    PolicyRetired,
    Released,
    Revoked,
    SettingsChanged,
)
from ledger.ingest import Report, Reported
from ledger.manifest import Problem
from ledger.manifest.danger import dangers
from ledger.manifest.dangerous_policies import codes_of
from ledger.model import Grant, GrantId, Policy, Team, Window
from ledger.project import GrantRow
from ledger.sentences import sentence, short

OVER_SHOWN_MAX = 10
"""Lines that are over and stay in the files as history: the newest are shown, the rest counted."""

_TOLD_AS_OVER = {"spent", "already-ended"}
"""Notes that the part about lines which are over says better."""


_NOT_COMPARED = Note(
    "not-compared",
    "the directory is in no git work tree: whether it is older than what was ingested last was "
    "compared with nothing",
)

Entry = tuple[str, str]
"""Sign and subject, then the details under it (empty: none)."""

_Terms = dict[tuple[Team, str, bool], str]
"""Team, policy, and whether it is for a time -> what its grants come with."""


@dataclass(frozen=True, slots=True)
class Part:
    """One heading and what stands under it."""

    title: str
    entries: tuple[Entry, ...]
    more: int = 0
    """Entries that are only counted."""

    def lines(self) -> Iterator[str]:
        yield self.title
        for head, details in self.entries:
            yield f"  {render.safe(head)}"
            if details:
                yield f"      {render.safe(details)}"
        if self.more:
            yield f"  and {self.more:,} more; -o json lists all"


@dataclass(frozen=True, slots=True)
class Difference:
    """A report, seen from the instant it was made at."""

    report: Report
    now: datetime

    @property
    def changes(self) -> bool:
        """Whether anything is or would be appended beside the news that a commit was read."""
        return any(not isinstance(item.event, Ingested) for item in self.report.events)

    @property
    def held_back(self) -> Note | None:
        """Why nothing is granted that the directory asks for; None: nothing is held back."""
        return next((note for note in self.report.notes if note.code == "clock-behind"), None)

    def rewritten(self) -> dict[tuple[GrantId, int], int]:
        """Grants that go on as they are, under a policy defined anew -> where that stands.

        Without those that somebody took away in AWS, which stay away.
        """
        events = [item.event for item in self.report.events]
        ended = {(e.grant.id, e.grant.turn) for e in events if isinstance(e, Revoked)}
        defined = {
            (item.event.policy.team, item.event.policy.name): item.position
            for item in self.report.events
            if isinstance(item.event, PolicyDefined) and item.position is not None
        }
        rows = self.report.view.rows.values() if self.report.view else ()
        return {
            row.key: defined[row.grant.team, row.grant.policy]
            for row in rows
            if (row.grant.team, row.grant.policy) in defined
            and row.key not in ended
            and row.revoked is None
            and row.grant.window.covers(self.now)
            and not (row.trouble is not None and row.trouble.kind == "missing")
        }

    def heading(self) -> str:
        """Instant, ledger and commit that the answer speaks of."""
        report = self.report
        what = "what ingest would append" if report.dry_run else "what was ingested"
        commit = "" if report.commit is None else f", commit {short(report.commit)}"
        dirty = " (dirty)" if report.dirty else ""
        return f"{what} at {shown(self.now)}, ledger position {report.position}{commit}{dirty}"

    def summary(self) -> str:
        """The whole in one line."""
        dry_run, decision = self.report.dry_run, self.report.decision
        if decision is None or not self.changes:
            return "no changes: the ledger says what the directory says"
        numbers = (
            (len(decision.adds), "to grant" if dry_run else "granted"),
            (len(decision.changes), "to change" if dry_run else "changed"),
            (len(decision.ends), "to end" if dry_run else "ended"),
        )
        said = ", ".join(f"{number:,} {what}" for number, what in numbers)
        counts = self.report.counts
        policies = answers.counted(counts.policies, "policy", "policies")
        accounts = answers.counted(counts.accounts, "account")
        done = "plan" if dry_run else "ingested"
        return f"{done}: {said}; {policies}, {accounts}"

    def parts(self) -> list[Part]:
        """All that is to be told, what ends access first among the grants."""
        decision = self.report.decision
        if decision is None:
            return []
        to_come, now, terms = self.report.dry_run, self.now, self._terms()
        of_key = {_key(item.event): item for item in self.report.events}
        found = [
            _part(
                "to end" if to_come else "ended",
                (_ended(row, of_key.get((Revoked, *row.key))) for row in decision.ends),
            ),
            _part(
                "to change" if to_come else "changed",
                (
                    _changed(change, of_key.get((Granted, change.after.id, change.after.turn)), now)
                    for change in decision.changes
                ),
            ),
            _part(
                "to grant" if to_come else "granted",
                (
                    _added(grant, of_key.get((Granted, grant.id, grant.turn)), now, terms)
                    for grant in decision.adds
                ),
            ),
            _part("held, granting nothing until released", map(_held, decision.held)),
            _over(decision.over),
            _part("policies, accounts and settings", self._catalogue()),
            _part("warnings", map(_warned, self._warnings())),
            *self._counted_by_the_brake(decision),
        ]
        return [part for part in found if part.entries]

    def _terms(self) -> _Terms:
        """Policies as they would stand -> what a reviewer of a grant should know of each."""
        view, events = self.report.view, [item.event for item in self.report.events]
        policies = {key: known.policy for key, known in (view.policies if view else {}).items()}
        for event in events:
            if isinstance(event, PolicyDefined):
                policies[event.policy.team, event.policy.name] = event.policy
        return {
            (*key, temporary): ", ".join(_terms_of(policy, temporary=temporary))
            for key, policy in policies.items()
            for temporary in (False, True)
        }

    def _counted_by_the_brake(self, decision: Decision) -> Iterator[Part]:
        """What the brake counts, where that is not what was named as ending (a shortening)."""
        brake = decision.brake
        if brake is not None and {row.key for row in brake.ends} != {r.key for r in decision.ends}:
            yield _part("counted by the brake", (_ended(row, None) for row in brake.ends))

    def _catalogue(self) -> Iterator[Entry]:
        live = Counter(
            (row.grant.team, row.grant.policy)
            for row in (self.report.view.rows.values() if self.report.view else ())
            if row.revoked is None and not row.grant.window.over(self.now)
        )
        for item in self.report.events:
            sign = self._sign(item.event)
            if sign is None:
                continue
            details = item.provenance.source or ""
            if isinstance(item.event, PolicyDefined) and sign == "~":
                policy = item.event.policy
                under = answers.counted(live[policy.team, policy.name], "grant")
                details = ", ".join(filter(None, (f"changed under {under} in force", details)))
            yield f"{sign} {sentence(item.event)}", details

    def _sign(self, event: Event) -> str | None:
        """How an event about no grant changes the catalogue; None for all other events."""
        view = self.report.view
        match event:
            case PolicyDefined():
                key = (event.policy.team, event.policy.name)
                return "~" if view is not None and key in view.policies else "+"
            case Released():
                return "~"
            case SettingsChanged():
                return "~" if view is not None and view.settings is not None else "+"
            case AccountMapped():
                return "+"
            case AccountUnmapped() | PolicyRetired():
                return "-"
            case _:
                return None

    def _warnings(self) -> list[Note | Problem]:
        return [item for item in warnings_of(self.report) if item.code not in _TOLD_AS_OVER]


def warnings_of(report: Report) -> list[Note | Problem]:
    """What a person should know and what stops nothing."""
    read = [problem for problem in report.problems if problem.severity == "warning"]
    return [*read, *report.notes, *([] if report.compared else [_NOT_COMPARED])]


# --- entries ----------------------------------------------------------------------------------


def _part(title: str, entries: Iterable[Entry]) -> Part:
    found = tuple(entries)
    return Part(f"{title} ({len(found):,})", found)


def _key(event: Event) -> tuple[type[Event], GrantId, int] | None:
    """Which turn of which grant an event begins or ends; None for all other events."""
    if isinstance(event, Granted | Revoked):
        return type(event), event.grant.id, event.grant.turn
    return None


def _source(item: Reported | None) -> str | None:
    return None if item is None else item.provenance.source


def _joined(*parts: str | None) -> str:
    return ", ".join(part for part in parts if part)


def _added(grant: Grant, item: Reported | None, now: datetime, terms: _Terms) -> Entry:
    ticket = f"ticket {grant.ticket}" if grant.ticket else None
    known = terms.get((grant.team, grant.policy, grant.temporary))
    details = _joined(_window(grant.window, now), known, ticket, _source(item))
    return f"+ {answers.named(grant)}", details


def _terms_of(policy: Policy, *, temporary: bool) -> Iterator[str]:
    """By its words and its content; what everybody expects is not said."""
    if policy.require_mfa:
        yield "only with MFA"
    if temporary and policy.enforcement == "daemon":
        yield "perhaps ended by the daemon only"
    if any(map(codes_of, policy.managed_policies)) or (
        policy.document is not None and dangers(policy.document)
    ):
        yield "dangerous"


def _ended(row: GrantRow, item: Reported | None) -> Entry:
    grant = row.grant
    end = "permanent" if grant.window.ends_at is None else f"until {_end(grant.window)}"
    why = _why(item.event) if item is not None and isinstance(item.event, Revoked) else None
    return f"- {answers.named(grant)}", _joined(end, why, _source(item))


def _why(event: Revoked) -> str:
    if event.spent_at is not None:
        return f"its line now says {shown(event.spent_at)}, which has passed"
    match event.cause:
        case "removed":
            return "its line was taken out"
        case "replaced":
            return "another grant takes its place"
        case "operator":
            return f"held by {event.hold}"


def _changed(change: Change, item: Reported | None, now: datetime) -> Entry:
    """The old window and the new; when they started counts only where that is to come."""
    before, after = change.before.grant.window, change.after.window
    starts = [window.starts_at if window.starts_at > now else None for window in (before, after)]
    if starts[0] == starts[1]:
        said = f"ends {_end(before)} -> {_end(after)}"
    else:
        said = f"{_window(before, now)} -> {_window(after, now)}"
    return f"~ {answers.named(change.after)}", _joined(said, _source(item))


def _end(window: Window) -> str:
    return "never" if window.ends_at is None else shown(window.ends_at)


def _window(window: Window, now: datetime) -> str:
    """From now on: when it starts is told where that is to come."""
    end = "permanent" if window.ends_at is None else f"until {shown(window.ends_at)}"
    return f"from {shown(window.starts_at)} {end}" if window.starts_at > now else end


def _held(line: HeldLine) -> Entry:
    declared, word = line.declared, line.hold.word
    who = f"{declared.principal} {declared.policy} in {declared.environment} {declared.account}"
    source = declared.sources[0]
    why = f"{line.hold.hold} by {word.by} ({word.reason})"
    return f"! {who}", _joined(why, f"{source.path}:{source.line}")


def _over(lines: Sequence[OverLine]) -> Part:
    """Lines that came too late first, then what is history, the newest first."""
    ordered = sorted(lines, key=lambda line: line.ended_at, reverse=True)
    ordered.sort(key=lambda line: line.spent)
    title = (
        f"over, granting nothing ({len(lines):,}); to ask anew, give another `ticket` or "
        "`starts_at`, with an end to come"
    )
    entries = []
    for line in ordered[:OVER_SHOWN_MAX]:
        declared, source = line.declared, line.declared.sources[0]
        who = f"{declared.principal} {declared.policy} in {declared.environment} {declared.account}"
        ended = f"ended at {shown(line.ended_at)}"
        late = None if line.spent else "never granted"
        entries.append((f". {who}", _joined(ended, late, f"{source.path}:{source.line}")))
    return Part(title, tuple(entries), max(0, len(lines) - OVER_SHOWN_MAX))


def _warned(item: Note | Problem) -> Entry:
    where = "" if item.source is None else f"{item.source}: "
    return f"! {where}{item.message}", item.hint or ""
