"""A company with two teams and three accounts, and what its repository says in each commit."""

from datetime import datetime

from ledger.codec import instant_text
from ledger.model import AccountId, Principal, parse_principal
from tests.support.moto_server import MotoServer
from tests.support.seed import InMoto, Seed

PROD, STAGING, ANALYTICS = (AccountId(str(n) * 12) for n in (1, 2, 3))

PEOPLE = {
    PROD: ("user/ana", "user/ben", "role/deploy"),
    STAGING: ("user/ana", "user/ben", "role/deploy"),
    ANALYTICS: ("user/chloe", "user/dora", "group/analysts"),
}
"""Who stands in each account before anything is granted."""

LEFTOVER = "temp-data-rows"
"""What the scripts before us left on dora, long over."""

EXTERNAL_ID = "known-to-payments-and-nobody-else"
SOURCE_IDENTITY = "iam-ledger"
AWS = "arn:aws:iam::aws:policy/"


def populate(moto: MotoServer) -> None:
    """People in three accounts, and what the scripts before us had made in one of them."""
    for account, principals in PEOPLE.items():
        for text in principals:
            moto.add(account, text)
    scripts = Seed(InMoto(moto, ANALYTICS), "data")
    scripts.permanent([principal("group/analysts")], [scripts.policy("query")])
    assert scripts.temporary(principal("user/dora"), "rows", "2025-11-30") == LEFTOVER


def ours(account: AccountId, name: str) -> str:
    return f"arn:aws:iam::{account}:policy/iam-ledger/{name}"


ACCOUNTS = {
    "aws-accounts/payments.yaml": f"""\
aws-accounts:
  prod:
    id: "{PROD}"
    external_id: {EXTERNAL_ID}
    source_identity: {SOURCE_IDENTITY}
  staging:
    id: "{STAGING}"
    external_id: {EXTERNAL_ID}
    source_identity: {SOURCE_IDENTITY}
""",
    "aws-accounts/data.yaml": f"""\
aws-accounts:
  analytics: "{ANALYTICS}"
""",
}

OLD_POLICY = """\
  queue:
    description: Nobody asks for it
    custom_statements:
      - effect: Allow
        actions: ["sqs:ReceiveMessage"]
        resources: ["*"]
"""


def policies(*, old: bool) -> dict[str, str]:
    return {
        "aws-policies/payments.yaml": f"""\
aws-policies:
  look:
    description: Only policies of AWS's own
    managed_policies: ["{AWS}ReadOnlyAccess"]
  deploy:
    managed_policies: ["{AWS}AmazonS3ReadOnlyAccess"]
    custom_statements:
      - effect: Allow
        actions: ["s3:PutObject", "s3:DeleteObject"]
        resources: ["arn:aws:s3:::artifacts/*"]
  break-glass:
    managed_policies: ["{AWS}PowerUserAccess"]
{OLD_POLICY if old else ""}""",
        "aws-policies/data.yaml": f"""\
aws-policies:
  query:
    managed_policies: ["{AWS}CloudWatchReadOnlyAccess"]
    custom_statements:
      - effect: Allow
        actions: ["athena:StartQueryExecution"]
        resources: ["*"]
  rows:
    custom_statements:
      - effect: Allow
        actions: ["athena:GetQueryResults"]
        resources: ["*"]
  audit:
    description: Too large for one inline policy
    managed_policies: ["{AWS}SecurityAudit"]
  watch:
    description: Too large for any timed copy, so that only the worker ends it
    managed_policies: ["{AWS}ReadOnlyAccess"]
    enforcement: daemon
  survey:
    description: Too large for any timed copy
    managed_policies: ["{AWS}ReadOnlyAccess"]
""",
    }


def standing(*, ben: str = "prod, staging", look: str = "look") -> dict[str, str]:
    return {
        "permanent-access/payments.yaml": f"""\
permanent-access:
  - description: The team may look
    users: [ana@example.com]
    environments: [prod, staging]
    grants: [{look}]
  - description: Ben too
    users: [ben@example.com]
    environments: [{ben}]
    grants: [look]
  - description: The pipeline
    roles: [deploy]
    environments: [prod, staging]
    grants: [deploy]
""",
        "permanent-access/data.yaml": """\
permanent-access:
  - description: Analysts ask the warehouse
    groups: [analysts]
    environments: [analytics]
    grants: [query]
""",
    }


def windows(*, ana: datetime, ben: datetime) -> dict[str, str]:
    """Three windows on production and staging; in analytics one by duration, and two large ones."""
    return {
        "temporary-access/payments.yaml": f"""\
temporary-access:
  - description: Payments are stuck
    user: ana@example.com
    environment: prod
    grant: break-glass
    expires_at: {instant_text(ana)}
    ticket: OPS-1
  - description: The pipeline repairs staging
    role: deploy
    environment: staging
    grant: break-glass
    expires_at: {instant_text(ana)}
  - description: Ben helps
    user: ben@example.com
    environment: prod
    grant: break-glass
    expires_at: {instant_text(ben)}
""",
        "temporary-access/data.yaml": f"""\
temporary-access:
  - description: Dora audits
    user: dora@example.com
    environment: analytics
    grant: audit
    expires_at: {instant_text(ana)}
  - description: Dora watches
    user: dora@example.com
    environment: analytics
    grant: watch
    expires_at: {instant_text(ana)}
  - description: Chloe reads results
    user: chloe@example.com
    environment: analytics
    grant: rows
    duration: 2h
""",
    }


UNLUCKY = """\
  - description: Too large for what IAM has room for
    user: chloe@example.com
    environment: analytics
    grant: survey
    duration: 2h
  - description: Nobody has made this user
    user: nobody@example.com
    environment: analytics
    grant: rows
    duration: 2h
"""


def encoded(*parts: dict[str, str]) -> dict[str, bytes]:
    """All of them as one directory."""
    return {path: text.encode() for part in parts for path, text in part.items()}


def principal(text: str) -> Principal:
    return parse_principal(text)
