"""`ingest` and its checkpoint: signed after appending, held against before."""

from dataclasses import replace
from pathlib import Path

import pytest

from ledger.store.dialect import parse_url
from tests.support.builders import NOW, directory, permanent
from tests.support.commands import Ran, Shell, StillClock
from tests.support.forging import copy_of, forge, put_back, read_rows
from tests.support.histories import Story
from tests.support.ledgers import raw

FIRST = directory(standing=[permanent("ana", "bob")])
SECOND = directory(standing=[permanent("ana", "bob", "cyd")])
KEY = "IAM_LEDGER_CHECKPOINT_KEY_FILE"


class Desk:
    """A policy repository's folder, a ledger, a key pair, and the file that is committed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = f"sqlite+aiosqlite:///{folder / 'ledger.db'}"
        self.file = folder / "checkpoint.txt"
        self.shell = Shell(None, StillClock(NOW), {"IAM_LEDGER_DATABASE_URL": self.address})
        self.public = self.shell.run("checkpoint", "--new-key", folder / "key").out.strip()
        self.shell.variables[KEY] = str(folder / "key")

    def ingest(self, files: dict[str, bytes], *more: object, **variables: str) -> Ran:
        for path, content in files.items():
            target = self.folder / "config" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        return self.shell.run("ingest", self.folder / "config", *more, **variables)

    def verify(self) -> Ran:
        return self.shell.run("verify", "--checkpoint", self.file, "--key", self.public)

    def events(self) -> int:
        return len(read_rows(parse_url(self.address)))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_each_ingest_leaves_a_checkpoint_of_all_that_it_appended(desk: Desk) -> None:
    for files in (FIRST, SECOND):
        ran = desk.ingest(files, "--checkpoint", desk.file)
        assert ran.code == 0, ran.err
        assert f"checkpoint over {desk.events()} events" in ran.err
        assert desk.file.read_text().splitlines()[1] == str(desk.events())
        checked = desk.verify()
        assert checked.code == 0, checked.err
        assert checked.err == ""


def test_the_file_may_be_named_by_the_environment(desk: Desk) -> None:
    ran = desk.ingest(FIRST, IAM_LEDGER_CHECKPOINT_FILE=str(desk.file))
    assert ran.code == 0, ran.err
    assert desk.verify().code == 0


def test_an_ingest_that_changes_nothing_leaves_the_file_byte_for_byte(desk: Desk) -> None:
    desk.ingest(FIRST, "--checkpoint", desk.file)
    before = desk.file.read_bytes()
    assert desk.ingest(FIRST, "--checkpoint", desk.file).code == 0
    assert desk.file.read_bytes() == before


def test_with_a_key_and_no_file_the_ledger_alone_keeps_it(desk: Desk) -> None:
    ran = desk.ingest(FIRST)
    assert ran.code == 0
    assert "in the ledger" in ran.err
    with raw(parse_url(desk.address)) as database:
        (position,) = database.execute("SELECT position FROM checkpoints").fetchone()
    assert position == desk.events()


def test_without_a_key_nothing_is_signed_and_nothing_is_said(desk: Desk) -> None:
    del desk.shell.variables[KEY]
    ran = desk.ingest(FIRST)
    assert (ran.code, "checkpoint" in ran.err) == (0, False)


def test_a_file_without_a_key_stops_before_anything_is_appended(desk: Desk) -> None:
    del desk.shell.variables[KEY]
    ran = desk.ingest(FIRST, "--checkpoint", desk.file)
    assert (ran.code, ran.out) == (78, "")
    assert not (desk.folder / "ledger.db").exists()


def test_json_stays_one_document(desk: Desk) -> None:
    ran = desk.ingest(FIRST, "--checkpoint", desk.file, "-o", "json")
    assert ran.json["granted"] == 2


def test_a_rewritten_history_is_not_built_upon(desk: Desk) -> None:
    desk.ingest(FIRST, "--checkpoint", desk.file)
    before, url = desk.file.read_bytes(), parse_url(desk.address)
    forge(url, lambda rows: [*rows[:-1], replace(rows[-1], provenance='{"author":"eve"}')])
    count = desk.events()
    ran = desk.ingest(SECOND, "--checkpoint", desk.file)
    assert (ran.code, ran.out) == (4, "")
    assert "Nothing was appended" in ran.err
    assert desk.events() == count
    assert desk.file.read_bytes() == before


def test_a_ledger_that_was_put_back_is_not_built_upon(desk: Desk) -> None:
    url = parse_url(desk.address)
    desk.ingest(FIRST)
    older = copy_of(url)
    desk.ingest(SECOND, "--checkpoint", desk.file)
    put_back(url, older)
    ran = desk.ingest(SECOND, "--checkpoint", desk.file)
    assert ran.code == 4
    assert "an older copy" in ran.err


def test_the_wrong_address_makes_no_ledger_beside_a_checkpoint(desk: Desk) -> None:
    desk.ingest(FIRST, "--checkpoint", desk.file)
    wrong = desk.folder / "typo.db"
    ran = desk.ingest(
        SECOND,
        *("--checkpoint", desk.file),
        IAM_LEDGER_DATABASE_URL=f"sqlite+aiosqlite:///{wrong}",
    )
    assert ran.code == 78
    assert "holds no ledger: none was made" in ran.err
    assert not wrong.exists()


def test_what_was_appended_is_told_when_the_file_cannot_be_written(desk: Desk) -> None:
    nowhere = desk.folder / "no" / "checkpoint.txt"
    ran = desk.ingest(FIRST, "--checkpoint", nowhere, "-o", "json")
    assert ran.code == 1
    assert ran.json["granted"] == 2
    assert "kept in the ledger and was not written out" in ran.err


def test_a_rehearsal_signs_nothing(desk: Desk) -> None:
    desk.ingest(FIRST)
    assert desk.ingest(SECOND, "--dry-run", "--checkpoint", desk.file).code == 64
    ran = desk.ingest(SECOND, "--dry-run", IAM_LEDGER_CHECKPOINT_FILE=str(desk.file))
    assert ran.code == 0
    assert not desk.file.exists()


def test_what_the_brake_stops_signs_nothing(desk: Desk) -> None:
    desk.ingest(directory(standing=[permanent(*(f"user{n}" for n in range(30)))]))
    ran = desk.ingest(directory(standing=[permanent("user1")]), "--checkpoint", desk.file)
    assert ran.code == 3
    assert not desk.file.exists()


# --- the worker ---------------------------------------------------------------------------------


@pytest.fixture
def quiet(desk: Desk) -> Desk:
    """With a ledger that keeps no account: its worker has nothing to do in AWS."""
    told = Story().mapped()
    told.drafts = told.drafts[-1:]
    told.write(desk.folder)
    return desk


def test_a_worker_leaves_a_checkpoint_of_what_it_found(quiet: Desk) -> None:
    ran = quiet.shell.run("worker", "--once", "--checkpoint", quiet.file)
    assert ran.code == 0, ran.err
    assert quiet.verify().code == 0


def test_a_worker_without_a_key_signs_nothing(quiet: Desk) -> None:
    del quiet.shell.variables[KEY]
    assert quiet.shell.run("worker", "--once").code == 0
    with raw(parse_url(quiet.address)) as database:
        assert database.execute("SELECT count(*) FROM checkpoints").fetchone()[0] == 0
    assert quiet.shell.run("worker", "--once", "--checkpoint", quiet.file).code == 78


def test_a_worker_signs_nothing_over_a_history_that_departs_from_the_file(quiet: Desk) -> None:
    assert quiet.shell.run("worker", "--once", "--checkpoint", quiet.file).code == 0
    before = quiet.file.read_bytes()
    forge(
        parse_url(quiet.address),
        lambda rows: [replace(rows[0], provenance='{"author":"eve"}')],
    )
    ran = quiet.shell.run("worker", "--once", "--checkpoint", quiet.file)
    assert "history_broken" in ran.err
    assert quiet.file.read_bytes() == before
