"""The directory that the seed shipped applied nothing, printed success and exited 0."""

from datetime import UTC, datetime
from pathlib import Path

from ledger.manifest import FOLDERS, SETTINGS_FILE, read

EXAMPLE = Path(__file__).parents[2] / "support" / "seed_example"


def example() -> tuple[dict[str, bytes], list[str]]:
    files = {
        path.relative_to(EXAMPLE).as_posix(): path.read_bytes()
        for folder in FOLDERS
        for path in sorted((EXAMPLE / folder).iterdir())
    }
    others = [path.name for path in EXAMPLE.iterdir() if path.name not in {*FOLDERS, SETTINGS_FILE}]
    return files, others


def test_the_seeds_example_is_refused_with_each_unknown_policy_at_its_place() -> None:
    files, others = example()
    reading = read(files, others)
    assert reading.manifest is None
    assert [str(problem) for problem in reading.errors] == [
        "permanent-access/example-team.yaml:10:9: policy `dev.read-only` (in `grants`) is not in "
        "aws-policies; did you mean `developers.read-only`?",
        "permanent-access/example-team.yaml:15:14: policy `platform.admin` (in `grants`) is not in "
        "aws-policies; did you mean `system.admin`?",
        "permanent-access/example-team.yaml:20:14: policy `dev.break-glass` (in `grants`) is not "
        "in aws-policies; add it to aws-policies/example-team.yaml",
        "temporary-access/example-team.yaml:6:12: policy `dev.break-glass` (in `grant`) is not in "
        "aws-policies; add it to aws-policies/example-team.yaml",
    ]


def test_what_has_ended_in_the_seeds_example_is_only_a_warning() -> None:
    files, others = example()
    reading = read(files, others, now=datetime(2025, 12, 1, tzinfo=UTC))
    assert [problem.code for problem in reading.errors] == ["unknown-policy"] * 3
    assert [problem.code for problem in reading.problems][-1] == "unknown-policy"
    a_second_before = datetime(2025, 11, 30, 23, 59, 59, tzinfo=UTC)
    reading = read(files, others, now=a_second_before)
    assert [problem.code for problem in reading.errors] == ["unknown-policy"] * 4


def test_what_is_dangerous_in_the_seeds_example_is_told_and_stops_nothing() -> None:
    policies = "aws-policies/example-team.yaml"
    files, others = example()
    reading = read({path: files[path] for path in files if "access" not in path}, others)
    assert reading.manifest is not None
    assert [problem.severity for problem in reading.problems] == ["warning", "warning"]
    assert [str(problem) for problem in reading.problems] == [
        f"{policies}:14:9: PowerUserAccess allows changes in IAM Roles Anywhere, changes of who "
        "may enter an account, changes in Identity Center, `sts:AssumeRole` on every role, "
        "`sts:AssumeRoot`, `kms:PutKeyPolicy`, stopping CloudTrail, stopping Config and stopping "
        "GuardDuty; say why under `allow_dangerous`, or allow less",
        f"{policies}:19:9: AdministratorAccess allows every action on every resource; say why "
        "under `allow_dangerous`, or allow less",
    ]
    settings = {"iam-ledger.yaml": b"settings: {dangerous: refuse}"}
    assert len(read({**files, **settings}, others).errors) == 6
