"""What stands in deploy/ is read by the tools of those who wrote the formats.

`scripts/container` runs it. Each tool is shown to refuse a planted error too.
"""

import json
import shutil
import subprocess
from pathlib import Path

import botocore.session
import pytest
from botocore.validate import ParamValidator

from tests.support.separate import python
from tests.walls.tree import ROOT

LINTERS = python(Path(__file__).with_name("linters.txt")).parent
KUBERNETES = ROOT / "deploy" / "kubernetes"
COMPOSE = ROOT / "deploy" / "compose" / "compose.yaml"
TASK = ROOT / "deploy" / "ecs" / "task-definition.json"

needs_kubectl = pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="needs kubectl, which Debian does not have"
)


def said(*command: str | Path) -> tuple[int, str]:
    ran = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=120, cwd=ROOT
    )
    return ran.returncode, ran.stdout + ran.stderr


def test_hadolint_has_nothing_to_say_of_the_recipe(tmp_path: Path) -> None:
    assert said(LINTERS / "hadolint", "Containerfile") == (0, "")
    planted = tmp_path / "Containerfile"
    planted.write_text((ROOT / "Containerfile").read_text().replace("WORKDIR /build", "RUN cd x"))
    code, told = said(LINTERS / "hadolint", planted)
    assert code == 1
    assert "DL3003" in told


def test_the_composition_is_one_by_its_specification(tmp_path: Path) -> None:
    check = (LINTERS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec")
    code, told = said(*check, COMPOSE)
    assert code == 0, told
    planted = tmp_path / "compose.yaml"
    planted.write_text(COMPOSE.read_text().replace("depends_on:", "depend_on:"))
    code, told = said(*check, planted)
    assert code == 1
    assert "depend_on" in told


@needs_kubectl
@pytest.mark.parametrize("folder", ["base", "example"])
def test_kubernetes_takes_what_kustomize_makes(folder: str, tmp_path: Path) -> None:
    made = tmp_path / "made.yaml"
    made.write_text(kustomized(folder, tmp_path))
    assert "mountPath" in made.read_text()
    code, told = said(LINTERS / "kubernetes-validate", "--strict", made)
    assert code == 0, told
    planted = tmp_path / "planted.yaml"
    planted.write_text(made.read_text().replace("mountPath", "mountpath"))
    code, told = said(LINTERS / "kubernetes-validate", "--strict", planted)
    assert code != 0
    assert "'mountPath' is a required property" in told


@needs_kubectl
def test_the_example_says_all_that_the_base_leaves_open(tmp_path: Path) -> None:
    made = kustomized("example", tmp_path)
    assert "image: iam-ledger\n" not in made
    assert "eks.amazonaws.com/role-arn" in made
    assert made.count("kind: Secret\n") == 2
    assert "secretName: iam-ledger-owner-" in made, "the Secret's own name is not referred to"


def kustomized(folder: str, scratch: Path) -> str:
    """What `kubectl kustomize` makes of a copy that has the files which stay out of git."""
    copy = scratch / "kubernetes"
    shutil.copytree(KUBERNETES, copy)
    secrets = copy / "example" / "secrets"
    secrets.mkdir()
    for name in ("owner", "worker"):
        (secrets / name).write_text("a password")
    ran = subprocess.run(
        ["kubectl", "kustomize", copy / folder],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_ecs_would_take_the_task_by_its_own_model() -> None:
    """botocore's model of RegisterTaskDefinition: names, types and what is required."""
    model = botocore.session.get_session().get_service_model("ecs")
    shape = model.operation_model("RegisterTaskDefinition").input_shape
    assert shape is not None
    task = json.loads(TASK.read_text())
    assert not ParamValidator().validate(task, shape).has_errors()
    task["containerDefinitions"][0]["comand"] = []
    assert "comand" in ParamValidator().validate(task, shape).generate_report()
