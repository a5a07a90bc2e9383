"""`migrate`: makes the ledger, or brings it to this program's schema; the projection on demand.

On a server it also gives roles what their duty needs, and nothing beyond it.
"""

from typing import TYPE_CHECKING

import click

from cli.exits import Exit, Stop
from cli.options import speaking, with_database
from cli.progress import Progress
from cli.session import Session

if TYPE_CHECKING:
    from ledger.state import Head
    from ledger.store import Ledger
    from ledger.store.dialect.roles import Duty


@click.command("migrate")
@click.option(
    "--rebuild", is_flag=True, help="Fold every event anew into what answers are read from."
)
@click.option(
    "--role",
    "roles",
    multiple=True,
    metavar="ROLE=DUTY",
    help="On PostgreSQL, let ROLE do the duty ingest, worker or audit, and no more; repeatable.",
)
@with_database
@speaking
@click.pass_obj
def command(session: Session, rebuild: bool, roles: tuple[str, ...]) -> int:
    """Make the ledger, or bring an older one to this version. Events are never changed."""
    duties = _duties(roles)
    session.migrate(asked=True)

    async def work(ledger: "Ledger") -> "Head":
        from ledger.store.append import read_head

        if rebuild:
            from ledger.store.verify import rebuild as fold_anew

            with Progress(session, "events folded") as progress:
                await fold_anew(ledger, on_progress=progress)
        await _allow(ledger, duties)
        async with ledger.reading() as connection:
            return await read_head(connection)

    head = session.ask(work)
    done = "rebuilt from its events" if rebuild else "ready"
    session.terminal.data(f"{session.shown_database}: {done}, ledger position {head.position}")
    for role, duty in duties.items():
        session.terminal.data(f"{role}: may do what {duty} needs, and no more")
    return Exit.DONE


def _duties(roles: tuple[str, ...]) -> "dict[str, Duty]":
    """Role -> duty, of what was written on the command line."""
    if not roles:
        return {}
    from ledger.store.dialect.roles import DUTIES

    found: dict[str, Duty] = {}
    for written in roles:
        role, _, duty = written.rpartition("=")
        known = next((name for name in DUTIES if name == duty), None)
        if not role or known is None:
            raise click.UsageError(
                f"--role {written}: write ROLE=DUTY, where DUTY is one of {', '.join(DUTIES)}"
            )
        found[role] = known
    return found


async def _allow(ledger: "Ledger", duties: "dict[str, Duty]") -> None:
    if not duties:
        return
    from ledger.store.dialect import on_postgresql
    from ledger.store.dialect.roles import allow

    if not on_postgresql(ledger.url):
        raise Stop(Exit.USAGE, "SQLite has no roles: whoever has the file may do anything to it")
    async with ledger.writing() as connection:
        for role, duty in duties.items():
            await allow(connection, role, duty)
