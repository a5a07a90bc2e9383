"""A fast stand-in for AWS in a process of its own: IAM and STS behind one port of this machine.

    python -m benchmarks.stub_aws [--port 0] [--latency-ms 50] [--chunk-bytes 0]
                                  [--rate 0] [--burst 20]

Says its address on its first line. Every answer takes the latency, however many are under way; with
`--rate` each account has a bucket of so many calls a second, and answers Throttling beyond. What is
asked of it under `/_stub/` is not AWS's: seeds come in, counts and instants go out. `started` runs
one for a benchmark. moto's server, by comparison, takes about 250 calls a second.
"""

import argparse
import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.client import HTTPConnection
from time import monotonic
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson

from benchmarks.stub_iam import StubAws, error_xml
from worker.clock import SystemClock

START_MAX_S = 30

Seeds = Mapping[str, Mapping[str, Any]]
"""Account -> what stands there (`StubAccount.seed`); `aws` -> AWS's own policies, text by ARN."""


# --- for benchmarks -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stub:
    """The stand-in, as seen from outside of its process."""

    url: str
    """AWS_ENDPOINT_URL of whoever is to use it."""

    def seed(self, accounts: Seeds) -> None:
        """These accounts hold exactly this from now on, and nothing was ever asked."""
        self._say("seed", orjson.dumps(accounts))

    def begin(self) -> None:
        """Forgets what was asked until now, and nothing else."""
        self._say("begin")

    def slow_to(self, latency_s: float) -> None:
        self._say("latency", orjson.dumps(latency_s))

    def report(self) -> dict[str, Any]:
        """`calls` by action, `under_way_max`, `connections` (made since the beginning), `assumed`
        (instants), and `removals`: instant, account, kind, principal, what."""
        found: dict[str, Any] = orjson.loads(self._say("report"))
        return found

    def _say(self, what: str, body: bytes = b"") -> bytes:
        with closing(HTTPConnection(urlsplit(self.url).netloc, timeout=300)) as connection:
            connection.request("POST", f"/_stub/{what}", body)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{what}: {answer.status} {content.decode()}")
        return content


@contextmanager
def started(*flags: str) -> Iterator[Stub]:
    """A stand-in of its own process, up within."""
    command = [sys.executable, "-m", "benchmarks.stub_aws", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None  # noqa: S101 - asked for above
            yield Stub(process.stdout.readline().strip())
        finally:
            process.terminate()


# --- the server -----------------------------------------------------------------------------------


@dataclass(slots=True)
class Bucket:
    """Calls that one account may still make."""

    tokens: float
    at_s: float

    def take(self, rate: float, burst: float) -> bool:
        now_s = monotonic()
        self.tokens = min(burst, self.tokens + (now_s - self.at_s) * rate)
        self.at_s = now_s
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass(slots=True)
class Server:
    """What all connections share."""

    latency_s: float
    chunk_bytes: int
    """An answer goes out in pieces of so many bytes; 0: whole."""
    rate: float
    burst: int
    aws: StubAws = field(default_factory=lambda: StubAws(SystemClock().now))
    buckets: dict[str, Bucket] = field(default_factory=dict)
    under_way: int = 0
    under_way_max: int = 0
    connections: int = 0
    requests: int = 0
    _dated: tuple[int, bytes] = (0, b"")

    def date(self) -> bytes:
        now_s = int(self.aws.now().timestamp())
        if self._dated[0] != now_s:
            self._dated = (now_s, formatdate(now_s, usegmt=True).encode())
        return self._dated[1]

    def throttles(self, key: str) -> bool:
        if not self.rate:
            return False
        bucket = self.buckets.setdefault(key[:16], Bucket(self.burst, monotonic()))
        return not bucket.take(self.rate, self.burst)

    def control(self, what: str, body: bytes) -> bytes:
        """What benchmarks ask; KeyError for what is not known here."""
        match what:
            case "seed":
                self.aws = StubAws(self.aws.now)
                self.aws.seed(orjson.loads(body))
                self._forget()
            case "begin":
                self._forget()
            case "latency":
                self.latency_s = float(orjson.loads(body))
            case "report":
                return orjson.dumps(
                    {
                        "calls": self.aws.calls,
                        "under_way_max": self.under_way_max,
                        "connections": self.connections,
                        "assumed": self.aws.assumed,
                        "removals": [
                            (each.at, each.account, each.kind, each.principal, each.name)
                            for each in self.aws.removals
                        ],
                    }
                )
            case _:
                raise KeyError(what)
        return b"{}"

    def _forget(self) -> None:
        self.aws.calls.clear()
        self.aws.removals.clear()
        self.aws.assumed.clear()
        self.under_way_max = self.connections = 0


_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_KEY = re.compile(rb"Credential=([^/]+)/")


class Connection(asyncio.Protocol):
    """One connection: requests one after another, each answered after the latency."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what a TCP server hands over
        self._transport = transport
        self._server.connections += 1

    def connection_lost(self, _: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end]
            length = _LENGTH.search(head)
            size = end + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < size:
                return
            body = self._buffer[end + 4 : size]
            self._buffer = self._buffer[size:]
            self._take(head, body)

    def _take(self, head: bytes, body: bytes) -> None:
        server = self._server
        path = head.split(b" ", 2)[1].decode()
        if path.startswith("/_stub/"):
            self._write(200, server.control(path.removeprefix("/_stub/"), body), b"-")
            return
        server.under_way += 1
        server.under_way_max = max(server.under_way_max, server.under_way)
        loop = asyncio.get_running_loop()
        loop.call_later(server.latency_s, self._answer, head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        """AWS does what is asked as it answers."""
        server = self._server
        server.under_way -= 1
        server.requests += 1
        found = _KEY.search(head)
        key = found[1].decode() if found else ""
        parameters = dict(parse_qsl(body.decode(), keep_blank_values=True))
        if server.throttles(key):
            server.aws.calls["Throttling"] += 1
            status, text = 400, error_xml("Throttling", "Rate exceeded")
        else:
            status, text = server.aws.answer(parameters["Action"], key, parameters)
        request = f"stub-{server.requests:08d}"
        self._write(status, text.replace("{request}", request, 1).encode(), request.encode())

    def _write(self, status: int, content: bytes, request: bytes) -> None:
        if self._transport is None:
            return
        whole = b"HTTP/1.1 %d X\r\nDate: %s\r\nContent-Type: text/xml\r\n" % (
            status,
            self._server.date(),
        )
        whole += b"x-amzn-RequestId: %s\r\nContent-Length: %d\r\n\r\n%s" % (
            request,
            len(content),
            content,
        )
        size = self._server.chunk_bytes or len(whole)
        for start in range(0, len(whole), size):
            self._transport.write(whole[start : start + size])


async def serve(server: Server, port: int) -> None:
    """Until it is ended from outside."""
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: Connection(server), "127.0.0.1", port)
    print(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", flush=True)
    await listening.serve_forever()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--latency-ms", type=float, default=50)
    options.add_argument("--chunk-bytes", type=int, default=0)
    options.add_argument("--rate", type=float, default=0, help="calls a second and account; 0: any")
    options.add_argument("--burst", type=int, default=20)
    given = options.parse_args()
    server = Server(given.latency_ms / 1000, given.chunk_bytes, given.rate, given.burst)
    asyncio.run(serve(server, given.port))


if __name__ == "__main__":
    main()
