"""`aws-accounts`: environments and the way into their accounts."""

import pytest

from ledger.manifest import SETTINGS_FILE, Source
from ledger.model import Account, AccountId, Team
from tests.unit.manifest.directory import PERMANENT, POLICIES, accepted, said

PAY = "aws-accounts/pay.yaml"


def test_an_environment_is_an_account_id_or_a_mapping() -> None:
    manifest = accepted(
        {
            PAY: """\
aws-accounts:
  nonprod: "012345670123"
  prod eu:
    id: '345678901234'
    deployer_role: infra/Deployer
    external_id: "a+=,.@:/-_9"
    source_identity: iam-ledger
"""
        }
    )
    team = Team("pay")
    assert [item.account for item in manifest.accounts] == [
        Account(team, "nonprod", AccountId("012345670123"), "AWSSelfServeDeployer"),
        Account(
            team,
            "prod eu",
            AccountId("345678901234"),
            "infra/Deployer",
            external_id="a+=,.@:/-_9",
            source_identity="iam-ledger",
        ),
    ]
    found = manifest.account(team, "prod eu")
    assert found is not None
    assert found.source == Source(PAY, 3, 3)
    assert manifest.account(team, "prod") is None


WRONG = {
    "unquoted": (
        "a: 012345670123",
        '2:6: the account id 012345670123 stands without quotes; write "012345670123": '
        "other readers of YAML take it for a number",
    ),
    "unquoted-in-mapping": (
        "a: {id: 123456789012}",
        '2:11: the account id 123456789012 stands without quotes; write "123456789012": '
        "other readers of YAML take it for a number",
    ),
    "eleven": ("a: '12345678901'", '2:6: the account id "12345678901" is not 12 digits'),
    "arabic": ('a: "١١١١١١١١١١١١"', '2:6: the account id "١١١١١١١١١١١١" is not 12 digits'),
    "empty": ("a:", "2:3: `a` is empty"),
    "list": ('a: ["111111111111"]', "2:6: `a` must be one text, not a list"),
    "no-id": (
        "a: {deployer_role: X}",
        "2:3: environment `a` has no account id; add `id`, 12 digits in quotes",
    ),
    "key": (
        'a: {id: "111111111111", deployer: X}',
        "2:27: key `deployer` is not known here; did you mean `deployer_role`?",
    ),
    "role": (
        'a: {id: "111111111111", deployer_role: "a b"}',
        "2:42: `a b` is no name of an IAM role; at most 64 letters, digits and +=,.@_-",
    ),
    "external-id": (
        'a: {id: "111111111111", external_id: "x"}',
        "2:40: `external_id` is not one that AWS takes; 2 to 1224 letters, digits and +=,.@:/_-",
    ),
    "source-identity": (
        'a: {id: "111111111111", source_identity: "a b"}',
        "2:44: `source_identity` is not one that AWS takes; 2 to 64 letters, digits and +=,.@_-",
    ),
    "name": (
        '"a,b": "111111111111"',
        "2:3: `a,b` cannot name an environment; "
        "letters, digits, spaces inside, and _.:/=+@- (what an AWS tag takes)",
    ),
    "long-name": (
        f'{"x" * 129}: "111111111111"',
        "2:3: the name of an environment is longer than 128 characters",
    ),
    "empty-name": (
        '"": "111111111111"',
        "2:3: `` cannot name an environment; "
        "letters, digits, spaces inside, and _.:/=+@- (what an AWS tag takes)",
    ),
}


@pytest.mark.parametrize(("text", "expected"), WRONG.values(), ids=WRONG)
def test_a_wrong_account_is_told_with_its_place(text: str, expected: str) -> None:
    assert said({PAY: f"aws-accounts:\n  {text}\n"}) == [f"{PAY}:{expected}"]


def test_an_environment_with_a_wrong_id_is_still_a_known_name() -> None:
    permanent = "permanent-access: [{user: a, environment: x, grant: dev.break-glass}]"
    assert len(said({PAY: "aws-accounts: {x: '1'}", PERMANENT: permanent})) == 1


def test_two_environments_may_be_one_account() -> None:
    text = "aws-accounts: {a: '111111111111', b: '111111111111'}"
    assert len(accepted({PAY: text}).accounts) == 2


def test_teams_that_map_one_account_must_agree_on_the_way_in() -> None:
    ops = (
        "aws-accounts:\n  shared:\n    id: '111111111111'\n    deployer_role: X\n"
        "    external_id: other\n    source_identity: us\n"
    )
    files = {"aws-accounts/ops.yaml": ops, "aws-policies/ops.yaml": POLICIES}
    both = [
        f"aws-accounts/pay.yaml:2:3: environment `nonprod` and `shared` of team `ops` "
        f"(aws-accounts/ops.yaml:2) are both account 111111111111 and disagree on `{key}`; "
        "write the same in both"
        for key in ("deployer_role", "external_id", "source_identity")
    ]
    assert said(files) == both
    assert said(files, teams=["pay"]) == both
    assert said(files, teams=["ops"]) == [
        f"aws-accounts/ops.yaml:2:3: environment `shared` and `nonprod` of team `pay` "
        f"(aws-accounts/pay.yaml:2) are both account 111111111111 and disagree on `{key}`; "
        "write the same in both"
        for key in ("deployer_role", "external_id", "source_identity")
    ]


def test_a_default_and_the_same_role_written_out_agree() -> None:
    ops = "aws-accounts: {shared: {id: '111111111111', deployer_role: /Mine}}"
    files = {
        SETTINGS_FILE: "settings: {deployer_role: Mine}",
        "aws-accounts/ops.yaml": ops,
    }
    assert said(files) == []
