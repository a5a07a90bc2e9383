"""docs/deployer-role.md: its commands are carried out, its document printed, its table true."""

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.docs.pages import page
from tests.docs.test_commands import commands_of, files_of
from tests.support.commands import Shell
from worker.iam.deployer import CALLS

PAGE = page("docs/deployer-role.md")
ON = {
    "hub": "the deployers' roles, by the hub's policy",
    "free": "no permission is needed",
    "anything": "everything (`*`)",
    "policy": "policies under `policy_path`",
    "inline": "managed users and roles",
    "attachment": "managed principals, and policies of AWS or ours",
}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The README's directory, where the page's commands are given."""
    for path, content in files_of(page("README.md")).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_command_of_the_page_prints_what_it_is_shown_for(repository: Path) -> None:
    assert (repository / "access").is_dir()
    said = []
    for command in commands_of(PAGE):
        name, *arguments = shlex.split(command.text)
        assert name == "iam-ledger"
        ran = Shell().run(*arguments)
        assert ran.code == 0, f"{command.where}: {ran.err}"
        said.append(ran.out)
    assert len(said) == len(set(said)) >= 8


def test_the_page_shows_the_document_of_the_readmes_directory(repository: Path) -> None:
    assert (repository / "access").is_dir()
    (shown,) = [block for block in PAGE.blocks if block.language == "json"]
    assert json.loads(shown.text) == Shell().run("deployer-policy", "access").json


def test_the_page_tells_every_call_where_it_is_allowed_and_why() -> None:
    rows = re.findall(r"^\| (`[A-Z]\w+`.*) \| (.+) \| (.+) \|$", PAGE.prose, re.MULTILINE)
    told = [(", ".join(f"`{name}`" for name in call.operations), ON[call.on]) for call in CALLS]
    assert [row[:2] for row in rows] == told
    assert [row[2] for row in rows] == [call.why for call in CALLS]
