"""What makes two lines the same grant.

Invariant: the rule below never changes for a prefix that was once used: ids stand in the ledger and
in the names of IAM objects for ever. Another rule is another prefix.
"""

from base64 import b32encode
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import assert_never

import orjson

from ledger.codec import instant_text
from ledger.manifest.declared import End, EndsAt, LastDay, Lasts, Permanent
from ledger.model import AccountId, GrantId, Principal, Team

RULE = "iam-ledger grant 1"


@dataclass(frozen=True, slots=True)
class Meaning:
    """All that can be part of a grant's identity."""

    team: Team
    environment: str
    account: AccountId
    principal: Principal
    policy: str
    end: End
    starts_at: datetime | None = None
    """As written; None: at once."""
    ticket: str | None = None


def grant_id(of: Meaning) -> GrantId:
    """The identity of a grant: sixteen characters that hang on its meaning and on nothing else.

    The id is the first 16 characters of the lower-case base32 (RFC 4648) of the SHA-256 of this
    JSON array, without white space, in UTF-8:

    - permanent: `[RULE, "permanent", team, account, principal, policy]`
    - a last day: `[RULE, "last-day", team, account, principal, policy, starts_at, day]`
    - an end: `[RULE, "ends-at", team, account, principal, policy, starts_at, end]`
    - a duration: `[RULE, "lasts", team, environment, principal, policy, starts_at, ticket]`

    The principal is `kind/name` in lower case, without its path. Instants are RFC 3339 in UTC with
    `Z` and whole seconds, days `YYYY-MM-DD`, and what was not written is null. A duration's length
    and account are no part of it (a change must not restart the clock), nor is any description,
    order, or file.
    """
    who, begins = of.principal.key, None if of.starts_at is None else instant_text(of.starts_at)
    said: list[str | None]
    match of.end:
        case Permanent():
            said = ["permanent", of.team, of.account, who, of.policy]
        case LastDay(day):
            said = ["last-day", of.team, of.account, who, of.policy, begins, day.isoformat()]
        case EndsAt(at):
            said = ["ends-at", of.team, of.account, who, of.policy, begins, instant_text(at)]
        case Lasts():
            said = ["lasts", of.team, of.environment, who, of.policy, begins, of.ticket]
        case _:
            assert_never(of.end)
    digest = sha256(orjson.dumps([RULE, *said])).digest()
    return GrantId(b32encode(digest[:10]).decode().lower())
