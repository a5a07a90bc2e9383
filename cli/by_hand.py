"""How one grant's access is ended by hand, and what must stay for another reason.

Pure. Invariant: no line takes away what stood before us or what another grant needs; it is decided
by the code that decides for the worker. What cannot be decided is said in words beside the lines.
"""

from dataclasses import dataclass
from datetime import datetime

from ledger.answer import attachments_of, hand_lines
from ledger.model import Policy
from ledger.project import GrantRow
from ledger.state import AccountView
from worker.deciding.desired import holders, is_ours
from worker.deciding.plan import Replaced, Waits, removal_of
from worker.timing import writable

_UNKNOWN = "what else stands there was not read: only if no other grant needs it"


@dataclass(frozen=True, slots=True)
class Ending:
    """What a person types, and should know before."""

    lines: tuple[str, ...]
    beside: tuple[str, ...] = ()
    """What stays and why, or on which condition a line may be typed."""
    nothing: bool = False
    """Whether all that stands of it stands for another reason, or nothing does."""


def ending_of(
    row: GrantRow,
    view: AccountView | None,
    policy: Policy | None,
    policy_path: str | None,
    now: datetime,
) -> Ending:
    """For `row`, which is over. `view`: of its account; None: it was not read."""
    if view is None or view.unreadable:
        return Ending(hand_lines(row, policy, policy_path), (_UNKNOWN,))
    removal = removal_of(view, row, now)
    if isinstance(removal, Replaced):
        goes_on = f"grant {removal.successor.grant.id} goes on under its name"
        return Ending((), (goes_on,), nothing=True)
    arns = attachments_of(row, policy, policy_path)
    kept = {arn: why for arn in arns if (why := _why_kept(view, row, arn, now)) is not None}
    beside = [f"{arn} stays: {why}" for arn, why in kept.items()]
    beside += [
        f"{arn}: only if it did not stand before us, which nobody has recorded"
        for arn in arns
        if arn not in kept and _ours(view, row, arn) is None
    ]
    lines = hand_lines(row, policy, policy_path, kept)
    if isinstance(removal, Waits):
        beside.append(f"grant {removal.successor.grant.id} is about to be written in its place")
        return Ending(lines, tuple(beside))
    goes = (removal.inline, removal.parts, removal.detach, removal.unsure)
    return Ending(lines, tuple(beside), nothing=bool(kept) and not removal.look and not any(goes))


def _why_kept(view: AccountView, row: GrantRow, arn: str, now: datetime) -> str | None:
    """None: it may go."""
    others = [other for other in view.rows if other.key != row.key and writable(other, now)]
    if needed_by := holders(others, view, row.grant.principal, arn):
        return f"needed by grant {', '.join(other.grant.id for other in needed_by)}"
    return "it stood before us" if _ours(view, row, arn) is False else None


def _ours(view: AccountView, row: GrantRow, arn: str) -> bool | None:
    return is_ours(view, arn) or view.ours(row.grant.principal, arn)
