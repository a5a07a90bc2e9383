"""What an editor says about each key of the YAML: a sentence, and how it may be written.

Pure. Invariant: words only. What a key may hold is never said here but by its parser's own tables,
from which `schemas` takes it.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Said:
    about: str
    examples: tuple[object, ...] = ()


ACCOUNTS: dict[str, Said] = {
    "id": Said("The account, 12 digits in quotes.", ("123456789012",)),
    "deployer_role": Said(
        "The role that the worker assumes in this account, by name or path/name. Default: that of "
        "the settings.",
        ("AWSSelfServeDeployer",),
    ),
    "external_id": Said("Sent with AssumeRole, where the role asks for it.", ("known-to-us",)),
    "source_identity": Said(
        "Set with AssumeRole, and kept by AWS in all that the worker does.", ("iam-ledger",)
    ),
}

POLICIES: dict[str, Said] = {
    "description": Said("What it is for, in words.", ("Look, and touch nothing",)),
    "managed_policies": Said(
        "ARNs of policies that AWS manages. What is your own goes into custom_statements.",
        (["arn:aws:iam::aws:policy/ReadOnlyAccess"],),
    ),
    "custom_statements": Said(
        "Statements as IAM has them, in lower case.",
        ([{"effect": "Allow", "actions": ["s3:GetObject"], "resources": ["*"]}],),
    ),
    "max_duration": Said("The longest that anybody may have it for a time.", ("8h", "1d12h")),
    "require_mfa": Said("Each Allow asks for a session that was begun with a second factor."),
    "enforcement": Said(
        "Who may end a temporary grant. aws (the default): what AWS cannot end by a date is "
        "refused. daemon: it is attached all the same, and only the worker ends it."
    ),
    "allow_dangerous": Said(
        "Why it may allow what could be used to get more, in a sentence.",
        ("Two people are on call, and each hour is asked for by pull request",),
    ),
}

STATEMENT: dict[str, Said] = {
    "sid": Said("A name, unique in its policy: letters and digits.", ("Buckets",)),
    "effect": Said("Allow or Deny. A policy with a Deny cannot be granted for a time."),
    "actions": Said("service:Action, * for any characters.", (["s3:GetObject", "s3:List*"],)),
    "not_actions": Said("Every action but these.", (["iam:*"],)),
    "resources": Said("ARNs, or *.", (["arn:aws:s3:::artifacts/*"], ["*"])),
    "not_resources": Said("Every resource but these.", (["arn:aws:s3:::payroll/*"],)),
    "conditions": Said(
        "Operator, condition key, values: as IAM has them.",
        ({"StringEquals": {"aws:RequestedRegion": "eu-west-1"}},),
    ),
}

ACCESS: dict[str, Said] = {
    "description": Said("Why, in words. Kept in the ledger for ever.", ("Payments are stuck",)),
    "environment": Said("One environment, as aws-accounts names it.", ("prod",)),
    "environments": Said("Environments, as aws-accounts names them.", (["staging", "prod"],)),
    "grant": Said("One policy, as aws-policies names it.", ("payments.read-only",)),
    "grants": Said("Policies, as aws-policies names them.", (["payments.read-only"],)),
    "expiration_date": Said(
        "The last day of access, whole, in the settings' time zone. Or expires_at, or duration.",
        ("2030-01-31",),
    ),
    "expires_at": Said(
        "The instant at which access ends, with its offset. Or expiration_date, or duration.",
        ("2030-01-31T14:30:00+01:00", "2030-01-31T13:30Z"),
    ),
    "duration": Said(
        "How long, from starts_at or else from the ingest on. Or expires_at, or expiration_date.",
        ("4h", "1d2h30m"),
    ),
    "starts_at": Said(
        "The instant at which access begins, with its offset. Default: at once.",
        ("2030-01-28T08:00:00Z",),
    ),
    "ticket": Said("Kept in the ledger for ever.", ("OPS-1234",)),
}

SETTINGS: dict[str, Said] = {
    "deployer_role": Said(
        "The role that the worker assumes in every account, by name or path/name.",
        ("AWSSelfServeDeployer",),
    ),
    "policy_path": Said(
        "Under which policies are made in IAM. Cannot change once a policy or grant was ingested.",
        ("/iam-ledger/",),
    ),
    "max_temporary_days": Said("How many days ahead an end may lie.", (6,)),
    "time_zone": Said("In which an expiration_date ends.", ("UTC", "Europe/Berlin")),
    "user_names": Said(
        "How an address becomes an IAM user: ana@example.com is ana (local-part), or named whole "
        "(email). Cannot change once a grant was ingested."
    ),
    "drift": Said("What the worker does about what others changed: tell it, or put it right."),
    "dangerous": Said("A policy that could give more than it says, without allow_dangerous."),
    "max_revocations": Said(
        "The brake: more accesses than this ending at once need a person's word.",
        ({"count": 20, "percent": 50},),
    ),
    "managed_principals": Said(
        "Who may be granted anything: kind/pattern, * for any characters.", (["user/*"],)
    ),
    "protected_principals": Said(
        "Who is never granted anything: kind/pattern, * for any characters.",
        (["user/break-glass-*", "role/guard/*"],),
    ),
}
