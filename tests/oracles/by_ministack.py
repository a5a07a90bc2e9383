"""The table, judged by ministack over HTTP as time goes by. `scripts/oracles` runs it."""

import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from tests.oracles.cases import Scale
from tests.oracles.checks import caught, disagreements, told
from tests.oracles.copies import MUTANTS, copy_of
from tests.oracles.emulate import Emulator
from tests.oracles.rows import READ
from tests.oracles.table import TABLE
from tests.support.ministack import ministack

ASKED = [case for case in TABLE if not case.not_by_ministack]


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with ministack() as server, closing(Emulator(server)) as found:
        yield found


def test_it_agrees_with_every_row_before_at_and_after_the_end(emulator: Emulator) -> None:
    assert len(ASKED) >= 130
    assert disagreements(emulator.rows, ASKED, ASKED) == []


def test_every_planted_error_fails_the_table(
    emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    mutants = [mutant for mutant in MUTANTS if not mutant.not_by_ministack]
    found = caught(emulator.rows, mutants, ASKED)
    with capsys.disabled():
        sys.stdout.write(told("ministack", found))
    assert [name for name, rows in found.items() if not rows] == []


def plain_copy(scale: Scale) -> list[str]:
    (case,) = [case for case in TABLE if str(case) == "date: none stands"]
    return copy_of(case, scale, "")


def test_a_user_keeps_access_up_to_the_end_and_not_one_call_more(emulator: Emulator) -> None:
    user = emulator.user()
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=4)
    emulator.give(user, plain_copy(Scale(end, timedelta(hours=1))))
    before, after = emulator.around(user, READ, end)
    assert len(before) > 5
    assert len(after) > 5
    assert all(before)
    assert not any(after)


def test_a_session_of_a_role_that_began_before_the_end_ends_with_it(emulator: Emulator) -> None:
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=4)
    (copy,) = plain_copy(Scale(end, timedelta(hours=1)))
    before, after = emulator.around(emulator.session(copy), READ, end)
    assert len(before) > 5
    assert len(after) > 5
    assert all(before)
    assert not any(after)
