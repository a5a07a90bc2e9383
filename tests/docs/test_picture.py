"""The README's picture is cut from a real run, and still shows what the demo does."""

import re
from html import unescape
from pathlib import Path
from xml.etree import ElementTree

import pytest

from scripts import picture
from tests.docs.test_commands import unknown_words
from tests.walls.tree import ROOT

PICTURES = ("demo-light.svg", "demo-dark.svg")
RUN = """\
nothing of this
\x1b[1m1. First\x1b[0m
said at once
\x1b[32m$ iam-ledger validate access\x1b[0m
a problem

\x1b[1m2. Second\x1b[0m
$ iam-ledger ingest access
much
said by the demo
$ iam-ledger verify
holds
"""


def lines_of(svg: Path) -> list[str]:
    """The lines of text in a picture, top to bottom."""
    rows: dict[float, list[tuple[float, str]]] = {}
    root = ElementTree.parse(svg).getroot()  # noqa: S314  # we wrote this file
    for node in root.iter("{http://www.w3.org/2000/svg}text"):
        text = unescape(node.text or "").replace("\xa0", " ")
        rows.setdefault(float(node.attrib["y"]), []).append((float(node.attrib["x"]), text))
    return [
        "".join(text for _, text in sorted(parts)).rstrip() for _, parts in sorted(rows.items())
    ]


def test_an_excerpt_keeps_what_is_asked_for_and_marks_what_is_cut() -> None:
    shown = (picture.Part(1, ("validate",)), picture.Part(2, ("verify",)))
    lines = [picture.bare(line) for line in picture.excerpt(RUN, shown).splitlines()]
    assert lines == [
        "1. First",
        "said at once",
        "$ iam-ledger validate access",
        "a problem",
        "",
        "2. Second",
        "$ iam-ledger ingest access",
        "…",
        "$ iam-ledger verify",
        "holds",
    ]


def test_a_part_that_the_demo_no_longer_has_makes_no_picture() -> None:
    with pytest.raises(picture.Astray, match="no part 3"):
        picture.excerpt(RUN, (picture.Part(3, ()),))


def test_a_drawing_says_what_was_said_and_fetches_nothing(tmp_path: Path) -> None:
    for path in picture.draw(picture.excerpt(RUN, (picture.Part(1, ("validate",)),)), tmp_path):
        assert lines_of(path) == [
            "1. First",
            "said at once",
            "$ iam-ledger validate access",
            "a problem",
        ]
        assert "@font-face" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PICTURES)
def test_the_picture_shows_commands_that_exist_and_titles_that_the_demo_has(name: str) -> None:
    file = ROOT / "docs" / "pictures" / name
    lines = lines_of(file)
    commands = [line.partition("$ iam-ledger ")[2] for line in lines if line.startswith("$ ")]
    assert len(commands) >= 5
    assert [text for text in commands if unknown_words(text)] == []
    story = (ROOT / "cli" / "demo" / "__init__.py").read_text(encoding="utf-8")
    titles = [line[3:] for line in lines if re.match(r"[1-9]\. ", line)]
    assert len(titles) == len(picture.SHOWN)
    assert [title for title in titles if re.split(r"\d", title)[0] not in story] == []


@pytest.mark.parametrize("name", PICTURES)
def test_the_picture_names_no_place_but_the_language_it_is_written_in(name: str) -> None:
    text = (ROOT / "docs" / "pictures" / name).read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[^\"' )<]+", text)) == {"http://www.w3.org/2000/svg"}
    assert "iam-ledger-demo-" not in text, "the demo's temporary folder is of no use to readers"
