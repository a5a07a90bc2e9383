"""When the worker must act. Pure arithmetic on instants; the clock is the caller's.

Invariant: a keeper never sleeps past the first instant at which its account may change.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from ledger.project import GrantRow

WRITE_AHEAD = timedelta(minutes=5)
"""How early a timed copy with a later start is written; its own condition holds it back."""

RETRY_DELAYS_S = (1, 2, 4, 8, 16, 32, 60)
"""After weather (throttling, outages); the last one repeats."""

PARKED = timedelta(seconds=60)
"""After a refusal a step is left alone for no longer: its cause may heal (a user is made, a right
is given, room is made), and nobody tells us."""

PARKED_TRIES_MAX = 20
"""So many parked steps of one account are tried in one minute; more take turns."""

PARKED_TURNS_MAX = 15
"""No turn is further off than so many minutes, however many wait for theirs."""

STUCK_AFTER = timedelta(seconds=60)
"""How long weather may last before the ledger says that a step is stuck."""

SETTLING = timedelta(minutes=2)
"""How long IAM's own reads may show an older state (iam.md, Calls)."""

OFFSET_TRUSTED_S = 2.0
"""Below it our clock is as good as AWS's, as far as the `Date` header can tell."""

OFFSET_ERROR_S = 1.0
"""How far the measured offset may be off: half a tick of the header and half a slow call."""

OFFSET_GRANTING_MAX_S = 30.0
"""With a clock further off than this nothing new is granted; removals go on."""


def retry_delay(failures: int, jitter: float) -> timedelta:
    """How long to wait after `failures` (at least 1) in a row; `jitter` in [0, 1) takes up to 25 %.

    Taken off and not put on: a minute is promised.
    """
    base_s = RETRY_DELAYS_S[min(failures, len(RETRY_DELAYS_S)) - 1]
    return timedelta(seconds=base_s * (1 - jitter / 4))


def parked_delay(jitter: float) -> timedelta:
    """How long to leave a parked step, or a closed account, alone."""
    return PARKED * (1 - jitter / 4)


def judged_now(now: datetime, offset_s: float | None) -> datetime:
    """The instant by which ends are judged, given how far AWS's clock is ahead of ours.

    Ours while the offset is within its own error, AWS's beyond, at the earliest that it can be
    there: a wrong host clock ends nothing early, and late by the error. None: no answer yet.
    """
    if offset_s is None or abs(offset_s) <= OFFSET_TRUSTED_S:
        return now
    return now + timedelta(seconds=offset_s - OFFSET_ERROR_S)


def write_from(row: GrantRow) -> datetime:
    """From when the grant's objects may stand in AWS."""
    starts_at = row.grant.window.starts_at
    return starts_at - WRITE_AHEAD if row.grant.temporary else starts_at


def writable(row: GrantRow, now: datetime) -> bool:
    """Whether the grant's objects should stand at `now`."""
    return row.revoked is None and not row.grant.window.over(now) and write_from(row) <= now


def overdue(rows: Iterable[GrantRow], now: datetime) -> tuple[GrantRow, ...]:
    """What should be gone and is not confirmed so: what only we can end first, oldest due first."""
    return tuple(
        sorted(
            (row for row in rows if row.owed(now)),
            key=lambda row: (row.enforcement != "daemon", row.due_at or now, row.key),
        )
    )


def next_boundary(rows: Iterable[GrantRow], after: datetime) -> datetime | None:
    """The first instant later than `after` at which what should stand changes; None: never.

    `after` is the instant the pass was planned for, never its end: a window that closed while the
    pass ran would otherwise live until the next resync.
    """
    instants = (
        instant
        for row in rows
        if row.closed is None
        for instant in _instants(row)
        if instant is not None and instant > after
    )
    return min(instants, default=None)


def _instants(row: GrantRow) -> tuple[datetime | None, ...]:
    """A revoked one may still stand, for a successor that cannot be written: its own end counts.

    What is not written by its start may have waited for it: no date holds back an attachment.
    """
    window = row.grant.window
    if row.revoked is not None:
        return (window.ends_at,)
    starts_at = window.starts_at if row.written_position is None else None
    return write_from(row), starts_at, window.ends_at


def next_wake(
    *, boundary: datetime | None, retry_at: datetime | None, resync_at: datetime
) -> datetime:
    """The earliest of what is known."""
    return min(instant for instant in (boundary, retry_at, resync_at) if instant is not None)
