"""How one account stands, counted when its view was read, and asked at any instant after that.

Pure. Invariant: what is owed is judged by the instant that is asked about, and costs nothing where
nothing is due: a scrape of thousands of accounts may not hold the loop up.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from ledger.answer import exposed
from ledger.project import GrantRow
from ledger.state import AccountView
from worker.deciding.plan import Remove, Replaced, removal_of

Class = Literal["aws", "daemon", "none"]
"""Of enforcement; `none`: permanent access."""

_AT_ONCE = datetime.min.replace(tzinfo=UTC)


class Owed(NamedTuple):
    """One grant whose removal is due and not confirmed."""

    enforcement: Class
    since: datetime
    exposed: bool
    """Whether somebody may still have access by it, as `status` says it."""


@dataclass(frozen=True, slots=True)
class Census:
    """Of one account."""

    troubles: Mapping[str, int] = field(default_factory=dict)
    """Grants by kind of trouble: stuck, refused, missing, retry."""
    stuck_policies: int = 0
    stuck: bool = False
    """Whether the account itself is: its role fails, or its ledger cannot be read."""
    standing: Mapping[Class, int] = field(default_factory=dict)
    """Grants of which something stands, as far as the ledger knows."""
    ends: tuple[GrantRow, ...] = ()
    """What has an end in sight and is not closed, soonest first."""
    harmless: frozenset[tuple[str, int]] = frozenset()
    """Of what was due when the view was read: all that stands of it stands for another reason."""

    def owed(self, now: datetime) -> Iterator[Owed]:
        for row in self.ends:
            if not row.owed(now):
                return
            harmful = row.key not in self.harmless and exposed(row, now)
            yield Owed(class_of(row), row.due_at or now, harmful)

    def next_end(self, now: datetime) -> datetime | None:
        """The first end to come; None: none in sight."""
        return next((row.due_at for row in self.ends if not row.owed(now)), None)


NOTHING = Census()
"""Of an account that was not read yet."""


def count(view: AccountView, now: datetime) -> Census:
    """`view` as it was read at `now`. Made after every pass: it goes through the grants once."""
    troubles: Counter[str] = Counter()
    standing: Counter[Class] = Counter()
    ends: list[tuple[datetime, int, GrantRow]] = []
    for number, row in enumerate(view.rows):
        if row.trouble is not None:
            troubles[row.trouble.kind] += 1
        if row.closed is not None:
            continue
        if row.made:
            standing[class_of(row)] += 1
        # A revocation is compared with no clock (`GrantRow.owed`).
        due_at = _AT_ONCE if row.revoked is not None else row.grant.window.ends_at
        if due_at is not None:
            ends.append((due_at, number, row))
    ends.sort()
    due = [row for due_at, _, row in ends if due_at <= now and exposed(row, now)]
    return Census(
        troubles=troubles,
        stuck_policies=sum(policy != "" for _, policy in view.stuck),
        stuck=("", "") in view.stuck,
        standing=standing,
        ends=tuple(row for _, _, row in ends),
        harmless=frozenset(row.key for row in due if _harmless(view, row, now)),
    )


def class_of(row: GrantRow) -> Class:
    """Who ends it."""
    if not row.grant.temporary:
        return "none"
    return row.enforcement or "aws"


def _harmless(view: AccountView, row: GrantRow, now: datetime) -> bool:
    if view.unreadable:
        return False
    removal = removal_of(view, row, now)
    if isinstance(removal, Remove):
        goes = (removal.inline, removal.parts, removal.detach, removal.unsure)
        kept = removal.kept_for or removal.left
        return bool(kept) and not removal.look and not any(goes)
    return isinstance(removal, Replaced)
