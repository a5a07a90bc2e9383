"""`history`: every event about a principal, an account, a policy or a grant, in order."""

from datetime import datetime
from typing import TYPE_CHECKING

import click

from cli import answers, render
from cli.exits import Exit
from cli.filters import Asked, filter_of
from cli.instants import Moment, shown
from cli.options import AccountType, MomentType, speaking, with_database, with_output
from cli.session import Session
from ledger.sentences import origin, spoken, titled

if TYPE_CHECKING:
    from ledger.envelope import Recorded
    from ledger.store import Ledger
    from ledger.store.questions import History

NEWEST = 1_000
NEWEST_MAX = 1_000_000

_COLUMNS = (
    render.Column("position", "#"),
    render.Column("recorded_at", "recorded"),
    render.Column("what", "what"),
    render.Column("origin", "from"),
)


@click.command("history")
@click.option("--principal", metavar="WHO", help="`ana`, `role/ci`, an address or an ARN.")
@click.option("--account", type=AccountType(), metavar="ID", help="About this account.")
@click.option("--team", metavar="NAME", help="About this team.")
@click.option("--policy", metavar="NAME", help="About this policy, its grants included.")
@click.option("--grant", metavar="ID", help="About this grant; the beginning of an id will do.")
@click.option(
    "--as-known-at", type=MomentType(), metavar="K", help="Only what was recorded up to K."
)
@click.option(
    "--newest",
    type=click.IntRange(1, NEWEST_MAX),
    default=NEWEST,
    show_default=True,
    metavar="N",
    help="The newest N of them.",
)
@with_output("table", "json", "ndjson", "csv", "markdown")
@with_database
@speaking
@click.pass_obj
def command(
    session: Session,
    principal: str | None,
    account: str | None,
    team: str | None,
    policy: str | None,
    grant: str | None,
    as_known_at: Moment | None,
    newest: int,
    output: render.Format,
) -> int:
    """Every event about what is named, the oldest first; without a name, of the whole ledger."""
    known_at = None if as_known_at is None else as_known_at.last
    asked = Asked(account, None, team, principal, policy, grant)

    async def answer(ledger: "Ledger") -> "tuple[History, tuple[str, ...]]":
        from ledger.store import questions

        async with ledger.reading() as connection:
            keep = await filter_of(connection, asked)
            found = await questions.history(
                connection, keep=keep, newest=newest, as_known_at=known_at
            )
            unknown = await questions.unknown_words(connection, keep) if not found.events else ()
        return found, unknown

    found, unknown = session.ask(answer)
    _print(session, found, known_at, output)
    answers.complain_of_unknown(session.terminal, unknown, found.position)
    return Exit.DONE


def _print(
    session: Session, found: "History", known_at: datetime | None, output: render.Format
) -> None:
    terminal, items = session.terminal, [answers.event_of(event) for event in found.events]
    known = "" if known_at is None else f", as known at {shown(known_at)}"
    title = f"{answers.counted(len(items), 'event')} up to ledger position {found.position}{known}"
    if output == "json":
        document = {
            "schema_version": render.SCHEMA_VERSION,
            "as_known_at": answers.text(known_at),
            "position": found.position,
            "truncated": found.truncated,
            "events": items,
        }
        terminal.data(render.json_text(document))
    elif output == "ndjson":
        terminal.data(render.ndjson_text(items))
    elif output == "csv":
        terminal.data(render.csv_text(answers.EVENT_KEYS, items))
    elif items and output == "markdown":
        table = render.markdown_table(_COLUMNS, map(_row, found.events))
        terminal.data(f"{render.markdown_text(title)}\n\n{table}")
    elif items:
        lines = [render.safe(answers.because(event)) for event in found.events]
        terminal.prose("\n".join([f"{title}\n", *lines]))
    if not items:
        terminal.complain(f"no event about that{known}, ledger position {found.position}")
    elif output in ("ndjson", "csv"):
        terminal.hint(title)
    if found.truncated:
        terminal.complain(f"only the newest {len(items):,} are shown; --newest N shows more")


def _row(event: "Recorded") -> answers.Item:
    return {
        "position": event.position,
        "recorded_at": shown(event.recorded_at),
        "what": titled(event.event),
        "origin": "an operator" if spoken(event.event) else origin(event.provenance),
    }
