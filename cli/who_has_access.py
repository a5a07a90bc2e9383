"""`who-has-access`: the audit's question, from the ledger alone.

Invariant: no AWS call and no daemon; what it lists is whoever may have access, never less.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

import click

from cli import answers, render
from cli.exits import Exit
from cli.filters import Asked, filter_of
from cli.instants import Moment
from cli.options import MomentType, speaking, with_database, with_filters, with_output
from cli.session import Session
from cli.when import when_of
from ledger.answer import When, state_during
from ledger.permits import Asked as Permission

if TYPE_CHECKING:
    from ledger.envelope import Recorded
    from ledger.model import GrantId
    from ledger.store import Ledger
    from ledger.store.permissions import Permitted
    from ledger.store.questions import Found, WhoHasAccess

Histories = dict[tuple["GrantId", int], list["Recorded"]]


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked."""

    asked: Asked
    when: When
    as_known_at: datetime | None
    because: bool
    permission: Permission | None = None
    """What they could do with it; None: whatever it is."""

    @property
    def words(self) -> str:
        if self.permission is None:
            return "has access"
        where = self.permission.resource or "some resource"
        return f"could do {self.permission.action} on {where}"


@dataclass(frozen=True, slots=True)
class Answer:
    found: "WhoHasAccess"
    histories: Histories
    unknown: tuple[str, ...]
    permitted: "Mapping[tuple[GrantId, int], Permitted]" = field(default_factory=dict)
    """Of each grant found, where an action was asked about."""


@click.command("who-has-access")
@with_filters
@click.option("--at", type=MomentType(), metavar="T", help="Then; a date is that whole UTC day.")
@click.option(
    "--between", type=MomentType(), nargs=2, metavar="A B", help="At any time from A up to B."
)
@click.option("--as-known-at", type=MomentType(), metavar="K", help="By what the ledger held at K.")
@click.option("--action", metavar="ACTION", help="Who could do that, as s3:PutObject.")
@click.option("--resource", metavar="ARN", help="With --action: on that; else on any resource.")
@click.option("--because", is_flag=True, help="With the events behind each, and who was refused.")
@click.option("--exit-code", is_flag=True, help="Exit 2 when somebody has access.")
@with_output("table", "json", "ndjson", "csv", "markdown")
@with_database
@speaking
@click.pass_obj
def command(
    session: Session,
    account: str | None,
    environment: str | None,
    team: str | None,
    principal: str | None,
    policy: str | None,
    at: Moment | None,
    between: tuple[Moment, Moment] | None,
    as_known_at: Moment | None,
    action: str | None,
    resource: str | None,
    because: bool,
    exit_code: bool,
    output: render.Format,
) -> int:
    """Who may have access now, at T, or between A and B, and since when, until when, and why.

    Listed is whoever may have it: also what is over and not yet confirmed removed. By what the
    ledger knows now, or knew at K (then T is K unless it is given).
    """
    known_at = None if as_known_at is None else as_known_at.last
    question = Question(
        Asked(account, environment, team, principal, policy),
        when_of(session.now(), at, between, known_at),
        known_at,
        because,
        _permission(action, resource),
    )
    answer = session.ask(lambda ledger: _answer(ledger, question))
    _print(session, question, answer, output)
    return Exit.FOUND if exit_code and answer.found.access else Exit.DONE


def _permission(action: str | None, resource: str | None) -> Permission | None:
    if action is None:
        if resource is not None:
            raise click.UsageError("--resource says on what; give --action too")
        return None
    try:
        return Permission(action, resource)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


async def _answer(ledger: "Ledger", question: Question) -> Answer:
    from ledger.store import questions

    async with ledger.reading() as connection:
        keep = await filter_of(connection, question.asked)
        found = await questions.who_has_access(
            connection,
            keep=keep,
            when=question.when,
            as_known_at=question.as_known_at,
            denied=question.because,
        )
        permitted: dict[tuple[GrantId, int], Permitted] = {}
        if question.permission is not None:
            from ledger.store.permissions import permitted as permitted_by

            kept = await permitted_by(connection, found, question.when, question.permission)
            permitted = {one.found.row.key: one for one in kept}
            found = replace(found, access=tuple(one.found for one in kept), denied=())
        histories: Histories = {}
        if question.because:
            keys = [item.row.key for item in (*found.access, *found.denied)]
            histories = await questions.events_of(connection, keys, upto=found.position)
        unknown: tuple[str, ...] = ()
        if not found.access:
            unknown = await questions.unknown_words(connection, keep)
    return Answer(found, histories, unknown, permitted)


# --- saying it --------------------------------------------------------------------------------


def _print(session: Session, question: Question, answer: Answer, output: render.Format) -> None:
    terminal, found = session.terminal, answer.found
    spoken = answers.spoken_of(question.when, question.as_known_at, found.position)
    if output == "json":
        terminal.data(render.json_text(_document(question, answer)))
    elif output == "ndjson":
        terminal.data(render.ndjson_text(_items(question, answer)))
    elif output == "csv":
        more = () if question.permission is None else _PERMITS_KEYS
        terminal.data(render.csv_text((*answers.ITEM_KEYS, *more), _items(question, answer)))
    elif found.access or found.denied:
        terminal.prose(_text(session, question, answer, output, spoken))
    if not found.access:
        terminal.complain(f"nobody {question.words} {spoken}")
    elif output in ("ndjson", "csv"):
        terminal.hint(f"who {question.words} {spoken}")
    if question.permission is not None:
        terminal.hint(f"not in this answer: {'; '.join(_not_in_answer())}")
    answers.complain_of_unknown(terminal, answer.unknown, found.position)


_PERMITS_KEYS = ("permits", "unread")


def _not_in_answer() -> tuple[str, ...]:
    from ledger.store.permissions import NOT_IN_ANSWER

    return NOT_IN_ANSWER


def _items(question: Question, answer: Answer) -> list[answers.Item]:
    items = []
    for found in answer.found.access:
        item = answers.item_of(found, state_during(found.row, question.when))
        permitted = answer.permitted.get(found.row.key)
        if permitted is not None:
            item |= {"permits": permitted.permits, "unread": list(permitted.unread)}
        if question.because:
            item |= _because(question, answer, found)
        items.append(item)
    return items


def _because(question: Question, answer: Answer, found: "Found") -> answers.Item:
    events = answer.histories.get(found.row.key, [])
    reason = answers.reason(found.row, question.when, events)
    return {"reason": reason, "because": [answers.event_of(event) for event in events]}


def _document(question: Question, answer: Answer) -> dict[str, object]:
    document: dict[str, object] = {
        "schema_version": render.SCHEMA_VERSION,
        **answers.heading(question.when, question.as_known_at, answer.found.position),
        "access": _items(question, answer),
    }
    if question.permission is not None:
        document["action"] = question.permission.action
        document["resource"] = question.permission.resource
        document["not_in_answer"] = list(_not_in_answer())
    if question.because:
        document["no_access"] = [
            answers.item_of(found, None) | _because(question, answer, found)
            for found in answer.found.denied
        ]
    return document


def _text(
    session: Session, question: Question, answer: Answer, output: render.Format, spoken: str
) -> str:
    terminal, found = session.terminal, answer.found
    lines = [answers.line_of(item, state_during(item.row, question.when)) for item in found.access]
    more: tuple[render.Column, ...] = ()
    if question.permission is not None:
        more = (render.Column("permits", "permits", width_min=7),)
        for line, item in zip(lines, found.access, strict=True):
            line["permits"] = answer.permitted[item.row.key].permits
    title = f"who {question.words} {spoken}: {answers.counted(len(lines), 'grant')}"
    if output == "markdown":
        body = render.markdown_table((*answers.WIDE_COLUMNS, *more), lines)
        return f"{render.markdown_text(title)}\n\n{body}" + _reasons(question, answer, "- ")
    table = answers.access_table(terminal, lines, *more)
    return f"{title}\n\n{table}" + _reasons(question, answer, "  ")


def _reasons(question: Question, answer: Answer, indent: str) -> str:
    """The events behind each grant, and behind each that gives no access."""
    if not question.because:
        return ""
    blocks = []
    for item in (*answer.found.access, *answer.found.denied):
        events = answer.histories.get(item.row.key, [])
        said = answers.reason(item.row, question.when, events)
        head = f"{answers.named(item.row.grant)} (grant {item.row.grant.id}): {said}"
        lines = [head, *(f"{indent}{answers.because(event, alone=True)}" for event in events)]
        blocks.append("\n".join(render.safe(line) for line in lines))
    return "\n" + "\n\n".join(blocks) + "\n"
