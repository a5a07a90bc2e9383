"""YAML text to a tree, by whichever of PyYAML's parsers is there.

Invariant: both parsers give the same tree, or both refuse. The tree is built from their events, so
that depth and expansion are bounded before anything is built.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import yaml

from ledger.manifest.nodes import Composed, Fault, Mapping, Node, Pair, Scalar, Sequence

DEPTH_MAX = 32
"""Collections inside each other; the deepest thing we read (a condition's values) needs 7."""

NODES_MAX = 1_000_000
"""Texts, lists and mappings in one file; 5,000 grants have 60,000."""

EXPANSION_MAX = 100_000
"""Nodes that the aliases of one file may add."""

DIAGNOSED_MAX = 256 * 1024
"""Characters of a broken file that are read again for a better message (half a second)."""

_DIRECTIVE = re.compile("^%", re.MULTILINE)
_SURROGATE = re.compile("[\ud800-\udfff]")
_BLOCK_HEADER = re.compile(r"[|>][0-9+-]*(?: +#[^\r\n]*| *)(?:[\r\n]|\Z)")
_ODD_COLON = re.compile(r":[\[\]{},?]")
_ESCAPE = ("syntax", "this is not YAML: an escape (`\\u` or `\\U`) names no character")


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
    in_brackets: bool = False
    skipping: bool = False
    """The key before was refused: its value is read and dropped."""


def pure_loader() -> Any:
    return yaml.BaseLoader


def fast_loader() -> Any:
    """libyaml's where PyYAML was built with it, else the pure one: the same trees, more slowly."""
    return getattr(yaml, "CBaseLoader", yaml.BaseLoader)


def compose(text: str, loader: Any = None) -> Composed:
    """The tree of the one document in `text`, with all that is wrong with it as YAML.

    `text` has only characters that `sheet` lets through. What breaks a file is told in the pure
    parser's words and places, which are better, whichever parser met it; beyond `DIAGNOSED_MAX`
    characters in those of the parser at hand.
    """
    directive = _DIRECTIVE.search(text)
    if directive is not None:
        line = text.count("\n", 0, directive.start()) + 1
        fault = Fault(line, 1, "directive", "no line may begin with `%`", "take it out")
        return Composed(None, (fault,), broken=True)
    chosen = loader or fast_loader()
    composed = _compose(text, chosen)
    if composed.broken and chosen is not pure_loader() and len(text) <= DIAGNOSED_MAX:
        again = _compose(text, pure_loader())
        return again if again.broken else composed
    return composed


def _compose(text: str, loader: Any) -> Composed:
    parser = loader(text)
    composer = _Composer(text)
    try:
        composer.follow(parser)
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
    return Fault(line, column, "syntax", f"this is not YAML: {said}")


_TAGS = {
    yaml.ScalarEvent: (None, "!", "tag:yaml.org,2002:str"),
    yaml.SequenceStartEvent: (None, "!", "tag:yaml.org,2002:seq"),
    yaml.MappingStartEvent: (None, "!", "tag:yaml.org,2002:map"),
}


class _Composer:
    """Events in, one tree out. Events are `Any`: PyYAML's stubs make every mark optional."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.escapes = "\\u" in text or "\\U" in text
        self.root: Node | None = None
        self.flow = 0
        """How many brackets are open."""
        self.faults: list[Fault] = []
        self.open: list[_Frame] = []
        self.documents = 0
        self.nodes = 0
        self.expanded = 0
        self.anchors: dict[str, tuple[Node, int] | None] = {}
        """Each anchor's node and the nodes in it; None while its end has not come."""

    def follow(self, parser: Any) -> None:
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
                event = parser.get_event()
            except ValueError as error:
                # The pure parser makes a character of an escape like \\U00110000 without a look.
                mark = parser.get_mark()
                raise _Stop(Fault(mark.line + 1, mark.column + 1, *_ESCAPE)) from error
            if event is None:
                return
            handler = handlers.get(type(event))
            if handler is not None:
                handler(event)

    def _document(self, event: Any) -> None:
        mark = event.start_mark
        line, column = mark.line + 1, mark.column + 1
        self.documents += 1
        if self.documents > 1:
            hint = "take the `---` away, or make it a file of its own"
            raise _Stop(Fault(line, column, "documents", "a second document begins here", hint))

    def _scalar(self, event: Any) -> None:
        mark = event.start_mark
        node = Scalar(event.value, mark.line + 1, mark.column + 1, not event.style)
        if event.tag is not None:
            self._check_tag(event, node)
        if event.style:
            self._check_styled(event, node)
        elif self.flow:
            self._check_plain_in_flow(event, node)
        self._count(node)
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
            in_brackets=bool(event.flow_style),
        )
        self._check_tag(event, frame)
        self._count(frame)
        if event.anchor:
            self.anchors[event.anchor] = None
        self.open.append(frame)
        self.flow += frame.in_brackets
        if len(self.open) > DEPTH_MAX:
            message = f"more than {DEPTH_MAX} lists and mappings stand inside each other here"
            raise _Stop(Fault(frame.line, frame.column, "depth", message))

    def _end(self, _event: Any) -> None:
        frame = self.open.pop()
        self.flow -= frame.in_brackets
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

    def _count(self, at: Scalar | _Frame) -> None:
        self.nodes += 1
        if self.nodes > NODES_MAX:
            message = f"the file holds more than {NODES_MAX:,} values"
            raise _Stop(Fault(at.line, at.column, "size", message, "split it by team"))

    def _place(self, node: Node) -> None:
        if not self.open:
            nothing = type(node) is Scalar and node.plain and not node.text
            self.root = node._replace(line=1, column=1) if nothing else node
            return
        frame = self.open[-1]
        if frame.items is not None:
            frame.items.append(node)
        elif frame.skipping:
            frame.skipping = False
        elif frame.key is None:
            self._place_key(frame, node)
        else:
            if type(node) is Scalar and not node.text and node.plain:
                # The two parsers put what is not there in different places.
                node = node._replace(line=frame.key.line, column=frame.key.column)
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

    # --- where the two parsers differ, both refuse --------------------------------------------

    def _check_styled(self, event: Any, at: Scalar) -> None:
        if self.escapes and _SURROGATE.search(event.value):
            raise _Stop(Fault(at.line, at.column, *_ESCAPE))
        if event.style in "|>" and not _BLOCK_HEADER.match(self.text, event.start_mark.index):
            message = "this is not YAML: behind the `|` or `>` stands what does not belong there"
            raise _Stop(Fault(at.line, at.column, "syntax", message))

    def _check_plain_in_flow(self, event: Any, at: Scalar) -> None:
        after = event.end_mark.index
        if "?" in event.value or _ODD_COLON.match(self.text, after):
            message = "this is not YAML: between brackets a text with `?` or `:` needs quotes"
            raise _Stop(Fault(at.line, at.column, "syntax", message))
