"""A copy split over documents allows what the whole does: nothing lost, nothing widened."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fake_aws.iam import check_document, counted_chars
from tests.unit.worker.iam_texts import allow, many, text
from worker.iam.documents import Document, NotCopyable, canonical, minify, timed_copy
from worker.iam.packing import FRAME_CHARS, split

END = datetime(2026, 3, 2, 13, tzinfo=UTC)
ROOM = 400
"""Small, so that small documents are split."""


def timed(*statements: dict[str, Any]) -> Any:
    return timed_copy([text(*statements)], ends_at=END)


def permissions(documents: Iterable[Document]) -> set[tuple[str, ...]]:
    """Every (action, resource) with all else its statement says; a Not-list is one as a whole."""
    found: set[tuple[str, ...]] = set()
    for document in documents:
        for statement in json.loads(document.text)["Statement"]:
            rest = {k: v for k, v in statement.items() if k not in ("Action", "Resource")}
            said = canonical(json.dumps({"Statement": [rest]})).text
            pairs = product(
                listed(statement.get("Action", "")), listed(statement.get("Resource", ""))
            )
            found |= {(said, *pair) for pair in pairs}
    return found


def listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


@st.composite
def statements(draw: st.DrawFn) -> dict[str, Any]:
    service = draw(st.sampled_from(["s3", "ec2", "rds"]))
    count, length = draw(st.integers(1, 30)), draw(st.integers(1, 20))
    names = [f"{service}:{'x' * length}{number:02}" for number in range(count)]
    found: dict[str, Any] = {"Effect": "Allow", "Resource": "*"}
    found[draw(st.sampled_from(["Action", "Action", "Action", "NotAction"]))] = names
    resources = draw(st.integers(0, 20))
    if resources:
        found["Resource"] = [f"arn:aws:s3:::bucket-{number:03}" for number in range(resources)]
    if draw(st.booleans()):
        found["Condition"] = {"StringEquals": {"aws:RequestedRegion": "eu-west-1"}}
    return found


@given(st.lists(statements(), min_size=1, max_size=6))
def test_the_parts_together_are_the_whole_and_each_fits(found: list[dict[str, Any]]) -> None:
    whole = timed(*found)
    try:
        documents = split(whole, ROOM)
    except NotCopyable:
        least = [least_of(one) for one in found]
        assert any(minify(timed(one)).size > ROOM for one in least), "each of them could be parted"
        return
    assert permissions(documents) == permissions([minify(whole)])
    for document in documents:
        check_document(document.text)
        assert document.size == counted_chars(document.text) <= ROOM


def least_of(statement: dict[str, Any]) -> dict[str, Any]:
    """One action on one resource of it; a NotAction keeps all of its names."""
    names = {"Action": statement["Action"][-1:]} if "Action" in statement else {}
    resource = listed(statement["Resource"])[0]
    return {**statement, **names, "Resource": resource}


def test_what_fits_one_document_is_one_and_says_the_same() -> None:
    whole = timed(many(20), allow("ec2:Run*"))
    assert split(whole, minify(whole).size) == (minify(whole),)


def test_one_statement_too_large_is_split_by_its_actions_and_fills_its_documents() -> None:
    documents = split(timed(many(3_000)), 6_144)
    total = minify(timed(many(3_000))).size
    assert len(documents) == -(-total // 6_000)
    for document in documents[:-1]:
        assert document.size > 6_144 - 20


def test_few_documents_are_made_where_whole_statements_would_leave_gaps() -> None:
    """Three of two thirds of a document take two, parted; never three, whole."""
    each = [many(260, service) for service in ("s3", "ec2", "rds")]
    whole = [allow(*one["Action"], Resource=f"arn:{n}") for n, one in enumerate(each)]
    documents = split(timed(*whole), 6_144)
    assert 3 * minify(timed(whole[0])).size < 2 * 6_144 + FRAME_CHARS
    assert len(documents) == 2
    assert permissions(documents) == permissions([minify(timed(*whole))])


def test_a_statement_of_many_resources_is_split_by_them_where_one_action_does_not_fit() -> None:
    resources = [f"arn:aws:s3:::bucket-{number:04}" for number in range(400)]
    whole = timed(allow("s3:GetObject", Resource=resources))
    documents = split(whole, 6_144)
    assert len(documents) == 2
    assert permissions(documents) == permissions([minify(whole)])


@pytest.mark.parametrize("over", [0, 1, 2])
def test_an_action_that_fits_by_itself_alone_is_parted_to_the_last_character(over: int) -> None:
    """One alone is written without the brackets of a list, which may be all that is too much."""
    resource = "arn:" + "x" * 400
    alone = minify(timed(allow("s3:GetObject", Resource=resource))).size
    whole = timed(allow("s3:GetObject", "s3:PutObject", Resource=resource))
    documents = split(whole, alone + over)
    assert len(documents) == 2
    assert permissions(documents) == permissions([minify(whole)])


@pytest.mark.parametrize("element", ["NotAction", "NotResource"])
def test_what_is_allowed_but_for_a_list_is_never_parted(element: str) -> None:
    """Two halves of a NotAction would together allow everything."""
    names = [f"s3:{'x' * 20}{number:03}" for number in range(300)]
    statement = {"Effect": "Allow", element: names}
    statement |= {"Resource": "*"} if element == "NotAction" else {"Action": "s3:*"}
    with pytest.raises(NotCopyable, match="cannot be parted"):
        split(timed(statement), 6_144)


def test_the_same_copy_with_another_end_is_split_in_the_same_way() -> None:
    """An extension rewrites each part in place: nothing moves from one to another."""
    found = text(many(600), many(500, "ec2"), allow("rds:*", Resource="arn:x"))
    later = datetime(2026, 3, 9, 21, tzinfo=UTC)
    first, second = (split(timed_copy([found], ends_at=end), 6_144) for end in (END, later))
    moved = [one.text.replace("2026-03-02T13", "2026-03-09T21") for one in first]
    assert moved == [one.text for one in second]
