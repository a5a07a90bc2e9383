"""`settle`: ends a removal that AWS does not confirm, by a person's word.

Invariant: what a person says is told as a person's word for ever, and never as AWS's.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import click

from cli import answers, render
from cli.exits import Exit
from cli.operator import with_word, word_of
from cli.options import speaking, with_database, with_output
from cli.session import Session

if TYPE_CHECKING:
    from ledger.settling import Said
    from ledger.store import Ledger


@click.command("settle")
@click.argument("grant", metavar="GRANT")
@with_word
@with_output("table", "json")
@with_database
@speaking
@click.pass_obj
def command(session: Session, grant: str, reason: str, by: str, output: render.Format) -> int:
    """Say that GRANT, which is over and cannot be confirmed removed, is done with.

    GRANT is a grant's id, or six characters or more of its beginning. Look in AWS first: answers
    say "settled by WHO, not confirmed" from then on, and nobody tries its removal again. So it is
    refused where no step of GRANT, nor its account, has failed.
    """
    from ledger.settling import settle

    about_one(
        session,
        lambda ledger: settle(ledger, grant, word=word_of(by, reason), now=session.now()),
        output,
        appended=f"settled by {by}, not confirmed by AWS",
        already="it was settled before, and nothing was appended",
    )
    return Exit.DONE


def about_one(
    session: Session,
    work: "Callable[[Ledger], Awaitable[Said]]",
    output: render.Format,
    *,
    appended: str,
    already: str,
) -> None:
    """Carries out a person's word about one grant and tells what it did."""
    said = session.ask(work)
    new = said.done == "appended"
    grant = said.row.grant
    if output == "json":
        document = {"schema_version": render.SCHEMA_VERSION, "position": said.position}
        session.terminal.data(render.json_text(document | {"new": new} | answers.grant_item(grant)))
        return
    what = appended if new else already
    text = f"{answers.named(grant)} (grant {grant.id}): {what}; ledger position {said.position}"
    session.terminal.prose(render.safe(text))
