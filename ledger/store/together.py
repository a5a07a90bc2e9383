"""Many who ask at one moment, answered by the work of one of them.

Invariant: whoever asks is answered by work that began after it asked. Whoever is cancelled while it
works for all leaves the others waiting, and one of them goes on; nobody waits for the turn of those
who are answered already, however many they are.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


class Asked(Generic[Q, A]):
    """One question and its answer to come."""

    __slots__ = ("_answer", "_bell", "_error", "over", "what")

    def __init__(self, what: Q) -> None:
        self.what = what
        self.over = False
        """Whether it is answered, or has failed."""
        self._answer: list[A] = []
        self._error: Exception | None = None
        self._bell: asyncio.Future[None] | None = None

    def answer(self, answer: A) -> None:
        self._answer.append(answer)
        self._end()

    def fail(self, error: Exception) -> None:
        self._error = error
        self._end()

    def _end(self) -> None:
        self.over = True
        self.ring()

    def ring(self) -> None:
        """Wakes whoever asked, to take its answer or to work for all."""
        if self._bell is not None and not self._bell.done():
            self._bell.set_result(None)

    async def rung(self) -> None:
        self._bell = asyncio.get_running_loop().create_future()
        await self._bell

    def take(self) -> A:
        if self._error is not None:
            raise self._error
        return self._answer[0]


Work = Callable[[list[Asked[Q, A]]], Awaitable[None]]
"""Answers some at least of those who wait, the first among them; in the order in which they asked.

What it raises goes to whoever works, and the next one tries."""


class Together(Generic[Q, A]):
    """Any number of tasks may ask at a time."""

    def __init__(self, work: Work[Q, A]) -> None:
        self._work = work
        self._waiting: dict[Asked[Q, A], None] = {}
        self._working = False

    async def ask(self, what: Q) -> A:
        mine = Asked[Q, A](what)
        self._waiting[mine] = None
        try:
            while not mine.over:
                if self._working:
                    await mine.rung()
                else:
                    await self._do()
            return mine.take()
        finally:
            self._waiting.pop(mine, None)
            self._pass_on()

    async def _do(self) -> None:
        asked = list(self._waiting)
        self._working = True
        try:
            await self._work(asked)
        finally:
            self._working = False
            for each in asked:
                if each.over:
                    self._waiting.pop(each, None)

    def _pass_on(self) -> None:
        following = next(iter(self._waiting), None)
        if following is not None and not self._working:
            following.ring()
