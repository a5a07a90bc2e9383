"""What hangs on principals from moment to moment, looked at in moto itself every few milliseconds.

It looks into moto's memory, not over a wire: a look costs microseconds and disturbs nobody.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import Any

LOOK_EVERY_S = 0.002

Watched = tuple[str, str]
"""Account, and `user/ana` or `role/deploy`."""


def inline_names(account: str, principal: str) -> frozenset[str]:
    """Names of the inline policies that moto holds for a user or a role at this moment."""
    from moto.backends import get_backend

    backend: Any = get_backend("iam")[account]["aws"]
    kind, _, name = principal.partition("/")
    entity = backend.users[name] if kind == "user" else backend.get_role(name)
    return frozenset(tuple(entity.policies))


@dataclass(slots=True)
class Run:
    """Looks in a row that saw the same."""

    names: frozenset[str]
    first: datetime
    last: datetime
    looks: int = 1


@dataclass(slots=True)
class Watch:
    """All that was seen, by principal, in order."""

    runs: dict[Watched, list[Run]] = field(default_factory=dict)

    def look(self, watched: Watched) -> None:
        names, now = inline_names(*watched), datetime.now(UTC)
        runs = self.runs.setdefault(watched, [])
        if runs and runs[-1].names == names:
            runs[-1].last, runs[-1].looks = now, runs[-1].looks + 1
        else:
            runs.append(Run(names, now, now))

    def held(self, watched: Watched) -> list[Run]:
        """From the first look that saw anything to the last."""
        runs = self.runs[watched]
        while runs and not runs[0].names:
            runs = runs[1:]
        return runs

    def lateness(self, watched: Watched, ends_at: datetime) -> timedelta:
        """From `ends_at` to the first look without it; fails if any look before saw it gone."""
        *holding, after = self.held(watched)
        assert holding, f"{watched} was never seen with anything"
        assert all(run.names for run in holding), f"{watched} was seen without, in between"
        assert not after.names, f"{watched} still holds {sorted(after.names)}"
        assert after.first >= ends_at, f"{watched} was seen without at {after.first}: too early"
        return after.first - ends_at


@contextmanager
def watching(watched: Iterable[Watched]) -> Iterator[Watch]:
    """Looks at all of `watched`, every few milliseconds, within."""
    watch, stop, everyone = Watch(), Event(), tuple(watched)

    def look() -> None:
        while not stop.wait(LOOK_EVERY_S):
            for one in everyone:
                watch.look(one)

    thread = Thread(target=look, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        stop.set()
        thread.join()
