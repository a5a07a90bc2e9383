"""The walls that import-linter cannot see: what a file may say, by where it stands.

Each rule takes one source and returns what is wrong, as `path:line: what, and what instead`; an
empty list is a pass. No rule knows the tree: a test plants its violation in a string.
"""

import ast
from collections.abc import Callable, Iterator

from tests.walls.tree import Source

Rule = Callable[[Source], list[str]]

FILE_LINES_MAX = 400
TEST_FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 60

SIZE_EXCEPTIONS: dict[str, str] = {
    "migrations/versions/v0001_ledger.py:upgrade": "the tables as born: frozen, read top to bottom",
}
"""`path` or `path:function` -> why it has to be that long."""


def _dotted(node: ast.expr) -> str:
    """`a.b.c` of a chain of names; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        front = _dotted(node.value)
        return f"{front}.{node.attr}" if front else ""
    return ""


def _imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything that `from x import y` takes out of a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def _mentions(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of every attribute chain."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (name := _dotted(node)):
            yield node.lineno, name


def one_clock(source: Source) -> list[str]:
    """The machine's time is asked for in `worker/clock.py` only."""
    if source.path == "worker/clock.py":
        return []
    classes = {"datetime", "date"}
    asked = {"now", "utcnow", "today"}
    functions = {"time.time", "time.time_ns"}
    mentioned = [
        (line, name)
        for line, name in _mentions(source.tree)
        if name in functions or (name.split(".")[-2] in classes and name.split(".")[-1] in asked)
    ]
    imported = [(line, name) for line, name in _imported(source.tree) if name in functions]
    return [
        f"{source.path}:{line}: {name} asks the machine's clock; take a Clock or an instant instead"
        for line, name in (*mentioned, *imported)
    ]


def environment_seam(source: Source) -> list[str]:
    """Environment variables are read in `cli/environment.py` (and alembic's own env.py) only."""
    if source.path in {"cli/environment.py", "migrations/env.py"}:
        return []
    seams = {"os.environ", "os.environb", "os.getenv", "os.putenv"}
    return [
        f"{source.path}:{line}: {name} is the environment; take the value from cli/environment.py"
        for line, name in (*_mentions(source.tree), *_imported(source.tree))
        if name in seams
    ]


def silent_rooms(source: Source) -> list[str]:
    """`print` is the terminal, which belongs to cli."""
    if source.path.startswith("cli/"):
        return []
    return [
        f"{source.path}:{node.lineno}: print() belongs to cli; log, or return what is to be said"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and _dotted(node.func) == "print"
    ]


def kinds_in_one_place(source: Source) -> list[str]:
    """Who needs a difference between users, roles and groups reads it from `PRINCIPAL_KINDS`."""
    if source.path == "ledger/model.py" or source.path.startswith("worker/aws/"):
        return []
    kinds = {f"PrincipalKind.{kind}" for kind in ("USER", "ROLE", "GROUP")}
    return [
        f"{source.path}:{line}: {name} is named; put the difference into ledger.model.KindFacts"
        for line, name in _mentions(source.tree)
        if ".".join(name.split(".")[-2:]) in kinds
    ]


def sizes(source: Source) -> list[str]:
    """Files and functions that a person can hold in mind."""
    found = []
    lines = len(source.text.splitlines())
    lines_max = TEST_FILE_LINES_MAX if source.path.startswith("tests/") else FILE_LINES_MAX
    if lines > lines_max and source.path not in SIZE_EXCEPTIONS:
        found.append(f"{source.path}:1: {lines} lines; {lines_max} are the limit")
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        if length > FUNCTION_LINES_MAX and f"{source.path}:{node.name}" not in SIZE_EXCEPTIONS:
            found.append(
                f"{source.path}:{node.lineno}: {node.name} has {length} lines; "
                f"{FUNCTION_LINES_MAX} are the limit"
            )
    return found


def nothing_unfinished(source: Source) -> list[str]:
    """No note to self and no hole in what people run."""
    notes = ("TO" + "DO", "FIX" + "ME", "XX" + "X")
    found = [
        f"{source.path}:{number}: {note} in product code; do it, or file it"
        for number, line in enumerate(source.text.splitlines(), 1)
        for note in notes
        if note in line
    ]
    return found + [
        f"{source.path}:{node.lineno}: NotImplementedError in product code"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Name) and node.id == "NotImplementedError"
    ]


def bugs_crash(source: Source) -> list[str]:
    """Nothing catches everything, unless to raise it again or to hand it to who waits for it."""
    return [
        f"{source.path}:{node.lineno}: this catches bugs too; name the weather it is meant for"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ExceptHandler) and _catches_all(node) and not _passed_on(node)
    ]


def _catches_all(handler: ast.ExceptHandler) -> bool:
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or _dotted(kind) in {"Exception", "BaseException"} for kind in caught)


def _passed_on(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    if isinstance(last, ast.Raise) and last.exc is None:
        return True
    return handler.name is not None and any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "set_exception"
        and [_dotted(argument) for argument in node.args] == [handler.name]
        for node in ast.walk(handler)
    )


PRODUCT_RULES: tuple[Rule, ...] = (
    one_clock,
    environment_seam,
    silent_rooms,
    kinds_in_one_place,
    sizes,
    nothing_unfinished,
    bugs_crash,
)
TEST_RULES: tuple[Rule, ...] = (sizes,)
