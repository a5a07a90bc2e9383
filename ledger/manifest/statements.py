"""`custom_statements` to one IAM document.

Invariant: the document is canonical: equal statements give equal text, whatever the YAML looked
like, and it says nothing that was not written. Beyond the grammar's own rules nothing is judged
here: what an action may do is for the checks on documents.
"""

import re

import orjson

from ledger.manifest.nodes import Mapping, Node, Pair, Scalar
from ledger.manifest.sheet import Sheet

STATEMENT_KEYS = (
    "sid",
    "effect",
    "actions",
    "not_actions",
    "resources",
    "not_resources",
    "conditions",
)
EFFECTS = ("Allow", "Deny")

_ELEMENTS = {
    "actions": "Action",
    "not_actions": "NotAction",
    "resources": "Resource",
    "not_resources": "NotResource",
}
SID = re.compile(r"[A-Za-z0-9]{1,128}\Z")
ACTION = re.compile(r"(?:\*|[A-Za-z0-9-]+:[A-Za-z0-9*?_-]+)\Z")
RESOURCE = re.compile(r"(?:\*|arn:\S[\S\s]*)\Z")
_FOREIGN = re.compile(r"[^\t\n\r\x20-\xff]")
"""What IAM refuses in a document (botocore's service model, policyDocumentType)."""

_COMPARISONS = (
    *(f"String{end}" for end in ("Equals", "NotEquals", "EqualsIgnoreCase", "NotEqualsIgnoreCase")),
    *("StringLike", "StringNotLike", "Bool", "BinaryEquals", "IpAddress", "NotIpAddress"),
    *(
        f"{kind}{end}"
        for kind in ("Numeric", "Date")
        for end in (
            "Equals",
            "NotEquals",
            "LessThan",
            "LessThanEquals",
            "GreaterThan",
            "GreaterThanEquals",
        )
    ),
    *("ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike"),
)
OPERATORS = frozenset(
    {"Null"}
    | {
        f"{of_sets}{comparison}{if_exists}"
        for of_sets in ("", "ForAllValues:", "ForAnyValue:")
        for comparison in _COMPARISONS
        for if_exists in ("", "IfExists")
    }
    | {"ForAllValues:Null", "ForAnyValue:Null"}
)


def read_statements(sheet: Sheet, pair: Pair) -> tuple[str | None, list[Node]]:
    """The document, and the node of each statement; None where there is none, or a wrong one."""
    sequence = sheet.sequence(pair.value, "`custom_statements`")
    if sequence is None or not sequence.items:
        return None, []
    seen: dict[str, Scalar] = {}
    statements = [_statement(sheet, node, seen) for node in sequence.items]
    if any(statement is None for statement in statements):
        return None, []
    document = {"Version": "2012-10-17", "Statement": statements}
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS).decode(), sequence.items


def _statement(sheet: Sheet, node: Node, seen: dict[str, Scalar]) -> dict[str, object] | None:
    mapping = sheet.mapping(node, "a statement")
    if mapping is None:
        return None
    errors_before = len(sheet.desk.found)
    sheet.only_keys(mapping, STATEMENT_KEYS)
    pairs = mapping.pairs
    built: dict[str, object] = {}
    if "sid" in pairs:
        built["Sid"] = _sid(sheet, pairs["sid"], seen)
    if "effect" in pairs:
        built["Effect"] = _effect(sheet, pairs["effect"])
    else:
        sheet.error(mapping, "statement", "the statement has no `effect`", "write Allow or Deny")
    for either, other in (("actions", "not_actions"), ("resources", "not_resources")):
        key = _one_of_two(sheet, mapping, either, other)
        if key is not None:
            built[_ELEMENTS[key]] = _patterns(sheet, pairs[key], action=either == "actions")
    if "conditions" in pairs:
        built["Condition"] = _conditions(sheet, pairs["conditions"])
    return built if len(sheet.desk.found) == errors_before else None


def _one_of_two(sheet: Sheet, mapping: Mapping, either: str, other: str) -> str | None:
    present = [key for key in mapping.pairs if key in {either, other}]
    if not present:
        message = f"the statement has neither `{either}` nor `{other}`"
        sheet.error(mapping, "statement", message, "write one of them")
        return None
    if len(present) > 1:
        message = f"`{either}` and `{other}` stand in one statement"
        sheet.error(mapping.pairs[present[1]].key, "statement", message, "write one of them")
    return present[0]


def _sid(sheet: Sheet, pair: Pair, seen: dict[str, Scalar]) -> str | None:
    scalar = sheet.scalar(pair)
    if scalar is None:
        return None
    if not SID.match(scalar.text):
        message = f"`sid` is {scalar.text}"
        sheet.error(scalar, "sid", message, "letters and digits only (A-Z, a-z, 0-9)")
        return None
    first = seen.setdefault(scalar.text, scalar)
    if first is not scalar:
        message = f"`sid` {scalar.text} stands already on line {first.line}"
        sheet.error(scalar, "sid", message, "each is unique in its policy")
    return scalar.text


def _effect(sheet: Sheet, pair: Pair) -> str | None:
    scalar = sheet.scalar(pair)
    if scalar is None or scalar.text in EFFECTS:
        return None if scalar is None else scalar.text
    meant = next((known for known in EFFECTS if known.casefold() == scalar.text.casefold()), None)
    hint = f"write {meant}" if meant else "write Allow or Deny"
    sheet.error(scalar, "effect", f"`effect` is {scalar.text}", hint)
    return None


def _patterns(sheet: Sheet, pair: Pair, *, action: bool) -> list[str]:
    found = sheet.items(pair)
    for scalar in found:
        if action and not ACTION.match(scalar.text):
            message = f"`{scalar.text}` (in `{pair.key.text}`) is no action"
            sheet.error(scalar, "action", message, "write service:Action, as s3:GetObject, or *")
        elif not action and not RESOURCE.match(scalar.text):
            message = f"`{scalar.text}` (in `{pair.key.text}`) is no resource"
            sheet.error(scalar, "resource", message, "write an ARN, or *")
        else:
            _only_iam_characters(sheet, scalar, pair.key.text)
    return [scalar.text for scalar in found]


def _only_iam_characters(sheet: Sheet, scalar: Scalar, key: str) -> None:
    foreign = _FOREIGN.search(scalar.text)
    if foreign:
        message = f"`{key}` holds the character U+{ord(foreign[0]):04X}"
        hint = "IAM documents take U+0009, 000A, 000D and 0020 to 00FF"
        sheet.error(scalar, "character", message, hint)


# --- conditions -------------------------------------------------------------------------------


def _conditions(sheet: Sheet, pair: Pair) -> dict[str, dict[str, list[str]]]:
    mapping = sheet.mapping(pair.value, "`conditions`")
    if mapping is None:
        return {}
    if not mapping.pairs:
        sheet.error(mapping, "empty", "`conditions` is empty", "leave the key out")
    built = {}
    for operator, inner in mapping.pairs.items():
        if operator not in OPERATORS:
            hint = sheet.desk.did_you_mean(operator, OPERATORS)
            message = f"`{operator}` is no condition operator"
            sheet.error(inner.key, "condition", message, hint or "as StringEquals, Bool, ArnLike")
        built[operator] = _condition_keys(sheet, inner)
    return built


def _condition_keys(sheet: Sheet, pair: Pair) -> dict[str, list[str]]:
    mapping = sheet.mapping(pair.value, f"`{pair.key.text}`")
    if mapping is None:
        return {}
    if not mapping.pairs:
        sheet.error(mapping, "empty", f"`{pair.key.text}` names no condition key")
    folded: dict[str, Scalar] = {}
    built = {}
    for key, inner in mapping.pairs.items():
        first = folded.setdefault(key.casefold(), inner.key)
        if first is not inner.key:
            message = f"condition key `{key}` stands already on line {first.line}: case is ignored"
            sheet.error(inner.key, "condition", message, "write all its values in one list")
        _only_iam_characters(sheet, inner.key, pair.key.text)
        built[key] = _values(sheet, inner)
    return built


def _values(sheet: Sheet, pair: Pair) -> list[str]:
    """A condition's values: also an empty text is one."""
    node = pair.value
    if type(node) is Scalar and not node.plain:
        found = [node]
    elif type(node) is Scalar:
        found = sheet.items(pair)
    else:
        sequence = sheet.sequence(node, f"`{pair.key.text}`")
        items = [] if sequence is None else sequence.items
        if sequence is not None and not items:
            sheet.error(sequence, "empty", f"`{pair.key.text}` is an empty list")
        found = [
            item
            for item in (
                value
                if type(value) is Scalar and not value.plain
                else sheet.item(value, pair.key.text)
                for value in items
            )
            if item is not None
        ]
    for scalar in found:
        _only_iam_characters(sheet, scalar, pair.key.text)
    return [scalar.text for scalar in found]
