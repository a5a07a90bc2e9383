"""The policies of AWS's own that can be attached, as moto ships them."""

import json
from functools import cache
from typing import Any

NOBODYS = ("/aws-service-role/", "/root-task/")
"""Paths of AWS-managed policies that AWS attaches itself, or for one root task only."""


@cache
def every_policy() -> dict[str, dict[str, Any]]:
    """All of them by name, as IAM tells them."""
    from moto.iam.aws_managed_policies import aws_managed_policies_data

    found: dict[str, dict[str, Any]] = json.loads(aws_managed_policies_data)
    return found


@cache
def attachable() -> dict[str, str]:
    """Name -> document, of those that a person may attach."""
    return {
        name: json.dumps(policy["Document"])
        for name, policy in every_policy().items()
        if policy["Path"] not in NOBODYS
    }
