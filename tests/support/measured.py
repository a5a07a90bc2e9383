"""Figures that a test has measured, told at the end of the run, whichever process ran the test."""

from collections.abc import Callable
from typing import Any

import pytest

Measured = Callable[[str], None]
"""Takes a figure with its name, for people."""


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Measured:
    """Tells a figure that is part of the promise, in the summary and in the JUnit report."""
    return lambda text: record_property("measured", text)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    told = [
        text
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, ())
        for name, text in report.user_properties
        if name == "measured"
    ]
    if told:
        terminalreporter.section("measured")
        for text in told:
            terminalreporter.line(str(text))
