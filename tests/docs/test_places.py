"""Every file, name and heading that a page points to is there."""

import ast
import re
from pathlib import Path

import pytest

from tests.docs.pages import Page, pages
from tests.walls.tree import ROOT

CODE = re.compile(r"`([^`\n]+)`")
OURS = re.compile(
    r"(?P<path>(?:ledger|worker|cli|migrations|tests|docs|scripts|\.ci)/[\w./-]*|"
    r"[\w-]+\.(?:md|toml|lock|py))(?::(?P<name>\w+))?\Z"
)
"""A path from the root, and perhaps a name in that module: `ledger/events.py:Granted`."""
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
IMAGE = re.compile(r"<img[^>]* src=\"([^\"]+)\"|srcset=\"([^\"]+)\"")


def names_in(module: Path) -> set[str]:
    """Every class, function and variable that is defined somewhere in a module."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                found.add(node.name)
            case ast.Name(ctx=ast.Store()):
                found.add(node.id)
    return found


def astray(page: Page) -> list[str]:
    """What the page names in code marks and is not there."""
    found = []
    for token in CODE.findall(page.prose):
        match = OURS.match(token)
        if match is None:
            continue
        path = ROOT / match["path"]
        if not path.exists():
            found.append(f"{page.path}: `{token}`: there is no such file")
        elif match["name"] and match["name"] not in names_in(path):
            found.append(f"{page.path}: `{token}`: that module defines no such name")
    return found


def slug(heading: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    kept = re.sub(r"[^\w\- ]", "", heading.strip().casefold())
    return kept.replace(" ", "-")


def dead_links(page: Page) -> list[str]:
    found = []
    images = [first or second for first, second in IMAGE.findall(page.prose)]
    for target in [*LINK.findall(page.prose), *images]:
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = (page.folder / path) if path else ROOT / page.path
        if not there.exists():
            found.append(f"{page.path}: link to {target}: there is no such file")
        elif anchor:
            headings = re.findall(r"^#+ (.+)$", there.read_text(encoding="utf-8"), re.MULTILINE)
            if anchor not in {slug(heading) for heading in headings}:
                found.append(f"{page.path}: link to {target}: there is no such heading")
    return found


def test_the_pages_name_only_files_and_names_that_exist() -> None:
    looked_at = pages()
    assert len(looked_at) > 10
    assert sum(len(CODE.findall(page.prose)) for page in looked_at) > 100
    problems = [problem for page in looked_at for problem in astray(page)]
    assert not problems, "\n".join(problems)


def test_no_link_and_no_picture_leads_nowhere() -> None:
    problems = [problem for page in pages() for problem in dead_links(page)]
    assert not problems, "\n".join(problems)


def test_every_decision_is_in_the_list_of_decisions_and_every_page_is_linked() -> None:
    everything = pages()
    linked = {
        ((page.folder / target.partition("#")[0]).resolve()).relative_to(ROOT).as_posix()
        for page in everything
        for target in LINK.findall(page.prose)
        if "://" not in target and target.partition("#")[0]
    }
    unread = {page.path for page in everything} - linked - {"README.md", "docs/decisions/README.md"}
    assert not unread, f"no page leads to {sorted(unread)}"


@pytest.mark.parametrize(
    "text",
    ["see `ledger/nothing.py`", "see `ledger/model.py:Nothing`", "see `NOTHING.md`", "`cli/none/`"],
)
def test_a_planted_name_that_leads_nowhere_is_seen(text: str) -> None:
    assert astray(Page("docs/planted.md", text))


@pytest.mark.parametrize(
    "text", ["[a](nothing.md)", "[a](limits.md#nothing)", "[a](#nothing)", '<img src="no.svg">']
)
def test_a_planted_dead_link_is_seen(text: str) -> None:
    planted = Page("docs/limits.md", f"{text}\n# Something\n")
    assert dead_links(planted)


def test_a_name_in_a_block_of_code_is_not_taken_for_a_promise() -> None:
    assert astray(Page("docs/planted.md", "```sh\ncat `ledger/nothing.py`\n```\n")) == []
