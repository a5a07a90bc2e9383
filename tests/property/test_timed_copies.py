"""Before its end a copy allows exactly what its sources allow; at the end and after, nothing.

Judged by an evaluator of our own, from IAM's documentation; `scripts/oracles` has two of other
people's judge the same table.
"""

import json
from contextlib import suppress
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.permits import Asked, judge
from tests.oracles import evaluator
from tests.oracles.cases import ALLOWED, DENIED, HOURS, USER, Call, context_of
from tests.oracles.checks import caught, disagreements
from tests.oracles.copies import MUTANTS, copy_of
from tests.oracles.evaluator import Request, allowed
from tests.oracles.table import TABLE
from worker.iam.documents import NotCopyable, minify, timed_copy
from worker.iam.packing import split

# --- the table ------------------------------------------------------------------------------------


def test_the_table_is_as_large_and_as_mixed_as_it_says() -> None:
    kinds = {case.kind for case in TABLE}
    assert len({str(case) for case in TABLE}) == len(TABLE) >= 140
    assert len(kinds) >= 30
    moments = len(HOURS.moments)
    assert all(len(case.source) == len(case.copy) == moments for case in TABLE)
    for letters in ("AAAAA", "AAA..", ".AA..", "AA...", "....."):
        assert any(case.copy == letters for case in TABLE)
        assert any(case.source == letters for case in TABLE) or letters == ".AA.."


def test_no_row_allows_at_its_end_or_later_but_what_stands_beside_it() -> None:
    """The letters themselves keep the promise: they are the sources', cut off at the end."""
    for case in TABLE:
        if case.name == "access that is there anyway stays" or case.refused:
            continue
        assert case.copy[3:] == DENIED * 2, case
        begin = 1 if case.starts else 0
        assert case.copy[:begin] == DENIED * begin, case
        if not case.mfa:
            assert case.copy[begin:3] == case.source[begin:3], case


def test_every_row_is_as_iams_documentation_says() -> None:
    assert disagreements(evaluator.rows, TABLE, TABLE) == []


def test_every_planted_error_fails_the_table() -> None:
    assert [name for name, rows in caught(evaluator.rows, MUTANTS, TABLE).items() if not rows] == []


def test_what_the_ledger_says_of_an_action_never_contradicts_the_table() -> None:
    """A "no" means never, a "yes" whatever the circumstances."""
    said = set()
    for case in TABLE:
        for documents, letters in (
            (case.source_texts(HOURS), case.source),
            (copy_of(case, HOURS, USER), case.copy),
        ):
            resource = case.call.resource.replace("{user}", USER)
            asked = Asked(case.call.action, None if resource == "*" else resource)
            verdict = judge([*documents, *case.beside_texts(HOURS)], asked)
            said.add(verdict)
            assert verdict != "no" or ALLOWED not in letters, f"{case}: {letters}"
            assert verdict != "yes" or DENIED not in letters, f"{case}: {letters}"
    assert said == {"yes", "conditional", "no"}


# --- generated policies ---------------------------------------------------------------------------

ACTIONS = ["s3:GetObject", "s3:Get*", "S3:PUTOBJECT", "s3:*", "ec2:Run?nstances", "*", "iam:*"]
RESOURCES = ["*", "arn:aws:s3:::a/*", "arn:aws:s3:::a/b", "arn:aws:s3:::${aws:username}/?"]
DATES = ["<E-4>", "<E-1>", "<E>", "<E+1>", "<E-1:epoch>", "<E+1:offset>"]
DATE_OPERATORS = [
    "DateLessThan",
    "dateLessthan",
    "DateGreaterThanEquals",
    "DateGreaterThan",
    "DateLessThanEquals",
    "DateEquals",
    "DateNotEquals",
    "DateLessThanIfExists",
    "ForAllValues:DateLessThan",
]
OTHERS: list[tuple[str, str, list[Any]]] = [
    ("StringEquals", "aws:RequestedRegion", ["us-east-1", "eu-west-1"]),
    ("StringNotEquals", "aws:RequestedRegion", ["us-east-1", "eu-west-1"]),
    ("StringEqualsIfExists", "aws:PrincipalTag/none", ["x"]),
    ("Null", "aws:PrincipalTag/none", [True, False]),
    ("Bool", "aws:MultiFactorAuthPresent", ["true", "false", True]),
    ("bool", "AWS:multifactorauthpresent", ["true", "false"]),
    ("BoolIfExists", "aws:MultiFactorAuthPresent", ["true"]),
    ("NumericLessThan", "aws:EpochTime", [HOURS.end.timestamp() - 1, "1772456400"]),
    ("ForAnyValue:StringLike", "aws:TagKeys", ["own*", "x"]),
]


def one_or_more(values: list[Any]) -> st.SearchStrategy[Any]:
    some = st.lists(st.sampled_from(values), min_size=1, max_size=3)
    return st.one_of(st.sampled_from(values), some)


@st.composite
def conditions(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for operator in draw(st.lists(st.sampled_from(DATE_OPERATORS), max_size=2)):
        key = draw(st.sampled_from(["aws:CurrentTime", "AWS:currenttime"]))
        found.setdefault(operator, {})[key] = draw(one_or_more(DATES))
    for operator, key, values in draw(st.lists(st.sampled_from(OTHERS), max_size=2)):
        found.setdefault(operator, {})[key] = draw(one_or_more(values))
    return found


@st.composite
def statements(draw: st.DrawFn) -> dict[str, Any]:
    found: dict[str, Any] = {
        "Effect": "Allow",
        draw(st.sampled_from(["Action", "Action", "NotAction"])): draw(one_or_more(ACTIONS)),
        draw(st.sampled_from(["Resource", "NotResource"])): draw(one_or_more(RESOURCES)),
    }
    condition = draw(conditions())
    return {**found, "Condition": condition} if condition else found


texts = st.lists(statements(), min_size=1, max_size=4).map(
    lambda found: HOURS.written(json.dumps({"Version": "2012-10-17", "Statement": found}))
)
asked_for = st.builds(
    Call,
    st.sampled_from(["s3:GetObject", "s3:PutObject", "ec2:RunInstances", "iam:GetUser"]),
    st.sampled_from(["arn:aws:s3:::a/b", "arn:aws:s3:::ana/x", "arn:aws:s3:::c"]),
    st.sampled_from(
        [
            {},
            {"aws:MultiFactorAuthPresent": "true"},
            {"aws:MultiFactorAuthPresent": "false", "aws:TagKeys": ("owner",)},
            {"aws:RequestedRegion": "eu-west-1"},
        ]
    ),
)
TICK = timedelta(seconds=1)
INSTANTS = [*HOURS.moments, HOURS.start - TICK, HOURS.end - HOURS.unit, HOURS.end + TICK]


@settings(max_examples=60)
@given(
    st.lists(texts, min_size=1, max_size=2),
    st.lists(asked_for, min_size=1, max_size=6),
    st.booleans(),
    st.booleans(),
)
def test_a_copy_of_whatever_allows_what_its_sources_do_within_the_window_and_nothing_outside(
    sources: list[str], calls: list[Call], late: bool, mfa: bool
) -> None:
    starts_at = HOURS.start if late else None
    try:
        copied = timed_copy(sources, ends_at=HOURS.end, starts_at=starts_at, mfa=mfa)
    except NotCopyable:
        return  # what is refused gives nothing, and that is the promise too
    whole = minify(copied)
    ways = [[whole.text]]
    with suppress(NotCopyable):
        ways.append([each.text for each in split(copied, max(500, whole.size * 2 // 3))])
    ours = ["datelessthan", *["dategreaterthanequals"] * late, *["bool"] * mfa]
    assert not any(spelt_twice(text, ours) for way in ways for text in way)
    for call in calls:
        for at in INSTANTS:
            request = Request(call.action, call.resource, at, context_of(call))
            within = at < HOURS.end and (not late or at >= HOURS.start)
            shown = not mfa or call.context.get("aws:MultiFactorAuthPresent") == "true"
            wanted = within and shown and allowed(sources, request)
            for way in ways:
                assert allowed(way, request) == wanted


def spelt_twice(document: str, operators: list[str]) -> bool:
    """Whether a date or a second factor stands twice where AWS might take either."""
    watched = ("aws:currenttime", "aws:multifactorauthpresent")
    for statement in json.loads(document)["Statement"]:
        for operator in operators:
            keys = [
                key.casefold()
                for spelt, under in statement["Condition"].items()
                if spelt.casefold() == operator
                for key in under
                if key.casefold() in watched
            ]
            if len(keys) != len(set(keys)):
                return True
    return False
