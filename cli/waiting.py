"""Waits until the worker has done what a command asked for, by watching the ledger.

Invariant: every grant waited for ends in exactly one outcome, and waiting has an end.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

import click

from cli import answers, render
from cli.exits import Exit, Stop
from cli.instants import shown
from cli.options import SpanType
from cli.session import Session
from ledger.events import Stuck
from ledger.model import AccountId, Grant, GrantId
from ledger.project import GrantRow
from worker.clock import Clock

if TYPE_CHECKING:
    from ledger.envelope import Recorded
    from ledger.store import Ledger
    from ledger.store.lookup import Connection

POLL_EVERY = timedelta(milliseconds=200)

Key = tuple[GrantId, int]
Subject = tuple[AccountId, str, str]
"""Account, team and policy that may be stuck; the two empty: the whole account."""
Goal = Literal["applied", "removed"]
Ending = Literal["applied", "removed", "left", "settled", "later", "refused", "stuck", "time over"]

with_wait = click.option(
    "--wait",
    type=SpanType(),
    metavar="SPAN",
    help="Wait so long at most for the worker; exit 1 when it does not get there.",
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How waiting for one grant ended."""

    row: GrantRow
    ending: Ending
    why: str | None = None
    rewritten: bool = False
    """Whether it stood already, and its policy's new text was waited for."""

    @property
    def failed(self) -> bool:
        return self.ending in ("refused", "stuck", "time over")

    def item(self) -> answers.Item:
        row, grant = self.row, self.row.grant
        closed = row.closed if self.ending == "removed" else None
        return answers.grant_item(grant) | {
            "outcome": self.ending.replace(" ", "_"),
            "applied_at": answers.text(row.applied.at if row.applied else None),
            "removed_at": answers.text(closed.at if closed else None),
            "why": self.why,
        }

    def line(self) -> str:
        """For people: when access began and ends, or why it did not."""
        return f"{answers.named(self.row.grant)}: {self._said()}"

    def _said(self) -> str:
        row, window = self.row, self.row.grant.window
        ends = "when it is revoked" if window.ends_at is None else f"at {shown(window.ends_at)}"
        match self.ending:
            case "applied" if self.rewritten:
                return f"has the new text of its policy, ends {ends}"
            case "removed" if row.closed is None:
                return f"ended at {shown(row.due_at)}"
            case "applied":
                began = shown(max(row.applied.at, row.access_from) if row.applied else None)
                return f"access began at {began}, ends {ends}"
            case "removed":
                return f"gone since {shown(row.closed.at if row.closed else None)}"
            case "left":
                return "over, and left standing because it stood before us"
            case "settled":
                return "over by a person's word, not confirmed by AWS"
            case "later":
                return f"starts at {shown(window.starts_at)}, ends {ends}"
            case "refused" | "stuck":
                return f"{self.ending}: {self.why}"
            case "time over":
                return f"not done yet; {self.why}"


@dataclass(frozen=True, slots=True)
class Wait:
    """What is waited for, and until when."""

    keys: Sequence[Key]
    until: datetime
    goal: Goal
    under: Mapping[Key, int] = field(default_factory=dict)
    """Grants that stood already -> where the new text of their policies stands in the ledger."""


def wait_for(
    session: Session,
    keys: Sequence[Key],
    goal: Goal,
    span: timedelta,
    output: render.Format,
    under: Mapping[Key, int] | None = None,
) -> tuple[Outcome, ...]:
    """Every outcome; people are told each as soon as it is known, `json` nothing.

    `under` as in `Wait`. Usage error for a span beyond time.
    """
    try:
        wait = Wait(keys, session.now() + span, goal, under or {})
    except OverflowError:
        raise click.UsageError("--wait reaches beyond the calendar") from None
    if keys:
        what = answers.counted(len(keys), "grant")
        until = shown(wait.until)
        session.terminal.hint(f"waiting for {what} to be {goal} by the worker, until {until}")

    async def work(ledger: "Ledger") -> tuple[Outcome, ...]:
        found = []
        async for outcome in outcomes(ledger, session.clock, wait):
            found.append(outcome)
            if output == "markdown":
                session.terminal.data(f"- {render.markdown_text(outcome.line())}")
            elif output != "json":
                session.terminal.prose(render.safe(outcome.line()))
        return tuple(found)

    try:
        return session.ask(work)
    except KeyboardInterrupt:
        raise Stop(
            Exit.INTERRUPTED,
            "interrupted while waiting; what was appended stands, and the worker goes on",
        ) from None


async def outcomes(ledger: "Ledger", clock: Clock, wait: Wait) -> AsyncIterator[Outcome]:
    """Each grant's outcome as soon as it is known; all of them by `wait.until`."""
    from ledger.store.append import read_rows
    from ledger.store.reads import newest

    left = list(dict.fromkeys(wait.keys))
    while left:
        now = clock.now()
        async with ledger.reading() as connection:
            rows = await read_rows(connection, left)
            stuck = _stuck((await newest(connection, "stuck")).values())
            heard = await _heard_of(connection) if now >= wait.until else {}
        for key in tuple(left):
            outcome = _outcome(rows[key], stuck, wait, now)
            if outcome is None and now >= wait.until:
                outcome = Outcome(rows[key], "time over", _why_late(rows[key].grant, heard))
            if outcome is not None:
                left.remove(key)
                yield outcome
        if left:
            await clock.sleep_until(min(now + POLL_EVERY, wait.until))


def _outcome(
    row: GrantRow, stuck: Mapping[Subject, str], wait: Wait, now: datetime
) -> Outcome | None:
    """How it ended; None: not yet."""
    if row.closed is not None and wait.goal == "removed":
        how = row.closed_how
        return Outcome(row, how if how in ("left", "settled") else "removed")
    if row.key in wait.under:
        if row.closed is not None or row.revoked is not None or row.grant.window.over(now):
            return Outcome(row, "removed")
        if (row.policy_position or 0) < wait.under[row.key]:
            return _hindered(row, stuck, ("stuck", "missing"))
        if row.trouble is None and row.applied is not None:
            return Outcome(row, "applied", rewritten=True)
    if wait.goal == "applied":
        if row.trouble is not None and row.trouble.kind == "refused":
            return Outcome(row, "refused", f"{row.trouble.code}: {row.trouble.message}")
        if row.applied is not None:
            return Outcome(row, "applied")
        if row.closed is not None or row.revoked is not None or row.grant.window.over(now):
            return Outcome(row, "stuck", "it is over already, and was never applied")
        if row.grant.window.starts_at > wait.until:
            return Outcome(row, "later")
    return _hindered(row, stuck, ("stuck",))


def _hindered(
    row: GrantRow, stuck: Mapping[Subject, str], kinds: tuple[str, ...]
) -> Outcome | None:
    """What keeps it from being written, itself or what it hangs on; None: nothing that is known."""
    if row.trouble is not None and row.trouble.kind in kinds:
        return Outcome(row, "stuck", f"{row.trouble.code}: {row.trouble.message}")
    why = next((stuck[subject] for subject in _subjects(row.grant) if subject in stuck), None)
    return None if why is None else Outcome(row, "stuck", why)


def _stuck(found: "Iterable[Recorded]") -> dict[Subject, str]:
    """Why accounts and policies do not get done."""
    events = [item.event for item in found if isinstance(item.event, Stuck)]
    return {
        (event.account, event.team or "", event.policy or ""): f"its "
        f"{'policy' if event.policy else 'account'}: {event.code}: {event.message}"
        for event in events
    }


def _subjects(grant: Grant) -> tuple[Subject, ...]:
    """What else must get done for `grant`: permanent access hangs on its policy's object too."""
    account = (grant.account, "", "")
    return (account,) if grant.temporary else (account, (grant.account, grant.team, grant.policy))


async def _heard_of(connection: "Connection") -> dict[AccountId, datetime | None]:
    from ledger.store.standing import read_accounts

    return {one.account: one.heartbeat_at for one in await read_accounts(connection)}


def _why_late(grant: Grant, heard: Mapping[AccountId, datetime | None]) -> str:
    heartbeat_at = heard.get(grant.account)
    if heartbeat_at is None:
        return "no worker has ever kept its account: run `iam-ledger worker`"
    return f"its worker was heard of last at {shown(heartbeat_at)}; `iam-ledger status` tells more"
