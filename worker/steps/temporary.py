"""Giving access for a time: the form is chosen on the principal as it stands, then carried out.

What the form has is made before what it has not goes, so that there is no gap; where slots are
short, the other way. A refusal half-way takes back what this very write has made.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from ledger.events import Pin
from ledger.project import GrantRow
from ledger.state import DefinedPolicy
from worker.account import Answer, PrincipalState
from worker.deciding.desired import asked_of, pin_of, policy_arn, same_name, whose
from worker.deciding.plan import Reason
from worker.errors import AwsError, AwsRefused
from worker.iam.documents import canonical
from worker.iam.forms import Asked, CannotStand, Form, Object, choose
from worker.iam.room import Room, room_of
from worker.steps.attaching import attach, droppable, sight
from worker.steps.outcomes import TEXT_REFUSED, record_applied
from worker.steps.parts import attached_parts, create_part, recorded_parts, rewrite_part
from worker.steps.passing import Pass
from worker.steps.removing import delete_inline, take_away
from worker.steps.versions import delete_own

log = structlog.get_logger()

Undo = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class _Standing:
    """What may stand for a grant by now, under its name or as an attachment that would go."""

    parts: frozenset[str]
    attachments: frozenset[str]

    @property
    def managed(self) -> frozenset[str]:
        return self.parts | self.attachments


@dataclass(slots=True)
class _Write:
    """One form on its way into an account."""

    now_in: Pass
    row: GrantRow
    state: PrincipalState
    standing: _Standing
    form: Form
    answers: list[Answer] = field(default_factory=list)
    undo: list[Undo] = field(default_factory=list)
    """How to take back what was done, in the order of doing."""


async def write_temporary(
    now_in: Pass, row: GrantRow, defined: DefinedPolicy, state: PrincipalState, reason: Reason
) -> None:
    """Raises CannotStand where the account's numbers, or AWS, forbid every form of it."""
    asked = await _asked(now_in, row, defined)
    standing = await _standing(now_in, row, state)
    form = choose(asked, _room(now_in, row, state, standing))
    if not _its_time(now_in, row, defined, form):
        return
    write = _Write(now_in, row, state, standing, form)
    try:
        await _carry_out(write)
    except AwsRefused as error:
        await _take_back(write)
        if error.code in TEXT_REFUSED:
            raise CannotStand(error.code, f"AWS refused it: {error.message}") from error
        raise
    await record_applied(
        now_in,
        row,
        defined,
        reason,
        state=state,
        made=form.made,
        pins=await _pins(now_in, row, form),
        answers=write.answers,
        enforcement=form.enforcement,
    )
    if form.untimed:
        await now_in.refresh()  # whoever is written next must know who shares its attachments


# --- gather -------------------------------------------------------------------------------------


async def _asked(now_in: Pass, row: GrantRow, defined: DefinedPolicy) -> Asked:
    """A part copied from AWS before keeps the version it was copied from."""
    pinned = {pin.arn: pin.version for pin in row.pins}
    sources = [
        await now_in.context.sources.read(now_in.aws, arn, pinned.get(arn), now_in.now)
        for arn in defined.policy.managed_policies
    ]
    return asked_of(now_in.view, row, defined.policy, sources)


async def _standing(now_in: Pass, row: GrantRow, state: PrincipalState) -> _Standing:
    rows = same_name(now_in.view_of(row.grant.principal), row)
    attached = await attached_parts(now_in, row, state)
    return _Standing(
        parts=recorded_parts(now_in, row).union(attached),
        attachments=frozenset(
            droppable(now_in.view_of(row.grant.principal), rows, now_in.now, state)
        ),
    )


def _room(now_in: Pass, row: GrantRow, state: PrincipalState, standing: _Standing) -> Room:
    return room_of(
        state,
        now_in.context.limits,
        own_inline=row.grant.object,
        own_managed=standing.managed,
        own_policies=len(standing.parts),
        whose=whose(now_in.view_of(row.grant.principal), row.grant.principal),
    )


def _its_time(now_in: Pass, row: GrantRow, defined: DefinedPolicy, form: Form) -> bool:
    """Whether all of `form` may stand now: no date holds an attachment back before its start, and
    a policy of ours must be as it was defined last."""
    if not form.untimed:
        return True
    if now_in.now < row.grant.window.starts_at:
        return False
    policy, view = defined.policy, now_in.view
    if policy_arn(view, policy.team, policy.name, policy.iam_name) not in form.untimed:
        return True
    written = view.objects.get((policy.team, policy.name))
    return written is not None and written.policy_position == defined.position


async def _pins(now_in: Pass, row: GrantRow, form: Form) -> tuple[Pin, ...]:
    """An attachment follows AWS: pinned is what it says now, whatever was copied from it once."""
    sources = now_in.context.sources
    return tuple(
        [
            pin_of(await sources.read(now_in.aws, pin.arn, None, now_in.now))
            if pin.arn in form.untimed
            else pin
            for pin in form.pins
        ]
    )


# --- act ----------------------------------------------------------------------------------------


async def _carry_out(write: _Write) -> None:
    now_in, state, form = write.now_in, write.state, write.form
    for arn in form.untimed:
        await sight(now_in, write.row, arn, state)
    limit = now_in.context.limits.attached_max(state.principal)
    tight = len(state.attached.union(form.managed)) > limit
    if tight:
        await _drop_managed(write)
    # What has not begun to exist comes first: nobody has lost anything if it is refused.
    parts = [each for each in form.objects if each.kind == "policy"]
    standing = write.standing.parts & state.attached
    for part in parts:
        if part.name not in standing:
            await _create(write, part)
    for arn in form.managed:
        if arn not in state.attached:
            now_in.check_adding()
            write.undo.append(_detaching(write, arn))
            write.answers.append(await attach(now_in, write.row, arn))
    for part in parts:
        if part.name in standing:
            await _rewrite(write, part)
    for inline in (each for each in form.objects if each.kind == "inline"):
        await _put(write, inline)
    if not tight:
        await _drop_managed(write)
    await _drop_inline(write)


async def _create(write: _Write, part: Object) -> None:
    now_in = write.now_in
    if part.document is None:
        raise ValueError(f"{part.name} has no text")
    now_in.check_adding()
    answer = await create_part(now_in, write.row, part.name, part.document)
    if answer.outcome == "stood":
        await _rewrite(write, part)
    else:
        write.undo.append(lambda: delete_own(now_in, part.name))
        write.answers.append(answer)


async def _rewrite(write: _Write, part: Object) -> None:
    now_in = write.now_in
    if part.document is None:
        raise ValueError(f"{part.name} has no text")
    answers, before = await rewrite_part(now_in, part.name, part.document)
    if answers:
        write.undo.append(lambda: rewrite_part(now_in, part.name, canonical(before)))
    write.answers += answers


def _detaching(write: _Write, arn: str) -> Undo:
    return lambda: write.now_in.aws.detach(write.row.grant.principal, arn)


async def _put(write: _Write, inline: Object) -> None:
    now_in, name, document = write.now_in, inline.name, inline.document
    principal = write.row.grant.principal
    if document is None:
        raise ValueError(f"{name} has no text")

    def holds(state: PrincipalState | None) -> bool:
        texts = {} if state is None else state.inline
        return name in texts and canonical(texts[name]) == document

    if holds(write.state):
        return
    before = write.state.inline.get(name)
    if before is None:
        write.undo.append(lambda: now_in.aws.delete_inline(principal, name))
    else:
        write.undo.append(lambda: now_in.aws.put_inline(principal, name, before))
    write.answers.append(
        await now_in.believed(
            principal,
            lambda: now_in.aws.put_inline(principal, name, document.text),
            wanted=holds,
            outcome="stood",
        )
    )


async def _drop_managed(write: _Write) -> None:
    """What the grant had on its principal, and the form has not."""
    gone = write.standing.managed.difference(write.form.managed)
    parts = sorted(gone & write.standing.parts)
    detach = sorted(gone & write.standing.attachments & write.state.attached)
    ended, cleaned = await take_away(
        write.now_in, write.row.grant.principal, parts=parts, detach=detach
    )
    write.answers += ended + cleaned


async def _drop_inline(write: _Write) -> None:
    name = write.row.grant.object
    if name is None or name not in write.state.inline:
        return
    if all(each.kind != "inline" for each in write.form.objects):
        write.answers.append(await delete_inline(write.now_in, write.row.grant.principal, name))


async def _take_back(write: _Write) -> None:
    """The newest first. What cannot be taken back now is found by its name when the grant ends."""
    for undo in reversed(write.undo):
        try:
            await undo()
        except AwsError as error:
            log.warning("not_taken_back", grant=write.row.grant.id, code=error.code)
