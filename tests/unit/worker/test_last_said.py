"""One look at the ledger answers a thousand keepers, and none of them too early."""

import asyncio

import pytest

from ledger.errors import LedgerUnavailable
from ledger.model import AccountId
from tests.support.histories import DEV, PROD
from worker.last_said import LastSaid


class Book:
    """Where words stand; a look at it takes until it is let go."""

    def __init__(self) -> None:
        self.words: dict[AccountId | None, int] = {}
        self.looks = 0
        self.open = asyncio.Event()
        self.away = False

    async def look(self) -> dict[AccountId | None, int]:
        self.looks += 1
        if self.away:
            raise LedgerUnavailable("away")
        found = dict(self.words)
        await self.open.wait()
        return found


async def asked_at_once(said: LastSaid, times: int) -> "list[asyncio.Task[int]]":
    tasks = [asyncio.ensure_future(said.about(PROD)) for _ in range(times)]
    await asyncio.sleep(0)
    return tasks


async def test_those_who_ask_while_somebody_looks_share_the_next_look() -> None:
    book = Book()
    said = LastSaid(book.look)
    (first,) = await asked_at_once(said, 1)
    others = await asked_at_once(said, 1000)
    book.words = {PROD: 7, DEV: 9}  # the look under way has missed it
    book.open.set()
    assert await first == 0
    assert set(await asyncio.gather(*others)) == {7}
    assert book.looks == 2


async def test_what_is_said_to_all_is_said_to_each_and_older_words_take_nothing_back() -> None:
    book = Book()
    book.open.set()
    said = LastSaid(book.look)
    book.words = {PROD: 7, None: 8}
    assert (await said.about(PROD), await said.about(DEV)) == (8, 8)
    book.words = {PROD: 5}
    said.note(DEV, 12)
    said.note(DEV, 11)
    assert (await said.about(PROD), await said.about(DEV)) == (8, 12)


async def test_a_ledger_that_is_away_is_away_for_each_who_asks_and_for_no_longer() -> None:
    book = Book()
    book.away = True
    said = LastSaid(book.look)
    for task in await asked_at_once(said, 3):
        with pytest.raises(LedgerUnavailable):
            await task
    book.away, book.words = False, {PROD: 3}
    book.open.set()
    assert await said.about(PROD) == 3


async def test_whoever_is_cancelled_while_looking_for_all_leaves_it_to_the_next() -> None:
    book = Book()
    said = LastSaid(book.look)
    book.words = {PROD: 7}
    (first,) = await asked_at_once(said, 1)
    others = await asked_at_once(said, 3)
    first.cancel()
    book.open.set()
    assert await asyncio.gather(*others) == [7, 7, 7]
    with pytest.raises(asyncio.CancelledError):
        await first
