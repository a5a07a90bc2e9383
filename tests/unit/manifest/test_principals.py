"""Who is meant: addresses, names, paths and ARNs, and who is never granted anything."""

import pytest

from ledger.manifest import SETTINGS_FILE
from tests.unit.manifest.directory import (
    PERMANENT,
    POLICIES,
    TEMPORARY,
    accepted,
    entry,
    reading,
    said,
)


def permanent(*entries: str) -> str:
    return "permanent-access:\n" + "".join(
        f"  - {{{text}, environment: prod, grant: dev.read-only}}\n" for text in entries
    )


@pytest.mark.parametrize(
    ("written", "principal", "path"),
    [
        ("user: ana@example.com", "user/ana", "/"),
        ("user: Ana+b=c@example.com", "user/Ana+b=c", "/"),
        ("user: ana", "user/ana", "/"),
        ("user: people/ana@example.com", "user/ana@example.com", "/people/"),
        ("user: /people/eu/ana", "user/ana", "/people/eu/"),
        ("role: /ci", "role/ci", "/"),
        ("user: 'arn:aws:iam::222222222222:user/ana'", "user/ana", "/"),
        ("role: 'arn:aws:iam::222222222222:role/app/ci'", "role/ci", "/app/"),
        ("group: 'arn:aws:iam::222222222222:group/devs'", "group/devs", "/"),
    ],
)
def test_a_principal_is_read_from_each_form(written: str, principal: str, path: str) -> None:
    (grant,) = accepted({PERMANENT: permanent(written)}).grants
    assert str(grant.principal) == principal
    assert grant.principal.path == path


def test_users_can_be_named_by_their_whole_address() -> None:
    settings = {SETTINGS_FILE: "settings: {user_names: email}"}
    text = permanent("users: [ana@a.com, ana@b.org, Ana@A.com]")
    grants = accepted({**settings, PERMANENT: text}).grants
    assert [str(grant.principal) for grant in grants] == ["user/ana@a.com", "user/ana@b.org"]
    assert len(grants[0].sources) == 2


NAME = "at most 64 letters, digits and +=,.@_-"
WRONG = {
    "space": ("user: a b", f"11: `a b` is no name of an IAM user; {NAME}"),
    "long": (f"user: {'a' * 65}", f"11: `{'a' * 65}` is no name of an IAM user; {NAME}"),
    "local-part": ("user: 'a!b@x.com'", f"11: `a!b` is no name of an IAM user; {NAME}"),
    "no-domain": ("user: 'ana@'", "11: `ana@` is neither an address nor an IAM name"),
    "two-ats": ("user: a@b@c", "11: `a@b@c` is neither an address nor an IAM name"),
    "no-name": ("user: people/", f"11: `` is no name of an IAM user; {NAME}"),
    "path": ("user: a//b", "11: `/a//` is no path in IAM"),
    "unicode": ("user: ána", f"11: `ána` is no name of an IAM user; {NAME}"),
    "address-of-role": ("role: ci@example.com",
                        "11: `ci@example.com` is an address, and stands where IAM roles are "
                        "named; write the name of a role, or its whole ARN"),
    "arn-of-role": ("user: 'arn:aws:iam::222222222222:role/x'",
                    "11: `arn:aws:iam::222222222222:role/x` is no ARN of an IAM user; "
                    "write it in `roles`"),
    "arn-of-session": ("role: 'arn:aws:sts::222222222222:assumed-role/x/y'",
                       "11: `arn:aws:sts::222222222222:assumed-role/x/y` is no ARN of an IAM "
                       "role; write arn:aws:iam::<account>:role/<name>"),
    "arn-of-root": ("user: 'arn:aws:iam::222222222222:root'",
                    "11: `arn:aws:iam::222222222222:root` is no ARN of an IAM user; "
                    "write arn:aws:iam::<account>:user/<name>"),
    "arn-short": ("user: 'arn:aws'", "11: `arn:aws` is no ARN of an IAM user; "
                  "write arn:aws:iam::<account>:user/<name>"),
    "arn-account": ("user: 'arn:aws:iam::2222:user/x'",
                    "11: `arn:aws:iam::2222:user/x`: account id '2222' is not 12 digits"),
    "partition": ("user: 'arn:aws-cn:iam::222222222222:user/x'",
                  "11: `arn:aws-cn:iam::222222222222:user/x` is in the partition `aws-cn`; "
                  "partitions other than `aws` are not supported"),
    "other-account": ("user: 'arn:aws:iam::333333333333:user/x'",
                      "11: `arn:aws:iam::333333333333:user/x` is in account 333333333333, and "
                      "environment `prod` is account 222222222222; "
                      "write an entry for each account"),
    "service-role": ("role: aws-service-role/x.amazonaws.com/Y",
                     "11: `Y` belongs to AWS, which lets nobody attach anything to it"),
    "reserved-role": ("role: AWSReservedSSO_Admin_1",
                      "11: `AWSReservedSSO_Admin_1` belongs to AWS, which lets nobody attach "
                      "anything to it"),
    "deployer": ("role: awsselfservedeployer",
                 "11: `awsselfservedeployer` is the deployer of environment `prod`; "
                 "nothing is granted to it"),
}  # fmt: skip


@pytest.mark.parametrize(("written", "expected"), WRONG.values(), ids=WRONG)
def test_a_wrong_principal_is_told_with_its_place(written: str, expected: str) -> None:
    (found,) = said({PERMANENT: permanent(written).replace("{", "").replace("}", "")
                     .replace(", environment", "\n    environment")
                     .replace(", grant", "\n    grant")})  # fmt: skip
    assert found == f"{PERMANENT}:2:{expected}"


@pytest.mark.parametrize(
    "role",
    [
        "AWSServiceRoleForSupport",
        "awsserviceroleforsupport",
        "/aws-service-role/support.amazonaws.com/AWSServiceRoleForSupport",
        "arn:aws:iam::222222222222:role/aws-service-role/x.amazonaws.com/Named",
        "AWSReservedSSO_Admin_0123456789abcdef",
        "arn:aws:iam::222222222222:role/aws-reserved/sso.amazonaws.com/eu-west-1/Named",
        "aws-reserved/Named",
    ],
)
def test_what_belongs_to_aws_is_granted_nothing_by_name_path_or_arn(role: str) -> None:
    (found,) = reading({PERMANENT: permanent(f'roles: ["{role}"]')}).problems
    assert (found.code, found.severity) == ("reserved-principal", "error")


@pytest.mark.parametrize(
    "role",
    ["AWSSelfServeDeployer", "any/path/awsselfservedeployer",
     "arn:aws:iam::222222222222:role/AWSSelfServeDeployer"],
)  # fmt: skip
def test_the_deployer_is_granted_nothing_however_it_is_named(role: str) -> None:
    (found,) = reading({PERMANENT: permanent(f'roles: ["{role}"]')}).problems
    assert (found.code, found.severity) == ("deployer", "error")


def test_a_user_may_be_named_like_the_deployer_role() -> None:
    assert len(accepted({PERMANENT: permanent("user: AWSSelfServeDeployer")}).grants) == 1


def test_the_deployer_is_that_of_the_account_granted_in() -> None:
    accounts = (
        "aws-accounts:\n  prod: {id: '222222222222', deployer_role: infra/Mine}\n"
        "  nonprod: '111111111111'\n"
    )
    files = {"aws-accounts/pay.yaml": accounts}
    theirs = permanent("role: AWSSelfServeDeployer")
    assert len(accepted({**files, PERMANENT: theirs}).grants) == 1
    assert said({**files, PERMANENT: permanent("role: Mine")}) == [
        f"{PERMANENT}:2:12: `Mine` is the deployer of environment `prod`; nothing is granted to it"
    ]


def test_outside_the_managed_and_inside_the_protected_principals_nothing_is_granted() -> None:
    settings = """\
settings:
  managed_principals: ["user/*", "role/app/*"]
  protected_principals: ["user/break-glass-*", "role/app/core"]
"""
    text = permanent("users: [ana, Break-Glass-1]", "roles: [ci, app/ci, app/core]", "group: devs")
    assert said({SETTINGS_FILE: settings, PERMANENT: text}) == [
        f"{PERMANENT}:2:19: `Break-Glass-1` is one of `protected_principals`; "
        "nothing is granted to it",
        f"{PERMANENT}:3:14: `ci` is none of `managed_principals`; nothing is granted to it; "
        "where it has a path, write path/ci",
        f"{PERMANENT}:3:26: `app/core` is one of `protected_principals`; nothing is granted to it",
        f"{PERMANENT}:4:13: `devs` is none of `managed_principals`; nothing is granted to it; "
        "where it has a path, write path/devs",
    ]


HINT = "name one of them as IAM does, or set `user_names: email`"


def test_two_addresses_that_are_one_user_of_one_account_are_refused_once() -> None:
    text = permanent("user: ana@a.com", "user: Ana@b.org", "user: ana@b.org", "user: ANA@A.COM")
    assert said({PERMANENT: text}) == [
        f"{PERMANENT}:3:12: `ana@b.org` and `ana@a.com` ({PERMANENT}:2) are both the "
        f"IAM user `Ana` in account 222222222222; {HINT}"
    ]


def test_an_address_and_its_own_name_in_iam_are_one_person() -> None:
    (grant,) = accepted({PERMANENT: permanent("user: ana@a.com", "user: ANA")}).grants
    assert len(grant.sources) == 2


def test_two_addresses_in_two_accounts_are_two_users() -> None:
    text = permanent("user: ana@a.com") + (
        "  - {user: ana@b.org, environment: nonprod, grant: dev.read-only}\n"
    )
    assert len(accepted({PERMANENT: text}).grants) == 2


def test_addresses_of_two_teams_collide_too() -> None:
    files = {
        PERMANENT: permanent("user: ana@a.com"),
        "aws-accounts/ops.yaml": "aws-accounts: {live: '222222222222'}",
        "aws-policies/ops.yaml": POLICIES,
        "temporary-access/ops.yaml": entry("user: ana@b.org\nenvironment: live"),
    }
    of_ops = [
        f"temporary-access/ops.yaml:2:11: `ana@b.org` and `ana@a.com` ({PERMANENT}:2) are both the "
        f"IAM user `ana` in account 222222222222; {HINT}"
    ]
    assert said(files) == of_ops
    assert said(files, teams=["ops"]) == of_ops
    assert said(files, teams=["pay"]) == [
        f"{PERMANENT}:2:12: `ana@a.com` and `ana@b.org` (temporary-access/ops.yaml:2) are both the "
        f"IAM user `ana` in account 222222222222; {HINT}"
    ]


def test_an_arn_must_be_in_the_account_of_every_environment() -> None:
    text = entry("user: arn:aws:iam::222222222222:user/x\nenvironments: [prod, nonprod]")
    assert said({TEMPORARY: text}) == [
        f"{TEMPORARY}:2:11: `arn:aws:iam::222222222222:user/x` is in account 222222222222, and "
        "environment `nonprod` is account 111111111111; write an entry for each account"
    ]
