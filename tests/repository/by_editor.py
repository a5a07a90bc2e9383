"""What an editor marks, offers and tells in our YAML: asked of the real yaml-language-server."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cli.schema import modeline
from tests.acceptance import company
from tests.docs.pages import page
from tests.docs.test_commands import files_of
from tests.repository.server import Server
from tests.support.builders import Files
from tests.support.wrong_files import MARKED_ELSEWHERE, WRONG, Wrong
from tests.walls.tree import ROOT

SOON = datetime(2030, 1, 1, tzinfo=UTC)
EXAMPLE = ROOT / "examples" / "repository"


def right_files() -> Files:
    """The company's, README's and those of the example, each under a folder of its own."""
    windows = company.windows(ana=SOON, ben=SOON + timedelta(hours=1))
    found = company.encoded(
        company.ACCOUNTS, company.policies(old=True), company.standing(), windows
    )
    readme = {
        path.removeprefix("access/"): text for path, text in files_of(page("README.md")).items()
    }
    example = {
        path.relative_to(EXAMPLE / "access").as_posix(): path.read_bytes()
        for path in (EXAMPLE / "access").rglob("*.yaml")
    }
    return {
        f"{name}/{path}": text
        for name, files in (("company", found), ("readme", readme), ("example", example))
        for path, text in files.items()
    }


RIGHT = right_files()


@pytest.fixture(scope="module")
def top(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the files would lie; `schemas` beside each directory's folders leads to ours."""
    top = tmp_path_factory.mktemp("editor")
    for name in ("wrong", "company", "readme", "example"):
        (top / name).mkdir()
        (top / name / "schemas").symlink_to(ROOT / "schemas")
    return top


@pytest.fixture(scope="module")
def server(top: Path) -> Iterator[Server]:
    server = Server.start(top)
    yield server
    server.stop()


def with_modeline(path: str, text: str) -> str:
    folder = path.split("/")[-2] if path.count("/") > 1 or not path.endswith("ledger.yaml") else ""
    section = folder if folder in company_folders() else "settings"
    rest = "\n".join(line for line in text.splitlines() if "yaml-language-server" not in line)
    return f"{modeline(section, 'schemas')}\n{rest}\n"


def company_folders() -> tuple[str, ...]:
    from ledger.manifest import FOLDERS

    return FOLDERS


@pytest.mark.parametrize("path", RIGHT)
def test_nothing_is_marked_in_a_file_that_the_parser_takes(
    server: Server, top: Path, path: str
) -> None:
    assert server.open(top / path, with_modeline(path, RIGHT[path].decode())) == []


def marked(server: Server, top: Path, name: str) -> list[tuple[int, str]]:
    """Line and message of all that is marked in a wrong file, without the modeline's line."""
    wrong = (WRONG | MARKED_ELSEWHERE)[name]
    text = with_modeline(f"wrong/{wrong.path}", wrong.text)
    found = server.open(path_of(top, name, wrong), text)
    return [(each["range"]["start"]["line"], each["message"]) for each in found]


def path_of(top: Path, name: str, wrong: Wrong) -> Path:
    """A file for each: what the server says of one that is opened again comes twice."""
    return (top / "wrong" / wrong.path).with_name(f"{name.replace(' ', '-')}.yaml")


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_marked_on_its_line(server: Server, top: Path, name: str) -> None:
    found = marked(server, top, name)
    assert WRONG[name].line in [line for line, _ in found], found


@pytest.mark.parametrize("name", MARKED_ELSEWHERE)
def test_an_entry_that_is_wrong_as_a_whole_is_marked(server: Server, top: Path, name: str) -> None:
    assert marked(server, top, name)


def test_without_the_modeline_nothing_is_marked_so_it_is_the_modeline_that_works(
    server: Server, top: Path
) -> None:
    wrong = WRONG["a misspelt key"]
    assert server.open(path_of(top, "no modeline", wrong), wrong.text) == []


# --- what it offers and tells -------------------------------------------------------------------

ENTRY = """\
# yaml-language-server: $schema=../schemas/temporary-access.schema.json
temporary-access:
  - user: ana@example.com
    duration: 4h
    {}
""".format("")
POLICY = """\
# yaml-language-server: $schema=../schemas/aws-policies.schema.json
aws-policies:
  dev:
    enforcement: {}
    managed_policies: []
""".format("")


def test_the_keys_of_an_entry_are_offered_and_those_of_another_file_are_not(
    server: Server, top: Path
) -> None:
    path = top / "company" / "temporary-access" / "offers.yaml"
    server.open(path, ENTRY)
    offered = server.completions(path, 4, 4)
    assert {"environment", "grant", "ticket", "starts_at", "expires_at"} <= set(offered)
    assert not {"group", "groups", "max_duration", "id"} & set(offered)


def test_the_values_of_a_choice_are_offered(server: Server, top: Path) -> None:
    path = top / "company" / "aws-policies" / "offers.yaml"
    server.open(path, POLICY)
    assert {"aws", "daemon"} <= set(server.completions(path, 3, 17))


def test_a_key_is_told_in_words_with_an_example(server: Server, top: Path) -> None:
    path = top / "company" / "temporary-access" / "tells.yaml"
    server.open(path, ENTRY)
    told = server.hover(path, 3, 6).replace("\\", "")
    assert "How long, from starts_at or else from the ingest on" in told
    assert "1d2h30m" in told
