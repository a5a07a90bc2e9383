"""Giving access: customer-managed policies first, then the grants of one principal after another.

Before anything is added to a principal its own lists are read. What stands already as wanted is not
written again, so that a crash between a call and its evidence costs one reading. Nothing is written
that would not fit; the numbers are recorded instead.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import structlog

from ledger.events import Applied, Made, Pin, Refused, Sighted, ref
from ledger.model import Policy
from ledger.project import GrantRow, sighting_name
from ledger.state import DefinedPolicy
from worker.account import Answer, PrincipalState, SourceDocument
from worker.desired import (
    copy_of,
    holders,
    is_ours,
    pin_of,
    same_principal,
    wanted_attachments,
)
from worker.documents import Document, NotCopyable, canonical, size_of
from worker.errors import AwsMissing
from worker.passing import Pass, newest_position, retried_at
from worker.plan import Reason, WriteGrant
from worker.removing import remove_due
from worker.timing import writable

log = structlog.get_logger()

SERVICE_PATHS = ("/aws-service-role/", "/aws-reserved/")
"""Roles that AWS keeps for itself and nobody may change (IAM user guide, service-linked roles)."""


@dataclass(frozen=True, slots=True)
class _CannotStand(Exception):
    """The account's own numbers or rules forbid a grant; nothing of it is written."""

    code: str
    message: str


async def write_grants(now_in: Pass, steps: tuple[WriteGrant, ...]) -> None:
    """Carries out `steps`, principal by principal, removals that come due always first.

    What has met weather comes behind what has not.
    """

    def turn(step: WriteGrant) -> tuple[datetime, str, int]:
        row = step.row
        last = now_in.context.parking.turn(row.key)
        return last, row.grant.principal.key, row.granted.position

    for step in sorted(steps, key=turn):
        now_in.check_stop()
        await remove_due(now_in)
        row = step.row
        await now_in.attempt(row.key, _write(now_in, row, step.reason), row=row)


async def _write(now_in: Pass, row: GrantRow, reason: Reason) -> None:
    defined = now_in.view.policies.get((row.grant.team, row.grant.policy))
    if defined is None or not writable(row, now_in.now):
        return
    state = await now_in.aws.read_principal(row.grant.principal)
    if state is None:
        raise AwsMissing(
            "NoSuchEntity",
            f"{row.grant.principal} does not exist in account {row.grant.account}; make it, or "
            "take the line out",
        )
    try:
        _check_principal(now_in, state)
        if row.grant.temporary:
            await _write_copy(now_in, row, defined, state, reason)
        else:
            await _write_attachments(now_in, row, defined, state, reason)
    except _CannotStand as cannot:
        await _refuse(now_in, row, defined, cannot, state)


def _check_principal(now_in: Pass, state: PrincipalState) -> None:
    """What the declared name could not tell: the real path."""
    settings = now_in.view.settings
    principal = state.principal
    if principal.path.startswith(SERVICE_PATHS):
        raise _CannotStand("service-role", f"{principal} is AWS's own role and cannot be changed")
    if settings is None:
        return
    if not principal.matches(settings.managed_principals):
        raise _CannotStand(
            "unmanaged", f"{principal} under {principal.path} is outside `managed_principals`"
        )
    if principal.matches(settings.protected_principals):
        raise _CannotStand(
            "protected", f"{principal} under {principal.path} is in `protected_principals`"
        )


async def _refuse(
    now_in: Pass,
    row: GrantRow,
    defined: DefinedPolicy,
    cannot: _CannotStand,
    state: PrincipalState,
) -> None:
    """Records why; what stands of it must not live on, since reviewers have changed it."""
    principal, name = row.grant.principal, row.grant.object
    if name is None:
        for arn in _dropped(now_in, row, ()):
            await now_in.aws.detach(principal, arn)
    elif row.written_position is not None or await _found_unrecorded(now_in, row, defined, state):
        await now_in.aws.delete_inline(principal, name)
    event = Refused(ref(row.grant), cannot.code, cannot.message, defined.position)
    cause = max(row.granted.position, defined.position, retried_at(row))
    await now_in.record(event, cause=cause)
    log.warning("grant_refused", grant=row.grant.id, code=cannot.code, why=cannot.message)


async def _found_unrecorded(
    now_in: Pass, row: GrantRow, defined: DefinedPolicy, state: PrincipalState
) -> bool:
    """Whether a copy stands whose evidence a crash has lost; then it is recorded now.

    What stands under its name may be the copy that it continues, which has evidence of its own.
    """
    name = row.grant.object
    if name is None or name not in state.inline:
        return False
    if any(
        other.key != row.key
        and other.grant.object == name
        and other.grant.principal.key == row.grant.principal.key
        for other in now_in.view.rows
    ):
        return False
    made = (Made("inline", name, canonical(state.inline[name]).sha256),)
    await _applied(now_in, row, defined, "first", state=state, made=made, pins=(), answers=[])
    return True


def _cause(row: GrantRow, defined: DefinedPolicy) -> int:
    """What a success answers: the line, the policy's newest text, or the trouble before it."""
    since = 0 if row.trouble is None else row.trouble.since.position
    return max(row.granted.position, defined.position, since)


async def _applied(
    now_in: Pass,
    row: GrantRow,
    defined: DefinedPolicy,
    reason: Reason,
    *,
    state: PrincipalState,
    made: tuple[Made, ...],
    pins: tuple[Pin, ...],
    answers: list[Answer],
) -> None:
    enforcement: Literal["aws"] | None = "aws" if row.grant.temporary else None
    event = Applied(
        grant=ref(row.grant),
        made=made,
        enforcement=enforcement,
        pins=pins,
        policy_position=defined.position,
        requests=tuple(answer.request_id for answer in answers if answer.request_id),
        confirmed_at=max((answer.confirmed_at for answer in answers), default=now_in.now),
        principal_id=state.unique_id,
    )
    await now_in.record(event, cause=_cause(row, defined))
    now_in.context.metrics.steps.labels(reason).inc()
    log.info(
        "access_given",
        grant=row.grant.id,
        principal=str(row.grant.principal),
        policy=row.grant.policy,
        reason=reason,
    )


# --- temporary: one inline timed copy -----------------------------------------------------------


async def _write_copy(
    now_in: Pass,
    row: GrantRow,
    defined: DefinedPolicy,
    state: PrincipalState,
    reason: Reason,
) -> None:
    name = row.grant.object
    if name is None:
        raise ValueError(f"temporary grant {row.grant.id} has no object name")
    document, pins = await _copy(now_in, row, defined.policy)
    answers: list[Answer] = []
    if not _holds(state, name, document):
        _check_inline_budget(row, document, state, name)
        answers.append(
            await now_in.believed(
                row.grant.principal,
                lambda: now_in.aws.put_inline(row.grant.principal, name, document.text),
                wanted=lambda seen: seen is not None and _holds(seen, name, document),
                outcome="stood",
            )
        )
    made = (Made("inline", name, document.sha256),)
    await _applied(now_in, row, defined, reason, state=state, made=made, pins=pins, answers=answers)


def _holds(state: PrincipalState, name: str, document: Document) -> bool:
    return name in state.inline and canonical(state.inline[name]) == document


async def _copy(now_in: Pass, row: GrantRow, policy: Policy) -> tuple[Document, tuple[Pin, ...]]:
    """The timed copy; a part copied from AWS before keeps the version it was copied from."""
    pinned = {pin.arn: pin.version for pin in row.pins}
    sources = [await _source(now_in, arn, pinned.get(arn)) for arn in policy.managed_policies]
    try:
        return copy_of(row, policy, sources)
    except NotCopyable as reason:
        raise _CannotStand("not-copyable", str(reason)) from reason


async def _source(now_in: Pass, arn: str, version: str | None = None) -> SourceDocument:
    """The text of an AWS-managed policy, which is in the ledger from then on."""
    return await now_in.context.sources.read(now_in.aws, arn, version, now_in.now)


def _check_inline_budget(
    row: GrantRow, document: Document, state: PrincipalState, name: str
) -> None:
    limit = row.grant.principal.facts.inline_chars_max
    others = sum(size_of(text) for key, text in state.inline.items() if key != name)
    if document.size + others > limit:
        raise _CannotStand(
            "inline-budget",
            f"the timed copy of `{row.grant.policy}` takes {document.size:,} characters; "
            f"{row.grant.principal} has {max(0, limit - others):,} of {limit:,} left "
            f"({others:,} used by {sum(1 for key in state.inline if key != name)} other inline "
            "policies). Ask for a smaller policy, or free some of it",
        )


# --- permanent: attachments ---------------------------------------------------------------------


async def _write_attachments(
    now_in: Pass,
    row: GrantRow,
    defined: DefinedPolicy,
    state: PrincipalState,
    reason: Reason,
) -> None:
    principal = row.grant.principal
    wanted = wanted_attachments(now_in.view, defined.policy)
    dropped = _dropped(now_in, row, wanted)
    _check_slots(row, wanted, state.attached - set(dropped))
    # Read before anything is given: what has been attached is recorded without a further question.
    pins = tuple([pin_of(await _source(now_in, arn)) for arn in defined.policy.managed_policies])
    # What is new first, so that nobody waits between the two; the other way where slots are short.
    tight = len(state.attached | set(wanted)) > principal.facts.attached_max
    answers: list[Answer] = []
    if tight:
        answers += [await now_in.aws.detach(principal, arn) for arn in dropped]
    for arn in wanted:
        now_in.check_stop()
        if not is_ours(now_in.view, arn):
            await _sight(now_in, row, arn, state)
        if arn not in state.attached:
            answers.append(await _attach(now_in, row, arn))
    if not tight:
        answers += [await now_in.aws.detach(principal, arn) for arn in dropped]
    made = tuple(Made("attachment", arn, None) for arn in wanted)
    await _applied(now_in, row, defined, reason, state=state, made=made, pins=pins, answers=answers)


async def _attach(now_in: Pass, row: GrantRow, arn: str) -> Answer:
    principal = row.grant.principal
    return await now_in.believed(
        principal,
        lambda: now_in.aws.attach(principal, arn),
        wanted=lambda seen: seen is not None and arn in seen.attached,
        outcome="stood",
    )


def _check_slots(row: GrantRow, wanted: tuple[str, ...], attached: frozenset[str]) -> None:
    limit = row.grant.principal.facts.attached_max
    if len(attached | set(wanted)) > limit:
        raise _CannotStand(
            "attachment-slots",
            f"`{row.grant.policy}` needs {len(set(wanted) - attached)} more attachments; "
            f"{row.grant.principal} has {len(attached)} of {limit}. Detach something, or "
            "ask for a policy with fewer parts",
        )


async def _sight(now_in: Pass, row: GrantRow, arn: str, state: PrincipalState) -> None:
    """Records, before our first attach, whether it stood already.

    Not asked while another grant of ours holds the attachment (by evidence, or by this very pass),
    nor twice for one grant: after a crash, sighted absent and now present is our own doing. Nor of
    what was taken over since the grant. All of it is asked anew of a principal made anew.
    """
    view, principal, present = now_in.view, row.grant.principal, arn in state.attached
    if (principal.key, arn) in now_in.sighted:
        return
    same = same_principal(row, state)
    others = (other for other in view.rows if other.key != row.key)
    for holder in (row, *holders(others, view, principal, arn)):
        if same_principal(holder, state) and any(made.name == arn for made in holder.made):
            return
    adopted = view.adopted.get(sighting_name(principal, arn))
    if same and present and adopted is not None and row.granted.position < adopted[1]:
        now_in.sighted.add((principal.key, arn))
        return
    seen = view.sighting(principal, arn)
    if same and seen is not None and (seen.grant.id, seen.grant.turn) == row.key:
        return
    cause = row.granted.position if same else newest_position(row)
    await now_in.record(Sighted(ref(row.grant), arn, present), cause=cause)
    now_in.sighted.add((principal.key, arn))


def _dropped(now_in: Pass, row: GrantRow, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Attachments that the policy's older content had, that are ours, and nobody else needs."""
    others = [
        other for other in now_in.view.rows if other.key != row.key and writable(other, now_in.now)
    ]
    principal = row.grant.principal
    return tuple(
        made.name
        for made in row.made
        if made.name not in wanted
        and not holders(others, now_in.view, principal, made.name)
        and (is_ours(now_in.view, made.name) or now_in.view.ours(principal, made.name))
    )
