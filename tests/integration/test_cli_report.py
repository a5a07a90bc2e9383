"""`report` as people run it: what the page says, that it stands alone, and what it leaves alone."""

import asyncio
import base64
import hashlib
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL

from cli.render import safe
from cli.report import facts
from cli.report.page import NOT_IN_IT
from tests.support.audited import HOSTILE, TODAY, day, hostile, month
from tests.support.commands import Ran, Shell, StillClock
from tests.support.histories import Story, after, append_all, grant

VOID = {"meta", "br", "hr"}


class Page(HTMLParser):
    """A page as a reader takes it in: its parts by heading, its rows, its words."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.part = ""
        self.words: dict[str, str] = {"": ""}
        self.rows: dict[str, list[str]] = {}
        self.style = ""
        self.feed(html)
        self.close()
        assert self.open == [], "an element was not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        self.tags.append((tag, known))
        if tag == "section":
            self.part = str(known["id"])
            self.words[self.part], self.rows[self.part] = "", []
        if tag == "tr" and "tbody" in self.open:
            self.rows[self.part].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag in ("td", "th", "dt", "dd", "li", "p") and self.rows.get(self.part):
            self.rows[self.part][-1] += " "

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            self.style += data
            return
        self.words[self.part] += data
        if "tr" in self.open and "tbody" in self.open:
            self.rows[self.part][-1] += data

    def who(self, part: str) -> list[str]:
        return [row.split()[0] for row in self.rows[part] if re.match(r"(user|role|group)/", row)]

    @property
    def all(self) -> str:
        return " ".join(self.words.values())

    def attributes(self, name: str) -> list[str]:
        return [str(known[name]) for _, known in self.tags if name in known]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> URL:
    return month().write(tmp_path_factory.mktemp("month"))


@pytest.fixture
def shell(url: URL) -> Shell:
    return Shell(url, StillClock(TODAY))


def page(shell: Shell, *arguments: object) -> Page:
    ran = shell.run("report", "-", *arguments)
    assert ran.code == 0, ran.err
    return Page(ran.out)


# --- what it says -------------------------------------------------------------------------------


def test_it_lists_whoever_who_has_access_lists(shell: Shell) -> None:
    asked: list[tuple[str, ...]] = [
        (),
        ("--account", "333333333333"),
        ("--principal", "ana"),
        ("--at", "2026-03-12T13:00Z"),
        ("--between", "2026-03-01", "2026-03-31"),
        ("--as-known-at", "2026-03-18T12:01Z"),
    ]
    for question in asked:
        answer = shell.run("who-has-access", "-o", "json", *question).json["access"]
        listed = [f"{one['principal_type']}/{one['principal']}" for one in answer]
        found = page(shell, *question)
        assert found.who("access") == listed, question
        rows = [row for row in found.rows["access"] if re.match(r"(user|role|group)/", row)]
        for one, row in zip(answer, rows, strict=True):
            assert one["policy"] in row
            assert one["state"] in row
    assert len(page(shell).who("access")) == 14


def test_each_part_tells_what_it_is_for(shell: Shell) -> None:
    found = page(shell)
    assert found.who("around") == [
        *("user/ana", "user/ana", "user/ben", "user/chloe", "user/eve", "user/fay", "user/hal"),
    ]
    assert next(row for row in found.rows["around"] if "to come" in row).startswith("user/eve")
    assert found.who("ending") == ["user/ben", "user/ana", "user/gus", "user/eve", "user/dora"]
    assert found.who("exposed") == ["user/dora"]
    assert "AccessDenied: not allowed to do it" in found.rows["exposed"][0]
    late = {row.split()[0]: row for row in found.rows["late"]}
    assert "2 days late" in late["user/hal"]
    assert "9 hours late" in late["user/fay"]
    assert "not confirmed removed" in late["user/dora"]
    assert "user/gus" not in late, "its end is yet to come"
    assert found.who("trouble") == ["user/dora", "user/ivy"]
    assert found.who("daemon") == ["user/dora", "user/gus"]
    assert found.who("words") == ["user/kim", "user/lea"]
    assert "settled by olga" in found.words["words"]
    assert "altered since 2026-03-16T12:00:00Z" in found.words["drift"]
    assert "put right" in found.words["drift"]
    assert "payments/prod" in found.words["accounts"]


def test_ending_soon_is_what_expiring_says(shell: Shell) -> None:
    for span in ("1d", "36h", "7d", "30d"):
        answer = shell.run("expiring", "--within", span, "-o", "json").json["access"]
        listed = [f"{one['principal_type']}/{one['principal']}" for one in answer]
        assert page(shell, "--within", span).who("ending") == listed, span


def test_exposed_is_what_status_says(shell: Shell) -> None:
    exposed = shell.run("status", "-o", "json").json["exposed"]
    assert page(shell).who("exposed") == [f"user/{one['principal']}" for one in exposed]
    assert page(shell, "--principal", "ana").who("exposed") == []


def test_a_part_with_nothing_in_it_says_so(shell: Shell) -> None:
    found = page(shell, "--principal", "role/deploy")
    for part in ("exposed", "ending", "late", "trouble", "daemon", "words", "drift"):
        assert found.rows[part] == []
        assert re.search(r"Noth|Nobody", found.words[part]), part


def test_it_says_what_it_speaks_of_and_how_it_was_made(shell: Shell) -> None:
    head = shell.run("status", "-o", "json").json
    found = page(shell, "--team", "payments")
    assert "at 2026-03-28T14:15:00Z, ledger position 63" in found.words[""]
    assert "Only team payments" in found.words[""]
    made = found.words["made"]
    for said in (head["head_hash"], "63", "2026-03-28T14:15:00Z", "none was signed"):
        assert said in made
    assert "iam-ledger report - --team payments --at 2026-03-28T14:15:00Z" in made
    for said in NOT_IN_IT:
        assert said in found.words["limits"]


def test_the_past_is_told_without_how_it_stands_now(shell: Shell) -> None:
    found = page(shell, "--as-known-at", "2026-03-14T12:00Z")
    assert {"exposed", "accounts"} & found.words.keys() == set()
    assert "as known at 2026-03-14T12:00:00Z" in found.words[""]
    assert "user/dora" not in found.all


def test_what_was_known_then_is_told_alike_for_ever(tmp_path: Path) -> None:
    url = month().write(tmp_path)
    ask = ("--at", "2026-03-20", "--as-known-at", "2026-03-28T14:15Z")
    before = Shell(url, StillClock(TODAY)).run("report", "-", *ask)
    one = grant("zzzz2222zzzz3333", "user/zoe", ends=day(40))
    asyncio.run(append_all(url, Story().granted(one, day(30)).drafts))
    later = Shell(url, StillClock(TODAY)).run("report", "-", *ask)
    assert later.out == before.out
    assert "user/</span><bdi>zoe" in Shell(url, StillClock(day(31))).run("report", "-").out


def test_each_grant_opens_to_its_events_and_their_origin(shell: Shell) -> None:
    found = page(shell, "--principal", "user/jon")
    row = found.rows["access"][1]
    for said in (
        "granted look to user/jon",
        "permanent-access/payments.yaml",
        "approved by carol, dan",
        "applied, AWS confirmed",
        "drift: attachment user/jon",
        "by worker worker-1",
    ):
        assert said in row
    assert "https://example.com/pull/59" in found.attributes("href")


def test_words_nobody_ever_wrote_are_named_on_the_page_too(shell: Shell) -> None:
    ran = shell.run("report", "-", "--team", "paymnets")
    assert ran.code == 0
    assert "no grant in this ledger ever named team `paymnets`: is it spelt so?" in ran.err
    assert "team `paymnets`" in Page(ran.out).words[""]
    assert "Nobody has access" in Page(ran.out).words["access"]


def test_an_empty_ledger_makes_a_page_that_says_so(ledger_url: URL) -> None:
    ran = Shell(ledger_url).run("report", "-")
    assert ran.code == 0, ran.err
    assert "this ledger holds no event yet" in ran.err
    assert "ledger position 0" in Page(ran.out).words[""]


# --- that it stands alone -----------------------------------------------------------------------


def test_it_fetches_nothing_runs_nothing_and_its_policy_forbids_both(shell: Shell) -> None:
    found = page(shell)
    tags = {tag for tag, _ in found.tags}
    assert not tags & {"script", "img", "link", "iframe", "object", "embed", "form", "base"}
    assert found.attributes("style") == []
    names = {name for _, known in found.tags for name in known}
    assert [name for name in names if name.startswith("on")] == []
    assert not re.search(r"url\((?!#)|@import|expression", found.style)
    policy = next(
        str(known["content"]) for _, known in found.tags if known.get("http-equiv") is not None
    )
    digest = base64.b64encode(hashlib.sha256(found.style.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    assert all(a.startswith(("#", "https://example.com/")) for a in found.attributes("href"))


def test_no_text_of_others_becomes_anything_but_text(tmp_path: Path) -> None:
    shell = Shell(hostile().write(tmp_path), StillClock(after(2)))
    ran = shell.run("report", "-")
    assert ran.code == 0, ran.err
    found = Page(ran.out)
    assert not {tag for tag, _ in found.tags} & {"script", "img", "b"}
    assert found.attributes("onerror") == []
    assert [a for a in found.attributes("href") if "javascript" in a] == []
    for text in HOSTILE:
        assert safe(text) in found.all
    assert not set(ran.out) & set("\u202e\u2066\u200f")


def test_too_many_grants_for_one_page_are_refused_and_many_go_without_events(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(facts, "EXPLAINED_MAX", 10)
    ran = shell.run("report", "-")
    assert "the events behind each are left out" in ran.out
    assert "<details>" not in ran.out
    assert len(Page(ran.out).who("access")) == 14
    monkeypatch.setattr(facts, "GRANTS_MAX", 10)
    file = tmp_path / "report.html"
    ran = shell.run("report", file)
    assert ran.code == 1
    assert "ask for less" in ran.err
    assert not file.exists()


# --- the file -----------------------------------------------------------------------------------


def test_the_file_is_a_page_and_an_earlier_report_is_replaced(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    for _ in range(2):
        ran = shell.run("report", file)
        assert (ran.code, ran.out) == (0, "")
        assert ran.err.startswith(f"{file}: who has access at 2026-03-28T14:15:00Z, ledger pos")
        assert "14 grants" in ran.err
    assert Page(file.read_text(encoding="utf-8")).who("exposed") == ["user/dora"]
    assert os.listdir(tmp_path) == ["report.html"]


def test_what_is_no_report_is_never_overwritten(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "payments.yaml"
    file.write_text("permanent-access: []\n")
    ran = shell.run("report", file)
    assert ran.code == 1
    assert "is no report, so it was left as it is" in ran.err
    assert file.read_text() == "permanent-access: []\n"


def refused(ran: Ran, code: int, said: str) -> None:
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err


def test_what_cannot_be_written_or_meant_is_said(shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    refused(shell.run("report", folder), 1, "Is a directory")
    refused(shell.run("report", tmp_path / "no" / "r.html"), 1, "the report was not written")
    refused(shell.run("report"), 64, "FILE")
    both: tuple[Any, ...] = ("--at", "now", "--between", "2026-03-01", "2026-03-02")
    refused(shell.run("report", "-", *both), 64, "not both")
    late = ("--at", "9990-01-01T00:00Z", "--within", "999999d")
    refused(shell.run("report", "-", *late), 64, "beyond the calendar")
    refused(shell.run("report", "-", "--at", "0001-01-02T00:00Z"), 64, "give --between")
    nowhere = f"sqlite+aiosqlite:///{tmp_path}/no.db"
    refused(Shell(variables={"IAM_LEDGER_DATABASE_URL": nowhere}).run("report", "-"), 78, "no.db")
