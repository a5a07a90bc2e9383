"""`retry`: has the worker try again what is stuck, refused or missing."""

import click

from cli import render
from cli.exits import Exit
from cli.operator import with_word, word_of
from cli.options import speaking, with_database, with_output
from cli.session import Session
from cli.settle import about_one


@click.command("retry")
@click.argument("grant", metavar="GRANT")
@with_word
@with_output("table", "json")
@with_database
@speaking
@click.pass_obj
def command(session: Session, grant: str, reason: str, by: str, output: render.Format) -> int:
    """Have GRANT tried again at once: what somebody took away is given again.

    GRANT is a grant's id, or six characters or more of its beginning. A name that is used again may
    be another person: look who it is before you ask for it.
    """
    from ledger.settling import retry

    about_one(
        session,
        lambda ledger: retry(ledger, grant, word=word_of(by, reason), now=session.now()),
        output,
        appended="the worker tries again, as soon as it hears of it",
        already="it is to be tried again already, and nothing was appended",
    )
    return Exit.DONE
