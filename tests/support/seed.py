"""Accounts as the scripts before us left them: what their README says that `apply.py` does.

Custom statements are a customer-managed policy `{team}-{policy}` under `/`; permanent access is
that and the managed policies attached; temporary access is an inline `temp-…` with a date on a
user, and the managed policies attached to them with no end at all.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from ledger.model import AccountId, Principal
from tests.support.fake_aws.iam import Iam
from tests.support.moto_server import MotoServer

STATEMENT = {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["*"]}
DOCUMENT = {"Version": "2012-10-17", "Statement": [STATEMENT]}


class Hands(Protocol):
    """What the scripts call, in one account."""

    def create_policy(self, name: str, document: str) -> str: ...

    def attach(self, principal: Principal, arn: str) -> None: ...

    def put_inline(self, principal: Principal, name: str, document: str) -> None: ...


@dataclass(frozen=True, slots=True)
class InFake:
    iam: Iam

    def create_policy(self, name: str, document: str) -> str:
        arn = self.iam.create_policy(name, "/", document, {})
        assert arn is not None
        return arn

    def attach(self, principal: Principal, arn: str) -> None:
        self.iam.attach(principal, arn)

    def put_inline(self, principal: Principal, name: str, document: str) -> None:
        self.iam.put_inline(principal, name, document)


@dataclass(frozen=True, slots=True)
class InMoto:
    server: MotoServer
    account: AccountId

    def create_policy(self, name: str, document: str) -> str:
        iam = self.server.iam(self.account)
        return str(iam.create_policy(PolicyName=name, PolicyDocument=document)["Policy"]["Arn"])

    def attach(self, principal: Principal, arn: str) -> None:
        self._of(principal, "attach")(**self._who(principal), PolicyArn=arn)

    def put_inline(self, principal: Principal, name: str, document: str) -> None:
        put = self._of(principal, "put")
        put(**self._who(principal), PolicyName=name, PolicyDocument=document)

    def _of(self, principal: Principal, verb: str) -> Any:
        return getattr(self.server.iam(self.account), f"{verb}_{principal.kind.value}_policy")

    def _who(self, principal: Principal) -> dict[str, str]:
        return {f"{principal.kind.value.capitalize()}Name": principal.name}


@dataclass(frozen=True, slots=True)
class Seed:
    """The scripts at work for one team in one account."""

    hands: Hands
    team: str

    def policy(self, name: str, document: dict[str, Any] = DOCUMENT) -> str:
        """Creates the customer-managed policy; its ARN."""
        return self.hands.create_policy(f"{self.team}-{name}", json.dumps(document))

    def permanent(self, who: Iterable[Principal], arns: Iterable[str]) -> None:
        for principal in who:
            for arn in arns:
                self.hands.attach(principal, arn)

    def temporary(self, user: Principal, policy: str, ends: str, arns: Iterable[str] = ()) -> str:
        """Grants until `ends`, a day; the name of the inline policy."""
        timed = {"DateLessThan": {"aws:CurrentTime": f"{ends}T23:59:59Z"}}
        text = json.dumps(DOCUMENT | {"Statement": [{**STATEMENT, "Condition": timed}]})
        name = f"temp-{self.team}-{policy}"
        self.hands.put_inline(user, name, text)
        for arn in arns:
            self.hands.attach(user, arn)
        return name
