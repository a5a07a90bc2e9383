"""What IAM documents say about one action: pure, for questions like "who could do s3:PutObject".

Invariant: a "no" is said only where every statement that speaks of the action was read and none
could allow it. What hangs on a condition, a variable or a part of the resources is `conditional`,
never yes and never no.

Source: IAM user guide, "Policy evaluation logic" and "IAM JSON policy elements"; only what identity
policies hold is judged here.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import orjson

Verdict = Literal["yes", "conditional", "no"]

_ACTION = re.compile(r"[A-Za-z0-9-]+:[A-Za-z0-9_-]+\Z")
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_LITERALS = ("*", "?", "$")
"""What `${*}` and its like stand for: the sign itself."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One action, on one resource or on any."""

    action: str
    """`service:Name`, without wildcards."""
    resource: str | None = None
    """An ARN, compared as it stands; None: whatever resource."""

    def __post_init__(self) -> None:
        if not _ACTION.match(self.action):
            raise ValueError(f"`{self.action}` is no action; write service:Name, as s3:PutObject")
        if self.resource is not None and not self.resource.startswith("arn:"):
            raise ValueError(f"`{self.resource}` is no ARN")


@dataclass(frozen=True, slots=True)
class _Match:
    """A statement that speaks of what is asked."""

    allows: bool
    certain: bool
    """Whether it does so whatever the request's circumstances, for all that is asked."""


def judge(documents: Iterable[str], asked: Asked) -> Verdict:
    """What a principal with all of these documents could do; a Deny in one binds them all.

    ValueError for a text that is no IAM document.
    """
    matches = [match for document in documents for match in _matches(document, asked)]
    allows = [match for match in matches if match.allows]
    denies = [match for match in matches if not match.allows]
    if not allows or any(deny.certain for deny in denies):
        return "no"
    if denies or not any(allow.certain for allow in allows):
        return "conditional"
    return "yes"


def _matches(document: str, asked: Asked) -> Iterator[_Match]:
    for statement in _statements(document):
        if not _speaks_of_action(statement, asked.action):
            continue
        allows = statement.get("Effect") == "Allow"
        reach = _reach(statement, asked.resource, allows=allows)
        if reach is not None:
            certain = reach == "all" and not statement.get("Condition")
            yield _Match(allows, certain)


@lru_cache(maxsize=512)
def _statements(document: str) -> tuple[Mapping[str, Any], ...]:
    try:
        found = orjson.loads(document)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from None
    if not isinstance(found, dict) or "Statement" not in found:
        raise ValueError("not an IAM document: it has no Statement")
    return tuple(_listed(found["Statement"]))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _speaks_of_action(statement: Mapping[str, Any], action: str) -> bool:
    folded = action.casefold()
    if "NotAction" in statement:
        return not any(_covers(each.casefold(), folded) for each in _listed(statement["NotAction"]))
    return any(_covers(each.casefold(), folded) for each in _listed(statement.get("Action", [])))


Reach = Literal["all", "part"]


def _reach(statement: Mapping[str, Any], resource: str | None, *, allows: bool) -> Reach | None:
    """How much of what is asked a statement's resources cover; None: nothing.

    With no resource asked, an Allow on any resource answers "somewhere"; a Deny must cover all.
    """
    negated = "NotResource" in statement
    patterns = [
        str(each) for each in _listed(statement.get("NotResource" if negated else "Resource", "*"))
    ]
    if resource is None:
        everything = not negated and "*" in patterns
        return "all" if allows or everything else "part"
    covered = [_resource_covers(pattern, resource) for pattern in patterns]
    if negated:
        if True in covered:
            return None
        return "part" if None in covered else "all"
    if True in covered:
        return "all"
    return "part" if None in covered else None


def _resource_covers(pattern: str, resource: str) -> bool | None:
    """None where it hangs on a policy variable."""
    if any(name not in _LITERALS for name in _VARIABLE.findall(pattern)):
        open_ended = _VARIABLE.sub(lambda v: v[0] if v[1] in _LITERALS else "*", pattern)
        return None if _covers(open_ended, resource) else False
    return _covers(pattern, resource)


def _covers(pattern: str, text: str) -> bool:
    return _regex(pattern).fullmatch(text) is not None


@lru_cache(maxsize=8_192)
def _regex(pattern: str) -> re.Pattern[str]:
    """IAM's wildcards: `*` any characters, `?` one, `${*}` a star itself."""
    parts = re.split(r"(\$\{[*?$]\}|\*|\?)", pattern)
    wild = {"*": ".*", "?": "."}
    built = (
        re.escape(part[2]) if part.startswith("${") else wild.get(part, re.escape(part))
        for part in parts
        if part
    )
    return re.compile("".join(built), re.DOTALL)
