"""The one fold: wherever it is interrupted, and whoever does it, the projection is the same."""

import asyncio
from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.answer import At, Between, When, as_known, instant_of_answer, without_access
from ledger.codec import GENESIS, KINDS
from ledger.envelope import Draft, Provenance, Recorded
from ledger.events import Event, Granted, ref
from ledger.model import Grant
from ledger.project import GrantRow, LatestKey, fold, latest_keys, row_key
from ledger.rows import columns_of, row_of
from ledger.store import Ledger
from ledger.store.questions import expiring, who_has_access
from ledger.store.reads import Filter
from ledger.store.verify import rebuild, verify
from tests.support import strategies
from tests.support.histories import DEV, PROD, after
from tests.support.ledgers import make_ledger, raw
from tests.support.worlds import Life, hour, recorded, told, worlds

ABOUT_A_GRANT = sorted(
    kind
    for kind, cls in KINDS.items()
    if cls is not Granted and "grant" in (item.name for item in fields(cls))
)

TICK = timedelta(microseconds=1)
Timed = tuple[Event, datetime]


@st.composite
def turns(draw: st.DrawFn) -> list[Recorded]:
    """Anything whatever that may be told of one turn of a grant, in any order."""
    what = draw(strategies.of(Grant))
    kinds = draw(st.lists(st.sampled_from(ABOUT_A_GRANT), min_size=2, max_size=6))
    anything: list[Any] = [draw(strategies.events_of(kind)) for kind in kinds]
    later = [replace(event, grant=ref(what)) for event in anything]
    story: list[Event] = [Granted(what), *later]
    times = sorted(draw(st.lists(strategies.instants, min_size=len(story), max_size=len(story))))
    return [
        Recorded(position, at, event, Provenance(), str(position), GENESIS)
        for position, (event, at) in enumerate(zip(story, times, strict=True), 1)
    ]


def folded(row: GrantRow | None, history: Sequence[Recorded]) -> GrantRow | None:
    for item in history:
        row = fold(row, item)
    return row


@settings(max_examples=100, deadline=None)
@given(turns())
def test_a_fold_goes_on_from_the_stored_row_wherever_it_stopped(history: list[Recorded]) -> None:
    whole = folded(None, history)
    assert whole is not None
    assert {row_key(item.event) for item in history} == {whole.key}
    for at in range(1, len(history) + 1):
        row = folded(None, history[:at])
        assert row is not None
        stored = row_of(columns_of(row))
        assert stored == row
        assert folded(stored, history[at:]) == whole


@settings(max_examples=100, deadline=None)
@given(turns())
def test_every_column_is_what_a_database_takes_and_what_its_index_answers_by(
    history: list[Recorded],
) -> None:
    row = folded(None, history)
    assert row is not None
    columns: dict[str, Any] = columns_of(row)
    for name, value in columns.items():
        assert value is None or type(value) in (int, str), name
        assert not isinstance(value, int) or -(2**63) <= value < 2**63, name
    assert columns["access_from"] >= columns["granted_at"]
    if row.never_written:
        assert columns["access_from"] == columns["access_to"]


# --- in a real database ---------------------------------------------------------------------------


@st.composite
def ledgers(draw: st.DrawFn) -> list[list[Timed]]:
    """Lives of several grants and anything else that a ledger holds, cut into appends."""
    story = told(draw(worlds()))
    others = strategies.events.filter(lambda event: row_key(event) is None)
    for event in draw(st.lists(others, max_size=8)):
        at = draw(st.integers(0, len(story)))
        story.insert(at, (event, story[max(0, at - 1)][1]))
    cuts = sorted(draw(st.sets(st.integers(1, len(story)), max_size=4)) | {len(story)})
    return [story[one:other] for one, other in zip([0, *cuts], cuts, strict=False)]


def by_instant(story: Sequence[Timed]) -> list[list[Timed]]:
    """What was recorded at one instant is one append."""
    return [list(some) for _, some in groupby(story, key=lambda item: item[1])]


async def append_all(ledger: Ledger, appends: Sequence[Sequence[Timed]]) -> list[Recorded]:
    history: list[Recorded] = []
    for some in appends:
        drafts = [Draft(event, len(history) + n) for n, (event, _) in enumerate(some)]
        done = await ledger.append(drafts, now=some[-1][1])
        history += done.recorded
    return history


def standing(ledger: Ledger) -> dict[str, list[tuple[object, ...]]]:
    with raw(ledger.url) as database:
        return {
            table: sorted(tuple(row) for row in database.execute(f"SELECT * FROM {table}"))  # noqa: S608 - our own names
            for table in ("grants", "latest")
        }


@settings(max_examples=20, deadline=None)
@given(ledgers())
def test_the_projection_is_a_fresh_fold_of_the_events_and_a_rebuild_makes_it_again(
    appends: list[list[Timed]],
) -> None:
    async def try_it(ledger: Ledger) -> None:
        history = await append_all(ledger, appends)
        rows: dict[Any, GrantRow] = {}
        newest: dict[LatestKey, int] = {}
        for item in history:
            key = row_key(item.event)
            row = None if key is None else fold(rows.get(key), item)
            if row is not None:
                rows[row.key] = row
            newest |= dict.fromkeys(latest_keys(item.event), item.position)
        before = standing(ledger)
        assert before["grants"] == sorted(tuple(columns_of(row).values()) for row in rows.values())
        assert before["latest"] == sorted(
            (key.topic, key.account, key.team, key.name, position)
            for key, position in newest.items()
        )
        assert (await verify(ledger)).ok
        with raw(ledger.url) as database:
            database.execute("DELETE FROM grants")
            database.execute("DELETE FROM latest")
        assert await rebuild(ledger) == len(history)
        assert standing(ledger) == before

    in_a_ledger(try_it)


FILTERS = st.builds(
    Filter,
    account=st.sampled_from([None, None, PROD, DEV]),
    team=st.sampled_from([None, "payments", "research"]),
    principal=st.sampled_from([None, None, "ana", "user/ben", "ROLE/cat"]),
    policy=st.sampled_from([None, None, "fix"]),
    grant=st.sampled_from([None, None, None, "a", "b" * 16]),
)
Question = tuple[When, Filter, datetime | None]


@st.composite
def asked(draw: st.DrawFn, story: Sequence[Timed]) -> Question:
    """About, and as known at, the instants at which something was told, or just beside them."""
    instants = st.sampled_from([at for _, at in story] + [hour(30)])
    beside = st.sampled_from([timedelta(0), -TICK, TICK, timedelta(hours=1), timedelta(hours=-2)])
    start = draw(instants) + draw(beside)
    length = draw(st.sampled_from([None, None, TICK, timedelta(hours=3)]))
    when = At(start) if length is None else Between(start, start + length)
    known = draw(st.none() | st.tuples(instants, beside).map(sum_of))
    return when, draw(FILTERS), known


def sum_of(pair: tuple[datetime, timedelta]) -> datetime:
    return pair[0] + pair[1]


def kept(life: Life, keep: Filter) -> bool:
    """By the words of the filter, one by one."""
    what = life.grant
    name = (keep.principal or "").casefold()
    return (
        keep.account in (None, what.account)
        and keep.team in (None, what.team)
        and keep.policy in (None, what.policy)
        and what.id.startswith(keep.grant or "")
        and (not name or name in (what.principal.key, what.principal.name.casefold()))
    )


@settings(max_examples=25, deadline=None)
@given(worlds(), st.data())
def test_a_question_to_the_database_is_answered_as_by_reading_every_event(
    world: list[Life], data: st.DataObject
) -> None:
    story = told(world)
    history = recorded(story)
    questions = data.draw(st.lists(asked(story), min_size=12, max_size=20))

    async def try_it(ledger: Ledger) -> None:
        await append_all(ledger, by_instant(story))
        for when, keep, known in questions:
            upto = len([at for _, at in story if known is None or at <= known])
            rows = {
                life.grant.id: as_known([i for i in history if about(i, life)], upto)
                for life in world
                if kept(life, keep)
            }
            async with ledger.reading() as connection:
                found = await who_has_access(
                    connection,
                    keep=keep,
                    when=when,
                    as_known_at=known,
                    denied=True,
                )
            assert found.position == upto
            listed = {item.row.grant.id: item.row for item in found.access}
            assert listed == {
                name: row
                for name, row in rows.items()
                if row is not None and instant_of_answer(row, when) is not None
            }
            if known is None:
                denied = {item.row.grant.id for item in found.denied}
                assert denied == {
                    name
                    for name, row in rows.items()
                    if row is not None and row.closed is None and without_access(row, when)
                }

    in_a_ledger(try_it)


def about(item: Recorded, life: Life) -> bool:
    return row_key(item.event) == (life.grant.id, life.grant.turn)


@settings(max_examples=15, deadline=None)
@given(worlds(), st.integers(0, 24), st.integers(0, 24))
def test_what_expires_is_what_is_in_force_and_ends_in_time(
    world: list[Life], now: int, within: int
) -> None:
    story = [item for item in told(world) if item[1] <= hour(now)]
    history = recorded(story)

    async def try_it(ledger: Ledger) -> None:
        await append_all(ledger, by_instant(story))
        async with ledger.reading() as connection:
            found = await expiring(
                connection, keep=Filter(), now=hour(now), until=hour(now + within)
            )
        ends = [item.row.grant.window.ends_at for item in found.access]
        assert ends == sorted(ends, key=lambda end: end or after(999))
        for life in world:
            row = as_known([i for i in history if about(i, life)], len(history))
            end = life.grant.window.ends_at
            listed = life.grant.id in {item.row.grant.id for item in found.access}
            in_time = end is not None and hour(now) < end <= hour(now + within)
            if row is None or not in_time or row.revoked is not None or row.closed is not None:
                assert not listed
            else:
                instant = max(hour(now), row.access_from)
                assert listed is (instant_of_answer(row, At(instant)) is not None)

    in_a_ledger(try_it)


def in_a_ledger(what: Any) -> None:
    """Runs `what` on a new ledger of its own."""

    async def open_and_run(folder: Path) -> None:
        async with Ledger(make_ledger(folder)) as ledger:
            await what(ledger)

    with TemporaryDirectory() as folder:
        asyncio.run(open_and_run(Path(folder)))
