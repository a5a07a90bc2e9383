"""What stands in deploy/ says the program's own names, and the page says what stands there.

That it builds and runs is tried by `scripts/container`.
"""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.environment import SETTINGS
from ledger.store.dialect.roles import DUTIES
from tests.docs.pages import page
from tests.walls.test_packaging import locked_versions, unlocked
from tests.walls.tree import ROOT
from worker.settings import WorkerSettings

PAGE = page("docs/deployment.md")
DEPLOY = ROOT / "deploy"
RECIPE = (ROOT / "Containerfile").read_text(encoding="utf-8")
KNOWN = {setting.variable for setting in SETTINGS} | {
    f"{setting.variable}_FILE" for setting in SETTINGS if setting.filed
}
ROLES = [
    f"--role=ledger_{role}={duty}"
    for role, duty in (("ingest", "ingest"), ("worker", "worker"), ("auditor", "audit"))
]


def documents(path: str) -> list[Any]:
    return list(yaml.safe_load_all((DEPLOY / path).read_text(encoding="utf-8")))


def read(path: str) -> Any:
    (only,) = documents(path)
    return only


def test_every_variable_that_is_set_in_deploy_is_one_of_the_programs() -> None:
    files = [path for path in DEPLOY.rglob("*") if path.suffix in (".yaml", ".json", ".sh")]
    texts = [RECIPE, *(path.read_text(encoding="utf-8") for path in files)]
    named = {name for text in texts for name in re.findall(r"\bIAM_LEDGER_\w+", text)}
    named -= {"IAM_LEDGER_IMAGE"}  # of the composition itself
    assert len(named) >= 5
    assert named <= KNOWN


def test_all_of_them_migrate_with_the_roles_of_all_duties() -> None:
    assert sorted(role.rpartition("=")[2] for role in ROLES) == sorted(DUTIES)
    compose = read("compose/compose.yaml")["services"]["migrate"]["command"]
    pod = read("kubernetes/base/deployment.yaml")["spec"]["template"]["spec"]
    (task,) = [
        each["command"]
        for each in read("ecs/task-definition.json")["containerDefinitions"]
        if each["name"] == "migrate"
    ]
    assert compose == pod["initContainers"][0]["args"] == task == ["migrate", *ROLES]


def test_the_image_has_what_the_wheel_has_and_is_asked_by_the_same_health_check() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for package in packages:
        assert f"COPY {package} {package}" in RECIPE
        assert f"!{package}/**" in ignored
    (asked,) = re.findall(r"HEALTHCHECK .*\n\s+CMD (\[.*\])", RECIPE)
    worker = json.loads((DEPLOY / "ecs/task-definition.json").read_text())["containerDefinitions"][
        1
    ]
    assert worker["healthCheck"]["command"] == ["CMD", *json.loads(asked)]


def test_the_images_lock_is_the_part_of_ours_that_runs() -> None:
    ours = locked_versions((ROOT / "requirements.lock").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    runtime = (DEPLOY / "container/runtime.lock").read_text(encoding="utf-8")
    build = (DEPLOY / "container/build.lock").read_text(encoding="utf-8")
    for part in (runtime, build):
        locked = locked_versions(part)
        assert len(locked) > 4
        assert {name: ours[name] for name in locked} == locked, "run scripts/lock"
        assert part.count("==") == len(re.findall(r"==[^\n]+\\\n +--hash=sha256:", part))
    extras = project["project"]["optional-dependencies"]
    for wanted in (project["project"]["dependencies"], *(extras[n] for n in ("sign", "postgres"))):
        assert unlocked(as_project(wanted), runtime) == []
    assert unlocked(as_project(project["build-system"]["requires"]), build) == []
    assert not {"pytest", "moto", "mypy"} & set(locked_versions(runtime))


def as_project(requirements: list[str]) -> str:
    return (
        f"[build-system]\nrequires = []\n[project]\nname = 'x'\n"
        f"dependencies = {json.dumps(requirements)}\n[project.optional-dependencies]\n"
    )


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("kubernetes/base/networkpolicy.yaml", ("spec", "podSelector")),
        ("kubernetes/base/poddisruptionbudget.yaml", ("spec", "selector")),
    ],
)
def test_a_selector_that_kustomize_does_not_fill_in_names_our_pods(
    path: str, where: tuple[str, ...]
) -> None:
    """An empty one would mean every pod of the namespace."""
    (labels,) = read("kubernetes/base/kustomization.yaml")["labels"]
    found = read(path)
    for key in where:
        found = found[key]
    assert found == {"matchLabels": labels["pairs"]}


def test_a_stopping_worker_is_given_longer_than_it_takes() -> None:
    grace_s = WorkerSettings().grace_s
    given = [
        int(read("compose/compose.yaml")["services"]["worker"]["stop_grace_period"].rstrip("s")),
        read("kubernetes/base/deployment.yaml")["spec"]["template"]["spec"][
            "terminationGracePeriodSeconds"
        ],
        read("ecs/task-definition.json")["containerDefinitions"][1]["stopTimeout"],
    ]
    assert all(each > grace_s for each in given)
    assert f"give it {given[0]} s" in PAGE.text


def test_what_the_page_and_the_files_point_to_is_there() -> None:
    services = read("compose/compose.yaml")["services"]
    mounts = [mount for service in services.values() for mount in service.get("volumes", ())]
    local = [Path(mount.partition(":")[0]) for mount in mounts if mount.startswith(".")]
    assert len(local) == 3
    for path in local:
        assert (DEPLOY / "compose" / path).is_file(), path
    for path in re.findall(r"`(deploy/[\w./-]+)`", PAGE.text):
        assert (ROOT / path).exists(), path


def test_every_secret_of_the_composition_is_made_by_the_script_beside_it() -> None:
    secrets = read("compose/compose.yaml")["secrets"]
    script = (DEPLOY / "compose/secrets.sh").read_text(encoding="utf-8")
    (names,) = re.findall(r"^for name in (.*); do$", script, re.MULTILINE)
    assert sorted(secrets) == sorted(f"{name}_password" for name in names.split())
    for name, secret in secrets.items():
        assert secret == {"file": f"./secrets/{name}"}
