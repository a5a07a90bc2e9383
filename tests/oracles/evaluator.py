"""What IAM's documentation says that documents allow: our own reading, for the fast tests.

Invariant: written from the documentation alone. It shares no line with `worker/iam/documents.py`,
which makes the copies, nor with `ledger/permits.py`; `scripts/oracles` holds it to two evaluators
that nobody here wrote. It judges identity policies, and raises ValueError for what it does not
know.

Source: IAM user guide, "Policy evaluation logic", "Condition operators", "Single-valued vs.
multivalued context keys", "Variables and tags".
"""

import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache, partial
from operator import ge, gt, le, lt
from typing import Any

from tests.oracles.cases import ALLOWED, DENIED, HOURS, USER, Asked, context_of

Value = str | tuple[str, ...]


@dataclass(frozen=True)
class Request:
    """One call, as IAM sees it."""

    action: str
    resource: str
    at: datetime
    context: Mapping[str, Value] = field(default_factory=dict)
    """The keys but for the time, which follows from `at`; a tuple where a key has many values."""

    def known(self) -> dict[str, Value]:
        """Every key, folded: IAM ignores the case of keys."""
        return {
            **{key.casefold(): value for key, value in self.context.items()},
            "aws:currenttime": self.at.astimezone(UTC).isoformat(),
            "aws:epochtime": str(int(self.at.timestamp())),
        }


def allowed(documents: Iterable[str], request: Request) -> bool:
    """Whether these documents together allow the request: a Deny beats every Allow."""
    known = request.known()
    effects = {
        statement["Effect"]
        for document in documents
        for statement in statements(document)
        if _applies(statement, request, known)
    }
    return effects == {"Allow"}


@lru_cache(maxsize=4_096)
def statements(document: str) -> tuple[Mapping[str, Any], ...]:
    return tuple(_listed(json.loads(document)["Statement"]))


def rows(asked: Sequence[Asked]) -> list[str]:
    """For every case with what makes its documents, a letter for each moment."""
    found = []
    for case, make in asked:
        documents = [*make(case, HOURS, USER), *case.beside_texts(HOURS)]
        resource = case.call.resource.replace("{user}", USER)
        requests = [
            Request(case.call.action, resource, moment, context_of(case.call))
            for moment in HOURS.moments
        ]
        found.append("".join(ALLOWED if allowed(documents, each) else DENIED for each in requests))
    return found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(value: object) -> str:
    """A boolean or a number in a policy stands for its text."""
    return json.dumps(value) if isinstance(value, bool | int | float) else str(value)


def _applies(statement: Mapping[str, Any], request: Request, known: Mapping[str, Value]) -> bool:
    return (
        _names_action(statement, request.action)
        and _names_resource(statement, request.resource, known)
        and all(
            _holds(operator, known.get(key.casefold()), [_text(v) for v in _listed(values)], known)
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
    )


def _names_action(statement: Mapping[str, Any], action: str) -> bool:
    listed = _listed(statement["Action"] if "Action" in statement else statement["NotAction"])
    found = any(_like(action.casefold(), pattern.casefold()) for pattern in listed)
    return found == ("Action" in statement)


def _names_resource(
    statement: Mapping[str, Any], resource: str, known: Mapping[str, Value]
) -> bool:
    listed = _listed(statement["Resource"] if "Resource" in statement else statement["NotResource"])
    found = any(
        _like(resource, filled) for text in listed if (filled := _filled(text, known)) is not None
    )
    return found == ("Resource" in statement)


# --- patterns and variables -----------------------------------------------------------------------

_LITERAL = {"*": "\0", "?": "\1", "$": "$"}
"""`${*}` is a star itself, which a pattern's own `*` must not be taken for."""


def _filled(text: str, known: Mapping[str, Value]) -> str | None:
    """`text` with its variables; None where one has no value, which matches nothing."""
    missing = False

    def one(found: re.Match[str]) -> str:
        nonlocal missing
        name, _, default = found[1].partition(",")
        if name in _LITERAL:
            return _LITERAL[name]
        value = known.get(name.strip().casefold())
        if isinstance(value, str):
            return value.replace("*", "\0").replace("?", "\1")
        if default:
            return default.strip().strip("'")
        missing = True
        return ""

    built = re.sub(r"\$\{([^}]*)\}", one, text)
    return None if missing else built


def _like(text: str, pattern: str) -> bool:
    return _compiled(pattern).fullmatch(text) is not None


@lru_cache(maxsize=65_536)
def _compiled(pattern: str) -> re.Pattern[str]:
    signs = {"*": ".*", "?": ".", "\0": r"\*", "\1": r"\?"}
    return re.compile("".join(signs.get(sign, re.escape(sign)) for sign in pattern), re.DOTALL)


# --- conditions -----------------------------------------------------------------------------------


def _date(text: str) -> datetime:
    if text.isdecimal() and len(text) > 4:
        return datetime.fromtimestamp(int(text), UTC)
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _compared(compare: Callable[[Any, Any], bool], read: Callable[[str], Any]) -> Any:
    return lambda actual, wanted: compare(read(actual), read(wanted))


def _in_network(actual: str, wanted: str) -> bool:
    return ipaddress.ip_address(actual) in ipaddress.ip_network(wanted, strict=False)


def _equal(actual: str, wanted: str, fold: bool = False) -> bool:
    wanted = wanted.replace("\0", "*").replace("\1", "?")
    return actual.casefold() == wanted.casefold() if fold else actual == wanted


_ORDERED = {"LessThan": lt, "LessThanEquals": le, "GreaterThan": gt, "GreaterThanEquals": ge}
_POSITIVE: dict[str, Callable[[str, str], bool]] = {
    "stringequals": _equal,
    "stringequalsignorecase": partial(_equal, fold=True),
    "stringlike": _like,
    "arnequals": _like,
    "arnlike": _like,
    "bool": partial(_equal, fold=True),
    "ipaddress": _in_network,
    "dateequals": lambda actual, wanted: _date(actual) == _date(wanted),
    "numericequals": lambda actual, wanted: float(actual) == float(wanted),
    **{f"date{name}".casefold(): _compared(each, _date) for name, each in _ORDERED.items()},
    **{f"numeric{name}".casefold(): _compared(each, float) for name, each in _ORDERED.items()},
}
_NEGATED = {
    "stringnotequals": "stringequals",
    "stringnotequalsignorecase": "stringequalsignorecase",
    "stringnotlike": "stringlike",
    "arnnotequals": "arnequals",
    "arnnotlike": "arnlike",
    "notipaddress": "ipaddress",
    "datenotequals": "dateequals",
    "numericnotequals": "numericequals",
}
_WITH_VARIABLES = ("string", "arn")


def _holds(
    operator: str, actual: Value | None, wanted: list[str], known: Mapping[str, Value]
) -> bool:
    folded = operator.casefold()
    if folded == "null":
        return any((actual is None) == (value.casefold() == "true") for value in wanted)
    quantifier, _, bare = folded.rpartition(":")
    if_exists = bare.endswith("ifexists")
    bare = bare.removesuffix("ifexists")
    negated = bare in _NEGATED
    compare = _POSITIVE.get(_NEGATED.get(bare, bare))
    if compare is None or quantifier not in ("", "forallvalues", "foranyvalue"):
        raise ValueError(f"{operator} is not known")
    if actual is None:
        return if_exists or quantifier == "forallvalues" or (negated and not quantifier)
    if bare.startswith(_WITH_VARIABLES):
        wanted = [filled for text in wanted if (filled := _filled(text, known)) is not None]
    values = (actual,) if isinstance(actual, str) else actual
    met = [any(compare(value, text) for text in wanted) != negated for value in values]
    return any(met) if quantifier == "foranyvalue" else all(met)
