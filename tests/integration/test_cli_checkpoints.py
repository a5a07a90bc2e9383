"""`checkpoint`, `verify --checkpoint` and `export`, as people run them."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import URL

from ledger.checkpoint import parse_key
from tests.support.commands import Shell
from tests.support.forging import FORGERIES, SIGNER, copy_of, forge, put_back, read_rows, story
from tests.support.histories import Story, after, append_all, grant
from tests.support.ledgers import make_ledger, raw, tampering

KEY = "IAM_LEDGER_CHECKPOINT_KEY_FILE"


@pytest.fixture
def url(tmp_path: Path) -> URL:
    return story().write(tmp_path)


@pytest.fixture
def shell(url: URL, tmp_path: Path) -> Shell:
    """With a key pair of its own."""
    made = Shell().run("checkpoint", "--new-key", tmp_path / "key", "--name", "example.com/ours")
    assert made.code == 0, made.err
    (tmp_path / "public").write_text(made.out)
    return Shell(url, variables={KEY: str(tmp_path / "key")})


@pytest.fixture
def sealed(shell: Shell, tmp_path: Path) -> Path:
    """A checkpoint, kept outside the ledger."""
    file = tmp_path / "sealed.txt"
    made = shell.run("checkpoint", file)
    assert made.code == 0, made.err
    return file


# --- keys -------------------------------------------------------------------------------------


def test_a_new_key_is_for_its_owners_eyes_and_the_public_one_goes_to_stdout(tmp_path: Path) -> None:
    made = Shell().run("checkpoint", "--new-key", tmp_path / "key")
    assert made.code == 0
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    secret = (tmp_path / "key").read_text()
    assert secret.startswith("PRIVATE+KEY+iam-ledger+")
    assert parse_key(made.out.strip()).name == "iam-ledger"
    _, _, _, _, encoded = secret.strip().split("+", 4)  # a key's base64 may hold a "+" itself
    assert len(encoded) == 44
    assert encoded not in made.out + made.err


def test_a_key_that_stands_is_never_overwritten(tmp_path: Path) -> None:
    Shell().run("checkpoint", "--new-key", tmp_path / "key")
    before = (tmp_path / "key").read_text()
    again = Shell().run("checkpoint", "--new-key", tmp_path / "key")
    assert (again.code, again.out) == (1, "")
    assert "no key is ever overwritten" in again.err
    assert (tmp_path / "key").read_text() == before


def test_two_keys_are_never_the_same(tmp_path: Path) -> None:
    made = {Shell().run("checkpoint", "--new-key", tmp_path / name).out for name in "abc"}
    assert len(made) == 3


@pytest.mark.parametrize("name", ["", "a b", "a+b"])
def test_a_name_that_no_key_can_have_is_a_usage_error(tmp_path: Path, name: str) -> None:
    made = Shell().run("checkpoint", "--new-key", tmp_path / "key", "--name", name)
    assert made.code == 64
    assert not (tmp_path / "key").exists()


def test_a_key_and_a_first_checkpoint_are_made_in_one_go(url: URL, tmp_path: Path) -> None:
    made = Shell(url).run("checkpoint", tmp_path / "c.txt", "--new-key", tmp_path / "key")
    assert made.code == 0, made.err
    checked = Shell(url).run(
        "verify", "--checkpoint", tmp_path / "c.txt", "--key", made.out.strip()
    )
    assert checked.code == 0, checked.err


def test_the_secret_is_masked_in_the_settings(shell: Shell, tmp_path: Path) -> None:
    secret = (tmp_path / "key").read_text().strip()
    for output in ("table", "json", "markdown"):
        shown = shell.run("config", "show", "-o", output)
        assert secret not in shown.out + shown.err
        assert secret[-20:] not in shown.out + shown.err
        assert "IAM_LEDGER_CHECKPOINT_KEY" in shown.out.replace("\\", "")


@pytest.mark.parametrize("content", ["", "hello", "PRIVATE+KEY+x+00000000+AAAA", "two\nlines"])
def test_a_key_that_cannot_be_read_is_78_and_is_not_repeated(
    shell: Shell, tmp_path: Path, content: str
) -> None:
    (tmp_path / "key").write_text(content)
    asked = shell.run("checkpoint")
    assert (asked.code, asked.out) == (78, "")
    assert KEY in asked.err
    assert "AAAA" not in asked.err


def test_signing_without_a_key_says_how_to_get_one(url: URL) -> None:
    asked = Shell(url).run("checkpoint")
    assert (asked.code, asked.out) == (78, "")
    assert "--new-key" in asked.err


# --- making -----------------------------------------------------------------------------------


def test_without_a_file_the_note_is_the_answer(shell: Shell, sealed: Path) -> None:
    asked = shell.run("checkpoint")
    assert (asked.code, asked.out) == (0, sealed.read_text())


def test_a_checkpoint_is_read_by_everybody_and_kept_in_the_ledger(
    url: URL, shell: Shell, sealed: Path
) -> None:
    assert sealed.stat().st_mode & 0o777 == 0o644
    with raw(url) as database:
        kept = database.execute("SELECT position, note FROM checkpoints").fetchall()
    assert [tuple(row) for row in kept] == [(12, sealed.read_text())]
    before = sealed.stat().st_mtime_ns
    assert shell.run("checkpoint", sealed).code == 0
    assert sealed.stat().st_mtime_ns == before


def test_an_empty_ledger_has_nothing_to_sign(shell: Shell, tmp_path: Path) -> None:
    shell.url = make_ledger(tmp_path, "empty.db")
    asked = shell.run("checkpoint", tmp_path / "none.txt")
    assert (asked.code, asked.out) == (1, "")
    assert not (tmp_path / "none.txt").exists()


def test_a_file_that_is_no_checkpoint_is_not_overwritten(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("my diary\n")
    asked = shell.run("checkpoint", tmp_path / "notes.txt")
    assert asked.code == 78
    assert (tmp_path / "notes.txt").read_text() == "my diary\n"


def test_a_checkpoint_that_somebody_altered_is_not_overwritten(shell: Shell, sealed: Path) -> None:
    altered = sealed.read_text().replace("\n12\n", "\n11\n")
    sealed.write_text(altered)
    asked = shell.run("checkpoint", sealed)
    assert asked.code == 78
    assert "did not sign this text" in asked.err
    assert sealed.read_text() == altered


def test_a_file_that_cannot_be_written_is_named(shell: Shell, tmp_path: Path) -> None:
    asked = shell.run("checkpoint", tmp_path / "no" / "folder.txt")
    assert asked.code == 1
    assert "kept in the ledger" in asked.err


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_history_is_not_signed_over_the_file_that_shows_it(
    url: URL, shell: Shell, sealed: Path, name: str
) -> None:
    """Otherwise the very process that protects the ledger would vouch for the forgery."""
    before = sealed.read_text()
    forge(url, FORGERIES[name])
    asked = shell.run("checkpoint", sealed)
    assert (asked.code, asked.out) == (4, "")
    assert "Nothing was signed" in asked.err
    assert sealed.read_text() == before


def test_a_new_key_signs_over_the_file_of_the_old_one(
    url: URL, shell: Shell, sealed: Path, tmp_path: Path
) -> None:
    made = shell.run("checkpoint", sealed, "--new-key", tmp_path / "new", "--name", "example.com/x")
    assert made.code == 0, made.err
    assert "— example.com/x " in sealed.read_text()
    checked = shell.run("verify", "--checkpoint", sealed, "--key", made.out.strip())
    assert checked.code == 0, checked.err


# --- verifying --------------------------------------------------------------------------------


def test_a_ledger_that_only_grew_is_said_to_have(
    shell: Shell, sealed: Path, tmp_path: Path
) -> None:
    checked = shell.run("verify", "--checkpoint", sealed, "--key", tmp_path / "public")
    assert checked.code == 0, checked.err
    assert "sealed.txt: signed by example.com/ours+" in checked.out
    assert "12 events; the ledger only grew" in checked.out
    assert checked.err == ""


def test_json_names_each_checkpoint(shell: Shell, sealed: Path, tmp_path: Path) -> None:
    checked = shell.run(
        "verify", "--checkpoint", sealed, "--key", tmp_path / "public", "-o", "json"
    )
    (item,) = checked.json["checkpoints"]
    assert (item["events"], item["ok"]) == (12, True)
    assert item["hash"] == checked.json["head_hash"]
    assert "checkpoints" not in shell.run("verify", "-o", "json").json


@pytest.mark.parametrize("name", FORGERIES)
def test_every_forgery_is_exit_4_with_its_place(
    url: URL, shell: Shell, sealed: Path, tmp_path: Path, name: str
) -> None:
    forge(url, FORGERIES[name])
    alone = shell.run("verify")
    assert alone.code == 0
    assert "cut tail cannot be seen" in alone.err
    checked = shell.run(
        "verify", "--checkpoint", sealed, "--key", tmp_path / "public", "-o", "json"
    )
    assert checked.code == 4
    assert not checked.json["ok"]
    (problem,) = checked.json["problems"]
    assert problem["what"] == "checkpoint"
    assert problem["position"] == {"truncate": 11, "delete": 10}.get(name, 1)


def test_an_older_copy_is_exit_4(url: URL, shell: Shell, tmp_path: Path) -> None:
    older = copy_of(url)
    with raw(url) as database:
        assert database.execute("SELECT count(*) FROM events").fetchone()[0] == 12
    grown = Story().granted(grant("eeee2222ffff3333", ends=after(20)), after(9))
    asyncio.run(append_all(url, grown.drafts))
    assert shell.run("checkpoint", tmp_path / "new.txt").code == 0
    put_back(url, older)
    checked = shell.run(
        "verify", "--checkpoint", tmp_path / "new.txt", "--key", tmp_path / "public"
    )
    assert checked.code == 4
    assert "position 13, checkpoint: " in checked.out
    assert "an older copy" in checked.out


@pytest.mark.parametrize("name", FORGERIES)
def test_the_chain_alone_finds_every_forgery_too_where_there_is_a_checkpoint(
    url: URL, shell: Shell, sealed: Path, tmp_path: Path, name: str
) -> None:
    asked = ("verify", "--chain", "--checkpoint", sealed, "--key", tmp_path / "public")
    assert shell.run(*asked).code == 0
    forge(url, FORGERIES[name])
    assert shell.run(*asked).code == 4


def test_the_chain_alone_finds_a_change_and_says_what_it_leaves_out(url: URL) -> None:
    with tampering(url) as database:
        database.execute("UPDATE grants SET policy = 'admin'")
    assert Shell(url).run("verify").code == 4
    chain = Shell(url).run("verify", "--chain")
    assert chain.code == 0
    assert "nor the tables that answers are read from" in chain.err
    with tampering(url) as database:
        database.execute("UPDATE events SET principal = 'user/eve' WHERE position = 7")
    chain = Shell(url).run("verify", "--chain", "-o", "json")
    assert chain.code == 4
    assert [(p["position"], p["what"]) for p in chain.json["problems"]] == [(7, "hash")]


def test_several_checkpoints_and_keys_are_all_looked_at(
    url: URL, shell: Shell, sealed: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.txt"
    made = shell.run("checkpoint", other, "--new-key", tmp_path / "new")
    checked = shell.run(
        *("verify", "--checkpoint", sealed, "--checkpoint", other),
        *("--key", tmp_path / "public", "--key", made.out.strip()),
    )
    assert checked.code == 0, checked.err
    assert checked.out.count("the ledger only grew") == 2
    one = shell.run("verify", "--checkpoint", sealed, "--checkpoint", other, "--key", made.out)
    assert one.code == 78


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "no checkpoint"),
        ("my diary\n", "no checkpoint"),
        ("iam-ledger/ab\n12\nAAAA\n", "not signed"),
        (None, "No such file"),
    ],
)
def test_an_unreadable_checkpoint_is_78(
    shell: Shell, tmp_path: Path, content: str | None, said: str
) -> None:
    file = tmp_path / "c.txt"
    if content is not None:
        file.write_text(content)
    checked = shell.run("verify", "--checkpoint", file, "--key", tmp_path / "public")
    assert (checked.code, checked.out) == (78, "")
    assert said in checked.err
    assert str(file) in checked.err


def test_a_checkpoint_that_nobody_we_know_signed_is_78(shell: Shell, sealed: Path) -> None:
    checked = shell.run("verify", "--checkpoint", sealed, "--key", SIGNER.key)
    assert (checked.code, checked.out) == (78, "")
    assert "none of the keys given signed it; it names example.com/ours+" in checked.err


def test_an_altered_checkpoint_is_78(shell: Shell, sealed: Path, tmp_path: Path) -> None:
    sealed.write_text(sealed.read_text().replace("\n12\n", "\n10\n"))
    checked = shell.run("verify", "--checkpoint", sealed, "--key", tmp_path / "public")
    assert checked.code == 78
    assert "did not sign this text" in checked.err


@pytest.mark.parametrize(
    "key", ["nonsense", "PRIVATE+KEY+x+00000000+AAAA", "x+00000000+AAAA", "/nowhere/public"]
)
def test_what_is_no_key_is_78(shell: Shell, sealed: Path, key: str) -> None:
    checked = shell.run("verify", "--checkpoint", sealed, "--key", key)
    assert (checked.code, checked.out) == (78, "")


@pytest.mark.parametrize("given", [("--checkpoint", "c.txt"), ("--key", "x")])
def test_a_checkpoint_without_a_key_or_the_other_way_round_is_a_usage_error(
    shell: Shell, given: tuple[str, str]
) -> None:
    checked = shell.run("verify", *given)
    assert checked.code == 64
    assert "go together" in checked.err


def test_a_ledger_of_an_older_schema_is_verified_all_the_same(
    url: URL, shell: Shell, sealed: Path, tmp_path: Path
) -> None:
    with raw(url) as database:
        database.execute("DROP TABLE checkpoints")
        database.execute("UPDATE alembic_version SET version_num = '0001'")
    checked = shell.run("verify", "--checkpoint", sealed, "--key", tmp_path / "public")
    assert checked.code == 78
    assert "the ledger only grew" in checked.out


@pytest.mark.parametrize(
    "command", ["who-has-access", "verify", "history", "export", "status", "plan --help"]
)
def test_who_asks_never_loads_the_signing_library(url: URL, command: str) -> None:
    code = (
        "import sys; from cli.main import main; main(sys.argv[2:]); "
        "sys.exit('cryptography' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "-", *command.split()],
        env={"IAM_LEDGER_DATABASE_URL": str(url), "PATH": "/usr/bin"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_without_the_signing_library_everything_else_works_and_it_is_named(
    url: URL, shell: Shell, sealed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "cryptography"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "ledger.signing", raising=False)
    import ledger

    monkeypatch.delattr(ledger, "signing", raising=False)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    checked = shell.run("verify", "--checkpoint", sealed, "--key", tmp_path / "public")
    assert checked.code == 78
    assert "pip install 'iam-ledger[sign]'" in checked.err
    assert Shell(url).run("verify").code == 0


# --- export -----------------------------------------------------------------------------------


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_every_column_of_every_event_is_exported_as_it_stands(url: URL, shell: Shell) -> None:
    found = lines(shell.run("export").out)
    rows = read_rows(url)
    assert len(found) == len(rows) == 12
    for line, row in zip(found, rows, strict=True):
        assert line.pop("recorded_at") is not None
        assert line == {name: getattr(row, name) for name in row.__slots__}


@pytest.mark.parametrize(
    ("period", "positions"),
    [
        ((), range(1, 13)),
        (("--from", "2026-03-02T12:06:00Z"), range(7, 13)),
        (("--to", "2026-03-02T12:06:00Z"), range(1, 7)),
        (("--from", "2026-03-02T12:06:00Z", "--to", "2026-03-02T12:18:00Z"), range(7, 9)),
        (("--from", "2026-03-02T12:06:01Z", "--to", "2026-03-02T12:18:01Z"), range(8, 10)),
        (("--to", "2026-03-02"), range(1, 13)),
        (("--from", "2026-03-03"), range(0)),
        (("--to", "2026-03-01"), range(0)),
    ],
)
def test_a_period_is_half_open_and_a_date_is_its_whole_day(
    shell: Shell, period: tuple[str, ...], positions: range
) -> None:
    asked = shell.run("export", *period)
    assert asked.code == 0
    assert [line["position"] for line in lines(asked.out)] == list(positions)


def test_a_checkpoint_joins_the_period_to_what_was_signed(shell: Shell, sealed: Path) -> None:
    period = ("--from", "2026-03-02T12:06:00Z", "--to", "2026-03-02T12:18:00Z")
    asked = shell.run("export", *period, "--checkpoint", sealed)
    assert [line["position"] for line in lines(asked.out)] == list(range(6, 13))


def test_a_period_that_ends_before_it_begins_is_a_usage_error(shell: Shell) -> None:
    assert shell.run("export", "--from", "2026-03-03", "--to", "2026-03-02").code == 64


def test_a_damaged_ledger_is_exported_as_it_is(url: URL, shell: Shell) -> None:
    with tampering(url) as database:
        database.execute("DELETE FROM events WHERE position IN (6, 7)")
        database.execute("UPDATE events SET recorded_at = 'yesterday' WHERE position = 12")
    found = lines(shell.run("export", "--from", "2026-03-02T12:00:00Z").out)
    assert [line["position"] for line in found] == [1, 2, 3, 4, 5, 8, 9, 10, 11, 12]
    assert found[-1]["recorded_at"] is None


def test_a_ledger_without_its_guards_is_exported_and_said_to_be(url: URL, shell: Shell) -> None:
    with raw(url) as database:
        database.execute("DROP TRIGGER events_refuse_delete")
    asked = shell.run("export")
    assert asked.code == 78
    assert len(lines(asked.out)) == 12
    assert "lost the guards" in asked.err
