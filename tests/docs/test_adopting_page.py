"""The page about taking over: its commands are carried out, and say what it shows."""

import re
from pathlib import Path

import pytest

from ledger.model import parse_principal
from tests.docs.pages import page
from tests.docs.test_commands import Command, Stand, commands_in, files_of
from tests.support.histories import PROD
from tests.support.moto_server import ENVIRONMENT, MotoServer
from tests.support.repositories import Repository
from tests.support.seed import InMoto, Seed

PAGE = page("docs/adopting.md")
READ = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"


@pytest.fixture
def stand(tmp_path: Path, moto_server: MotoServer, monkeypatch: pytest.MonkeyPatch) -> Stand:
    """The page's directory, and the account as the scripts before us left it."""
    repository = Repository.create(tmp_path / "repository")
    for path, content in files_of(PAGE).items():
        (repository.path / path).parent.mkdir(parents=True, exist_ok=True)
        (repository.path / path).write_bytes(content)
    repository.commit()
    ana, bob = (moto_server.add(PROD, f"user/{name}") for name in ("ana", "bob"))
    seed = Seed(InMoto(moto_server, PROD), "payments")
    seed.permanent([ana], [seed.policy("look"), READ])
    seed.temporary(bob, "look", "2026-02-01", [READ])
    monkeypatch.chdir(repository.path)
    known = ENVIRONMENT | repository.environment | {"AWS_ENDPOINT_URL": moto_server.url}
    known["IAM_LEDGER_DATABASE_URL"] = f"sqlite+aiosqlite:///{tmp_path}/ledger.db"
    return Stand(tmp_path, known)


def shown() -> list[tuple[Command, list[str]]]:
    """Each command of the page with the lines that stand under it."""
    found = []
    for block in (block for block in PAGE.blocks if block.language == "console"):
        outputs = re.split(r"^\$ .*$", block.text, flags=re.MULTILINE)[1:]
        for command, output in zip(commands_in(block), outputs, strict=True):
            found.append((command, [line for line in output.splitlines() if line]))
    return found


def test_every_command_says_what_the_page_shows(stand: Stand, moto_server: MotoServer) -> None:
    commands = shown()
    assert len(commands) == 3
    for command, lines in commands:
        assert stand.carry_out(command) == 0, stand.said
        said = stand.said[command.text].splitlines()
        assert [line for line in lines if line not in said] == [], said
    tags = moto_server.iam(PROD).list_policy_tags(
        PolicyArn=f"arn:aws:iam::{PROD}:policy/payments-look"
    )
    assert {tag["Key"] for tag in tags["Tags"]} > {"iam-ledger:ledger"}
    assert moto_server.attached(PROD, parse_principal("user/bob")) == {READ}
