"""Operators' holds: which lines they silence, and when nothing is left for them to silence.

Invariant: a hold outlives every reading that still has a line in force under it; a line is granted
again only by a reading after the one that appended `released`.
"""

from collections.abc import Iterable, Sequence

from ledger.decide.decision import Planned
from ledger.events import Held, Released
from ledger.manifest.declared import DeclaredGrant
from ledger.model import Grant
from ledger.project import LatestKey
from ledger.state import IntentView


def covers(hold: Held, grant: DeclaredGrant | Grant) -> bool:
    """Whether `grant` is access that `hold` forbids."""
    return (
        hold.principal.key == grant.principal.key
        and hold.account in (None, grant.account)
        and hold.policy in (None, grant.policy)
        and hold.team in (None, grant.team)
    )


def holding(holds: Sequence[Held], grant: DeclaredGrant) -> Held | None:
    """The first hold over `grant`; None: it is free."""
    return next((hold for hold in holds if covers(hold, grant)), None)


def hold_key(hold: str) -> LatestKey:
    return LatestKey("hold", name=hold)


def releases(view: IntentView, in_force: Iterable[DeclaredGrant]) -> tuple[Planned, ...]:
    """Holds that no line in force names any more. Only a reading of the whole directory may ask."""
    lines = list(in_force)
    return tuple(
        Planned(
            Released(hold.hold, hold.principal, hold.account, hold.policy, hold.team, None),
            view.positions.get(hold_key(hold.hold), 0),
            None,
        )
        for hold in view.holds
        if not any(covers(hold, line) for line in lines)
    )
