"""The wire between a worker's process and moto's server: written down, and cut where a test says.

Invariant: every call that a process makes is in `calls`, in order, with the keys it was signed by
and how it ended. Nothing else of it is changed unless the test's `rule` says so.
"""

import http.client
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

from tests.support.paging import cut, is_listing, without_marker

WRITES = ("Create", "Put", "Delete", "Attach", "Detach", "Update", "Tag", "Untag", "Add", "Remove")
"""How the names of IAM's changing operations begin."""

_KEY = re.compile(r"Credential=([^/]+)/\d+/[^/]+/([^/]+)/")
_ISSUED = {
    name: re.compile(rf"<{name}>([^<]+)</{name}>")
    for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")
}

Fate = Literal["pass", "lose the call", "lose the answer"]


@dataclass(frozen=True, slots=True)
class Say:
    """What the wire answers in AWS's place; the call does not get there."""

    status: int
    code: str
    page: str | None = None
    """Said instead of an error of AWS's form, as a load balancer would."""


@dataclass(slots=True)
class Call:
    """One call as it went over the wire."""

    at: datetime
    action: str
    service: str
    key: str
    """The access key id that signed it."""
    account: str | None
    """Where the key leads; for AssumeRole, where it is to lead. None: the process's own key."""
    parameters: dict[str, str]
    status: int | None = None
    """AWS's answer; None: it never got there, or is under way."""

    @property
    def writes(self) -> bool:
        return self.service == "iam" and self.action.startswith(WRITES)

    @property
    def target(self) -> tuple[str, ...]:
        """What is changed, by names: two calls of one target ask for the same."""
        named = sorted(
            value
            for name, value in self.parameters.items()
            if name.endswith(("Name", "Arn", "VersionId"))
        )
        return (self.account or "", self.action, *named)

    @property
    def done(self) -> bool:
        """Whether AWS did it."""
        return self.status is not None and self.status < 300


Rule = Callable[[Call], Fate | Say]
"""Asked before a call is forwarded. What it does meanwhile (waiting, killing) delays that call."""

Witness = Callable[[Call], None]
"""Told when AWS has answered, before whoever called is."""


@dataclass(slots=True)
class Wire:
    """Made by `laid`; `url` is the processes' AWS."""

    url: str
    calls: list[Call] = field(default_factory=list)
    secrets: set[str] = field(default_factory=set)
    """Whatever AWS has issued that nobody may ever read in a log."""
    accounts: dict[str, str] = field(default_factory=dict)
    """Access key id -> account, for every key that was issued."""
    rule: Rule = lambda _call: "pass"
    witness: Witness = lambda _call: None
    page_items: int | None = None
    """Listings come in pages of at most so many; None: as the server sends them."""
    ahead: timedelta = timedelta(0)
    """How far AWS's clock, as its answers tell it, is ahead of this machine's."""
    cut: bool = False
    """While it is true no call gets through, and no answer comes."""

    @property
    def writes(self) -> list[Call]:
        return [call for call in self.calls if call.writes]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, aws: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        target = urlsplit(aws)
        self.aws = (target.hostname or "", target.port or 0)
        self.lock = Lock()
        self.wire = Wire(f"http://127.0.0.1:{self.server_address[1]}")

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever called was killed: that is what these tests are for. The rest is a bug."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # as handed in


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    timeout = 60

    def log_message(self, *_: object) -> None:
        """The calls are written down elsewhere."""

    def do_POST(self) -> None:  # the name is http.server's
        body = self.rfile.read(int(self.headers["Content-Length"]))
        wire, call = self.server.wire, self._call(body)
        with self.server.lock:
            wire.calls.append(call)
        fate = "lose the call" if wire.cut else wire.rule(call)
        if isinstance(fate, Say):
            self._say(fate)
        elif fate == "lose the call":
            self.close_connection = True
        else:
            self._forward(call, body, answered=fate == "pass")

    def _call(self, body: bytes) -> Call:
        parameters = dict(parse_qsl(body.decode()))
        found = _KEY.search(self.headers["Authorization"])
        assert found is not None, "a call that nobody signed"
        key, service = found.groups()
        action = parameters.pop("Action")
        account = self.server.wire.accounts.get(key)
        if action == "AssumeRole":
            account = parameters["RoleArn"].split(":")[4]
        return Call(datetime.now(UTC), action, service, key, account, parameters)

    def _forward(self, call: Call, body: bytes, *, answered: bool) -> None:
        headers = {k: v for k, v in self.headers.items() if k.lower() != "connection"}
        items = self.server.wire.page_items if is_listing(call.action) else None
        if items is not None:
            body = without_marker(body)
            headers["Content-Length"] = str(len(body))
        with closing(http.client.HTTPConnection(*self.server.aws, timeout=60)) as onward:
            onward.request("POST", self.path, body, headers)
            answer = onward.getresponse()
            content = answer.read()
        if items is not None and answer.status == 200:
            content = cut(content, call.parameters.get("Marker"), items)
        if call.action == "AssumeRole" and answer.status == 200:
            self._learn(content.decode(), call.account or "")
        call.status = answer.status
        self.server.wire.witness(call)
        if not answered:
            self.close_connection = True
            return
        kept = [(k, v) for k, v in answer.getheaders() if k.lower() not in _HOP_BY_HOP]
        kept = [(k, self._dated(v) if k.lower() == "date" else v) for k, v in kept]
        self._answer(answer.status, kept, content)

    def _dated(self, date: str) -> str:
        return format_datetime(parsedate_to_datetime(date) + self.server.wire.ahead, usegmt=True)

    def _learn(self, content: str, account: str) -> None:
        """Whose keys these are, before anybody can use them."""
        issued = {name: pattern.findall(content) for name, pattern in _ISSUED.items()}
        wire = self.server.wire
        wire.accounts |= dict.fromkeys(issued["AccessKeyId"], account)
        wire.secrets |= {secret for found in issued.values() for secret in found}

    def _say(self, said: Say) -> None:
        content = said.page or (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{said.code}</Code><Message>as the "
            "test wanted</Message></Error><RequestId>wire</RequestId></ErrorResponse>"
        )
        self._answer(said.status, [("Content-Type", "text/xml")], content.encode())

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


_HOP_BY_HOP = ("connection", "content-length", "transfer-encoding")


@contextmanager
def laid(aws: str) -> Iterator[Wire]:
    """A wire to `aws`, up within."""
    with _Server(aws) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server.wire
        finally:
            server.shutdown()
            thread.join()
