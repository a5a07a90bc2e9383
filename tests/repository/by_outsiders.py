"""What GitHub and pre-commit read of ours: held against their own schemas, and installed for once.

The schemas are those that check-jsonschema ships; nothing of GitHub itself is asked.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repository.by_editor import RIGHT
from tests.support.github import action
from tests.support.repositories import Repository
from tests.support.separate import python
from tests.support.wrong_files import MARKED_ELSEWHERE, WRONG
from tests.walls.tree import ROOT

EXAMPLE = ROOT / "examples" / "repository"
SCHEMAS = ROOT / "schemas"
TAKES_MAX_S = 300


def outsider(name: str, *arguments: object, cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    """One run of a program in the outsiders' environment."""
    program = python(Path(__file__).with_name("outsiders.txt")).with_name(name)
    line = [str(program), *(str(argument) for argument in arguments)]
    known = dict(os.environ) | {"GIT_CONFIG_NOSYSTEM": "1"}
    return subprocess.run(
        line, cwd=cwd, env=known, capture_output=True, text=True, check=False, timeout=TAKES_MAX_S
    )


def check(*arguments: object) -> "subprocess.CompletedProcess[str]":
    return outsider("check-jsonschema", *arguments)


# --- the schemas, by jsonschema and the patterns of ECMA 262 --------------------------------------


def test_our_schemas_are_schemas() -> None:
    found = check("--check-metaschema", *sorted(SCHEMAS.iterdir()))
    assert found.returncode == 0, found.stdout


def put(folder: Path, path: str, text: bytes) -> Path:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(text)
    return target


@pytest.mark.parametrize("schema", sorted(path.name for path in SCHEMAS.iterdir()))
def test_every_right_file_is_valid_and_every_wrong_one_is_not(schema: str, tmp_path: Path) -> None:
    section = schema.partition(".")[0]
    right = [
        put(tmp_path, path, text)
        for path, text in RIGHT.items()
        if section in path or (section == "settings" and path.endswith("iam-ledger.yaml"))
    ]
    assert right
    found = check("--schemafile", SCHEMAS / schema, *right)
    assert found.returncode == 0, found.stdout
    wrong = {
        str(put(tmp_path, f"wrong-{number}.yaml", each.text.encode())): name
        for number, (name, each) in enumerate((WRONG | MARKED_ELSEWHERE).items())
        if each.folder == section
    }
    found = check("--schemafile", SCHEMAS / schema, *wrong)
    assert found.returncode == 1
    passed = [name for path, name in wrong.items() if f"{path}::" not in found.stdout]
    assert passed == []


# --- what GitHub reads ----------------------------------------------------------------------------


def test_the_action_is_one_by_githubs_schema(tmp_path: Path) -> None:
    found = check("--builtin-schema", "vendor.github-actions", "action.yml")
    assert found.returncode == 0, found.stdout
    wrong = (ROOT / "action.yml").read_bytes().replace(b"using: composite", b"using: magic")
    found = check("--builtin-schema", "vendor.github-actions", put(tmp_path, "action.yml", wrong))
    assert found.returncode == 1


def test_the_examples_workflows_are_workflows_by_githubs_schema(tmp_path: Path) -> None:
    workflows = sorted((EXAMPLE / ".github" / "workflows").iterdir())
    assert len(workflows) == 2
    schemas = ("vendor.github-workflows", "custom.github-workflows-require-timeout")
    for schema in schemas:
        found = check("--builtin-schema", schema, *workflows)
        assert found.returncode == 0, found.stdout
    wrong = workflows[0].read_bytes().replace(b"runs-on:", b"runs_on:")
    found = check("--builtin-schema", schemas[0], put(tmp_path, "wrong.yml", wrong))
    assert found.returncode == 1


def test_the_action_installs_the_program_of_its_own_checkout_as_locked(tmp_path: Path) -> None:
    program = action().install(tmp_path)
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert said.stdout.startswith("iam-ledger ")
    validated = subprocess.run([program, "validate", EXAMPLE / "access"], check=False, cwd=tmp_path)
    assert validated.returncode == 0
    assert action().install(tmp_path) == program, "the second step of a job installs nothing"
    names = {path.name for path in (tmp_path.glob("*/lib/*/site-packages/*"))}
    assert "psycopg" in names
    assert not {"pytest", "moto", "mypy"} & names, "what only tests need"


# --- pre-commit -----------------------------------------------------------------------------------


def test_pre_commit_installs_the_hook_from_this_checkout_and_it_stops_a_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRE_COMMIT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert outsider("pre-commit", "validate-manifest", ".pre-commit-hooks.yaml").returncode == 0
    example = EXAMPLE / ".pre-commit-config.yaml"
    assert outsider("pre-commit", "validate-config", example).returncode == 0
    repository = Repository.create(tmp_path / "repository")
    path = "access/temporary-access/payments.yaml"
    for file in (EXAMPLE / "access").rglob("*.yaml"):
        put(repository.path, file.relative_to(EXAMPLE).as_posix(), file.read_bytes())
    repository.commit()
    config = f"repos:\n- repo: {ROOT}\n  rev: {Repository(ROOT).head}\n  hooks:\n"
    config += "  - {id: iam-ledger-validate, args: [access]}\n"
    put(repository.path, ".pre-commit-config.yaml", config.encode())
    repository.git("add", "--all")
    run = ("run", "--all-files")
    passed = outsider("pre-commit", *run, cwd=repository.path)
    assert passed.returncode == 0, passed.stdout + passed.stderr
    put(repository.path, path, b"temporary-access:\n  - user: ana\n    durration: 4h\n")
    stopped = outsider("pre-commit", *run, cwd=repository.path)
    assert stopped.returncode == 1
    assert f"{path}:3:5: key `durration` is not known here" in stopped.stdout
    other = put(repository.path, "README.md", b"words\n")
    nothing = outsider("pre-commit", "run", "--files", other, cwd=repository.path)
    assert "no files to check" in nothing.stdout
