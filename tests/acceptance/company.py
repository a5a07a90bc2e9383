"""A company with two teams and three accounts, and what its repository says in each commit."""

from datetime import datetime

from ledger.codec import instant_text
from ledger.model import AccountId, Principal, parse_principal
from tests.support.moto_server import MotoServer

PROD, STAGING, ANALYTICS = (AccountId(str(n) * 12) for n in (1, 2, 3))

PEOPLE = {
    PROD: ("user/ana", "user/ben", "role/deploy"),
    STAGING: ("user/ana", "user/ben", "role/deploy"),
    ANALYTICS: ("user/chloe", "group/analysts"),
}
"""Who stands in each account before anything is granted."""

EXTERNAL_ID = "known-to-payments-and-nobody-else"
AWS = "arn:aws:iam::aws:policy/"


def populate(moto: MotoServer) -> None:
    for account, principals in PEOPLE.items():
        for principal in principals:
            moto.add(account, principal)


def ours(account: AccountId, name: str) -> str:
    return f"arn:aws:iam::{account}:policy/iam-ledger/{name}"


ACCOUNTS = {
    "aws-accounts/payments.yaml": f"""\
aws-accounts:
  prod:
    id: "{PROD}"
    external_id: {EXTERNAL_ID}
  staging:
    id: "{STAGING}"
    external_id: {EXTERNAL_ID}
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
  survey:
    description: Much too large for a timed copy
    managed_policies: ["{AWS}SecurityAudit"]
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
    """Three windows on production and staging, one by duration in analytics."""
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
        "temporary-access/data.yaml": """\
temporary-access:
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
