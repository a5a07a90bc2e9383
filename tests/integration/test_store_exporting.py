"""A period is handed out as it stands, on every engine; a head is signed and kept once."""

import asyncio
from datetime import datetime, timedelta

import pytest
from sqlalchemy import URL

from ledger.store import Ledger
from ledger.store import checkpoints as making
from ledger.store.exporting import Span, span_of, stream_span
from tests.support.forging import SIGNER, read_rows, story
from tests.support.histories import NOON, after, append_all
from tests.support.ledgers import raw

pytestmark = pytest.mark.every_engine


@pytest.fixture
async def filled(ledger_url: URL) -> URL:
    await append_all(ledger_url, story().drafts)
    return ledger_url


async def span(url: URL, start: datetime | None, end: datetime | None) -> Span:
    async with Ledger(url) as ledger, ledger.reading() as connection:
        return await span_of(connection, start, end)


async def test_every_boundary_of_every_period_falls_where_a_scan_would_put_it(filled: URL) -> None:
    recorded = [row.recorded_at_us for row in read_rows(filled)]
    instants = [NOON + timedelta(microseconds=us - recorded[0]) for us in recorded]
    step = timedelta(microseconds=1)
    edges = sorted({instant + off for instant in instants for off in (-step, step * 0, step)})
    async with Ledger(filled) as ledger, ledger.reading() as connection:
        for edge in edges:
            wanted = sum(instant < edge for instant in instants)
            assert await span_of(connection, edge, None) == Span(wanted + 1, 12)
            assert await span_of(connection, None, edge) == Span(1, wanted)


async def test_the_rows_of_a_span_are_those_that_stand(filled: URL) -> None:
    rows = read_rows(filled)
    async with Ledger(filled) as ledger, ledger.reading() as connection:
        for asked in (Span(1, 12), Span(4, 9), Span(12, 12), Span(5, 4), Span(13, 12), Span(1, 99)):
            found = [row async for row in stream_span(connection, asked)]
            assert found == rows[asked.first - 1 : asked.last]


async def test_an_empty_ledger_has_an_empty_period(ledger_url: URL) -> None:
    assert await span(ledger_url, None, None) == Span(1, 0)
    assert await span(ledger_url, NOON, after(1)) == Span(1, 0)


@pytest.mark.parametrize(
    ("period", "size", "joined"),
    [
        (Span(7, 8), 12, Span(6, 12)),
        (Span(7, 8), 7, Span(6, 8)),
        (Span(7, 8), 3, Span(3, 8)),
        (Span(1, 8), 12, Span(1, 12)),
        (Span(13, 12), 12, Span(12, 12)),
    ],
)
def test_a_period_is_joined_to_a_checkpoint_without_a_gap(
    period: Span, size: int, joined: Span
) -> None:
    assert period.joined_to(size) == joined


async def test_checkpoints_made_at_once_are_kept_once(filled: URL) -> None:
    async with Ledger(filled) as one, Ledger(filled) as other:
        made = await asyncio.gather(
            *(
                making.make(ledger, SIGNER.sign, SIGNER.key.short, now=after(9))
                for ledger in (one, other, one, other)
            )
        )
    assert len({str(each.note) for each in made if each is not None}) == 1
    with raw(filled) as database:
        assert database.execute("SELECT count(*) FROM checkpoints").fetchone()[0] == 1
