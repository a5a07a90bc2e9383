"""Where words go: data to stdout, everything else to stderr.

Invariant: a reader who hangs up (a broken pipe) ends neither the command nor its exit code.
"""

import os
import re
import shutil
import sys
import textwrap
from dataclasses import dataclass
from typing import TextIO

from cli.environment import COLOR, Environment
from cli.exits import Exit, Stop

COLORS = ("auto", "always", "never")

_COLOURING = re.compile(r"\x1b\[[0-9;]*m")
_COMMAND = re.compile(r"^([^\S\n]*)::", re.MULTILINE)
_COPIED = "aws "
"""How a line begins that a person copies: it is never broken."""


@dataclass(slots=True)
class Terminal:
    """The two streams of one process."""

    out: TextIO
    err: TextIO
    environment: Environment
    color_flag: str | None = None
    quiet: bool = False

    @classmethod
    def of_process(cls, environment: Environment) -> "Terminal":
        return cls(sys.stdout, sys.stderr, environment)

    @property
    def interactive(self) -> bool:
        """Whether a person looks at stdout."""
        return self.out.isatty()

    @property
    def color(self) -> bool:
        wish = self.environment.chosen(COLOR, COLORS, self.color_flag)
        if wish == "auto":
            return self.interactive and not self.environment.plain
        return wish == "always"

    @property
    def width(self) -> int:
        return self.environment.columns or shutil.get_terminal_size((80, 24)).columns

    def data(self, text: str) -> None:
        """Data, on stdout, ended by a line feed; Stop (1) where it cannot be written."""
        if text and not text.endswith("\n"):
            text += "\n"
        try:
            self.out.write(text)
            self.out.flush()
        except BrokenPipeError:
            self._hung_up()
        except OSError as error:
            self._hung_up()
            reason = (error.strerror or str(error)).lower()
            raise Stop(Exit.FAILED, f"the answer cannot be written: {reason}") from None

    def prose(self, text: str) -> None:
        """Data for people: folded to the screen where there is one, as long as it is in a pipe."""
        self.lines(folded(text, self.width) if self.interactive else text)

    def lines(self, text: str) -> None:
        """Data for people that is never folded; nothing in it is obeyed by GitHub's runner."""
        self.data(unobeyed(text) if self.environment.ci == "github" else text)

    def hint(self, text: str) -> None:
        """What helps and may be missed: stderr, silent with `-q`."""
        if not self.quiet:
            self.complain(text)

    def complain(self, text: str) -> None:
        """What must be seen: stderr."""
        if self.err.isatty():
            text = folded(text, self.width).removesuffix("\n")
        self.command(unobeyed(text) if self.environment.ci == "github" else text)

    def command(self, text: str) -> None:
        """What a CI system's runner is to obey: stderr, as it is."""
        try:
            print(text, file=self.err, flush=True)
        except BrokenPipeError:
            self.err = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  for good

    def _hung_up(self) -> None:
        """Nobody reads stdout any more: what comes goes nowhere, at interpreter exit too."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.out.fileno())
        os.close(nowhere)


def unobeyed(text: str) -> str:
    """`text` with no line in it that GitHub's runner would take for a command.

    It obeys lines that begin with `::`, behind blanks too, and `##[` anywhere in a line
    (actions/runner, ActionCommand.cs); a ticket in a pull request can say either.
    """
    return _COMMAND.sub(r"\1: :", text).replace("##[", "## [")


def folded(text: str, width: int) -> str:
    """`text` with its long lines broken at spaces, what follows set in by two columns more."""
    lines: list[str] = []
    for line in text.splitlines():
        bare = line.lstrip(" ")
        if len(_COLOURING.sub("", line)) <= width or bare.startswith(_COPIED):
            lines.append(line)
            continue
        indent = " " * (len(line) - len(bare))
        lines += textwrap.wrap(
            bare,
            max(width, 2 * len(indent) + 20),
            initial_indent=indent,
            subsequent_indent=indent + "  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "\n".join(lines) + "\n"
