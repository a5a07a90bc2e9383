"""As much of JSON Schema (draft 7) as our schemas use, and YAML as editors read it.

Invariant: a keyword that is not known here is an error, so that none is passed over. That the real
readers of JSON Schema agree is for `scripts/editor` to show.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any

import yaml

from ledger.manifest.schemas import schemas

Schema = dict[str, Any]
Fault = tuple[str, str]
"""Where, as keys with slashes, and which keyword it does not meet."""

SCHEMAS = schemas()
SILENT = {"$schema", "title", "description", "examples", "definitions"}


def marked(path: str, data: bytes) -> list[Fault]:
    """What an editor would mark in a file of a directory."""
    folder = PurePosixPath(path).parts[0] if "/" in path else "settings"
    return faults(read_as_editors_do(data.decode("utf-8-sig")), SCHEMAS[folder])


def faults(value: Any, schema: Schema) -> list[Fault]:
    """All that is wrong with `value`; what stands in `anyOf` and the like is not told apart."""
    return list(_faults(value, schema, schema, ""))


def _faults(value: Any, schema: Schema, root: Schema, at: str) -> Iterator[Fault]:
    if "$ref" in schema:
        _, kind, name = schema["$ref"].split("/")
        yield from _faults(value, root[kind][name], root, at)
        return
    for keyword, wanted in schema.items():
        if keyword in SILENT:
            continue
        if keyword == "additionalProperties":
            yield from _others(value, schema, root, at)
        elif keyword == "properties" and isinstance(value, dict):
            for key in wanted.keys() & value.keys():
                yield from _faults(value[key], wanted[key], root, f"{at}/{key}")
        elif keyword == "propertyNames" and isinstance(value, dict):
            for key in value:
                yield from _faults(key, wanted, root, f"{at}/{key}")
        elif keyword == "items" and isinstance(value, list):
            for number, item in enumerate(value):
                yield from _faults(item, wanted, root, f"{at}/{number}")
        elif keyword == "allOf":
            for each in wanted:
                yield from _faults(value, each, root, at)
        elif keyword in _COUNTED:
            met = sum(not list(_faults(value, each, root, at)) for each in _listed(wanted))
            if not _COUNTED[keyword](met):
                yield at, keyword
        elif keyword not in _WALKED and not _MET[keyword](value, wanted):
            yield at, keyword


def _others(value: Any, schema: Schema, root: Schema, at: str) -> Iterator[Fault]:
    if not isinstance(value, dict):
        return
    for key in value.keys() - schema.get("properties", {}).keys():
        if schema["additionalProperties"] is False:
            yield f"{at}/{key}", "additionalProperties"
        else:
            yield from _faults(value[key], schema["additionalProperties"], root, f"{at}/{key}")


def _listed(wanted: Any) -> list[Schema]:
    return wanted if isinstance(wanted, list) else [wanted]


_WALKED = {"properties", "propertyNames", "items"}
_COUNTED: dict[str, Callable[[int], bool]] = {
    "anyOf": lambda met: met > 0,
    "oneOf": lambda met: met == 1,
    "not": lambda met: met == 0,
}
_TYPES: dict[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


def _is_number(value: Any) -> bool:
    return _TYPES["number"](value)


def _matches(value: Any, pattern: str) -> bool:
    ours = pattern.replace(r"\p{L}\p{N}_", r"\w")
    assert "\\p" not in ours, pattern
    assert (pattern[0], pattern[-1]) == ("^", "$"), pattern
    return not isinstance(value, str) or re.fullmatch(ours[1:-1], value) is not None


_MET: dict[str, Callable[[Any, Any], bool]] = {
    "type": lambda v, wanted: any(
        _TYPES[kind](v) for kind in ([wanted] if isinstance(wanted, str) else wanted)
    ),
    "enum": lambda v, wanted: v in wanted,
    "pattern": _matches,
    "minLength": lambda v, wanted: not isinstance(v, str) or len(v) >= wanted,
    "maxLength": lambda v, wanted: not isinstance(v, str) or len(v) <= wanted,
    "minimum": lambda v, wanted: not _is_number(v) or v >= wanted,
    "maximum": lambda v, wanted: not _is_number(v) or v <= wanted,
    "minItems": lambda v, wanted: not isinstance(v, list) or len(v) >= wanted,
    "maxItems": lambda v, wanted: not isinstance(v, list) or len(v) <= wanted,
    "minProperties": lambda v, wanted: not isinstance(v, dict) or len(v) >= wanted,
    "required": lambda v, wanted: not isinstance(v, dict) or set(wanted) <= v.keys(),
}


# --- YAML as editors read it ---------------------------------------------------------------------

_CORE: list[tuple[str, str, Callable[[str], Any]]] = [
    ("null", r"~|null|Null|NULL|", lambda _: None),
    ("bool", r"true|True|TRUE|false|False|FALSE", lambda text: text[0] in "tT"),
    ("int", r"[-+]?[0-9]+", int),
    ("int", r"0x[0-9a-fA-F]+", lambda text: int(text, 0)),
    ("int", r"0o[0-7]+", lambda text: int(text, 0)),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", float),
]
"""YAML 1.2's core schema: `no` is a text there, and so is a date."""


def read_as_editors_do(text: str) -> Any:
    """The one document in `text` as values of JSON; a key is always a text."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    return None if node is None else _value(node)


def _value(node: Any) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return [_value(item) for item in node.value]
    if isinstance(node, yaml.MappingNode):
        return {key.value: _value(item) for key, item in node.value}
    if node.style is not None:
        return node.value
    for _, form, made in _CORE:
        if re.fullmatch(form, node.value):
            return made(node.value)
    return node.value
