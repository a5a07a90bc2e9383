"""Of every policy of AWS's own that can be attached, the copy allows what it allows, and ends.

A document is taken apart into single permissions: one action pattern on one resource pattern under
one condition. Equal permissions mean equal access, whoever asks for what; no request is chosen.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import pytest

from tests.support.aws_managed import attachable
from worker.iam.documents import MANAGED_CHARS_MAX, NotCopyable, minify, timed_copy
from worker.iam.packing import split

END = datetime(2026, 3, 2, 13, tzinfo=UTC)
TIMED = {"aws:CurrentTime": ["2026-03-02T13:00:00Z"]}
FACTOR = {"aws:MultiFactorAuthPresent": ["true"]}


class Permission(NamedTuple):
    """One action on one resource under one condition; several where a Not binds them together."""

    rest: tuple[Any, ...]
    action: str


def permissions(document: str, *added: tuple[str, dict[str, list[str]]]) -> Iterator[Permission]:
    """What a document allows, with more conditions than it has."""
    for statement in listed(json.loads(document)["Statement"]):
        assert statement["Effect"] == "Allow"
        condition: dict[str, dict[str, list[str]]] = {
            operator: {
                key: sorted({compared(value) for value in listed(values)})
                for key, values in keys.items()
            }
            for operator, keys in statement.get("Condition", {}).items()
        }
        for operator, keys in added:
            condition[operator] = {**condition.get(operator, {}), **keys}
        under = json.dumps(condition, sort_keys=True)
        for resource in elements(statement, "Resource", str):
            for action in elements(statement, "Action", str.casefold):
                yield Permission((action[0], *resource, under), action[1])


def elements(
    statement: dict[str, Any], name: str, read: Callable[[str], str]
) -> Iterator[tuple[str, str]]:
    """The values of an element one by one; of its Not, all as one."""
    if name in statement:
        for value in listed(statement[name]):
            yield name, read(value)
    else:
        yield (
            f"Not{name}",
            " ".join(sorted({read(each) for each in listed(statement[f"Not{name}"])})),
        )


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def compared(value: object) -> str:
    """A boolean or a number stands for its text."""
    return value if isinstance(value, str) else json.dumps(value)


def uncovered(wanted: Iterable[Permission], found: Iterable[Permission]) -> list[Permission]:
    """Those wanted that are not found, nor of an action that a pattern found beside it names."""
    patterns: dict[tuple[Any, ...], set[str]] = defaultdict(set)
    for each in found:
        patterns[each.rest].add(each.action)
    return [
        each
        for each in wanted
        if each.action not in patterns[each.rest]
        and not any(
            fnmatchcase(each.action, pattern) and "[" not in pattern
            for pattern in patterns[each.rest]
            if each.rest[0] == "Action" and ("*" in pattern or "?" in pattern)
        )
    ]


def differences(
    source: str, copies: list[str], *added: tuple[str, dict[str, list[str]]]
) -> list[str]:
    """What the copies lost of the source, and what they allow beyond it."""
    wanted = set(permissions(source, *added))
    found = {each for copy in copies for each in permissions(copy)}
    lost = [f"lost: {each}" for each in uncovered(wanted, found)]
    return lost + [f"beyond: {each}" for each in found - wanted]


@pytest.fixture(scope="module")
def copyable() -> dict[str, str]:
    """Name -> document of those without a Deny."""
    found = {name: text for name, text in attachable().items() if '"Deny"' not in text}
    assert len(found) > 1_150
    return found


def test_a_copy_allows_what_its_source_does_and_all_of_it_until_the_end(
    copyable: dict[str, str],
) -> None:
    wrong = []
    for name, source in copyable.items():
        copy = minify(timed_copy([source], ends_at=END)).text
        wrong += [
            f"{name}: {each}" for each in differences(source, [copy], ("DateLessThan", TIMED))
        ]
    assert wrong == []


def test_a_copy_in_several_documents_does_too_with_a_second_factor_in_each(
    copyable: dict[str, str],
) -> None:
    parted, wrong = 0, []
    for name, source in copyable.items():
        if len(source) < MANAGED_CHARS_MAX // 2:
            continue
        statements = timed_copy([source], ends_at=END, mfa=True)
        copies = [document.text for document in split(statements, MANAGED_CHARS_MAX)]
        assert max(len(copy) for copy in copies) <= MANAGED_CHARS_MAX
        parted += len(copies) > 1
        found = differences(source, copies, ("DateLessThan", TIMED), ("Bool", FACTOR))
        wrong += [f"{name}: {each}" for each in found]
    assert wrong == []
    assert parted > 50


def test_what_holds_a_deny_is_not_copied() -> None:
    denying = [text for text in attachable().values() if '"Deny"' in text]
    assert len(denying) > 20
    for text in denying:
        with pytest.raises(NotCopyable, match="Deny"):
            timed_copy([text], ends_at=END)


def test_a_lost_action_and_a_lost_condition_are_seen() -> None:
    """The comparison itself can fail, both ways."""
    source = json.dumps(
        {
            "Statement": {
                "Effect": "Allow",
                "Action": ["s3:Get*", "s3:PutObject"],
                "Resource": ["arn:a", "arn:b"],
                "Condition": {"Bool": {"aws:SecureTransport": True}},
            }
        }
    )
    copy = minify(timed_copy([source], ends_at=END)).text
    added = ("DateLessThan", TIMED)
    assert differences(source, [copy], added) == []
    for error in (
        copy.replace('"s3:PutObject"', '"s3:GetObject"'),
        copy.replace('"s3:PutObject"', '"s3:Put*"'),
        copy.replace('["arn:a","arn:b"]', '"arn:b"'),
        copy.replace('"true"', '"false"'),
        copy.replace("2026-03-02T13", "2026-03-02T14"),
        copy.replace('"Action"', '"NotAction"'),
    ):
        assert error != copy
        assert differences(source, [error], added) != []
