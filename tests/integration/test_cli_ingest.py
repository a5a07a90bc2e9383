"""`plan` and `ingest`, in and outside of git work trees: what is told, appended, and stopped."""

import json
import shutil
from pathlib import Path

import pytest

from tests.support.builders import NOW, PROD, Files, at, directory, permanent, policy, temporary
from tests.support.commands import Shell, StillClock
from tests.support.ledgers import make_ledger
from tests.support.repositories import BEN, Repository

KEYS = [
    *("schema_version", "commit", "dry_run", "granted", "revoked", "policies", "accounts"),
    *("position", "warnings", "events"),
]
TEMPORARY = temporary(duration="4h", ticket="OPS-1")
FIRST = directory(standing=[permanent("ana", "bob")], windows=[TEMPORARY])
SECOND = directory(
    standing=[permanent("bob")],
    windows=[temporary(duration="6h", ticket="OPS-1"), temporary("dan", duration="1h")],
)
MANY = directory(standing=[permanent(*(f"user{number}" for number in range(30)))])


class Place:
    """A folder with a configuration directory and a ledger's address."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "config"
        self.database = folder / "ledger.db"
        address = f"sqlite+aiosqlite:///{self.database}"
        self.shell = Shell(None, StillClock(NOW), {"IAM_LEDGER_DATABASE_URL": address})

    def put(self, files: Files) -> Path:
        shutil.rmtree(self.config, ignore_errors=True)
        self.config.mkdir()
        for path, content in files.items():
            target = self.config / path
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(content)
        return self.config

    def ingest(self, files: Files) -> None:
        """Into a ledger that is there already, as most are."""
        if not self.database.exists():
            make_ledger(self.database.parent, self.database.name)
        ran = self.shell.run("ingest", self.put(files))
        assert ran.code == 0, ran.err

    def position(self) -> int:
        found = self.shell.run("status", "-o", "json").json["head_position"]
        assert isinstance(found, int)
        return found


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


# --- what is told -----------------------------------------------------------------------------


def test_ingest_makes_the_ledger_and_json_is_the_contract_to_the_key(place: Place) -> None:
    ran = place.shell.run("ingest", place.put(FIRST), "-o", "json")
    assert (ran.code, list(ran.json)) == (0, KEYS)
    counts = {key: ran.json[key] for key in ("granted", "revoked", "policies", "accounts")}
    assert counts == {"granted": 3, "revoked": 0, "policies": 2, "accounts": 2}
    assert (ran.json["dry_run"], ran.json["position"], ran.json["commit"]) == (False, 9, None)
    assert [event["position"] for event in ran.json["events"]] == list(range(1, 10))
    (ana, *_rest) = [event for event in ran.json["events"] if event["kind"] == "granted"]
    assert ana["sentence"].startswith("granted look to user/ana in prod")
    assert ana["source"] == "permanent-access/payments.yaml:6"
    again = place.shell.run("ingest", place.config, "-o", "json")
    assert (again.code, again.json["events"], again.json["position"]) == (0, [], 9)
    text = place.shell.run("ingest", place.config)
    assert "no changes: the ledger says what the directory says; ledger position 9" in text.out


def test_plan_tells_what_ends_changes_and_begins_and_appends_nothing(place: Place) -> None:
    place.ingest(FIRST)
    place.shell.clock.instant = at(1)
    ran = place.shell.run("plan", place.put(SECOND))
    assert ran.code == 0
    blocks = ran.out.split("\n\n")
    assert blocks[0] == "what ingest would append at 2026-03-02T10:00:00Z, ledger position 9"
    assert blocks[1] == (
        "to end (1)\n"
        f"  - user/ana look in prod {PROD}\n"
        "      permanent, its line was taken out, permanent-access/payments.yaml"
    )
    assert blocks[2] == (
        "to change (1)\n"
        f"  ~ user/ana fix in prod {PROD}\n"
        "      ends 2026-03-02T13:00:00Z -> 2026-03-02T15:00:00Z (2h later), ended by AWS, "
        "temporary-access/payments.yaml:5"
    )
    assert blocks[3] == (
        "to grant (1)\n"
        f"  + user/dan fix in prod {PROD}\n"
        "      for 1h from the ingest on: until 2026-03-02T11:00:00Z if that were now, "
        "ended by AWS, temporary-access/payments.yaml:13"
    )
    assert blocks[-1] == (
        "plan: 1 to grant, 1 to change, 1 to end; 0 policies, 0 accounts; nothing was appended\n"
    )
    assert place.position() == 9


def test_a_dry_run_is_the_plan_to_the_letter(place: Place) -> None:
    place.ingest(FIRST)
    place.put(SECOND)
    for form in ("table", "json", "markdown"):
        planned = place.shell.run("plan", place.config, "-o", form)
        assert planned == place.shell.run("ingest", place.config, "--dry-run", "-o", form)
    assert place.position() == 9


def test_what_was_planned_is_what_is_appended(place: Place) -> None:
    place.ingest(FIRST)
    place.put(SECOND)
    planned = place.shell.run("plan", place.config, "-o", "json").json
    done = place.shell.run("ingest", place.config, "-o", "json").json
    assert (planned["dry_run"], planned["position"]) == (True, 9)
    assert {event["position"] for event in planned["events"]} == {None}
    for event in (*planned["events"], *done["events"]):
        del event["position"]
    assert planned["events"] == done["events"]
    assert done["position"] == 9 + len(done["events"])


def test_a_start_counts_in_a_change_only_where_it_is_to_come_and_moves(place: Place) -> None:
    windows = [
        temporary("ana", starts_at=at(5), duration="2h"),
        temporary("bob", starts_at=at(5), expires_at=at(7)),
        temporary("carl", expires_at=at(7)),
    ]
    place.ingest(directory(windows=windows))
    place.shell.clock.instant = at(1)
    changed = [
        temporary("ana", starts_at=at(5), duration="3h"),
        temporary("bob", starts_at=at(3), expires_at=at(7)),
        temporary("carl", expires_at=at(8)),
    ]
    out = place.shell.run("plan", place.put(directory(windows=changed))).out
    details = [line.strip().partition(", ended by AWS")[0] for line in out.splitlines()]
    assert "to change (3)" in out
    assert (
        "from 2026-03-02T14:00:00Z until 2026-03-02T16:00:00Z -> "
        "from 2026-03-02T12:00:00Z until 2026-03-02T16:00:00Z"
    ) in details
    assert details.count("ends 2026-03-02T16:00:00Z -> 2026-03-02T17:00:00Z (1h later)") == 2


def test_a_changed_policy_names_how_many_grants_stand_under_it(place: Place) -> None:
    short = temporary("carl", grant="look", duration="1h")
    people = [permanent("ana", "bob")]
    place.ingest(directory(standing=people, windows=[TEMPORARY, short]))
    place.shell.clock.instant = at(2)
    wider = {"look": policy(description="wider"), "fix": policy()}
    files = directory(policies=wider, standing=people, windows=[TEMPORARY, short])
    out = place.shell.run("plan", place.put(files)).out
    assert "  ~ policy look of payments defined: statements of its own\n" in out
    assert "changed under 2 grants in force, aws-policies/payments.yaml:3" in out
    assert "plan: 0 to grant, 0 to change, 0 to end; 1 policy, 0 accounts" in out


def test_held_lines_and_lines_that_are_over_are_told(place: Place) -> None:
    place.ingest(FIRST)
    place.shell.run("revoke", "--principal", "bob", "--by", "olga", "--reason", "left us")
    place.shell.clock.instant = at(5)
    late = temporary("eve", expires_at=at(1))
    files = directory(standing=[permanent("ana", "bob")], windows=[TEMPORARY, late])
    out = place.shell.run("plan", place.put(files)).out
    assert (
        "held, granting nothing until released (1)\n"
        f"  ! user/bob look in prod {PROD}\n"
        "      hold-1 by olga (left us), permanent-access/payments.yaml:7\n"
    ) in out
    over = out[out.index("over, granting nothing (2)") :]
    assert "to ask anew, give another `ticket` or `starts_at`" in over
    assert over.index("ended at 2026-03-02T10:00:00Z, never granted") < over.index(
        "ended at 2026-03-02T13:00:00Z, temporary-access/payments.yaml:5"
    )
    warnings = place.shell.run("plan", place.config, "-o", "json").json["warnings"]
    assert {"spent", "already-ended"} < {warning["code"] for warning in warnings}
    assert set(warnings[0]) == {
        *("path", "line", "column", "severity", "code", "message", "hint"),
    }


def test_a_long_history_of_ended_lines_is_only_counted(place: Place) -> None:
    old = [temporary(f"user{n}", duration="1h") for n in range(15)]
    place.ingest(directory(windows=old))
    place.shell.clock.instant = at(2)
    out = place.shell.run("plan", place.config).out
    assert "over, granting nothing (15)" in out
    assert out.count("  . user/") == 10
    assert "  and 5 more; -o json lists all" in out


def test_a_screen_of_80_columns_is_kept_and_signs_have_their_colour(place: Place) -> None:
    long = "a.person.with.a.very.long.name.and.then.some"
    place.ingest(FIRST)
    files = directory(
        standing=[permanent(long)], windows=[temporary(long, starts_at=at(9), duration="1h")]
    )
    place.put(files)
    place.shell.screen = True
    assert place.shell.run("plan", place.config, NO_COLOR="1").width <= 80
    out = place.shell.run("plan", place.config).out
    assert f"\x1b[32m  + user/{long} look in prod {PROD}\x1b[0m" in out
    assert f"\x1b[1;31m  - user/bob look in prod {PROD}\x1b[0m" in out


@pytest.mark.parametrize("command", ["plan", "ingest"])
def test_markdown_is_a_diff_under_65_000_characters_that_says_what_it_leaves_out(
    place: Place, command: str
) -> None:
    names = [f"a.person.with.a.rather.long.name.{number}" for number in range(900)]
    place.ingest(directory())
    ran = place.shell.run(
        command, place.put(directory(standing=[permanent(*names)])), "-o", "markdown"
    )
    assert ran.code == 0
    assert 60_000 < len(ran.out) < 65_000
    marker, heading = ran.out.splitlines()[:2]
    assert marker.startswith(f"<!-- iam-ledger {command}: ")
    assert heading.startswith("### iam-ledger: ")
    assert "\n```diff\n" in ran.out
    assert "more lines are not shown here" in ran.out
    assert ran.out.count("```") == 2


def test_a_short_plan_is_whole_in_markdown(place: Place) -> None:
    place.ingest(FIRST)
    out = place.shell.run("plan", place.put(SECOND), "-o", "markdown").out
    assert "not shown" not in out
    assert "\n```diff\n@@ to end (1) @@\n" in out
    assert f"\n+ user/dan fix in prod {PROD}\n" in out
    assert f"\n- user/ana look in prod {PROD}\n" in out
    assert f"\n! user/ana fix in prod {PROD}\n" in out, "GitHub colours no line that begins with ~"


def test_github_gets_the_plan_in_its_summary_and_never_too_much_of_it(
    place: Place, tmp_path: Path
) -> None:
    place.ingest(FIRST)
    summary = tmp_path / "summary.md"
    variables = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    assert place.shell.run("plan", place.put(SECOND), **variables).code == 0
    text = summary.read_text()
    assert text.startswith("### iam-ledger: plan: 1 to grant, 1 to change, 1 to end")
    place.shell.run("ingest", place.put(directory(windows=[temporary(duration="6x")])), **variables)
    assert "1 problem" in summary.read_text()
    summary.write_bytes(b"x" * (1024 * 1024 - 9_000))
    place.shell.run("plan", place.put(MANY), **variables)
    assert summary.stat().st_size <= 1024 * 1024
    assert "more lines are not shown here" in summary.read_text()


# --- exit codes and what stops ----------------------------------------------------------------


def test_detailed_exitcode_is_2_only_with_changes_and_only_when_asked_for(place: Place) -> None:
    place.ingest(FIRST)
    assert place.shell.run("plan", place.config, "--detailed-exitcode").code == 0
    place.put(SECOND)
    assert place.shell.run("plan", place.config).code == 0
    assert place.shell.run("plan", place.config, "--detailed-exitcode").code == 2


@pytest.mark.parametrize("arguments", [("plan",), ("ingest", "--dry-run")])
def test_looking_makes_no_ledger(place: Place, arguments: tuple[str, ...]) -> None:
    ran = place.shell.run(*arguments, place.put(FIRST))
    assert (ran.code, ran.out, place.database.exists()) == (78, "", False)
    assert "there is no ledger at" in ran.err


@pytest.mark.parametrize("command", ["plan", "ingest"])
def test_problems_are_1_at_their_places_and_nothing_is_appended(place: Place, command: str) -> None:
    place.ingest(FIRST)
    bad = directory(
        standing=[permanent("ana", grant="lok")], windows=[temporary("zoe", duration="9x")]
    )
    ran = place.shell.run(command, place.put(bad))
    assert ran.code == 1
    assert f"{place.config}/permanent-access/payments.yaml:12:5: policy `lok`" in ran.out
    assert ran.err == "2 problems; nothing was appended\n"
    ran = place.shell.run(command, place.config, "-o", "json")
    assert (ran.code, list(ran.json)) == (1, [*KEYS, "problems"])
    assert ran.json["events"] == []
    assert [problem["code"] for problem in ran.json["problems"]] == ["unknown-policy", "duration"]
    markdown = place.shell.run(command, place.config, "-o", "markdown")
    assert "| error | policy \\`lok\\`" in markdown.out
    assert place.position() == 9


def test_a_problem_that_only_the_ledger_knows_is_located_too(place: Place) -> None:
    place.ingest(directory(settings={"policy_path": "/a/"}, standing=[permanent("ana")]))
    moved = directory(settings={"policy_path": "/b/"}, standing=[permanent("ana")])
    ran = place.shell.run("ingest", place.put(moved))
    assert (ran.code, "iam-ledger.yaml:" in ran.out) == (1, True)
    assert "write `policy_path: /a/` again" in ran.out


def test_what_no_document_can_say_is_a_problem_of_ingest_too(place: Place) -> None:
    deny = {"effect": "Deny", "actions": ["s3:*"], "resources": ["*"]}
    policies = {"look": policy(), "fix": {"custom_statements": [deny]}}
    ran = place.shell.run(
        "ingest", place.put(directory(policies=policies, windows=[TEMPORARY])), "-o", "json"
    )
    assert (ran.code, ran.json["granted"]) == (1, 0)
    assert [problem["code"] for problem in ran.json["problems"]] == ["cannot-be-written"]


def test_the_brake_is_3_with_the_list_of_what_would_end(place: Place) -> None:
    place.ingest(MANY)
    before = place.position()
    ran = place.shell.run("ingest", place.put(directory(standing=[permanent("user0")])))
    assert ran.code == 3
    assert "to end (29)" in ran.out
    assert all(f"  - user/user{number} look in prod" in ran.out for number in range(1, 30))
    assert "29 accesses would end" in ran.err
    assert "say --allow-revocations 29; nothing was appended" in ran.err
    ran = place.shell.run("ingest", place.config, "-o", "json")
    assert (ran.code, list(ran.json)) == (3, [*KEYS, "stops"])
    assert ran.json["dry_run"] is True
    (stop,) = ran.json["stops"]
    assert (stop["code"], len(stop["ends"])) == ("brake", 29)
    assert place.position() == before
    assert place.shell.run("ingest", place.config, "--allow-revocations", "28").code == 3
    assert place.shell.run("ingest", place.config, "--allow-revocations", "29").code == 0


@pytest.mark.parametrize("options", [("plan",), ("plan", "--detailed-exitcode"), ("ingest",)])
@pytest.mark.parametrize("form", ["table", "json", "markdown"])
def test_a_clock_that_is_behind_is_1_since_grants_are_held_back(
    place: Place, options: tuple[str, ...], form: str
) -> None:
    place.ingest(FIRST)
    place.shell.clock.instant = at(-1)
    ran = place.shell.run(*options, place.put(SECOND), "-o", form)
    assert ran.code == 1
    assert "nothing is granted (2 held back)" in ran.err
    assert "set the clock, then ingest the same commit again" in ran.err
    if options == ("ingest",):
        place.shell.clock.instant = at(-1)
        ran = place.shell.run(*options, place.config, "-o", form, "--wait", "1m")
        assert ran.code == 1, "waiting for nothing is no success"
        place.shell.clock.instant = at()
        assert place.shell.run("ingest", place.config).code == 0


def test_plan_shows_when_the_brake_would_stop_and_is_0(place: Place) -> None:
    place.ingest(MANY)
    ran = place.shell.run("plan", place.put(directory(standing=[permanent("user0")])))
    assert ran.code == 0
    assert "ingest stops here: 29 accesses would end" in ran.out
    assert "**Ingest stops here:**" in place.shell.run("plan", place.config, "-o", "markdown").out
    allowed = place.shell.run("plan", place.config, "--allow-revocations", "29")
    assert "stops here" not in allowed.out


def test_a_mass_shortening_names_what_the_brake_counts(place: Place) -> None:
    lines = [temporary(f"user{n}", duration="8h") for n in range(6)]
    place.ingest(directory(windows=lines))
    shorter = [temporary(f"user{n}", duration="4h") for n in range(6)]
    ran = place.shell.run("ingest", place.put(directory(windows=shorter)))
    assert ran.code == 3
    assert "to change (6)" in ran.out
    assert "counted by the brake (6)" in ran.out
    assert "to end" not in ran.out.split("plan: ")[0]


def test_an_empty_directory_meets_the_brake_and_never_makes_a_ledger(
    place: Place, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    ran = place.shell.run("ingest", empty)
    assert (ran.code, place.database.exists()) == (78, False)
    assert "is it the right directory? Nothing was done" in ran.err
    place.ingest(FIRST)
    before = place.position()
    ran = place.shell.run("ingest", empty)
    assert (ran.code, "the directory is empty" in ran.err) == (3, True)
    assert place.position() == before
    assert place.shell.run("ingest", empty, "--allow-revocations", "3").code == 0


def test_an_empty_directory_with_nothing_to_end_is_the_wrong_one(
    place: Place, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    place.ingest(directory())
    before = place.position()
    for command in ("plan", "ingest"):
        ran = place.shell.run(command, empty)
        assert (ran.code, "is it the right directory?" in ran.err) == (78, True)
    assert place.position() == before


def test_a_misspelt_team_is_a_usage_error_and_a_team_whose_files_are_gone_is_not(
    place: Place,
) -> None:
    place.ingest(FIRST | directory("other", standing=[permanent("carl")]))
    before = place.position()
    ran = place.shell.run("ingest", place.config, "--team", "payments", "--team", "othr")
    assert (ran.code, ran.out) == (64, "")
    assert "neither the directory nor the ledger has such a team; did you mean `other`?" in ran.err
    ran = place.shell.run("ingest", place.put(FIRST), "--team", "other")
    assert (ran.code, "permanent-access/other.yaml" in ran.err) == (3, True)
    assert place.position() == before
    ran = place.shell.run("ingest", place.config, "--team", "other", "--allow-revocations", "1")
    assert (ran.code, place.position() > before) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--dry-run", "--wait", "2m"), "nothing to wait for"),
        (("--merged-at", "2026-03-02"), "an instant, not a day"),
        (("--commit", "abc1234"), "give its id in full"),
        (("--allow-revocations", "-1"), "is not in the range"),
        (("--wait", "soon"), "is no length of time"),
        (("two", "three"), "unexpected extra argument"),
    ],
)
def test_a_line_that_cannot_be_meant_appends_nothing(
    place: Place, arguments: tuple[str, ...], words: str
) -> None:
    ran = place.shell.run("ingest", place.put(FIRST), *arguments)
    assert (ran.code, ran.out, place.database.exists()) == (64, "", False)
    assert words in ran.err


# --- git and CI -------------------------------------------------------------------------------


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository.create(tmp_path / "work")


def in_git(place: Place, repository: Repository) -> Shell:
    place.shell.variables |= repository.environment
    return place.shell


def test_lines_carry_their_commit_and_the_answer_names_it(
    place: Place, repository: Repository
) -> None:
    shell = in_git(place, repository)
    first = repository.commit(directory(standing=[permanent("ana")]))
    second = repository.commit(directory(standing=[permanent("bob", "ana")]), who=BEN)
    given = ("--approved-by", "olga", "--approved-by", "piet", "--pull-request", "https://x/7")
    ran = shell.run("ingest", repository.path, *given, "-o", "json")
    assert (ran.code, ran.json["commit"], ran.json["warnings"]) == (0, second, [])
    bob, ana = [event for event in ran.json["events"] if event["kind"] == "granted"]
    assert (ana["commit"], ana["author"], ana["approved_by"]) == (
        first,
        "Ana Lima <ana@example.com>",
        [],
    )
    assert (bob["commit"], bob["author"]) == (second, "Ben Okafor <ben@example.com>")
    assert (bob["approved_by"], bob["pull_request"]) == (["olga", "piet"], "https://x/7")
    planned = shell.run("plan", repository.path)
    assert f", ledger position {ran.json['position']}, commit {second[:10]}" in planned.out


def test_a_stale_commit_is_3_and_allow_stale_overrides(
    place: Place, repository: Repository
) -> None:
    shell = in_git(place, repository)
    first = repository.commit(directory(standing=[permanent("ana")]))
    repository.commit(directory(standing=[permanent("ana", "bob")]))
    assert shell.run("ingest", repository.path).code == 0
    before = place.position()
    repository.git("checkout", "--quiet", first)
    ran = shell.run("ingest", repository.path)
    assert ran.code == 3
    assert "does not follow what was ingested last" in ran.err
    assert "nothing was appended" in ran.err
    assert place.position() == before
    planned = shell.run("plan", repository.path)
    assert (planned.code, "ingest stops here: commit" in planned.out) == (0, True)
    stops = shell.run("ingest", repository.path, "-o", "json").json["stops"]
    assert [stop["code"] for stop in stops] == ["stale-commit"]
    assert shell.run("ingest", repository.path, "--allow-stale").code == 0


def test_a_shallow_clone_is_78_and_names_fetch_depth(
    place: Place, repository: Repository, tmp_path: Path
) -> None:
    shell = in_git(place, repository)
    repository.commit(directory(standing=[permanent("ana")]))
    assert shell.run("ingest", repository.path).code == 0
    before = place.position()
    repository.commit(directory(standing=[permanent("ana", "bob")]))
    clone = repository.clone(tmp_path / "clone", "--depth", "1")
    ran = shell.run("ingest", clone.path)
    assert (ran.code, ran.out) == (78, "")
    assert "`fetch-depth: 0`" in ran.err
    assert "nothing was appended" in ran.err
    assert place.position() == before
    planned = shell.run("plan", clone.path)
    assert (planned.code, "fetch-depth: 0" in planned.out) == (0, True)


def test_a_dirty_work_tree_is_warned_of(place: Place, repository: Repository) -> None:
    shell = in_git(place, repository)
    repository.commit(directory(standing=[permanent("ana")]))
    repository.write(directory(standing=[permanent("ana", "bob")]))
    ran = shell.run("ingest", repository.path)
    assert ran.code == 0
    assert "(dirty)" in ran.out.splitlines()[0]
    assert "! the work tree differs from its commit" in ran.out


def test_only_the_news_of_a_commit_is_no_change(place: Place, repository: Repository) -> None:
    shell = in_git(place, repository)
    repository.commit(FIRST)
    assert shell.run("ingest", repository.path).code == 0
    (repository.path / "notes.txt").write_text("nothing that matters")
    repository.commit()
    planned = shell.run("plan", repository.path, "--detailed-exitcode")
    assert planned.code == 0
    assert "no changes: the ledger says what the directory says" in planned.out
    assert "only that this commit was read would be appended" in planned.out
    before = place.position()
    assert shell.run("ingest", repository.path).code == 0
    assert place.position() == before + 1


def test_what_ci_does_not_know_may_be_empty(place: Place) -> None:
    options = ("--commit", "", "--author=", "--approved-by", "", "--pull-request", "")
    assert place.shell.run("ingest", place.put(FIRST), *options, "--run-url", "").code == 0


def test_outside_a_work_tree_the_answer_says_that_nothing_was_compared(place: Place) -> None:
    place.put(FIRST)
    commit = "c" * 40
    ran = place.shell.run("ingest", place.config, "--commit", commit, "-o", "json")
    assert (ran.json["commit"], [w["code"] for w in ran.json["warnings"]]) == (
        commit,
        ["not-compared"],
    )
    assert "! the directory is in no git work tree" in place.shell.run("plan", place.config).out


def test_a_work_tree_that_git_refuses_is_78(place: Place, repository: Repository) -> None:
    shell = in_git(place, repository)
    repository.commit(FIRST)
    unknown = shell.run("ingest", repository.path, "--commit", "nonsense")
    assert (unknown.code, unknown.out) == (78, "")
    assert "git knows no commit `nonsense` here; nothing was appended" in unknown.err
    (repository.path / ".git" / "HEAD").write_text("nonsense")
    broken = shell.run("ingest", repository.path)
    assert (broken.code, broken.out, place.database.exists()) == (78, "", False)
    assert f"git cannot read the work tree of {repository.path}" in broken.err


def test_the_run_that_ci_names_stands_behind_every_event(place: Place) -> None:
    ci = {
        "GITLAB_CI": "true",
        "CI_JOB_URL": "https://gitlab.example/job/7",
        "CI_COMMIT_SHA": "b" * 40,
    }
    ran = place.shell.run("ingest", place.put(FIRST), "-o", "json", **ci)
    assert ran.code == 0
    assert {event["run_url"] for event in ran.json["events"]} == {"https://gitlab.example/job/7"}
    assert ran.json["commit"] == "b" * 40
    text = place.shell.run("history", "--newest", "1", "-o", "ndjson").out
    assert json.loads(text)["commit"] == "b" * 40
