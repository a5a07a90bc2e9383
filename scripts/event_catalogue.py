"""Prints the catalogue of events for docs/ledger.md, read from the code that writes them.

    .venv/bin/python scripts/event_catalogue.py --write

puts it into the page; a test holds the page equal to the code. Invariant: every kind, every field
and every remark that stands beside them in `ledger/events.py` and `ledger/model.py`, and no more.
"""

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from ledger import codec, envelope, events, model

PAGE = Path(__file__).parents[1] / "docs" / "ledger.md"
BEGIN = "<!-- The catalogue: written by scripts/event_catalogue.py, not by hand. -->\n"
END = "<!-- The end of the catalogue. -->\n"

WORDS: dict[Any, str] = {
    str: "text",
    int: "number",
    bool: "true or false",
    datetime: "instant",
    model.Principal: "text, `kind/name`",
}
PARTS = (
    *(model.Grant, model.Window, events.GrantRef, model.Policy, model.Account),
    *(events.Made, events.Pin, events.Word, envelope.Provenance),
)
"""What stands inside events, and beside every one of them."""


def said(hint: Any) -> str:
    """A type in words; a structure of ours as the link to it."""
    while hasattr(hint, "__supertype__"):
        hint = hint.__supertype__
    if hint in WORDS:
        return WORDS[hint]
    if hint in PARTS:
        return f"[{hint.__name__}](#{hint.__name__.casefold()})"
    if get_origin(hint) is Literal:
        return " or ".join(f"`{value}`" for value in get_args(hint))
    if get_origin(hint) is tuple:
        args = get_args(hint)
        if args[-1] is Ellipsis:
            return f"list of {said(args[0])}"
        return f"list of two: {', '.join(said(arg) for arg in args)}"
    if type(None) in get_args(hint):
        return (
            f"{' or '.join(said(arg) for arg in get_args(hint) if arg is not type(None))}, or null"
        )
    raise TypeError(f"{hint!r}: say in WORDS or PARTS what it is in JSON")


def remarks(cls: type) -> dict[str, str]:
    """Field -> the remark that stands below it in the source."""
    (tree,) = ast.parse(inspect.getsource(cls)).body
    if not isinstance(tree, ast.ClassDef):
        raise TypeError(f"{cls!r} is no class")
    found = {}
    for line, below in zip(tree.body, tree.body[1:], strict=False):
        match line, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[name] = re.sub(r"\bNone\b", "null", " ".join(text.split()))
    return found


def about(cls: type) -> str:
    """Its docstring as one paragraph; ValueError where nobody wrote one."""
    text = inspect.getdoc(cls) or ""
    if not text or text.startswith(f"{cls.__name__}("):
        raise ValueError(f"{cls.__name__} has no docstring, which the catalogue needs")
    return " ".join(text.split())


def body(cls: type) -> Iterator[str]:
    if not is_dataclass(cls):
        raise TypeError(f"{cls!r} is no dataclass")
    hints, notes = get_type_hints(cls), remarks(cls)
    yield f"\n{about(cls)}\n"
    for field in fields(cls):
        note = notes.get(field.name, "")
        link = "" if not note else ": " if note.startswith("null: ") else ". "
        yield f"- `{field.name}`: {said(hints[field.name])}{link}{note.removeprefix('null: ')}"


def catalogue() -> str:
    """The whole of it, as Markdown under two headings of the page."""
    lines = []
    for title, union in (("Intent", events.Intent), ("Evidence", events.Evidence)):
        lines.append(f"\n### {title}")
        for cls in get_args(union):
            lines += [f"\n#### {codec.kind_of(cls)}", *body(cls)]
    lines.append("\n### What stands inside them")
    for cls in PARTS:
        lines += [f"\n#### {cls.__name__}", *body(cls)]
    return "\n".join(lines).lstrip("\n") + "\n"


def put_into(page: str) -> str:
    """The page with the catalogue between its two marks."""
    found = re.fullmatch(f"(.*{re.escape(BEGIN)}).*({re.escape(END)}.*)", page, flags=re.DOTALL)
    if found is None:
        raise ValueError("the page has no two marks for the catalogue")
    return f"{found[1]}\n{catalogue()}\n{found[2]}"


def main(arguments: list[str]) -> None:
    if arguments == ["--write"]:
        PAGE.write_text(put_into(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(catalogue(), end="")


if __name__ == "__main__":
    main(sys.argv[1:])
