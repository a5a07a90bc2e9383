"""Which file is what, and names that are nearly ours."""

import pytest

from ledger.manifest.layout import nearly_ours
from tests.unit.manifest.directory import ACCOUNTS, PERMANENT, TEAM, accepted, entry, said


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("temporary_access", "temporary-access/"),
        ("Temporary-Access", "temporary-access/"),
        ("temporary-acess", "temporary-access/"),
        ("temporary-access.yaml", "temporary-access/"),
        ("aws_accounts", "aws-accounts/"),
        ("aws-account", "aws-accounts/"),
        ("aws-policy", "aws-policies/"),
        ("permanent-access.bak", "permanent-access/"),
        ("permanent access", "permanent-access/"),
        ("iam_ledger.yaml", "iam-ledger.yaml"),
        ("IAM-Ledger.yaml", "iam-ledger.yaml"),
        ("iam-ledgr.yml", "iam-ledger.yaml"),
        ("iam-ledger.ymal", "iam-ledger.yaml"),
    ],
)
def test_a_name_nearly_ours_is_an_error(name: str, ours: str) -> None:
    assert said({}, folders=["scripts", name]) == [
        f"{name}:1:1: `{name}` is not read; "
        f"did you mean `{ours}`? Rename it, or give it a name less like ours"
    ]


@pytest.mark.parametrize(
    "name",
    [
        *("scripts", "docs", ".git", "README.md", "terraform", "aws", "access", "policies"),
        *("iam-ledger.db", "iam-ledger.db-wal", "iam-ledger.db-shm", "iam-ledger", "iam_ledger"),
        *("requirements.txt", ".gitlab-ci.yml", "accounts", "Makefile", "permanent", "ledger.log"),
    ],
)  # fmt: skip
def test_a_strange_name_is_left_alone(name: str) -> None:
    assert nearly_ours(name) is None
    assert said({}, folders=[name]) == []


def test_a_nearly_named_folder_that_was_handed_over_is_told_once() -> None:
    files = {"temporary_access/pay.yaml": "a: b", "temporary_access/ops.yaml": "a: b"}
    assert len(said(files)) == 1


def test_yml_reads_as_yaml_and_both_for_one_team_are_refused() -> None:
    yml = {"aws-accounts/ops.yml": ACCOUNTS}
    manifest = accepted(yml)
    assert manifest.teams == ("ops", "pay")
    assert said({**yml, "aws-accounts/ops.yaml": ACCOUNTS}) == [
        "aws-accounts/ops.yml:1:1: team `ops` has this file and aws-accounts/ops.yaml; "
        "keep one of them"
    ]
    assert said({**yml, "aws-accounts/ops.yaml": ACCOUNTS}, teams=["pay"]) == []


@pytest.mark.parametrize("name", [".gitkeep", "README.md", ".pay.yaml.swp", "notes.txt"])
def test_a_file_that_is_plainly_no_yaml_is_passed_over(name: str) -> None:
    assert said({f"aws-accounts/{name}": b"\xff"}) == []


def test_a_file_that_may_have_been_meant_is_a_warning_or_an_error() -> None:
    assert accepted({"aws-accounts/ops.json": "{}"}).files == tuple(sorted(TEAM))
    assert said({"aws-accounts/ops.json": "{}", "aws-accounts/ops.ymal": ""}) == [
        "aws-accounts/ops.json:1:1: `ops.json` is not read: its name does not end in .yaml",
        "aws-accounts/ops.ymal:1:1: `ops.ymal` is not read; its name must end in .yaml",
    ]
    assert said({"aws-accounts/OPS.YAML": ""}) == [
        "aws-accounts/OPS.YAML:1:1: `OPS.YAML` is not read; its name must end in .yaml"
    ]


def test_a_team_needs_a_name_that_aws_takes() -> None:
    assert said({"aws-accounts/a,b.yaml": ACCOUNTS}) == [
        "aws-accounts/a,b.yaml:1:1: `a,b` cannot name a team; "
        "letters, digits, spaces inside, and _.:/=+@- (what an AWS tag takes)"
    ]


def test_the_manifest_tells_its_teams_and_files() -> None:
    manifest = accepted({PERMANENT: "", "iam-ledger.yaml": "", "aws-accounts/b.c.yaml": ""})
    assert manifest.teams == ("b.c", "pay")
    assert manifest.files == (
        "aws-accounts/b.c.yaml",
        "aws-accounts/pay.yaml",
        "aws-policies/pay.yaml",
        "iam-ledger.yaml",
        PERMANENT,
    )


def test_an_empty_directory_is_an_empty_manifest() -> None:
    manifest = accepted({}, alone=True)
    assert (manifest.teams, manifest.files, manifest.grants) == ((), (), ())


def test_an_access_file_of_a_team_without_accounts_is_refused() -> None:
    text = entry("duration: 4h")
    files = {"temporary-access/payy.yaml": text, "permanent-access/zebra.yaml": ""}
    assert said(files) == [
        "permanent-access/zebra.yaml:1:1: team `zebra` has no accounts; "
        "add them to aws-accounts/zebra.yaml",
        "temporary-access/payy.yaml:1:1: team `payy` has no accounts; did you mean `pay`?",
        "temporary-access/payy.yaml:5:12: policy `dev.break-glass` (in `grant`) is not in "
        "aws-policies; add it to aws-policies/payy.yaml",
    ]
