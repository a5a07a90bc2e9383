"""Which window each declared line means at this instant, and whether it can still give access.

Invariant: a start once granted is frozen, and an identity whose end has passed stays over, whatever
the line says now.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ledger.manifest.declared import DeclaredGrant
from ledger.model import Window, whole_second
from ledger.project import GrantRow
from ledger.state import IntentView

Standing = Literal["in-force", "spent", "ended", "void"]
"""`spent`: it was granted and its end has passed. `ended`: the end that it names now has passed.
`void`: it would end before it starts."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A declared grant at an instant."""

    declared: DeclaredGrant
    row: GrantRow | None
    """Its newest turn; None: never granted."""
    starts_at: datetime
    ends_at: datetime | None
    standing: Standing
    live: bool
    """Whether its newest turn is neither revoked nor over."""

    @property
    def window(self) -> Window:
        return Window(self.starts_at, self.ends_at)

    @property
    def unchanged(self) -> bool:
        """Whether its newest turn already says what the line says."""
        if self.row is None or not self.live:
            return False
        grant = self.row.grant
        return grant.account == self.declared.account and grant.window == self.window

    @property
    def end_moved_later(self) -> bool:
        """Whether limits apply: it is new, or ends later than it was ever accepted to."""
        if self.row is None:
            return True
        before = self.row.declared_end
        return before is not None and (self.ends_at is None or self.ends_at > before)


def is_live(row: GrantRow, now: datetime) -> bool:
    """Whether `row` gives access now or will: neither revoked nor over."""
    return row.revoked is None and not row.grant.window.over(now)


def resolve(
    declared: DeclaredGrant, view: IntentView, *, time_zone: str, now: datetime
) -> Resolved:
    """What `declared` means at `now`, seen against its newest turn."""
    row = view.rows.get(declared.id)
    if row is not None:
        starts_at = row.grant.window.starts_at
    else:
        starts_at = declared.starts_at or whole_second(now)
    ends_at = declared.ends_at(starts_at, time_zone)
    return Resolved(
        declared=declared,
        row=row,
        starts_at=starts_at,
        ends_at=ends_at,
        standing=_standing(row, starts_at, ends_at, now),
        live=row is not None and is_live(row, now),
    )


def _standing(
    row: GrantRow | None, starts_at: datetime, ends_at: datetime | None, now: datetime
) -> Standing:
    if row is not None and row.declared_end is not None and row.declared_end <= now:
        return "spent"
    if ends_at is None:
        return "in-force"
    if ends_at <= now:
        return "ended"
    return "void" if ends_at <= starts_at else "in-force"
