"""SQLite without the driver's threads: each operation runs in the loop itself, at its next turn.

Every operation stays a place at which others get their turn, as with the threads, but in an order
that is the same each time, and without two changes of threads for each: they cost four times what
SQLite does. Whoever meets another's lock tries again at each turn, as often as `TURNS_MAX`.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Any

import aiosqlite

TURNS_MAX = 20_000
"""Turns of the loop that a lock is waited for: more of them is one that nobody gives back."""

Operation = Callable[[], Any]


class _NoThread:
    """Where the driver has its thread."""

    def start(self) -> None:
        pass


class _AtTheNextTurn:
    """Where the driver has the queue to its thread."""

    def put_nowait(self, item: "tuple[asyncio.Future[Any] | None, Operation]") -> None:
        future, operation = item
        if future is None:
            operation()
        else:
            future.get_loop().call_soon(_carry_out, future, operation, TURNS_MAX)


def _carry_out(future: "asyncio.Future[Any]", operation: Operation, turns: int) -> None:
    try:
        result = operation()
    except BaseException as error:
        if turns and getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
            future.get_loop().call_soon(_carry_out, future, operation, turns - 1)
        elif not future.done():
            future.set_exception(error)
    else:
        if not future.done():
            future.set_result(result)


def connect(*arguments: Any, **options: Any) -> aiosqlite.Connection:
    """For `async_creator_fn` of SQLAlchemy's driver."""
    connection = aiosqlite.connect(*arguments, **options | {"timeout": 0})
    connection._tx = _AtTheNextTurn()  # type: ignore[assignment]  # it is only ever put to
    connection._thread = _NoThread()  # type: ignore[assignment]  # it is only ever started
    return connection
