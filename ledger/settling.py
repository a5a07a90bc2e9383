"""What a person says: `retry`, it is to be tried again; `settle`, it is over; `adopt`, it is ours.

Invariant: a grant in force is never settled, nor a removal that nobody has tried, and what is
settled is never told as removed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from ledger.codec import instant_text
from ledger.envelope import Draft
from ledger.errors import NotNow
from ledger.events import Adopted, RetryRequested, Settled, Stuck, Word, ref
from ledger.naming import named_grant, spoken
from ledger.project import GrantRow, LatestKey
from ledger.store import Ledger
from ledger.store.append import append
from ledger.store.lookup import Connection
from ledger.store.reads import newest_readable


@dataclass(frozen=True, slots=True)
class Said:
    """What a person's word about a grant did."""

    position: int
    """The ledger's head after it."""
    row: GrantRow
    """As it was before."""
    done: Literal["appended", "already"]
    """`already`: a word to the same effect stood, and nothing was appended."""


async def retry(ledger: Ledger, grant: str, *, word: Word, now: datetime) -> Said:
    """Has the worker try a grant again at once, that is stuck, refused or missing.

    `grant`: its id, or a beginning of it that is unique. NotFound where there is none; NotNow where
    there is nothing to try. Nothing is appended then.
    """
    async with ledger.writing() as connection:
        row = await named_grant(connection, grant, undone="nothing was asked for")
        _check_open(row, "there is nothing to try again")
        if row.trouble is not None and row.trouble.kind == "retry":
            return Said((await append(connection, [], now=now)).head, row, "already")
        if row.trouble is None and row.applied is not None and not row.owed(now):
            raise NotNow(f"{_about(row)} is as it should be: there is nothing to try again")
        event = RetryRequested(ref(row.grant), await spoken(connection, word))
        appended = await append(connection, [Draft(event, newest_word(row))], now=now)
    return Said(appended.head, row, "appended")


async def settle(ledger: Ledger, grant: str, *, word: Word, now: datetime) -> Said:
    """Ends, by a person's word, a removal that AWS does not confirm.

    `grant` and what is raised as in `retry`; NotNow too for a grant in force, and where no step of
    it has failed: the worker may simply not have come by yet, and would never try it then.
    """
    async with ledger.writing() as connection:
        row = await named_grant(connection, grant, undone="nothing was settled")
        if row.closed is not None and row.closed_how == "settled":
            return Said((await append(connection, [], now=now)).head, row, "already")
        _check_open(row, "there is nothing to settle")
        if not row.owed(now):
            raise NotNow(
                f"{_about(row)} is in force: a person's word cannot end what AWS may still give. "
                f"Revoke it first (`iam-ledger revoke {row.grant.id}`); nothing was settled"
            )
        if not await _has_failed(connection, row):
            raise NotNow(
                f"{_about(row)} has no step that failed: a person's word is for what a worker has "
                "tried and cannot do. Let one try it (`iam-ledger worker`, or `worker --once`), or "
                "end it with the lines of `iam-ledger status`, which the worker then confirms; "
                "nothing was settled"
            )
        event = Settled(ref(row.grant), await spoken(connection, word))
        appended = await append(connection, [Draft(event, newest_word(row))], now=now)
    return Said(appended.head, row, "appended")


async def take_over(ledger: Ledger, found: Sequence[tuple[Adopted, int]], *, now: datetime) -> int:
    """Records that what somebody else made is ours; gives back the ledger's head after it.

    Each with the position of what declares it. Repeating it changes nothing.
    """
    async with ledger.writing() as connection:
        drafts = [
            Draft(replace(event, word=await spoken(connection, event.word)), cause)
            for event, cause in found
        ]
        return (await append(connection, drafts, now=now)).head


def newest_word(row: GrantRow) -> int:
    """Where the newest event that a person's word about `row` answers stands."""
    marks = (row.granted, row.revoked, row.closed, row.trouble.since if row.trouble else None)
    return max(row.written_position or 0, *(mark.position for mark in marks if mark is not None))


async def _has_failed(connection: Connection, row: GrantRow) -> bool:
    """Whether the last word on `row`, or on its whole account, is that something was not done."""
    if row.trouble is not None and row.trouble.kind == "stuck":
        return True
    account = row.grant.account
    word = (await newest_readable(connection, "stuck", account=account)).known.get(
        LatestKey("stuck", account)
    )
    return word is not None and isinstance(word.event, Stuck)


def _check_open(row: GrantRow, then: str) -> None:
    if row.closed is None:
        return
    how = {
        "answered": "was removed",
        "found_absent": "was found gone",
        "left": "was left, as it stood before us,",
        "settled": "was settled by a person's word",
    }[row.closed_how or "answered"]
    raise NotNow(f"{_about(row)} {how} at {instant_text(row.closed.at)}: {then}")


def _about(row: GrantRow) -> str:
    return f"grant {row.grant.id} ({row.grant.principal}, policy {row.grant.policy})"
