"""Calls that make a document speak: for each of its statements one that it should allow.

Chosen evenly and always the same, from AWS's actions as iam-data lists them. Nothing is promised
of a single call; over all documents the calls must be allowed often enough to mean something, which
the test that uses them counts.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from tests.oracles.cases import ACCOUNT, Call

STATEMENTS_MAX = 3
ALWAYS_ALLOWED = "sts:GetCallerIdentity"
"""No policy, not even a Deny, takes it from anybody."""

FILLED = {"Partition": "aws", "Region": "us-east-1", "Account": ACCOUNT}
OUTSIDE = ("account:CloseAccount", "iam:CreateUser", "organizations:LeaveOrganization")


class Catalogue:
    """AWS's actions, found by patterns."""

    def __init__(self, formats: Mapping[str, Sequence[str]]) -> None:
        self._formats = formats
        self._by_service: dict[str, list[str]] = {}
        for action in formats:
            self._by_service.setdefault(action.partition(":")[0], []).append(action)
        self._folded = {action.casefold(): action for action in formats}

    def matching(self, pattern: str) -> list[str]:
        folded = pattern.casefold()
        if "*" not in folded and "?" not in folded:
            return [self._folded[folded]] if folded in self._folded else []
        service = folded.partition(":")[0]
        among = self._by_service.get(service, list(self._formats)) if service else []
        return [action for action in among if fnmatchcase(action.casefold(), folded)]

    def resource(self, action: str, patterns: Sequence[str]) -> str:
        """One that AWS has for the action, of those patterns where they allow any."""
        formats = self._formats[action]
        if not formats:
            return "*"
        made = [_made(pattern) for pattern in patterns if pattern != "*"]
        fitting = [text for text in made for each in formats if _format(each).fullmatch(text)]
        return fitting[0] if fitting else _filled(formats[0])


@lru_cache(maxsize=8_192)
def _format(text: str) -> re.Pattern[str]:
    return re.compile(
        "".join(
            "[^:]*"
            if part in ("${Region}", "${Account}")
            else ".+"
            if part[:2] == "${"
            else re.escape(part)
            for part in re.split(r"(\$\{\w+\})", text)
        )
    )


def _filled(text: str) -> str:
    return re.sub(r"\$\{(\w+)\}", lambda found: FILLED.get(found[1], "x"), text)


def _made(pattern: str) -> str:
    """A text that the pattern matches."""
    parts = pattern.split(":", 5)
    if len(parts) == 6:
        parts[3] = "us-east-1" if parts[3] == "*" else parts[3]
        parts[4] = ACCOUNT if parts[4] == "*" else parts[4]
    text = ":".join(parts).replace("${aws:PrincipalAccount}", ACCOUNT)
    return text.replace("*", "x").replace("?", "x")


def calls(document: str, catalogue: Catalogue) -> Iterator[Call]:
    statements = json.loads(document)["Statement"]
    statements = statements if isinstance(statements, list) else [statements]
    step = max(1, len(statements) // STATEMENTS_MAX)
    for statement in statements[::step][:STATEMENTS_MAX]:
        for action in _actions(statement, catalogue):
            resource = catalogue.resource(action, _listed(statement.get("Resource", "*")))
            yield Call(action, resource, satisfying(statement.get("Condition", {})))
            if statement.get("Condition"):
                yield Call(action, resource)
    outside = OUTSIDE[len(document) % len(OUTSIDE)]
    yield Call(outside, catalogue.resource(outside, []))


def _actions(statement: Mapping[str, Any], catalogue: Catalogue) -> Iterator[str]:
    if "NotAction" in statement:
        yield "s3:GetObject"
        yield from catalogue.matching(_listed(statement["NotAction"])[0])[:1]
        return
    patterns = _listed(statement["Action"])
    for pattern in dict.fromkeys((patterns[0], patterns[-1])):
        found = [each for each in catalogue.matching(pattern) if each != ALWAYS_ALLOWED]
        if found:
            yield found[len(found) // 2]


def satisfying(condition: Mapping[str, Mapping[str, Any]]) -> dict[str, str | tuple[str, ...]]:
    """Keys under which the condition should hold."""
    found: dict[str, str | tuple[str, ...]] = {}
    for operator, keys in condition.items():
        many = operator.startswith(("ForAnyValue", "ForAllValues"))
        for key, values in keys.items():
            text = _made(_text(_listed(values)[0]))
            if operator == "Null":
                if text == "false":
                    found.setdefault(key, "x")
                else:
                    found.pop(key, None)
                continue
            text = "x" if "Not" in operator else text
            found[key] = (text,) if many else text
    return found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
