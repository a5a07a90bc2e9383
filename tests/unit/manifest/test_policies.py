"""`aws-policies`: what may be requested, as IAM will have it."""

import json

import pytest

from ledger.manifest import Source
from ledger.manifest.policies import iam_name
from ledger.model import Policy, Team
from tests.unit.manifest.directory import accepted, said

PAY = "aws-policies/pay.yaml"
TEAM = Team("pay")


def test_a_policy_is_read_with_all_it_may_say() -> None:
    manifest = accepted(
        {
            PAY: """\
aws-policies:
  dev.write access:
    description: >
      Two lines
      in one
    managed_policies: ["arn:aws:iam::aws:policy/job-function/ViewOnlyAccess"]
    custom_statements:
      - sid: Buckets1
        effect: Allow
        actions: s3:PutObject
        resources: ["arn:aws:s3:::b/*", "arn:aws:s3:::a/${aws:username}"]
        conditions:
          StringEquals: {"aws:RequestedRegion": eu-west-1, "aws:A": ["", yes]}
          Bool:
            aws:SecureTransport: true
          NumericLessThanIfExists: {s3:max-keys: 010}
      - effect: Deny
        not_actions: ["*"]
        not_resources: "*"
    max_duration: 8h
"""
        }
    )
    (declared,) = manifest.policies
    policy = declared.policy
    assert (policy.team, policy.name, policy.iam_name) == (
        "pay",
        "dev.write access",
        "pay-dev-write-access",
    )
    assert policy.managed_policies == ("arn:aws:iam::aws:policy/job-function/ViewOnlyAccess",)
    assert policy.description == "Two lines in one"
    assert policy.max_duration_s == 28_800
    assert declared.source == Source(PAY, 2, 3)
    assert declared.statement_sources == (Source(PAY, 8, 9), Source(PAY, 17, 9))
    assert policy.document is not None
    assert json.loads(policy.document) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Buckets1",
                "Effect": "Allow",
                "Action": ["s3:PutObject"],
                "Resource": ["arn:aws:s3:::b/*", "arn:aws:s3:::a/${aws:username}"],
                "Condition": {
                    "StringEquals": {"aws:RequestedRegion": ["eu-west-1"], "aws:A": ["", "yes"]},
                    "Bool": {"aws:SecureTransport": ["true"]},
                    "NumericLessThanIfExists": {"s3:max-keys": ["010"]},
                },
            },
            {"Effect": "Deny", "NotAction": ["*"], "NotResource": ["*"]},
        ],
    }
    assert manifest.policy(TEAM, "dev.write access") is declared
    assert manifest.policy(TEAM, "dev.write-access") is None


def test_the_document_is_the_same_text_however_the_statement_was_written() -> None:
    one = "{effect: Allow, actions: ['s3:*'], resources: '*', conditions: {Bool: {b: 1, a: 2}}}"
    two = """
      - conditions:
          Bool:
            a: "2"
            b: ['1']
        resources:
        - "*"
        actions: s3:*
        effect: Allow
"""
    documents = [
        accepted({PAY: f"aws-policies:\n  x:\n    custom_statements: {text}"}).policies[0].policy
        for text in (f"[{one}]", two)
    ]
    assert documents[0].document == documents[1].document
    assert documents[0].document == (
        '{"Statement":[{"Action":["s3:*"],"Condition":{"Bool":{"a":["2"],"b":["1"]}},'
        '"Effect":"Allow","Resource":["*"]}],"Version":"2012-10-17"}'
    )


@pytest.mark.parametrize(
    ("team", "policy", "name"),
    [
        ("pay", "dev.read-only", "pay-dev-read-only"),
        ("pay", "a b/c:d", "pay-a-b-c-d"),
        ("päy", "x", "p-y-x"),
        ("p.ay", "a+b=c,d@e_f", "p-ay-a+b=c,d@e_f"),
    ],
)
def test_the_name_in_iam_has_no_dots_and_no_foreign_signs(
    team: str, policy: str, name: str
) -> None:
    assert iam_name(Team(team), policy) == name


def statement(text: str) -> str:
    return f"x:\n    custom_statements:\n      - {{{text}}}"


OK = "effect: Allow, actions: '*', resources: '*'"
CHARACTERS = "IAM documents take U+0009, 000A, 000D and 0020 to 00FF"
WRONG = {
    "shape": ("x: [a]", "2:6: policy `x` must be a mapping, not a list"),
    "nothing": ("x: {}", "2:3: policy `x` has neither statements nor managed policies; "
                "add `custom_statements` or `managed_policies`"),
    "empty-lists": (
        "x: {custom_statements: [], managed_policies: []}",
        "2:3: policy `x` has neither statements nor managed policies; "
        "add `custom_statements` or `managed_policies`",
    ),
    "null": ("x:", "2:3: policy `x` must be a mapping, not empty"),
    "key": ("x: {managed_policy: a}", "2:7: key `managed_policy` is not known here; "
            "did you mean `managed_policies`?"),
    "long": (f"{'x' * 125}: {{managed_policies: ['arn:aws:iam::aws:policy/A']}}",
             f"2:3: the policy's name in IAM, pay-{'x' * 125}, has 129 characters; "
             "IAM takes 128: shorten the policy's name"),
    "mfa": ("x: {require_mfa: yes, managed_policies: ['arn:aws:iam::aws:policy/A']}",
            "2:20: `require_mfa` is yes; write `true` or `false`"),
    "consent": ("x: {allow_dangerous: True, managed_policies: ['arn:aws:iam::aws:policy/A']}",
                "2:24: `allow_dangerous` is True; write in a sentence why it may be so"),
    "consent-empty": ("x: {allow_dangerous: , managed_policies: ['arn:aws:iam::aws:policy/A']}",
                      "2:7: `allow_dangerous` is empty"),
    "consent-blank": ("x: {allow_dangerous: ' ', managed_policies: ['arn:aws:iam::aws:policy/A']}",
                      "2:24: `allow_dangerous` is empty; write in a sentence why it may be so"),
    "consent-long": (
        f"x: {{allow_dangerous: {'a' * 257}, managed_policies: ['arn:aws:iam::aws:policy/A']}}",
        "2:24: `allow_dangerous` has 257 characters; at most 256 are kept"),
    "enforcement": ("x: {enforcement: AWS, managed_policies: ['arn:aws:iam::aws:policy/A']}",
                    "2:20: `enforcement` is AWS; write `aws` or `daemon`"),
    "max-duration": ("x: {max_duration: 8, managed_policies: ['arn:aws:iam::aws:policy/A']}",
                     "2:21: `max_duration` is 8, which is no duration; "
                     "write days, hours and minutes in this order, as 4h or 1d2h30m"),
    "managed-text": ("x: {managed_policies: 'arn:aws:iam::aws:policy/A'}",
                     "2:25: `managed_policies` must be a list, not a text"),
    "managed-own": ("x: {managed_policies: ['arn:aws:iam::111111111111:policy/A']}",
                    "2:26: `arn:aws:iam::111111111111:policy/A` is no policy that AWS manages; "
                    "write arn:aws:iam::aws:policy/<name>; what is your own goes into "
                    "`custom_statements`"),
    "managed-name": ("x: {managed_policies: [ReadOnlyAccess]}",
                     "2:26: `ReadOnlyAccess` is no policy that AWS manages; "
                     "write arn:aws:iam::aws:policy/<name>; what is your own goes into "
                     "`custom_statements`"),
    "partition": ("x: {managed_policies: ['arn:aws-us-gov:iam::aws:policy/A']}",
                  "2:26: `arn:aws-us-gov:iam::aws:policy/A` is in the partition `aws-us-gov`; "
                  "partitions other than `aws` are not supported"),
    "twice": ("x: {managed_policies: ['arn:aws:iam::aws:policy/A', 'arn:aws:iam::aws:policy/A']}",
              "2:55: `arn:aws:iam::aws:policy/A` stands already on line 2; keep one of them"),
    "description": ('x: {description: "a\\0b", managed_policies: ["arn:aws:iam::aws:policy/A"]}',
                    "2:20: `description` holds the character U+0000; take it out"),
    "description-long": (
        f"x: {{description: {'a' * 1001}, managed_policies: ['arn:aws:iam::aws:policy/A']}}",
        "2:20: `description` has 1001 characters; at most 1000 are kept"),
    "statement": ("x: {custom_statements: [a]}", "2:27: a statement must be a mapping, not a text"),
    "statements": ("x: {custom_statements: {effect: Allow}}",
                   "2:26: `custom_statements` must be a list, not a mapping"),
    "statement-key": (statement("effect: Allow, action: '*', resources: '*'"),
                      "4:9: the statement has neither `actions` nor `not_actions`; "
                      "write one of them",
                      "4:25: key `action` is not known here; did you mean `actions`?"),
    "no-effect": (statement("actions: '*', resources: '*'"),
                  "4:9: the statement has no `effect`; write Allow or Deny"),
    "effect-case": (statement("effect: ALLOW, actions: '*', resources: '*'"),
                    "4:18: `effect` is ALLOW; write Allow"),
    "effect": (statement("effect: permit, actions: '*', resources: '*'"),
               "4:18: `effect` is permit; write Allow or Deny"),
    "both": (statement("effect: Allow, actions: '*', not_actions: 'a:b', resources: '*'"),
             "4:39: `actions` and `not_actions` stand in one statement; write one of them"),
    "no-resource": (statement("effect: Allow, actions: '*'"),
                    "4:9: the statement has neither `resources` nor `not_resources`; "
                    "write one of them"),
    "no-actions": (statement("effect: Allow, actions: [], resources: '*'"),
                   "4:34: `actions` is an empty list"),
    "action": (statement("effect: Allow, actions: [PutObject], resources: '*'"),
               "4:35: `PutObject` (in `actions`) is no action; "
               "write service:Action, as s3:GetObject, or *"),
    "action-null": (statement("effect: Allow, actions: [~], resources: '*'"),
                    "4:35: `actions` is empty"),
    "action-list": (statement("effect: Allow, actions: [['s3:*']], resources: '*'"),
                    "4:35: `actions` must be one text, not a list"),
    "resource": (statement("effect: Allow, actions: '*', resources: my-bucket"),
                 "4:50: `my-bucket` (in `resources`) is no resource; write an ARN, or *"),
    "resource-character": (statement("effect: Allow, actions: '*', resources: 'arn:aws:s3:::日'"),
                           f"4:50: `resources` holds the character U+65E5; {CHARACTERS}"),
    "sid": (statement(f"sid: my-sid, {OK}"),
            "4:15: `sid` is my-sid; letters and digits only (A-Z, a-z, 0-9)"),
    "sid-twice": (f"x:\n    custom_statements:\n      - {{sid: a, {OK}}}\n      - {{sid: a, {OK}}}",
                  "5:15: `sid` a stands already on line 4; each is unique in its policy"),
    "conditions": (statement(f"{OK}, conditions: [a]"),
                   "4:67: `conditions` must be a mapping, not a list"),
    "conditions-empty": (statement(f"{OK}, conditions: {{}}"),
                         "4:67: `conditions` is empty; leave the key out"),
    "operator": (statement(f"{OK}, conditions: {{StringEqual: {{a: b}}}}"),
                 "4:68: `StringEqual` is no condition operator; did you mean `StringEquals`?"),
    "operator-text": (statement(f"{OK}, conditions: {{Bool: b}}"),
                      "4:74: `Bool` must be a mapping, not a text"),
    "operator-empty": (statement(f"{OK}, conditions: {{Bool: {{}}}}"),
                       "4:74: `Bool` names no condition key"),
    "condition-case": (statement(f"{OK}, conditions: {{Bool: {{aws:A: b, AWS:a: c}}}}"),
                       "4:85: condition key `AWS:a` stands already on line 4: case is ignored; "
                       "write all its values in one list"),
    "condition-character": (statement(f"{OK}, conditions: {{Bool: {{a: ['日']}}}}"),
                            f"4:79: `a` holds the character U+65E5; {CHARACTERS}"),
    "condition-none": (statement(f"{OK}, conditions: {{Bool: {{a: []}}}}"),
                       "4:78: `a` is an empty list"),
    "condition-null": (statement(f"{OK}, conditions: {{Bool: {{a: [b, ~], c: }}}}"),
                       "4:82: `a` is empty", "4:86: `c` is empty"),
    "condition-mapping": (statement(f"{OK}, conditions: {{Bool: {{a: {{b: c}}}}}}"),
                          "4:78: `a` must be a list, not a mapping"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_a_wrong_policy_is_told_with_its_place(case: tuple[str, ...]) -> None:
    text, *expected = case
    assert said({PAY: f"aws-policies:\n  {text}\n"}) == [f"{PAY}:{line}" for line in expected]


def managed(*names: str) -> str:
    lines = (f"  {name}: {{managed_policies: ['arn:aws:iam::aws:policy/A']}}\n" for name in names)
    return "aws-policies:\n" + "".join(lines)


def test_two_policies_of_one_team_that_iam_would_take_for_one_are_refused() -> None:
    assert said({PAY: managed("a.b", "A-B", "a-c")}) == [
        f"{PAY}:3:3: policy `A-B` and policy `a.b` of team `pay` ({PAY}:2) are both pay-A-B "
        "in IAM; rename one of them"
    ]


def test_two_policies_of_two_teams_that_iam_would_take_for_one_are_refused() -> None:
    files = {
        "aws-policies/x-y.yaml": managed("z"),
        "aws-policies/x.yaml": managed("ok", "y-z"),
    }
    expected = [
        "aws-policies/x.yaml:3:3: policy `y-z` and policy `z` of team `x-y` "
        "(aws-policies/x-y.yaml:2) are both x-y-z in IAM; rename one of them"
    ]
    assert said(files) == expected
    assert said(files, teams=["x"]) == expected
    assert said(files, teams=["x-y"]) == [
        "aws-policies/x-y.yaml:2:3: policy `z` and policy `y-z` of team `x` "
        "(aws-policies/x.yaml:3) are both x-y-z in IAM; rename one of them"
    ]
    assert said(files, teams=["pay"]) == []


@pytest.mark.parametrize(
    ("team", "name"),
    [("iam-ledger", "abcdefghijklmnop-p1"), ("iam", "ledger-x"), ("iam", "Ledger.x")],
)
def test_no_team_can_be_in_the_way_of_what_is_made_for_a_grant(team: str, name: str) -> None:
    """Somebody else's split copy would find its name taken. Where nothing is made, nothing is."""
    statement = "{effect: Allow, actions: ['s3:*'], resources: '*'}"
    path = f"aws-policies/{team}.yaml"
    text = f"aws-policies:\n  {name}: {{custom_statements: [{statement}]}}\n"
    assert said({path: text}) == [
        f"{path}:2:3: the policy's name in IAM, {iam_name(Team(team), name)}, begins with "
        "`iam-ledger-`; grants are called so there: rename it, or the team"
    ]
    accepted({path: managed(name)})


def test_the_policy_is_what_the_ledger_takes() -> None:
    manifest = accepted({PAY: managed("a")})
    assert manifest.policies[0].policy == Policy(
        TEAM, "a", "pay-a", None, ("arn:aws:iam::aws:policy/A",)
    )


def test_what_stands_beside_the_content_is_read() -> None:
    terms = 'require_mfa: true, enforcement: daemon, allow_dangerous: "so it was: until now"'
    text = f"aws-policies: {{a: {{{terms}, managed_policies: ['arn:aws:iam::aws:policy/A']}}}}"
    policy = accepted({PAY: text}).policies[0].policy
    assert (policy.require_mfa, policy.enforcement) == (True, "daemon")
    assert policy.allow_dangerous == "so it was: until now"


@pytest.mark.parametrize("said_so", ["", "require_mfa: false, ", "enforcement: aws, "])
def test_what_a_policy_says_as_the_default_is_as_if_it_were_not_said(said_so: str) -> None:
    text = f"aws-policies: {{a: {{{said_so}managed_policies: ['arn:aws:iam::aws:policy/A']}}}}"
    assert (
        accepted({PAY: text}).policies[0].policy == accepted({PAY: managed("a")}).policies[0].policy
    )
