"""An ingest's report as text, Markdown and JSON.

Pure. Invariant: `plan`, `ingest --dry-run` and `ingest` are told in the same words and keys.
"""

from collections.abc import Iterator
from urllib.parse import quote

from cli import answers, render
from cli.difference import Difference, warnings_of
from cli.entries import Part
from ledger.decide.decision import Decision, Note
from ledger.ingest import Report
from ledger.manifest import Problem

MARKDOWN_CHARS_MAX = 65_000
"""GitHub takes 65,536 characters in a comment."""

BYTES_A_CHARACTER_MAX = 4
"""In UTF-8."""

MARKED_PATH_CHARS_MAX = 200

_SIGNS: dict[str, render.Style] = {"+": "good", "-": "bad", "~": "warn", "!": "warn"}


def text_of(difference: Difference, *, color: bool) -> str:
    """For people at a terminal or in a log."""
    blocks = [difference.heading()]
    for part in difference.parts():
        title, *lines = part.lines()
        painted = [_painted(line, color=color) for line in lines]
        blocks.append("\n".join([render.styled(title, "bold", color=color), *painted]))
    for stop in difference.report.stops:
        said = f"ingest stops here: {stop.message}"
        blocks.append(render.styled(render.safe(said), "bad", color=color))
    blocks.append(_conclusion(difference))
    return "\n\n".join(blocks) + "\n"


def _painted(line: str, *, color: bool) -> str:
    style = _SIGNS.get(line[2:3]) if line[3:4] == " " else None
    return line if style is None else render.styled(line, style, color=color)


def _conclusion(difference: Difference) -> str:
    report = difference.report
    if not report.dry_run:
        return f"{difference.summary()}; ledger position {report.position}"
    only = report.events and not difference.changes
    more = "; only that this commit was read would be appended" if only else ""
    return f"{difference.summary()}{more}; nothing was appended"


def marker_of(report: Report, folder: str) -> str:
    """A line that nobody sees, by which a comment is found again and written anew.

    Another directory's comment (`folder`) has another.
    """
    what = "plan" if report.dry_run else "ingest"
    path = quote(folder)[-MARKED_PATH_CHARS_MAX:].replace("-", "%2D")  # `--` would end it
    return f"<!-- iam-ledger {what}: {path} -->\n"


def markdown_of(difference: Difference, *, marker: str = "", room_bytes: int | None = None) -> str:
    """For a pull request: the same lines as a diff, which GitHub and GitLab colour.

    Begins with `marker`. Cut where it would be too long for a comment, or for `room_bytes`, and
    says so; empty where nothing fits.
    """
    chars_max = MARKDOWN_CHARS_MAX
    if room_bytes is not None:
        chars_max = min(chars_max, room_bytes // BYTES_A_CHARACTER_MAX)
    head = f"{marker}### iam-ledger: {render.markdown_text(difference.summary())}\n\n"
    for stop in difference.report.stops:
        head += f"**Ingest stops here:** {render.markdown_text(stop.message)}\n\n"
    tail = f"\n{render.markdown_text(difference.heading())}\n"
    lines = [line for part in difference.parts() for line in _diff_lines(part)]
    if not lines:
        return head + tail if len(head + tail) <= chars_max else ""
    fence = "`" * max(3, 1 + max(_ticks(line) for line in lines))
    cut = "\n**{:,} more lines are not shown here**: `iam-ledger plan` prints all of them.\n"
    frame = head + f"{fence}diff\n" + f"{fence}\n" + tail
    kept, room = 0, chars_max - len(frame) - len(cut) - 10
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        kept += 1
    if kept == 0:
        return ""
    body = "\n".join(lines[:kept]).rstrip("\n")
    left = cut.format(len(lines) - kept) if kept < len(lines) else ""
    return f"{head}{fence}diff\n{body}\n{fence}\n{left}{tail}"


def _diff_lines(part: Part) -> Iterator[str]:
    """Headings as a diff has them for its hunks; `!` for what changes, since `~` has no colour."""
    title, *lines = part.lines()
    yield f"@@ {title} @@"
    for line in lines:
        said = line.removeprefix("  ")
        yield f"! {said.removeprefix('~ ')}" if said.startswith("~ ") else said
    yield ""


def _ticks(line: str) -> int:
    """The longest run of backticks in it: a fence must be longer."""
    longest = run = 0
    for sign in line:
        run = run + 1 if sign == "`" else 0
        longest = max(longest, run)
    return longest


def document_of(report: Report) -> dict[str, object]:
    """The contract of `ingest -o json`; the keys behind `events` stand only where they say
    something."""
    counts = report.counts
    document: dict[str, object] = {
        "schema_version": render.SCHEMA_VERSION,
        "commit": report.commit,
        "dry_run": report.dry_run,
        "granted": counts.granted,
        "revoked": counts.revoked,
        "policies": counts.policies,
        "accounts": counts.accounts,
        "position": report.position,
        "warnings": [_warning_item(item) for item in warnings_of(report)],
        "events": [
            answers.reported_of(item.event, item.provenance, item.position)
            for item in report.events
        ],
    }
    if report.stops:
        document["stops"] = [_stop_item(stop, report.decision) for stop in report.stops]
    return document


def _warning_item(item: Note | Problem) -> answers.Item:
    source = item.source
    return {
        "path": None if source is None else source.path,
        "line": None if source is None else source.line,
        "column": None if source is None else source.column,
        "severity": "warning",
        "code": item.code,
        "message": item.message,
        "hint": item.hint,
    }


def _stop_item(stop: Note, decision: Decision | None) -> answers.Item:
    item: answers.Item = {"code": stop.code, "message": stop.message}
    if stop.code == "brake" and decision is not None and decision.brake is not None:
        item["ends"] = [answers.grant_item(row.grant) for row in decision.brake.ends]
    return item
