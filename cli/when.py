"""Which instant or interval `--at`, `--between` and `--as-known-at` ask about."""

from datetime import datetime

import click

from cli.instants import Moment
from ledger.answer import At, Between, When


def when_of(
    now: datetime,
    at: Moment | None,
    between: tuple[Moment, Moment] | None,
    known_at: datetime | None,
) -> When:
    """What is asked about, now if nothing is said; usage errors for what cannot be meant."""
    if at is not None and between is not None:
        raise click.UsageError("give --at or --between, not both")
    if between is not None:
        first, last = between
        end = last.end or last.start
        if end <= first.start:
            raise click.UsageError("--between A B: B must lie after A")
        return Between(first.start, end)
    if at is None:
        return At(known_at or now)
    return At(at.start) if at.end is None else Between(at.start, at.end)
