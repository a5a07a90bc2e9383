"""What no account can hold, by the files alone: pure; `validate` and `ingest` refuse it.

Invariant: what hangs on an account (its free room, what AWS's own policies say) is not judged here.
"""

from datetime import UTC, datetime

from ledger.model import Policy
from worker.iam.documents import MANAGED_CHARS_MAX, NotCopyable, minify, own_document, timed_copy
from worker.iam.packing import split

PARTS_MAX = 20
"""More managed policies than this no user can have, whatever its quota was raised to (IAM and STS
quotas)."""

_ANY_DATE = datetime(2026, 1, 1, tzinfo=UTC)
"""Every end is written in the same number of characters, so that any of them gives the size."""


def refusal_of(policy: Policy, temporary: bool, inline_chars_max: int) -> str | None:
    """Why no document can ever be written for such a grant, whatever the account; None: it can.

    `temporary`: timed copies for a principal with room for `inline_chars_max` characters; else the
    customer-managed policy. What AWS's own policies hold is known to the worker only.
    """
    if policy.document is None:
        return None
    if not temporary:
        return _own_refusal(policy)
    if policy.enforcement == "daemon":
        return None  # what cannot be timed is attached, and that has been looked at
    try:
        timed = timed_copy([policy.document], ends_at=_ANY_DATE, mfa=policy.require_mfa)
        size = minify(timed).size
        if size <= inline_chars_max or len(split(timed, MANAGED_CHARS_MAX)) <= PARTS_MAX:
            return None
    except NotCopyable as reason:
        return f"policy `{policy.name}` cannot be granted for a time: {reason}"
    return (
        f"the timed copy of policy `{policy.name}` takes {size:,} characters; no principal has "
        f"room for more than {PARTS_MAX} managed policies of {MANAGED_CHARS_MAX:,}: grant a "
        "smaller policy"
    )


def _own_refusal(policy: Policy) -> str | None:
    try:
        size = own_document(policy).size
    except NotCopyable as reason:
        return f"policy `{policy.name}` cannot be written: {reason}"
    if size <= MANAGED_CHARS_MAX:
        return None
    return (
        f"the statements of policy `{policy.name}` take {size:,} characters; a managed policy "
        f"in IAM has room for {MANAGED_CHARS_MAX:,}: split it into two policies"
    )
