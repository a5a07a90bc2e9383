"""`export`: the events of a period as they stand, every column, to be verified without us.

Invariant: each line is enough to compute its hash; `deploy/verify_export.py` reads no more than
these lines, checkpoints and public keys.
"""

from contextlib import aclosing
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import render, witnessing
from cli.exits import Exit
from cli.instants import Moment
from cli.options import MomentType, speaking, with_database, with_output
from cli.progress import Progress
from cli.session import Session
from ledger.codec import Envelope, instant_of, instant_text

if TYPE_CHECKING:
    from ledger.store import Ledger

LINES_AT_ONCE = 1_000

_COLUMNS = tuple(f.name for f in fields(Envelope))


@click.command("export")
@click.option("--from", "start", type=MomentType(), metavar="T", help="Recorded from T on.")
@click.option(
    "--to", "end", type=MomentType(), metavar="T", help="Recorded before T; a date: to its end."
)
@click.option(
    "--checkpoint",
    "checkpoints",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="Also what joins the period to this checkpoint: the event before it, and those between; "
    "repeatable.",
)
@with_output("ndjson")
@with_database
@speaking
@click.pass_obj
def command(
    session: Session,
    start: Moment | None,
    end: Moment | None,
    checkpoints: tuple[Path, ...],
    output: render.Format,
) -> int:
    """Every event recorded in a period, with every column, one JSON object a line.

    With `--checkpoint` the lines can be proven: nothing was left out, changed or put in.
    """
    sizes = [witnessing.read_size(path) for path in checkpoints]
    since = None if start is None else start.start
    until = None if end is None else end.end or end.start
    if since is not None and until is not None and since >= until:
        raise click.UsageError("--from must lie before --to")

    async def work(ledger: "Ledger") -> int:
        return await _write(session, ledger, (since, until), sizes)

    count, outdated = session.ask_unguarded(work)
    session.terminal.hint(f"{count:,} events; deploy/verify_export.py verifies them anywhere")
    if outdated is not None:
        raise outdated
    return Exit.DONE


async def _write(
    session: Session,
    ledger: "Ledger",
    period: tuple[datetime | None, datetime | None],
    sizes: list[int],
) -> int:
    from ledger.store.exporting import span_of, stream_span

    count, waiting = 0, list[render.Row]()
    async with ledger.reading() as connection:
        span = await span_of(connection, *period)
        for size in sizes:
            span = span.joined_to(size)
        with Progress(session, "events written") as progress:
            async with aclosing(stream_span(connection, span)) as rows:
                async for row in rows:
                    count += 1
                    waiting.append(line_of(row))
                    if len(waiting) >= LINES_AT_ONCE:
                        session.terminal.data(render.ndjson_text(waiting))
                        waiting.clear()
                        progress(count)
    session.terminal.data(render.ndjson_text(waiting))
    return count


def line_of(row: Envelope) -> render.Row:
    """Every column under its name; the instant in words too, for people."""
    line: dict[str, object] = {name: getattr(row, name) for name in _COLUMNS}
    try:
        spoken = instant_text(instant_of(row.recorded_at_us))
    except (TypeError, ValueError, OverflowError, OSError):
        spoken = None  # somebody wrote what is no instant; the hash will tell
    return {"position": line.pop("position"), "recorded_at": spoken, **line}
