"""Timed copies end by themselves and mean what they were copied from; minify loses nothing."""

import itertools
import json
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.model import Policy, Team
from tests.support.fake_aws.access import allowed
from tests.support.fake_aws.iam import check_document, counted_chars
from tests.unit.worker.iam_texts import allow, text
from worker.iam.documents import (
    NotCopyable,
    canonical,
    date_text,
    minify,
    own_document,
    size_of,
    timed_copy,
    without_covered,
)

END = datetime(2026, 3, 2, 13, tzinfo=UTC)
START = END - timedelta(hours=4)
TICK = timedelta(microseconds=1)


def dates(operator: str, *values: str, key: str = "aws:CurrentTime") -> dict[str, Any]:
    return {"Condition": {operator: {key: list(values)}}}


def copied(*texts: str, starts_at: datetime | None = None) -> dict[str, Any]:
    document = minify(timed_copy(texts, ends_at=END, starts_at=starts_at))
    check_document(document.text)
    value: dict[str, Any] = json.loads(document.text)
    return value


# --- canonical form -------------------------------------------------------------------------------


def test_order_white_space_and_lists_of_one_make_no_difference() -> None:
    one = text(allow("s3:GetObject", "s3:ListBucket"), Id="x")
    other = """{ "Id": "x", "Statement": {"Resource": ["*"], "Effect": "Allow",
        "Action": ["s3:ListBucket", "s3:GetObject", "s3:GetObject"]}, "Version": "2012-10-17"}"""
    assert canonical(one) == canonical(other)
    assert canonical(one).sha256 == canonical(other).sha256


@pytest.mark.parametrize(
    "other",
    [
        text(allow("s3:GetObject"), allow("s3:ListBucket")),
        text(allow("s3:GetObject", Sid="a")),
        text(allow("s3:GetObject", **dates("DateLessThan", "2026-01-01T00:00:00Z"))),
        text({**allow("s3:GetObject"), "Effect": "Deny"}),
        text({**allow("s3:GetObject"), "Resource": "arn:aws:s3:::b"}),
        text(allow("s3:getobject")),
    ],
)
def test_what_may_mean_something_else_is_something_else(other: str) -> None:
    assert canonical(text(allow("s3:GetObject"))) != canonical(other)


def test_somebody_elses_json_is_compared_too_and_no_json_is_an_error() -> None:
    assert canonical('{"b": 1, "a": [2]}') == canonical('{"a":[2],"b":1}')
    assert canonical('["x"]') != canonical('["y"]')
    for bad in ("", "{", None):
        with pytest.raises(ValueError, match="not JSON"):
            canonical(bad)


def test_a_size_counts_all_but_white_space_between_signs() -> None:
    spaced = '{ "Sid" : "a b\\" c" ,\n"x" : [ 1 ] }'
    assert size_of(spaced) == len('{"Sid":"a b\\" c","x":[1]}')
    document = canonical(text(allow("s3:GetObject")))
    assert document.size == size_of(document.text) == counted_chars(document.text)


# --- timed copies ---------------------------------------------------------------------------------


def test_every_allow_ends_at_the_instant_not_action_among_them() -> None:
    source = text(
        allow("s3:GetObject"),
        {"Effect": "Allow", "NotAction": ["iam:*"], "Resource": "*"},
        {"Effect": "Allow", "Action": "ec2:Run", "NotResource": "arn:aws:ec2:::x"},
    )
    found = copied(source)["Statement"]
    assert len(found) == 3
    for statement in found:
        assert statement["Condition"] == {
            "DateLessThan": {"aws:CurrentTime": "2026-03-02T13:00:00Z"}
        }


def test_a_start_to_come_stands_beside_the_end() -> None:
    (statement,) = [copied(text(allow("a:b")), starts_at=START)["Statement"]]
    (only,) = statement
    assert only["Condition"] == {
        "DateLessThan": {"aws:CurrentTime": "2026-03-02T13:00:00Z"},
        "DateGreaterThanEquals": {"aws:CurrentTime": "2026-03-02T09:00:00Z"},
    }


@pytest.mark.parametrize(
    ("standing", "wanted"),
    [
        ({"StringEquals": {"aws:RequestedRegion": ["eu-west-1"]}}, "2026-03-02T13:00:00Z"),
        ({"DateLessThan": {"aws:EpochTime": ["1"]}}, "2026-03-02T13:00:00Z"),
        ({"DateLessThan": {"aws:CurrentTime": ["2026-03-02T12:00:00Z"]}}, "2026-03-02T12:00:00Z"),
        ({"DateLessThan": {"AWS:CURRENTTIME": ["2026-03-02T12:00:00Z"]}}, "2026-03-02T12:00:00Z"),
        ({"DateLessThan": {"aws:CurrentTime": ["2027-01-01T00:00:00Z"]}}, "2026-03-02T13:00:00Z"),
        ({"DateLessThan": {"aws:CurrentTime": "1772452800"}}, "2026-03-02T12:00:00Z"),
        ({"DateLessThan": {"aws:CurrentTime": ["2026-03-02"]}}, "2026-03-02T00:00:00Z"),
        (
            {"DateLessThan": {"aws:CurrentTime": ["2026-03-02T10:00Z", "2026-03-02T11:00Z"]}},
            "2026-03-02T11:00:00Z",
        ),
        (
            {"DateLessThan": {"aws:CurrentTime": ["2026-03-02T10:00Z", "2027-03-02T11:00Z"]}},
            "2026-03-02T13:00:00Z",
        ),
        ({"datelessthan": {"aws:CurrentTime": ["2026-03-02T12:00:00Z"]}}, "2026-03-02T12:00:00Z"),
        ({"DATELESSTHAN": {"AWS:CurrentTime": ["2027-01-01T00:00Z"]}}, "2026-03-02T13:00:00Z"),
        ({"DateLessThan": {"aws:CurrentTime": "2026-03-02T12:00:00.9Z"}}, "2026-03-02T12:00:00Z"),
    ],
)
def test_an_end_that_stands_already_is_never_moved_later(
    standing: dict[str, Any], wanted: str
) -> None:
    """The values of one key are alternatives: appended, the later one would win."""
    ((statement,),) = [copied(text(allow("a:b", Condition=standing)))["Statement"]]
    condition = statement["Condition"]
    assert condition["DateLessThan"]["aws:CurrentTime"] == wanted
    for operator, keys in standing.items():
        for key, values in keys.items():
            if key.casefold() != "aws:currenttime":
                assert condition[operator][key] == values[0]


def test_a_later_start_that_stands_already_is_kept() -> None:
    late = dates("DateGreaterThanEquals", "2026-03-02T11:00:00Z", "2026-03-02T12:00:00Z")
    (statement,) = copied(text(allow("a:b", **late)), starts_at=START)["Statement"]
    after = statement["Condition"]["DateGreaterThanEquals"]["aws:CurrentTime"]
    assert after == "2026-03-02T11:00:00Z"


def test_a_start_that_stands_within_a_second_is_rounded_to_the_side_that_allows_less() -> None:
    late = dates("dategreaterthanequals", "2026-03-02T11:00:00.25Z")
    (statement,) = copied(text(allow("a:b", **late)), starts_at=START)["Statement"]
    after = statement["Condition"]["DateGreaterThanEquals"]
    assert after == {"aws:CurrentTime": "2026-03-02T11:00:01Z"}
    assert set(statement["Condition"]) == {"DateLessThan", "DateGreaterThanEquals"}
    (statement,) = copied(text(allow("a:b")), starts_at=START + TICK)["Statement"]
    after = statement["Condition"]["DateGreaterThanEquals"]["aws:CurrentTime"]
    assert after == "2026-03-02T09:00:01Z"


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ({"Effect": "Deny", "Action": "a:b", "Resource": "*"}, "Deny"),
        (allow("a:b", Principal="*"), "Principal"),
        (allow("a:b", **dates("DateLessThan", "tomorrow")), "tomorrow"),
        (
            allow(
                "a:b",
                Condition={
                    "DateLessThan": {
                        "aws:CurrentTime": "2026-03-02",
                        "AWS:CurrentTime": "2027-03-02",
                    }
                },
            ),
            "twice",
        ),
        (
            allow(
                "a:b",
                Condition={
                    "DateLessThan": {"aws:EpochTime": "1"},
                    "dateLessThan": {"aws:CurrentTime": "2027-03-02"},
                },
            ),
            "names DateLessThan twice",
        ),
        (allow("a:b", **dates("DateLessThan")), "without a date"),
        (allow("a:b", **dates("DateLessThan", "0001-01-01T00:00:00+01:00")), "0001"),
        (allow("a:b", Condition={"StringEquals": {"aws:username": None}}), "aws:username"),
        ({**allow("a:b"), "Resource": ["arn:aws:s3:::x", None]}, "its Resource has a value"),
        (allow("a:b", Condition={"StringEquals": {"aws:username": ["x", ["y"]]}}), "aws:username"),
    ],
)
def test_what_cannot_be_limited_without_changing_it_is_not_copied(
    statement: dict[str, Any], why: str
) -> None:
    with pytest.raises(NotCopyable, match=why):
        timed_copy([text(allow("c:d"), statement)], ends_at=END)


def test_an_old_versions_dollar_signs_would_become_variables() -> None:
    old = text(allow("a:b"), Version="2008-10-17").replace('"*"', '"arn:aws:s3:::${aws:username}"')
    with pytest.raises(NotCopyable, match="2008-10-17"):
        timed_copy([old], ends_at=END)
    assert timed_copy([old.replace("2008-10-17", "2012-10-17")], ends_at=END)


def test_dates_are_written_in_the_one_form_that_iam_documents() -> None:
    berlin = datetime.fromisoformat("2026-03-02T14:00:00+01:00")
    assert date_text(berlin) == "2026-03-02T13:00:00Z"


ACTIONS = ["s3:GetObject", "s3:Get*", "S3:PUTOBJECT", "s3:*", "ec2:Run?nstances", "*", "a:b"]
ASKED = [
    "s3:GetObject",
    "s3:PutObject",
    "s3:DeleteBucket",
    "ec2:RunInstances",
    "a:b",
    "iam:PassRole",
]
MOMENTS = [START + timedelta(hours=hours) for hours in range(-2, 8)]


@st.composite
def statements(draw: st.DrawFn) -> dict[str, Any]:
    actions = draw(st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=3))
    resources = draw(st.lists(st.sampled_from(["*", "arn:x", "arn:y"]), min_size=1, max_size=2))
    found: dict[str, Any] = {"Effect": "Allow"}
    found[draw(st.sampled_from(["Action", "NotAction"]))] = actions
    found[draw(st.sampled_from(["Resource", "NotResource"]))] = draw(
        st.sampled_from([resources, resources[0]])
    )
    condition: dict[str, Any] = {}
    for operator in ("DateLessThan", "DateGreaterThanEquals"):
        values = draw(st.lists(st.sampled_from(MOMENTS).map(date_text), max_size=2))
        if values:
            key = draw(st.sampled_from(["aws:CurrentTime", "aws:currenttime"]))
            condition[operator] = {key: values}
    if draw(st.booleans()):
        condition["StringEquals"] = {"aws:RequestedRegion": "eu-west-1"}
    if condition:
        found["Condition"] = condition
    if draw(st.booleans()):
        found["Sid"] = "Named"
    return found


sources = st.lists(
    st.lists(statements(), min_size=1, max_size=3).map(
        lambda found: text(*({**item, "Sid": f"S{n}"} for n, item in enumerate(found)))
    ),
    min_size=1,
    max_size=2,
)


@given(sources, st.booleans())
def test_a_copy_allows_what_its_sources_do_within_the_window_and_nothing_outside(
    texts: list[str], late: bool
) -> None:
    document = minify(timed_copy(texts, ends_at=END, starts_at=START if late else None))
    for moment in (*MOMENTS, END - TICK, END, START - TICK, START):
        within = moment < END and (not late or moment >= START)
        for action in ASKED:
            before = any(allowed([source], action, moment) for source in texts)
            assert allowed([document.text], action, moment) == (before and within)


@given(sources)
def test_minify_loses_nothing_and_adds_nothing(texts: list[str]) -> None:
    plain = timed_copy(texts, ends_at=END)
    document = minify(plain)
    assert expanded(json.loads(document.text)["Statement"]) == expanded(plain)
    plainly = text(*({**statement, "Effect": "Allow"} for statement in plain))
    assert document.size <= counted_chars(plainly)
    assert canonical(document.text) == document, "what is written compares equal to itself"


def expanded(found: Any) -> set[tuple[str, ...]]:
    """(action asked for, resource element, condition) of everything that the statements allow."""
    out: set[tuple[str, ...]] = set()
    for statement in found:
        bare = {"Statement": [{**statement, "Condition": {}, "Effect": "Allow"}]}
        for element, action in itertools.product(("Resource", "NotResource"), ASKED):
            values = statement.get(element)
            if values is None or not allowed([json.dumps(bare)], action, START):
                continue
            resources = values if isinstance(values, list) else [values]
            # A NotResource is one condition as a whole; resources are alternatives.
            parts = resources if element == "Resource" else [" ".join(sorted(set(resources)))]
            condition = canonical(json.dumps({"Statement": {"Condition": statement["Condition"]}}))
            out |= {(element, part, action, condition.text) for part in parts}
    return out


def test_actions_are_dropped_only_where_another_covers_them_and_none_is_made() -> None:
    assert without_covered(["s3:GetObject", "s3:Get*", "s3:PutObject"]) == [
        "s3:Get*",
        "s3:PutObject",
    ]
    assert without_covered(["S3:getobject", "s3:GetObject"]) == ["S3:getobject"]
    assert without_covered(["s3:Get?bject", "s3:GetObject"]) == ["s3:Get?bject"]
    assert without_covered(["s3:Get?bject", "s3:Get*bject"]) == ["s3:Get*bject"]
    assert without_covered(["s3:G?t*", "s3:G**"]) == ["s3:G**"]
    assert without_covered(["*", "s3:GetObject"]) == ["*"]
    assert without_covered(["s3:Get*", "s3:G**", "S3:G*"]) == ["S3:G*"]
    assert without_covered(["**", "*"]) == ["*"]
    assert without_covered(["s3:GetObject", "s3:GetObjectAcl"]) == [
        "s3:GetObject",
        "s3:GetObjectAcl",
    ]


# --- a second factor ------------------------------------------------------------------------------

WITH_MFA = {"aws:MultiFactorAuthPresent": "true"}


def own(*statements: dict[str, Any]) -> Any:
    """The customer-managed policy of these statements, where they ask for a second factor."""
    found = Policy(Team("payments"), "fix", "payments-fix", text(*statements), require_mfa=True)
    return json.loads(own_document(found).text)["Statement"]


def test_every_allow_asks_for_the_second_factor_and_a_deny_is_left_alone() -> None:
    denying = {"Effect": "Deny", "Action": "s3:DeleteBucket", "Resource": "*"}
    named = allow("s3:GetObject", Sid="Named")
    first, second, third = own(named, {**allow(), "NotAction": "iam:*"}, denying)
    assert (first["Condition"], first["Sid"]) == ({"Bool": WITH_MFA}, "Named")
    assert second["Condition"] == {"Bool": WITH_MFA}
    assert third == denying


def test_a_copy_asks_for_the_second_factor_beside_its_end_and_all_it_said() -> None:
    region = {"StringEquals": {"aws:RequestedRegion": "eu-west-1"}}
    other = {"Bool": {"aws:SecureTransport": "true"}}
    source = text(allow("a:b", Condition={**region, **other}))
    (statement,) = timed_copy([source], ends_at=END, mfa=True)
    assert json.loads(minify([statement]).text)["Statement"][0]["Condition"] == {
        "DateLessThan": {"aws:CurrentTime": "2026-03-02T13:00:00Z"},
        "Bool": {"aws:SecureTransport": "true", **WITH_MFA},
        **region,
    }


@pytest.mark.parametrize("operator", ["Bool", "bool"])
@pytest.mark.parametrize("values", ["true", True, ["false", "true"], ["TRUE"]])
def test_a_second_factor_that_stands_already_leaves_what_both_allow(
    operator: str, values: object
) -> None:
    standing = {operator: {"aws:multifactorauthpresent": values}}
    (statement,) = own(allow("a:b", Condition=standing))
    assert statement["Condition"] == {"Bool": WITH_MFA}


def test_other_operators_on_the_second_factor_stay_beside_it() -> None:
    weaker = {"BoolIfExists": WITH_MFA, "Null": {"aws:MultiFactorAuthAge": "false"}}
    (statement,) = own(allow("a:b", Condition=weaker))
    assert statement["Condition"] == {**weaker, "Bool": WITH_MFA}


@pytest.mark.parametrize("values", ["false", [], "${aws:PrincipalTag/mfa}"])
def test_a_statement_that_no_second_factor_could_open_is_an_error(values: object) -> None:
    never = {"Bool": {"aws:MultiFactorAuthPresent": values}}
    with pytest.raises(NotCopyable, match="nobody could use it"):
        own(allow("a:b", Condition=never))
    with pytest.raises(NotCopyable, match="nobody could use it"):
        timed_copy([text(allow("a:b", Condition=never))], ends_at=END, mfa=True)


def test_without_it_a_managed_policy_is_what_people_wrote() -> None:
    written = text(allow("a:b", Sid="Named"), {**allow("c:d"), "Effect": "Deny"})
    found = Policy(Team("payments"), "fix", "payments-fix", written)
    assert own_document(found) == canonical(written)


@given(st.lists(st.text("ab*?", min_size=1, max_size=4), min_size=1, max_size=5))
def test_what_is_left_of_actions_covers_them_all(names: list[str]) -> None:
    actions = [f"s3:{name}" for name in names]
    left = without_covered(actions)
    assert set(left) <= set(actions)
    for action in actions:
        asked = action.replace("*", "aab").replace("?", "b")
        assert any(fnmatchcase(asked, pattern) for pattern in left)
