"""YAML text to a tree of texts that know their line and column.

Invariant: the tree holds what the file says and nothing that YAML made of it: every scalar is text
(PyYAML alone would turn `012345670123` into an octal number and `no` into False). The tree is built
from the parser's events, so that depth and expansion are bounded before anything is built.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

DEPTH_MAX = 32
"""Collections inside each other; the deepest thing we read (a condition's values) needs 7."""

EXPANSION_MAX = 100_000
"""Nodes that the aliases of one file may add."""


class Scalar(NamedTuple):
    """A text. Tuples, since a file has tens of thousands of them."""

    text: str
    line: int
    column: int
    plain: bool
    """Written without quotes and not as a block."""

    @property
    def null(self) -> bool:
        """Whether YAML would say that nothing is here."""
        return self.plain and self.text in {"", "~", "null", "Null", "NULL"}


class Sequence(NamedTuple):
    items: "list[Node]"
    line: int
    column: int


class Pair(NamedTuple):
    key: Scalar
    value: "Node"


class Mapping(NamedTuple):
    pairs: dict[str, Pair]
    """By key, in the order written; of a key written twice the first."""
    line: int
    column: int


Node = Scalar | Sequence | Mapping


class Fault(NamedTuple):
    """What is wrong with a file as YAML."""

    line: int
    column: int
    code: str
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Composed:
    root: Node | None
    """None: the file is empty, or has a fault that ends its reading."""
    faults: tuple[Fault, ...]
    broken: bool
    """Whether a fault ended the reading: what the file declares is then unknown."""


class _Stop(Exception):
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


@dataclass(slots=True)
class _Frame:
    """A collection whose end has not come yet."""

    line: int
    column: int
    anchor: str | None
    nodes_before: int
    items: list[Node] | None
    """None in a mapping."""
    pairs: dict[str, Pair] = field(default_factory=dict)
    key: Scalar | None = None
    skipping: bool = False
    """The key before was refused: its value is read and dropped."""


def pure_loader() -> Any:
    return yaml.BaseLoader


def fast_loader() -> Any:
    """libyaml's where PyYAML was built with it, else the pure one: the same trees, more slowly."""
    return getattr(yaml, "CBaseLoader", yaml.BaseLoader)


def compose(text: str, loader: Any = None) -> Composed:
    """The tree of the one document in `text`, with all that is wrong with it as YAML.

    `text` has only characters that `sheet.decode` lets through.
    """
    parser = (loader or fast_loader())(text)
    composer = _Composer()
    try:
        composer.follow(parser.get_event)
    except _Stop as stop:
        return Composed(None, (*composer.faults, stop.fault), broken=True)
    except yaml.MarkedYAMLError as error:
        return Composed(None, (*composer.faults, _syntax(error)), broken=True)
    finally:
        parser.dispose()
    return Composed(composer.root, tuple(composer.faults), broken=False)


def _syntax(error: yaml.MarkedYAMLError) -> Fault:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    said = " ".join(part for part in (error.context, error.problem) if part)
    hint = "indent with spaces, not tabs" if "'\\t'" in said else None
    return Fault(line, column, "syntax", f"this is not YAML: {said}", hint)


_TAGS = {
    yaml.ScalarEvent: (None, "!", "tag:yaml.org,2002:str"),
    yaml.SequenceStartEvent: (None, "!", "tag:yaml.org,2002:seq"),
    yaml.MappingStartEvent: (None, "!", "tag:yaml.org,2002:map"),
}


class _Composer:
    """Events in, one tree out. Events are `Any`: PyYAML's stubs make every mark optional."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self.faults: list[Fault] = []
        self.open: list[_Frame] = []
        self.documents = 0
        self.nodes = 0
        self.expanded = 0
        self.anchors: dict[str, tuple[Node, int] | None] = {}
        """Each anchor's node and the nodes in it; None while its end has not come."""

    def follow(self, get_event: Callable[[], Any]) -> None:
        handlers: dict[type, Callable[[Any], None]] = {
            yaml.ScalarEvent: self._scalar,
            yaml.SequenceStartEvent: self._start,
            yaml.MappingStartEvent: self._start,
            yaml.SequenceEndEvent: self._end,
            yaml.MappingEndEvent: self._end,
            yaml.AliasEvent: self._alias,
            yaml.DocumentStartEvent: self._document,
        }
        while True:
            try:
                event = get_event()
            except ValueError as error:
                # The pure parser makes a character of an escape like \\U00110000 without a look.
                message = "this is not YAML: an escape names no character"
                raise _Stop(Fault(1, 1, "syntax", message)) from error
            if event is None:
                return
            handler = handlers.get(type(event))
            if handler is not None:
                handler(event)

    def _document(self, event: Any) -> None:
        mark = event.start_mark
        line, column = mark.line + 1, mark.column + 1
        if event.version or event.tags:
            raise _Stop(Fault(line, column, "directive", "directives (`%`) are not read here"))
        self.documents += 1
        if self.documents > 1:
            hint = "take the `---` away, or make it a file of its own"
            raise _Stop(Fault(line, column, "documents", "a second document begins here", hint))

    def _scalar(self, event: Any) -> None:
        mark = event.start_mark
        node = Scalar(event.value, mark.line + 1, mark.column + 1, not event.style)
        if event.tag is not None:
            self._check_tag(event, node)
        self.nodes += 1
        if event.anchor:
            self.anchors[event.anchor] = (node, 1)
        self._place(node)

    def _start(self, event: Any) -> None:
        mark = event.start_mark
        frame = _Frame(
            mark.line + 1,
            mark.column + 1,
            event.anchor,
            self.nodes,
            [] if type(event) is yaml.SequenceStartEvent else None,
        )
        self._check_tag(event, frame)
        self.nodes += 1
        if event.anchor:
            self.anchors[event.anchor] = None
        self.open.append(frame)
        if len(self.open) > DEPTH_MAX:
            message = f"more than {DEPTH_MAX} lists and mappings stand inside each other here"
            raise _Stop(Fault(frame.line, frame.column, "depth", message))

    def _end(self, _event: Any) -> None:
        frame = self.open.pop()
        node: Node
        if frame.items is None:
            node = Mapping(frame.pairs, frame.line, frame.column)
        else:
            node = Sequence(frame.items, frame.line, frame.column)
        if frame.anchor:
            self.anchors[frame.anchor] = (node, self.nodes - frame.nodes_before)
        self._place(node)

    def _alias(self, event: Any) -> None:
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        name: str = event.anchor
        if name not in self.anchors:
            raise _Stop(Fault(line, column, "alias", f"no anchor `&{name}` stands before this"))
        target = self.anchors[name]
        if target is None:
            raise _Stop(Fault(line, column, "alias", f"`*{name}` stands inside its own anchor"))
        node, size = target
        self.nodes += size
        self.expanded += size
        if self.expanded > EXPANSION_MAX:
            message = f"the aliases of this file repeat more than {EXPANSION_MAX:,} values"
            raise _Stop(Fault(line, column, "alias", message, "write less, or several files"))
        self._place(node._replace(line=line, column=column))

    def _place(self, node: Node) -> None:
        if not self.open:
            self.root = node
            return
        frame = self.open[-1]
        if frame.items is not None:
            frame.items.append(node)
        elif frame.skipping:
            frame.skipping = False
        elif frame.key is None:
            self._place_key(frame, node)
        else:
            frame.pairs[frame.key.text] = Pair(frame.key, node)
            frame.key = None

    def _place_key(self, frame: _Frame, node: Node) -> None:
        if type(node) is not Scalar:
            fault = Fault(node.line, node.column, "key", "a key must be a text")
        elif node.text in frame.pairs:
            first = frame.pairs[node.text].key
            message = (
                f"key `{node.text}` stands here for the second time (first: line {first.line})"
            )
            fault = Fault(node.line, node.column, "duplicate-key", message, "keep one of them")
        else:
            frame.key = node
            return
        self.faults.append(fault)
        frame.skipping = True

    def _check_tag(self, event: Any, at: Scalar | _Frame) -> None:
        if event.tag not in _TAGS[type(event)]:
            shown = event.tag.replace("tag:yaml.org,2002:", "!!")
            message = f"the tag `{shown}` is not read here"
            self.faults.append(Fault(at.line, at.column, "tag", message, "write the value alone"))
