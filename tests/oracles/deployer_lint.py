"""The CloudFormation templates, read by cfn-lint. `scripts/deployer` runs it."""

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.oracles.deployer_world import HUB_ROLE
from tests.support.builders import Files, directory
from tests.support.commands import Shell
from tests.support.separate import python

REQUIREMENTS = Path(__file__).with_name("cfn-lint.txt")
EXTERNAL = {"id": "111111111111", "external_id": "x-77", "source_identity": "iam-ledger"}
FILES: Files = directory(
    accounts={"prod": EXTERNAL},
    settings={"deployer_role": "infra/Deployer", "protected_principals": ["role/guard/*"]},
)
PRINTED = {
    "the role": (),
    "the hub known": ("--hub-role-arn", HUB_ROLE),
    "reading": ("--read-only",),
    "bounded": ("--permissions-boundary", "arn:aws:iam::*:policy/ceiling", "--adopted"),
    "the hub's own": ("--hub",),
    "any account": ("--hub", "--any-account"),
}


def template(folder: Path, *options: str) -> Any:
    for path, content in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    ran = Shell().run("deployer-policy", folder, "-o", "cloudformation", *options)
    assert ran.code == 0, ran.err
    return ran.json


def linted(folder: Path, *templates: Any) -> str:
    """What cfn-lint says, warnings and all; empty where it has nothing to say."""
    paths = []
    for number, each in enumerate(templates):
        paths.append(folder / f"{number}.json")
        paths[-1].write_text(json.dumps(each), encoding="utf-8")
    lint = python(REQUIREMENTS).with_name("cfn-lint")
    ran = subprocess.run(
        [lint, "--include-checks", "I", "--", *paths],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return ran.stdout + ran.stderr


def test_cfn_lint_has_nothing_to_say(tmp_path: Path) -> None:
    assert linted(tmp_path, *[template(tmp_path, *more) for more in PRINTED.values()]) == ""


def test_it_would_find_mistakes(tmp_path: Path) -> None:
    wrong = template(tmp_path)
    properties = wrong["Resources"]["Deployer"]["Properties"]
    properties["RoleName"] = ["a"]
    properties["MaxSessionDuration"] = 60
    properties["AssumeRolePolicyDocument"]["Statement"][0]["Effect"] = "Perhaps"
    properties["Policies"][0]["PolicyDocument"]["Statement"][0].pop("Resource")
    del wrong["Conditions"]
    said = linted(tmp_path, wrong)
    for mistake in ("['a'] is not of type", "60 is less than", "'Perhaps'", "Resource", "HasExt"):
        assert mistake in said
