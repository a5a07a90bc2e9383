"""`drift: repair`, and what is put right whatever the settings say: pure.

Invariant: what somebody took away stays away under `warn`, and nothing is put right twice for one
finding. Beyond the brake nothing is taken away at all: that many strangers are a person's business.
"""

from datetime import datetime

from ledger.model import PERCENT_FROM, GrantId
from ledger.project import REMADE, GrantRow
from ledger.state import AccountView
from worker.deciding.desired import arn_prefix
from worker.deciding.drift import Difference, Kind, policy_text
from worker.errors import AwsRefused

BRAKE = "drift-brake"
BRAKE_SHARE = "drift-brake-share"
"""Held by the share, and not by the number alone."""


def repairing(view: AccountView) -> bool:
    """Whether people want what is not as declared put right."""
    return view.settings is not None and view.settings.drift == "repair"


def again(view: AccountView, row: GrantRow) -> bool:
    """Whether what is missing of `row` is given again without a person's word."""
    if row.trouble is not None and row.trouble.code == REMADE:
        return row.grant.principal.facts.given_again
    return repairing(view)


def remade(view: AccountView, row: GrantRow) -> bool:
    """Whether its principal is known to have been made anew since it was written."""
    if row.trouble is not None and row.trouble.code == REMADE:
        return True
    return any(
        event.principal_id is not None
        and event.grant is not None
        and (event.grant.id, event.grant.turn) == row.key
        and position > (row.written_position or 0)
        for event, position in view.drift.values()
    )


def drifted_grants(view: AccountView) -> dict[tuple[GrantId, int], Kind]:
    """The grants to be written again, by the worst that was found since they were written last.

    Under `warn` only where an end was loosened, and nothing of the grant was taken away: what is
    missing would be given back with it.
    """
    written = {row.key: row.written_position or 0 for row in view.rows}
    found: dict[tuple[GrantId, int], set[Kind]] = {}
    loosened: set[tuple[GrantId, int]] = set()
    for event, position in view.drift.values():
        key = None if event.grant is None else (event.grant.id, event.grant.turn)
        if key is None or event.drift == "extra" or position < written.get(key, position):
            continue
        found.setdefault(key, set()).add(event.drift)
        if event.loosened:
            loosened.add(key)
    everything = repairing(view)
    return {
        key: "missing" if "missing" in kinds else "altered"
        for key, kinds in found.items()
        if everything or (key in loosened and "missing" not in kinds)
    }


def drifted_policy(view: AccountView, arn: str, written: int) -> Kind | None:
    """Whether a team's policy is to be written again, which was written last at `written`."""
    known = view.drift.get(policy_text(arn))
    if known is None or not repairing(view) or known[1] < written or known[0].drift == "extra":
        return None
    return known[0].drift


def removable(view: AccountView, extra: Difference) -> bool:
    """Whether what nobody's grant explains is taken away under `repair`.

    A policy that was taken over hung on others before us: `adopt` lists them, and promises that
    what no line explains is never touched.
    """
    if extra.principal is None or extra.name is None:
        return False
    return not extra.name.startswith("arn:") or extra.name.startswith(arn_prefix(view))


def braked(view: AccountView, number: int, now: datetime) -> AwsRefused | None:
    """Why a person must look before `number` objects are taken away; None: they may be.

    What the share has held goes by its share from then on: that fewer are left is nobody's word.
    """
    settings = view.settings
    if settings is None or number == 0:
        return None
    live = sum(1 for row in view.rows if row.live(now))
    count, percent = settings.max_revocations_count, settings.max_revocations_percent
    before = view.stuck.get(("", ""))
    held = before is not None and before.code == BRAKE_SHARE
    share = (held or number >= PERCENT_FROM) and 100 * number > percent * live
    if number <= count and not share:
        return None
    limit = f"{count}" if number > count else f"{percent} % of the {live} grants in force here"
    return AwsRefused(
        BRAKE if number > count else BRAKE_SHARE,
        f"{number} objects under our names are nobody's by this ledger, more than {limit}; none of "
        "them was taken away. `iam-ledger status` lists them: remove by hand what does not belong, "
        "or raise `max_revocations`",
    )
