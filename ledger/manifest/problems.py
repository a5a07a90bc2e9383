"""What is wrong with the files, each thing with its place, and what to write instead.

Invariant: a problem never ends the reading of anything but its own value; a person sees all of them
in one run.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal

Severity = Literal["error", "warning"]

EXCERPT_MAX = 200
"""Characters of a line that a problem shows."""

MESSAGE_MAX = 600
"""Characters of a message or a hint: what they quote can be as long as a file."""

UNSHOWABLE = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
"""Characters that no file may hold: controls, line ends that editors do not show, marks that turn
the direction of text (a reviewer would read another line than we do), U+FEFF past the start."""

COMPARISONS_MAX = 20_000
"""Words compared for "did you mean" in one reading: difflib costs 10 µs each."""


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """Where something stands."""

    path: str
    """Relative POSIX path inside the configuration directory."""
    line: int
    """1-based."""
    column: int
    """1-based, in characters."""

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that a person should change, or at least know."""

    source: Source
    severity: Severity
    code: str
    """Kebab-case and stable: what a script may test."""
    message: str
    hint: str | None = None
    """What to write instead; None where the message says it all."""
    excerpt: str | None = None
    """The line as written; None where there is no such line."""

    def __str__(self) -> str:
        said = f"{self.source}: {self.message}"
        return said if self.hint is None else f"{said}; {self.hint}"


class Unreadable(ValueError):
    """A value that cannot be read; the caller knows its place and makes a `Problem` of it."""

    def __init__(self, code: str, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint


@dataclass(slots=True)
class Desk:
    """Where one reading collects its problems."""

    found: list[Problem] = field(default_factory=list)
    lines: dict[str, list[str]] = field(default_factory=dict)
    """The lines of each file that had a problem, split once."""
    texts: dict[str, str] = field(default_factory=dict)
    comparisons_left: int = COMPARISONS_MAX

    def report(
        self,
        source: Source,
        code: str,
        message: str,
        hint: str | None = None,
        *,
        severity: Severity = "error",
    ) -> None:
        said = None if hint is None else _showable(hint)
        shown = self.excerpt(source)
        self.found.append(Problem(source, severity, code, _showable(message), said, shown))

    def excerpt(self, source: Source) -> str | None:
        lines = self.lines.get(source.path)
        if lines is None:
            lines = self.lines[source.path] = lines_of(self.texts.get(source.path, ""))
        return excerpt_of(lines, source.line)

    def did_you_mean(self, word: str, options: Collection[str]) -> str | None:
        """A hint naming the option nearest to `word`; None when none is near.

        Once the reading has compared `COMPARISONS_MAX` words it is always None: with thousands of
        wrong lines the first hints are what people read.
        """
        self.comparisons_left -= len(options)
        if self.comparisons_left < 0 or len(word) > EXCERPT_MAX:
            return None
        known, folded = sorted(options), word.casefold()
        near = [option for option in known if option.casefold() == folded]
        near = near or get_close_matches(word, known, n=1)
        return f"did you mean `{near[0]}`?" if near else None


def lines_of(text: str) -> list[str]:
    """`text` in the lines that YAML counts: ended by LF, CR LF or CR, and by nothing else."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def excerpt_of(lines: list[str], line: int) -> str | None:
    """Line number `line` as a problem shows it; None where it is empty or beyond the file."""
    if not 1 <= line <= len(lines):
        return None
    return _showable(lines[line - 1][:EXCERPT_MAX]) or None


def _showable(text: str) -> str:
    """`text` cut to a length that a screen takes, with nothing that could steer the screen."""
    cut = text if len(text) <= MESSAGE_MAX else f"{text[:MESSAGE_MAX]}…"
    return UNSHOWABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", cut)
