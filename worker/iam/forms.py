"""In which form a temporary grant can stand: pure, from what it may copy and what room there is.

Invariant: what AWS itself can end is never left to the worker, and nothing is chosen that does not
fit the room. How the objects of a form are written down in a grant's `made`:

- `Made("inline", name, sha256)`: one inline policy, the timed copy of all that can be timed;
- `Made("policy", arn, sha256)`: a customer-managed policy `{object}-p1` to `-pN` with a part of it,
  made by us for this grant alone, and attached to its principal;
- `Made("attachment", arn, None)`: an attachment that only the worker ends (class `daemon`), of one
  of AWS's own policies or of the team's customer-managed policy, shared with whoever needs it.

The first two are of class `aws`. A grant shows the weakest class of its objects.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ledger.events import Made, Pin
from ledger.model import Enforcement, Policy, Window
from worker.iam.documents import (
    MANAGED_CHARS_MAX,
    Document,
    NotCopyable,
    Statement,
    minify,
    timed_copy,
)
from worker.iam.packing import split
from worker.iam.room import Room, attachments_message, used_by


@dataclass(frozen=True, slots=True)
class CannotStand(Exception):
    """The account's own numbers or rules forbid a grant; nothing of it is written."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Part:
    """One source of a grant: the policy's own statements, or one of AWS's own policies."""

    arn: str
    """What is attached where no copy can be made."""
    text: str
    pin: Pin | None
    """None: the policy's own statements."""

    @property
    def title(self) -> str:
        return "its statements" if self.pin is None else self.arn.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Asked:
    """One temporary grant, as its form is chosen."""

    policy: Policy
    window: Window
    late_start: bool
    """Whether it starts after it was granted, so that the copy must say so."""
    object: str
    """The grant's name in IAM."""
    prefix: str
    """What the ARN of every customer-managed policy of ours begins with."""
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Object:
    """One thing in IAM that should stand for a grant."""

    kind: Literal["inline", "policy", "attachment"]
    name: str
    """Inline: its name. Else the managed policy's ARN."""
    document: Document | None
    """None: an attachment of what others wrote."""

    @property
    def enforcement(self) -> Enforcement:
        return "daemon" if self.document is None else "aws"

    @property
    def made(self) -> Made:
        return Made(self.kind, self.name, None if self.document is None else self.document.sha256)


@dataclass(frozen=True, slots=True)
class Form:
    """All that should stand for one temporary grant."""

    objects: tuple[Object, ...]
    pins: tuple[Pin, ...]

    @property
    def enforcement(self) -> Enforcement:
        """The weakest class of its objects."""
        weakest = any(each.enforcement == "daemon" for each in self.objects)
        return "daemon" if weakest else "aws"

    @property
    def made(self) -> tuple[Made, ...]:
        return tuple(each.made for each in self.objects)

    @property
    def untimed(self) -> tuple[str, ...]:
        """ARNs of what only the worker ends."""
        return tuple(each.name for each in self.objects if each.kind == "attachment")

    @property
    def managed(self) -> tuple[str, ...]:
        """ARNs of all that hangs on the principal."""
        return tuple(each.name for each in self.objects if each.kind != "inline")


def part_arn(asked_prefix: str, name: str, number: int) -> str:
    """The ARN of the customer-managed policy with the `number`-th part of the grant `name`."""
    return f"{asked_prefix}{name}-p{number}"


def own_parts(prefix: str, name: str, arns: frozenset[str]) -> tuple[str, ...]:
    """Those of `arns` that carry the grant's name as parts of it, in their order."""
    pattern = re.compile(re.escape(f"{prefix}{name}") + r"-p([1-9][0-9]*)", re.IGNORECASE)
    found = ((pattern.fullmatch(arn), arn) for arn in arns)
    return tuple(arn for _, arn in sorted((int(match[1]), arn) for match, arn in found if match))


# --- choosing -----------------------------------------------------------------------------------


def choose(asked: Asked, room: Room) -> Form:
    """The form of the strongest class that fits `room`; raises CannotStand with the numbers.

    Inline where it fits, else parts; only where the policy lets the worker end access, what cannot
    be timed or does not fit is attached as it is, the largest first.
    """
    copies: dict[Part, tuple[Statement, ...]] = {}
    untimed: list[Part] = []
    for part in asked.parts:
        try:
            copies[part] = _copy(asked, part)
        except NotCopyable as reason:
            if not _attachable(asked, part):
                raise CannotStand("not-copyable", _not_copyable(asked, part, reason)) from reason
            untimed.append(part)
    sizes = {part: minify(copy).size for part, copy in copies.items()}
    leaving = [part for part in copies if _attachable(asked, part)]
    leaving.sort(key=lambda part: sizes[part], reverse=True)
    while True:
        timed = [statement for part in asked.parts if part in copies for statement in copies[part]]
        objects = _objects(asked, room, timed, [part.arn for part in untimed])
        if objects is not None:
            pins = tuple(part.pin for part in asked.parts if part.pin is not None)
            return Form(objects, pins)
        if not copies:
            more = len({part.arn for part in untimed} - room.attached)
            raise CannotStand("attachment-slots", attachments_message(asked.policy, room, more))
        if not leaving:
            raise CannotStand("no-room", _no_room(asked, room, timed))
        largest = leaving.pop(0)
        del copies[largest]
        untimed.append(largest)


def _attachable(asked: Asked, part: Part) -> bool:
    """Whether it may stand without a copy: then only the worker ends it.

    What AWS wrote asks for no second factor, so where the policy does it is copied or not given.
    """
    mfa_lost = asked.policy.require_mfa and part.pin is not None
    return asked.policy.enforcement == "daemon" and not mfa_lost


def _copy(asked: Asked, part: Part) -> tuple[Statement, ...]:
    ends_at = asked.window.ends_at
    if ends_at is None:
        raise ValueError("a permanent grant is attached, not copied")
    return timed_copy(
        [part.text],
        ends_at=ends_at,
        starts_at=asked.window.starts_at if asked.late_start else None,
        mfa=asked.policy.require_mfa,
    )


def _objects(
    asked: Asked, room: Room, timed: Sequence[Statement], untimed: Sequence[str]
) -> tuple[Object, ...] | None:
    """What gives `timed` by copies and `untimed` as it is; None where there is no room for it."""
    attached = tuple(Object("attachment", arn, None) for arn in untimed)
    slots = room.attached_free - len(set(untimed) - room.attached)
    if slots < 0:
        return None
    if not timed:
        return attached
    whole = minify(timed)
    if whole.size <= room.inline_free:
        return (Object("inline", asked.object, whole), *attached)
    try:
        documents = split(timed, MANAGED_CHARS_MAX)
    except NotCopyable:
        return None
    if len(documents) > min(slots, room.policies_free):
        return None
    parts = (
        Object("policy", part_arn(asked.prefix, asked.object, number), document)
        for number, document in enumerate(documents, 1)
    )
    return (*parts, *attached)


# --- saying why not -----------------------------------------------------------------------------


def _not_copyable(asked: Asked, part: Part, reason: NotCopyable) -> str:
    return (
        f"`{asked.policy.name}` cannot be granted for a time, because AWS could not end it: of "
        f"{part.title}, {reason}. Take it out{_or_daemon(asked)}"
    )


def _or_daemon(asked: Asked) -> str:
    """What else would help, where it is not said already."""
    said = asked.policy.enforcement == "daemon"
    return "" if said else ", or let the policy say `enforcement: daemon`"


def _no_room(asked: Asked, room: Room, timed: Sequence[Statement]) -> str:
    principal, limit = room.principal, room.principal.facts.inline_chars_max
    copy = minify(timed)
    said = (
        f"the timed copy of `{asked.policy.name}` takes {copy.size:,} characters; {principal} has "
        f"{room.inline_free:,} of {limit:,} left inline{used_by(room.inline, room)}. "
    )
    try:
        count = len(split(timed, MANAGED_CHARS_MAX))
    except NotCopyable as reason:
        return (
            f"{said}Nor can it be split over managed policies: {reason}. Ask for a smaller policy"
        )
    said += (
        f"Split over managed policies it takes {count}; {principal} has {room.attached_free} of "
        f"{room.attached_max} attachments left{used_by(dict.fromkeys(room.attached), room)}"
    )
    if room.policies_free < count:
        said += (
            f", and the account has room for {room.policies_free:,} more customer-managed policies "
            f"of {room.policies_max:,}"
        )
    return f"{said}. Free some of it, ask for a smaller policy{_or_daemon(asked)}"
