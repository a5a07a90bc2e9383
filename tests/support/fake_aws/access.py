"""The truth about access: what a principal may do at an instant, by the documents that stood then.

Dates on `aws:CurrentTime` are honoured as AWS does. Every other condition narrows access by other
things than time, and is taken to hold. Resources are not looked at.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Any

from tests.support.fake_aws.iam import statements


def allowed(documents: Iterable[str], action: str, at: datetime) -> bool:
    """Whether these documents together allow `action` at `at`: a Deny beats every Allow."""
    effects = {
        statement["Effect"]
        for document in documents
        for statement in statements(document)
        if _names(statement, action) and _in_time(statement, at)
    }
    return effects == {"Allow"}


def _names(statement: Mapping[str, Any], action: str) -> bool:
    if "Action" in statement:
        return _matches(statement["Action"], action)
    return not _matches(statement["NotAction"], action)


def _matches(patterns: Any, action: str) -> bool:
    return any(fnmatchcase(action.casefold(), text.casefold()) for text in _listed(patterns))


def _listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def _in_time(statement: Mapping[str, Any], at: datetime) -> bool:
    return all(
        any(_compares(operator, at, end) for end in ends) for operator, ends in _dates(statement)
    )


def _compares(operator: str, at: datetime, value: datetime) -> bool:
    match operator:
        case "DateLessThan":
            return at < value
        case "DateLessThanEquals":
            return at <= value
        case "DateGreaterThan":
            return at > value
        case "DateGreaterThanEquals":
            return at >= value
        case _:
            raise AssertionError(f"the fake does not know {operator} on aws:CurrentTime")


def _dates(statement: Mapping[str, Any]) -> Iterator[tuple[str, list[datetime]]]:
    """(operator, values) of every condition on the current time."""
    for operator, keys in statement.get("Condition", {}).items():
        for key, values in keys.items():
            if key.casefold() == "aws:currenttime":
                yield operator, [datetime.fromisoformat(value) for value in _listed(values)]


@dataclass(frozen=True, slots=True)
class Moment:
    """What stood for one principal from an instant on."""

    at: datetime
    documents: tuple[str, ...]


def intervals(
    history: Iterable[Moment], action: str, until: datetime
) -> list[tuple[datetime, datetime | None]]:
    """When `action` was allowed, half open, up to `until`; None as the end: it is so still."""
    moments = list(history)
    found: list[tuple[datetime, datetime | None]] = []
    for moment, following in zip(moments, [*moments[1:], None], strict=True):
        end = following.at if following else until
        for start, stop in _within(moment, end):
            if not allowed(moment.documents, action, start):
                continue
            if found and found[-1][1] == start:
                found[-1] = (found[-1][0], stop)
            else:
                found.append((start, stop))
    if found and found[-1][1] == until:
        found[-1] = (found[-1][0], None)
    return found


def _within(moment: Moment, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The stretches of one moment between the dates that its own documents name."""
    dates = {
        value
        for document in moment.documents
        for statement in statements(document)
        for _, values in _dates(statement)
        for value in values
        if moment.at < value < end
    }
    points = [moment.at, *sorted(dates), end]
    for start, stop in pairwise(points):
        if start < stop:
            yield start, stop
