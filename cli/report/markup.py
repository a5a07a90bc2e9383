"""HTML by elements: whatever is put in as text stays text.

Pure. Invariant: `Markup` is made here only, out of escaped text, and element and attribute names
are this program's own words. So no name, ticket or message of AWS can end an element, begin one,
turn the direction of what stands beside it, or hide a sign.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from cli import render

LONG_FROM = 240
"""Signs from which a text is folded up: whole behind its beginning, for whoever opens it."""

_VOID = {"meta", "br", "hr"}


@dataclass(frozen=True, slots=True)
class Markup:
    """HTML that is safe as it stands."""

    html: str


Child = Markup | str | Iterable["Markup | str"] | None
Attribute = str | int | bool | None


def element(name: str, /, *children: Child, **attributes: Attribute) -> Markup:
    """One element. `class_` is `class`, `aria_label` is `aria-label`; True is a bare attribute,
    None and False are none."""
    said = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Markup(f"<{name}{said}>")
    return Markup(f"<{name}{said}>{''.join(map(_html, children))}</{name}>")


def joined(*children: Child) -> Markup:
    """Several, one after another, in no element of their own."""
    return Markup("".join(map(_html, children)))


def clipped(text: str) -> Markup:
    """The beginning of somebody's words, where all of them stand elsewhere too."""
    return element("bdi", text if len(text) <= LONG_FROM else f"{text[:LONG_FROM]}…")


def words(text: str) -> Markup:
    """Somebody's words, in a direction of their own; folded up where they are long."""
    if len(text) <= LONG_FROM:
        return clipped(text)
    opened = element("summary", clipped(text))
    return element("details", opened, element("bdi", text), class_="long")


def style_sheet(css: str) -> Markup:
    """This program's own style sheet, as it stands: its hash is in the page's policy."""
    if "</" in css or "<!" in css:
        raise ValueError("this style sheet would end its element")
    return Markup(f"<style>{css}</style>")


def document(html: Markup) -> str:
    return f"<!doctype html>\n{html.html}\n"


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = key.removesuffix("_").replace("_", "-")
    if value is True:
        return f" {name}"
    return f' {name}="{escape(render.safe(str(value)), quote=True)}"'


def _html(child: Child) -> str:
    match child:
        case None:
            return ""
        case Markup():
            return child.html
        case str():
            return escape(render.safe(child), quote=False)
        case _:
            return "".join(map(_html, child))
