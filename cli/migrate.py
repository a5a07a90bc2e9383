"""`migrate`: makes the ledger, or brings it to this program's schema; the projection on demand."""

from typing import TYPE_CHECKING

import click

from cli.exits import Exit
from cli.options import speaking, with_database
from cli.progress import Progress
from cli.session import Session

if TYPE_CHECKING:
    from ledger.state import Head
    from ledger.store import Ledger


@click.command("migrate")
@click.option(
    "--rebuild", is_flag=True, help="Fold every event anew into what answers are read from."
)
@with_database
@speaking
@click.pass_obj
def command(session: Session, rebuild: bool) -> int:
    """Make the ledger, or bring an older one to this version. Events are never changed."""
    session.migrate()

    async def work(ledger: "Ledger") -> "Head":
        from ledger.store.append import read_head

        if rebuild:
            from ledger.store.verify import rebuild as fold_anew

            with Progress(session, "events folded") as progress:
                await fold_anew(ledger, on_progress=progress)
        async with ledger.reading() as connection:
            return await read_head(connection)

    head = session.ask(work)
    done = "rebuilt from its events" if rebuild else "ready"
    session.terminal.data(f"{session.shown_database}: {done}, ledger position {head.position}")
    return Exit.DONE
