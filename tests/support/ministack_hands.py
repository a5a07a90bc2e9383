"""A person's hands in the accounts of ministack, who signs there with each account's root keys."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.request import Request, urlopen

from ledger.model import AccountId
from tests.support.moto_server import MotoServer, client_of

HUB = "999999999999"
"""The account whose root the worker starts from."""


@dataclass(slots=True)
class MinistackServer(MotoServer):
    """The same hands as on moto's server."""

    def reset(self) -> None:
        request = Request(f"{self.url}/_ministack/reset", method="POST")  # noqa: S310  # our own server
        with urlopen(request, timeout=30) as answer:  # noqa: S310  # our own server
            assert answer.status == 200

    def client(self, service: str, account: AccountId) -> Any:
        return client_of(self.url, service, account, key=account, secret="test")

    def let_in(self, account: AccountId, role: str, external_id: str | None = None) -> None:
        """A role that may do everything, for whoever comes from the hub."""
        statement: dict[str, Any] = {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{HUB}:root"},
            "Action": "sts:AssumeRole",
        }
        if external_id is not None:
            statement["Condition"] = {"StringEquals": {"sts:ExternalId": external_id}}
        iam = self.iam(account)
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=_document(statement))
        everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        iam.put_role_policy(
            RoleName=role, PolicyName="everything", PolicyDocument=_document(everything)
        )


def _document(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
