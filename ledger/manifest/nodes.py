"""The tree of a YAML file: texts, lists and mappings that know their line and column.

Invariant: the tree holds what the file says and nothing that YAML made of it: every scalar is text
(PyYAML alone would turn `012345670123` into an octal number and `no` into False).
"""

from dataclasses import dataclass
from typing import NamedTuple


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
