"""One file being read: its text, its tree, and the shapes that a value may have.

Invariant: whatever has a wrong shape is reported at its own place and read as if it were absent.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from ledger.manifest.composing import compose
from ledger.manifest.nodes import Fault, Mapping, Node, Pair, Scalar, Sequence
from ledger.manifest.problems import UNSHOWABLE, Desk, Source, Unreadable

SIZE_MAX_BYTES = 8 * 1024 * 1024
TEXT_MAX = 1_000
"""Characters of a description: IAM's own limit for that of a policy."""
NAME_MAX = 128


_REFUSED = re.compile(f"{UNSHOWABLE.pattern}|\t")
"""Tabs too: YAML takes them in some places, and its parsers do not agree in which."""

NAME = re.compile(r"[\w.:/=+@-](?:[\w .:/=+@-]*[\w.:/=+@-])?\Z")
"""What AWS takes as a tag's value (teams and policies are tags), without spaces at the ends."""


@dataclass(slots=True)
class Sheet:
    path: str
    desk: Desk
    root: Node | None = None
    """None: empty or broken."""
    broken: bool = False
    """It is not YAML: what it declares is unknown, so that nothing hangs on its being absent."""

    def source(self, at: Any) -> Source:
        """Where `at` (any node) stands."""
        return Source(self.path, at.line, at.column)

    def error(self, at: Any, code: str, message: str, hint: str | None = None) -> None:
        self.desk.report(self.source(at), code, message, hint)

    def unreadable(self, at: Any, reason: Unreadable) -> None:
        self.desk.report(self.source(at), reason.code, reason.message, reason.hint)

    # --- shapes -------------------------------------------------------------------------------

    def section(self, key: str) -> Node | None:
        """The value of the file's one top-level key; None where it says nothing."""
        if self.root is None or (type(self.root) is Scalar and self.root.null):
            return None
        if type(self.root) is not Mapping:
            self.error(self.root, "shape", f"the file must begin with the key `{key}:`")
            return None
        self.only_keys(self.root, (key,))
        pair = self.root.pairs.get(key)
        if pair is None or (type(pair.value) is Scalar and pair.value.null):
            return None
        return pair.value

    def mapping(self, node: Node, what: str) -> Mapping | None:
        if type(node) is Mapping:
            return node
        self.error(node, "shape", f"{what} must be a mapping, not {_shape(node)}")
        return None

    def sequence(self, node: Node, what: str) -> Sequence | None:
        if type(node) is Sequence:
            return node
        self.error(node, "shape", f"{what} must be a list, not {_shape(node)}")
        return None

    def only_keys(self, mapping: Mapping, known: Collection[str]) -> None:
        """Reports every key of `mapping` that is not among `known`."""
        for name, pair in mapping.pairs.items():
            if name not in known:
                self.unknown_key(pair.key, known)

    def unknown_key(self, key: Scalar, known: Collection[str]) -> None:
        if key.text == "<<":
            hint: str | None = "merge keys are not read; write the keys out"
        else:
            hint = self.desk.did_you_mean(key.text, known)
        if hint is None:
            hint = "known here: " + ", ".join(f"`{name}`" for name in known)
        self.error(key, "unknown-key", f"key `{key.text}` is not known here", hint)

    def scalar(self, pair: Pair) -> Scalar | None:
        """The one value of a key; reports lists, mappings and nothing."""
        return self.item(pair.value, pair.key.text)

    def item(self, node: Node, key: str) -> Scalar | None:
        """A value of `key`, alone or in its list."""
        if type(node) is not Scalar:
            self.error(node, "shape", f"`{key}` must be one text, not {_shape(node)}")
            return None
        if node.null or not node.text:
            self.error(node, "empty", f"`{key}` is empty")
            return None
        return node

    def text(self, pair: Pair | None, length_max: int = TEXT_MAX) -> str | None:
        """A free text for people; None where absent or empty."""
        if pair is None or (type(pair.value) is Scalar and not pair.value.text.strip()):
            return None
        scalar = self.scalar(pair)
        if scalar is None:
            return None
        refused = UNSHOWABLE.search(scalar.text)
        if refused:
            message = f"`{pair.key.text}` holds the character U+{ord(refused[0]):04X}"
            self.error(scalar, "character", message, "take it out")
            return None
        if len(scalar.text) > length_max:
            message = f"`{pair.key.text}` has {len(scalar.text)} characters"
            self.error(scalar, "length", message, f"at most {length_max} are kept")
            return None
        return scalar.text.strip()

    def items(self, pair: Pair) -> list[Scalar]:
        """The texts of a list; a single text reads as a list of one."""
        if type(pair.value) is Sequence:
            if not pair.value.items:
                self.error(pair.value, "empty", f"`{pair.key.text}` is an empty list")
            found = [self.item(node, pair.key.text) for node in pair.value.items]
        else:
            found = [self.scalar(pair)]
        return [scalar for scalar in found if scalar is not None]

    def name(self, scalar: Scalar, what: str) -> bool:
        """Whether `scalar` can name an environment or a policy; reports why not."""
        try:
            check_name(scalar.text, what)
        except Unreadable as reason:
            self.unreadable(scalar, reason)
            return False
        return True


def check_name(text: str, what: str) -> None:
    """Unreadable unless `text` can name `what`: a team, an environment or a policy."""
    if len(text) > NAME_MAX:
        raise Unreadable("name", f"the name of {what} is longer than {NAME_MAX} characters")
    if not NAME.match(text):
        raise Unreadable(
            "name",
            f"`{text}` cannot name {what}",
            "letters, digits, spaces inside, and _.:/=+@- (what an AWS tag takes)",
        )


def _shape(node: Node) -> str:
    if type(node) is Scalar:
        return "empty" if node.null else "a text"
    return "a list" if type(node) is Sequence else "a mapping"


# --- bytes to a sheet -------------------------------------------------------------------------


def open_sheet(path: str, data: bytes, desk: Desk, loader: Any = None) -> Sheet:
    """Reads `data` as YAML and reports all that is wrong with it as such."""
    sheet = Sheet(path, desk)
    try:
        text = _decode(data)
    except _Undecodable as reason:
        sheet.broken = True
        desk.texts[path] = reason.text
        desk.report(Source(path, reason.fault.line, reason.fault.column), *reason.fault[2:])
        return sheet
    desk.texts[path] = text
    composed = compose(text, loader)
    for fault in composed.faults:
        desk.report(Source(path, fault.line, fault.column), *fault[2:])
    sheet.root, sheet.broken = composed.root, composed.broken
    return sheet


class _Undecodable(Exception):
    def __init__(self, fault: Fault, text: str) -> None:
        super().__init__(fault.message)
        self.fault = fault
        self.text = text


def _decode(data: bytes) -> str:
    if len(data) > SIZE_MAX_BYTES:
        message = f"the file has {len(data):,} bytes; at most {SIZE_MAX_BYTES:,} are read"
        raise _Undecodable(Fault(1, 1, "size", message, "split it by team"), "")
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8").removeprefix("\ufeff")
        line, column = _place(before)
        message = f"byte 0x{data[error.start]:02X} here is not UTF-8"
        fault = Fault(line, column, "encoding", message, "save the file as UTF-8")
        raise _Undecodable(fault, data.decode("utf-8", "replace").removeprefix("\ufeff")) from None
    refused = _REFUSED.search(text)
    if refused and refused[0] == "\t":
        line, column = _place(text[: refused.start()])
        fault = Fault(line, column, "tab", "a tab stands here", "write spaces")
        raise _Undecodable(fault, text)
    if refused:
        line, column = _place(text[: refused.start()])
        message = f"the character U+{ord(refused[0]):04X} cannot stand in a file"
        raise _Undecodable(Fault(line, column, "character", message, "take it out"), text)
    return text


def _place(before: str) -> tuple[int, int]:
    """Line and column, 1-based, of what follows `before`."""
    flat = before.replace("\r\n", "\n").replace("\r", "\n")
    return flat.count("\n") + 1, len(flat) - flat.rfind("\n")
