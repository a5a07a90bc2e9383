"""`verify`: recomputes the chain of hashes, and all that is read from it, out of the events.

Invariant: a ledger whose guards are gone is looked at all the same; that is when it matters.
"""

from typing import TYPE_CHECKING

import click

from cli import answers, render
from cli.exits import Exit
from cli.options import speaking, with_database, with_output
from cli.progress import Progress
from cli.session import Session

if TYPE_CHECKING:
    from ledger.store import Ledger
    from ledger.store.verify import Verification


@click.command("verify")
@with_output("table", "json")
@with_database
@speaking
@click.pass_obj
def command(session: Session, output: render.Format) -> int:
    """Recompute the chain of hashes; exit 4 when history was changed."""

    async def work(ledger: "Ledger") -> "Verification":
        from ledger.store.verify import verify

        with Progress(session, "events looked at") as progress:
            return await verify(ledger, on_progress=progress)

    found, outdated = session.ask_unguarded(work)
    if output == "json":
        session.terminal.data(render.json_text(_document(found)))
    else:
        session.terminal.prose(_text(session, found))
    for note in found.notes:
        session.terminal.hint(note)
    if not found.ok:
        return Exit.BROKEN
    if outdated is not None:
        raise outdated
    return Exit.DONE


def _document(found: "Verification") -> dict[str, object]:
    """The contract of `-o json`; the last two keys stand only where there is something to say."""
    document: dict[str, object] = {
        "schema_version": render.SCHEMA_VERSION,
        "ok": found.ok,
        "events": found.events,
        "head_position": found.head_position,
        "head_hash": found.head_hash,
        "problems": [
            {"position": problem.position, "what": problem.what, "message": problem.message}
            for problem in found.problems
        ],
    }
    if found.problems_count > len(found.problems):
        document["problems_count"] = found.problems_count
    if found.too_new:
        document["too_new"] = [
            {"kind": new.kind, "version": new.version, "count": new.count} for new in found.too_new
        ]
    return document


def _text(session: Session, found: "Verification") -> str:
    color = session.terminal.color
    events = answers.counted(found.events, "event")
    if found.ok:
        first = render.styled("the ledger holds", "good", color=color)
    else:
        first = render.styled("the ledger is broken", "bad", color=color)
    lines = [f"{first}: {events}, head at position {found.head_position}, hash {found.head_hash}"]
    lines += [
        render.safe(f"  position {problem.position}, {problem.what}: {problem.message}")
        for problem in found.problems
    ]
    more = found.problems_count - len(found.problems)
    return "\n".join([*lines, *([f"  and {more:,} more"] if more > 0 else [])])
