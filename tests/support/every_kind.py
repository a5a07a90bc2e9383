"""One event of every kind, each field filled with what could really stand there."""

from dataclasses import replace
from datetime import timedelta

from ledger.events import (
    AccountMapped,
    AccountUnmapped,
    Adopted,
    Applied,
    DriftFound,
    DriftRepaired,
    Event,
    Granted,
    GrantRef,
    Held,
    Ingested,
    Left,
    Made,
    Pin,
    PolicyDefined,
    PolicyDeleted,
    PolicyRetired,
    PolicyWritten,
    Refused,
    Released,
    Removed,
    RetryRequested,
    Revoked,
    SettingsChanged,
    Settled,
    Sighted,
    Stuck,
    Unstuck,
    Word,
    ref,
)
from ledger.model import Account, GrantId, Policy
from tests.support.histories import NOON, PROD, TEAM, after, grant

ACCOUNT = Account(TEAM, "prod", PROD, "guard/Deployer", "x-77")
POLICY = Policy(
    TEAM,
    "fix",
    "payments-fix",
    '{"Statement":[{"Action":"s3:*","Effect":"Allow","Resource":"*"}],"Version":"2012-10-17"}',
    ("arn:aws:iam::aws:policy/ReadOnlyAccess",),
    "Répare “tout” – ☃ 😀",
    28_800,
)
TEMPORARY = grant(
    "aaaaaaaaaaaaaaaa",
    ends=after(4),
    turn=2,
    continues=(GrantId("bbbbbbbbbbbbbbbb"), 1),
    ticket="OPS-1234",
    description="to mend it",
)
PERMANENT = grant("cccccccccccccccc", "role/CI-deployer", policy="look")
WORD = Word("olga", "left the company", "olga", "bastion", None)
CONFIRMED = NOON + timedelta(seconds=3, microseconds=250_001)
INLINE = Made("inline", "iam-ledger-aaaaaaaaaaaaaaaa", "ab" * 32)
OURS = Made("policy", "arn:aws:iam::111111111111:policy/iam-ledger/payments-fix", "cd" * 32)
FOREIGN = Made("attachment", "arn:aws:iam::aws:policy/ReadOnlyAccess", None)
REQUESTS = ("req-1", "req-2")
OBJECT = "inline user/ana iam-ledger-aaaaaaaaaaaaaaaa"

_TEMPORARY: GrantRef = ref(TEMPORARY)
_PERMANENT: GrantRef = ref(PERMANENT)

EVERY_KIND: tuple[Event, ...] = (
    AccountMapped(ACCOUNT),
    AccountUnmapped(ACCOUNT),
    PolicyDefined(POLICY),
    PolicyRetired(TEAM, "fix", "payments-fix"),
    SettingsChanged("/iam-ledger/", "warn", ("user/*",), ("role/guard/*",), "local-part"),
    Granted(PERMANENT),
    Granted(TEMPORARY),
    Revoked(_TEMPORARY, "replaced", after(-1), "hold-1"),
    Held("hold-1", TEMPORARY.principal, PROD, "fix", TEAM, WORD),
    Released("hold-1", TEMPORARY.principal, None, None, None, None),
    Ingested((TEAM,), "1a2b3c4d5e6f70819203a4b5c6d7e8f901234567", True, 3, 1, 2, 2),
    RetryRequested(_TEMPORARY, WORD),
    Settled(_TEMPORARY, WORD),
    Adopted(PROD, TEAM, "fix", OURS.name, TEMPORARY.principal, WORD),
    Sighted(_PERMANENT, FOREIGN.name, True),
    Applied(
        _TEMPORARY, (INLINE,), "aws", (Pin(FOREIGN.name, "v3", "ef" * 32),), 3, REQUESTS, CONFIRMED
    ),
    Removed(_TEMPORARY, "expired", "found_absent", 412_345, REQUESTS, CONFIRMED, (PERMANENT.id,)),
    Left(_PERMANENT, (FOREIGN,), CONFIRMED),
    PolicyWritten(PROD, TEAM, "fix", OURS, 3, REQUESTS, CONFIRMED),
    PolicyDeleted(PROD, TEAM, "fix", OURS.name, "answered", REQUESTS, CONFIRMED),
    Refused(_TEMPORARY, "TooLarge", "2,100 of 2,048 characters", 3),
    Stuck(PROD, "AccessDenied", "not allowed to sts:AssumeRole", None, TEAM, "fix"),
    Unstuck(PROD, _TEMPORARY),
    DriftFound(PROD, "altered", OBJECT, _TEMPORARY, TEAM, "fix", CONFIRMED, "user/eve"),
    DriftRepaired(PROD, OBJECT, "written", None, None, None, CONFIRMED),
)

SAID_LATER: tuple[Event, ...] = (
    PolicyDefined(replace(POLICY, allow_dangerous="it is the break-glass")),
    PolicyDefined(replace(POLICY, require_mfa=True)),
    PolicyDefined(replace(POLICY, enforcement="daemon", allow_dangerous="as above")),
    Applied(_PERMANENT, (FOREIGN,), None, (), 3, REQUESTS, CONFIRMED, "AROAEXAMPLE"),
    DriftFound(
        PROD, "missing", OBJECT, _TEMPORARY, None, None, CONFIRMED, None, principal_id="AIDAEXAMPLE"
    ),
    DriftFound(PROD, "missing", OBJECT, _TEMPORARY, None, None, CONFIRMED, None, nothing_left=True),
    SettingsChanged("/iam-ledger/", "repair", ("user/*",), (), "email", 5, 10),
    AccountMapped(replace(ACCOUNT, source_identity="iam-ledger")),
    Left(_PERMANENT, (FOREIGN,), CONFIRMED, REQUESTS),
    Refused(_TEMPORARY, "inline-budget", "2,100 of 2,048 characters", 3, REQUESTS),
    DriftRepaired(PROD, OBJECT, "written", _TEMPORARY, None, None, CONFIRMED, REQUESTS),
    DriftFound(PROD, "altered", OBJECT, _TEMPORARY, None, None, CONFIRMED, None, loosened=True),
)
"""What later versions came to say, each with its new fields filled: appended to, never changed."""
