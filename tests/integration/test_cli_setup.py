"""The program as a whole: help, versions, wrong words, the ledger's address, codes, streams."""

import errno
import io
import os
import sqlite3
import subprocess
import sys
from contextlib import closing, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from sqlalchemy import URL

from cli.environment import Environment
from cli.main import COMMANDS, main
from ledger import guards
from tests.support.builders import directory, permanent
from tests.support.commands import Shell, StillClock
from tests.support.histories import Story, after, grant
from tests.support.ledgers import make_ledger, raw

ASKING = ("who-has-access", "expiring", "history", "status", "verify", "plan")
ANA = grant("aaaa2222bbbb3333", ends=after(4))
TOP = Path(__file__).parents[2]


@pytest.fixture
def url(tmp_path: Path) -> URL:
    return Story().mapped().granted(ANA).applied(ANA, after(0.1)).write(tmp_path)


# --- help and words ---------------------------------------------------------------------------


def test_help_names_every_command_and_its_duty() -> None:
    ran = Shell().run("--help")
    assert (ran.code, ran.err) == (0, "")
    for name, (_, about) in COMMANDS.items():
        assert f"  {name} " in ran.out
        assert about in ran.out
    assert Shell().run("-h").out == ran.out
    bare = Shell().run()
    assert (bare.code, bare.out) == (64, "")
    assert "Usage: iam-ledger" in bare.err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_that_needs_no_ledger(name: str) -> None:
    ran = Shell().run(name, "--help", IAM_LEDGER_DATABASE_URL="nonsense")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"Usage: iam-ledger {name} ")
    assert all(len(line) <= 100 for line in ran.out.splitlines())


def test_the_version_is_one_word() -> None:
    ran = Shell().run("--version")
    assert ran.code == 0
    assert ran.out.startswith("iam-ledger ")


@pytest.mark.parametrize(
    ("typed", "hint"),
    [("stat", "; did you mean `status`?"), ("who-has-acess", "`who-has-access`"), ("zzz", "`zzz`")],
)
def test_an_unknown_command_is_a_usage_error_with_the_nearest(typed: str, hint: str) -> None:
    ran = Shell().run(typed)
    assert (ran.code, ran.out) == (64, "")
    assert f"there is no command `{typed}`" in ran.err
    assert hint in ran.err


def test_an_unknown_option_is_a_usage_error_of_its_command() -> None:
    ran = Shell().run("status", "--colour", "always")
    assert ran.code == 64
    assert "--color" in ran.err
    assert "read `iam-ledger status --help`" in ran.err


@pytest.mark.parametrize(
    "line",
    [
        *(
            ("who-has-access", "--exit-code", option, "")
            for option in ("--principal", "--policy", "--account", "--team", "--environment")
        ),
        ("who-has-access", "--exit-code", "--principal="),
        ("who-has-access", "--exit-code", "--principal", " "),
        ("history", "--grant", ""),
        ("revoke", "--principal", "", "--reason", "gone", "--by", "me"),
        ("revoke", "grant-1", "--reason", "", "--by", "me"),
        ("revoke", "grant-1", "--reason", "gone", "--by="),
        ("revoke", "", "--reason", "gone", "--by", "me"),
        ("validate", ""),
        ("status", "--database", ""),
        ("verify", "--checkpoint", "c.txt", "--key", ""),
    ],
)
def test_an_empty_text_is_a_variable_that_is_not_set_and_a_usage_error(
    line: tuple[str, ...], url: URL
) -> None:
    ran = Shell(url).run(*line)
    assert (ran.code, ran.out) == (64, "")
    assert "is empty; is a variable not set?" in ran.err
    assert f"read `iam-ledger {line[0]} --help`" in ran.err


# --- which ledger -----------------------------------------------------------------------------


@pytest.mark.parametrize("command", ASKING)
def test_a_missing_ledger_is_78_and_names_address_and_variable(
    command: str, tmp_path: Path
) -> None:
    path = tmp_path / "nowhere.db"
    ran = Shell().run(command, "--database", f"sqlite+aiosqlite:///{path}")
    assert (ran.code, ran.out) == (78, "")
    assert f"there is no ledger at sqlite+aiosqlite:///{path}" in ran.err
    assert "IAM_LEDGER_DATABASE_URL" in ran.err
    assert not path.exists()


@pytest.mark.parametrize("command", ASKING)
def test_an_empty_database_is_78_and_stays_empty(command: str, tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    ran = Shell().run(command, "--database", f"sqlite:///{path}")
    assert (ran.code, ran.out) == (78, "")
    assert "holds no ledger" in ran.err
    assert path.stat().st_size == 0


def test_a_file_that_is_no_database_is_78(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are notes, not a database, and long enough to be read as one\n" * 40)
    ran = Shell().run("status", "--database", f"sqlite:///{path}")
    assert (ran.code, ran.out) == (78, "")
    assert "no SQLite database" in ran.err


@pytest.mark.parametrize(
    "address",
    [
        "postgresql+asyncpg://ledger:hunter2@db/ledger",
        "postgresql+asyncpg://ledger:hunt@er2@db/ledger",
        "postgresql+asyncpg://db/ledger?password=hunter2",
        "postgres ql://ledger:hunter2@db/ledger?password=hunter2",
    ],
)
@pytest.mark.parametrize("command", [("status",), ("migrate",), ("config", "show")])
def test_no_password_is_ever_shown(address: str, command: tuple[str, ...]) -> None:
    ran = Shell().run(*command, IAM_LEDGER_DATABASE_URL=address)
    assert ran.code == (0 if command == ("config", "show") else 78)
    assert "er2" not in ran.out + ran.err


def test_flag_before_file_before_default(url: URL, tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text(f"{url}\n")
    by_file = {"IAM_LEDGER_DATABASE_URL_FILE": str(secret)}
    assert Shell(variables=by_file).run("status").code == 0
    assert Shell(variables=by_file).run("--database", "sqlite:///x/y.db", "status").code == 78
    assert Shell(variables=by_file).run("status", "--database", str(url)).code == 0
    both = Shell(url, variables=by_file).run("status")
    assert both.code == 78
    assert "are both set; unset one of them" in both.err
    gone = Shell().run("status", IAM_LEDGER_DATABASE_URL_FILE=str(tmp_path / "gone"))
    assert (gone.code, "No such file" in gone.err) == (78, True)


FOREIGN = {
    "customers": "CREATE TABLE customers (name TEXT);",
    "customers-migrated-by-alembic": """
        CREATE TABLE customers (name TEXT);
        CREATE TABLE alembic_version (version_num TEXT);
        INSERT INTO alembic_version VALUES ('f00d');""",
    "names-of-ours": """
        CREATE TABLE alembic_version (version_num TEXT);
        INSERT INTO alembic_version VALUES ('0004');
        CREATE TABLE events (id INTEGER PRIMARY KEY, what TEXT);
        INSERT INTO events VALUES (1, 'hello');""",
    "names-of-ours-alone": """
        CREATE TABLE alembic_version (number INTEGER);
        CREATE TABLE events (position INTEGER PRIMARY KEY);""",
}


@pytest.mark.parametrize("script", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize(
    "command", ["migrate", "ingest", "plan", "verify", "export", "status", "worker"]
)
def test_another_program_s_database_is_78_and_nothing_is_made_in_it(
    script: str, command: str, tmp_path: Path
) -> None:
    path = tmp_path / "theirs.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(script)
    before = path.read_bytes()
    config = tmp_path / "config"
    for name, content in directory(standing=[permanent("ana")]).items():
        (config / name).parent.mkdir(parents=True, exist_ok=True)
        (config / name).write_bytes(content)
    words = [command, config] if command in ("ingest", "plan") else [command]
    ran = Shell().run(*words, "--database", f"sqlite+aiosqlite:///{path}")
    assert (ran.code, ran.out) == (78, "")
    assert "are not a ledger's. Nothing was changed" in ran.err
    assert len(ran.err.splitlines()) == 1
    assert path.read_bytes() == before
    assert list(tmp_path.glob("theirs*")) == [path]


# --- config show ------------------------------------------------------------------------------


def test_config_show_tells_each_value_and_who_gave_it(url: URL) -> None:
    ran = Shell(url).run("config", "show", "-o", "json", "--color", "never")
    settings = {one["name"]: one for one in ran.json["settings"]}
    assert list(settings["database"]) == ["name", "value", "source", "variable", "about"]
    assert settings["database"]["source"] == "IAM_LEDGER_DATABASE_URL"
    assert (settings["color"]["value"], settings["color"]["source"]) == ("never", "--color")
    assert settings["listen"]["source"] == "default"


def test_config_show_names_variables_that_mean_nothing(url: URL) -> None:
    ran = Shell(url).run("config", "show", IAM_LEDGER_DATABSE_URL="x")
    assert ran.code == 0
    assert "IAM_LEDGER_DATABSE_URL is set and means nothing" in ran.err
    assert "did you mean IAM_LEDGER_DATABASE_URL?" in ran.err


def test_config_without_a_word_behind_it_shows_its_help() -> None:
    ran = Shell().run("config")
    assert (ran.code, ran.out) == (64, "")
    assert "show" in ran.err


# --- migrate and verify -----------------------------------------------------------------------


def test_migrate_makes_a_ledger_and_changes_nothing_the_second_time(tmp_path: Path) -> None:
    address = f"sqlite+aiosqlite:///{tmp_path / 'new.db'}"
    shell = Shell(variables={"IAM_LEDGER_DATABASE_URL": address})
    first = shell.run("migrate")
    assert (first.code, first.out) == (0, f"{address}: ready, ledger position 0\n")
    before = (tmp_path / "new.db").read_bytes()
    assert shell.run("migrate").code == 0
    assert (tmp_path / "new.db").read_bytes() == before
    assert shell.run("verify").code == 0


def test_migrate_of_a_newer_programs_ledger_is_78_and_changes_nothing(tmp_path: Path) -> None:
    url = make_ledger(tmp_path)
    with raw(url) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    ran = Shell(url).run("migrate")
    assert (ran.code, ran.out) == (78, "")
    assert "run the newer program that made it. Nothing was changed" in ran.err


def test_migrate_into_a_folder_that_is_not_there_is_78(tmp_path: Path) -> None:
    ran = Shell().run("migrate", "--database", f"sqlite:///{tmp_path}/no/where.db")
    assert ran.code == 78
    assert f"there is no folder {tmp_path}/no; make it first" in ran.err


def test_rebuild_puts_a_damaged_projection_right(url: URL) -> None:
    shell = Shell(url, StillClock(after(1)))
    tamper(url, "UPDATE grants SET principal = 'user/mallory', principal_key = 'user/mallory'")
    assert shell.run("verify").code == 4
    ran = shell.run("migrate", "--rebuild")
    assert (ran.code, "rebuilt from its events, ledger position 5" in ran.out) == (0, True)
    assert shell.run("verify").code == 0
    assert "user/ana" in shell.run("who-has-access").out


def tamper(url: URL, *statements: str) -> None:
    """What somebody does who opens the file with another program."""
    with sqlite3.connect(str(url.database)) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def test_verify_of_a_whole_ledger(url: URL) -> None:
    ran = Shell(url).run("verify", "-o", "json")
    assert ran.code == 0
    assert list(ran.json) == [
        *("schema_version", "ok", "events", "head_position", "head_hash", "problems")
    ]
    assert (ran.json["ok"], ran.json["events"], ran.json["head_position"]) == (True, 5, 5)
    assert len(ran.json["head_hash"]) == 64
    assert "a cut tail cannot be seen" in ran.err
    assert Shell(url).run("verify").out.startswith("the ledger holds: 5 events, head at position 5")


def test_a_changed_event_is_4_and_named(url: URL) -> None:
    drop = [f"DROP TRIGGER {name}" for name in guards.SQLITE]
    put_back = list(guards.SQLITE.values())
    change = "UPDATE events SET payload = replace(payload, 'ana', 'eve') WHERE position = 4"
    tamper(url, *drop, change, *put_back)
    ran = Shell(url).run("verify", "-o", "json")
    assert (ran.code, ran.json["ok"]) == (4, False)
    assert ran.json["problems"][0]["position"] == 4
    assert set(ran.json["problems"][0]) == {"position", "what", "message"}
    text = Shell(url).run("verify")
    assert (text.code, text.out.startswith("the ledger is broken: 5 events")) == (4, True)
    assert "position 4, hash" in text.out


def test_a_ledger_without_its_guards_answers_nothing_but_is_verified(url: URL) -> None:
    tamper(url, *(f"DROP TRIGGER {name}" for name in guards.SQLITE))
    asked = Shell(url).run("status")
    assert (asked.code, "has lost the guards" in asked.err) == (78, True)
    assert Shell(url).run("verify").code == 4
    assert Shell(url).run("migrate").code == 0
    assert Shell(url).run("verify").code == 0


# --- streams ----------------------------------------------------------------------------------


class Interrupted(StillClock):
    def now(self) -> object:  # type: ignore[override]  # control-C at any place
        raise KeyboardInterrupt


def test_control_c_is_130(url: URL) -> None:
    ran = Shell(url, Interrupted()).run("status")
    assert (ran.code, ran.out, ran.err.strip()) == (130, "", "interrupted")


def test_a_reader_who_hangs_up_ends_nothing(url: URL) -> None:
    """Standard output is a pipe whose other end is closed already."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    environment = Environment({"IAM_LEDGER_DATABASE_URL": str(url)})
    with os.fdopen(write_end, "w") as out, redirect_stdout(out), redirect_stderr(io.StringIO()):
        code = main(["history"], environment=environment, clock=StillClock())
    assert code == 0


def test_an_answer_that_cannot_be_written_is_1_and_no_traceback(url: URL) -> None:
    class Full(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        def fileno(self) -> int:
            return os.open(os.devnull, os.O_WRONLY)

    err = io.StringIO()
    environment = Environment({"IAM_LEDGER_DATABASE_URL": str(url)})
    with redirect_stdout(Full()), redirect_stderr(err):
        code = main(["history"], environment=environment, clock=StillClock())
    assert (code, err.getvalue()) == (1, "the answer cannot be written: no space left on device\n")


def test_a_database_that_does_not_answer_is_1_and_named(tmp_path: Path) -> None:
    ran = Shell().run("migrate", "--database", f"sqlite:///{tmp_path}")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        f"sqlite+aiosqlite:///{tmp_path}: the database did not do it: unable to open database "
        "file; nothing was written\n"
    )


def python(*arguments: str, cwd: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(TOP)} | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


HEAVY = ("aioboto3", "botocore", "aiobotocore", "boto3", "alembic", "rich", "structlog", "yaml")


@pytest.mark.parametrize(
    ("arguments", "light"),
    [
        (["--help"], (*HEAVY, "sqlalchemy")),
        (["who-has-access", "--at", "2026-03-02T12:30Z", "-o", "json"], HEAVY),
        (["status", "-o", "json"], HEAVY),
        (["plan", "--help"], ("aioboto3", "botocore", "alembic", "rich")),
    ],
)
def test_asking_loads_nothing_that_it_does_not_use(
    url: URL, arguments: list[str], light: tuple[str, ...], tmp_path: Path
) -> None:
    script = (
        "import sys\nfrom cli.main import main\n"
        f"code = main({arguments!r})\n"
        f"loaded = sorted(set({light!r}) & set(sys.modules))\n"
        "print(code, loaded, file=sys.stderr)\n"
    )
    ran = python("-c", script, cwd=tmp_path, IAM_LEDGER_DATABASE_URL=str(url))
    assert ran.stderr == "0 []\n"
    assert ran.stdout


def test_the_program_runs_as_a_process_and_finds_the_ledger_of_its_folder(tmp_path: Path) -> None:
    make_ledger(tmp_path, "iam-ledger.db")
    ran = python("-m", "cli.main", "status", cwd=tmp_path)
    assert (ran.returncode, ran.stdout.splitlines()[0]) == (0, "0 exposed")
    wrong = python("-m", "cli.main", "status", "--nonsense", cwd=tmp_path)
    assert (wrong.returncode, wrong.stdout) == (64, "")


def test_a_terminal_without_utf_8_still_gets_its_answer(tmp_path: Path) -> None:
    fay = grant("ffff2222gggg3333", "user/fay", ends=after(4), description="é")
    url = Story().mapped().granted(fay, source="temporary-access/équipe.yaml:1").write(tmp_path)
    ran = python(
        *("-m", "cli.main", "history", "--database", str(url)),
        cwd=tmp_path,
        PYTHONIOENCODING="ascii",
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "temporary-access/\\xe9quipe.yaml:1" in ran.stdout
