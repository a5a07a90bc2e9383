"""What the stand-in for AWS answers: IAM and STS in the query protocol, as far as the worker asks.

Invariant: keys lead into the account whose role was assumed for them, and nowhere else; a removal
is written down with its instant. Nothing is checked that the worker does not depend on.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape

from benchmarks.stub_account import (
    OF_POLICIES,
    Managed,
    Parameters,
    Refusal,
    StubAccount,
    about,
    attached_xml,
    listing,
    missing,
    result,
)

KEY_PREFIX = "ASIA"
Found = tuple[int, str]
"""Status and the XML of the answer, `{request}` where its id goes."""

_SPACES = {
    "iam": "https://iam.amazonaws.com/doc/2010-05-08/",
    "sts": "https://sts.amazonaws.com/doc/2011-06-15/",
}
_STS = frozenset({"AssumeRole", "GetCallerIdentity"})
_OF_KIND = frozenset(
    form.replace("*", kind)
    for kind in ("User", "Role", "Group")
    for form in (
        "Get*",
        "Put*Policy",
        "Delete*Policy",
        "Get*Policy",
        "Attach*Policy",
        "Detach*Policy",
        "List*Policies",
        "ListAttached*Policies",
    )
)


def error_xml(code: str, message: str) -> str:
    return (
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{escape(message)}"
        "</Message></Error><RequestId>{request}</RequestId></ErrorResponse>"
    )


@dataclass(frozen=True, slots=True)
class Removal:
    """One that was done: when AWS did it."""

    at: datetime
    account: str
    kind: str
    principal: str
    name: str
    """Of the inline policy, or the ARN of what was detached."""


@dataclass(slots=True)
class StubAws:
    """All accounts, and what was asked of them."""

    now: Callable[[], datetime]
    accounts: dict[str, StubAccount] = field(default_factory=dict)
    own: dict[str, Managed] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    assumed: list[datetime] = field(default_factory=list)
    """When keys were given."""
    removals: list[Removal] = field(default_factory=list)
    _keys: int = 0

    def account(self, number: str) -> StubAccount:
        return self.accounts.setdefault(number, StubAccount(number, own=self.own))

    def seed(self, told: Mapping[str, Mapping[str, Any]]) -> None:
        """By account; under `aws` AWS's own policies, text by ARN."""
        for number, what in told.items():
            if number == "aws":
                self.own |= {arn: Managed({"v1": quote(text)}) for arn, text in what.items()}
            else:
                self.account(number).seed(what)

    def answer(self, action: str, key: str, parameters: Parameters) -> Found:
        """`key`: the access key that signed; keys that were not handed out here are the hub's."""
        self.calls[action] += 1
        number = key[len(KEY_PREFIX) : len(KEY_PREFIX) + 12] if key.startswith(KEY_PREFIX) else ""
        try:
            found = self._do(action, number, parameters)
        except Refusal as error:
            return error.status, error_xml(error.code, str(error))
        service = "sts" if action in _STS else "iam"
        return 200, (
            f'<{action}Response xmlns="{_SPACES[service]}">{found}<ResponseMetadata><RequestId>'
            f"{{request}}</RequestId></ResponseMetadata></{action}Response>"
        )

    def _do(self, action: str, number: str, parameters: Parameters) -> str:
        if action == "AssumeRole":
            return self._assume(parameters)
        if action == "GetCallerIdentity":
            return result(action, f"<Account>{number}</Account><Arn>arn:aws:sts::{number}:x</Arn>")
        if not number:
            raise Refusal(403, "AccessDenied", "the hub's own keys lead into no account")
        account = self.account(number)
        for kind in ("User", "Role", "Group"):
            if kind in action and action in _OF_KIND:
                return self._of_kind(action.replace(kind, "*", 1), kind, account, parameters)
        handler = OF_POLICIES.get(action)
        if handler is None:
            raise Refusal(400, "InvalidAction", f"{action} is not answered here")
        return handler(account, parameters)

    def _assume(self, parameters: Parameters) -> str:
        number = parameters["RoleArn"].split(":")[4]
        self._keys += 1
        now = self.now()
        self.assumed.append(now)
        until = now + timedelta(seconds=int(parameters.get("DurationSeconds", "3600")))
        return result(
            "AssumeRole",
            f"<Credentials><AccessKeyId>{KEY_PREFIX}{number}{self._keys:08X}</AccessKeyId>"
            f"<SecretAccessKey>secret</SecretAccessKey><SessionToken>{'token' * 60}</SessionToken>"
            f"<Expiration>{until:%Y-%m-%dT%H:%M:%SZ}</Expiration></Credentials>",
        )

    def _of_kind(self, action: str, kind: str, account: StubAccount, parameters: Parameters) -> str:
        name, entity = account.entity(kind, parameters)
        whole = action.replace("*", kind)
        match action:
            case "Put*Policy":
                entity.inline[parameters["PolicyName"]] = quote(parameters["PolicyDocument"])
            case "Delete*Policy":
                self._gone(account, kind, name, parameters["PolicyName"], entity.inline)
            case "Attach*Policy":
                entity.attached[parameters["PolicyArn"]] = None
            case "Detach*Policy":
                self._gone(account, kind, name, parameters["PolicyArn"], entity.attached)
            case "Get*":
                return result(whole, f"<{kind}>{about(account, kind, name)}</{kind}>")
            case "Get*Policy":
                policy = parameters["PolicyName"]
                if policy not in entity.inline:
                    raise missing(f"The {kind.lower()} policy with name {policy}")
                return result(
                    whole,
                    f"<{kind}Name>{name}</{kind}Name><PolicyName>{policy}</PolicyName>"
                    f"<PolicyDocument>{entity.inline[policy]}</PolicyDocument>",
                )
            case "List*Policies":
                return listing(whole, "PolicyNames", entity.inline)
            case _:
                return listing(whole, "AttachedPolicies", map(attached_xml, entity.attached))
        return ""

    def _gone(
        self, account: StubAccount, kind: str, who: str, what: str, standing: dict[str, Any]
    ) -> None:
        if what not in standing:
            raise missing(f"Policy {what}")
        del standing[what]
        self.removals.append(Removal(self.now(), account.number, kind, who, what))
