"""This project's own files, as the walls read them.

Invariant: what git would commit is looked at, written but not yet added included; without git (an
unpacked archive) everything is that a build or a test run did not make.
"""

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("ledger", "worker", "cli", "migrations")
MADE = {".git", ".venv", "__pycache__", "dist", "node_modules"}


@dataclass(frozen=True, slots=True)
class Source:
    """One Python file: its path from the root, with slashes, and its text."""

    path: str
    text: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)


def files() -> Iterator[Path]:
    """Every file of the project, from the root."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0:
        found = [Path(name) for name in listed.stdout.decode().split("\0") if name]
    else:
        found = [path.relative_to(ROOT) for path in ROOT.rglob("*")]
    for path in sorted(set(found)):
        hidden_cache = any(part in MADE or part.endswith("_cache") for part in path.parts)
        if not hidden_cache and (ROOT / path).is_file():
            yield path


def sources(*rooms: str) -> list[Source]:
    """The Python files under these top folders, in the order of their paths."""
    return [
        Source(path.as_posix(), (ROOT / path).read_text(encoding="utf-8"))
        for path in files()
        if path.suffix == ".py" and path.parts[0] in rooms
    ]
