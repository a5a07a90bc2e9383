"""Hearing of PostgreSQL's appends: LISTEN on a connection of its own.

A notification is a hint and never the news: whoever hears asks the ledger for all that is behind
the position it knows. So nothing is lost with a notification, or with the connection: each new one
listens first and then calls for a look, and somebody looks every `LOOK_EVERY_S` anyway.
"""

import asyncio
from typing import Any

from ledger.errors import LedgerUnavailable
from ledger.store.dialect.address import Address
from ledger.store.dialect.postgresql import parameters

CHANNEL = "iam_ledger_events"
"""Notified by the guard that checks the chain, with the newest position."""

LOOK_EVERY_S = 5.0
"""What is missed, by whatever mistake of a pooler or a proxy, is seen so much later."""

BEAT_EVERY_S = 15.0
"""A connection that is silent for so long is asked whether it still stands."""

ANSWER_MAX_S = 15.0
"""One that does not answer within so long is lost."""

PAUSE_MIN_S = 0.1
PAUSE_MAX_S = 5.0
"""Between attempts to connect: doubled each time, and from the beginning after each success."""


class Watch:
    """Sets `heard` when somebody appended, or may have. Needs a running loop; close it."""

    every_s: float | None = LOOK_EVERY_S
    """Unheard, to be asked this often."""

    def __init__(self, address: Address) -> None:
        self.heard = asyncio.Event()
        self._address = address
        self._listening: asyncio.Task[None] | None = None

    def changed(self) -> bool:
        """Always: whoever asks has heard something, or asks because it is time to."""
        if self._listening is None:
            self._listening = asyncio.get_running_loop().create_task(self._listen())
        elif self._listening.done() and not self._listening.cancelled():
            self._listening.result()  # a mistake of ours is nobody's weather
        self.heard.clear()
        return True

    def close(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            self._listening = None

    async def _listen(self) -> None:
        import psycopg

        pause_s = PAUSE_MIN_S
        while True:
            try:
                connection = await psycopg.AsyncConnection.connect(
                    **parameters(self._address()), autocommit=True
                )
                async with connection:
                    await connection.execute(f"LISTEN {CHANNEL}".encode())
                    pause_s = PAUSE_MIN_S
                    await self._hear(connection)
            except (psycopg.OperationalError, LedgerUnavailable, OSError):
                # Whoever reads the ledger meets the same, and says it; here there is only silence.
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, PAUSE_MAX_S)

    async def _hear(self, connection: Any) -> None:
        """Until the connection is lost. What was missed before it stood is called for first."""
        while True:
            self.heard.set()
            while not await _told(connection):
                async with asyncio.timeout(ANSWER_MAX_S):
                    await connection.execute("SELECT 1")


async def _told(connection: Any) -> bool:
    """Whether a notification came within a beat; the rest of a burst is heard with it."""
    told = False
    async for _ in connection.notifies(timeout=BEAT_EVERY_S, stop_after=1):
        told = True
    return told
