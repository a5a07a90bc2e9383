"""What makes two lines the same grant.

Invariant: the rule below never changes for a prefix that was once used: ids stand in the ledger and
in the names of IAM objects for ever. Another rule is another prefix.
"""

from base64 import b32encode
from datetime import datetime
from hashlib import sha256
from typing import assert_never

import orjson

from ledger.codec import instant_text
from ledger.manifest.declared import End, EndsAt, LastDay, Lasts, Permanent
from ledger.model import AccountId, GrantId, Principal, Team

RULE = "iam-ledger grant 1"


def grant_id(
    team: Team,
    place: tuple[str, AccountId],
    principal: Principal,
    policy: str,
    end: End,
    starts_at: datetime | None = None,
    ticket: str | None = None,
) -> GrantId:
    """The identity of a grant: sixteen characters that hang on its meaning and on nothing else.

    `place` is the environment's name and its account. The id is the first 16 characters of the
    lower-case base32 (RFC 4648) of the SHA-256 of this JSON array, without white space, in UTF-8:

    - permanent: `[RULE, "permanent", team, account, principal, policy]`
    - a last day: `[RULE, "last-day", team, account, principal, policy, starts_at, day]`
    - an end: `[RULE, "ends-at", team, account, principal, policy, starts_at, end]`
    - a duration: `[RULE, "lasts", team, environment, principal, policy, starts_at, ticket]`

    The principal is `kind/name` in lower case, without its path. Instants are RFC 3339 in UTC with
    `Z` and whole seconds, days `YYYY-MM-DD`, and what was not written is null. A duration's length
    and account are no part of it (a change must not restart the clock), nor is any description,
    order, or file.
    """
    environment, account = place
    begins = None if starts_at is None else instant_text(starts_at)
    meaning: list[str | None]
    match end:
        case Permanent():
            meaning = ["permanent", team, account, principal.key, policy]
        case LastDay(day):
            meaning = ["last-day", team, account, principal.key, policy, begins, day.isoformat()]
        case EndsAt(at):
            meaning = ["ends-at", team, account, principal.key, policy, begins, instant_text(at)]
        case Lasts():
            meaning = ["lasts", team, environment, principal.key, policy, begins, ticket]
        case _:
            assert_never(end)
    digest = sha256(orjson.dumps([RULE, *meaning])).digest()
    return GrantId(b32encode(digest[:10]).decode().lower())
