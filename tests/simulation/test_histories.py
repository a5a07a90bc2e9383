"""Histories by the hundred, each of thirty steps by its seed: no law is broken in any of them.

`scripts/test` plays the first few; `scripts/simulate` as many as it is told, and plants bugs that
the laws must find. One history again: `scripts/simulate 1 --from SEED`.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.simulation import laws
from tests.simulation.history import STEPS as STEPS_A_HISTORY
from tests.simulation.history import History
from tests.simulation.steps import STEPS

PLANTED_WITHIN = 30
"""Histories within which each planted bug must be found."""

FAST = Path("/dev/shm")  # noqa: S108 - memory, where there is such a thing


async def play(seed: int, folder: Path) -> Counter[str]:
    """One history, from its seed; raises LawBroken with its story."""
    history = await History.begin(seed, folder)
    history.stage.clock.on_tick.append(lambda _: laws.nothing_outlives_its_date(history))
    try:
        for _ in range(STEPS_A_HISTORY):
            await one_step(history)
        await history.heal()
        laws.all_is_as_meant(history)
        laws.nothing_foreign_is_touched(history)
        laws.access_is_never_interrupted(history)
        await history.stage.verified()
    finally:
        await history.close()
    return history.counts


async def one_step(history: History) -> None:
    (step,) = history.random.choices(list(STEPS), list(STEPS.values()))
    told = await step(history)
    if told is not None:
        history.tell(told)
        history.counts[step.__name__] += 1
    if history.worker is not None and history.worker.dead:
        history.tell("the worker is dead")
        history.counts["a worker died"] += 1
        if history.random.random() < 0.7:
            await history.bury()
            await history.start()
            history.tell("another worker starts")


def played(seed: int) -> Counter[str]:
    with TemporaryDirectory(dir=FAST if FAST.is_dir() else None) as folder:
        return asyncio.run(play(seed, Path(folder)))


def test_no_law_is_broken(seed: int, record_property: Callable[[str, object], None]) -> None:
    record_property("happened", dict(played(seed)))


# --- bugs that the laws must find -----------------------------------------------------------------


def no_date(statement: dict[str, Any], **_: object) -> dict[str, Any]:
    return statement


def never_pending(*_: object) -> bool:
    return False


def nobody_carries(*_: object) -> None:
    return None


def nothing_revoked(rows: Any, now: Any) -> tuple[Any, ...]:
    return tuple(row for row in rows if row.revoked is None and row.owed(now))


PLANTED: dict[str, tuple[str, Callable[..., Any]]] = {
    "copies without a date": ("worker.iam.documents._timed", no_date),
    "what is replaced goes before its successor": ("worker.deciding.plan._pending", never_pending),
    "a live grant's name is taken away": ("worker.deciding.plan._carrier", nobody_carries),
    "what is revoked is never removed": ("worker.steps.removing.overdue", nothing_revoked),
}


def test_a_planted_bug_is_found(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*PLANTED[bug])
    for seed in range(PLANTED_WITHIN):
        try:
            played(seed)
        except laws.LawBroken:
            return
    pytest.fail(f"{bug}: not found within {PLANTED_WITHIN} histories")


# --- how many -------------------------------------------------------------------------------------

GATE_HISTORIES = 4
GATE_BUGS = ("what is revoked is never removed",)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    asked, first = (int(metafunc.config.getoption(name)) for name in ("--histories", "--first"))
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(first, first + (asked or GATE_HISTORIES)))
    if "bug" in metafunc.fixturenames:
        metafunc.parametrize("bug", PLANTED if asked else GATE_BUGS)
