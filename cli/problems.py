"""Problems of a directory as text, JSON, and what GitHub and GitLab show beside the lines.

Pure. Invariant: every problem is in the answer; where a system shows only some of them, the worst
come first.
"""

import hashlib
from collections.abc import Sequence
from pathlib import PurePosixPath

from cli import render
from cli.answers import counted
from ledger.manifest import Problem

_COLUMNS = (
    render.Column("where", "where"),
    render.Column("severity", "severity"),
    render.Column("message", "message"),
)


def worst_first(problems: Sequence[Problem]) -> list[Problem]:
    """Errors before warnings, each in the order of their places."""
    return sorted(problems, key=lambda problem: (problem.severity != "error", problem.source))


def problem_item(problem: Problem) -> dict[str, object]:
    """The contract of `validate -o json`."""
    return {
        "path": problem.source.path,
        "line": problem.source.line,
        "column": problem.source.column,
        "severity": problem.severity,
        "code": problem.code,
        "message": problem.message,
        "hint": problem.hint,
    }


def text_of(problems: Sequence[Problem], folder: str, *, color: bool) -> str:
    """One line each, as editors read it, with the line in question below."""
    lines: list[str] = []
    for problem in problems:
        where = f"{place(problem, folder)}:{problem.source.line}:{problem.source.column}"
        kind = ""
        if problem.severity == "warning":
            kind = render.styled("warning: ", "warn", color=color)
        where = render.styled(render.safe(where), "bold", color=color)
        lines.append(f"{where}: {kind}{render.safe(_said(problem))}")
        if problem.excerpt is not None:
            excerpt = render.safe(problem.excerpt)
            lines.append(f"    {excerpt}")
            if problem.source.column <= len(excerpt):
                lines.append("    " + " " * (problem.source.column - 1) + "^")
    return "\n".join(lines)


def tally(problems: Sequence[Problem]) -> str:
    """`2 problems`, `1 problem, 3 warnings`."""
    errors = sum(problem.severity == "error" for problem in problems)
    warnings = len(problems) - errors
    parts = [counted(errors, "problem")] if errors or not warnings else []
    return ", ".join(parts + ([counted(warnings, "warning")] if warnings else []))


def place(problem: Problem, folder: str) -> str:
    """The file as seen from where the command runs (`folder` is CONFIG seen from there)."""
    return str(PurePosixPath(folder) / problem.source.path)


def markdown_of(problems: Sequence[Problem], folder: str, *, room_bytes: int) -> str:
    """All of them as a Markdown table, cut where it would grow beyond `room_bytes`."""
    title = f"### iam-ledger: {tally(problems)}\n\n"
    if not problems:
        return "### iam-ledger: no problems\n" if room_bytes > 40 else ""
    rows = [
        {
            "where": f"{place(problem, folder)}:{problem.source.line}",
            "severity": problem.severity,
            "message": _said(problem),
        }
        for problem in worst_first(problems)
    ]
    head, rule, *lines = render.markdown_table(_COLUMNS, rows).splitlines(keepends=True)
    kept = title + head + rule
    room = room_bytes - len(kept.encode()) - 100
    for number, line in enumerate(lines):
        room -= len(line.encode())
        if room < 0:
            return f"{kept}\n{len(lines) - number} more stand in the log.\n" if number else ""
        kept += line
    return kept


# --- GitLab -----------------------------------------------------------------------------------


def gitlab_report(problems: Sequence[Problem], folder: str) -> str:
    """A Code Quality report (GitLab, "Code Quality report format")."""
    return render.json_text(
        [
            {
                "description": _said(problem),
                "check_name": problem.code,
                "fingerprint": _fingerprint(problem),
                "severity": "major" if problem.severity == "error" else "minor",
                "location": {
                    "path": place(problem, folder),
                    "lines": {"begin": problem.source.line},
                },
            }
            for problem in problems
        ]
    )


def _fingerprint(problem: Problem) -> str:
    return hashlib.sha256(f"{problem.source} {problem.code} {problem.message}".encode()).hexdigest()


def _said(problem: Problem) -> str:
    return problem.message if problem.hint is None else f"{problem.message}; {problem.hint}"
