"""Every command in README and docs is carried out, in order, on what the pages themselves show.

The YAML blocks of a page are its directory, in a git repository; AWS is moto's server; the worker
is a process. The other commands run in this process, which is what makes twenty of them cheap.
"""

import io
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

import click
import pytest

from cli.environment import Environment
from cli.main import COMMANDS, main, program
from ledger.model import account_id, parse_principal
from tests.docs.pages import Block, Page, page, pages
from tests.support.moto_server import ENVIRONMENT, MotoServer
from tests.support.repositories import Repository
from tests.walls.tree import ROOT

PROGRAM = Path(sys.executable).with_name("iam-ledger")
WORKER_ENDS_MAX_S = 30

NOT_RUN = {
    "scripts/demo": "it makes an environment of its own: .ci/run runs it in a fresh clone",
    "scripts/test": "it would run this test again",
}
"""Command -> why it is not carried out here."""

OWN_STAND = {
    "docs/adopting.md": "tests/docs/test_adopting_page.py",
    "docs/deployer-role.md": "tests/docs/test_deployer_page.py",
    "docs/deployment.md": "tests/container/by_running.py",
    "docs/ledger.md": "tests/docs/test_ledger_page.py",
    "docs/operations.md": "tests/docs/test_operations_page.py",
    "docs/postgresql.md": "tests/docs/test_postgresql_page.py",
}
"""Page -> where its commands are carried out instead."""

RUNNABLE = ("sh", "console")
KNOWN = (*RUNNABLE, "yaml", "json", "mermaid", "sql", "text")

STAGING, PROD = account_id("222222222222"), account_id("111111111111")
PEOPLE = ("user/ana", "user/ben", "role/deploy")
ANA = parse_principal("user/ana")


@dataclass(frozen=True, slots=True)
class Command:
    text: str
    where: str


def commands_in(block: Block) -> Iterator[Command]:
    """The command lines of a block: `$ ` of a console, remarks and line breaks taken away."""
    text = block.text.replace("\\\n", " ")
    for number, line in enumerate(text.splitlines()):
        if block.language == "console" and not line.startswith("$ "):
            continue
        words = shlex.split(line.removeprefix("$ "), comments=True)
        if words:
            yield Command(shlex.join(words), f"{block.page}:{block.line + number}")


def commands_of(a_page: Page) -> list[Command]:
    blocks = [block for block in a_page.blocks if block.language in RUNNABLE]
    return [command for block in blocks for command in commands_in(block)]


def files_of(a_page: Page) -> dict[str, bytes]:
    """The YAML blocks whose first line is a remark with their path."""
    found = {}
    for block in a_page.blocks:
        first = block.text.partition("\n")[0]
        if block.language == "yaml" and first.startswith("# "):
            found[first.removeprefix("# ")] = block.text.encode()
    return found


@dataclass
class Stand:
    """Where a page's commands are carried out."""

    folder: Path
    variables: dict[str, str]
    said: dict[str, str] = field(default_factory=dict)
    worker: "subprocess.Popen[bytes] | None" = None

    def carry_out(self, command: Command) -> int:
        """One command; answers its exit code, 0 for what goes on in the background."""
        name, *arguments = shlex.split(command.text)
        if name == "export":
            self.variables |= dict(each.split("=", 1) for each in arguments)
            return 0
        assert name == "iam-ledger", f"{command.where}: nobody here knows how to run {name}"
        if arguments == ["worker"]:
            self._start_worker()
            return 0
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = main(arguments, environment=Environment(self.variables))
        self.said[command.text] = out.getvalue() + err.getvalue()
        return code

    def _start_worker(self) -> None:
        with (self.folder / "worker.log").open("wb") as log:
            self.worker = subprocess.Popen(
                [PROGRAM, "worker"], env=self.variables, stdout=log, stderr=log
            )

    @contextmanager
    def ended(self) -> Iterator[None]:
        """Within it the worker may run; it must end with 0 on SIGTERM."""
        try:
            yield
            if self.worker is not None:
                self.worker.terminate()
                assert self.worker.wait(WORKER_ENDS_MAX_S) == 0
        finally:
            if self.worker is not None:
                self.worker.kill()
                self.worker.wait()


@pytest.fixture
def stand(tmp_path: Path, moto_server: MotoServer, monkeypatch: pytest.MonkeyPatch) -> Stand:
    """A repository with what README declares, people in two accounts, and no ledger yet."""
    repository = Repository.create(tmp_path / "repository")
    for path, content in files_of(page("README.md")).items():
        (repository.path / path).parent.mkdir(parents=True, exist_ok=True)
        (repository.path / path).write_bytes(content)
    repository.commit()
    for account in (STAGING, PROD):
        for person in PEOPLE:
            moto_server.add(account, person)
    monkeypatch.chdir(repository.path)
    known = ENVIRONMENT | repository.environment
    known |= {"AWS_ENDPOINT_URL": moto_server.url, "IAM_LEDGER_LISTEN": "127.0.0.1:0"}
    known["IAM_LEDGER_DATABASE_URL"] = f"sqlite+aiosqlite:///{tmp_path}/before.db"
    return Stand(tmp_path, known)


def test_every_command_of_the_readme_does_what_it_is_shown_for(
    stand: Stand, moto_server: MotoServer
) -> None:
    carried_out = 0
    held: dict[str, bool] = {}
    with stand.ended():
        for command in commands_of(page("README.md")):
            if command.text in NOT_RUN:
                continue
            code = stand.carry_out(command)
            said = stand.said.get(command.text, "")
            assert code == 0, f"{command.where}: `{command.text}` ended with {code}:\n{said}"
            held[command.text] = bool(moto_server.inline(PROD, ANA))
            carried_out += 1
    assert carried_out >= 18
    assert held["iam-ledger ingest access --wait 2m"]
    assert "payments.break-glass" in stand.said["iam-ledger who-has-access --environment prod"]
    revoked = next(text for text in held if text.startswith("iam-ledger revoke"))
    assert not held[revoked], "revoke --wait ended while the access was there"
    assert "the ledger holds" in stand.said["iam-ledger verify"]


def test_commands_stand_in_the_readme_only_or_are_carried_out_here_too() -> None:
    elsewhere = [
        command.where
        for each in pages()
        for command in commands_of(each)
        if each.path not in ("README.md", *OWN_STAND) and command.text not in NOT_RUN
    ]
    assert elsewhere == [], "give that page a stand of its own"
    assert all((ROOT / stand).is_file() for stand in OWN_STAND.values())


def test_no_command_hides_in_a_block_of_another_kind() -> None:
    blocks = [block for each in pages() for block in each.blocks]
    assert len(blocks) > 10
    odd = [f"{b.page}:{b.line}: ```{b.language}" for b in blocks if b.language not in KNOWN]
    assert odd == [], f"name their language, one of {', '.join(KNOWN)}"


def test_what_is_not_carried_out_still_stands_in_a_page() -> None:
    shown = {command.text for each in pages() for command in commands_of(each)}
    assert set(NOT_RUN) <= shown
    assert all(NOT_RUN.values())


@pytest.mark.parametrize(
    "text",
    [
        "iam-ledger who-has-acces",
        "iam-ledger who-has-access --when 2026-03-03",
        "iam-ledger validate no-such-folder",
        "iam-ledger status",
    ],
)
def test_a_planted_command_that_does_not_work_is_seen(stand: Stand, text: str) -> None:
    assert stand.carry_out(Command(text, "planted:1")) != 0


# --- commands named in prose --------------------------------------------------------------------

_NAMED = re.compile(r"`iam-ledger ([^`]+)`")


def unknown_words(text: str) -> list[str]:
    """What a command line in prose says that the program does not know."""
    name, *arguments = text.split()
    if name == "COMMAND":
        return []
    if name not in COMMANDS:
        return [name]
    command = program.get_command(click.Context(program), name)
    assert command is not None
    known = {"--help"} | {flag for each in command.params for flag in each.opts}
    return [word for word in arguments if word.startswith("-") and word not in known]


def test_a_command_named_in_prose_exists_with_its_options() -> None:
    named = [(each.path, text) for each in pages() for text in _NAMED.findall(each.prose)]
    assert len(named) >= 2
    wrong = [f"{path}: `iam-ledger {text}`" for path, text in named if unknown_words(text)]
    assert wrong == []


@pytest.mark.parametrize("text", ["adopts", "worker --twice", "who-has-acess --at 2026-03-03"])
def test_a_command_in_prose_that_does_not_exist_is_seen(text: str) -> None:
    assert unknown_words(text)
