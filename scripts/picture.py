"""Makes the README's picture from a real run of `iam-ledger demo`, light and dark.

    .venv/bin/python scripts/picture.py

Runs the installed demo on a terminal of its own, keeps the parts named in `SHOWN`, and writes them
as SVG. Nothing in the picture was typed by hand: what is left out is marked with `…`.
"""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
COLUMNS = 100
DEMO_MAX_S = 180

COMMAND = "$ iam-ledger "
TITLE = re.compile(r"[1-9]\. ")
COLOURING = re.compile(r"\x1b\[[0-9;]*m")
BORDER, BORDER_ON_ANY_PAGE = "rgba(255,255,255,0.35)", "rgba(128,128,128,0.5)"
CUT = "\x1b[2m…\x1b[0m"

FRAME = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg"
     role="img" aria-label="A run of iam-ledger demo">
<style>
.{unique_id}-matrix {{
    font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
    font-size: {char_height}px;
    line-height: {line_height}px;
    font-variant-east-asian: full-width;
}}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""rich's own frame without its title and without its font, which it would fetch from elsewhere."""


@dataclass(frozen=True, slots=True)
class Part:
    """One step of the story."""

    number: int
    commands: Sequence[str]
    """Beginnings of the command lines whose output is kept; the rest is cut."""


SHOWN = (
    Part(1, ("validate",)),
    Part(3, ("who-has-access",)),
    Part(4, ()),
    Part(5, ("who-has-access --principal ana", "verify")),
)


class Astray(Exception):
    """The demo did not say what the picture is made of."""


# --- the run ------------------------------------------------------------------------------------


def run_demo() -> str:
    """All that `iam-ledger demo` says on a terminal, colours included; Astray when it fails."""
    ours, theirs = pty.openpty()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", ""),
        "TERM": "xterm-256color",
        "COLUMNS": str(COLUMNS),
        "LANG": "C.UTF-8",
    }
    command = [str(Path(sys.executable).with_name("iam-ledger")), "demo"]
    with subprocess.Popen(  # noqa: S603  our own program, a list, no shell
        command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        said = bytearray()
        while True:
            try:
                read = os.read(ours, 65_536)
            except OSError:  # Linux says so when the last writer has gone
                break
            if not read:
                break
            said += read
        code = process.wait(DEMO_MAX_S)
    os.close(ours)
    text = said.decode("utf-8").replace("\r\n", "\n")
    if code:
        raise Astray(f"the demo ended with {code}:\n{text[-2_000:]}")
    return text


# --- the picture --------------------------------------------------------------------------------


def bare(line: str) -> str:
    return COLOURING.sub("", line)


def excerpt(text: str, shown: Sequence[Part] = SHOWN) -> str:
    """The parts of a run that are shown, each under its title; Astray when one is missing."""
    parts: dict[int, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        if TITLE.match(bare(line)):
            current = parts.setdefault(int(bare(line)[0]), [])
        current.append(line)
    kept: list[str] = []
    for part in shown:
        if part.number not in parts:
            raise Astray(f"the demo has no part {part.number}")
        kept += [*_cut(parts[part.number], part), ""]
    return "\n".join(kept).strip("\n") + "\n"


def _cut(lines: Sequence[str], part: Part) -> list[str]:
    """One part without the commands that are not asked for."""
    kept: list[str] = []
    wanted = True
    for line in lines:
        text = bare(line)
        if text.startswith(COMMAND):
            arguments = text.removeprefix(COMMAND)
            wanted = any(arguments.startswith(begin) for begin in part.commands)
            kept += [line] if wanted else [line, CUT]
        elif wanted:
            kept.append(line)
    while kept and not bare(kept[-1]).strip():
        kept.pop()
    return kept


def draw(text: str, folder: Path) -> list[Path]:
    """Writes the picture twice, for light and for dark pages; answers the files."""
    from rich.console import Console
    from rich.terminal_theme import DEFAULT_TERMINAL_THEME, SVG_EXPORT_THEME
    from rich.text import Text

    written = []
    for name, theme in (("light", DEFAULT_TERMINAL_THEME), ("dark", SVG_EXPORT_THEME)):
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
            console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True)
            console.print(Text.from_ansi(text.rstrip("\n")))
            picture = console.export_svg(
                title="",
                theme=theme,
                code_format=FRAME,
                unique_id=f"demo-{name}",
            )
        path = folder / f"demo-{name}.svg"
        path.write_text(picture.replace(BORDER, BORDER_ON_ANY_PAGE), encoding="utf-8")
        written.append(path)
    return written


def main() -> int:
    try:
        text = excerpt(run_demo())
    except Astray as error:
        print(error, file=sys.stderr)
        return 1
    PICTURES.mkdir(parents=True, exist_ok=True)
    for path in draw(text, PICTURES):
        print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
