"""`ingest`: appends what the directory changes, whole or not at all.

Invariant: whatever stops it (a problem, the brake, a stale commit) leaves the ledger as it was and
says so.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import plan, render, sealing
from cli.ci import Given
from cli.directory import Files, read_directory, wrong_directory
from cli.exits import Exit, Stop
from cli.instants import Moment
from cli.options import MomentType, speaking, with_database, with_output
from cli.request import Flags, request_of, with_reading
from cli.session import Session
from cli.waiting import wait_for, with_wait

if TYPE_CHECKING:
    from cli.difference import Difference
    from ledger.ingest import IngestRequest, Report
    from ledger.store import Ledger


@click.command("ingest")
@with_reading
@click.option("--dry-run", is_flag=True, help="The same as `plan`.")
@click.option("--commit", metavar="ID", help="The commit read; else git's or the CI system's.")
@click.option("--author", metavar="WHO", help="Who wrote that commit.")
@click.option("--approved-by", multiple=True, metavar="WHO", help="Who approved it; repeatable.")
@click.option("--merged-at", type=MomentType(), metavar="T", help="When it was merged.")
@click.option("--pull-request", metavar="URL", help="Which pull request brought it.")
@click.option("--run-url", metavar="URL", help="Of this run.")
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where a signed checkpoint of the result goes; else IAM_LEDGER_CHECKPOINT_FILE.",
)
@with_wait
@with_output(*plan.FORMATS)
@with_database
@speaking
@click.pass_obj
def command(
    session: Session,
    config: Path,
    teams: tuple[str, ...],
    allow_revocations: int | None,
    allow_stale: bool,
    dry_run: bool,
    commit: str | None,
    author: str | None,
    approved_by: tuple[str, ...],
    merged_at: Moment | None,
    pull_request: str | None,
    run_url: str | None,
    checkpoint: Path | None,
    wait: timedelta | None,
    output: render.Format,
) -> int:
    """Read CONFIG, decide, and append what it changes; makes the ledger where there is none.

    Commit, author and pull request come from git and the CI system where they are not given.
    """
    given = Given(
        commit=commit or None,
        author=author or None,
        merged_at=_instant(merged_at),
        pull_request=pull_request or None,
        approved_by=tuple(filter(None, approved_by)),
        run_url=run_url or None,
    )
    flags = Flags(teams, allow_revocations, allow_stale, given)
    files = read_directory(config)
    if dry_run:
        if wait is not None:
            raise click.UsageError("--wait has nothing to wait for with --dry-run")
        if checkpoint is not None:
            raise click.UsageError("--checkpoint has nothing to sign with --dry-run")
        return plan.show(session, config, plan.look(session, files, flags), output)
    seal = sealing.prepare(session, checkpoint)
    difference, stopped = _ingest(session, files, flags, seal)
    done = stopped is None and not difference.report.errors
    unsealed = sealing.finish(session, seal) if done else None
    if wait is None or not done:
        code = plan.show(session, config, difference, output)
    else:
        code = _show_and_wait(session, config, difference, output, wait)
    if stopped is not None:
        raise Stop(Exit.STOPPED, stopped)
    if unsealed is not None:
        raise unsealed
    return code


def _instant(moment: Moment | None) -> datetime | None:
    if moment is not None and moment.end is not None:
        raise click.UsageError("--merged-at is an instant, not a day; write 2026-03-03T10:00Z")
    return None if moment is None else moment.start


def _ingest(
    session: Session, files: Files, flags: Flags, seal: sealing.Seal | None
) -> "tuple[Difference, str | None]":
    """What was done, and None; or what would have been done, and why it was not."""
    from cli.difference import Difference

    request = request_of(session, files, flags, dry_run=False)
    if files.empty and not session.has_ledger():
        raise wrong_directory(files.config)
    session.migrate()
    report, stopped = session.ask(lambda ledger: _attempt(ledger, request, files, seal))
    return Difference(report, request.now), stopped


async def _attempt(
    ledger: "Ledger", request: "IngestRequest", files: Files, seal: sealing.Seal | None
) -> "tuple[Report, str | None]":
    from ledger.errors import StaleCommit
    from ledger.ingest import BrakeMet
    from ledger.ingest import plan as look_again

    await sealing.refuse_broken(ledger, seal)
    try:
        return await plan.read_in(ledger, request, files), None
    except (BrakeMet, StaleCommit) as stopped:
        return await look_again(ledger, request), str(stopped)


def _show_and_wait(
    session: Session,
    config: Path,
    difference: "Difference",
    output: render.Format,
    span: timedelta,
) -> Exit:
    """JSON is one document, told at the end; people are told each thing as it comes."""
    from ledger.events import Granted

    events = [item.event for item in difference.report.events]
    under = difference.rewritten()
    keys = [(e.grant.id, e.grant.turn) for e in events if isinstance(e, Granted)] + [*under]
    if output == "json":
        found = wait_for(session, keys, "applied", span, output, under)
        more = {"waited": [outcome.item() for outcome in found]}
        code = plan.show(session, config, difference, output, more)
    else:
        code = plan.show(session, config, difference, output)
        found = wait_for(session, keys, "applied", span, output, under)
    return Exit.FAILED if any(outcome.failed for outcome in found) else code
