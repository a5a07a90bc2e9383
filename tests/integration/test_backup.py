"""A ledger in a file, copied while others write, put back, and whole."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import URL

from tests.support.commands import Shell, StillClock
from tests.support.forging import grow, look, put_back, sign, story
from tests.support.histories import after
from tests.support.ledgers import another_writer, raw

ASKED = ("who-has-access", "--between", "2026-03-01", "2026-03-04", "-o", "json")


def vacuum(url: URL, to: Path) -> None:
    with raw(url) as database:
        database.execute("VACUUM INTO ?", (str(to),))


def by_shell(url: URL, to: Path) -> None:
    """`.backup` of SQLite's shell."""
    with raw(url) as database, closing(sqlite3.connect(to)) as copy:
        database.backup(copy)


WAYS = pytest.mark.parametrize("backup", [vacuum, by_shell])
Backup = Callable[[URL, Path], None]


@pytest.fixture
def url(tmp_path: Path) -> URL:
    return story().write(tmp_path)


@WAYS
def test_what_is_put_back_is_the_same_ledger_and_as_well_guarded(
    url: URL, tmp_path: Path, backup: Backup
) -> None:
    note = sign(url)
    backup(url, tmp_path / "backup.db")
    was = Shell(url, StillClock(after(9))).run(*ASKED)
    assert was.json["access"]
    grow(url)
    put_back(url, (tmp_path / "backup.db").read_bytes())
    assert Shell(url).run("migrate").code == 0
    assert look(url, note).ok, "hashes, tables, guards, kept checkpoints"
    assert Shell(url, StillClock(after(9))).run(*ASKED) == was
    with raw(url) as database:
        assert database.execute("PRAGMA journal_mode").fetchone()[0] == "wal", "readers and writers"
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            database.execute("DELETE FROM events")
    grow(url)
    assert look(url, note).ok, "and it goes on"


@WAYS
def test_a_copy_made_amid_writing_is_whole_and_holds_what_was_acknowledged_before(
    url: URL, tmp_path: Path, backup: Backup
) -> None:
    copy = tmp_path / "backup.db"
    grow(url)
    with another_writer(url) as writer:
        writer.execute("DELETE FROM latest")  # not committed, and in no copy
        backup(url, copy)
    found = look(url.set(database=str(copy)))
    assert (found.ok, found.head_position) == (True, 13)
    assert look(url).ok
