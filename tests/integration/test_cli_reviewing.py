"""What a pull request's reviewer sees of a plan: beside its lines, in its comment, and unforged."""

import shutil
from pathlib import Path

import pytest

from tests.support.builders import NOW, PROD, Files, at, directory, permanent, policy, temporary
from tests.support.commands import Ran, Shell, StillClock
from tests.support.ledgers import make_ledger

GITHUB = {"GITHUB_ACTIONS": "true"}
ADMIN = "arn:aws:iam::aws:policy/AdministratorAccess"
POLICIES = {
    "look": policy(),
    "fix": policy(),
    "watch": policy(enforcement="daemon"),
    "all": policy(managed_policies=[ADMIN]),
}
BEFORE = directory(policies=POLICIES, windows=[temporary("ana", expires_at=at(4))])
TEMPORARY = "config/temporary-access/payments.yaml"


class Review:
    """A repository's top folder with `config` in it, as GitHub's job sees both."""

    def __init__(self, top: Path) -> None:
        self.top = top
        url = make_ledger(top, "ledger.db")
        variables = {"IAM_LEDGER_DATABASE_URL": str(url), "GITHUB_WORKSPACE": str(top)}
        self.shell = Shell(None, StillClock(NOW), variables)

    def put(self, files: Files) -> None:
        shutil.rmtree(self.top / "config", ignore_errors=True)
        for path, content in files.items():
            (self.top / "config" / path).parent.mkdir(parents=True, exist_ok=True)
            (self.top / "config" / path).write_bytes(content)

    def run(self, files: Files, *arguments: str) -> Ran:
        self.put(files)
        return self.shell.run(*arguments, "config", **GITHUB)

    def line_of(self, path: str, text: str) -> int:
        """The one line of a file that holds `text`."""
        lines = (self.top / path).read_text().splitlines()
        (found,) = (number for number, line in enumerate(lines, 1) if text in line)
        return found


@pytest.fixture
def review(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Review:
    monkeypatch.chdir(tmp_path)
    return Review(tmp_path)


def commands(ran: Ran) -> list[str]:
    return [line for line in ran.err.splitlines() if line.startswith("::")]


# --- beside the lines ---------------------------------------------------------------------------


def test_each_line_that_gives_something_is_told_what_from_when_until_when_and_by_whom_it_ends(
    review: Review,
) -> None:
    review.run(BEFORE, "ingest")
    windows = [temporary("ana", expires_at=at(6)), temporary("ben", duration="2h")]
    ran = review.run(directory(policies=POLICIES, windows=windows), "plan")
    moved = review.line_of(TEMPORARY, "expires_at")
    given = review.line_of(TEMPORARY, '"ben"')
    assert commands(ran) == [
        f"::notice file={TEMPORARY},line={moved},col=18,title=would give::user/ana fix in prod "
        f"{PROD}: ends 2026-03-02T13:00:00Z -> 2026-03-02T15:00:00Z (2h later), ended by AWS",
        f"::notice file={TEMPORARY},line={given},col=12,title=would give::user/ben fix in prod "
        f"{PROD}: for 2h from the ingest on: until 2026-03-02T11:00:00Z if that were now, ended "
        "by AWS",
    ]
    assert "title=gives" in commands(review.run(directory(windows=windows), "ingest"))[0]


def test_of_many_lines_github_shows_ten_and_those_are_the_dangerous_ones(review: Review) -> None:
    people = [f"person{number}" for number in range(12)]
    risky = [temporary("dora", grant="watch", duration="1h"), temporary("eve", grant="all")]
    risky[1]["duration"] = "1h"
    windows = [*(temporary(one, duration="1h") for one in people), *risky]
    ran = review.run(directory(policies=POLICIES, windows=windows), "plan")
    notices = [line for line in commands(ran) if line.startswith("::notice ")]
    assert len(notices) == 10
    assert "user/dora watch" in notices[0]
    assert "perhaps ended by the daemon only" in notices[0]
    assert "user/eve all" in notices[1]
    assert "ended by AWS, dangerous" in notices[1]
    assert ran.out.count("\n  + user/") == 14, "the plan itself has all of them"


def test_a_line_that_gives_many_accesses_has_one_annotation_which_counts_them(
    review: Review,
) -> None:
    entry = permanent("ana")
    entry["grants"] = list(POLICIES)
    (notice,) = commands(review.run(directory(policies=POLICIES, standing=[entry]), "plan"))
    assert notice.count("%0A") == 3
    assert notice.endswith("%0Aand 1 more")


def test_what_only_the_ledger_knows_is_a_warning_at_its_line(review: Review) -> None:
    review.run(BEFORE, "ingest")
    review.shell.clock.instant = at(5)
    (warning,) = commands(review.run(BEFORE, "plan"))
    line = review.line_of(TEMPORARY, '"ana"')
    assert warning.startswith(f"::warning file={TEMPORARY},line={line},col=12,title=spent::")


def test_problems_are_errors_at_their_lines_and_nothing_else_is_said_there(review: Review) -> None:
    wrong = directory(standing=[permanent("ben", grant="lok")], windows=[temporary(duration="4x")])
    ran = review.run(wrong, "plan")
    assert ran.code == 1
    kinds = [line.partition(" ")[0] for line in commands(ran)]
    assert kinds == ["::error", "::error"]
    assert f"file={TEMPORARY},line={review.line_of(TEMPORARY, '4x')}," in commands(ran)[1]


def test_nothing_is_annotated_outside_of_github_and_files_stay_clean(review: Review) -> None:
    review.put(BEFORE)
    assert "::" not in review.shell.run("plan", "config").err
    ran = review.run(BEFORE, "plan", "-o", "json")
    assert len(commands(ran)) == 1
    assert ran.json["granted"] == 1


# --- the comment --------------------------------------------------------------------------------


def test_the_comment_of_one_directory_begins_with_the_same_hidden_line_whatever_the_plan_says(
    review: Review,
) -> None:
    good = review.run(BEFORE, "plan", "-o", "markdown").out
    bad = review.run(directory(windows=[temporary(duration="4x")]), "plan", "-o", "markdown").out
    done = review.run(BEFORE, "ingest", "-o", "markdown").out
    none = review.run(BEFORE, "plan", "-o", "markdown").out
    marker = "<!-- iam-ledger plan: config -->\n"
    assert all(text.startswith(f"{marker}### iam-ledger: ") for text in (good, bad, none))
    assert done.startswith("<!-- iam-ledger ingest: config -->\n")
    shutil.move(review.top / "config", review.top / "a--b > c")
    other = review.shell.run("plan", "a--b > c", "-o", "markdown").out.partition("\n")[0]
    assert other == "<!-- iam-ledger plan: a%2D%2Db%20%3E%20c -->"


# --- what a pull request cannot do ---------------------------------------------------------------


@pytest.mark.parametrize(
    "ticket", ["##[set-output name=pwned;]yes", "OPS ##[add-mask]secret", "::set-output name=x::y"]
)
@pytest.mark.parametrize("command", ["plan", "ingest"])
def test_no_text_of_a_pull_request_is_a_command_to_the_runner_that_prints_the_plan(
    review: Review, ticket: str, command: str
) -> None:
    windows = [temporary("ana", duration="4h", ticket=ticket)]
    ran = review.run(directory(windows=windows), command)
    assert ran.code == 0
    assert "ticket " in ran.out
    for line in [*ran.out.splitlines(), *ran.err.splitlines()]:
        if not line.startswith("::notice "):
            assert "##[" not in line
            assert not line.strip().startswith("::")


@pytest.mark.parametrize("command", ["plan", "validate"])
def test_the_line_shown_of_a_wrong_file_is_no_command_either(review: Review, command: str) -> None:
    files = dict(directory(windows=[temporary(duration="4h")]))
    files["temporary-access/payments.yaml"] = b"temporary-access:\n  ::set-output name=a::b ##[c]\n"
    ran = review.run(files, command)
    assert ran.code == 1
    for line in [*ran.out.splitlines(), *ran.err.splitlines()]:
        if not line.startswith("::error "):
            assert "##[" not in line
            assert not line.strip().startswith("::")
