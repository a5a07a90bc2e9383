"""A configuration directory to try one thing in: everything valid but what a test puts there."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TypedDict, Unpack

from ledger.manifest import Manifest, Reading, read

ACCOUNTS = """\
aws-accounts:
  nonprod: "111111111111"
  prod: "222222222222"
"""
POLICIES = """\
aws-policies:
  dev.read-only:
    managed_policies: [arn:aws:iam::aws:policy/job-function/ViewOnlyAccess]
  dev.break-glass:
    custom_statements:
      - effect: Allow
        actions: ["s3:PutObject"]
        resources: ["*"]
"""
TEAM = {"aws-accounts/pay.yaml": ACCOUNTS, "aws-policies/pay.yaml": POLICIES}
PERMANENT = "permanent-access/pay.yaml"
TEMPORARY = "temporary-access/pay.yaml"


class How(TypedDict, total=False):
    """What else `read` is told; `alone`: without team `pay`'s accounts and policies."""

    folders: Collection[str]
    teams: Collection[str] | None
    now: datetime | None
    alone: bool


Files = Mapping[str, str] | Mapping[str, bytes] | Mapping[str, str | bytes]


def reading(files: Files, **how: Unpack[How]) -> Reading:
    """Reads `files` beside team `pay`'s accounts and policies."""
    alone = how.pop("alone", False)
    whole: dict[str, str | bytes] = dict(files) if alone else {**TEAM, **files}
    data = {path: text.encode() if isinstance(text, str) else text for path, text in whole.items()}
    return read(data, how.get("folders", ()), how.get("teams"), how.get("now"))


def said(files: Files, **how: Unpack[How]) -> list[str]:
    """Every problem as a person sees it."""
    return [str(problem) for problem in reading(files, **how).problems]


def accepted(files: Files, **how: Unpack[How]) -> Manifest:
    """The manifest; fails with the problems where there is none."""
    result = reading(files, **how)
    assert result.manifest is not None, [str(problem) for problem in result.problems]
    return result.manifest


def entry(text: str) -> str:
    """One entry of a temporary-access file: `text`, then whatever it leaves out."""
    given = {line.partition(":")[0] for line in text.splitlines()}
    rest = {
        "user": "ana@example.com",
        "environment": "prod",
        "grant": "dev.break-glass",
        "duration": "4h",
    }
    if given & {"role", "roles"}:
        del rest["user"]
    if given & {"expiration_date", "expires_at"}:
        del rest["duration"]
    lines = [
        *text.splitlines(),
        *(f"{k}: {v}" for k, v in rest.items() if not given & {k, f"{k}s"}),
    ]
    return "temporary-access:\n  - " + "\n    ".join(lines) + "\n"
