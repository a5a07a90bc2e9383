"""What action.yml runs on GitHub: installs iam-ledger, then validates, plans or ingests with it.

Stands alone: the standard library of Python 3.11 is all it needs. Invariants: what is installed is
what the locks of this very checkout name; what GitHub does not say about the very commit
that is ingested is not passed on; no text of a pull request becomes a workflow command.
"""

import hashlib
import json
import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parents[2]
LOCKS = ("deploy/container/runtime.lock", "deploy/container/build.lock")
"""What runs, and what makes it a package; nothing that only tests need."""
MARKER = "<!-- iam-ledger plan: "

ANSWER_MAX_S = 30
ATTEMPTS_MAX = 4
PAGES_MAX = 50
A_PAGE = 100

Item = dict[str, Any]


class Failed(Exception):
    """What a person must read; nothing was appended."""


# --- GitHub's API ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Forge:
    """One repository's part of GitHub's REST API, of the version of 2022-11-28."""

    api: str
    """As the runner names it, in GITHUB_API_URL."""
    repository: str
    token: str
    sleep: Callable[[float], None] = time.sleep

    def ask(self, method: str, path: str, body: Item | None = None) -> Any:
        """One call. What may pass by itself is asked again; Failed where it does not."""
        request = urllib.request.Request(  # noqa: S310  the runner names the address
            f"{self.api}/repos/{self.repository}/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {self.token}",
                "X-GitHub-Api-Version": "2022-11-28",
            },
        )
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                with urllib.request.urlopen(request, timeout=ANSWER_MAX_S) as answer:  # noqa: S310
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                with error:
                    said = f"{error.code} {error.reason}"
                if error.code < 500 and error.code != 429:
                    break
            except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
                said = str(getattr(error, "reason", error))
            if attempt < ATTEMPTS_MAX:
                self.sleep(2.0**attempt)
        raise Failed(f"GitHub's answer to {method} {path} is: {said}")

    def all(self, path: str) -> Iterator[Item]:
        """Every item of a list, page by page."""
        for page in range(1, PAGES_MAX + 1):
            items = self.ask("GET", f"{path}?per_page={A_PAGE}&page={page}")
            yield from items
            if len(items) < A_PAGE:
                return
        raise Failed(f"{path} has more than {PAGES_MAX * A_PAGE} items; that cannot be meant")


# --- who brought a commit, and who approved it ----------------------------------------------------


@dataclass(frozen=True)
class Brought:
    """The pull request whose merge made a commit the branch's head."""

    url: str
    merged_at: str
    approved_by: tuple[str, ...]
    approved_before: tuple[str, ...] = ()
    """Those whose approval is of an earlier commit than what was merged."""

    def arguments(self) -> list[str]:
        approvals = [f"--approved-by={who}" for who in self.approved_by]
        return [f"--pull-request={self.url}", f"--merged-at={self.merged_at}", *approvals]


def ask_who_brought(forge: Forge, commit: str) -> Brought | None:
    """None: the commit came by no pull request."""
    found = merged_as(forge.all(f"commits/{commit}/pulls"), commit)
    if found is None:
        return None
    reviews = list(forge.all(f"pulls/{found['number']}/reviews"))
    approved = approvals(reviews)
    head = found["head"]["sha"]
    return Brought(
        url=found["html_url"],
        merged_at=found["merged_at"],
        approved_by=tuple(sorted(who for who, of in approved.items() if of == head)),
        approved_before=tuple(sorted(who for who, of in approved.items() if of != head)),
    )


def merged_as(pulls: Iterable[Item], commit: str) -> Item | None:
    """The one whose merge, squash or rebase ended in `commit`; others only contain it."""
    found = (pull for pull in pulls if pull["merged_at"] and pull["merge_commit_sha"] == commit)
    return next(found, None)


def approvals(reviews: Iterable[Item]) -> dict[str, str]:
    """Who approves at the end -> the commit that was looked at. Comments change no verdict."""
    last: dict[str, Item] = {}
    for review in reviews:  # the oldest first
        verdict = review["state"] in {"APPROVED", "CHANGES_REQUESTED", "DISMISSED"}
        if verdict and review["user"] is not None:  # None: the account was deleted
            last[review["user"]["login"]] = review
    return {who: each["commit_id"] for who, each in last.items() if each["state"] == "APPROVED"}


# --- the plan as a comment ------------------------------------------------------------------------


def put_comment(forge: Forge, number: int, body: str) -> None:
    """Writes the pull request's one comment of this plan anew, or for the first time.

    Only what a job wrote is written over: a person's comment stays a person's.
    """
    marker = body.partition("\n")[0]
    if not marker.startswith(MARKER):
        raise Failed("the plan begins with no marker; no comment was written")
    for comment in forge.all(f"issues/{number}/comments"):
        by_a_job = (comment["user"] or {}).get("type") == "Bot"
        if by_a_job and comment["body"].partition("\n")[0].rstrip("\r") == marker:
            if comment["body"] != body:
                forge.ask("PATCH", f"issues/comments/{comment['id']}", {"body": body})
            return
    forge.ask("POST", f"issues/{number}/comments", {"body": body})


# --- the program ----------------------------------------------------------------------------------


def environment_in(folder: Path, top: Path = TOP) -> Path:
    """Where the program of this checkout is installed, or will be."""
    locks = b"".join((top / lock).read_bytes() for lock in LOCKS)
    made_from = hashlib.sha256(f"{top}\n".encode() + locks).hexdigest()
    return folder / f"iam-ledger-{made_from[:16]}"


def install(folder: Path, top: Path = TOP) -> Path:
    """The program, in an environment of its own; made once a job."""
    environment = environment_in(folder, top)
    program = environment / "bin" / "iam-ledger"
    if not program.exists():
        make = [sys.executable, "-I", "-m", "venv", str(environment)]
        python = str(environment / "bin" / "python")
        pip = [python, "-I", "-m", "pip", "install", "--quiet", "--no-deps"]
        for line in (
            make,
            *([*pip, "--require-hashes", "-r", str(top / lock)] for lock in LOCKS),
            [*pip, "--no-index", "--no-build-isolation", str(top)],
        ):
            subprocess.run(line, check=True)  # noqa: S603  our own words
    return program


@dataclass(frozen=True)
class Job:
    """One step of a workflow."""

    variables: Mapping[str, str]
    program: Path

    def input(self, name: str) -> str:
        return self.variables.get(f"INPUT_{name}", "").strip()

    @property
    def event(self) -> str:
        return self.variables.get("GITHUB_EVENT_NAME", "")

    @property
    def forge(self) -> Forge:
        known = self.variables
        return Forge(known["GITHUB_API_URL"], known["GITHUB_REPOSITORY"], self.input("TOKEN"))

    def arguments(self) -> list[str]:
        """What every command takes: the directory last, so that no name of it is an option."""
        return ["--", self.input("CONFIG") or "."]

    def run(self) -> int:
        command = self.input("COMMAND")
        match command:
            case "validate":
                return self._call("validate", *self.arguments())
            case "plan":
                return self._plan()
            case "ingest":
                return self._ingest()
            case _:
                raise Failed(f"`command` is `{command}`; write validate, plan or ingest")

    def _call(self, *arguments: str, **how: Any) -> int:
        line = [str(self.program), *arguments]
        return subprocess.run(line, check=False, **how).returncode  # noqa: S603  no shell reads it

    def _plan(self) -> int:
        """The comment and the log have the same text; the step's summary is the program's."""
        file = Path(self.variables.get("RUNNER_TEMP", ".")) / "iam-ledger-plan.md"
        with file.open("wb") as out:
            options = ["-o", "markdown", *self._consent()]
            code = self._call("plan", *options, *self.arguments(), stdout=out)
        text = file.read_text(encoding="utf-8")
        say_unobeyed(text)
        output = self.variables.get("GITHUB_OUTPUT")
        if output:
            with Path(output).open("a", encoding="utf-8") as out_file:
                out_file.write(f"markdown-file={file}\n")
        if text and self.event == "pull_request" and self.input("COMMENT") == "true":
            event = json.loads(Path(self.variables["GITHUB_EVENT_PATH"]).read_text("utf-8"))
            try:
                put_comment(self.forge, int(event["pull_request"]["number"]), text)
            except Failed as reason:  # from a fork a token may not write; the plan stands above
                print(f"::warning title=no comment::{escaped(str(reason))}")
        return code

    def _ingest(self) -> int:
        options = self._consent()
        if self.input("WAIT"):
            options += [f"--wait={self.input('WAIT')}"]
        commit = self._head()
        brought = ask_who_brought(self.forge, commit)
        if brought is None:
            print(f"{commit} came by no pull request: none is recorded, and no approval")
            return self._call("ingest", *options, *self.arguments())
        print(f"{commit} was merged by {brought.url}")
        print(f"approved by: {', '.join(brought.approved_by) or 'nobody'}")
        if brought.approved_before:
            before = ", ".join(brought.approved_before)
            print(f"approved an earlier commit than was merged, not recorded: {before}")
        return self._call("ingest", *options, *brought.arguments(), *self.arguments())

    def _head(self) -> str:
        """The commit whose files are read, whatever event started the workflow."""
        line = ["git", "-C", self.input("CONFIG") or ".", "rev-parse", "HEAD"]
        asked = subprocess.run(line, check=False, capture_output=True, text=True)  # noqa: S603
        if asked.returncode != 0:
            raise Failed(f"git does not say which commit is read: {asked.stderr.strip()}")
        return asked.stdout.strip()

    def _consent(self) -> list[str]:
        allowed = self.input("ALLOW_REVOCATIONS")
        return [f"--allow-revocations={allowed}"] if allowed else []


def say_unobeyed(text: str) -> None:
    """Prints what came from a pull request, so that the runner obeys no line of it."""
    token = secrets.token_hex(16)
    print(f"::stop-commands::{token}\n{text}\n::{token}::", flush=True)


def escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def main() -> int:
    variables = os.environ
    folder = Path(variables.get("RUNNER_TEMP") or ".").resolve()
    try:
        return Job(variables, install(folder)).run()
    except Failed as reason:
        print(f"::error title=iam-ledger::{escaped(str(reason))}")
        return 1
    except subprocess.CalledProcessError as error:
        said = f"iam-ledger could not be installed: {error.cmd[0]} ended with {error.returncode}"
        print(f"::error title=iam-ledger::{escaped(said)}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
