"""ministack on loopback: it decides every call by the caller's policies, as AWS does, unlike moto.

It stands in a virtual environment of its own: it pins a botocore that the project does not use.
The tests of every day start none; `scripts/oracles` and `scripts/deployer` do.
"""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import Any

from tests.support.separate import python

REQUIREMENTS = Path(__file__).parents[1] / "oracles" / "ministack.txt"
AS_AWS = Path(__file__).with_name("ministack_as_aws.py")
REGION = "us-east-1"
START_MAX_S = 60.0
"""Far more than any start needs: it bounds a hang, and measures nothing."""


@dataclass(frozen=True)
class Ministack:
    """The running server. An account's root signs with its number as key and `test` as secret."""

    host: str
    port: int

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def client(self, service: str, key: str, secret: str = "test", token: str | None = None) -> Any:  # noqa: S107  # ministack's own
        """A botocore client with these keys; with an account's number as key, its root's."""
        from botocore.config import Config

        return _session().create_client(
            service,
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=Config(retries={"total_max_attempts": 1}),
        )


@cache
def _session() -> Any:
    from botocore.session import get_session

    return get_session()


@contextmanager
def ministack(*, as_aws: bool = False) -> Iterator[Ministack]:
    """A server with `AUTH=true`, empty, and gone at the end.

    `as_aws`: what its evaluator is told of a call to IAM is put right (`ministack_as_aws.py`).
    """
    with socket.socket() as free, TemporaryDirectory() as folder:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
        free.close()
        log = Path(folder) / "log"
        with log.open("w") as written:
            process = subprocess.Popen(
                [python(REQUIREMENTS), *(["-P", AS_AWS] if as_aws else ["-m", "ministack"])],
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": folder,
                    "TMPDIR": folder,
                    "AUTH": "true",
                    "BIND_HOST": "127.0.0.1",
                    "GATEWAY_PORT": str(port),
                    "LOG_LEVEL": "ERROR",
                },
                cwd=folder,
                stdout=written,
                stderr=subprocess.STDOUT,
            )
            try:
                _until_it_answers(process, port, log)
                yield Ministack("127.0.0.1", port)
            finally:
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _until_it_answers(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = monotonic() + START_MAX_S
    while not _answers(port):
        said = log.read_text(encoding="utf-8", errors="replace")[-2_000:]
        assert process.poll() is None, f"ministack ended at its start:\n{said}"
        assert monotonic() < end, f"ministack does not answer within {START_MAX_S:.0f} s:\n{said}"
        sleep(0.05)


def _answers(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/_ministack/health")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
