"""What GitHub shows beside the lines of a pull request, as the commands that its runner reads.

Pure. Invariant: GitHub shows ten of a kind a step; the worst are those ten, and none is lost: what
is over is handed back.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from cli import render
from cli.problems import worst_first
from cli.terminal import unobeyed
from ledger.manifest import Problem, Source

SHOWN_MAX = 10
"""Of one kind in one step: GitHub shows no more (community discussion 26680)."""


@dataclass(frozen=True, slots=True)
class Annotation:
    kind: Literal["error", "warning", "notice"]
    source: Source
    title: str
    message: str

    def command(self, folder: str) -> str:
        """As a workflow command; `folder` is CONFIG seen from the top of the repository."""
        properties = {
            "file": str(PurePosixPath(folder) / self.source.path),
            "line": str(self.source.line),
            "col": str(self.source.column),
            "title": self.title,
        }
        said = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
        return f"::{self.kind} {said}::{_data(self.message)}"

    def line(self, folder: str) -> str:
        """As a line of the log."""
        place = PurePosixPath(folder) / self.source.path
        said = f"{place}:{self.source.line}:{self.source.column}: {self.kind}: {self.message}"
        return unobeyed(render.safe(said))


def of_problem(problem: Problem) -> Annotation:
    hint = "" if problem.hint is None else f"; {problem.hint}"
    return Annotation(problem.severity, problem.source, problem.code, f"{problem.message}{hint}")


def shown(worst_first: Iterable[Annotation]) -> tuple[list[Annotation], list[Annotation]]:
    """Those that GitHub shows, and those that it would leave out."""
    counts: dict[str, int] = {}
    kept: list[Annotation] = []
    left: list[Annotation] = []
    for each in worst_first:
        counts[each.kind] = counts.get(each.kind, 0) + 1
        (kept if counts[each.kind] <= SHOWN_MAX else left).append(each)
    return kept, left


def of_problems(problems: Sequence[Problem], folder: str) -> str:
    """The worst ten of each kind as annotations, the rest as lines of the log."""
    kept, left = shown(map(of_problem, worst_first(problems)))
    lines = [each.command(folder) for each in kept]
    if left:
        lines += [f"{len(left):,} more:", *(each.line(folder) for each in left)]
    return "\n".join(lines)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
