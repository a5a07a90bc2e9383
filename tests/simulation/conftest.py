"""What the histories of a run met together, whichever process played them; none of it missing."""

from collections import Counter
from typing import Any

import pytest

from tests.simulation.steps import STEPS

ALL_HAPPEN_WITHIN = 40
"""So many histories must have met every kind of step."""

KINDS = ("a worker died", *(step.__name__ for step in STEPS))

_happened: Counter[str] = Counter()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    for name, counts in report.user_properties:
        if name == "happened" and report.when == "call" and isinstance(counts, dict):
            _happened.update(counts)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    asked = int(session.config.getoption("--histories"))
    if asked >= ALL_HAPPEN_WITHIN and _happened and never() and not session.exitstatus:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if _happened:
        terminalreporter.section("simulation")
        terminalreporter.line("; ".join(f"{kind} {_happened[kind]}" for kind in KINDS))
        if never():
            terminalreporter.line(f"never happened: {', '.join(never())}")


def never() -> list[str]:
    return [kind for kind in KINDS if not _happened[kind]]
