"""Giving access until somebody revokes it: attachments, of the policy of ours and of AWS's own."""

from collections.abc import Sequence

from ledger.events import Made
from ledger.project import GrantRow
from ledger.state import DefinedPolicy
from worker.account import Answer, PrincipalState
from worker.deciding.desired import is_ours, pin_of, wanted_attachments, whose
from worker.deciding.plan import Reason
from worker.errors import AwsRefused
from worker.iam.forms import CannotStand
from worker.iam.room import attachments_message, room_of
from worker.steps.attaching import attach, droppable, sight
from worker.steps.outcomes import TEXT_REFUSED, record_applied
from worker.steps.passing import Pass
from worker.steps.removing import take_away


async def write_permanent(
    now_in: Pass, row: GrantRow, defined: DefinedPolicy, state: PrincipalState, reason: Reason
) -> None:
    """Raises CannotStand where the principal has no slots for it, by its numbers or by AWS."""
    wanted = wanted_attachments(now_in.view, defined.policy)
    dropped = [
        arn
        for arn in droppable(now_in.view_of(row.grant.principal), [row], now_in.now, state)
        if arn not in wanted and any(made.name == arn for made in row.made)
    ]
    _check_slots(now_in, row, defined, state, frozenset(dropped))
    # Read before anything is given: what has been attached is recorded without a further question.
    sources = now_in.context.sources
    pins = tuple(
        [
            pin_of(await sources.read(now_in.aws, arn, None, now_in.now))
            for arn in defined.policy.managed_policies
        ]
    )
    attached: list[str] = []
    try:
        answers = await _carry_out(now_in, row, wanted, dropped, state, attached)
    except AwsRefused as error:
        if error.code in TEXT_REFUSED:
            await take_away(now_in, row.grant.principal, detach=attached)
            raise CannotStand(error.code, f"AWS refused it: {error.message}") from error
        raise
    made = tuple(Made("attachment", arn, None) for arn in wanted)
    await record_applied(
        now_in, row, defined, reason, state=state, made=made, pins=pins, answers=answers
    )


async def _carry_out(
    now_in: Pass,
    row: GrantRow,
    wanted: Sequence[str],
    dropped: Sequence[str],
    state: PrincipalState,
    attached: list[str],
) -> list[Answer]:
    """What is new first, so that nobody waits; the other way where slots are short.

    `attached` gets what was attached, also where a later call is refused.
    """
    limit = now_in.context.limits.attached_max(state.principal)
    tight = len(state.attached | set(wanted)) > limit
    answers: list[Answer] = []
    if tight:
        answers += [await now_in.aws.detach(row.grant.principal, arn) for arn in dropped]
    for arn in wanted:
        now_in.check_adding()
        if not is_ours(now_in.view, arn):
            await sight(now_in, row, arn, state)
        if arn not in state.attached:
            answers.append(await attach(now_in, row, arn))
            attached.append(arn)
    if not tight:
        answers += [await now_in.aws.detach(row.grant.principal, arn) for arn in dropped]
    return answers


def _check_slots(
    now_in: Pass,
    row: GrantRow,
    defined: DefinedPolicy,
    state: PrincipalState,
    dropped: frozenset[str],
) -> None:
    room = room_of(
        state,
        now_in.context.limits,
        own_inline=None,
        own_managed=dropped,
        own_policies=0,
        whose=whose(now_in.view_of(row.grant.principal), row.grant.principal),
    )
    more = len(set(wanted_attachments(now_in.view, defined.policy)) - room.attached)
    if more > room.attached_free:
        raise CannotStand("attachment-slots", attachments_message(defined.policy, room, more))
