"""The YAML of the demo's three teams, and the pull request that comes later."""

from datetime import datetime
from pathlib import Path

from cli.instants import shown

PRODUCTION, STAGING, ANALYTICS = "111111111111", "222222222222", "333333333333"

PEOPLE = {
    PRODUCTION: ("user/ana", "user/ben", "role/deploy"),
    STAGING: ("user/ana", "user/ben", "role/deploy"),
    ANALYTICS: ("user/chloe", "group/analysts"),
}
"""Who stands in each account before anything is granted."""

MISTAKE = "payments.read-onyl"
MEANT = "payments.read-only"

TEAMS = {
    "aws-accounts/payments.yaml": f"""\
aws-accounts:
  prod: "{PRODUCTION}"
  staging: "{STAGING}"
""",
    "aws-policies/payments.yaml": """\
aws-policies:
  payments.read-only:
    description: See everything, change nothing
    managed_policies: ["arn:aws:iam::aws:policy/ReadOnlyAccess"]
  payments.break-glass:
    description: For the hour in which looking is not enough
    managed_policies: ["arn:aws:iam::aws:policy/PowerUserAccess"]
    max_duration: 8h
    allow_dangerous: Two people are on call, and each hour of it is asked for here
""",
    "permanent-access/payments.yaml": f"""\
permanent-access:
  - description: The team may look
    users: [ana@example.com, ben@example.com]
    environments: [prod, staging]
    grants: [{MISTAKE}]
""",
    "aws-accounts/platform.yaml": f"""\
aws-accounts:
  prod: "{PRODUCTION}"
  staging: "{STAGING}"
""",
    "aws-policies/platform.yaml": """\
aws-policies:
  artifacts:
    description: Read and write what is deployed
    custom_statements:
      - effect: Allow
        actions: ["s3:GetObject", "s3:PutObject"]
        resources: ["arn:aws:s3:::artifacts/*"]
""",
    "permanent-access/platform.yaml": """\
permanent-access:
  - description: The pipeline deploys
    roles: [deploy]
    environments: [prod, staging]
    grants: [artifacts]
""",
    "aws-accounts/data.yaml": f"""\
aws-accounts:
  analytics: "{ANALYTICS}"
""",
    "aws-policies/data.yaml": """\
aws-policies:
  query:
    description: Ask the warehouse
    managed_policies: ["arn:aws:iam::aws:policy/AmazonAthenaFullAccess"]
""",
    "permanent-access/data.yaml": """\
permanent-access:
  - description: Analysts ask the warehouse
    groups: [analysts]
    environments: [analytics]
    grants: [query]
""",
    "temporary-access/data.yaml": """\
temporary-access:
  - description: Chloe covers for the analysts today
    user: chloe@example.com
    environment: analytics
    grant: query
    duration: 4h
""",
}


def write_teams(config: Path) -> None:
    """What the three teams declare, one mistake among it."""
    for name, text in TEAMS.items():
        path = config / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def mend(config: Path) -> None:
    """The mistake is corrected."""
    path = config / "permanent-access/payments.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace(MISTAKE, MEANT), encoding="utf-8")


def request(ends_at: datetime) -> str:
    """The four lines of Ana's pull request, and why."""
    return f"""\
temporary-access:
  - description: Payments are stuck
    user: ana@example.com
    environment: prod
    grant: payments.break-glass
    expires_at: {shown(ends_at)}
    ticket: OPS-1234
"""
