"""The table, judged by iam-simulate. Not of the tests of every day: `scripts/oracles` runs it."""

import sys

import pytest

from tests.oracles import simulate
from tests.oracles.checks import caught, disagreements, told
from tests.oracles.copies import MUTANTS
from tests.oracles.table import TABLE


def test_it_agrees_with_every_row_before_at_and_after_the_end() -> None:
    sources = [case for case in TABLE if not case.source_not_by_simulate]
    assert len(sources) >= len(TABLE) - 1
    assert disagreements(simulate.rows, sources, TABLE) == []


def test_every_planted_error_fails_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    found = caught(simulate.rows, MUTANTS, TABLE)
    with capsys.disabled():
        sys.stdout.write(told("iam-simulate", found))
    assert [name for name, rows in found.items() if not rows] == []
