"""What a grant's row says about an instant: who may have access, and in which state.

Invariant: whoever may have access is listed. Where the ledger cannot know (nothing confirmed yet),
the answer is that somebody may; only a confirmation, a refusal or AWS's own date says otherwise.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from shlex import quote
from typing import Literal

from ledger.envelope import Recorded
from ledger.model import Policy
from ledger.project import GrantRow, fold, row_key

State = Literal["declared", "confirmed", "ending", "stuck", "left", "settled"]

_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class At:
    """Asks about one instant."""

    instant: datetime


@dataclass(frozen=True, slots=True)
class Between:
    """Asks about every instant of `start <= t < end`."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise ValueError(f"the interval ends at {self.end}, not after its start {self.start}")


When = At | Between


def as_known(history: Sequence[Recorded], position: int) -> GrantRow | None:
    """The row of one turn as it stood at `position`; None when it was not granted yet.

    `history` holds all events of that turn in order. Folding a prefix is exact, where taking later
    facts out of the newest row is not: that one no longer knows which trouble was healed since.
    """
    row: GrantRow | None = None
    for recorded in history:
        if recorded.position > position:
            break
        if row_key(recorded.event) is not None:
            row = fold(row, recorded)
    return row


def access_span(row: GrantRow) -> tuple[datetime, datetime | None] | None:
    """From when to when somebody may have had access by `row`; None: never.

    An end of None is not in sight. What was refused, or taken away by somebody else, gives no
    access from then on, for as long as that stands.
    """
    start, end = row.access_from, row.access_to
    if row.trouble is not None and row.trouble.kind in ("refused", "missing"):
        cut = row.trouble.since.at
        end = cut if end is None else min(end, cut)
    if end is not None and end <= start:
        return None
    return start, end


def state_of(row: GrantRow, at: datetime) -> State | None:
    """How `row` stands at `at`; None when nobody has access by it then.

    `row` is as it is known (see `as_known`); `at` may lie behind or before what is known.
    """
    span = access_span(row)
    if span is None or at < span[0] or (span[1] is not None and span[1] <= at):
        return None
    if row.closed is not None and row.closed.at <= at:
        if row.closed_how == "settled":
            return "settled"
        return "left"
    if row.trouble is not None and row.trouble.kind == "stuck" and row.trouble.since.at <= at:
        return "stuck"
    if row.due_at is not None and row.due_at <= at:
        return "ending"
    again = row.trouble is not None and row.trouble.kind == "retry" and row.trouble.since.at <= at
    if row.applied is not None and row.applied.at <= at and not again:
        return "confirmed"
    return "declared"


def instant_of_answer(row: GrantRow, when: When) -> datetime | None:
    """The instant whose state an answer about `when` shows: the last with access; None: none."""
    match when:
        case At(instant):
            return instant if state_of(row, instant) is not None else None
        case Between(start, end):
            span = access_span(row)
            if span is None or span[0] >= end or (span[1] is not None and span[1] <= start):
                return None
            return (end if span[1] is None else min(end, span[1])) - _TICK


def state_during(row: GrantRow, when: When) -> State | None:
    """The state at the last instant of `when` with access; None when there was none in it."""
    instant = instant_of_answer(row, when)
    return None if instant is None else state_of(row, instant)


def without_access(row: GrantRow, when: When) -> bool:
    """Whether `row` is meant to give access in `when` and gives none: refused or missing."""
    if row.trouble is None or row.trouble.kind not in ("refused", "missing"):
        return False
    if state_during(row, when) is not None:
        return False
    match when:
        case At(instant):
            return row.live(instant)
        case Between(start, end):
            window = row.grant.window
            over = window.ends_at is not None and window.ends_at <= start
            return row.revoked is None and window.starts_at < end and not over


def exposed(row: GrantRow, now: datetime) -> bool:
    """Past its end or revoked, not confirmed removed, and not yet denied by AWS itself."""
    return row.owed(now) and state_of(row, now) is not None


def attachments_of(
    row: GrantRow, policy: Policy | None, policy_path: str | None
) -> tuple[str, ...]:
    """The ARNs that `row` may have attached and that others may need too: not a copy's parts."""
    if row.made:
        return tuple(made.name for made in row.made if made.kind == "attachment")
    if row.grant.object is not None and row.enforcement != "daemon":
        return ()
    return _may_be_attached(row, policy, policy_path)


def hand_lines(
    row: GrantRow,
    policy: Policy | None,
    policy_path: str | None,
    kept: Collection[str] = (),
) -> tuple[str, ...]:
    """The `aws iam` lines that end the access by hand, as the ledger knows its objects.

    Where nothing was confirmed they name what may have been written all the same. `policy` None:
    retired since; the line then lists what is attached, for a person to choose from. `kept`: ARNs
    that stand for another reason, of which no line is made.
    """
    hand = _Hand(row)
    if row.made:
        detached = [made for made in row.made if made.kind != "inline" and made.name not in kept]
        lines = [hand.detach(made.name) for made in detached]
        lines += [hand.delete_inline(made.name) for made in row.made if made.kind == "inline"]
        rewritten = row.grant.continues is not None or _rewritten(row)
        for made in detached:
            if made.kind == "policy":
                lines += hand.delete_policy(made.name, rewritten=rewritten)
        return tuple(lines)
    arns = [arn for arn in attachments_of(row, policy, policy_path) if arn not in kept]
    if row.grant.object is not None:
        attached = [hand.detach(arn) for arn in arns]
        return (*attached, hand.delete_inline(row.grant.object), hand.list_parts(policy_path))
    return tuple(hand.detach(arn) for arn in arns) if policy is not None else (hand.list(),)


def _rewritten(row: GrantRow) -> bool:
    """Whether what stands was written more than once, so that it may have older versions."""
    return row.applied is not None and row.written_position != row.applied.position


def _may_be_attached(
    row: GrantRow, policy: Policy | None, policy_path: str | None
) -> tuple[str, ...]:
    if policy is None:
        return ()
    path = policy_path or "/"
    own = f"arn:aws:iam::{row.grant.account}:policy{path}{policy.iam_name}"
    return ((own,) if policy.document is not None else ()) + policy.managed_policies


class _Hand:
    """What a person types, about one grant's principal."""

    def __init__(self, row: GrantRow) -> None:
        self._name = row.grant.object
        self._kind = row.grant.principal.kind.value
        self._who = f"--{self._kind}-name {quote(row.grant.principal.name)}"

    def detach(self, arn: str) -> str:
        return f"aws iam detach-{self._kind}-policy {self._who} --policy-arn {quote(arn)}"

    def delete_inline(self, name: str) -> str:
        return f"aws iam delete-{self._kind}-policy {self._who} --policy-name {quote(name)}"

    def delete_policy(self, arn: str, *, rewritten: bool) -> list[str]:
        """IAM deletes none that has other versions."""
        which = f"--policy-arn {quote(arn)}"
        older = (
            f"aws iam list-policy-versions {which} --output text --query "
            "'Versions[?!IsDefaultVersion].VersionId' | xargs -rn1 aws iam delete-policy-version "
            f"{which} --version-id"
        )
        return [*([older] if rewritten else []), f"aws iam delete-policy {which}"]

    def list(self) -> str:
        return f"aws iam list-attached-{self._kind}-policies {self._who}"

    def list_parts(self, policy_path: str | None) -> str:
        """Of a copy that may have been split: what its parts are called by."""
        query = f"AttachedPolicies[?starts_with(PolicyName, '{self._name}-p')].PolicyArn"
        return f'{self.list()} --path-prefix {policy_path or "/"} --query "{query}"'
