"""The installed command as processes, in an environment of its own, as a machine would run it."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Condition, Thread
from time import monotonic, sleep
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from ledger.store.dialect import parse_url
from tests.support.commands import Ran, Shell, StillClock
from tests.support.moto_server import ENVIRONMENT

PROGRAM = Path(sys.executable).with_name("iam-ledger")
COMMAND_MAX_S = 60.0
"""Far more than any needs: it bounds a hang, and measures nothing."""

HUB_KEY, HUB_SECRET = "AKIAHUBHUBHUBHUBHUB0", "the-hubs-own-secret-key"

LogLine = dict[str, Any]


LOOK_EVERY_S = 0.02


def until(
    holds: Callable[[], bool], what: str, *, limit_s: float = 30.0, every_s: float = LOOK_EVERY_S
) -> None:
    """Looks until it is so; fails when that takes longer than the generous `limit_s`."""
    end = monotonic() + limit_s
    while not holds():
        assert monotonic() < end, f"{what}: not within {limit_s:.0f} s"
        sleep(every_s)


@dataclass(slots=True)
class Installation:
    """One ledger, one AWS, and the command."""

    folder: Path
    aws: str
    """The address of AWS."""
    working_folder: Path | None = None
    """Where commands are run; None: in `folder`."""
    command: tuple[object, ...] = (PROGRAM,)
    """How the program is started."""

    @property
    def database(self) -> Path:
        return self.folder / "state" / "ledger.db"

    @property
    def variables(self) -> dict[str, str]:
        """All that the processes see."""
        self.database.parent.mkdir(parents=True, exist_ok=True)
        return ENVIRONMENT | {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "AWS_ACCESS_KEY_ID": HUB_KEY,
            "AWS_SECRET_ACCESS_KEY": HUB_SECRET,
            "AWS_ENDPOINT_URL": self.aws,
            "IAM_LEDGER_DATABASE_URL": f"sqlite+aiosqlite:///{self.database}",
            "IAM_LEDGER_LISTEN": "127.0.0.1:0",
            "IAM_LEDGER_LOG_FORMAT": "json",
        }

    def count_events(self, kind: str = "%") -> int:
        """How many the ledger holds, of one kind or in all; nothing is started for it."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as database:
            asked = database.execute("SELECT count(*) FROM events WHERE kind LIKE ?", (kind,))
            return int(asked.fetchone()[0])

    def ask(self, *arguments: object) -> Ran:
        """A question that is not itself under test: asked in this process, in milliseconds."""
        shell = Shell(
            parse_url(self.variables["IAM_LEDGER_DATABASE_URL"]), StillClock(datetime.now(UTC))
        )
        return shell.run(*arguments)

    @property
    def holds(self) -> bool:
        """Whether `verify` finds nothing wrong with the ledger."""
        return self.ask("verify").code == 0

    def run(self, *arguments: object) -> Ran:
        """Runs one command to its end."""
        done = subprocess.run(
            [*map(str, self.command), *map(str, arguments)],
            cwd=self.working_folder or self.folder,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_MAX_S,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments: object) -> Ran:
        """Runs one command that has to end with 0."""
        ran = self.run(*arguments)
        assert ran.code == 0, f"{arguments}: {ran.code}\n{ran.out}{ran.err}"
        return ran

    @contextmanager
    def worker(self, *arguments: str) -> Iterator["Worker"]:
        """A worker; whatever is left of it at the end is killed."""
        process = subprocess.Popen(
            [*map(str, self.command), "worker", *arguments],
            cwd=self.folder,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        worker = Worker(process)
        try:
            yield worker
        finally:
            process.kill()
            worker.wait()

    @contextmanager
    def daemon(self, *arguments: str) -> Iterator["Worker"]:
        """A worker that listens already."""
        with self.worker(*arguments) as worker:
            worker.heard("worker_listening")
            yield worker


@dataclass(slots=True)
class Worker:
    """A worker's process, and what it has said."""

    process: "subprocess.Popen[str]"
    lines: list[str] = field(default_factory=list)
    _news: Condition = field(default_factory=Condition)
    _ear: Thread | None = None
    _ended: bool = False

    def __post_init__(self) -> None:
        self._ear = Thread(target=self._listen, daemon=True)
        self._ear.start()

    def _listen(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stream:
            for line in stream:
                with self._news:
                    self.lines.append(line)
                    self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    @property
    def logs(self) -> list[LogLine]:
        return [json.loads(line) for line in list(self.lines)]

    def heard(self, event: str, number: int = 1) -> LogLine:
        """The `number`th log line of that name, as soon as it stands; fails if it never comes."""

        def found() -> list[LogLine]:
            return [line for line in self.logs if line.get("event") == event][number - 1 :]

        with self._news:
            self._news.wait_for(lambda: found() or self._ended, COMMAND_MAX_S)
        assert found(), f"{event} was not said:\n{''.join(self.lines)}"
        return found()[0]

    # --- HTTP ---------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        return int(self.heard("worker_listening")["port"])

    def get(self, path: str) -> tuple[int, str]:
        """Status and body."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def gauge(self, name: str) -> float:
        """A metric without labels, as it is now."""
        lines = self.get("/metrics")[1].splitlines()
        return next(float(line.split()[1]) for line in lines if line.split()[0] == name)

    # --- ends ---------------------------------------------------------------------------------

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        """kill -9."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(COMMAND_MAX_S)

    def terminate(self) -> None:
        """SIGTERM, as a container's end is."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Its exit code, all it said being heard."""
        code = self.process.wait(COMMAND_MAX_S)
        assert self._ear is not None
        self._ear.join(COMMAND_MAX_S)
        return code
