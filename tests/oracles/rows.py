"""How a row of the table is written: sources, a call, and what is allowed at five moments, by hand.

The letters of a row are IAM's documented meaning, written down before any program was asked: `A`
for allowed, `.` for denied, at the moments of `cases.MOMENTS`. The copy's row is the source's, cut
off at the end, and where it has a start, before that.
"""

from typing import Any

from tests.oracles.cases import Call, Case, Statement

REPORT = "arn:aws:s3:::ledger/report.txt"
SECRET = "arn:aws:s3:::ledger/secret/plan.txt"
READ = Call("s3:GetObject", REPORT)
READ_SECRET = Call("s3:GetObject", SECRET)
WRITE = Call("s3:PutObject", REPORT)
USERS = Call("iam:ListUsers")
SELF = Call("iam:GetUser", "arn:aws:iam::111122223333:user/{user}")
TAG = Call(
    "iam:TagUser",
    "arn:aws:iam::111122223333:user/{user}",
    {"aws:TagKeys": ("cost", "owner"), "aws:RequestTag/cost": "7", "aws:RequestTag/owner": "Ana"},
)
BUCKETS = [f"arn:aws:s3:::{letter * 30}/*" for letter in "abcdefghijkl"]
ALWAYS, ENDS = "AAAAA", "AAA.."
NO_MICROSECOND = "its clock has microseconds, and no call meets an instant"
NO_VARIABLE = "it fills no variable"
MFA = "aws:MultiFactorAuthPresent"
OWN = "arn:aws:iam::*:user/${aws:username}"
NO_FACTOR = "its sessions never carry a second factor"


def allow(*actions: str, **more: Any) -> Statement:
    return {"Effect": "Allow", "Action": list(actions or ["s3:GetObject"]), "Resource": "*", **more}


def deny(*actions: str, **more: Any) -> Statement:
    return {**allow(*actions, **more), "Effect": "Deny"}


def when(operator: str, key: str, *values: Any) -> dict[str, Any]:
    return {"Condition": {operator: {key: list(values) if len(values) > 1 else values[0]}}}


def on(operator: str, key: str, *values: Any) -> Statement:
    """An Allow of everything on one condition."""
    return allow("*", **when(operator, key, *values))


def at(operator: str, *dates: str, key: str = "aws:CurrentTime") -> Statement:
    """An Allow on one condition of time."""
    return allow(**when(operator, key, *dates))


def row(
    kind: str, name: str, source: str, copy: str, *given: Statement, call: Call = READ, **more: Any
) -> Case:
    return Case(kind, name, (given,), call, source, copy, **more)


def but(*actions: str) -> Statement:
    return {"Effect": "Allow", "NotAction": list(actions), "Resource": "*"}


def not_on(*resources: str) -> Statement:
    return {"Effect": "Allow", "Action": "s3:*", "NotResource": list(resources)}


def listing(prefix: str = "home/payments/") -> Call:
    """The bucket, by a prefix: two conditions of a service's own."""
    return Call("s3:ListBucket", "arn:aws:s3:::ledger", {"s3:prefix": prefix, "s3:max-keys": "5"})


def many(*actions: str) -> Statement:
    """An Allow of so much that it takes several small documents."""
    return allow(*(f"ec2:Describe{letter}{'x' * 20}" for letter in "ABCDEFGHIJKLMN"), *actions)


def with_factor(call: Call, value: str) -> Call:
    return Call(call.action, call.resource, {**call.context, "aws:MultiFactorAuthPresent": value})
