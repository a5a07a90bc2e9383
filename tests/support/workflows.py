"""GitHub's workflows, read from their YAML and carried out here: enough for the example's.

Invariant: nothing in a workflow is passed over. An action, a key or an expression that is not known
here is an error, so that a change of the file is a change of what is tested.
"""

import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.support.github import REPOSITORY, SCRIPT, TOKEN, action
from tests.support.repositories import Repository
from tests.walls.tree import ROOT

OURS = "example-org/iam-ledger@"
CHECKOUT = "actions/checkout@"
STEP_KEYS = {"name", "uses", "with", "env"}
JOB_KEYS = {"runs-on", "timeout-minutes", "environment", "steps"}

_EXPRESSION = re.compile(r"\$\{\{ *([\w.-]+) *\}\}")


def read_yaml(path: Path) -> Any:
    """With `on` as a text, as GitHub reads it."""
    return yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)  # noqa: S506  texts only


@dataclass(frozen=True, slots=True)
class Ended:
    """One step of ours."""

    name: str
    code: int
    out: str
    summary: str


@dataclass
class Runner:
    """A machine that carries out jobs, with GitHub's API at `api`."""

    folder: Path
    api: str
    secrets: dict[str, str]
    number: int = field(default=0)

    def run(
        self, workflow: Path, repository: Repository, *, event: str, ref: str, **inputs: str
    ) -> list[Ended]:
        """The one job of a workflow, until a step fails. `ref`: what its checkout gets."""
        found = read_yaml(workflow)
        assert event in found["on"], f"{workflow.name} is not started by {event}"
        (job,) = found["jobs"].values()
        assert job.keys() <= JOB_KEYS, job.keys()
        self.number += 1
        work = self.folder / f"job-{self.number}"
        known = {f"secrets.{name}": value for name, value in self.secrets.items()}
        known |= {"inputs.allow_revocations": inputs.pop("allow_revocations", "")}
        assert not inputs
        ended: list[Ended] = []
        for step in job["steps"]:
            assert step.keys() <= STEP_KEYS, step
            if step["uses"].startswith(CHECKOUT):
                self._check_out(step, repository, work, ref)
                continue
            ended.append(self._ours(step, work, event, known))
            if ended[-1].code != 0:
                break
        return ended

    def _check_out(self, step: Any, repository: Repository, work: Path, ref: str) -> None:
        """As actions/checkout does: one commit deep, unless it is told."""
        depth = step["with"].get("fetch-depth", "1")
        shallow = () if depth == "0" else (f"--depth={depth}",)
        clone = repository.clone(work, "--no-checkout", *shallow)
        clone.git("fetch", "--quiet", *shallow, "origin", ref)
        clone.git("checkout", "--quiet", "--detach", "FETCH_HEAD")

    def _ours(self, step: Any, work: Path, event: str, known: dict[str, str]) -> Ended:
        assert step["uses"].startswith(OURS), f"nobody here knows {step['uses']}"
        declared = read_yaml(ROOT / "action.yml")
        given = {name: _filled(value, known) for name, value in step["with"].items()}
        assert given.keys() <= declared["inputs"].keys(), given
        values = {
            name: given.get(name, _filled(of.get("default", ""), {"github.token": TOKEN}))
            for name, of in declared["inputs"].items()
        }
        (run,) = declared["runs"]["steps"]
        assert run["run"] == 'python3 -I "$ACTION_PATH/deploy/github/action.py"'
        words = {f"inputs.{name}": value for name, value in values.items()}
        words |= {"github.action_path": str(ROOT)}
        variables = {name: _filled(value, words) for name, value in run["env"].items()}
        assert Path(variables["ACTION_PATH"], "deploy/github/action.py") == SCRIPT
        variables |= {name: _filled(value, known) for name, value in step.get("env", {}).items()}
        return self._run(step["name"], work, event, variables)

    def _run(self, name: str, work: Path, event: str, variables: dict[str, str]) -> Ended:
        temporary = self.folder / "runner"
        environment = action().environment_in(temporary)
        if not environment.exists():  # what `install` would make; scripts/repository has it made
            (environment / "bin").mkdir(parents=True)
            program = Path(sys.executable).with_name("iam-ledger")
            (environment / "bin" / "iam-ledger").symlink_to(program)
        summary = self.folder / f"summary-{self.number}-{name}.md"
        done = subprocess.run(
            [sys.executable, "-I", SCRIPT],
            cwd=work,
            env=variables
            | Repository(work).environment
            | {
                "GITHUB_ACTIONS": "true",
                "GITHUB_API_URL": self.api,
                "GITHUB_EVENT_NAME": event,
                "GITHUB_EVENT_PATH": str(self.folder / "event.json"),
                "GITHUB_OUTPUT": str(self.folder / "outputs"),
                "GITHUB_REPOSITORY": REPOSITORY,
                "GITHUB_RUN_ID": str(1000 + self.number),
                "GITHUB_STEP_SUMMARY": str(summary),
                "GITHUB_WORKSPACE": str(work),
                "RUNNER_TEMP": str(temporary),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )
        told = summary.read_text(encoding="utf-8") if summary.exists() else ""
        return Ended(name, done.returncode, done.stdout, told)


def _filled(text: str, known: dict[str, str]) -> str:
    """`text` with its expressions replaced; one that is not known is an error."""
    return _EXPRESSION.sub(lambda found: known[found[1]], text)
