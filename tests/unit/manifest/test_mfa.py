"""`require_mfa` is refused where nothing could carry it, and nowhere else."""

from datetime import UTC, datetime

import pytest

from tests.unit.manifest.directory import PERMANENT, TEMPORARY, accepted, entry, said

POLICIES = """\
aws-policies:
  own:
    require_mfa: true
    custom_statements: [{effect: Allow, actions: ["s3:PutObject"], resources: ["*"]}]
  managed:
    require_mfa: true
    managed_policies: [arn:aws:iam::aws:policy/job-function/ViewOnlyAccess]
"""
PAY = {"aws-policies/pay.yaml": POLICIES}
ROLE = (
    "is a role, whose sessions seldom know of a second factor, and policy `own` has `require_mfa`"
)
ROLE_HINT = "name users or groups, or take another policy"


def permanent(who: str, grant: str) -> dict[str, str]:
    text = f"permanent-access: [{{{who}, environment: prod, grants: [{grant}]}}]\n"
    return {**PAY, PERMANENT: text}


@pytest.mark.parametrize("who", ["user: ana", "group: admins"])
def test_people_and_their_groups_can_show_a_second_factor_for_good(who: str) -> None:
    assert len(accepted(permanent(who, "own")).grants) == 1


def test_a_user_can_show_one_for_a_time_also_for_what_aws_wrote() -> None:
    text = entry("user: ana\ngrants: [own, managed]")
    assert len(accepted({**PAY, TEMPORARY: text}).grants) == 2


def test_a_role_is_told_once_that_it_cannot_however_many_accounts_it_is_in() -> None:
    text = "permanent-access: [{role: ci, environments: [prod, nonprod], grant: own}]\n"
    assert said({**PAY, PERMANENT: text}) == [f"{PERMANENT}:1:27: `ci` {ROLE}; {ROLE_HINT}"]
    assert said({**PAY, TEMPORARY: entry("role: ci\ngrant: own")}) == [
        f"{TEMPORARY}:2:11: `ci` {ROLE}; {ROLE_HINT}"
    ]


def test_what_aws_wrote_asks_for_no_factor_where_it_is_attached_for_good() -> None:
    assert said(permanent("users: [ana, ben]", "own, managed")) == [
        f"{PERMANENT}:1:73: policy `managed` has `require_mfa` and `managed_policies`: without an "
        "end those are attached as AWS wrote them, and ask for no MFA; grant it for a time, or "
        "write what it allows as `custom_statements`"
    ]


def test_a_line_that_has_ended_is_asked_for_nothing() -> None:
    text = entry("role: ci\ngrant: own\nexpires_at: 2030-01-01T10:00Z")
    files = {**PAY, TEMPORARY: text}
    now = datetime(2030, 1, 1, 10, tzinfo=UTC)
    assert said(files, now=now) == [
        f"{TEMPORARY}:2:11: `ci` {ROLE}; the line has ended, so nothing more is asked of it"
    ]
    assert len(accepted(files, now=now).grants) == 1
