"""What an ingest does or would do, part by part: ended, changed, granted, held, over, and why.

Pure. Invariant: whatever is or would be appended stands in one part; what is not named is counted.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from cli import answers
from cli.entries import Entry, Part, Saying, Terms, ended, held, over, part_of, terms_of, warned
from cli.instants import shown
from cli.windows import Reader
from ledger.decide.decision import Decision, Note
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
from ledger.ingest import Report
from ledger.manifest import Problem
from ledger.model import GrantId
from ledger.sentences import sentence, short

_TOLD_AS_OVER = {"spent", "already-ended"}
"""Notes that the part about lines which are over says better."""


_NOT_COMPARED = Note(
    "not-compared",
    "the directory is in no git work tree: whether it is older than what was ingested last was "
    "compared with nothing",
)


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
        over_now = {(e.grant.id, e.grant.turn) for e in events if isinstance(e, Revoked)}
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
            and row.key not in over_now
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
        to_come, say = self.report.dry_run, self.saying(decision)
        of_key = {_key(item.event): item for item in self.report.events}
        found = [
            part_of(
                "to end" if to_come else "ended",
                (ended(row, of_key.get((Revoked, *row.key))) for row in decision.ends),
            ),
            part_of(
                "to change" if to_come else "changed",
                (
                    say.changed(change, of_key.get((Granted, change.after.id, change.after.turn)))
                    for change in decision.changes
                ),
            ),
            part_of(
                "to grant" if to_come else "granted",
                (
                    say.added(grant, of_key.get((Granted, grant.id, grant.turn)))
                    for grant in decision.adds
                ),
            ),
            part_of("held, granting nothing until released", map(held, decision.held)),
            over(decision.over),
            part_of("policies, accounts and settings", self._catalogue()),
            part_of("warnings", map(warned, self._warnings())),
            *self._counted_by_the_brake(decision),
        ]
        return [part for part in found if part.entries]

    def saying(self, decision: Decision) -> Saying:
        """How each grant of it is told."""
        reader = Reader(self.now, decision.time_zone, self.report.dry_run)
        return Saying(reader, self._terms(), decision)

    def _terms(self) -> Terms:
        """Policies as they would stand -> what a reviewer of a grant should know of each."""
        view, events = self.report.view, [item.event for item in self.report.events]
        policies = {key: known.policy for key, known in (view.policies if view else {}).items()}
        for event in events:
            if isinstance(event, PolicyDefined):
                policies[event.policy.team, event.policy.name] = event.policy
        return {
            (*key, temporary): tuple(terms_of(policy, temporary=temporary))
            for key, policy in policies.items()
            for temporary in (False, True)
        }

    def _counted_by_the_brake(self, decision: Decision) -> Iterator[Part]:
        """What the brake counts, where that is not what was named as ending (a shortening)."""
        brake = decision.brake
        if brake is not None and {row.key for row in brake.ends} != {r.key for r in decision.ends}:
            yield part_of("counted by the brake", (ended(row, None) for row in brake.ends))

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


def _key(event: Event) -> tuple[type[Event], GrantId, int] | None:
    """Which turn of which grant an event begins or ends; None for all other events."""
    if isinstance(event, Granted | Revoked):
        return type(event), event.grant.id, event.grant.turn
    return None
