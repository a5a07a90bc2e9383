"""The example repository, from its first merge to a revocation, by its own workflows' own steps."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cli.schema import modeline
from ledger.manifest import FOLDERS
from tests.support.commands import Ran, Shell, StillClock
from tests.support.github import PAGE, GitHub, comment, github, pull, review
from tests.support.ledgers import make_ledger
from tests.support.repositories import BEN, MERGER, Repository
from tests.support.workflows import Ended, Runner, read_yaml
from tests.walls.tree import ROOT

EXAMPLE = ROOT / "examples" / "repository"
WORKFLOWS = EXAMPLE / ".github" / "workflows"
REVIEW, INGEST = WORKFLOWS / "review.yml", WORKFLOWS / "ingest.yml"
WINDOWS = "access/temporary-access/payments.yaml"


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


@dataclass
class Company:
    """A repository made of a copy of the example, its runner, its ledger, and GitHub."""

    repository: Repository
    runner: Runner
    hub: GitHub
    shell: Shell
    unwaiting: Path
    """The ingest workflow as it is shipped, but that it does not wait: no worker runs here."""
    number: int = 0

    def merge(self, branch: str, *reviews: dict[str, object]) -> str:
        """By GitHub's button: a merge commit, of a pull request with these reviews."""
        head = self.repository.git("rev-parse", branch)
        self.repository.git("checkout", "--quiet", "main")
        self.repository.git("merge", "--quiet", "--no-ff", "-m", "merge", branch, who=MERGER)
        made = self.repository.head
        self.number += 1
        asked = pull(self.number, head=head, merged_as=made)
        self.hub.lists[f"commits/{made}/pulls"] = [asked]
        self.hub.lists[f"pulls/{self.number}/reviews"] = [*reviews]
        return made

    def ask(self, branch: str, path: str, text: str) -> str:
        """A commit on a branch of its own; answers its id."""
        self.repository.git("checkout", "--quiet", "-b", branch, "main")
        (self.repository.path / path).write_text(text, encoding="utf-8")
        return self.repository.commit(who=BEN)

    def review(self, branch: str) -> list[Ended]:
        event = {"pull_request": {"number": self.number + 1}}
        (self.runner.folder / "event.json").write_text(json.dumps(event), encoding="utf-8")
        self.hub.lists.setdefault(f"issues/{self.number + 1}/comments", [])
        return self.runner.run(REVIEW, self.repository, event="pull_request", ref=branch)

    def ingest(self, event: str = "push", **inputs: str) -> Ended:
        (ended,) = self.runner.run(
            self.unwaiting, self.repository, event=event, ref="main", **inputs
        )
        return ended

    def ask_ledger(self, *arguments: str) -> Ran:
        return self.shell.run("who-has-access", *arguments, "-o", "json")


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    """Everything of the example is merged; nothing is ingested yet. No worker runs."""
    url = make_ledger(tmp_path, "ledger.db")
    repository = Repository.create(tmp_path / "repository")
    shutil.copytree(EXAMPLE, repository.path, dirs_exist_ok=True)
    made = repository.commit()
    secrets = dict.fromkeys(("LEDGER_FOR_READING", "LEDGER_FOR_APPENDING"), str(url))
    with github() as hub:
        hub.lists[f"commits/{made}/pulls"] = []
        runner = Runner(tmp_path / "jobs", hub.url, secrets)
        runner.folder.mkdir()
        shell = Shell(url, StillClock(now()))
        yield Company(repository, runner, hub, shell, unwaiting(tmp_path / "ingest.yml"))


def unwaiting(written: Path) -> Path:
    text = INGEST.read_text(encoding="utf-8")
    assert text.count("          wait: 2m\n") == 1
    written.write_text(text.replace("          wait: 2m\n", ""), encoding="utf-8")
    return written


WANTED = """\
temporary-access:
  - description: Payments are stuck
    user: ana@example.com
    environment: prod
    grant: payments.break-glass
    duration: 4h
    ticket: OPS-1234
"""


def test_from_a_pull_request_to_the_ledger_with_who_approved_it(
    company: Company,
) -> None:
    first = company.ingest()
    assert (first.code, "came by no pull request" in first.out) == (0, True), first.out

    head = company.ask("stuck", WINDOWS, WANTED)
    validated, planned = company.review("stuck")
    assert (validated.code, planned.code) == (0, 0), planned.out
    ((method, path, body),) = company.hub.written
    assert (method, path) == ("POST", "issues/1/comments")
    assert body["body"].startswith("<!-- iam-ledger plan: access -->\n### iam-ledger: plan: 1 to g")
    assert "+ user/ana payments.break-glass in prod 111111111111" in body["body"]
    assert "for 4h from the ingest on" in body["body"]
    assert "ended by AWS, dangerous, ticket OPS-1234" in body["body"]
    assert f"::notice file={WINDOWS},line=3," in planned.out
    assert "1 to grant" in planned.summary

    company.merge("stuck", review("olga", "APPROVED", head), review("dan", "APPROVED", "e" * 40))
    ended = company.ingest()
    assert ended.code == 0, ended.out
    assert "approved an earlier commit than was merged, not recorded: dan" in ended.out
    company.shell.clock.instant = now() + timedelta(minutes=1)
    (item,) = company.ask_ledger("--policy", "payments.break-glass").json["access"]
    assert (item["principal"], item["ticket"]) == ("ana", "OPS-1234")
    assert (item["pull_request"], item["approved_by"]) == (f"{PAGE}/1", ["olga"])
    assert item["author"] == "Ben Okafor <ben@example.com>"
    before = company.ask_ledger("--policy", "payments.deploy").json["access"]
    assert {each["pull_request"] for each in before} == {None}, "what came before borrows nothing"


def test_a_mistake_ends_the_review_at_its_line_before_any_plan(company: Company) -> None:
    company.ask("typo", WINDOWS, WANTED.replace("payments.break-glass", "payments.brake-glass"))
    (validated,) = company.review("typo")
    assert validated.code == 1
    assert f"::error file={WINDOWS},line=5,col=12,title=unknown-policy::" in validated.out
    assert "did you mean `payments.break-glass`?" in validated.out
    assert company.hub.written == []


def test_the_comment_is_written_anew_after_a_push_and_a_fork_without_the_right_only_misses_it(
    company: Company,
) -> None:
    assert company.ingest().code == 0
    company.ask("stuck", WINDOWS, WANTED)
    company.hub.lists["issues/1/comments"] = [
        comment(77, "<!-- iam-ledger plan: access -->\nolder")
    ]
    company.review("stuck")
    assert [(method, path) for method, path, _ in company.hub.written] == [
        ("PATCH", "issues/comments/77")
    ]
    company.hub.answers["issues/1/comments"] = 403
    _, planned = company.review("stuck")
    assert planned.code == 0
    assert "::warning title=no comment::" in planned.out


def test_nothing_is_ingested_while_github_does_not_say_who_approved(
    company: Company,
) -> None:
    company.hub.lists.clear()
    ended = company.ingest()
    assert (ended.code, "::error title=iam-ledger::" in ended.out) == (1, True)
    assert company.shell.run("status", "-o", "json").json["head_position"] == 0


def test_the_brake_stops_a_merge_until_somebody_starts_the_workflow_with_its_number(
    company: Company,
) -> None:
    assert company.ingest().code == 0
    head = company.ask("leave", "access/permanent-access/payments.yaml", "permanent-access: []\n")
    company.merge("leave", review("olga", "APPROVED", head))
    stopped = company.ingest()
    assert stopped.code == 3, stopped.out
    assert "say --allow-revocations 6" in stopped.out
    again = company.ingest("workflow_dispatch", allow_revocations="6")
    assert again.code == 0, again.out
    assert "6 ended" in again.summary


# --- what the files themselves must say ----------------------------------------------------------


def test_ingests_run_one_after_the_other_and_none_is_cancelled() -> None:
    found = read_yaml(INGEST)
    assert found["concurrency"] == {"group": "ingest", "cancel-in-progress": "false"}
    assert found["on"]["push"] == {"branches": ["main"]}


def test_a_job_may_do_no_more_than_it_does() -> None:
    assert read_yaml(REVIEW)["permissions"] == {"contents": "read", "pull-requests": "write"}
    assert read_yaml(INGEST)["permissions"] == {"contents": "read", "pull-requests": "read"}
    assert "pull_request_target" not in REVIEW.read_text(encoding="utf-8")
    (review_job,) = read_yaml(REVIEW)["jobs"].values()
    assert "APPENDING" not in json.dumps(review_job)


def test_the_schemas_are_ours_and_every_file_names_its_own() -> None:
    ours = {path.name: path.read_bytes() for path in (ROOT / "schemas").iterdir()}
    theirs = {path.name: path.read_bytes() for path in (EXAMPLE / "access" / "schemas").iterdir()}
    assert theirs == ours, "run `iam-ledger schema --into examples/repository/access/schemas`"
    files = list((EXAMPLE / "access").rglob("*.yaml"))
    assert len(files) > 6
    for path in files:
        section = path.parent.name if path.parent.name in FOLDERS else "settings"
        first = path.read_text(encoding="utf-8").partition("\n")[0]
        assert first == modeline(section, "schemas"), path


def test_every_team_has_an_owner_and_every_file_that_decides_over_others_has_the_platform() -> None:
    owners = (EXAMPLE / ".github" / "CODEOWNERS").read_text(encoding="utf-8")
    for team in {path.stem for path in (EXAMPLE / "access" / "aws-accounts").iterdir()}:
        assert f"/access/*/{team}.yaml " in owners
    for path in ("/access/aws-policies/", "/access/iam-ledger.yaml", "/.github/"):
        line = next(line for line in owners.splitlines() if line.startswith(f"{path} "))
        assert line.endswith("@example-org/platform")
        rest = owners[owners.index(line) :]
        assert "payments-leads" not in rest, "the last line that fits a file counts"
