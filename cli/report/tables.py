"""The tables of a report: grants with their timeline, and the shorter lists beneath.

Pure. Invariant: a table has a caption, its headings say what they head, and every role is written
out, since a narrow screen shows rows as blocks and would take the roles away.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby

from cli import answers
from cli.instants import shown
from cli.report.facts import Entry, Facts
from cli.report.markup import Child, Markup, clipped, element, joined, words
from cli.report.timeline import drawing, scale, swatch
from ledger.answer import Between, state_during
from ledger.model import Grant
from ledger.sentences import origin

SIGNS = {
    "declared": "○",
    "confirmed": "●",
    "ending": "◐",
    "stuck": "✕",
    "left": "◇",
    "settled": "◆",
    "over": "–",
    "to come": "…",
}
MEANINGS = {
    "declared": "declared, not yet confirmed by AWS",
    "confirmed": "confirmed by AWS",
    "ending": "late: past its end or revoked, its removal not yet confirmed",
    "stuck": "stuck: a step fails",
    "left": "left standing, as it stood before",
    "settled": "settled by a person's word, not confirmed",
    "removed": "removal confirmed",
    "drift": "changed by somebody else",
    "repaired": "as it should be again",
}


@dataclass(frozen=True, slots=True)
class Column:
    title: str
    class_: str
    head: Child = None
    """Stands for the title."""


def instant(at: datetime | None) -> Markup | str:
    text = shown(at)
    return text if at is None else element("time", text, datetime=text)


def spoken(span: timedelta) -> str:
    """A length of time as people say it, in two units at most."""
    seconds = int(span.total_seconds())
    if seconds < 1:
        return f"{span.total_seconds():.3f} seconds"
    parts: list[str] = []
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        if seconds >= length and len(parts) < 2:
            parts.append(answers.counted(seconds // length, unit))
            seconds %= length
    return " ".join(parts)


def state(name: str) -> Markup:
    sign = element("span", SIGNS[name], class_="sign", aria_hidden="true")
    return element("span", sign, name, class_=f"state {name.replace(' ', '-')}")


def legend() -> Markup:
    items = [element("li", swatch(name), MEANINGS[name]) for name in MEANINGS]
    return element("ul", items, class_="legend")


# --- any table --------------------------------------------------------------------------------


def table(caption: Child, columns: Sequence[Column], bodies: Iterable[Markup]) -> Markup:
    heads = [
        element(
            "th",
            column.title if column.head is None else column.head,
            role="columnheader",
            scope="col",
            class_=column.class_,
        )
        for column in columns
    ]
    return element(
        "table",
        element("caption", caption),
        element("thead", element("tr", heads, role="row"), role="rowgroup"),
        *bodies,
        role="table",
    )


def row(columns: Sequence[Column], first: Child, *rest: Child) -> Markup:
    """The first cell names the row."""
    head = element("th", first, role="rowheader", scope="row", class_=columns[0].class_)
    cells = [
        element("td", cell, role="cell", class_=column.class_, data_title=column.title)
        for column, cell in zip(columns[1:], rest, strict=True)
    ]
    return element("tr", head, *cells, role="row")


def simple(caption: Child, titles: Sequence[str], rows: Iterable[Sequence[Child]]) -> Markup:
    columns = [Column(title, title.split(maxsplit=1)[0].lower()) for title in titles]
    body = [row(columns, first, *rest) for first, *rest in rows]
    return table(caption, columns, [element("tbody", body, role="rowgroup", class_="list")])


# --- grants with their timeline ---------------------------------------------------------------


def by_account(facts: Facts, entries: Sequence[Entry], about: str) -> Markup:
    """A table for each account, in their order."""
    blocks = []
    for account, some in groupby(entries, key=lambda one: one.row.grant.account):
        of_it = list(some)
        names = sorted({f"{one.row.grant.environment}" for one in of_it})
        caption = joined(
            element("span", words(", ".join(names)), class_="environment"),
            " ",
            element("span", account, class_="number"),
            element("span", f" {about}: {answers.counted(len(of_it), 'grant')}", class_="dim"),
        )
        blocks.append(table(caption, _columns(facts), (_entry(facts, one) for one in of_it)))
    return joined(blocks)


def _columns(facts: Facts) -> list[Column]:
    period = facts.question.period
    said = f"When, from {shown(period.start)} to {shown(period.end)}"
    when = element("span", said, class_="unseen")
    return [
        Column("Who", "who"),
        Column("Policy", "policy"),
        Column("When", "when", joined(when, scale(period))),
        Column("Until", "until"),
        Column("State", "state"),
    ]


def _entry(facts: Facts, one: Entry) -> Markup:
    """Two rows: what is so, and why."""
    columns, period = _columns_of_rows, facts.question.period
    grant = one.row.grant
    line = answers.line_of(one.found, one.state or state_during(one.row, period))
    first = row(
        columns,
        who(grant),
        words(grant.policy),
        drawing(one.pieces, one.marks, period),
        str(line["until"]),
        _state(facts, one),
    )
    why = element("td", _why(facts, one), role="cell", colspan=len(columns), class_="reasons")
    return element("tbody", first, element("tr", why, role="row"), role="rowgroup")


_columns_of_rows = [
    Column("Who", "who"),
    Column("Policy", "policy"),
    Column("When", "when"),
    Column("Until", "until"),
    Column("State", "state"),
]


def _state(facts: Facts, one: Entry) -> Markup:
    name: str | None = one.state
    if name is None:
        name = "to come" if one.row.access_from > facts.question.last else "over"
    drift = any(mark.kind == "drift" for mark in one.marks)
    return joined(state(name), element("span", " · drift", class_="beside") if drift else None)


def _why(facts: Facts, one: Entry) -> Markup:
    grant, provenance = one.row.grant, one.found.provenance
    told = [
        element("span", clipped(_reason(facts, one)), class_="reason"),
        element("span", clipped(origin(replace(provenance, pull_request=None))), class_="origin"),
    ]
    if grant.ticket:
        told.append(element("span", "ticket ", clipped(grant.ticket), class_="ticket"))
    if not facts.explained:
        return joined(told)
    return element("details", element("summary", told), _events(one))


def _reason(facts: Facts, one: Entry) -> str:
    """Why it stands where it stands."""
    row = one.row
    if one.state is not None:
        return answers.reason(row, facts.question.when, one.history)
    if row.access_from > facts.question.last:
        return f"begins at {shown(row.access_from)}"
    if row.closed is not None and row.closed_how in ("answered", "found_absent"):
        return f"over; its removal was confirmed at {shown(row.closed.at)}"
    return f"over since {shown(row.access_to)}"


def _events(one: Entry) -> Markup:
    grant, link = one.row.grant, _link(one.found.provenance.pull_request)
    lines = [element("li", words(answers.because(each, alone=True))) for each in one.history]
    more = element(
        "p",
        "grant ",
        element("code", grant.id),
        f", turn {grant.turn}" if grant.turn > 1 else None,
        joined(", ", words(grant.description)) if grant.description else None,
        joined(", ", link) if link is not None else None,
    )
    return element("div", more, element("ol", lines, class_="events"), class_="behind")


def _link(address: str | None) -> Markup | None:
    """A pull request to go to; what is no address on the web is told by its words alone."""
    if address is None or not address.startswith(("https://", "http://")):
        return None
    return element("a", "pull request", href=address, rel="noreferrer")


# --- shorter lists ----------------------------------------------------------------------------


def who(grant: Grant) -> Markup:
    kind, _, name = str(grant.principal).partition("/")
    return joined(element("span", f"{kind}/", class_="dim"), element("bdi", name))


def where(grant: Grant) -> Markup:
    return joined(words(grant.environment), " ", element("span", grant.account, class_="number"))


def grants(caption: str, last: str, lines: Iterable[tuple[Entry, Child]]) -> Markup:
    """Who, what, where, and one thing more."""
    rows = [
        (who(one.row.grant), words(one.row.grant.policy), where(one.row.grant), said)
        for one, said in lines
    ]
    return simple(caption, ("Who", "Policy", "Account", last), rows)


def late(one: Entry, period: Between) -> Markup:
    """How long it went on, and whether it is over."""
    pieces = one.late(period)
    first, last = pieces[0], pieces[-1]
    if last.end is None:
        return joined("due since ", instant(first.start), ", not confirmed removed")
    length = spoken(last.end - first.start)
    return joined("due ", instant(first.start), ", over ", instant(last.end), f", {length} late")
