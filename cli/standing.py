"""What `status` says, as values: which grants are exposed, overdue, stuck, and why.

Pure. Invariant: every grant that is owed a removal is in `overdue`; whichever may still give access
by itself is in `exposed` too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from cli import answers, render
from cli.instants import shown
from ledger.answer import exposed, state_of
from ledger.events import Settled, Stuck, Word
from ledger.project import GrantRow

if TYPE_CHECKING:
    from cli.by_hand import Ending
    from ledger.envelope import Recorded
    from ledger.state import Unreadable
    from ledger.store.questions import Found
    from ledger.store.standing import AccountStatus, Standing

_CAUSES = {
    "removed": "revoked, its line was taken out",
    "replaced": "revoked, another grant takes its place",
    "operator": "revoked by an operator",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """One grant that should be gone."""

    found: "Found"
    title: str
    since: datetime
    cause: str
    last_error: str | None
    next_try: datetime | None
    ending: "Ending"
    state: str | None

    @property
    def by_hand(self) -> tuple[str, ...]:
        return self.ending.lines

    @property
    def beside(self) -> tuple[str, ...]:
        return self.ending.beside

    def item(self) -> answers.Item:
        return answers.item_of(self.found, self.state) | {
            "since": answers.text(self.since),
            "cause": self.cause,
            "last_error": self.last_error,
            "next_try": answers.text(self.next_try),
            "by_hand": list(self.by_hand),
            "beside": list(self.beside),
        }

    def line(self) -> str:
        """Of one that exposes nobody."""
        return f"{self.title}: since {shown(self.since)}, {self.cause}; {self._harmless()}"

    def _harmless(self) -> str:
        trouble = self.found.row.trouble
        if trouble is not None and trouble.kind in ("missing", "refused"):
            return f"{trouble.kind}, so nothing of it stands: {trouble.message}"
        if self.ending.nothing:
            return "; ".join(self.beside)
        return "denied by AWS already"


@dataclass(frozen=True, slots=True)
class ByWord:
    """One grant whose removal a person has ended, and AWS never confirmed."""

    found: "Found"
    since: datetime
    word: Word
    ending: "Ending"

    def item(self) -> answers.Item:
        return answers.item_of(self.found, "settled") | {
            "since": answers.text(self.since),
            "by": self.word.by,
            "reason": self.word.reason,
            "by_hand": list(self.ending.lines),
            "beside": list(self.ending.beside),
        }

    def text(self) -> str:
        said = f"by {self.word.by}: {self.word.reason}"
        lines = [f"{_title(self.found.row)}: since {shown(self.since)}, {said}"]
        lines += [f"    {line}" for line in (*self.ending.lines, *self.ending.beside)]
        return "\n".join(render.safe(line) for line in lines)


@dataclass(frozen=True, slots=True)
class Report:
    """All of `status`."""

    now: datetime
    standing: "Standing"
    exposed: tuple[Shown, ...]
    overdue: tuple[Shown, ...]
    """Owed a removal, the exposed ones among them."""
    settled: tuple[ByWord, ...]
    """Over by a person's word, and not denied by AWS."""
    troubled: Mapping[str, tuple["Found", ...]]
    """By kind: grants that are stuck, refused or missing; and those of class `daemon`."""

    def document(self) -> dict[str, object]:
        """The contract of `-o json`."""
        head = self.standing.head
        return {
            "schema_version": render.SCHEMA_VERSION,
            "at": answers.text(self.now),
            "head_position": head.position,
            "head_hash": head.hash,
            "head_recorded_at": answers.text(head.recorded_at),
            "exposed": [one.item() for one in self.exposed],
            "overdue": [one.item() for one in self.overdue],
            "stuck": [self._trouble(found) for found in self.troubled["stuck"]]
            + [_stuck_item(recorded) for recorded in self.standing.stuck],
            "refused": [self._trouble(found) for found in self.troubled["refused"]],
            "missing": [self._trouble(found) for found in self.troubled["missing"]],
            "daemon": [self._plain(found) for found in self.troubled["daemon"]],
            "left": [self._plain(found) for found in self.standing.left],
            "settled": [one.item() for one in self.settled],
            "held": [answers.event_of(recorded) for recorded in self.standing.held],
            "drift": [answers.event_of(recorded) for recorded in self.standing.drift],
            "unreadable": [_unreadable_item(item) for item in self.standing.unreadable],
            "accounts": [_account_item(account) for account in self.standing.accounts],
            "replicas": [
                {
                    "replica": one.name,
                    "shards": one.shards,
                    "heartbeat_at": answers.text(one.seen_at),
                }
                for one in self.standing.replicas
            ],
        }

    def lines(self, name: str) -> list[str]:
        """One part of it for people, without what the exposed ones have said already."""
        said = {one.found.row.key for one in self.exposed}
        match name:
            case "overdue":
                lines = [one.line() for one in self.overdue if one.found.row.key not in said]
            case "stuck":
                lines = [_trouble_line(found) for found in self.troubled["stuck"]]
                lines += [answers.because(recorded) for recorded in self.standing.stuck]
            case "refused" | "missing":
                lines = [_trouble_line(found) for found in self.troubled[name]]
            case "daemon":
                lines = [_with_end(found.row) for found in self.troubled["daemon"]]
            case "left":
                lines = [_title(found.row) for found in self.standing.left]
            case "settled":
                return [one.text() for one in self.settled]
            case "held":
                lines = [answers.because(recorded) for recorded in self.standing.held]
            case "unreadable":
                lines = [item.message for item in self.standing.unreadable]
            case "drift":
                lines = [answers.because(recorded) for recorded in self.standing.drift]
            case _:
                raise ValueError(f"status has no part {name!r}")
        return [render.safe(line) for line in lines]

    def _plain(self, found: "Found") -> answers.Item:
        return answers.item_of(found, state_of(found.row, self.now))

    def _trouble(self, found: "Found") -> answers.Item:
        trouble = found.row.trouble
        if trouble is None:
            raise ValueError("this grant is in no trouble")
        return self._plain(found) | {
            "since": answers.text(trouble.since.at),
            "code": trouble.code,
            "message": trouble.message,
        }


def report_of(standing: "Standing", now: datetime) -> Report:
    """What stands wrong at `now`, the longest overdue first."""
    owed = sorted(
        (found for found in standing.open if found.row.owed(now)),
        key=lambda found: (found.row.due_at or now, found.row.granted.position),
    )
    shown_of = {found.row.key: _shown(found, standing, now) for found in owed}
    troubled = {
        kind: tuple(
            found
            for found in standing.open
            if found.row.trouble is not None and found.row.trouble.kind == kind
        )
        for kind in ("stuck", "refused", "missing")
    }
    troubled["daemon"] = tuple(
        found
        for found in standing.open
        if found.row.enforcement == "daemon"
        and found not in (*troubled["refused"], *troubled["missing"])
    )
    return Report(
        now=now,
        standing=standing,
        exposed=tuple(
            one
            for one in shown_of.values()
            if exposed(one.found.row, now) and not one.ending.nothing
        ),
        overdue=tuple(shown_of.values()),
        settled=tuple(
            _by_word(found, recorded, standing, now) for found, recorded in standing.settled
        ),
        troubled=troubled,
    )


def _shown(found: "Found", standing: "Standing", now: datetime) -> Shown:
    row, grant = found.row, found.row.grant
    kept = next((one for one in standing.accounts if one.account == grant.account), None)
    if row.revoked is not None and row.revoked.at == row.due_at:
        cause = _CAUSES[row.revoked_cause or "removed"]
    else:
        cause = "its end has come"
    return Shown(
        found=found,
        title=_title(row),
        since=row.due_at or now,
        cause=cause,
        last_error=_last_error(row, standing.stuck, kept),
        next_try=kept.next_try_at if kept is not None else None,
        ending=_ending(row, standing, now),
        state=state_of(row, now),
    )


def _by_word(found: "Found", recorded: "Recorded", standing: "Standing", now: datetime) -> ByWord:
    event = recorded.event
    if not isinstance(event, Settled):
        raise TypeError(f"position {recorded.position} settles nothing")
    return ByWord(found, recorded.recorded_at, event.word, _ending(found.row, standing, now))


def _ending(row: GrantRow, standing: "Standing", now: datetime) -> "Ending":
    from cli.by_hand import (
        ending_of,
    )  # most often nothing is owed, and the worker's code not loaded

    return ending_of(
        row,
        standing.views.get(row.grant.account),
        standing.policies.get((row.grant.team, row.grant.policy)),
        standing.policy_path,
        now,
    )


def _last_error(
    row: GrantRow, stuck: "Sequence[Recorded]", kept: "AccountStatus | None"
) -> str | None:
    """The nearest cause: of the grant, of its account, of the account's last pass."""
    if row.trouble is not None:
        return f"{row.trouble.code}: {row.trouble.message}"
    for recorded in stuck:
        event = recorded.event
        if isinstance(event, Stuck) and event.account == row.grant.account and not event.policy:
            return f"{event.code}: {event.message}"
    return None if kept is None else kept.last_error


def _title(row: GrantRow) -> str:
    return f"{answers.named(row.grant)} (grant {row.grant.id})"


def _with_end(row: GrantRow) -> str:
    end = row.grant.window.ends_at
    return _title(row) if end is None else f"{_title(row)} to {shown(end)}"


def _trouble_line(found: "Found") -> str:
    trouble = found.row.trouble
    said = "" if trouble is None else f": {trouble.code}: {trouble.message}"
    since = "" if trouble is None else f" since {shown(trouble.since.at)}"
    return f"{_title(found.row)}{since}{said}"


def _stuck_item(recorded: "Recorded") -> answers.Item:
    """What is stuck about an account or a policy, with the keys of a stuck grant."""
    event = recorded.event
    if not isinstance(event, Stuck):
        raise TypeError(f"position {recorded.position} is not stuck")
    empty: answers.Item = dict.fromkeys(answers.ITEM_KEYS)
    return empty | {
        "account_id": event.account,
        "team": event.team,
        "policy": event.policy,
        "approved_by": [],
        "recorded_at": answers.text(recorded.recorded_at),
        "since": answers.text(recorded.recorded_at),
        "code": event.code,
        "message": event.message,
    }


def _unreadable_item(item: "Unreadable") -> answers.Item:
    subject = item.subject
    return {
        "position": item.position or None,
        "subject": None if subject is None else str(subject),
        "message": item.message,
    }


def _account_item(account: "AccountStatus") -> answers.Item:
    return {
        "account_id": account.account,
        "environments": list(account.environments),
        "replica": account.replica,
        "heartbeat_at": answers.text(account.heartbeat_at),
        "last_pass_at": answers.text(account.last_pass_at),
        "last_error": account.last_error,
        "next_try_at": answers.text(account.next_try_at),
    }
