"""`validate`: every problem at its place, for people, scripts, GitHub and GitLab."""

import json
import shutil
from pathlib import Path

import pytest

from cli.summary import SUMMARY_MAX_BYTES
from ledger.manifest import Problem, Source
from tests.support.builders import Files, at, directory, permanent, policy, temporary
from tests.support.commands import Shell, StillClock

GOOD = directory(standing=[permanent("ana")], windows=[temporary(duration="4h")])
BAD = directory(standing=[permanent("ana", grant="lok")], windows=[temporary(duration="6z")])
SEED = Path(__file__).parents[1] / "support" / "seed_example"
GITHUB = {"GITHUB_ACTIONS": "true"}


def put(folder: Path, files: Files) -> Path:
    """A configuration directory with these files."""
    config = folder / "config"
    shutil.rmtree(config, ignore_errors=True)
    config.mkdir()
    for path, content in files.items():
        target = config / path
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(content)
    return config


@pytest.fixture
def shell() -> Shell:
    return Shell(clock=StillClock(at()))


def test_a_good_directory_is_0_and_says_so(shell: Shell, tmp_path: Path) -> None:
    ran = shell.run("validate", put(tmp_path, GOOD))
    assert (ran.code, ran.out, ran.err) == (0, "", "no problems\n")
    assert shell.run("validate", "-q", put(tmp_path, GOOD)).err == ""
    ran = shell.run("validate", put(tmp_path, GOOD), "-o", "json")
    assert (ran.code, ran.json) == (0, {"schema_version": 1, "problems": []})


def test_every_problem_has_its_place_its_line_and_what_to_write(
    shell: Shell, tmp_path: Path
) -> None:
    config = put(tmp_path, BAD)
    ran = shell.run("validate", config)
    assert ran.code == 1
    lines = ran.out.splitlines()
    assert lines[0] == (
        f"{config}/permanent-access/payments.yaml:12:5: policy `lok` (in `grants`) is not in "
        "aws-policies; did you mean `look`?"
    )
    assert lines[1].strip() == '"lok"'
    assert lines[2].index("^") == lines[1].index('"')
    assert f"{config}/temporary-access/payments.yaml:8:16: `duration` is 6z" in lines[3]
    assert ran.err == "2 problems\n"


def test_the_place_is_a_path_that_the_shell_can_open(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(put(tmp_path, BAD))
    assert shell.run("validate").out.startswith("permanent-access/payments.yaml:12:5: ")
    monkeypatch.chdir(tmp_path)
    assert shell.run("validate", "config").out.startswith("config/permanent-access/")


def test_json_is_the_contract_to_the_key(shell: Shell, tmp_path: Path) -> None:
    ran = shell.run("validate", put(tmp_path, BAD), "-o", "json")
    assert (ran.code, ran.err) == (1, "2 problems\n")
    assert list(ran.json) == ["schema_version", "problems"]
    assert ran.json["problems"][0] == {
        "path": "permanent-access/payments.yaml",
        "line": 12,
        "column": 5,
        "severity": "error",
        "code": "unknown-policy",
        "message": "policy `lok` (in `grants`) is not in aws-policies",
        "hint": "did you mean `look`?",
    }


def test_the_seed_s_own_example_is_refused_at_each_unknown_policy(shell: Shell) -> None:
    ran = shell.run("validate", SEED, "-o", "json")
    assert ran.code == 1
    problems = [each for each in ran.json["problems"] if each["severity"] == "error"]
    assert {problem["code"] for problem in problems} == {"unknown-policy"}
    for name in ("dev.read-only", "platform.admin", "dev.break-glass"):
        assert any(f"`{name}`" in problem["message"] for problem in problems), name


def test_what_no_document_can_say_is_refused_from_the_files_alone(
    shell: Shell, tmp_path: Path
) -> None:
    deny = {"effect": "Deny", "actions": ["s3:*"], "resources": ["*"]}
    # As it stands it fits a managed policy, with an end it does not, and it has no parts.
    but = [f"arn:aws:s3:::{'x' * 81}{number:03}" for number in range(60)]
    large = {"effect": "Allow", "actions": ["s3:GetObject"], "not_resources": but}
    policies = {
        "look": {"custom_statements": [deny]},
        "fix": {"custom_statements": [large]},
    }
    windows = [temporary(grant="look", duration="1h"), temporary("bob", duration="1h")]
    config = put(tmp_path, directory(policies=policies, windows=windows))
    problems = shell.run("validate", config, "-o", "json").json["problems"]
    assert [problem["code"] for problem in problems] == ["cannot-be-written"] * 2
    assert "cannot be parted" in problems[1]["message"]
    assert all(problem["path"] == "temporary-access/payments.yaml" for problem in problems)


def test_limits_are_told_before_an_ingest_meets_them(shell: Shell, tmp_path: Path) -> None:
    policies = {"look": policy(), "fix": policy(max_duration="2h")}
    windows = [temporary(duration="9d"), temporary("bob", duration="3h")]
    config = put(tmp_path, directory(policies=policies, windows=windows))
    problems = shell.run("validate", config, "-o", "json").json["problems"]
    assert {problem["code"] for problem in problems} == {"too-far", "too-long"}


def test_a_warning_alone_is_0(shell: Shell, tmp_path: Path) -> None:
    ended = temporary(expires_at=at(-2), grant="gone")
    ran = shell.run("validate", put(tmp_path, directory(windows=[ended])))
    assert (ran.code, ran.err) == (0, "1 warning\n")
    assert ": warning: policy `gone`" in ran.out


def test_team_reads_only_that_team(shell: Shell, tmp_path: Path) -> None:
    config = put(tmp_path, GOOD | directory("other", standing=[permanent("x", grant="no")]))
    assert shell.run("validate", config).code == 1
    assert shell.run("validate", config, "--team", "payments").code == 0
    assert shell.run("validate", config, "--team", "payments", "--team", "other").code == 1
    wrong = shell.run("validate", config, "--team", "paymnts")
    assert (wrong.code, wrong.out) == (64, "")
    assert "no file of such a team; did you mean `payments`?" in wrong.err
    mixed = shell.run("validate", config, "--team", "payments", "--team", "paymnts")
    assert mixed.code == 64


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda top: top / "nowhere", "does not exist; name the folder that holds aws-accounts/"),
        (lambda top: top / "file", "is not a directory"),
        (lambda top: top / "empty", "is it the right directory? Nothing was done"),
        (lambda top: top / "odd", "is a file; it must be the folder of teams' files"),
        (lambda top: top / "nested", "is a folder; it must be a YAML file"),
    ],
)
def test_what_is_no_configuration_directory_is_78(
    shell: Shell, tmp_path: Path, make: object, words: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "aws-accounts").touch()
    (tmp_path / "nested" / "aws-accounts" / "x.yaml").mkdir(parents=True)
    assert callable(make)
    ran = shell.run("validate", make(tmp_path))
    assert (ran.code, ran.out) == (78, "")
    assert words in ran.err


SECRET = "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI\n"


@pytest.mark.parametrize("name", ["permanent-access/t.yaml", "aws-accounts", "iam-ledger.yaml"])
@pytest.mark.parametrize("command", ["validate", "plan", "ingest"])
@pytest.mark.parametrize("target", ["outside", "config/.git"])
def test_a_link_out_of_the_directory_is_78_and_prints_nothing_of_what_it_leads_to(
    tmp_path: Path, name: str, command: str, target: str
) -> None:
    config = put(tmp_path, GOOD)
    hidden = tmp_path / target
    hidden.mkdir()
    (hidden / "x.yaml").write_text(SECRET)
    link = config / name
    if link.is_dir():
        shutil.rmtree(link)
    link.symlink_to(hidden if name == "aws-accounts" else hidden / "x.yaml")
    variables = {"IAM_LEDGER_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path}/ledger.db"}
    ran = Shell(None, StillClock(at()), variables).run(command, config)
    assert (ran.code, ran.out) == (78, "")
    assert f"{link} is a link that leads out of {config}" in ran.err
    assert "AWS_SECRET" not in ran.err
    assert not (tmp_path / "ledger.db").exists()


def test_a_link_within_the_directory_is_read_and_so_is_a_linked_directory(
    shell: Shell, tmp_path: Path
) -> None:
    config = put(tmp_path, GOOD)
    (config / "permanent-access").rename(config / "..data")
    (config / "permanent-access").symlink_to("..data")  # as a mounted ConfigMap has it
    (tmp_path / "here").symlink_to(config)
    ran = shell.run("validate", tmp_path / "here")
    assert (ran.code, ran.err) == (0, "no problems\n")


# --- GitHub and GitLab ------------------------------------------------------------------------


def test_github_gets_annotations_and_all_of_it_in_the_summary(shell: Shell, tmp_path: Path) -> None:
    config = put(tmp_path, BAD)
    summary = tmp_path / "summary.md"
    variables = {"GITHUB_STEP_SUMMARY": str(summary), "GITHUB_WORKSPACE": str(tmp_path)}
    ran = shell.run("validate", config, **GITHUB, **variables)
    assert ran.code == 1
    first = ran.out.splitlines()[0]
    assert first == (
        "::error file=config/permanent-access/payments.yaml,line=12,col=5,title=unknown-policy::"
        "policy `lok` (in `grants`) is not in aws-policies; did you mean `look`?"
    )
    text = summary.read_text()
    assert text.startswith("### iam-ledger: 2 problems\n")
    assert "| config/permanent-access/payments.yaml:12 | error |" in text


def test_github_shows_the_worst_ten_as_annotations_and_the_rest_as_text(
    shell: Shell, tmp_path: Path
) -> None:
    late = [temporary(f"late{n}", expires_at=at(-2), grant="gone") for n in range(12)]
    wrong = [permanent(f"user{n}", grant=f"no{n}") for n in range(12)]
    ran = shell.run("validate", put(tmp_path, directory(standing=wrong, windows=late)), **GITHUB)
    assert ran.out.count("::error ") == 10
    assert ran.out.count("::warning ") == 10
    assert ran.out.index("::error ") < ran.out.index("::warning ")
    assert "\n4 more:\n" in ran.out
    assert ran.err == "12 problems, 12 warnings\n"


def test_github_s_signs_are_escaped() -> None:
    from cli.annotations import of_problems

    source = Source("a,b:c%.yaml", 1, 2)
    problem = Problem(source, "error", "code", "100 %\nof it", None, None)
    assert of_problems([problem], "") == (
        "::error file=a%2Cb%3Ac%25.yaml,line=1,col=2,title=code::100 %25%0Aof it"
    )


@pytest.mark.parametrize("used", [SUMMARY_MAX_BYTES - 300, SUMMARY_MAX_BYTES + 5])
def test_a_full_summary_does_not_grow_beyond_what_github_shows(
    shell: Shell, tmp_path: Path, used: int
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_bytes(b"x" * used)
    ran = shell.run("validate", put(tmp_path, BAD), GITHUB_STEP_SUMMARY=str(summary), **GITHUB)
    assert ran.code == 1
    assert summary.stat().st_size <= max(used, SUMMARY_MAX_BYTES)


def test_a_summary_that_cannot_be_written_fails_nothing(shell: Shell, tmp_path: Path) -> None:
    nowhere = str(tmp_path / "no" / "summary.md")
    ran = shell.run("validate", put(tmp_path, GOOD), GITHUB_STEP_SUMMARY=nowhere, **GITHUB)
    assert ran.code == 0
    assert "cannot be written" in ran.err


def test_a_long_summary_says_how_much_is_left_out(shell: Shell, tmp_path: Path) -> None:
    wrong = [permanent(f"user{n}", grant="n" * 50 + str(n)) for n in range(60)]
    summary = tmp_path / "summary.md"
    summary.write_bytes(b"x" * (SUMMARY_MAX_BYTES - 3_000))
    config = put(tmp_path, directory(standing=wrong))
    shell.run("validate", config, GITHUB_STEP_SUMMARY=str(summary), **GITHUB)
    assert summary.stat().st_size <= SUMMARY_MAX_BYTES
    assert "more stand in the log" in summary.read_text()


def test_gitlab_gets_its_report_unless_another_form_is_asked_for(
    shell: Shell, tmp_path: Path
) -> None:
    config = put(tmp_path, BAD)
    variables = {"GITLAB_CI": "true", "CI_PROJECT_DIR": str(tmp_path)}
    report = json.loads(shell.run("validate", config, **variables).out)
    assert [sorted(item) for item in report] == [
        ["check_name", "description", "fingerprint", "location", "severity"]
    ] * 2
    assert report[0]["location"] == {
        "path": "config/permanent-access/payments.yaml",
        "lines": {"begin": 12},
    }
    assert report[0]["fingerprint"] != report[1]["fingerprint"]
    text = shell.run("validate", config, "-o", "text", **variables).out
    assert "did you mean `look`?" in text
    assert json.loads(shell.run("validate", put(tmp_path, GOOD), **variables).out) == []
