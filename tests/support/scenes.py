"""One account for the contract suite, by any implementation: the way in, and a person's hands.

A scene says what stands by looking itself, never by asking the implementation under test.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from ledger.model import Account, AccountId, Principal, Team
from tests.support.fake_aws.account import FakeAccount, FakeAws
from tests.support.fake_clock import FakeClock
from tests.support.moto_server import MotoServer
from worker.account import AwsAccount, AwsTagging
from worker.aws.gate import open_gate
from worker.clock import SystemClock
from worker.metrics import Metrics

PROD = AccountId("111111111111")
ENTRY = Account(Team("payments"), "prod", PROD, "Deployer")
AWS_OWN = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
"""A policy of AWS's own that every scene has."""


class EveryCall(AwsAccount, AwsTagging, Protocol):
    """All that this program may ask of an account."""


class Scene(Protocol):
    """An empty account."""

    @property
    def aws(self) -> EveryCall:
        """What is under test."""
        ...

    def add(self, text: str, path: str = "/") -> Principal:
        """Makes a principal by hand."""
        ...

    def drop(self, principal: Principal) -> None:
        """Takes it away by hand, with all that hangs on it."""
        ...

    def inline(self, principal: Principal) -> dict[str, Any]:
        """Name -> document as JSON value."""
        ...

    def attached(self, principal: Principal) -> set[str]: ...

    def policies(self) -> dict[str, Any]:
        """ARN -> default document as JSON value, of the customer's own policies."""
        ...


@dataclass(slots=True)
class FakeScene:
    """The fake, whose calls take no time here."""

    world: FakeAws
    aws: FakeAccount

    @classmethod
    def empty(cls) -> "FakeScene":
        world = FakeAws(FakeClock(datetime(2026, 3, 2, 9, tzinfo=UTC)), latency=timedelta(0))
        world.open_account(PROD)
        older = _document("s3:Get*")
        world.publish("AmazonS3ReadOnlyAccess", older, _document("s3:Get*", "s3:List*"))
        return cls(world, FakeAccount(world, ENTRY))

    def add(self, text: str, path: str = "/") -> Principal:
        return self.world.iam(PROD).add(text, path)

    def drop(self, principal: Principal) -> None:
        self.world.iam(PROD).drop(principal)

    def inline(self, principal: Principal) -> dict[str, Any]:
        entity = self.world.iam(PROD).entities[principal.key]
        return {name: json.loads(text) for name, text in entity.inline.items()}

    def attached(self, principal: Principal) -> set[str]:
        return set(self.world.iam(PROD).entities[principal.key].attached)

    def policies(self) -> dict[str, Any]:
        return {
            policy.arn: json.loads(policy.versions[policy.default])
            for policy in self.world.iam(PROD).policies.values()
        }


@dataclass(slots=True)
class MotoScene:
    """The real account, over real wires, on moto's server."""

    server: MotoServer
    aws: EveryCall

    @classmethod
    @asynccontextmanager
    async def empty(cls, server: MotoServer) -> AsyncIterator["MotoScene"]:
        async with open_gate(
            clock=SystemClock(), replica="contract", on_call=Metrics().on_call
        ) as gate:
            yield cls(server, gate.account(ENTRY))

    def add(self, text: str, path: str = "/") -> Principal:
        return self.server.add(PROD, text, path)

    def drop(self, principal: Principal) -> None:
        self.server.drop(PROD, principal)

    def inline(self, principal: Principal) -> dict[str, Any]:
        return self.server.inline(PROD, principal)

    def attached(self, principal: Principal) -> set[str]:
        return self.server.attached(PROD, principal)

    def policies(self) -> dict[str, Any]:
        return self.server.policies(PROD)


def _document(*actions: str) -> str:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
