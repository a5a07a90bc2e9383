"""What is published: the lock, the scripts, and nothing of the machine it was made on."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.walls.tree import ROOT, files

LOCKED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(\[[^\]]*\])?==(?P<version>[^ ;\\]+)")

# Written so that this file does not find itself.
LEAKS = {
    "a package registry": r"pypi[.]org|python[h]osted[.]|registry[.]npm[j]s|deb[.]debian",
    "a path of one machine": r"(?<![\w.~<>{}-])/(work|root|tmp/w)(/|\b(?![\w-]))",
}
SHELL_SCRIPTS = (
    "setup",
    "demo",
    "test",
    "lock",
    "explore",
    "simulate",
    "oracles",
    "deployer",
    "contract",
    "alerts",
    "repository",
    "container",
)


def named_dependencies(pyproject: str) -> list[Requirement]:
    """Every requirement that pyproject.toml names, of the extras and of the build too."""
    settings = tomllib.loads(pyproject)
    project = settings["project"]
    texts = [*project["dependencies"], *settings["build-system"]["requires"]]
    for extra in project["optional-dependencies"].values():
        texts.extend(extra)
    named = [Requirement(text) for text in texts]
    return [requirement for requirement in named if requirement.name != project["name"]]


def locked_versions(lock: str) -> dict[str, list[str]]:
    """Package -> its versions in the lock (more than one where they differ by platform)."""
    versions: dict[str, list[str]] = {}
    for line in lock.splitlines():
        if match := LOCKED.match(line):
            versions.setdefault(canonicalize_name(match["name"]), []).append(match["version"])
    return versions


def unlocked(pyproject: str, lock: str) -> list[str]:
    """The requirements that the lock leaves out or does not meet."""
    versions = locked_versions(lock)
    return [
        str(requirement)
        for requirement in named_dependencies(pyproject)
        if not (held := versions.get(canonicalize_name(requirement.name)))
        or not all(requirement.specifier.contains(version, prereleases=True) for version in held)
    ]


def lock_entries(lock: str) -> list[str]:
    """Each package's lines as one: `name==1.0 --hash=sha256:... --hash=...`."""
    joined = re.sub(r"\\\n\s+", " ", lock)
    return [line for line in joined.splitlines() if line and not line.lstrip().startswith("#")]


def leaks(text: str) -> list[str]:
    return [f"{what}: {match[0]}" for what, p in LEAKS.items() for match in re.finditer(p, text)]


@pytest.fixture(scope="module")
def lock() -> str:
    return (ROOT / "requirements.lock").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pyproject() -> str:
    return (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_the_lock_meets_every_requirement_of_pyproject(pyproject: str, lock: str) -> None:
    assert len(named_dependencies(pyproject)) > 15
    assert unlocked(pyproject, lock) == [], "run scripts/lock"


def test_a_requirement_that_the_lock_does_not_meet_is_seen(pyproject: str, lock: str) -> None:
    newer = pyproject.replace('"click>=8.2"', '"click>=99"')
    other = pyproject.replace('"click>=8.2"', '"not-yet-locked"')
    assert unlocked(newer, lock) == ["click>=99"]
    assert unlocked(other, lock) == ["not-yet-locked"]


def test_the_lock_pins_and_hashes_every_package_and_names_no_place(lock: str) -> None:
    entries = lock_entries(lock)
    assert len(entries) >= len(locked_versions(lock)) > 40
    for entry in entries:
        assert LOCKED.match(entry), f"not pinned: {entry[:80]}"
        assert "--hash=sha256:" in entry, f"not hashed: {entry[:80]}"
    assert "://" not in lock
    assert not re.search(r"^\s*(-i|-f|--index|--find|--extra)", lock, re.MULTILINE)


def test_no_file_names_a_registry_or_a_path_of_the_machine_it_was_written_on() -> None:
    looked_at = 0
    found = []
    for path in files():
        try:
            text = (ROOT / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture
        looked_at += 1
        found += [f"{path}: {leak}" for leak in leaks(text)]
    assert looked_at > 30
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "planted",
    [  # with a bar in each, for the same reason
        "https://py|pi.org/simple",
        "files.python|hosted.org",
        "https://registry.npm|js.org/",
        "http://deb.deb|ian.org",
        "see /wo|rk/main",
        "HOME=/ro|ot",
        "'/t|mp/w/x'",
    ],
)
def test_a_planted_registry_or_path_is_seen(planted: str) -> None:
    assert leaks(planted.replace("|", ""))


@pytest.mark.parametrize("text", ["docs/work/today", "path/root/x", "~/work", "/workers/", "/*"])
def test_ordinary_words_are_not_taken_for_paths(text: str) -> None:
    assert leaks(text) == []


@pytest.mark.parametrize("name", SHELL_SCRIPTS)
def test_a_script_is_posix_shell_that_may_be_run(name: str) -> None:
    script = ROOT / "scripts" / name
    assert script.read_text(encoding="utf-8").startswith("#!/bin/sh\n")
    assert script.stat().st_mode & 0o111
    checked = subprocess.run(["sh", "-n", script], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_the_ci_script_is_bash() -> None:
    checked = subprocess.run(
        ["bash", "-n", ROOT / ".ci" / "run"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def test_every_script_is_looked_at() -> None:
    shells = {
        path.name
        for path in files()
        if path.parts[0] == "scripts" and (ROOT / path).read_bytes().startswith(b"#!")
    }
    assert shells == set(SHELL_SCRIPTS)


def test_a_broken_script_does_not_parse(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("if true; then\n", encoding="utf-8")
    assert subprocess.run(["sh", "-n", broken], capture_output=True, check=False).returncode != 0
