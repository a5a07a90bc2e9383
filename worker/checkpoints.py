"""The worker's checkpoints: the ledger's head, signed every ten minutes, where a key is configured.

Invariant: a history that departs from what this process has signed is not signed again; that is
told until a person looks; it stops what is added, and no removal. Weather costs one checkpoint,
never the worker.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from ledger.checkpoint import Note, Witness
from ledger.errors import ChainBroken, LedgerUnavailable
from ledger.store.checkpoints import Made
from worker.clock import Clock
from worker.metrics import Metrics

log = structlog.get_logger()

EVERY = timedelta(minutes=10)
"""A change within so long of its event leaves no trace that a checkpoint would show."""

Make = Callable[[Witness | None, datetime], Awaitable[Made | None]]
"""Signs the ledger as it is, unless it departs from what is remembered: ChainBroken then.

LedgerUnavailable as weather; None where the ledger is empty.
"""

Publish = Callable[[Note], None]
"""Writes a note where the database's owner cannot; OSError as weather."""


@dataclass(slots=True)
class Checkpoints:
    """One process's checkpoints, each held against the one before it."""

    make: Make
    clock: Clock
    metrics: Metrics
    publish: Publish | None = None
    """None: the ledger alone keeps them."""
    remembered: Witness | None = None
    """The newest known one; in the beginning the one in the file, if there is one."""
    on_broken: Callable[[str], None] = lambda _why: None
    """Told each time that the ledger departs from what was signed."""

    async def run(self, stop: asyncio.Event) -> None:
        """Makes one at once and then every ten minutes, until the worker stops."""
        while not stop.is_set():
            await self.seal()
            await self.clock.sleep_until(self.clock.now() + EVERY, stop)

    async def seal(self) -> None:
        """Makes one now. Nothing but a bug comes out of it."""
        try:
            made = await self.make(self.remembered, self.clock.now())
        except ChainBroken as error:
            self.metrics.history_broken.set(1)
            self.on_broken(str(error))
            log.error("history_broken", why=str(error))  # noqa: TRY400  the message is whole
            return
        except LedgerUnavailable as error:
            self.metrics.ledger_errors.inc()
            log.warning("checkpoint_not_made", why=str(error))
            return
        if made is None:
            return
        signature = made.note.signatures[0]
        key = f"{signature.name}+{signature.key_id.hex()}"
        self.remembered = Witness("that this worker made", made.checkpoint, key)
        self.metrics.history_broken.set(0)
        self.metrics.checkpoint_position.set(made.checkpoint.size)
        self.metrics.checkpoint_at.set(self.clock.now().timestamp())
        if self.publish is None:
            return
        try:
            await asyncio.to_thread(self.publish, made.note)
        except OSError as error:
            log.warning("checkpoint_not_written", why=str(error))
