"""Oracle one: ministack with `AUTH=true`, asked over HTTP by users of its own, as time goes by.

Every row has a user with the row's documents, who makes the row's call at each of the moments. The
server goes by its machine's clock, which is ours: a call that ended before an instant was judged
before it, one that began at or after it was judged after it. A unit of the table is seconds here,
and where the machine was too slow for one, the rows are asked again with a longer one.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from time import sleep
from typing import Any
from urllib.parse import quote, urlencode
from xml.etree import ElementTree

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.oracles.cases import ACCOUNT, ALLOWED, DENIED, TAGS, Asked, Call, Scale
from tests.oracles.rows import allow
from tests.support.ministack import Ministack

REGION = "us-east-1"
UNIT_S, UNIT_MAX_S = 3, 24
"""How long a unit of the table is at first, and at most."""


class TooSlow(Exception):
    """A moment was over before everybody had been asked."""


@dataclass(frozen=True)
class User:
    name: str
    credentials: Credentials


@dataclass
class Emulator:
    """The server, and its account's root, who makes users and gives them documents."""

    server: Ministack
    _users: int = 0
    _connection: HTTPConnection = field(init=False)
    _root: Credentials = field(init=False)

    def __post_init__(self) -> None:
        self._connection = HTTPConnection(self.server.host, self.server.port, timeout=60)
        self._root = Credentials(ACCOUNT, "test")
        self._done(self._root, "PUT", "s3", "/ledger")
        for key in ("report.txt", "secret/plan.txt"):
            self._done(self._root, "PUT", "s3", f"/ledger/{key}", body=b"x")

    def close(self) -> None:
        self._connection.close()

    # --- calls --------------------------------------------------------------------------------

    def allows(self, user: User, call: Call) -> bool:
        """Whether the server lets `user` make the call; AssertionError where it says neither."""
        status, said = self._answer(user.credentials, *_wire(call, user.name))
        if status == 200:
            return True
        assert (status, "AccessDenied" in said) == (403, True), f"{call}: {status} {said}"
        return False

    def _done(
        self, credentials: Credentials, method: str, service: str, path: str, body: bytes = b""
    ) -> str:
        status, said = self._answer(credentials, method, service, path, body)
        assert status == 200, f"{method} {path} {body[:200]!r}: {status} {said}"
        return said

    def _answer(
        self, credentials: Credentials, method: str, service: str, path: str, body: bytes
    ) -> tuple[int, str]:
        request = AWSRequest(method, self.server.url + path, data=body)
        if service != "s3":
            request.headers["Content-Type"] = "application/x-www-form-urlencoded"
        signer = S3SigV4Auth if service == "s3" else SigV4Auth
        signer(credentials, service, REGION).add_auth(request)
        self._connection.request(method, path, body, dict(request.headers.items()))
        answer = self._connection.getresponse()
        return answer.status, answer.read().decode()

    # --- users ---------------------------------------------------------------------------------

    def user(self) -> User:
        """A new one, with the tags that the table's rows speak of."""
        self._users += 1
        name = f"user{self._users}"
        tags = {
            f"Tags.member.{at}.{part}": text
            for at, pair in enumerate(TAGS.items(), 1)
            for part, text in zip(("Key", "Value"), pair, strict=True)
        }
        self.iam("CreateUser", UserName=name, **tags)
        made = ElementTree.fromstring(self.iam("CreateAccessKey", UserName=name))  # noqa: S314  # our own server
        key, secret = (
            made.findtext(f".//{{*}}{field}", "") for field in ("AccessKeyId", "SecretAccessKey")
        )
        return User(name, Credentials(key, secret))

    def give(self, user: User, copy: Sequence[str], beside: Sequence[str] = ()) -> None:
        """One document inline, several as customer-managed policies, attached."""
        inline = [*copy, *beside] if len(copy) == 1 else beside
        for at, document in enumerate(inline):
            self.iam(
                "PutUserPolicy",
                UserName=user.name,
                PolicyName=f"document{at}",
                PolicyDocument=document,
            )
        for at, document in enumerate(copy if len(copy) > 1 else ()):
            name = f"{user.name}-p{at}"
            self.iam("CreatePolicy", PolicyName=name, PolicyDocument=document)
            arn = f"arn:aws:iam::{ACCOUNT}:policy/{name}"
            self.iam("AttachUserPolicy", UserName=user.name, PolicyArn=arn)

    def session(self, document: str) -> User:
        """A session of a new role that has one inline policy, begun now."""
        person = self.user()
        name = f"{person.name}-role"
        trust = allow("sts:AssumeRole", Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:root"})
        del trust["Resource"]
        self.iam("CreateRole", RoleName=name, AssumeRolePolicyDocument=_document(trust))
        self.iam("PutRolePolicy", RoleName=name, PolicyName="copy", PolicyDocument=document)
        self.give(person, [_document(allow("sts:AssumeRole"))])
        arn = f"arn:aws:iam::{ACCOUNT}:role/{name}"
        asked = {"Action": "AssumeRole", "Version": "2011-06-15", "RoleArn": arn}
        body = urlencode({**asked, "RoleSessionName": "session"}).encode()
        made = ElementTree.fromstring(self._done(person.credentials, "POST", "sts", "/", body))  # noqa: S314  # our own server
        key, secret, token = (
            made.findtext(f".//{{*}}{field}", "")
            for field in ("AccessKeyId", "SecretAccessKey", "SessionToken")
        )
        return User(name, Credentials(key, secret, token))

    def iam(self, action: str, **parameters: str) -> str:
        body = urlencode({"Action": action, "Version": "2010-05-08", **parameters})
        return self._done(self._root, "POST", "iam", "/", body.encode())

    # --- rows ----------------------------------------------------------------------------------

    def rows(self, asked: Sequence[Asked]) -> list[str]:
        """For every case with what makes its documents, a letter for each moment."""
        unit_s = UNIT_S
        while True:
            try:
                return self._rows(asked, timedelta(seconds=unit_s))
            except TooSlow:
                unit_s *= 2
                if unit_s > UNIT_MAX_S:
                    raise

    def _rows(self, asked: Sequence[Asked], unit: timedelta) -> list[str]:
        users = [self.user() for _ in asked]
        lead = timedelta(milliseconds=10 * len(asked)) + unit
        end = (datetime.now(UTC) + lead + 2 * unit).replace(microsecond=0) + timedelta(seconds=1)
        scale = Scale(end, unit)
        for user, (case, make) in zip(users, asked, strict=True):
            self.give(user, make(case, scale, user.name), case.beside_texts(scale, user.name))
        found = ["" for _ in asked]
        edges = [scale.start, end - unit, end, end + unit, end + 9 * unit]
        for begin, over in zip([None, *edges[:-1]], edges, strict=True):
            _wait_until(begin)
            for at, (user, (case, _)) in enumerate(zip(users, asked, strict=True)):
                found[at] += ALLOWED if self.allows(user, case.call) else DENIED
            if datetime.now(UTC) >= over:
                raise TooSlow(f"{len(asked)} users in {unit}")
        return found

    def around(self, user: User, call: Call, end: datetime) -> tuple[list[bool], list[bool]]:
        """The verdicts of calls that were over before `end`, and of those begun at it or later.

        One call after another, from a second before the end to a second after it.
        """
        before, after = [], []
        _wait_until(end - timedelta(seconds=1))
        while (began := datetime.now(UTC)) < end + timedelta(seconds=1):
            verdict = self.allows(user, call)
            if datetime.now(UTC) < end:
                before.append(verdict)
            elif began >= end:
                after.append(verdict)
        return before, after


def _document(statement: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _wait_until(instant: datetime | None) -> None:
    while instant is not None and (left := (instant - datetime.now(UTC)).total_seconds()) > 0:
        sleep(left)


def _wire(call: Call, user: str) -> tuple[str, str, str, bytes]:
    """Method, service, path with its query, and body."""
    service, _, name = call.action.partition(":")
    if service == "s3":
        path = quote("/" + call.resource.removeprefix("arn:aws:s3:::"))
        if name == "ListBucket":
            wanted = {key.removeprefix("s3:"): value for key, value in call.context.items()}
            return "GET", "s3", f"{path}?{urlencode({'list-type': '2', **wanted})}", b""
        return ("GET", "s3", path, b"") if name == "GetObject" else ("PUT", "s3", path, b"x")
    body = urlencode({"Action": name, "Version": "2010-05-08", **_parameters(call, user)})
    return "POST", service, "/", body.encode()


def _parameters(call: Call, user: str) -> Mapping[str, Any]:
    named = {} if call.resource == "*" else {"UserName": user}
    tags = {
        key.removeprefix("aws:RequestTag/"): value
        for key, value in call.context.items()
        if key.startswith("aws:RequestTag/")
    }
    assert set(tags) == set(call.context.get("aws:TagKeys", ())), json.dumps(tags)
    members = {
        f"Tags.member.{at}.{part}": text
        for at, pair in enumerate(tags.items(), 1)
        for part, text in zip(("Key", "Value"), pair, strict=True)
    }
    return {**named, **members}
