"""IAM documents: canonical form, timed copies, lossless minify, sizes. Pure.

Invariant: before its end a timed copy allows exactly what its sources allow, at the end and after
it allows nothing, and no step ever widens an Allow or limits a Deny.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import orjson

from ledger.model import Policy

MANAGED_CHARS_MAX = 6_144
"""Characters of one managed policy, white space not counted (IAM and STS quotas)."""

VERSIONS_MAX = 5
"""Versions that one managed policy may have (IAM and STS quotas)."""

VERSION = "2012-10-17"

Statement = Mapping[str, Any]
"""One statement with its values as lists of text, as `_statement` makes it."""

_LISTS = ("Action", "NotAction", "Resource", "NotResource")
_ELEMENTS = {"Sid", "Effect", "Condition", *_LISTS}
TIME = "aws:CurrentTime"
MFA = "aws:MultiFactorAuthPresent"
"""Condition keys as we write them; IAM ignores their case."""
_STRING_OR_SPACE = re.compile(r'("(?:[^"\\]|\\.)*")|\s+')
_STARS = re.compile(r"\*+")


class NotCopyable(Exception):
    """A source that cannot be limited in time without changing what it means."""


@dataclass(frozen=True)
class Document:
    """One document in canonical form; equal meaning up to order gives equal text."""

    text: str
    """Compact JSON, sorted keys, as it is sent to AWS."""

    @property
    def size(self) -> int:
        """Characters as IAM counts them. White space inside texts is counted, to be safe."""
        return len(self.text)

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


# --- canonical form -----------------------------------------------------------------------------


def canonical(text: str | None) -> Document:
    """`text` with sorted keys and values, one-element lists as scalars; ValueError for no document.

    Statements keep their order and their Sids. What is no IAM document but JSON all the same
    (somebody else's, in a form that we never write) is only sorted.
    """
    try:
        value = orjson.loads(text or "")
    except orjson.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from None
    if isinstance(value, dict) and "Statement" in value:
        value = {**value, "Statement": [_sorted(each) for each in _listed(value["Statement"])]}
    return _document(value)


def _document(value: object) -> Document:
    return Document(orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode())


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _sorted(statement: object) -> object:
    if not isinstance(statement, dict):
        return statement
    built = dict(statement)
    for name in _LISTS:
        if name in built:
            built[name] = _values(built[name])
    condition = built.get("Condition")
    if isinstance(condition, dict):
        built["Condition"] = {
            operator: {key: _values(values) for key, values in keys.items()}
            if isinstance(keys, dict)
            else keys
            for operator, keys in condition.items()
        }
    return built


def _values(values: object) -> object:
    texts = sorted(set(_texts(values)))
    return texts[0] if len(texts) == 1 else texts


def _texts(values: object) -> list[str]:
    """Values as the texts that IAM compares: `true` and 10 stand for "true" and "10"."""
    return [
        str(value).lower() if isinstance(value, bool) else str(value) for value in _listed(values)
    ]


def size_of(text: str) -> int:
    """The characters of somebody's document as IAM counts them: without white space."""
    return len(_STRING_OR_SPACE.sub(lambda found: found[1] or "", text))


# --- timed copies -------------------------------------------------------------------------------


def date_text(instant: datetime) -> str:
    """The one form in which we write dates: `YYYY-MM-DDTHH:MM:SSZ`."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def timed_copy(
    texts: Sequence[str],
    *,
    ends_at: datetime,
    starts_at: datetime | None = None,
    mfa: bool = False,
) -> tuple[Statement, ...]:
    """The statements of all `texts`, each allowing only while `starts_at <= now < ends_at`.

    `starts_at` None: from now on. `mfa`: and only to who has shown a second factor. Raises
    NotCopyable.
    """
    return tuple(
        _timed(statement, ends_at=ends_at, starts_at=starts_at, mfa=mfa)
        for text in texts
        for statement in _allows(text)
    )


def own_document(policy: Policy) -> Document:
    """The customer-managed policy of `policy`, by which it is given without an end.

    Raises NotCopyable where a statement leaves no room for the second factor that it must ask for.
    """
    if policy.document is None:
        raise ValueError(f"policy {policy.name} has no statements of its own")
    if not policy.require_mfa:
        return canonical(policy.document)
    value = orjson.loads(policy.document)
    found = [
        {**statement, "Condition": _with_mfa(_condition(statement))}
        if statement.get("Effect") == "Allow"
        else statement
        for statement in _listed(value["Statement"])
    ]
    return canonical(orjson.dumps({**value, "Statement": found}).decode())


def _allows(text: str) -> Iterable[dict[str, Any]]:
    document = orjson.loads(text)
    for raw in _listed(document.get("Statement", [])):
        statement = _statement(raw)
        if document.get("Version") != VERSION and "${" in orjson.dumps(statement).decode():
            raise NotCopyable(
                f"it is of version {document.get('Version', '2008-10-17')}, in which `${{` is no "
                "variable: copied beside others it would mean something else"
            )
        yield statement


def _statement(raw: dict[str, Any]) -> dict[str, Any]:
    if raw.get("Effect") != "Allow":
        raise NotCopyable(
            "it holds a Deny: that would hit the principal's standing access too, and cannot end "
            "by a date without opening what it closes"
        )
    foreign = sorted(set(raw) - _ELEMENTS)
    if foreign:
        raise NotCopyable(f"it holds {', '.join(foreign)}, which no identity policy may")
    statement: dict[str, Any] = {name: _plain(name, raw[name]) for name in _LISTS if name in raw}
    statement["Condition"] = _condition(raw)
    return statement


def _condition(raw: Mapping[str, Any]) -> dict[str, dict[str, list[str]]]:
    return {
        operator: {key: _plain(key, values) for key, values in keys.items()}
        for operator, keys in raw.get("Condition", {}).items()
    }


def _plain(name: str, values: object) -> list[str]:
    """Values as texts. A null would become the text "None", and mean something."""
    if any(not isinstance(value, str | bool | int | float) for value in _listed(values)):
        raise NotCopyable(f"its {name} has a value that is no text, number or boolean")
    return _texts(values)


def _timed(
    statement: dict[str, Any], *, ends_at: datetime, starts_at: datetime | None, mfa: bool
) -> dict[str, Any]:
    condition = _bounded(statement["Condition"], "DateLessThan", ends_at)
    if starts_at is not None:
        condition = _bounded(condition, "DateGreaterThanEquals", starts_at)
    return {**statement, "Condition": _with_mfa(condition) if mfa else condition}


def _bounded(condition: dict[str, Any], operator: str, bound: datetime) -> dict[str, Any]:
    """`condition` and, beside all it says, `aws:CurrentTime` on this side of `bound`.

    The values of one key are alternatives: a date appended to them would let the widest win. So the
    key gets one value, the narrower of `bound` and the widest that stands, to the second (a part of
    one that stands is cut off, never added).
    """

    def narrow(standing: list[str] | None) -> str:
        dates = None if standing is None else [date_of(text) for text in standing]
        found = bound if dates is None else _narrower(operator, bound, dates)
        if operator != "DateLessThan":
            found += timedelta(microseconds=-found.microsecond % 1_000_000)
        return date_text(found)

    return _narrowed(condition, operator, TIME, narrow)


def _with_mfa(condition: dict[str, Any]) -> dict[str, Any]:
    """`condition` and, beside all it says, a session that was begun with a second factor.

    Not `BoolIfExists`: a key of long life has no such thing to say, and would pass.
    """

    def narrow(standing: list[str] | None) -> str:
        if standing is None or "true" in [value.casefold() for value in standing]:
            return "true"
        raise NotCopyable(
            f"it asks that {MFA} be {' or '.join(standing) or 'nothing'}, and `require_mfa` that "
            "it be true, so that nobody could use it"
        )

    return _narrowed(condition, "Bool", MFA, narrow)


def _narrowed(
    condition: dict[str, Any],
    operator: str,
    key: str,
    narrow: Callable[[list[str] | None], str],
) -> dict[str, Any]:
    """`condition` with one value of `key` under `operator`: what `narrow` makes of those there.

    Both are found whatever their case, and written as given.
    """
    spelt = [each for each in condition if each.casefold() == operator.casefold()]
    keys: dict[str, list[str]] = dict(condition[spelt[0]]) if spelt else {}
    same = [each for each in keys if each.casefold() == key.casefold()]
    if len(spelt) > 1:
        raise NotCopyable(f"it names {operator} twice, in two spellings")
    if len(same) > 1:
        raise NotCopyable(f"{operator} names {key} twice, in two spellings")
    value = narrow(keys.pop(same[0]) if same else None)
    others = {each: those for each, those in condition.items() if each not in spelt}
    return {**others, operator: {**keys, key: [value]}}


def _narrower(operator: str, bound: datetime, standing: list[datetime]) -> datetime:
    if not standing:
        raise NotCopyable(f"{operator} names aws:CurrentTime without a date, and so allows nothing")
    if operator == "DateLessThan":
        return min(bound, max(standing))
    return max(bound, min(standing))


def date_of(text: str) -> datetime:
    """A date as policies write it: ISO 8601, or seconds since 1970."""
    try:
        if re.fullmatch(r"\d{5,}", text):
            return datetime.fromtimestamp(int(text), UTC)
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise NotCopyable(f"its date {text!r} cannot be read") from None


# --- minify -------------------------------------------------------------------------------------


def minify(statements: Iterable[Statement]) -> Document:
    """The smallest document of the same meaning that we know to make.

    Lossless: no Sids, statements alike but for their actions are one, an action that another
    pattern covers is dropped, one-element lists are scalars. No wildcard is ever made.
    """
    built = [_sorted(statement) for statement in merged(statements)]
    built.sort(key=orjson.dumps)
    return _document({"Version": VERSION, "Statement": built})


def merged(statements: Iterable[Statement]) -> list[Statement]:
    """Statements that together mean the same, as few of them as we know to make."""
    found: dict[str, dict[str, Any]] = {}
    for statement in statements:
        rest = {name: value for name, value in statement.items() if name not in ("Action", "Sid")}
        key = _document(_sorted(rest)).text
        one = found.setdefault(key, {**rest, "Effect": "Allow"})
        if "Action" in statement:
            one["Action"] = [*one.get("Action", []), *statement["Action"]]
    for one in found.values():
        if "Action" in one:
            one["Action"] = without_covered(one["Action"])
    return [{name: value for name, value in one.items() if value != {}} for one in found.values()]


def size_within(statement: Statement) -> int:
    """The characters that `statement` takes in a document, the comma before it left out."""
    return _document(_sorted(statement)).size


def without_covered(actions: Iterable[str]) -> list[str]:
    """`actions` without those that another of them covers; IAM ignores their case.

    Stars in a row are one: else two patterns would cover each other, and both would go.
    """
    spelt: dict[str, str] = {}
    for action in sorted(actions):
        spelt.setdefault(_STARS.sub("*", action.casefold()), action)
    by_service: dict[str, list[str]] = {}
    for folded in spelt:
        if "*" in folded or "?" in folded:
            by_service.setdefault(_service(folded), []).append(folded)
    patterns = {
        service: [(folded, _pattern(folded)) for folded in found]
        for service, found in by_service.items()
    }
    return [
        action
        for folded, action in spelt.items()
        if not any(
            other != folded and pattern.fullmatch(folded)
            for service in dict.fromkeys((_service(folded), ""))
            for other, pattern in patterns.get(service, ())
        )
    ]


def _service(action: str) -> str:
    """`s3` of `s3:get*`; empty where a wildcard stands in it, which may be any service."""
    service = action.partition(":")[0]
    return "" if "*" in service or "?" in service else service


def _pattern(action: str) -> re.Pattern[str]:
    """Matches every pattern that this one covers: its `*` may swallow theirs, its `?` not."""
    parts = {"*": ".*", "?": "[^*]"}
    return re.compile("".join(parts.get(letter, re.escape(letter)) for letter in action))
