"""A SQLite ledger is a file: whoever can write it can put another in its place."""

from pathlib import Path

import pytest
from sqlalchemy import URL

from tests.support.forging import copy_of, grow, look, put_back, sign, story
from tests.support.histories import Story, after, grant
from tests.support.ledgers import overwrite, raw


@pytest.fixture
def url(tmp_path: Path) -> URL:
    return story().write(tmp_path)


def test_the_private_key_is_nowhere_in_the_database(url: URL) -> None:
    sign(url)
    content = copy_of(url)
    assert b"PRIVATE+KEY" not in content
    assert b"\x01" * 32 not in content


def test_an_older_copy_in_the_files_place_is_found(url: URL) -> None:
    older = copy_of(url)
    grow(url)
    note = sign(url)
    put_back(url, older)
    assert look(url).ok
    (problem,) = look(url, note).problems
    assert problem.position == 13
    assert "an older copy" in problem.message


def test_an_older_copy_that_went_its_own_way_is_found(url: URL) -> None:
    older = copy_of(url)
    grow(url)
    note = sign(url)
    put_back(url, older)
    grow(url, "ffff2222aaaa3333")
    assert look(url).ok
    (problem,) = look(url, note).problems
    assert problem.what == "checkpoint"
    assert "positions 1 to 13" in problem.message


def test_another_ledger_in_the_files_place_is_found(url: URL, tmp_path: Path) -> None:
    note = sign(url)
    (tmp_path / "other").mkdir()
    elsewhere = Story().granted(grant("ffff2222aaaa3333", ends=after(3)))
    put_back(url, copy_of(elsewhere.write(tmp_path / "other")))
    assert look(url).ok
    assert "another ledger" in look(url, note).problems[0].message


def test_a_kept_note_that_is_no_text_is_found(url: URL) -> None:
    sign(url)
    with raw(url) as database:
        overwrite(database, "checkpoints", "note", b"\xff", where="position = 12")
    (problem,) = look(url).problems
    assert "its note cannot be read" in problem.message
