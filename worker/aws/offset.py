"""How far AWS's clock is from ours, by the `Date` header of its answers.

Invariant: our clock may be set while we run, the steady one may not. Each answer ties AWS's time to
the steady clock, so that the offset is right at once after ours has jumped, before any new answer.
"""

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from statistics import median

SAMPLES = 5
"""The median of so many: one slow answer moves nothing."""

HALF_TICK_S = 0.5
"""The header is cut down to whole seconds: on average half of one is missing."""


class ClockOffset:
    """Of one process, over all its answers from AWS."""

    def __init__(self, now: Callable[[], datetime], steady_s: Callable[[], float]) -> None:
        self._now = now
        self._steady_s = steady_s
        self._epochs_s: deque[float] = deque(maxlen=SAMPLES)
        """AWS's time when the steady clock stood at zero, in seconds since 1970."""

    def sent(self) -> float:
        """Begins a call: what `seen` is to be told at its end."""
        return self._steady_s()

    def seen(self, header: str | None, sent_s: float) -> None:
        """Takes an answer into account; one without a readable date says nothing."""
        if header is None:
            return
        try:
            theirs = parsedate_to_datetime(header)
        except ValueError:
            return
        if theirs.tzinfo is None:
            theirs = theirs.replace(tzinfo=UTC)
        half_way_s = (sent_s + self._steady_s()) / 2
        self._epochs_s.append(theirs.timestamp() + HALF_TICK_S - half_way_s)

    @property
    def seconds(self) -> float | None:
        """AWS's clock less ours, now; None before any answer. Good to about a second."""
        if not self._epochs_s:
            return None
        return median(self._epochs_s) + self._steady_s() - self._now().timestamp()
