"""What an account leaves free for one grant, and who uses the rest: pure.

Invariant: what stands for the grant itself is never counted against it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ledger.model import Policy, Principal
from worker.account import AccountLimits, PrincipalState
from worker.iam.documents import size_of

SHOWN_MAX = 5
"""Names of what uses the room, in one message."""


@dataclass(frozen=True, slots=True)
class Room:
    """What a grant may use: everything on the principal and in the account that is not its own."""

    principal: Principal
    inline: Mapping[str, int]
    """Other inline policies: name -> characters."""
    attached: frozenset[str]
    """ARNs of other managed policies."""
    attached_max: int
    policies_free: int
    """Customer-managed policies that the account has room for."""
    policies_max: int
    whose: Mapping[str, str] = field(default_factory=dict)
    """Name or ARN -> the grant of ours that it stands for; all else is somebody else's."""

    @property
    def inline_free(self) -> int:
        return max(0, self.principal.facts.inline_chars_max - sum(self.inline.values()))

    @property
    def attached_free(self) -> int:
        return max(0, self.attached_max - len(self.attached))


def room_of(
    state: PrincipalState,
    limits: AccountLimits,
    *,
    own_inline: str | None,
    own_managed: frozenset[str],
    own_policies: int,
    whose: Mapping[str, str],
) -> Room:
    """The room that `state` leaves to a grant whose own objects are named.

    `own_managed`: what goes unless the new form has it. `own_policies`: how many customer-managed
    policies are its own already.
    """
    used = limits.policies or 0
    return Room(
        principal=state.principal,
        inline={name: size_of(text) for name, text in state.inline.items() if name != own_inline},
        attached=state.attached - own_managed,
        attached_max=limits.attached_max(state.principal),
        policies_free=max(0, limits.policies_max - used + own_policies),
        policies_max=limits.policies_max,
        whose=whose,
    )


def attachments_message(policy: Policy, room: Room, more: int) -> str:
    """That `more` attachments do not fit, and what has the slots."""
    by = used_by(dict.fromkeys(room.attached), room)
    return (
        f"`{policy.name}` needs {more} more attachments; {room.principal} has "
        f"{len(room.attached)} of {room.attached_max}{by}. "
        "Detach something, or ask for a policy with fewer parts"
    )


def used_by(names: Mapping[str, int | None], room: Room) -> str:
    """` (used by theirs: 1,700, iam-ledger-x of grant x: 300, and 2 more)`."""
    if not names:
        return ""
    largest = sorted(names, key=lambda name: (-(names[name] or 0), name))
    said = []
    for name in largest[:SHOWN_MAX]:
        whose = f" of grant {room.whose[name]}" if name in room.whose else ""
        size = names[name]
        said.append(f"{name}{whose}" + ("" if size is None else f": {size:,}"))
    if len(largest) > SHOWN_MAX:
        said.append(f"and {len(largest) - SHOWN_MAX} more")
    return f" (used by {', '.join(said)})"
