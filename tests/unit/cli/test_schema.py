"""`schema`: what is printed, what is written, and what is told of it."""

from pathlib import Path

import pytest

from cli.schema import modeline
from ledger.manifest.schemas import schemas
from tests.support.commands import Shell


@pytest.mark.parametrize("which", schemas())
def test_a_schema_is_printed_as_one_json_document(which: str) -> None:
    ran = Shell().run("schema", which)
    assert (ran.code, ran.err) == (0, "")
    assert ran.json == schemas()[which]


def test_without_a_name_it_tells_which_files_there_are_and_the_line_that_editors_look_for() -> None:
    ran = Shell(screen=True).run("schema")
    assert ran.code == 0
    assert ran.width <= 80
    for which in schemas():
        assert modeline(which, "schemas") in ran.out
    assert "temporary-access/TEAM.yaml\n    # yaml-language-server: $schema=../schemas/" in ran.out


def test_all_are_written_as_they_are_printed_and_the_line_names_their_folder(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "made" / "editor"
    ran = Shell().run("schema", "--into", folder)
    assert ran.code == 0
    for which in schemas():
        written = (folder / f"{which}.schema.json").read_text(encoding="utf-8")
        assert written == Shell().run("schema", which).out
    assert "$schema=../editor/aws-policies.schema.json" in ran.out
    assert "$schema=editor/settings.schema.json" in ran.out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("temporary",), 64, "there is no schema `temporary`; did you mean `temporary-access`?"),
        (("nothing",), 64, "there is no schema `nothing`; there are aws-accounts, "),
        (("settings", "--into", "folder"), 64, "--into writes all of them; leave WHICH out"),
        (("--into", "/dev/null/folder"), 78, "/dev/null/folder cannot be written: not a directory"),
    ],
)
def test_a_line_that_cannot_be_meant_says_what_is_wrong(
    arguments: tuple[str, ...], code: int, said: str
) -> None:
    ran = Shell().run("schema", *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err
