"""One history, asked on both engines: the same answers, to the byte."""

import asyncio
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import URL

from tests.support.builders import NOW, directory, permanent, temporary
from tests.support.commands import Ran, Shell, StillClock
from tests.support.forging import story
from tests.support.histories import after, append_all
from tests.support.ledgers import NewLedger, make_ledger

pytestmark = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)

ASKED_AT = after(0.5)
QUESTIONS = (
    "who-has-access",
    "who-has-access --at 2026-03-02T13:00Z",
    "who-has-access --between 2026-03-01 2026-03-03",
    "who-has-access --as-known-at 2026-03-02T12:30Z",
    "who-has-access --at 2026-03-02T13:00Z --as-known-at 2026-03-02T12:30Z --because",
    "who-has-access --team payments --principal ana",
    "who-has-access --account 111111111111 --policy fix",
    "who-has-access --action s3:PutObject",
    "history",
    "history --principal user/ana",
    "history --as-known-at 2026-03-02T12:30Z",
    "expiring --within 24h",
    "status",
    "verify",
)


@pytest.fixture
def both(new_ledger: NewLedger, tmp_path: Path) -> tuple[URL, URL]:
    """The same story in a file and on a server."""
    urls = make_ledger(tmp_path), new_ledger()
    for url in urls:
        asyncio.run(append_all(url, story().drafts))
    return urls


def told(url: URL, line: str, *more: object, instant: datetime = ASKED_AT) -> Ran:
    return Shell(url, StillClock(instant)).run(*line.split(), *more)


@pytest.mark.parametrize("line", QUESTIONS)
@pytest.mark.parametrize("form", ["json", "table"])
def test_every_question_has_one_answer(both: tuple[URL, URL], line: str, form: str) -> None:
    in_file, on_server = (told(url, line, "-o", form) for url in both)
    assert in_file.code == 0, in_file
    assert len(in_file.out + in_file.err) > 40, "an answer that says something"
    assert on_server == in_file


def test_a_directory_is_planned_ingested_and_exported_alike(
    new_ledger: NewLedger, tmp_path: Path
) -> None:
    """Chained alike too: the head's hash says that every byte before it is the same."""
    files = directory(standing=[permanent("ana", "bob")], windows=[temporary(duration="4h")])
    folder = tmp_path / "declared"
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    urls = make_ledger(tmp_path), new_ledger()
    for line in ("plan", "ingest", "ingest", "plan"):
        in_file, on_server = (told(url, line, folder, "-o", "json", instant=NOW) for url in urls)
        assert in_file.code == 0, in_file
        assert on_server == in_file
    for line in ("verify -o json", "export"):
        in_file, on_server = (told(url, line, instant=NOW) for url in urls)
        assert in_file.code == 0, in_file
        assert on_server == in_file
