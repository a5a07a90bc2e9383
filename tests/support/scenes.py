"""One account for the contract suite, by any implementation: the way in, and a person's hands.

A scene says what stands by looking itself, never by asking the implementation under test.
"""

import itertools
import json
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from ledger.model import Account, AccountId, Principal, Team
from tests.support.fake_aws.account import FakeAccount, FakeAws
from tests.support.fake_clock import FakeClock
from tests.support.moto_server import MotoServer
from worker.account import AwsAccount, AwsTagging
from worker.aws.gate import AwsGate, open_gate
from worker.clock import SystemClock
from worker.metrics import Metrics

PROD = AccountId("111111111111")
ENTRY = Account(Team("payments"), "prod", PROD, "Deployer")
AWS_OWN = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
"""A policy of AWS's own that every scene has."""


class EveryCall(AwsAccount, AwsTagging, Protocol):
    """All that this program may ask of an account."""


class Scene(Protocol):
    """An account with nothing in it but, where one has to be there, the role that leads in."""

    name: str
    """By whom it is played: `fake`, `moto` or `ministack`."""

    @property
    def aws(self) -> EveryCall:
        """What is under test."""
        ...

    def way(self, entry: Account) -> AwsAccount:
        """Another way in."""
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
    name: str = "fake"

    @classmethod
    def empty(cls) -> "FakeScene":
        world = FakeAws(FakeClock(datetime(2026, 3, 2, 9, tzinfo=UTC)), latency=timedelta(0))
        world.open_account(PROD)
        older = _document("s3:Get*")
        world.publish("AmazonS3ReadOnlyAccess", older, _document("s3:Get*", "s3:List*"))
        return cls(world, FakeAccount(world, ENTRY))

    def way(self, entry: Account) -> AwsAccount:
        return FakeAccount(self.world, entry)

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


_NUMBERS = itertools.count(1)


@dataclass(slots=True)
class Gates:
    """The way into each server, opened when first asked for."""

    stack: AsyncExitStack
    _opened: dict[str, AwsGate] = field(default_factory=dict)

    async def to(self, server: MotoServer) -> AwsGate:
        """The environment has to lead there."""
        if server.url not in self._opened:
            opening = open_gate(clock=SystemClock(), replica="contract", on_call=Metrics().on_call)
            self._opened[server.url] = await self.stack.enter_async_context(opening)
        return self._opened[server.url]


@dataclass(slots=True)
class ServerScene:
    """The real account, over real wires, on somebody else's server."""

    server: MotoServer
    gate: AwsGate
    aws: EveryCall
    name: str

    @classmethod
    def empty(cls, server: MotoServer, name: str, gate: AwsGate) -> "ServerScene":
        """By a way in that nobody has gone yet: the server has forgotten all keys of the others."""
        entry = replace(ENTRY, external_id=f"contract-{next(_NUMBERS)}")
        return cls(server, gate, gate.account(entry), name)

    def way(self, entry: Account) -> AwsAccount:
        return self.gate.account(entry)

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
