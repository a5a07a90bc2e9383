"""`plan`: what `ingest` would append, and when it would stop; and how both are told.

Invariant: nothing is appended, and `ingest --dry-run` is this very code. With `--aws` no account is
changed either (`cli.rehearsing`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import problems, render
from cli.directory import Files, read_directory, wrong_directory
from cli.exits import Exit
from cli.options import AccountType, speaking, with_database, with_output
from cli.request import Flags, check_teams, request_of, with_reading
from cli.session import Session
from cli.summary import append_summary
from cli.validate import seen_from_the_top

if TYPE_CHECKING:
    from cli.difference import Difference
    from ledger.ingest import IngestRequest, Report
    from ledger.store import Ledger

_NOWHERE = "neither the directory nor the ledger has such a team"

FORMATS = ("table", "json", "markdown")


@click.command("plan")
@with_reading
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 when there are changes.")
@click.option(
    "--aws",
    is_flag=True,
    help="Also read every account and show what a worker would do there; writes nothing.",
)
@click.option(
    "--account",
    "accounts",
    type=AccountType(),
    multiple=True,
    metavar="ID",
    help="With --aws: only this account; repeatable.",
)
@with_output(*FORMATS)
@with_database
@speaking
@click.pass_obj
def command(
    session: Session,
    config: Path,
    teams: tuple[str, ...],
    allow_revocations: int | None,
    allow_stale: bool,
    detailed_exitcode: bool,
    aws: bool,
    accounts: tuple[str, ...],
    output: render.Format,
) -> int:
    """Show what `ingest` of CONFIG would append, and whether it would stop. Appends nothing.

    With --aws also what a worker would do after it, in every account: its calls, their sizes, and
    what would be refused. The accounts are only read; it needs credentials as `worker` does.
    """
    if accounts and not aws:
        raise click.UsageError("--account goes with --aws")
    files = read_directory(config)
    difference = look(session, files, Flags(teams, allow_revocations, allow_stale))
    changes = difference.changes
    if aws and not difference.report.errors:
        code, steps = _rehearse(session, config, difference, accounts, output)
        changes = changes or steps
    else:
        code = show(session, config, difference, output)
    if code == Exit.DONE and detailed_exitcode and changes:
        return Exit.FOUND
    return code


def _rehearse(
    session: Session,
    config: Path,
    difference: "Difference",
    accounts: tuple[str, ...],
    output: render.Format,
) -> tuple[Exit, bool]:
    """What `ingest` and then a worker would do; and whether the worker would do anything."""
    from cli import rehearsals, reports
    from cli.rehearsing import rehearse

    found, terminal = rehearse(session, difference, accounts), session.terminal
    code = show(session, config, difference, output, {"aws": rehearsals.document_of(found)})
    if output == "markdown":
        marker = reports.marker_of(difference.report, config.as_posix())
        room = reports.MARKDOWN_CHARS_MAX - len(reports.markdown_of(difference, marker=marker))
        terminal.data(rehearsals.markdown_of(found, chars_max=room))  # one comment holds both
    elif output != "json":
        width = terminal.width if terminal.interactive else None
        terminal.prose(rehearsals.text_of(found, width=width, color=terminal.color))
    append_summary(
        session,
        lambda room: rehearsals.markdown_of(found, chars_max=room // reports.BYTES_A_CHARACTER_MAX),
    )
    if rehearsals.failed(found):
        code = Exit.FAILED
    return code, any(each.steps for each in found.accounts)


def look(session: Session, files: Files, flags: Flags) -> "Difference":
    """What an ingest would do to the ledger, which is only read."""
    from cli.difference import Difference

    request = request_of(session, files, flags, dry_run=True)
    return Difference(session.ask(lambda ledger: read_in(ledger, request, files)), request.now)


async def read_in(ledger: "Ledger", request: "IngestRequest", files: Files) -> "Report":
    """`ledger.ingest`, after asking whether this directory and these teams can be meant."""
    from ledger.ingest import ingest, plan

    asked = request.teams or frozenset()
    doubtful = files.empty or not asked <= files.teams
    if doubtful:
        planned = await plan(ledger, request)
        if planned.decision is not None:
            known = files.teams | frozenset(planned.decision.teams)
            check_teams(asked, known, _NOWHERE)
            if files.empty and request.consent is None and planned.decision.brake is None:
                raise wrong_directory(files.config)
    return await ingest(ledger, request)


def show(
    session: Session,
    config: Path,
    difference: "Difference",
    output: render.Format,
    more: Mapping[str, object] | None = None,
) -> Exit:
    """Prints it, with GitHub's summary and annotations; `more`: what JSON says beside.

    FAILED with problems, and where grants are held back: a green run would say that they stand.
    """
    from cli import reports

    terminal, report = session.terminal, difference.report
    _annotate(session, config, difference)
    if report.errors:
        return _show_problems(session, config, report, output)
    if output == "json":
        terminal.data(render.json_text({**reports.document_of(report), **(more or {})}))
    elif output == "markdown":
        marker = reports.marker_of(report, config.as_posix())
        terminal.data(reports.markdown_of(difference, marker=marker))
    else:
        terminal.prose(reports.text_of(difference, color=terminal.color))
    append_summary(session, lambda room: reports.markdown_of(difference, room_bytes=room))
    held_back = difference.held_back
    if held_back is None:
        return Exit.DONE
    terminal.complain(f"{held_back.message}: {held_back.hint}")
    return Exit.FAILED


def _annotate(session: Session, config: Path, difference: "Difference") -> None:
    """On GitHub: what the plan says of a line stands beside it, whatever form stdout has."""
    from cli.annotations import shown
    from cli.at_lines import of_difference

    if session.environment.ci == "github":
        folder = seen_from_the_top(session, config)
        for each in shown(of_difference(difference))[0]:
            session.terminal.command(each.command(folder))


def _show_problems(session: Session, config: Path, report: "Report", output: render.Format) -> Exit:
    """As `validate` does: every problem at its place."""
    from cli import reports

    terminal, found = session.terminal, report.problems
    folder = config.as_posix()
    if output == "json":
        items = [problems.problem_item(problem) for problem in found]
        terminal.data(render.json_text({**reports.document_of(report), "problems": items}))
    elif output == "markdown":
        marker = reports.marker_of(report, folder)
        room = reports.MARKDOWN_CHARS_MAX - len(marker)
        terminal.data(marker + problems.markdown_of(found, folder, room_bytes=room))
    else:
        terminal.lines(problems.text_of(found, folder, color=terminal.color))
    append_summary(session, lambda room: problems.markdown_of(found, folder, room_bytes=room))
    terminal.complain(f"{problems.tally(found)}; nothing was appended")
    return Exit.FAILED
