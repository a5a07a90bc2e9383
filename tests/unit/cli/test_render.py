"""Whatever was typed into YAML or answered by AWS, an answer stays an answer."""

import csv
import io
import json

from hypothesis import given
from hypothesis import strategies as st

from cli import render
from cli.render import (
    Column,
    cell,
    csv_text,
    markdown_table,
    ndjson_text,
    plain_table,
    safe,
    screen_width,
    terminal_table,
)
from cli.terminal import folded

COLUMNS = (Column("who", "who"), Column("what", "what"))
UGLY = st.text(st.sampled_from("a |\n\r\t\x1b\x00\u202e`*_[]<>#\\=+-@;,\"'é漢"), max_size=12)


@given(UGLY)
def test_no_text_can_steer_a_terminal(text: str) -> None:
    shown = safe(text)
    assert not set(shown) & set("\n\r\t\x1b\x00\u202e")


@given(st.lists(st.tuples(UGLY, UGLY), max_size=4))
def test_csv_reads_back_to_its_rows_and_holds_no_formula(rows: list[tuple[str, str]]) -> None:
    text = csv_text(["who", "what"], [{"who": who, "what": what} for who, what in rows])
    assert len(text.splitlines()) == len(rows) + 1
    head, *read = list(csv.reader(io.StringIO(text, newline="")))
    assert head == ["who", "what"]
    assert len(read) == len(rows)
    for row, written in zip(read, rows, strict=True):
        for read_back, value in zip(row, written, strict=True):
            assert read_back in (safe(value), f"'{safe(value)}")
            assert not read_back.startswith(("=", "+", "-", "@"))


@given(st.lists(st.tuples(UGLY, UGLY), max_size=4))
def test_a_markdown_table_keeps_its_shape(rows: list[tuple[str, str]]) -> None:
    text = markdown_table(COLUMNS, [{"who": who, "what": what} for who, what in rows])
    lines = text.splitlines()
    assert len(lines) == len(rows) + 2
    for line in lines[2:]:
        bars = [at for at, sign in enumerate(line) if sign == "|" and line[at - 1] != "\\"]
        assert len(bars) == 3, line


@given(st.lists(st.tuples(UGLY, UGLY), min_size=1, max_size=4))
def test_a_plain_table_has_one_line_a_row(rows: list[tuple[str, str]]) -> None:
    text = plain_table(COLUMNS, [{"who": who, "what": what} for who, what in rows])
    assert len(text.splitlines()) == len(rows) + 1


NAMES = st.text(st.sampled_from("abcdefghij-./ 漢é"), max_size=40)


@given(st.lists(st.tuples(NAMES, NAMES), max_size=5), st.integers(20, 60), st.booleans())
def test_a_table_on_a_screen_is_never_too_wide_and_loses_nothing(
    rows: list[tuple[str, str]], width: int, color: bool
) -> None:
    columns = (Column("who", "who"), Column("what", "what", width_min=10))
    given_rows = [{"who": who, "what": what} for who, what in rows]
    text = terminal_table(columns, given_rows, width=width, color=color)
    lines = text.splitlines()
    assert all(screen_width(line) <= width for line in lines)
    written = sorted("".join(f"{cell(who)}{cell(what)}" for who, what in rows).replace(" ", ""))
    assert sorted("".join(lines[2:]).replace(" ", "")) == written


def test_the_narrow_columns_of_a_table_keep_their_words() -> None:
    columns = (Column("who", "who"), Column("until", "until", width_min=20), Column("state", "s"))
    row = {"who": "w" * 90, "until": "2026-03-02T12:00:00Z", "state": "declared"}
    lines = terminal_table(columns, [row], width=50, color=False).splitlines()
    assert lines[2].endswith("  2026-03-02T12:00:00Z  declared")
    assert all(len(line) <= 50 for line in lines)


def test_a_state_has_its_colour_and_a_letter_of_two_columns_its_room() -> None:
    columns = (Column("who", "who"), Column("state", "state"))
    rows = [{"who": "漢漢", "state": "stuck"}, {"who": "anas", "state": "declared"}]
    plain = terminal_table(columns, rows, width=80, color=False).splitlines()
    assert plain[2:] == ["漢漢  stuck", "anas  declared"]
    assert "\x1b[1;31mstuck\x1b[0m" in terminal_table(columns, rows, width=80, color=True)


@given(st.lists(st.dictionaries(st.sampled_from("ab"), UGLY | st.none() | st.lists(UGLY))))
def test_ndjson_is_one_document_a_line(rows: list[dict[str, object]]) -> None:
    assert [json.loads(line) for line in ndjson_text(rows).split("\n")[:-1]] == rows


def test_a_list_and_nothing_have_their_signs_in_every_form() -> None:
    row = {"who": ["ana", "bob"], "what": None}
    assert csv_text(["who", "what"], [row]).splitlines()[1] == "ana;bob,"
    assert plain_table(COLUMNS, [row]).splitlines()[1] == "ana, bob  -"
    assert render.cell(True) == "yes"


def test_a_formula_in_a_list_is_made_harmless_too() -> None:
    assert csv_text(["who"], [{"who": ["=1+1", "b"]}]).splitlines()[1] == "'=1+1;b"


def test_long_lines_are_folded_at_spaces_and_what_is_copied_is_not() -> None:
    words = "  since noon: " + "because of this and that " * 6
    copied = "    aws iam delete-user-policy --user-name " + "a" * 64 + " --policy-name b"
    whole = "b" * 90
    text = folded(f"{words}\n{copied}\nshort\n{whole}", 80)
    lines = text.splitlines()
    assert all(len(line) <= 80 for line in lines if line not in (copied, whole))
    assert lines[1].startswith("    ")
    assert [copied, "short", whole] == lines[-3:]
    assert " ".join(text.split()) == " ".join(f"{words} {copied} short {whole}".split())


def test_colour_takes_no_room_on_a_line() -> None:
    coloured = render.styled("x" * 80, "bad", color=True)
    assert folded(coloured, 80) == coloured + "\n"
