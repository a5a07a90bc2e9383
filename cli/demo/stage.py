"""Where the demo plays: a stand-in for AWS in this process, a folder, and real commands.

Invariant: nothing here can reach AWS. The commands get an endpoint on loopback, keys that open
nothing, and none of this machine's own AWS settings.
"""

import logging
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any

from cli import render
from cli.demo.files import PEOPLE
from cli.exits import Exit, Stop
from cli.session import Session
from ledger.model import parse_principal

COMMAND_MAX_S = 120
STOP_MAX_S = 30
LOOPBACK = ("127.0.0.1", "localhost", "::1")
TRUST = '{"Version": "2012-10-17", "Statement": []}'


class Astray(Exception):
    """A step did not end as told."""


def refuse_real_endpoints(variables: Mapping[str, str]) -> None:
    """Stop (78) where this machine is set up to speak to an endpoint that is not its own."""
    from urllib.parse import urlsplit

    for name, value in variables.items():
        wanted = value and name.startswith("AWS_ENDPOINT_URL")
        if wanted and urlsplit(value).hostname not in LOOPBACK:
            raise Stop(
                Exit.CONFIGURATION,
                f"{name} is {value}; the demo plays on this machine only and starts no command "
                f"while it points elsewhere. Unset it, then run this again",
            )


@dataclass(slots=True)
class Stage:
    """One performance."""

    session: Session
    folder: Path
    endpoint: str
    backends: Any
    """moto's IAM backends, by account."""
    worker: "subprocess.Popen[bytes] | None" = None
    started: float = field(default_factory=monotonic)
    slowest_s: float = 0.0
    """How long the slowest command took here that waited for nobody."""

    @property
    def config(self) -> Path:
        return self.folder / "access"

    @property
    def log(self) -> Path:
        return self.folder / "worker.log"

    # --- the screen ---------------------------------------------------------------------------

    def title(self, number: int, text: str) -> None:
        color = self.session.terminal.color
        self.session.terminal.data("\n" + render.styled(f"{number}. {text}", "bold", color=color))

    def say(self, text: str) -> None:
        self.session.terminal.data(text)

    # --- commands -----------------------------------------------------------------------------

    def variables(self) -> dict[str, str]:
        """What the commands see: nothing of this machine's AWS or iam-ledger settings."""
        foreign = ("AWS_", "IAM_LEDGER_", "GITHUB_", "GITLAB_", "CI_", "GIT_")
        kept = {
            name: value
            for name, value in self.session.environment.variables.items()
            # A proxy would be asked for loopback too, and does not know the way there.
            if not name.startswith(foreign) and not name.casefold().endswith("_proxy")
        }
        return kept | {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "demo",
            "AWS_SECRET_ACCESS_KEY": "demo",
            "AWS_REGION": "us-east-1",
            "AWS_CONFIG_FILE": str(self.folder / "no-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.folder / "no-credentials"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "IAM_LEDGER_DATABASE_URL": f"sqlite+aiosqlite:///{self.folder}/ledger.db",
            "IAM_LEDGER_LISTEN": "127.0.0.1:0",
            "GIT_CONFIG_GLOBAL": str(self.folder / "no-git-config"),
            "GIT_CONFIG_NOSYSTEM": "1",
        }

    def run(self, *arguments: str, ends_with: int = Exit.DONE) -> None:
        """Shows the command line, then what the command says; Astray when it ends otherwise."""
        self._show(arguments)
        began = monotonic()
        done = self._finish(arguments, stdout=None)
        if "--wait" not in arguments:
            self.slowest_s = max(self.slowest_s, monotonic() - began)
        if done.returncode != ends_with:
            raise Astray(
                f"`iam-ledger {arguments[0]}` ended with {done.returncode}, not {int(ends_with)}"
            )

    def commit(self, message: str, author: str) -> None:
        """The directory as it stands becomes a commit on the branch, where there is a git."""
        if shutil.which("git") is None:
            return
        name, _, address = author.rstrip(">").partition(" <")
        identity = {
            f"GIT_{who}_{what}": value
            for who in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", name), ("EMAIL", address))
        }
        for line in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", message]):
            done = subprocess.run(  # noqa: S603  a list, no shell
                ["git", *line],  # noqa: S607  whichever git this machine has
                cwd=self.config,
                env=self.variables() | identity,
                capture_output=True,
                timeout=COMMAND_MAX_S,
                check=False,
            )
            if done.returncode != 0:
                raise Astray(f"git {line[0]} failed: {done.stderr.decode(errors='replace')}")

    def answer(self, *arguments: str) -> bytes:
        """What a command answers, for the demo's own checks; not shown."""
        done = self._finish(arguments, stdout=subprocess.PIPE)
        if done.returncode != Exit.DONE:
            raise Astray(f"`iam-ledger {arguments[0]}` failed: {done.stderr.decode()}")
        return done.stdout

    def _finish(
        self, arguments: tuple[str, ...], *, stdout: int | None
    ) -> "subprocess.CompletedProcess[bytes]":
        """Runs a command to its end, on the screen where `stdout` is None."""
        try:
            return subprocess.run(  # noqa: S603  our own program, a list, no shell
                [*program(), *arguments],
                cwd=self.folder,
                env=self.variables(),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stdout,
                timeout=COMMAND_MAX_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Astray(
                f"`iam-ledger {arguments[0]}` did not end within {COMMAND_MAX_S} s"
            ) from None

    def start_worker(self) -> None:
        """The daemon, in the background, its log in a file."""
        self._show(("worker",), "  # in the background")
        with self.log.open("wb") as log:
            self.worker = subprocess.Popen(  # noqa: S603  our own program, a list, no shell
                [*program(), "worker"],
                cwd=self.folder,
                env=self.variables() | {"IAM_LEDGER_LOG_FORMAT": "console"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def stop_worker(self) -> None:
        """SIGTERM, as a container's end would be; Astray unless it ends with 0."""
        worker, self.worker = self.worker, None
        if worker is None:
            return
        worker.terminate()
        try:
            code = worker.wait(STOP_MAX_S)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
            raise Astray(f"the worker did not stop within {STOP_MAX_S} s") from None
        if code != Exit.DONE:
            tail = self.log.read_text(encoding="utf-8", errors="replace")[-2_000:]
            raise Astray(f"the worker ended with {code}:\n{tail}")

    def _show(self, arguments: tuple[str, ...], remark: str = "") -> None:
        color = self.session.terminal.color
        line = shlex.join(["iam-ledger", *arguments])
        self.session.terminal.data(
            render.styled(f"$ {line}", "good", color=color)
            + render.styled(remark, "dim", color=color)
        )

    # --- the stand-in's own view --------------------------------------------------------------

    def inline_policies(self, account: str, user: str) -> list[str]:
        """The inline policies that the stand-in holds on a user at this moment."""
        return sorted(self.backends[account]["aws"].users[user].policies)

    def wait_until(self, holds: Callable[[], bool], limit: timedelta, what: str) -> None:
        """Looks ten times a second; Astray when `what` has not come within `limit`."""
        from time import sleep

        end = monotonic() + limit.total_seconds()
        while not holds():
            if monotonic() > end:
                raise Astray(f"{what} did not happen within {limit.total_seconds():.0f} s")
            sleep(0.1)


def program() -> list[str]:
    """The installed command; where it is run from its sources, the same by its module."""
    script = Path(sys.executable).with_name("iam-ledger")
    return [str(script)] if script.is_file() else [sys.executable, "-m", "cli.main"]


@contextmanager
def heeding_sigterm() -> Iterator[None]:
    """Within, SIGTERM ends the play as Control-C does: the worker never outlives it."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def stand_in() -> Iterator[tuple[str, Any]]:
    """moto's server on a free port of loopback; gives its address and its IAM backends."""
    try:
        from moto.backends import get_backend
        from moto.core.config import default_user_config
        from moto.server import ThreadedMotoServer
    except ImportError as error:
        raise Stop(
            Exit.CONFIGURATION,
            f"the demo needs the extra `demo` ({error.name} is not installed): "
            "pip install 'iam-ledger[demo]'",
        ) from None
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    default_user_config["iam"]["load_aws_managed_policies"] = True
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        backends = get_backend("iam")
        _populate(backends)
        yield f"http://{host}:{port}", backends
    finally:
        server.stop()


def _populate(backends: Any) -> None:
    """The users, roles and groups that any company has before it has us."""
    for account, principals in PEOPLE.items():
        backend = backends[account]["aws"]
        for text in principals:
            principal = parse_principal(text)
            match principal.kind.value:
                case "user":
                    backend.create_user("us-east-1", principal.name)
                case "group":
                    backend.create_group(principal.name)
                case _:
                    backend.create_role(principal.name, TRUST, "/", None, "", [], "3600")
