"""The pages that people read, as text: README and docs, with their fenced blocks apart."""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.walls.tree import ROOT, files

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block."""

    page: str
    line: int
    """Where its content begins."""
    language: str
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    path: str
    """From the root, with slashes."""
    text: str

    @property
    def folder(self) -> Path:
        return (ROOT / self.path).parent

    @property
    def prose(self) -> str:
        """All but the fenced blocks, line for line."""
        return _FENCE.sub(lambda found: "\n" * found[0].count("\n"), self.text)

    @property
    def blocks(self) -> list[Block]:
        return [
            Block(self.path, self.text.count("\n", 0, found.start(2)) + 1, found[1], found[2])
            for found in _FENCE.finditer(self.text)
        ]


def pages() -> list[Page]:
    """README.md and every page under docs."""
    return [
        Page(path.as_posix(), (ROOT / path).read_text(encoding="utf-8"))
        for path in files()
        if path.suffix == ".md" and (path.parts[0] == "docs" or path.as_posix() == "README.md")
    ]


def page(path: str) -> Page:
    return next(each for each in pages() if each.path == path)
