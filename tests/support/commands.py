"""Commands run as people run them: in this process, with a clock and a screen of ours."""

import asyncio
import io
import json
from collections.abc import Callable, Coroutine
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import URL

from cli.environment import Environment
from cli.main import main
from tests.support.histories import NOON

Hook = Callable[[datetime], Coroutine[Any, Any, None]]


class Screen(io.StringIO):
    """A terminal with a person in front of it."""

    def isatty(self) -> bool:
        return True


@dataclass
class StillClock:
    """Stands still; a sleeper is at its instant at once, after `on_sleep` has had its say."""

    instant: datetime = NOON
    on_sleep: Hook | None = None

    def now(self) -> datetime:
        return self.instant

    async def sleep_until(
        self, instant: datetime, *_wakers: asyncio.Event, nap_max_s: float = 30.0
    ) -> None:
        self.instant = max(self.instant, instant)
        if self.on_sleep is not None:
            await self.on_sleep(self.instant)


@dataclass(frozen=True)
class Ran:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def width(self) -> int:
        """Of the longest line on stdout."""
        return max((len(line) for line in self.out.splitlines()), default=0)


@dataclass
class Shell:
    """Where commands are run."""

    url: URL | None = None
    """The ledger, given by `IAM_LEDGER_DATABASE_URL`; None: nothing is given."""
    clock: StillClock = field(default_factory=StillClock)
    variables: dict[str, str] = field(default_factory=dict)
    screen: bool = False
    """Whether a person looks at both streams, on 80 columns."""

    def run(self, *arguments: object, **variables: str) -> Ran:
        known = {"PATH": "/usr/bin:/bin", "COLUMNS": "80"} | self.variables | variables
        if self.url is not None:
            known.setdefault("IAM_LEDGER_DATABASE_URL", str(self.url))
        kind = Screen if self.screen else io.StringIO
        out, err = kind(), kind()
        with redirect_stdout(out), redirect_stderr(err):
            code = main(
                [str(argument) for argument in arguments],
                environment=Environment(known),
                clock=self.clock,
            )
        return Ran(code, out.getvalue(), err.getvalue())
