"""What a plan says beside the lines of a pull request: problems, warnings, what each line gives.

Pure. Invariant: nothing that `validate` says already is said again, but what stops an ingest.
"""

from collections.abc import Iterator

from cli import answers
from cli.annotations import Annotation, of_problem
from cli.difference import Difference
from cli.entries import DANGEROUS, ENDED_BY
from cli.problems import worst_first
from ledger.ingest import Report
from ledger.manifest import Source
from ledger.model import Grant

GRANTS_A_LINE_MAX = 3
"""One line can ask for many: so many are named, the rest counted."""


def of_difference(difference: Difference) -> list[Annotation]:
    """The worst first."""
    report = difference.report
    if report.errors:
        return [of_problem(problem) for problem in worst_first(report.errors)]
    return [*_notes(report), *_gives(difference)]


def _notes(report: Report) -> Iterator[Annotation]:
    for note in report.notes:
        if note.source is not None:
            hint = "" if note.hint is None else f"; {note.hint}"
            yield Annotation("warning", note.source, note.code, f"{note.message}{hint}")


def _gives(difference: Difference) -> list[Annotation]:
    """One for each line, those first that allow what is dangerous or what AWS cannot end."""
    decision = difference.report.decision
    if decision is None:
        return []
    say = difference.saying(decision)
    told: dict[Source, list[str]] = {}
    rank: dict[Source, int] = {}

    def tell(grant: Grant, said: str, *, moved: bool) -> None:
        line = decision.lines.get(grant.id)
        if line is None:
            return
        source = line.end_source if moved and line.end_source else line.sources[0]
        told.setdefault(source, []).append(f"{answers.named(grant)}: {said}")
        worth = sum(word in {DANGEROUS, ENDED_BY["daemon"]} for word in say.known(grant))
        rank[source] = max(rank.get(source, 0), worth)

    for change in decision.changes:
        tell(change.after, say.of_changed(change), moved=True)
    for grant in decision.adds:
        tell(grant, say.of_added(grant), moved=False)
    title = "would give" if difference.report.dry_run else "gives"
    ordered = sorted(told, key=lambda source: (-rank[source], source))
    return [Annotation("notice", source, title, _few(told[source])) for source in ordered]


def _few(told: list[str]) -> str:
    more = len(told) - GRANTS_A_LINE_MAX
    lines = told[:GRANTS_A_LINE_MAX] + ([f"and {more:,} more"] if more > 0 else [])
    return "\n".join(lines)
