"""HTML by elements: no text becomes anything but text."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.render import safe
from cli.report.markup import (
    LONG_FROM,
    Markup,
    clipped,
    document,
    element,
    joined,
    style_sheet,
    words,
)

UGLY = st.text(st.sampled_from("<>&\"'/=`!-ab \n\t\x00\u202e\u200f\u2066\ud800é漢"), max_size=30)


class Read(HTMLParser):
    """What a browser would make of it: tags, attributes and texts in order."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@given(UGLY, UGLY)
def test_a_text_and_an_attribute_are_read_back_as_they_were_shown(text: str, value: str) -> None:
    read = Read(element("p", text, title=value).html)
    assert read.tags == [("p", {"title": safe(value)})]
    assert "".join(read.texts) == safe(text)


@pytest.mark.parametrize("mark", ["\u202e", "\u2066", "\u200f", "\u200e", "\u061c", "\u200b"])
def test_what_would_turn_or_hide_other_words_is_made_visible(mark: str) -> None:
    assert element("b", f"a{mark}b").html == f"<b>a\\u{ord(mark):04x}b</b>"


def test_each_of_somebodys_words_has_a_direction_of_its_own() -> None:
    assert words("שלום").html == "<bdi>שלום</bdi>"


def test_a_long_text_is_folded_up_and_whole_behind_its_beginning() -> None:
    text = "<" * 10_000
    read = Read(words(text).html)
    assert [tag for tag, _ in read.tags] == ["details", "summary", "bdi", "bdi"]
    assert read.texts == [text[:LONG_FROM] + "…", text]
    assert Read(clipped(text).html).texts == [text[:LONG_FROM] + "…"]


def test_an_attribute_that_is_none_or_false_is_not_there() -> None:
    made = element("p", class_="a", hidden=True, lang=None, open=False, aria_label="x", tabindex=0)
    assert made.html == '<p class="a" hidden aria-label="x" tabindex="0"></p>'


def test_children_may_be_nested_and_none() -> None:
    inner: list[Markup | str] = [element("i", "a"), "&", element("br")]
    assert joined(inner, None, "b").html == "<i>a</i>&amp;<br>b"
    assert document(element("html", None)) == "<!doctype html>\n<html></html>\n"


@pytest.mark.parametrize("css", ["p {} </style>", "<!-- p {} -->"])
def test_a_style_sheet_that_would_end_its_element_is_a_bug(css: str) -> None:
    with pytest.raises(ValueError, match="end its element"):
        style_sheet(css)
    assert style_sheet("a > b {}") == Markup("<style>a > b {}</style>")
