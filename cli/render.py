"""Rows and documents as text: table, JSON, NDJSON, CSV, Markdown.

Pure: values in, text out. Invariant: nothing that was typed into YAML or answered by AWS can steer
a terminal, become a spreadsheet's formula, or break out of a Markdown table.
"""

import csv
import io
import re
import textwrap
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

import orjson

Format = Literal["table", "json", "ndjson", "csv", "markdown"]
Row = Mapping[str, object]

SCHEMA_VERSION = 1

FOLD_MIN = 8
"""Screen columns under which no column of a table is folded."""

_CONTROLS = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff]"
)
_MARKDOWN = re.compile(r"([\\`*_\[\]<>|#~@])")
_FORMULA = ("=", "+", "-", "@")

Style = Literal["good", "bad", "warn", "odd", "dim", "bold"]

_CODES: dict[Style, str] = {
    "good": "32",
    "bad": "1;31",
    "warn": "33",
    "odd": "35",
    "dim": "2",
    "bold": "1",
}

_STYLES: dict[str, Style] = {
    "declared": "warn",
    "confirmed": "good",
    "ending": "warn",
    "stuck": "bad",
    "left": "odd",
    "settled": "odd",
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


def json_text(document: Mapping[str, object] | Sequence[Row]) -> str:
    """One document; keys stand as given. A list is for formats that are not ours."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def ndjson_text(rows: Iterable[Row]) -> str:
    return "".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE).decode() for row in rows)


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
    """A table for a person's screen, `width` columns wide at most; cells fold where they must."""
    titles = [column.title.upper() for column in columns]
    table = [[cell(row.get(column.key)) for column in columns] for row in rows]
    widths = _fitted(columns, [titles, *table], width)
    lines = ["  ".join(t.ljust(w) for t, w in zip(titles, widths, strict=True)).rstrip()]
    lines.append("─" * (sum(widths) + 2 * (len(widths) - 1)))
    for texts in table:
        folded = [_folded(text, room) for text, room in zip(texts, widths, strict=True)]
        for parts in zip_longest(*folded, fillvalue=""):
            line = "  ".join(
                styled(part, _STYLES.get(text), color=color) + " " * (room - screen_width(part))
                for part, text, room in zip(parts, texts, widths, strict=True)
            )
            lines.append(line.rstrip())
    return "\n".join(lines) + "\n"


def _fitted(columns: Sequence[Column], table: Sequence[Sequence[str]], width: int) -> list[int]:
    """What each column needs; where that is too much the widest give way, down to their minimum."""
    widths = [max(screen_width(line[at]) for line in table) for at in range(len(columns))]
    least = [
        min(needed, max(column.width_min, len(column.title), FOLD_MIN))
        for needed, column in zip(widths, columns, strict=True)
    ]
    room = width - 2 * (len(columns) - 1)
    while sum(widths) > room:
        wide = [at for at in range(len(widths)) if widths[at] > least[at]]
        if not wide:
            break
        widths[max(wide, key=lambda at: widths[at])] -= 1
    return widths


def _folded(text: str, room: int) -> list[str]:
    if screen_width(text) <= room:
        return [text]
    narrow = room if screen_width(text) == len(text) else max(1, room // 2)
    return textwrap.wrap(text, narrow) or [""]


def screen_width(text: str) -> int:
    """Screen columns that `text` takes: some letters take two, some signs upon them none."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(sign) in "WF" for sign in text)
    return len(text) + wide - sum(unicodedata.combining(sign) > 0 for sign in text)


def styled(text: str, style: Style | None, *, color: bool) -> str:
    """`text` in a colour where colour is wanted."""
    if not color or not text or style is None:
        return text
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m"
