"""`deployer-policy`: documents and templates of a directory; what cannot be meant prints none."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.builders import DEV, PROD, Files, directory, policy
from tests.support.commands import Ran, Shell

HUB = "arn:aws:iam::999999999999:role/iam-ledger-worker"
SETTINGS = {
    "policy_path": "/access/",
    "managed_principals": ["user/people/*", "role/app-*"],
    "protected_principals": ["role/guard/*"],
}
TWO_WAYS = {
    "prod": PROD,
    "dev": {
        "id": DEV,
        "deployer_role": "infra/Other",
        "external_id": "x-77",
        "source_identity": "ledger",
    },
}


def put(folder: Path, files: Files) -> Path:
    for path, content in files.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return put(tmp_path, directory(accounts=TWO_WAYS, settings=SETTINGS))


def printed(config: Path, *options: str) -> Any:
    ran = Shell().run("deployer-policy", config, *options)
    assert ran.code == 0, ran.err
    return ran.json


def refused(config: Path, *options: str) -> Ran:
    """Nothing is printed on stdout."""
    ran = Shell().run("deployer-policy", config, *options)
    assert ran.code != 0
    assert ran.out == ""
    return ran


def by_sid(document: Any) -> dict[str, Any]:
    return {each["Sid"]: each for each in document["Statement"]}


def test_the_settings_say_what_a_deployer_may_change(config: Path) -> None:
    found = by_sid(printed(config))
    assert found["OurPolicies"]["Resource"] == ["arn:aws:iam::*:policy/access/*"]
    assert found["Inline"]["Resource"] == [
        "arn:aws:iam::*:user/people/*",
        "arn:aws:iam::*:role/app-*",
        "arn:aws:iam::*:role/*/app-*",
    ]
    never = found["NeverThese"]["Resource"]
    for role in ("AWSSelfServeDeployer", "infra/Other", "guard/*"):
        assert f"arn:aws:iam::*:role/{role}" in never
    assert HUB not in never
    assert by_sid(printed(config, "--hub-role-arn", HUB))["NeverThese"]["Resource"][-1] == HUB


def test_its_size_is_told_beside_it(config: Path) -> None:
    size, hub = Shell().run("deployer-policy", config).err.splitlines()
    assert size.endswith(" of the 6,144 characters of a managed policy")
    assert "give --hub-role-arn" in hub
    assert len(Shell().run("deployer-policy", config, "--hub-role-arn", HUB).err.splitlines()) == 1
    assert Shell().run("deployer-policy", config, "-q").err == ""


def test_the_hub_may_enter_what_is_declared_or_whatever_is_called_so(config: Path) -> None:
    found = by_sid(printed(config, "--hub"))
    ways = [
        f"arn:aws:iam::{PROD}:role/AWSSelfServeDeployer",
        f"arn:aws:iam::{DEV}:role/infra/Other",
    ]
    assert found["EnterAccounts"]["Resource"] == ways
    assert found["SayWhoAsked"]["Condition"]["StringEquals"] == {"sts:SourceIdentity": ["ledger"]}
    alone = by_sid(printed(config, "--hub", "--account", PROD))
    assert list(alone) == ["EnterAccounts"]
    assert alone["EnterAccounts"]["Resource"] == ways[:1]
    any_account = by_sid(printed(config, "--hub", "--any-account"))["EnterAccounts"]["Resource"]
    assert any_account == [way.replace(PROD, "*").replace(DEV, "*") for way in ways]


def test_the_trust_is_that_of_the_account_that_is_named(config: Path) -> None:
    trust = ("--trust", "--hub-role-arn", HUB)
    found = by_sid(printed(config, *trust, "--account", DEV))
    assert found["HubEnters"]["Principal"] == {"AWS": HUB}
    assert found["HubEnters"]["Condition"] == {"StringEquals": {"sts:ExternalId": "x-77"}}
    assert "HubSaysWhoAsked" in found
    (enter,) = printed(config, *trust, "--account", PROD)["Statement"]
    assert "Condition" not in enter
    ran = refused(config, *trust)
    assert "different external ids: give --account, or --external-id" in ran.err
    given = by_sid(printed(config, *trust, "--external-id", "y-1", "--source-identity", "me"))
    assert given["HubEnters"]["Condition"]["StringEquals"] == {"sts:ExternalId": "y-1"}


def test_a_template_makes_the_whole_role(config: Path) -> None:
    template = printed(config, "-o", "cloudformation", "--account", DEV, "--hub-role-arn", HUB)
    role = template["Resources"]["Deployer"]["Properties"]
    assert (role["Path"], role["RoleName"]) == ("/infra/", "Other")
    assert template["Parameters"]["HubRoleArn"]["Default"] == HUB
    assert template["Parameters"]["ExternalId"]["Default"] == "x-77"
    (inline,) = role["Policies"]
    never = by_sid(inline["PolicyDocument"])["NeverThese"]["Resource"]
    assert never[-1] == {"Ref": "HubRoleArn"}
    hub = printed(config, "-o", "cloudformation", "--hub")["Resources"]["EnterAccounts"]
    assert hub["Properties"]["PolicyDocument"] == printed(config, "--hub")
    ran = refused(config, "-o", "cloudformation")
    assert "called AWSSelfServeDeployer, infra/Other: a template makes one role" in ran.err


def test_terraform_says_that_nobody_tried_it(config: Path) -> None:
    ran = Shell().run("deployer-policy", config, "-o", "terraform", "--account", PROD)
    assert ran.out.startswith("# Not tried: ")
    assert '"AWS": "${var.hub_role_arn}"' in ran.out
    assert 'name                 = "AWSSelfServeDeployer"' in ran.out
    hub = Shell().run("deployer-policy", config, "-o", "terraform", "--hub").out
    assert hub.startswith("# Not tried: ")


def test_what_adopt_takes_over_is_named_one_by_one(config: Path) -> None:
    policies = {"look": policy(), "aws.only": {"managed_policies": ["arn:aws:iam::aws:policy/X"]}}
    put(config, directory(accounts=TWO_WAYS, policies=policies, settings=SETTINGS))
    found = by_sid(printed(config, "--adopted"))["OurPolicies"]["Resource"]
    assert found == [
        "arn:aws:iam::*:policy/access/*",
        "arn:aws:iam::*:policy/payments-look",
    ]


def test_a_document_that_iam_would_not_take_is_not_printed(config: Path) -> None:
    many = [f"user/a-department-of-the-company-{number}/*" for number in range(70)]
    put(config, directory(accounts=TWO_WAYS, settings={"managed_principals": many}))
    ran = refused(config)
    assert ran.code == 1
    assert "characters, and a managed policy has room for 6,144: write fewer" in ran.err
    accounts = {f"e{number}": f"{number:012}" for number in range(1, 120)}
    put(config, directory(accounts=accounts, settings=SETTINGS))
    assert "--any-account takes less. Nothing was printed" in refused(config, "--hub").err
    assert printed(config, "--hub", "--any-account")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--hub", "--trust"), "two documents"),
        (("--trust",), "--trust needs --hub-role-arn"),
        (("--trust", "--hub-role-arn", HUB, "-o", "terraform"), "leave --trust out"),
        (("--any-account",), "--any-account goes with --hub"),
        (("--hub", "--any-account", "--account", PROD), "without --account"),
        (("--hub", "--read-only"), "go without --hub"),
        (("--hub", "--hub-role-arn", HUB), "the accounts' side"),
        (("--external-id", "x-77"), "goes with --trust"),
        (("--source-identity", "me"), "goes with --hub and --trust"),
        (("--hub-role-arn", "arn:aws:iam::999999999999:root"), "names a whole account"),
        (("--hub-role-arn", "arn:aws:sts::999999999999:assumed-role/a/b"), "session of a role"),
        (("--hub-role-arn", "worker"), "none that AWS takes; write arn:aws:iam::"),
        (("--permissions-boundary", "ceiling"), "none that AWS takes; write the ARN of a policy"),
        (
            ("--permissions-boundary", f"arn:aws:iam::{PROD}:policy/access/ceiling"),
            "where the deployer rewrites policies",
        ),
        (("--account", "333333333333"), "no environment is this account"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(
    config: Path, options: tuple[str, ...], why: str
) -> None:
    ran = refused(config, *options)
    assert ran.code == 64
    assert why in ran.err


def test_a_directory_with_errors_prints_them_and_no_document(config: Path, tmp_path: Path) -> None:
    (config / "iam-ledger.yaml").write_text("settings: {managed_principals: [people]}\n")
    ran = refused(config)
    assert ran.code == 1
    assert "iam-ledger.yaml:1:33: `people` (in `managed_principals`) is no pattern" in ran.err
    assert ran.err.endswith("1 problem; nothing was printed\n")
    (tmp_path / "empty").mkdir()
    assert refused(tmp_path / "empty").code == 78


def test_without_any_team_the_settings_are_enough(tmp_path: Path) -> None:
    (tmp_path / "iam-ledger.yaml").write_text("settings: {deployer_role: infra/Mine}\n")
    never = by_sid(printed(tmp_path))["NeverThese"]["Resource"]
    assert never[0] == "arn:aws:iam::*:role/infra/Mine"
    assert "no team has an account yet: --any-account" in refused(tmp_path, "--hub").err
    template = printed(tmp_path, "-o", "cloudformation")
    assert template["Resources"]["Deployer"]["Properties"]["RoleName"] == "Mine"
