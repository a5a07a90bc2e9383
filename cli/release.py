"""`release`: lifts a hold, so that lines may grant again what it kept away."""

from typing import TYPE_CHECKING

import click

from cli import render
from cli.exits import Exit
from cli.operator import with_word, word_of
from cli.options import speaking, with_database, with_output
from cli.session import Session

if TYPE_CHECKING:
    from ledger.operators import Release
    from ledger.store import Ledger


@click.command("release")
@click.argument("hold", metavar="HOLD")
@with_word
@with_output("table", "json")
@with_database
@speaking
@click.pass_obj
def command(session: Session, hold: str, reason: str, by: str, output: render.Format) -> int:
    """Lift HOLD (`hold-7`): the next ingest grants what its lines still ask for."""
    word = word_of(by, reason)

    async def work(ledger: "Ledger") -> "Release":
        from ledger.operators import release

        return await release(ledger, hold.strip(), word=word, now=session.now())

    done = session.ask(work)
    if output == "json":
        session.terminal.data(render.json_text(_document(done)))
    else:
        session.terminal.prose(render.safe(_text(done)))
    return Exit.DONE


def _document(done: "Release") -> dict[str, object]:
    held = done.hold
    return {
        "schema_version": render.SCHEMA_VERSION,
        "position": done.position,
        "hold": held.hold,
        "principal": held.principal.name,
        "principal_type": held.principal.kind.value,
        "account_id": held.account,
        "team": held.team,
        "policy": held.policy,
        "already": done.already,
    }


def _text(done: "Release") -> str:
    held = done.hold
    if done.already:
        return f"{held.hold} was released before: nothing was done, ledger position {done.position}"
    what = "" if held.policy is None else f" {held.policy} of {held.team}"
    where = "any account" if held.account is None else held.account
    return (
        f"released {held.hold}: {held.principal} may be granted{what or ' anything'} in {where} "
        f"again, by the next ingest of a line that says so; ledger position {done.position}"
    )
