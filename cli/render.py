"""Rows and documents as text: table, JSON, NDJSON, CSV, Markdown.

Pure: values in, text out. Invariant: nothing that was typed into YAML or answered by AWS can steer
a terminal, become a spreadsheet's formula, or break out of a Markdown table.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

Format = Literal["table", "json", "ndjson", "csv", "markdown"]
Row = Mapping[str, object]

SCHEMA_VERSION = 1

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")
_MARKDOWN = re.compile(r"([\\`*_\[\]<>|#~@])")
_FORMULA = ("=", "+", "-", "@")

_STYLES = {
    "declared": "yellow",
    "confirmed": "green",
    "ending": "yellow",
    "stuck": "bold red",
    "left": "magenta",
    "settled": "magenta",
    "error": "bold red",
    "warning": "yellow",
}
"""Colour repeats what the word says; it never says anything alone."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    key: str
    title: str
    width_min: int = 1
    """Screen columns that it keeps on a narrow terminal, where the others fold."""


def safe(text: str) -> str:
    """`text` on one line, with nothing in it that a terminal obeys."""
    return _CONTROLS.sub(lambda found: repr(found[0])[1:-1] if found[0] != "\n" else " ", text)


def cell(value: object) -> str:
    """A value as people read it in a table."""
    match value:
        case None | "" | () | []:
            return "-"
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return ", ".join(cell(item) for item in value)
        case _:
            return safe(str(value))


# --- formats ----------------------------------------------------------------------------------


def json_text(document: Mapping[str, object]) -> str:
    """One document; keys stand as given."""
    return orjson.dumps(
        document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE, default=str
    ).decode()


def list_text(items: Sequence[Row]) -> str:
    """A bare list, for formats that are not ours."""
    return orjson.dumps(items, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def ndjson_text(rows: Iterable[Row]) -> str:
    return "".join(
        orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE, default=str).decode() for row in rows
    )


def csv_text(keys: Sequence[str], rows: Iterable[Row]) -> str:
    """With a header always. Lists are joined by `;`, formulas are made harmless by a quote."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(keys)
    for row in rows:
        writer.writerow([_csv_cell(row.get(key)) for key in keys])
    return written.getvalue()


def _csv_cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    text = safe(";".join(map(str, value)) if isinstance(value, list | tuple) else str(value))
    return f"'{text}" if text.startswith(_FORMULA) else text


def markdown_text(text: str) -> str:
    """`text` as words in Markdown, and nothing else."""
    return _MARKDOWN.sub(r"\\\1", safe(text))


def markdown_table(columns: Sequence[Column], rows: Iterable[Row]) -> str:
    lines = [
        "| " + " | ".join(column.title for column in columns) + " |",
        "|" + " --- |" * len(columns),
    ]
    for row in rows:
        cells = (markdown_text(cell(row.get(column.key))) for column in columns)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def plain_table(columns: Sequence[Column], rows: Iterable[Row]) -> str:
    """Aligned columns, as wide as they need: for pipes and logs."""
    table = [[column.title.upper() for column in columns]]
    table += [[cell(row.get(column.key)) for column in columns] for row in rows]
    widths = [max(len(line[at]) for line in table) for at in range(len(columns))]
    return "".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        + "\n"
        for line in table
    )


def terminal_table(
    columns: Sequence[Column], rows: Iterable[Row], *, width: int, color: bool
) -> str:
    """A table for a person's screen, `width` columns wide at most."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column.title.upper(), min_width=column.width_min, overflow="fold")
    for row in rows:
        texts = [cell(row.get(column.key)) for column in columns]
        table.add_row(*(Text(text, style=_STYLES.get(text, "")) for text in texts))
    return _rich_text(table, width=width, color=color)


def _rich_text(renderable: Any, *, width: int, color: bool) -> str:
    from rich.console import Console

    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=color,
        no_color=not color,
        color_system="standard" if color else None,
        highlight=False,
        legacy_windows=False,
    )
    with console.capture() as captured:
        console.print(renderable)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def styled(text: str, style: str, *, color: bool) -> str:
    """`text` in a colour where colour is wanted."""
    codes = {"good": "32", "bad": "1;31", "warn": "33", "dim": "2", "bold": "1"}
    return f"\x1b[{codes[style]}m{text}\x1b[0m" if color else text
