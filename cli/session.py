"""One run of the program: its environment, clock, terminal and ledger, handed to every command.

Invariant: a command that reads opens no ledger that was not checked, and makes none.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from cli.environment import DATABASE, DATABASE_PASSWORD, LOG_FORMAT, LOG_LEVEL, Environment
from cli.exits import Stop
from cli.terminal import Terminal
from ledger.errors import LedgerForeign, LedgerMissing, LedgerOutdated, LedgerUnavailable
from worker.clock import Clock

if TYPE_CHECKING:
    from ledger.store import Ledger

T = TypeVar("T")

_PASSWORD = re.compile(r"(://[^:/@]*:).*@", re.DOTALL)
_PASSWORD_ASKED = re.compile(r"(?i)(password[^=&]*=)[^&]*")


def mask_address(text: str) -> str:
    """`text` with all that may be a password hidden: up to its last `@`, and behind its `?`."""
    return _PASSWORD_ASKED.sub(r"\1***", _PASSWORD.sub(r"\1***@", text))


async def _nothing(_ledger: "Ledger") -> None:
    """Opening and checking is all."""


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

    def _told(self) -> tuple[str, str]:
        """Where the ledger is and its password, as flag, variables and files say them now."""
        return self.database_text, self.environment.value(DATABASE_PASSWORD).text

    def _told_again(self) -> tuple[str, str]:
        """The same while we run: a file that is being renewed is weather."""
        try:
            return self._told()
        except Stop as stop:
            raise LedgerUnavailable(f"where the ledger is cannot be read: {stop}") from None

    def ledger(self) -> "Ledger":
        """The ledger that flag, environment or default name, unopened and unchecked."""
        from ledger.store import Ledger
        from ledger.store.dialect import parse_url, renewed

        return Ledger(parse_url(*self._told()), renewed(self._told_again))

    def ask(self, work: "Callable[[Ledger], Awaitable[T]]") -> T:
        """Runs `work` with the ledger, opened and checked; LedgerMissing when there is none."""

        async def run() -> T:
            async with self.ledger() as ledger:
                await ledger.check()
                return await work(ledger)

        return asyncio.run(run())

    def ask_unguarded(
        self, work: "Callable[[Ledger], Awaitable[T]]"
    ) -> "tuple[T, LedgerOutdated | None]":
        """The same for a ledger whose schema or guards are not right too, with what is wrong.

        Events are read alike in every schema: whoever looks for tampering must not be sent away.
        """

        async def run() -> "tuple[T, LedgerOutdated | None]":
            outdated: LedgerOutdated | None = None
            async with self.ledger() as ledger:
                try:
                    await ledger.check()
                except LedgerOutdated as error:
                    outdated = error
                return await work(ledger), outdated

        return asyncio.run(run())

    @property
    def shown_database(self) -> str:
        """The ledger's address for people: no password; not even one in what cannot be read."""
        from ledger.store.dialect import parse_url, shown

        try:
            return shown(parse_url(self.database_text))
        except LedgerMissing:
            return mask_address(self.database_text)

    def has_ledger(self) -> bool:
        """Whether there is one at all, of whatever schema."""
        try:
            self.ask(_nothing)
        except LedgerMissing:
            return False
        except LedgerOutdated:
            return True
        return True

    def migrate(self, *, asked: bool = False) -> None:
        """Makes the ledger, or brings it to this program's schema; quick where it is right.

        A server's is others' too: unless `asked` to by a person, it is only checked. Not inside a
        running loop.
        """
        from ledger.store.dialect import file_of, parse_url, shown, weather

        url = parse_url(*self._told())
        path = file_of(url)
        if path is not None and not path.absolute().parent.is_dir():
            raise LedgerMissing(
                f"{shown(url)}: there is no folder {path.absolute().parent}; make it first"
            )
        try:
            self.ask(_nothing)
            if path is None or not asked:
                return  # a file that was put back may have lost its WAL: `migrate` sets it again
        except LedgerForeign:
            raise
        except (LedgerMissing, LedgerOutdated):
            if path is None and not asked:
                raise
        from migrations.upgrade import UnknownRevision, upgrade

        try:
            with weather():
                upgrade(url)
        except UnknownRevision as error:
            raise LedgerOutdated(
                f"{shown(url)} has a schema that this program does not know ({error}); "
                "run the newer program that made it. Nothing was changed"
            ) from None

    def start_logs(self, only: str | None = None) -> None:
        """Logs go to stderr from here on, those of level `only` and above; else as flags say."""
        from cli import logs

        level = only or ("debug" if self.verbose else "error" if self.terminal.quiet else None)
        logs.configure(
            self.terminal.err,
            how=self.environment.chosen(LOG_FORMAT, logs.FORMATS),
            level=self.environment.chosen(LOG_LEVEL, logs.LEVELS, level),
            in_container=self.environment.in_container,
        )
