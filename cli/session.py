"""One run of the program: its environment, clock, terminal and ledger, handed to every command.

Invariant: a command that reads opens no ledger that was not checked, and makes none.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from cli.environment import DATABASE, LOG_FORMAT, LOG_LEVEL, Environment
from cli.terminal import Terminal
from worker.clock import Clock

if TYPE_CHECKING:
    from ledger.store import Ledger

T = TypeVar("T")


@dataclass(slots=True)
class Session:
    environment: Environment
    terminal: Terminal
    clock: Clock
    database: str | None = None
    """The flag; None: environment or default."""
    verbose: bool = False

    def now(self) -> datetime:
        return self.clock.now()

    @property
    def database_text(self) -> str:
        return self.environment.value(DATABASE, self.database).text

    def ledger(self) -> "Ledger":
        """The ledger that flag, environment or default name, unopened and unchecked."""
        from ledger.store import Ledger
        from ledger.store.dialect import parse_url

        return Ledger(parse_url(self.database_text))

    def ask(self, work: "Callable[[Ledger], Awaitable[T]]") -> T:
        """Runs `work` with the ledger, opened and checked; LedgerMissing when there is none."""

        async def run() -> T:
            async with self.ledger() as ledger:
                await ledger.check()
                return await work(ledger)

        return asyncio.run(run())

    def migrate(self) -> None:
        """Makes the ledger, or brings it to this program's schema. Not inside a running loop."""
        from ledger.store.dialect import parse_url
        from migrations.upgrade import upgrade

        upgrade(parse_url(self.database_text))

    def start_logs(self) -> None:
        """Logs go to stderr from here on; commands that only ask never call it."""
        from cli import logs

        level = "debug" if self.verbose else "error" if self.terminal.quiet else None
        logs.configure(
            self.terminal.err,
            how=self.environment.chosen(LOG_FORMAT, logs.FORMATS),
            level=self.environment.chosen(LOG_LEVEL, logs.LEVELS, level),
            in_container=self.environment.in_container,
        )
