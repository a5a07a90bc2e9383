"""What a rename does to a `duration`: a new grant whose clock starts anew, and people are told.

Invariant: notes only. An identity is by name, so that under another team's or environment's name a
line is a new grant, whatever it resembles.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from ledger.codec import instant_text
from ledger.decide.decision import Note, named
from ledger.decide.windows import Resolved
from ledger.manifest.declared import DeclaredGrant, Lasts, Manifest
from ledger.manifest.identity import Meaning, grant_id
from ledger.model import Grant
from ledger.project import GrantRow

_Likeness = tuple[str, str, str | None]
"""Principal's key, policy, ticket: what a rename leaves as it was."""


def repeats(
    wanted: Sequence[Resolved], ended: Iterable[GrantRow], manifest: Manifest, now: datetime
) -> Iterator[Note]:
    """New lines that look like a spent one under another name; of several, the newest is told."""
    declared_ids = {grant.id for grant in manifest.grants}
    spent = _by_likeness(
        row
        for row in ended
        if row.grant.id not in declared_ids
        and row.declared_end is not None
        and row.declared_end <= now
    )
    for item in wanted:
        declared = item.declared
        alike = [row for row in spent[_likeness(declared)] if _repeats(item, row)]
        newest = max(alike, key=lambda row: row.granted.position, default=None)
        if newest is None or newest.declared_end is None:
            continue
        old = newest.grant
        message = (
            f"{named(declared)} repeats a spent grant of the same length: {old.id} of team "
            f"{old.team} in {old.environment}, over since {instant_text(newest.declared_end)}. It "
            "is granted anew, because its team or environment has another name"
        )
        yield Note("repeats-spent", message, declared.sources[0])


def _repeats(item: Resolved, row: GrantRow) -> bool:
    old = row.grant
    return (
        item.row is None
        and item.ends_at is not None
        and _another_name(old, item.declared)
        and old.window.ends_at is not None
        and old.window.ends_at - old.window.starts_at == item.ends_at - item.starts_at
    )


def restarts(wanted: Sequence[Resolved], removed: Iterable[GrantRow]) -> Iterator[Note]:
    """New lines that take the place of a running `duration` of the same account under its old
    name."""
    running = _by_likeness(removed)
    for item in wanted:
        declared = item.declared
        for row in running[_likeness(declared)]:
            old, end = row.grant, row.grant.window.ends_at
            if (
                item.row is not None
                or not isinstance(declared.end, Lasts)
                or item.ends_at is None
                or end is None
                or end == item.ends_at
                or old.account != declared.account
                or old.id != _under_its_old_name(declared, old)
            ):
                continue
            before, after = instant_text(end), instant_text(item.ends_at)
            message = (
                f"the clock of {named(declared)} starts anew, because its team or environment has "
                f"another name: as {old.id} of team {old.team} in {old.environment} it ended at "
                f"{before}, and now it ends at {after}"
            )
            hint = f"to keep its end, write `expires_at: {before}` instead of `duration`"
            yield Note("clock-restarts", message, declared.sources[0], hint)
            break


def _under_its_old_name(declared: DeclaredGrant, old: Grant) -> str:
    """The identity that the line had as `old`, if `old` was this `duration`."""
    return grant_id(
        Meaning(
            old.team,
            old.environment,
            old.account,
            declared.principal,
            declared.policy,
            declared.end,
            declared.starts_at,
            declared.ticket,
        )
    )


def _another_name(old: Grant, declared: DeclaredGrant) -> bool:
    return (old.team, old.environment) != (declared.team, declared.environment)


def _likeness(grant: Grant | DeclaredGrant) -> _Likeness:
    return grant.principal.key, grant.policy, grant.ticket


def _by_likeness(rows: Iterable[GrantRow]) -> dict[_Likeness, list[GrantRow]]:
    found: dict[_Likeness, list[GrantRow]] = defaultdict(list)
    for row in rows:
        found[_likeness(row.grant)].append(row)
    return found
