"""What the scripts say to a person when something is missing, and what they refuse to hide."""

import shutil
import subprocess
from pathlib import Path

import pytest

from scripts import not_run
from tests.walls.tree import ROOT

SHELL_COMMANDS = ("sh", "dirname", "cat", "cmp", "rm", "cp")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with no .venv, and beside it `bin`, the whole of PATH: no Python in it yet."""
    for name in ("scripts/setup", "requirements.lock", "pyproject.toml"):
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / "tree" / name)
    (tmp_path / "bin").mkdir()
    for command in SHELL_COMMANDS:
        found = shutil.which(command)
        assert found is not None
        (tmp_path / "bin" / command).symlink_to(found)
    return tmp_path / "tree"


def put_python(checkout: Path, name: str, script: str) -> None:
    """A python that only acts: setup asks it what it is, and later for its venv module."""
    python = checkout.parent / "bin" / name
    python.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    python.chmod(0o755)


def setup(checkout: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["scripts/setup"],
        cwd=checkout,
        env={"PATH": str(checkout.parent / "bin"), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_without_any_python_it_says_what_is_needed(checkout: Path) -> None:
    answer = setup(checkout)
    assert answer.returncode == 1
    assert "no Python 3.11 or newer was found; python3 is missing" in answer.stderr
    assert not (checkout / ".venv").exists()


def test_an_old_python3_is_named_with_its_version(checkout: Path) -> None:
    put_python(checkout, "python3", "echo 3.9.2 /usr/bin/python3.9; exit 1")
    answer = setup(checkout)
    assert answer.returncode == 1
    assert "python3 is 3.9.2 /usr/bin/python3.9" in answer.stderr


def test_an_old_python3_is_passed_over_for_a_newer_one_beside_it(checkout: Path) -> None:
    put_python(checkout, "python3", "echo 3.9.2 /usr/bin/python3.9; exit 1")
    put_python(checkout, "python3.12", "echo 3.12.1 /nowhere/python3.12")
    assert "/nowhere/python3.12" in setup(checkout).stderr


def test_a_python_asked_for_by_name_is_never_replaced_by_another(checkout: Path) -> None:
    put_python(checkout, "python3", "echo 3.12.1 /usr/bin/python3.12")
    answer = setup(checkout, PYTHON="python3.99")
    assert answer.returncode == 1
    assert "PYTHON=python3.99 is no Python 3.11 or newer" in answer.stderr


def test_a_missing_venv_module_names_the_package_that_has_it(checkout: Path) -> None:
    python = checkout.parent / "bin" / "python3"
    # As on a bare Debian: it runs, takes the lock, and has no ensurepip.
    put_python(
        checkout,
        "python3",
        f'case "$3" in *ensurepip*) exit 1 ;; *flock*) PYTHON=$4 exec sh scripts/setup --locked ;; '
        f"*) echo 3.11.2 {python} ;; esac",
    )
    answer = setup(checkout)
    assert answer.returncode == 1
    assert "apt-get install python3-venv" in answer.stderr
    assert not (checkout / ".venv").exists()


REPORT = """<testsuites><testsuite>
<testcase classname="tests.unit.a" name="test_ran"/>
<testcase classname="tests.unit.a" name="test_b">
  <skipped type="pytest.skip" message="needs x"/>
</testcase>
<testcase classname="tests.unit.a" name="test_c">
  <skipped type="pytest.xfail" message="bug"/>
</testcase>
</testsuite></testsuites>"""


def test_what_was_skipped_is_listed_with_its_reason_and_may_be_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT, encoding="utf-8")
    assert not_run.main(report, refuse=False) == 0
    said = capsys.readouterr().out.splitlines()
    assert "1 not run: needs x" in said
    assert "    tests.unit.a::test_b" in said
    assert "1 not run: expected to fail: bug" in said
    assert not any("test_ran" in line for line in said)
    assert not_run.main(report, refuse=True) == 1


def test_a_long_list_of_skips_is_counted_and_not_shown_whole() -> None:
    names = [f"test_{number}" for number in range(not_run.SHOWN_MAX + 3)]
    lines = list(not_run.render({"needs x": names}))
    assert lines[0] == f"{len(names)} not run: needs x"
    assert lines[-1] == "    and 3 more"


def test_nothing_skipped_is_said_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report.xml"
    report.write_text("<testsuites/>", encoding="utf-8")
    assert not_run.main(report, refuse=True) == 0
    assert capsys.readouterr().out == "no test was skipped\n"


@pytest.mark.parametrize("text", [None, "", "<testsuites>"])
def test_a_report_that_cannot_be_read_is_a_failure(tmp_path: Path, text: str | None) -> None:
    report = tmp_path / "report.xml"
    if text is not None:
        report.write_text(text, encoding="utf-8")
    assert not_run.main(report, refuse=False) == 1
