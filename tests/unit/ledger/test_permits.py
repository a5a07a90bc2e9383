"""Who could do one action, by what documents say: yes, no, or it depends."""

import json
from typing import Any

import pytest

from ledger.permits import Asked, Verdict, judge

PUT = Asked("s3:PutObject")
MINE = Asked("s3:PutObject", "arn:aws:s3:::mine/a")


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(**more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "*", **more}


def deny(**more: Any) -> dict[str, Any]:
    return {**allow(**more), "Effect": "Deny"}


MFA = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}


@pytest.mark.parametrize(
    ("statements", "asked", "verdict"),
    [
        ([allow()], PUT, "yes"),
        ([allow()], MINE, "yes"),
        ([allow(Action=["ec2:*", "S3:put*"])], PUT, "yes"),
        ([allow(Action="s3:PutObjec?")], PUT, "yes"),
        ([allow(Action="*")], PUT, "yes"),
        ([allow(Action="s3:GetObject")], PUT, "no"),
        ([allow(Action="s3:Put")], PUT, "no"),
        ([allow(Resource="arn:aws:s3:::other/*")], MINE, "no"),
        ([allow(Resource="arn:aws:s3:::mine/*")], MINE, "yes"),
        ([allow(Resource="arn:aws:s3:::mine/*")], PUT, "yes"),
        ([allow(Resource="arn:aws:s3:::Mine/*")], MINE, "no"),
        ([allow(Resource="arn:aws:s3:::${aws:username}/*")], MINE, "conditional"),
        ([allow(Resource="arn:aws:s3:::x${aws:username}/*")], MINE, "no"),
        ([allow(Resource="arn:aws:s3:::min${?}/a")], MINE, "no"),
        ([allow(Condition=MFA)], PUT, "conditional"),
        ([allow(Condition=MFA), allow()], PUT, "yes"),
        ([allow(), deny()], PUT, "no"),
        ([allow(), deny(Condition=MFA)], PUT, "conditional"),
        ([allow(), deny(Resource="arn:aws:s3:::mine/*")], MINE, "no"),
        ([allow(), deny(Resource="arn:aws:s3:::mine/*")], PUT, "conditional"),
        ([allow(), deny(Resource="arn:aws:s3:::other/*")], MINE, "yes"),
        ([{"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}], PUT, "yes"),
        ([{"Effect": "Allow", "NotAction": ["s3:*"], "Resource": "*"}], PUT, "no"),
        (
            [{"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:s3:::mine/*"}],
            MINE,
            "no",
        ),
        (
            [{"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:s3:::other/*"}],
            MINE,
            "yes",
        ),
        (
            [allow(), {"Effect": "Deny", "Action": "*", "NotResource": "arn:aws:s3:::mine/*"}],
            MINE,
            "yes",
        ),
        (
            [allow(), {"Effect": "Deny", "Action": "*", "NotResource": "arn:aws:s3:::mine/*"}],
            PUT,
            "conditional",
        ),
        ([deny()], PUT, "no"),
        ([], PUT, "no"),
    ],
)
def test_what_documents_say(
    statements: list[dict[str, Any]], asked: Asked, verdict: Verdict
) -> None:
    assert judge([document(*statements)], asked) == verdict


def test_a_deny_in_one_document_binds_all_of_them() -> None:
    assert judge([document(allow()), document(deny())], PUT) == "no"


def test_one_statement_need_not_stand_in_a_list() -> None:
    assert judge([json.dumps({"Statement": allow()})], PUT) == "yes"


@pytest.mark.parametrize("action", ["s3", "s3:*", "s3:Put?", "", "s3:Put Object", "PutObject"])
def test_an_action_with_wildcards_or_without_a_service_is_no_question(action: str) -> None:
    with pytest.raises(ValueError, match="is no action"):
        Asked(action)


def test_a_resource_is_an_arn() -> None:
    with pytest.raises(ValueError, match="is no ARN"):
        Asked("s3:PutObject", "mine/a")


@pytest.mark.parametrize("text", ["", "[]", "{}", "nonsense"])
def test_what_is_no_document_is_no_silent_no(text: str) -> None:
    with pytest.raises(ValueError, match="not"):
        judge([text], PUT)
