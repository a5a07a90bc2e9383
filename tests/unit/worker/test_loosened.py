"""Whether a text lets access go on past an end: "no" only where every statement ends by it."""

import json
from typing import Any

import pytest

from tests.support.histories import after
from worker.iam.documents import date_text, minify, timed_copy
from worker.iam.loosened import lets_past

END = after(4)
AT_END, LATER, SOONER = (date_text(after(hours)) for hours in (4, 5, 3))


def text(*conditions: dict[str, Any] | None, effect: str = "Allow") -> str:
    plain = {"Effect": effect, "Action": "s3:*", "Resource": "*"}
    found = [plain if each is None else {**plain, "Condition": each} for each in conditions]
    return json.dumps({"Version": "2012-10-17", "Statement": found if len(found) > 1 else found[0]})


def until(date: Any, operator: str = "DateLessThan", key: str = "aws:CurrentTime") -> Any:
    return {operator: {key: date}}


@pytest.mark.parametrize(
    "bounded",
    [
        text(until(AT_END)),
        text(until(SOONER)),
        text(until([SOONER, AT_END])),
        text(until(AT_END, "datelessthan", "AWS:currenttime")),
        text(until(SOONER, "DateLessThanEquals")),
        text(until(str(int(END.timestamp())))),
        text(until(AT_END), until(SOONER)),
        text(until(AT_END) | {"Bool": {"aws:MultiFactorAuthPresent": "true"}}),
        text(None, effect="Deny"),
    ],
)
def test_what_is_over_by_then_is_not_loosened(bounded: str) -> None:
    assert not lets_past(bounded, END)


@pytest.mark.parametrize(
    "loosened",
    [
        text(None),
        text(until(LATER)),
        text(until([SOONER, LATER])),
        text(until(AT_END, "DateLessThanEquals")),
        text(until(AT_END, "DateGreaterThan")),
        text(until(AT_END, "StringLike")),
        text(until(AT_END, key="aws:TokenIssueTime")),
        text(until("whenever")),
        text(until([])),
        text(until(AT_END), None),
        text(until(7)),
        '{"Statement": ["x"]}',
        "[]",
        "no JSON",
    ],
)
def test_what_may_go_on_past_it_or_cannot_be_read_is(loosened: str) -> None:
    assert lets_past(loosened, END)


def test_no_copy_of_ours_is_looser_than_its_own_end() -> None:
    """Nor an older one, before an extension: a reading that lags never looks like hands at work."""
    for hours in (1, 4):
        copy = minify(timed_copy([text(None)], ends_at=after(hours)))
        assert not lets_past(copy.text, END)
    assert lets_past(minify(timed_copy([text(None)], ends_at=after(5))).text, END)
