"""What stands under a difference's headings: a sign with its subject, then the details under it.

Pure. Invariant: an entry is one line and its details another; what is too many is counted.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from cli import answers, render
from cli.instants import shown
from cli.windows import Reader, moved
from ledger.decide.decision import Change, Decision, HeldLine, Note, OverLine
from ledger.events import Revoked
from ledger.ingest import Reported
from ledger.manifest import Problem
from ledger.manifest.danger import dangers
from ledger.manifest.dangerous_policies import codes_of
from ledger.model import Enforcement, Grant, Policy, Team, Window
from ledger.project import GrantRow

ENDED_BY: dict[Enforcement, str] = {
    "aws": "ended by AWS",
    "daemon": "perhaps ended by the daemon only",
}
"""The class of a temporary grant, as far as the files tell: what AWS cannot end is refused unless
its policy says `enforcement: daemon`."""

OVER_SHOWN_MAX = 10
"""Lines that are over and stay in the files as history: the newest are shown, the rest counted."""

Entry = tuple[str, str]
"""Sign and subject, then the details under it (empty: none)."""

DANGEROUS = "dangerous"

Terms = dict[tuple[Team, str, bool], tuple[str, ...]]
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


def part_of(title: str, entries: Iterable[Entry]) -> Part:
    found = tuple(entries)
    return Part(f"{title} ({len(found):,})", found)


def source_of(item: Reported | None) -> str | None:
    return None if item is None else item.provenance.source


def _joined(*parts: str | None) -> str:
    return ", ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Saying:
    """What a reviewer is told of each grant that begins or moves."""

    reader: Reader
    terms: Terms
    decision: Decision

    def added(self, grant: Grant, item: Reported | None) -> Entry:
        return f"+ {answers.named(grant)}", _joined(self.of_added(grant), source_of(item))

    def changed(self, change: Change, item: Reported | None) -> Entry:
        details = _joined(self.of_changed(change), source_of(item))
        return f"~ {answers.named(change.after)}", details

    def of_added(self, grant: Grant) -> str:
        ticket = f"ticket {grant.ticket}" if grant.ticket else None
        window = self.reader.window(grant.window, self.decision.lines.get(grant.id))
        return _joined(window, *self.known(grant), ticket)

    def of_changed(self, change: Change) -> str:
        """The old window and the new; when they started counts only where that is to come."""
        before, after, now = change.before.grant.window, change.after.window, self.reader.now
        starts = [each.starts_at if each.starts_at > now else None for each in (before, after)]
        if starts[0] == starts[1]:
            said = f"ends {_end(before)} -> {_end(after)}{moved(before, after)}"
        else:
            said = f"{_window(before, now)} -> {_window(after, now)}"
        return _joined(said, *self.known(change.after))

    def known(self, grant: Grant) -> tuple[str, ...]:
        """What its policy comes with."""
        return self.terms.get((grant.team, grant.policy, grant.temporary), ())


def terms_of(policy: Policy, *, temporary: bool) -> Iterator[str]:
    """By its words and its content; what everybody expects is not said."""
    if policy.require_mfa:
        yield "only with MFA"
    if temporary:
        yield ENDED_BY[policy.enforcement]
    if any(map(codes_of, policy.managed_policies)) or (
        policy.document is not None and dangers(policy.document)
    ):
        yield DANGEROUS


def ended(row: GrantRow, item: Reported | None) -> Entry:
    grant = row.grant
    end = "permanent" if grant.window.ends_at is None else f"until {_end(grant.window)}"
    why = _why(item.event) if item is not None and isinstance(item.event, Revoked) else None
    return f"- {answers.named(grant)}", _joined(end, why, source_of(item))


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


def _end(window: Window) -> str:
    return "never" if window.ends_at is None else shown(window.ends_at)


def _window(window: Window, now: datetime) -> str:
    """From now on: when it starts is told where that is to come."""
    end = "permanent" if window.ends_at is None else f"until {shown(window.ends_at)}"
    return f"from {shown(window.starts_at)} {end}" if window.starts_at > now else end


def held(line: HeldLine) -> Entry:
    declared, word = line.declared, line.hold.word
    who = f"{declared.principal} {declared.policy} in {declared.environment} {declared.account}"
    source = declared.sources[0]
    why = f"{line.hold.hold} by {word.by} ({word.reason})"
    return f"! {who}", _joined(why, f"{source.path}:{source.line}")


def over(lines: Sequence[OverLine]) -> Part:
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


def warned(item: Note | Problem) -> Entry:
    where = "" if item.source is None else f"{item.source}: "
    return f"! {where}{item.message}", item.hint or ""
