"""`verify`: recomputes the chain of hashes, and all that is read from it, out of the events.

Invariant: a ledger whose guards are gone is looked at all the same; that is when it matters.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import answers, render, witnessing
from cli.exits import Exit
from cli.options import speaking, with_database, with_output
from cli.progress import Progress
from cli.session import Session

if TYPE_CHECKING:
    from ledger.store import Ledger
    from ledger.store.verify import Verification


@click.command("verify")
@click.option(
    "--checkpoint",
    "checkpoints",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="Prove that the ledger only grew since this was signed; repeatable.",
)
@click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="KEY",
    help="Who may have signed it: a public key, or a file of some; repeatable.",
)
@click.option(
    "--chain", "chain_only", is_flag=True, help="Only hashes and order: several times as fast."
)
@with_output("table", "json")
@with_database
@speaking
@click.pass_obj
def command(
    session: Session,
    checkpoints: tuple[Path, ...],
    keys: tuple[str, ...],
    chain_only: bool,
    output: render.Format,
) -> int:
    """Recompute the chain of hashes; exit 4 when history was changed.

    Only a checkpoint that was kept elsewhere shows a history that was changed as a whole.
    """
    if bool(checkpoints) != bool(keys):
        missing = "--key" if checkpoints else "--checkpoint"
        raise click.UsageError(f"--checkpoint and --key go together; {missing} is missing")
    known = witnessing.read_keys(keys)
    witnesses = [witnessing.read_witness(path, known) for path in checkpoints]

    async def work(ledger: "Ledger") -> "Verification":
        from ledger.store.verify import verify

        with Progress(session, "events looked at") as progress:
            return await verify(
                ledger, witnesses=witnesses, chain_only=chain_only, on_progress=progress
            )

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
    """The contract of `-o json`; the last three keys stand only where there is something to say."""
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
    if found.verdicts:
        document["checkpoints"] = [
            {
                "file": verdict.witness.name,
                "events": verdict.witness.checkpoint.size,
                "hash": verdict.witness.checkpoint.hash,
                "key": verdict.witness.key,
                "ok": verdict.wrong is None,
            }
            for verdict in found.verdicts
        ]
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
        render.safe(
            f"  {verdict.witness.name}: signed by {verdict.witness.key} over "
            f"{answers.counted(verdict.witness.checkpoint.size, 'event')}; the ledger only grew"
        )
        for verdict in found.verdicts
        if verdict.wrong is None
    ]
    lines += [
        render.safe(f"  position {problem.position}, {problem.what}: {problem.message}")
        for problem in found.problems
    ]
    more = found.problems_count - len(found.problems)
    return "\n".join([*lines, *([f"  and {more:,} more"] if more > 0 else [])])
