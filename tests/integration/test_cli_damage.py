"""A damaged file, a full disk: what every command says, and that nothing acknowledged is lost."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import URL

from ledger.store.dialect import file_of
from tests.support.builders import PROD, directory, temporary
from tests.support.commands import Shell, StillClock
from tests.support.damage import full_disk, spoil_header, spoil_page
from tests.support.forging import put_back
from tests.support.histories import after
from tests.support.ledgers import make_ledger, raw

COMMANDS = {
    "plan": ("plan", "access"),
    "ingest": ("ingest", "access"),
    "worker": ("worker", "--once"),
    "who-has-access": ("who-has-access", "--at", "2026-03-02T14:00Z"),
    "history": ("history", "--principal", "ana"),
    "expiring": ("expiring",),
    "status": ("status",),
    "revoke": ("revoke", "--principal", "user/ana", "--reason", "left", "--by", "olga"),
    "verify": ("verify",),
    "export": ("export",),
    "migrate": ("migrate",),
}
EVERY = pytest.mark.parametrize("name", COMMANDS)


def declare(folder: Path, *people: str) -> None:
    """What is in force: two hours for each of them."""
    windows = [temporary(person, expires_at=after(2)) for person in people]
    for path, content in directory(windows=windows).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A ledger of some pages, from the directory `access` of the working folder."""
    monkeypatch.chdir(tmp_path)
    declare(tmp_path / "access", *(f"person{number}" for number in range(40)), "ana")
    shell = Shell(make_ledger(tmp_path), StillClock(after(0)))
    assert shell.run("ingest", "access").code == 0
    return shell


def bytes_of(url: URL | None) -> bytes:
    assert url is not None
    path = file_of(url)
    assert path is not None
    return path.read_bytes()


@EVERY
def test_a_file_whose_beginning_is_damaged_is_78_and_left_alone(shell: Shell, name: str) -> None:
    assert shell.url is not None
    spoil_header(shell.url)
    before = bytes_of(shell.url)
    ran = shell.run(*COMMANDS[name])
    assert (ran.code, ran.out) == (78, "")
    assert "no SQLite database; nothing was changed" in ran.err
    assert bytes_of(shell.url) == before


@EVERY
def test_a_damaged_page_of_events_is_4_and_says_what_to_do(shell: Shell, name: str) -> None:
    assert_damaged(shell, name, lambda url: spoil_page(url, "events"))


@EVERY
def test_a_damaged_schema_is_4_and_says_what_to_do(shell: Shell, name: str) -> None:
    assert_damaged(shell, name, lambda url: spoil_page(url, "alembic_version"))


def assert_damaged(shell: Shell, name: str, spoil: Callable[[URL], None]) -> None:
    assert shell.url is not None
    spoil(shell.url)
    before = bytes_of(shell.url)
    ran = shell.run(*COMMANDS[name])
    assert ran.code == 4, ran
    assert "the file is damaged (" in ran.err
    assert "put the newest backup in its place" in ran.err
    assert "Traceback" not in ran.err
    assert bytes_of(shell.url) == before


INDEX = "ix_grants_account_access_to_access_from"
ASKING = ("who-has-access", "--account", PROD)


def test_a_damaged_index_is_seen_by_whoever_needs_it_and_by_verify(shell: Shell) -> None:
    assert shell.url is not None
    assert len(shell.run(*ASKING).out.splitlines()) > 40
    with raw(shell.url) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = bytes_of(shell.url)
    spoil_page(shell.url, INDEX)
    for command in (ASKING, ("verify",)):
        ran = shell.run(*command)
        assert ran.code == 4, command
        assert INDEX in ran.out + ran.err or "the file is damaged" in ran.err
    put_back(shell.url, whole)
    assert shell.run("verify").code == 0


def test_an_index_that_lacks_a_row_is_found_by_verify(shell: Shell) -> None:
    """Who asks by it is not told of that grant, and every row of every table is right."""
    assert shell.url is not None
    with raw(shell.url) as database:
        (text,) = database.execute(
            "SELECT sql FROM sqlite_master WHERE name = ?", (INDEX,)
        ).fetchone()
        database.execute(f"DROP INDEX {INDEX}")
        database.execute(f"{text} WHERE account <> '{PROD}'")
        database.execute("PRAGMA writable_schema = ON")
        database.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (text, INDEX))
        database.execute("PRAGMA writable_schema = OFF")
    ran = shell.run("verify")
    assert ran.code == 4
    assert f"missing from index {INDEX}" in ran.out + ran.err
    assert shell.run("verify", "--chain").code == 0


# --- a full disk ----------------------------------------------------------------------------------


def test_a_full_disk_appends_nothing_and_says_so_and_all_questions_are_answered(
    shell: Shell, tmp_path: Path
) -> None:
    assert shell.url is not None
    with raw(shell.url) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = shell.run("verify", "-o", "json").json
    declare(tmp_path / "access", *(f"other{number}" for number in range(200)))
    with full_disk(pages=len(bytes_of(shell.url)) // 4096):
        ran = shell.run("ingest", "access", "--allow-revocations", "41")
        assert ran.code == 1
        assert "full" in ran.err
        assert "nothing was written" in ran.err
        for name in ("plan", "who-has-access", "history", "expiring", "status", "export"):
            assert shell.run(*COMMANDS[name]).code in (0, 3), name
        assert shell.run("verify", "-o", "json").json == before
    done = shell.run("ingest", "access", "--allow-revocations", "41")
    assert done.code == 0, "once there is room it is as if nothing had been"
    assert shell.run("verify").code == 0
