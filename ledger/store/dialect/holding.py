"""The right to be the one worker of a PostgreSQL ledger: an advisory lock of a session of its own.

Invariant: whoever holds it finds out within `BEAT_S` that the session was lost, and takes the lock
again before it goes on; where another has taken it meanwhile, it learns that it must stop.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from os import getpid
from socket import gethostname
from threading import Lock
from typing import TYPE_CHECKING, Any

from ledger.errors import LedgerBusy, LedgerUnavailable
from ledger.store.dialect.address import Address, shown
from ledger.store.dialect.postgresql import parameters, told_of

if TYPE_CHECKING:
    import psycopg

WORKER_LOCK = 0x1A4D_1ED6_0002
"""Each database has its own; the number means nothing."""

BEAT_S = 5.0

_NUMBERS = count(1)
"""Tells the holds of one process apart. PostgreSQL keeps 63 characters of a session's name."""

TRY = f"SELECT pg_try_advisory_lock({WORKER_LOCK})".encode()
HOLDER = f"""
    SELECT a.application_name, a.client_addr, a.pid
    FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND (l.classid::bigint << 32 | l.objid::bigint) = {WORKER_LOCK}
""".encode()  # noqa: S608 - a number of ours


class Hold:
    """The lock, held from `take` on until `close`."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._me = f"iam-ledger worker {getpid()} on {gethostname()}"[:57] + f" #{next(_NUMBERS)}"
        self._connection: psycopg.Connection[Any] | None = None
        self._closed = False
        self._one_at_a_time = Lock()

    def take(self) -> None:
        """Takes the lock where it is not held; LedgerBusy where another has it.

        LedgerUnavailable as weather, and while the server does not know yet that a session of ours
        is gone.
        """
        import psycopg

        with self._one_at_a_time:
            if self._closed or self._stands():
                return
            url = self._address()
            try:
                self._connection = psycopg.connect(
                    **parameters(url) | {"application_name": self._me}, autocommit=True
                )
                holder = _try(self._connection)
            except psycopg.Error as error:
                self._drop()
                meant = told_of(error)
                if meant is None:
                    raise
                raise meant from error
            if holder is not None:
                self._drop()
                self._refuse(holder, shown(url))

    async def keep(self) -> None:
        """Sees to it that the lock is still held, for ever; LedgerBusy when it is another's."""
        while True:
            await asyncio.sleep(BEAT_S)
            try:
                await asyncio.to_thread(self.take)
            except LedgerUnavailable:
                continue  # who cannot reach the ledger shares it with nobody

    def close(self) -> None:
        """Gives the lock back, so that who comes next need not wait for the session to be gone."""
        import psycopg

        with self._one_at_a_time:
            self._closed = True
            if self._connection is not None:
                with suppress(psycopg.OperationalError):
                    self._connection.execute("SELECT pg_advisory_unlock_all()")
            self._drop()

    def _stands(self) -> bool:
        import psycopg

        if self._connection is None:
            return False
        try:
            self._connection.execute("SELECT 1")
        except psycopg.OperationalError:
            self._drop()
            return False
        return True

    def _refuse(self, holder: tuple[Any, ...], where: str) -> None:
        name, client, backend = holder or ("one that is gone by now", None, None)
        if name == self._me:
            raise LedgerUnavailable(f"an older session of this worker still keeps {where}")
        raise LedgerBusy(
            f"another worker ({name or 'unknown'}, from {client or 'this machine'}, backend "
            f"{backend}) keeps {where}; a ledger has one worker at a time. Stop that one first"
        )

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _try(connection: "psycopg.Connection[Any]") -> tuple[Any, ...] | None:
    """Takes the lock and answers None; or who has it, empty where that one is gone by now."""
    (mine,) = connection.execute(TRY).fetchone() or (False,)
    return None if mine else tuple(connection.execute(HOLDER).fetchone() or ())


@contextmanager
def held(address: Address) -> Iterator[Hold]:
    """Holds the lock; LedgerBusy where another does."""
    hold = Hold(address)
    try:
        hold.take()
        yield hold
    finally:
        hold.close()
