"""What came of giving access, as the ledger is told: applied, or refused with nothing left of it.

Invariant: `refused` is recorded only when what stood of the grant has gone.
"""

from collections.abc import Mapping

import structlog

from ledger.events import Applied, DriftFound, Made, Pin, Refused, ref
from ledger.model import Enforcement
from ledger.project import GrantRow
from ledger.state import DefinedPolicy
from worker.account import Answer, PrincipalState
from worker.deciding.desired import same_name
from worker.deciding.plan import Reason
from worker.iam.documents import canonical
from worker.iam.forms import CannotStand
from worker.steps.attaching import droppable
from worker.steps.parts import found_parts
from worker.steps.passing import Pass, hangs_on, retried_at
from worker.steps.removing import take_away
from worker.timing import write_from

log = structlog.get_logger()

TEXT_REFUSED = frozenset({"MalformedPolicyDocument", "LimitExceeded", "ValidationError"})
"""What AWS says of a text, or of numbers, that it will not take: no person's rights are at fault,
and the next try would be told the same."""


async def record_applied(
    now_in: Pass,
    row: GrantRow,
    defined: DefinedPolicy,
    reason: Reason,
    *,
    state: PrincipalState,
    made: tuple[Made, ...],
    pins: tuple[Pin, ...],
    answers: list[Answer],
    enforcement: Enforcement | None = None,
) -> None:
    """`enforcement` None: permanent."""
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
    await now_in.record(event, cause=_cause(row, defined, now_in.view.drift))
    metrics = now_in.context.metrics
    metrics.steps.labels(reason).inc()
    if row.applied is None and answers:
        wanted_at = max(write_from(row), row.granted.at)
        late_s = (event.confirmed_at - wanted_at).total_seconds()
        metrics.grant_lateness.observe(max(0.0, late_s))
    log.info(
        "access_given",
        grant=row.grant.id,
        principal=str(row.grant.principal),
        policy=row.grant.policy,
        enforcement=enforcement,
        reason=reason,
    )


def _cause(
    row: GrantRow, defined: DefinedPolicy, drift: Mapping[str, tuple[DriftFound, int]]
) -> int:
    """What a success answers: the line, the policy's newest text, the trouble or drift before."""
    since = 0 if row.trouble is None else row.trouble.since.position
    found = [
        position
        for event, position in drift.values()
        if event.grant is not None and (event.grant.id, event.grant.turn) == row.key
    ]
    return max(row.granted.position, defined.position, since, *found)


async def refuse(
    now_in: Pass,
    row: GrantRow,
    defined: DefinedPolicy,
    cannot: CannotStand,
    state: PrincipalState,
) -> None:
    """Records why; what stands of it must not live on, since reviewers have changed it.

    What it continues has evidence of its own, and stays to its own end. Room may be made by
    somebody else's hand: what our own numbers forbid is tried again within a minute, which is
    reading. What AWS has not taken would be written for it, and waits for the next look.
    """
    answers: list[Answer] = []
    if row.grant.object is None:
        held = _held(now_in, row, state)
        answers, _ = await take_away(now_in, row.grant.principal, detach=held)
    elif (
        row.written_position is not None
        or len(same_name(now_in.view_of(row.grant.principal), row)) == 1
    ):
        answers = await _take_copies(now_in, row, defined, state)
    event = Refused(
        ref(row.grant),
        cannot.code,
        cannot.message,
        defined.position,
        requests=tuple(answer.request_id for answer in answers if answer.request_id),
    )
    written = now_in.view.object_positions.get((row.grant.team, row.grant.policy), 0)
    last = max(row.granted.position, row.written_position or 0, written)
    cause = max(last, defined.position, retried_at(row))
    await now_in.record(event, cause=cause)
    if cannot.code in TEXT_REFUSED:
        position = hangs_on(now_in.view, (row.grant.team, row.grant.policy))
        now_in.context.parking.park_until_look(row.key, now_in.now, hangs_on=position)
    else:
        now_in.park(row.key, (cannot.code, row.grant.principal.key), row=row)
    log.warning("grant_refused", grant=row.grant.id, code=cannot.code, why=cannot.message)


def _held(now_in: Pass, row: GrantRow, state: PrincipalState) -> list[str]:
    """What is attached for it, and for nobody else of ours."""
    found = droppable(now_in.view_of(row.grant.principal), [row], now_in.now, state)
    return [arn for arn in found if arn in state.attached]


async def _take_copies(
    now_in: Pass, row: GrantRow, defined: DefinedPolicy, state: PrincipalState
) -> list[Answer]:
    """Takes away all that stands for a temporary grant; of what a crash hid, that it stood is
    recorded first."""
    name = row.grant.object
    inline = [name] if name is not None and name in state.inline else []
    parts = await found_parts(now_in, row, state)
    attachments = _held(now_in, row, state)
    attached = [arn for arn in parts if arn in state.attached]
    if row.written_position is None and (inline or attached or attachments):
        made = [Made("inline", each, canonical(state.inline[each]).sha256) for each in inline]
        made += [Made("policy", arn, None) for arn in attached]
        made += [Made("attachment", arn, None) for arn in attachments]
        await record_applied(
            now_in,
            row,
            defined,
            "first",
            state=state,
            made=tuple(made),
            pins=(),
            answers=[],
            enforcement="daemon" if attachments else "aws",
        )
    refused = row.trouble is not None and row.trouble.kind == "refused"
    recorded = [made.name for made in row.made if made.kind == "policy" and not refused]
    ended, cleaned = await take_away(
        now_in,
        row.grant.principal,
        inline=inline,
        parts=tuple(dict.fromkeys([*parts, *recorded])),
        detach=attachments,
    )
    return ended + cleaned
