"""`report`: who has access, who had it when, and what is wrong, as one page that stands alone.

Invariant: the file is there whole or as it was before, and no file is overwritten but a report. The
page fetches nothing and runs nothing, wherever it is opened.
"""

import shlex
from datetime import datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import answers
from cli.exits import Exit, Stop
from cli.filters import Asked
from cli.instants import Moment
from cli.options import MomentType, SpanType, speaking, with_database, with_filters
from cli.session import Session
from cli.when import when_of
from cli.whole_files import write_whole
from ledger.answer import Between, When

if TYPE_CHECKING:
    from cli.report.facts import Facts, Question
    from ledger.store import Ledger

STDOUT = "-"
_LOOKED_AT_BYTES = 1_024


@click.command("report")
@click.argument("file", metavar="FILE")
@with_filters
@click.option("--at", type=MomentType(), metavar="T", help="Then; a date is that whole UTC day.")
@click.option(
    "--between", type=MomentType(), nargs=2, metavar="A B", help="At any time from A up to B."
)
@click.option("--as-known-at", type=MomentType(), metavar="K", help="By what the ledger held at K.")
@click.option(
    "--within",
    type=SpanType(),
    default="7d",
    show_default=True,
    metavar="SPAN",
    help="What ends so soon after is listed apart.",
)
@with_database
@speaking
@click.pass_obj
def command(
    session: Session,
    file: str,
    account: str | None,
    environment: str | None,
    team: str | None,
    principal: str | None,
    policy: str | None,
    at: Moment | None,
    between: tuple[Moment, Moment] | None,
    as_known_at: Moment | None,
    within: timedelta,
) -> int:
    """Who has access and who had it when, as one HTML page in FILE (`-`: on stdout).

    About now, about T, or about the time between A and B. An earlier report in FILE is replaced.
    """
    from cli.report.facts import Question

    if file != STDOUT:
        refuse_another(Path(file))
    now = session.now()
    known_at = None if as_known_at is None else as_known_at.last
    asked = Asked(account, environment, team, principal, policy)
    when = when_of(now, at, between, known_at)
    try:
        _ = (when.end if isinstance(when, Between) else when.instant) + within
    except OverflowError:
        raise click.UsageError("--within reaches beyond the calendar") from None
    question = Question(
        asked, when, known_at, within, now, _command(file, asked, when, known_at, within)
    )
    facts, page = make(session, question)
    if file == STDOUT:
        session.terminal.data(page)
    else:
        write(Path(file), page)
    _tell(session, facts, file, page)
    return Exit.DONE


def make(session: Session, question: "Question") -> "tuple[Facts, str]":
    """What is to be told, and the page that tells it."""
    from cli.report.facts import gather
    from cli.report.page import page_of

    async def work(ledger: "Ledger") -> "Facts":
        return await gather(ledger, question)

    facts = session.ask(work)
    return facts, page_of(facts, _version())


def refuse_another(path: Path) -> None:
    """Stop (1) where something else than a report stands."""
    from cli.report.page import GENERATOR

    try:
        if not path.exists():
            return
        with path.open("rb") as handle:
            begins = handle.read(_LOOKED_AT_BYTES)
    except OSError as error:
        raise Stop(Exit.FAILED, f"{path}: {error.strerror or error}; nothing was written") from None
    if begins and f'<meta name="generator" content="{GENERATOR}'.encode() not in begins:
        raise Stop(
            Exit.FAILED,
            f"{path} stands already and is no report, so it was left as it is; give another name",
        )


def write(path: Path, page: str) -> None:
    try:
        write_whole(path, page.encode())
    except OSError as error:
        raise Stop(
            Exit.FAILED, f"{path}: {error.strerror or error}; the report was not written"
        ) from None


def _tell(session: Session, facts: "Facts", file: str, page: str) -> None:
    question = facts.question
    spoken = answers.spoken_of(question.when, question.as_known_at, facts.position)
    many = answers.counted(len(facts.access), "grant")
    where = "stdout" if file == STDOUT else file
    session.terminal.hint(f"{where}: who has access {spoken}: {many}; {len(page.encode()):,} bytes")
    answers.complain_of_unknown(session.terminal, facts.unknown, facts.position)


def _command(
    file: str, asked: Asked, when: When, known_at: datetime | None, within: timedelta
) -> str:
    """The line that asks the same again, whatever time it is then."""
    words = ["iam-ledger", "report", file]
    for name in ("account", "environment", "team", "principal", "policy"):
        value = getattr(asked, name)
        words += [] if value is None else [f"--{name}", value]
    if isinstance(when, Between):
        words += ["--between", str(answers.text(when.start)), str(answers.text(when.end))]
    else:
        words += ["--at", str(answers.text(when.instant))]
    words += [] if known_at is None else ["--as-known-at", str(answers.text(known_at))]
    if within != timedelta(days=7):
        words += ["--within", f"{int(within.total_seconds())}s"]
    return shlex.join(words)


def _version() -> str:
    try:
        return version("iam-ledger")
    except PackageNotFoundError:
        return "(from its sources)"
