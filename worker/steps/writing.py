"""Giving access: customer-managed policies first, then the grants of one principal after another.

Before anything is added to a principal its own lists are read. What stands already as wanted is not
written again, so that a crash between a call and its evidence costs one reading. Nothing is written
that would not fit; the numbers are recorded instead.
"""

from datetime import datetime

from ledger.project import GrantRow
from worker.account import PrincipalState
from worker.deciding.desired import same_principal
from worker.deciding.plan import Reason, WriteGrant
from worker.errors import AwsMissing
from worker.iam.forms import CannotStand
from worker.steps.drifting import tell_remade
from worker.steps.outcomes import refuse
from worker.steps.passing import Pass, retried_at
from worker.steps.permanent import write_permanent
from worker.steps.removing import remove_due
from worker.steps.temporary import write_temporary
from worker.timing import writable

SERVICE_PATHS = ("/aws-service-role/", "/aws-reserved/")
"""Roles that AWS keeps for itself and nobody may change (IAM user guide, service-linked roles)."""


async def write_grants(now_in: Pass, steps: tuple[WriteGrant, ...]) -> None:
    """Carries out `steps`, principal by principal, removals that come due always first.

    What has met weather comes behind what has not.
    """

    def turn(step: WriteGrant) -> tuple[datetime, str, int]:
        row = step.row
        last = now_in.context.parking.turn(row.key)
        return last, row.grant.principal.key, row.granted.position

    for step in sorted(steps, key=turn):
        now_in.check_adding()
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
    if not (same_principal(row, state) or again_for_new(row)):
        await tell_remade(now_in, row, state)
        return
    try:
        _check_principal(now_in, state)
        if row.grant.temporary:
            await write_temporary(now_in, row, defined, state, reason)
        else:
            await write_permanent(now_in, row, defined, state, reason)
    except CannotStand as cannot:
        await refuse(now_in, row, defined, cannot, state)


def again_for_new(row: GrantRow) -> bool:
    """Whether one of that name that is another than was written to gets what the old one had."""
    return row.grant.principal.facts.given_again or retried_at(row) > 0


def _check_principal(now_in: Pass, state: PrincipalState) -> None:
    """What the declared name could not tell: the real path."""
    settings = now_in.view.settings
    principal = state.principal
    if principal.path.startswith(SERVICE_PATHS):
        raise CannotStand("service-role", f"{principal} is AWS's own role and cannot be changed")
    if settings is None:
        return
    if not principal.matches(settings.managed_principals):
        raise CannotStand(
            "unmanaged", f"{principal} under {principal.path} is outside `managed_principals`"
        )
    if principal.matches(settings.protected_principals):
        raise CannotStand(
            "protected", f"{principal} under {principal.path} is in `protected_principals`"
        )
