"""`expiring`: what ends soon, the nearest end first, so that nobody is surprised."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from cli import answers, render
from cli.exits import Exit
from cli.filters import Asked, filter_of
from cli.instants import shown
from cli.options import SpanType, speaking, with_database, with_filters, with_output
from cli.session import Session
from ledger.answer import state_of

if TYPE_CHECKING:
    from ledger.store import Ledger
    from ledger.store.questions import Found, WhoHasAccess


@click.command("expiring")
@click.option(
    "--within",
    type=SpanType(),
    default="24h",
    show_default=True,
    metavar="SPAN",
    help="Ending in so long from now at most.",
)
@with_filters
@with_output("table", "json", "ndjson", "csv", "markdown")
@with_database
@speaking
@click.pass_obj
def command(
    session: Session,
    within: timedelta,
    account: str | None,
    environment: str | None,
    team: str | None,
    principal: str | None,
    policy: str | None,
    output: render.Format,
) -> int:
    """Grants in force, or to come, whose end is near."""
    asked = Asked(account, environment, team, principal, policy)
    now = session.now()
    try:
        until = now + within
    except OverflowError:
        raise click.UsageError("--within reaches beyond the calendar") from None

    async def answer(ledger: "Ledger") -> "tuple[WhoHasAccess, tuple[str, ...]]":
        from ledger.store import questions

        async with ledger.reading() as connection:
            keep = await filter_of(connection, asked)
            found = await questions.expiring(connection, keep=keep, now=now, until=until)
            unknown = await questions.unknown_words(connection, keep) if not found.access else ()
        return found, unknown

    found, unknown = session.ask(answer)
    _print(session, found, (now, until), output)
    answers.complain_of_unknown(session.terminal, unknown, found.position)
    return Exit.DONE


def _print(
    session: Session,
    found: "WhoHasAccess",
    span: tuple[datetime, datetime],
    output: render.Format,
) -> None:
    terminal, (now, until) = session.terminal, span
    states = [_state(item, now) for item in found.access]
    items = [answers.item_of(f, state) for f, state in zip(found.access, states, strict=True)]
    lines = [answers.line_of(f, state) for f, state in zip(found.access, states, strict=True)]
    spoken = f"after {shown(now)}, up to {shown(until)}, ledger position {found.position}"
    title = f"what ends {spoken}: {answers.counted(len(items), 'grant')}"
    if output == "json":
        document = {
            "schema_version": render.SCHEMA_VERSION,
            "at": answers.text(now),
            "until": answers.text(until),
            "position": found.position,
            "access": items,
        }
        terminal.data(render.json_text(document))
    elif output == "ndjson":
        terminal.data(render.ndjson_text(items))
    elif output == "csv":
        terminal.data(render.csv_text(answers.ITEM_KEYS, items))
    elif items and output == "markdown":
        table = render.markdown_table(answers.WIDE_COLUMNS, lines)
        terminal.data(f"{render.markdown_text(title)}\n\n{table}")
    elif items:
        terminal.prose(f"{title}\n\n{answers.access_table(terminal, lines)}")
    if not items:
        terminal.complain(f"nothing ends {spoken}")
    elif output in ("ndjson", "csv"):
        terminal.hint(title)


def _state(found: "Found", now: datetime) -> str | None:
    """How it stands now, or at its start where that is to come."""
    return state_of(found.row, max(now, found.row.access_from))
