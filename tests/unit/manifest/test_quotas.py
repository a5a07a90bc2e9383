"""IAM's quotas and alphabets, as far as the files alone can meet them."""

import pytest

from ledger.manifest import quotas
from ledger.model import PRINCIPAL_KINDS
from tests.unit.manifest.directory import PERMANENT, TEMPORARY, accepted, entry, reading, said

PAY = "aws-policies/pay.yaml"
HINT = "put what they allow into fewer policies, or grant some of it for a time"


def own(count: int, first: int = 0) -> str:
    """So many policies of one statement."""
    statement = "{effect: Allow, actions: ['s3:GetObject'], resources: ['*']}"
    numbers = range(first, first + count)
    return "".join(f"  p{n}: {{custom_statements: [{statement}]}}\n" for n in numbers)


def aws(name: str, count: int) -> str:
    """One policy that attaches so many of AWS's."""
    arns = ", ".join(f"'arn:aws:iam::aws:policy/A{number}'" for number in range(count))
    return f"  {name}: {{managed_policies: [{arns}]}}\n"


def grants(who: str, *policies: str) -> str:
    return f"  - {{{who}, environment: prod, grants: [{', '.join(policies)}]}}\n"


def warned(files: dict[str, str]) -> list[str]:
    """The warnings; fails where anything is an error."""
    assert accepted(files)
    assert {problem.severity for problem in reading(files).problems} <= {"warning"}
    return said(files)


@pytest.mark.parametrize("kind", list(PRINCIPAL_KINDS))
def test_the_eleventh_attached_policy_of_one_principal_is_told_with_who_uses_the_ten(
    kind: str,
) -> None:
    names = [f"p{number}" for number in range(6)]
    files = {
        PAY: f"aws-policies:\n{own(6)}{aws('four', 4)}{aws('five', 5)}",
        PERMANENT: "permanent-access:\n" + grants(f"{kind}: ana", *names),
    }
    files[PERMANENT] += grants(f"{kind}: ana", "four")
    assert warned(files) == []
    files[PERMANENT] += grants(f"{kind}: Ana", "five")
    (found,) = warned(files)
    at = files[PERMANENT].splitlines()[3].index("Ana") + 1
    assert found == (
        f"{PERMANENT}:4:{at}: {kind}/ana needs 11 attached policies in account 222222222222, and "
        "IAM takes 10 unless the account's quota was raised: policy `four` of team `pay` "
        f"({PERMANENT}:3) 4, policy `p0` of team `pay` ({PERMANENT}:2) 1, policy `p1` of team "
        f"`pay` ({PERMANENT}:2) 1, policy `p2` of team `pay` ({PERMANENT}:2) 1, policy `p3` of "
        f"team `pay` ({PERMANENT}:2) 1 and 3 more; {HINT}"
    )


def test_attachments_of_other_teams_and_accounts_count_where_they_meet() -> None:
    mine, theirs = [f"p{n}" for n in range(6)], [f"p{n}" for n in range(6, 12)]
    files = {
        PAY: f"aws-policies:\n{own(6)}",
        PERMANENT: "permanent-access:\n" + grants("user: ana", *mine),
        "aws-policies/ops.yaml": f"aws-policies:\n{own(6, 6)}",
        "permanent-access/ops.yaml": "permanent-access:\n" + grants("user: ana", *theirs),
    }
    elsewhere = {"aws-accounts/ops.yaml": "aws-accounts: {prod: '333333333333'}"}
    assert warned({**files, **elsewhere}) == []
    here = {"aws-accounts/ops.yaml": "aws-accounts: {prod: '222222222222'}"}
    (found,) = warned({**files, **here})
    assert "user/ana needs 12 attached policies" in found
    alone = reading({**files, **here}, teams=["ops"]).problems
    assert [problem.source.path for problem in alone] == ["permanent-access/ops.yaml"]


def test_what_ends_by_itself_is_not_attached_and_not_counted() -> None:
    names = ", ".join(f"p{number}" for number in range(12))
    files = {PAY: f"aws-policies:\n{own(12)}", TEMPORARY: entry(f"grants: [{names}]")}
    assert warned(files) == []


def test_more_policies_than_an_account_takes_are_told_by_team(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert quotas.ACCOUNT_POLICIES_MAX == 1_500
    monkeypatch.setattr(quotas, "ACCOUNT_POLICIES_MAX", 6)
    accounts = {"aws-accounts/ops.yaml": "aws-accounts: {prod: '222222222222'}"}
    files = {
        **accounts,
        PAY: f"aws-policies:\n{own(4)}{aws('managed', 2)}",
        "aws-policies/ops.yaml": f"aws-policies:\n{own(2, 90)}",
        "aws-accounts/elsewhere.yaml": "aws-accounts: {prod: '333333333333'}",
        "aws-policies/elsewhere.yaml": f"aws-policies:\n{own(6)}",
    }
    assert warned(files) == []
    files["aws-policies/ops.yaml"] = f"aws-policies:\n{own(3, 90)}"
    (found,) = warned(files)
    assert found == (
        "aws-accounts/ops.yaml:1:16: account 222222222222 gets 7 customer-managed policies, and "
        "IAM takes 6 unless its quota was raised: team `pay` 4, team `ops` 3; put what "
        "they allow into fewer policies, or teams into accounts of their own"
    )


def test_any_sign_may_stand_in_a_description_and_few_in_a_document() -> None:
    emoji = "\U0001f680"
    statement = "{effect: Allow, actions: ['s3:GetObject'], resources: ['*']"
    text = f"aws-policies: {{a: {{description: '{emoji}', custom_statements: [{statement}"
    assert accepted({PAY: f"{text}}}]}}}}"}).policies[0].policy.description == emoji
    conditions = f", conditions: {{StringEquals: {{'aws:PrincipalTag/a': '{emoji}'}}}}"
    (found,) = said({PAY: f"{text}{conditions}}}]}}}}"})
    assert "`aws:PrincipalTag/a` holds the character U+1F680; IAM documents take" in found
    accent = conditions.replace(emoji, "é ÿ")
    assert accepted({PAY: f"{text}{accent}}}]}}}}"})


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"iam-ledger.yaml": f"settings: {{policy_path: /{'a' * 511}/}}"}, "policy-path"),
        ({"iam-ledger.yaml": "settings: {policy_path: /a b/}"}, "policy-path"),
        ({PERMANENT: "permanent-access:\n" + grants(f"user: {'a' * 511}/b", "dev.read-only")},
         "principal"),
        ({PERMANENT: "permanent-access:\n" + grants(f"user: {'a' * 65}", "dev.read-only")},
         "principal"),
        ({PERMANENT: "permanent-access:\n" + grants(f"role: {'a' * 65}", "dev.read-only")},
         "principal"),
        ({PERMANENT: "permanent-access:\n" + grants(f"group: {'a' * 129}", "dev.read-only")},
         "principal"),
        ({"aws-accounts/pay.yaml":
          f"aws-accounts: {{a: {{id: '111111111111', external_id: {'x' * 1225}}}}}"},
         "external-id"),
        ({"aws-accounts/pay.yaml":
          "aws-accounts: {a: {id: '111111111111', external_id: a b}}"}, "external-id"),
        ({f"aws-policies/{'t' * 129}.yaml": "aws-policies:\n" + own(1)}, "name"),
        ({"aws-policies/a&b.yaml": "aws-policies:\n" + own(1)}, "name"),
        ({PAY: "aws-policies: {a&b: {managed_policies: ['arn:aws:iam::aws:policy/A']}}"}, "name"),
        ({PAY: f"aws-policies: {{{'a' * 125}: {{managed_policies: "
               "['arn:aws:iam::aws:policy/A']}}"}, "name"),
    ],
)  # fmt: skip
def test_what_iam_would_refuse_to_be_called_is_an_error_at_its_place(
    files: dict[str, str], code: str
) -> None:
    assert code in {problem.code for problem in reading(files).errors}


@pytest.mark.parametrize(
    "files",
    [
        {"iam-ledger.yaml": f"settings: {{policy_path: /{'a' * 510}/}}"},
        {PERMANENT: "permanent-access:\n" + grants(f"user: {'a' * 510}/b", "dev.read-only")},
        {PERMANENT: "permanent-access:\n" + grants(f"role: {'a' * 64}", "dev.read-only")},
        {PERMANENT: "permanent-access:\n" + grants(f"group: {'a' * 128}", "dev.read-only")},
        {
            "aws-accounts/pay.yaml": "aws-accounts: {prod: {id: '111111111111', "
            f"external_id: {'x' * 1224}}}}}"
        },
    ],
)
def test_what_just_fits_is_accepted(files: dict[str, str]) -> None:
    assert accepted(files)
