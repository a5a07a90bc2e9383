"""The page about the ledger: its commands are carried out, and its catalogue is the code's."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from ledger.codec import KINDS
from ledger.events import Event
from scripts.event_catalogue import catalogue, put_into
from tests.docs.pages import page
from tests.docs.test_commands import commands_of, files_of
from tests.support.auditor import script
from tests.support.repositories import Repository
from tests.walls.tree import ROOT

PAGE = "docs/ledger.md"
BIN = Path(sys.executable).parent
TAKES_MAX_S = 120


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """What README declares, and the auditor's script."""
    made = Repository.create(tmp_path / "repository")
    for path, content in files_of(page("README.md")).items():
        (made.path / path).parent.mkdir(parents=True, exist_ok=True)
        (made.path / path).write_bytes(content)
    (made.path / "deploy").mkdir()
    shutil.copy(ROOT / "deploy" / "verify_export.py", made.path / "deploy")
    made.commit()
    return made


def carry_out(repository: Repository, script: str) -> subprocess.CompletedProcess[str]:
    """`script` by a shell, as a person would who copies it."""
    known = repository.environment | {
        "PATH": f"{BIN}:{os.defpath}",
        "GIT_AUTHOR_NAME": "Ana",
        "GIT_AUTHOR_EMAIL": "ana@example.com",
        "GIT_COMMITTER_NAME": "Ana",
        "GIT_COMMITTER_EMAIL": "ana@example.com",
        "IAM_LEDGER_DATABASE_URL": f"sqlite+aiosqlite:///{repository.path.parent}/ledger.db",
    }
    return subprocess.run(
        ["sh", "-eu", "-c", script],
        cwd=repository.path,
        env=known,
        capture_output=True,
        text=True,
        check=False,
        timeout=TAKES_MAX_S,
    )


def test_every_command_of_the_page_does_what_it_is_shown_for(repository: Repository) -> None:
    blocks = [block.text for block in page(PAGE).blocks if block.language == "sh"]
    assert len(commands_of(page(PAGE))) >= 8
    done = carry_out(repository, "\n".join(blocks))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the ledger only grew" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("PROVEN: ")
    assert (repository.path / "checkpoint.key").stat().st_mode & 0o077 == 0


def test_the_pages_last_command_sees_a_changed_export(repository: Repository) -> None:
    blocks = [block.text for block in page(PAGE).blocks if block.language == "sh"]
    spoilt = "sed -i.bak 's/payments/paymonts/' march.ndjson"
    done = carry_out(repository, "\n".join([*blocks[:-1], spoilt, blocks[-1]]))
    assert done.returncode == 4
    assert done.stdout.splitlines()[-1].startswith("CHANGED")


def test_the_catalogue_is_what_the_code_says() -> None:
    text = page(PAGE).text
    assert put_into(text) == text, "run scripts/event_catalogue.py --write"


def test_the_catalogue_names_every_kind_of_event_once() -> None:
    headings = re.findall(r"^#### (\w+)$", catalogue(), re.MULTILINE)
    assert len(headings) == len(set(headings))
    assert set(KINDS) < set(headings)
    assert len(KINDS) == len(get_args(Event))


def test_the_columns_under_the_hash_are_named_in_their_order() -> None:
    text = page(PAGE).text
    said = text[text.index("## What is hashed") : text.index("## Checkpoints")]
    named = [name for name in re.findall(r"`(\w+)`", said) if name != "recorded_at"]
    assert named == [name for name in script.HASHED if name != "recorded_at_us"]
