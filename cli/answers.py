"""Answers about access as rows and sentences: the contract that `-o json` keeps.

Invariant: the keys of an item, their names and their order change only with
`render.SCHEMA_VERSION`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from cli.instants import shown
from cli.render import Column, plain_table, terminal_table
from cli.terminal import Terminal
from ledger.answer import At, Between, When, state_during
from ledger.codec import instant_text, kind_of
from ledger.envelope import Provenance, Recorded, subject
from ledger.events import Event, Settled
from ledger.model import Grant
from ledger.project import GrantRow
from ledger.sentences import origin, sentence, short, spoken, titled

if TYPE_CHECKING:
    from ledger.store.questions import Found

Item = dict[str, object]

ACCESS_COLUMNS = (
    Column("principal", "principal"),
    Column("account", "account"),
    Column("policy", "policy"),
    Column("until", "until", width_min=20),
    Column("state", "state", width_min=9),
)
WIDE_COLUMNS = (*ACCESS_COLUMNS, Column("declared", "declared in"))
WIDE_FROM = 120
"""Screen columns from which the source has room beside the rest."""

ITEM_KEYS = (
    "principal",
    "principal_type",
    "account_id",
    "environment",
    "team",
    "policy",
    "kind",
    "starts_at",
    "ends_at",
    "state",
    "enforcement",
    "grant_id",
    "granted_at",
    "applied_at",
    "revoked_at",
    "removed_at",
    "recorded_at",
    "source",
    "commit",
    "author",
    "approved_by",
    "pull_request",
    "ticket",
)


def text(instant: datetime | None) -> str | None:
    """For machines: RFC 3339 with `Z`, to the microsecond where there are any."""
    return None if instant is None else instant_text(instant)


def item_of(found: "Found", state: str | None) -> Item:
    """One grant as JSON says it, keys in the order of `ITEM_KEYS`."""
    row, grant, why = found.row, found.row.grant, found.provenance
    removed = row.closed if row.closed_how in ("answered", "found_absent") else None
    return {
        "principal": grant.principal.name,
        "principal_type": grant.principal.kind.value,
        "account_id": grant.account,
        "environment": grant.environment,
        "team": grant.team,
        "policy": grant.policy,
        "kind": "temporary" if grant.temporary else "permanent",
        "starts_at": text(grant.window.starts_at),
        "ends_at": text(grant.window.ends_at),
        "state": state,
        "enforcement": row.enforcement,
        "grant_id": grant.id,
        "granted_at": text(row.granted.at),
        "applied_at": text(row.applied.at if row.applied else None),
        "revoked_at": text(row.revoked.at if row.revoked else None),
        "removed_at": text(removed.at if removed else None),
        "recorded_at": text(row.granted.recorded_at),
        "source": why.source,
        "commit": why.commit,
        "author": why.author,
        "approved_by": list(why.approved_by),
        "pull_request": why.pull_request,
        "ticket": grant.ticket,
    }


def named(grant: Grant) -> str:
    """`user/ana fix in prod 111111111111`: whose access to what, where."""
    return f"{grant.principal} {grant.policy} in {grant.environment} {grant.account}"


def grant_item(grant: Grant) -> Item:
    """A grant by itself: whose access to what, where, until when."""
    return {
        "principal": grant.principal.name,
        "principal_type": grant.principal.kind.value,
        "account_id": grant.account,
        "environment": grant.environment,
        "team": grant.team,
        "policy": grant.policy,
        "ends_at": text(grant.window.ends_at),
        "grant_id": grant.id,
    }


def line_of(found: "Found", state: str | None) -> Item:
    """One grant as a table shows it."""
    row, grant = found.row, found.row.grant
    until = shown(grant.window.ends_at) if grant.temporary else "permanent"
    if grant.temporary and row.enforcement == "daemon":
        until = f"{until}, by the worker"
    if row.revoked is not None:
        until = f"revoked {shown(row.revoked.at)}"
    if state == "ending" and row.closed is not None and row.closed_how not in ("left", "settled"):
        until = f"removed {shown(row.closed.at)}"  # it went on until then, and no longer
    where = found.provenance.source or "not recorded"
    commit = found.provenance.commit
    return {
        "principal": str(grant.principal),
        "account": f"{grant.environment} {grant.account}",
        "policy": grant.policy,
        "until": until,
        "state": state,
        "declared": where if commit is None else f"{where} {short(commit)}",
    }


def event_of(recorded: Recorded) -> Item:
    """One event as JSON says it, keys in the order of `EVENT_KEYS`."""
    said = reported_of(recorded.event, recorded.provenance, recorded.position)
    said |= {
        "recorded_at": text(recorded.recorded_at),
        "replica": recorded.provenance.replica,
        "hash": recorded.hash,
    }
    return {key: said[key] for key in EVENT_KEYS}


def reported_of(event: Event, why: Provenance, position: int | None) -> Item:
    """One event as JSON says it where it may not stand in the ledger yet (`position` None)."""
    about = subject(event)
    return {
        "position": position,
        "kind": kind_of(type(event)),
        "sentence": sentence(event),
        "principal": None if about.principal is None else about.principal.name,
        "principal_type": None if about.principal is None else about.principal.kind.value,
        "account_id": about.account,
        "team": about.team,
        "policy": about.policy,
        "grant_id": about.grant,
        "turn": about.turn,
        "source": why.source,
        "commit": why.commit,
        "author": why.author,
        "merged_at": text(why.merged_at),
        "approved_by": list(why.approved_by),
        "pull_request": why.pull_request,
        "run_url": why.run_url,
    }


EVENT_KEYS = (
    "position",
    "recorded_at",
    "kind",
    "sentence",
    "principal",
    "principal_type",
    "account_id",
    "team",
    "policy",
    "grant_id",
    "turn",
    "source",
    "commit",
    "author",
    "merged_at",
    "approved_by",
    "pull_request",
    "run_url",
    "replica",
    "hash",
)


def reason(row: GrantRow, when: When, history: Sequence[Recorded] = ()) -> str:
    """Why `row` stands in an answer about `when`, in one sentence; `history`: its events."""
    state = state_during(row, when)
    trouble = f"{row.trouble.code}: {row.trouble.message}" if row.trouble is not None else ""
    since = shown(row.trouble.since.at) if row.trouble is not None else ""
    applied = shown(row.applied.at) if row.applied is not None else None
    match state:
        case None:
            kind = row.trouble.kind if row.trouble is not None else "over"
            return f"no access: {kind} since {since}: {trouble}"
        case "declared":
            return "declared and in its window; AWS has not confirmed it"
        case "confirmed":
            ends = "; only the worker ends it" if row.enforcement == "daemon" else ""
            return f"in its window, and AWS confirmed it at {applied}{ends}"
        case "ending":
            return f"due to go since {shown(row.due_at)}; AWS has not confirmed the removal"
        case "stuck":
            return f"stuck since {since}: {trouble}"
        case "left":
            return "over, and left standing because it stood before us"
        case "settled":
            words = (item.event for item in history)
            by = next((word.word.by for word in words if isinstance(word, Settled)), "a person")
            return f"over, settled by {by}, not confirmed by AWS"


def because(recorded: Recorded, *, alone: bool = False) -> str:
    """One event on one line, with where it came from.

    `alone`: only one grant is spoken of, and it was named already.
    """
    what = sentence(recorded.event) if alone else titled(recorded.event)
    said = f"#{recorded.position} {shown(recorded.recorded_at)} {what}"
    return said if spoken(recorded.event) else f"{said} [{origin(recorded.provenance)}]"


def spoken_of(when: When, as_known_at: datetime | None, position: int) -> str:
    """What an answer is about: `at …, ledger position 42`."""
    match when:
        case At(instant):
            said = f"at {shown(instant)}"
        case Between(start, end):
            said = f"between {shown(start)} and {shown(end)}"
    if as_known_at is not None:
        said += f", as known at {shown(as_known_at)}"
    return f"{said}, ledger position {position}"


def heading(when: When, as_known_at: datetime | None, position: int) -> Mapping[str, object]:
    """The same for machines."""
    return {
        "at": text(when.instant) if isinstance(when, At) else None,
        "between": [text(when.start), text(when.end)] if isinstance(when, Between) else None,
        "as_known_at": text(as_known_at),
        "position": position,
    }


def access_table(terminal: Terminal, lines: list[Item], *more: Column) -> str:
    """Grants as a table: fitted to a screen, or as wide as it needs in a pipe.

    `more`: what a question adds to each line.
    """
    if not terminal.interactive:
        return plain_table((*WIDE_COLUMNS, *more), lines)
    columns = (*(WIDE_COLUMNS if terminal.width >= WIDE_FROM else ACCESS_COLUMNS), *more)
    return terminal_table(columns, lines, width=terminal.width, color=terminal.color)


def complain_of_unknown(terminal: Terminal, unknown: tuple[str, ...], position: int) -> None:
    """Says which words of a question nobody ever wrote, so that "nobody" is not misread."""
    if position == 0:
        terminal.complain("this ledger holds no event yet: is it the right one?")
        return
    for words in unknown:
        terminal.complain(f"no grant in this ledger ever named {words}: is it spelt so?")


def counted(number: int, one: str, many: str | None = None) -> str:
    """`1 grant`, `2 grants`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
