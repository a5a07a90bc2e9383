"""Whether a text lets access go on past an instant: pure, of whatever stands under a name of ours.

Invariant: "no" is said only where every statement that allows something is bounded, by a date that
can be read, to end by then. Whatever else it says, it then gives nothing past that end.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import orjson

from worker.iam.documents import TIME, NotCopyable, date_of

_BOUNDS = ("datelessthan", "datelessthanequals")


def lets_past(text: str, end: datetime) -> bool:
    """Whether `text` may allow something at `end` or later."""
    try:
        statements = orjson.loads(text)["Statement"]
    except (ValueError, TypeError, KeyError):
        return True
    listed = statements if isinstance(statements, list) else [statements]
    return any(
        not isinstance(statement, Mapping)
        or (statement.get("Effect") != "Deny" and not _bounded(statement, end))
        for statement in listed
    )


def _bounded(statement: Mapping[str, Any], end: datetime) -> bool:
    return any(_ends_by(operator, values, end) for operator, values in _dates(statement))


def _ends_by(operator: str, values: list[Any], end: datetime) -> bool:
    """Of several values any will do for AWS, so the latest counts."""
    try:
        dates = [date_of(value) for value in values if isinstance(value, str)]
    except NotCopyable:
        return False
    if not dates or len(dates) < len(values):
        return False
    return max(dates) <= end if operator == "datelessthan" else max(dates) < end


def _dates(statement: Mapping[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    condition = statement.get("Condition")
    for operator, keys in condition.items() if isinstance(condition, Mapping) else ():
        folded = str(operator).casefold()
        if folded not in _BOUNDS or not isinstance(keys, Mapping):
            continue
        for key, values in keys.items():
            if str(key).casefold() == TIME.casefold():
                yield folded, values if isinstance(values, list) else [values]
