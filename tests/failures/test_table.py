"""The table of failures says the truth: every test that it names is there to be run."""

import ast
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.failures.table import OTHERS, SEED, Row
from tests.walls.tree import ROOT

ROWS = (*OTHERS, *SEED)


@pytest.fixture(scope="module")
def collected() -> frozenset[str]:
    """Node ids, without their parameters, of the files that the table names.

    By pytest's own rules: functions called `test_` at the top of files called `test_`.
    """
    files = sorted({test.partition("::")[0] for row in ROWS for test in row.tests})
    assert all(Path(file).name.startswith("test_") for file in files)
    return frozenset(
        f"{file}::{node.name}"
        for file in files
        for node in ast.parse((ROOT / file).read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if node.name.startswith("test_")
    )


def not_there(rows: Iterable[Row], collected: frozenset[str]) -> list[str]:
    return [test for row in rows for test in row.tests if test not in collected]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row.name)[:60])
def test_every_test_that_a_row_names_is_collected(row: Row, collected: frozenset[str]) -> None:
    assert not_there([row], collected) == []
    assert row.tests, "held by nothing"


def test_a_test_that_is_not_there_would_be_seen(collected: frozenset[str]) -> None:
    renamed = OTHERS[0].tests[0] + "_renamed"
    assert not_there([Row("planted", (renamed,))], collected) == [renamed]


def test_the_ten_failures_and_the_ten_defects_are_all_here() -> None:
    assert (len(OTHERS), len(SEED)) == (10, 10)
    assert len({row.name for row in ROWS}) == 20


def test_what_waits_says_in_which_area_it_will_be_held() -> None:
    for row in ROWS:
        if row.later is not None:
            area, _, what = row.later.partition(": ")
            assert area, row.name
            assert what, row.name
    assert not [row.name for row in SEED if row.later], "the seed's own defects are all held"
