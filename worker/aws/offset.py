"""How far AWS's clock is from ours, by the `Date` header of its answers."""

from collections import deque
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from statistics import median

SAMPLES = 5
"""The median of so many: one slow answer moves nothing."""

HALF_TICK = timedelta(milliseconds=500)
"""The header is cut down to whole seconds: on average half of one is missing."""


class ClockOffset:
    """Of one process, over all its answers from AWS."""

    def __init__(self) -> None:
        self._samples_s: deque[float] = deque(maxlen=SAMPLES)

    def seen(self, header: str | None, sent_at: datetime, received_at: datetime) -> None:
        """Takes an answer into account; one without a readable date says nothing."""
        if header is None:
            return
        try:
            theirs = parsedate_to_datetime(header)
        except ValueError:
            return
        if theirs.tzinfo is None:
            theirs = theirs.replace(tzinfo=UTC)
        ours = sent_at + (received_at - sent_at) / 2
        self._samples_s.append((theirs + HALF_TICK - ours).total_seconds())

    @property
    def seconds(self) -> float | None:
        """AWS's clock less ours; None before any answer. Good to about a second."""
        return median(self._samples_s) if self._samples_s else None
