"""Of when, and as known when: every question against an oracle that knows kinds of events only."""

import ast
import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.answer import At, Between, When, state_during
from ledger.envelope import Draft
from ledger.events import Event
from ledger.store import Ledger
from ledger.store.questions import Found, who_has_access
from ledger.store.reads import Filter
from tests.support import oracle
from tests.support.ledgers import make_ledger
from tests.support.oracle import TICK, Shown, known_at, shown_between
from tests.support.worlds import HOURS, Life, hour, moments, recorded, told, worlds

Timed = tuple[Event, datetime]
MOMENTS = moments()
BESIDE = st.sampled_from([timedelta(0), -TICK, TICK])


@st.composite
def instants(draw: st.DrawFn) -> datetime:
    """At any hour of the world and after it, or just beside one."""
    return hour(draw(st.integers(-1, HOURS + 6))) + draw(BESIDE)


@st.composite
def whens(draw: st.DrawFn) -> When:
    start = draw(instants())
    if draw(st.booleans()):
        return At(start)
    return Between(start, start + draw(st.sampled_from([TICK, *map(hours, (1, 2, 5, 24))])))


def hours(number: int) -> timedelta:
    return timedelta(hours=number)


async def append_all(ledger: Ledger, story: Sequence[Timed]) -> None:
    """What was recorded at one instant is one append; no two events have one cause."""
    for at, some in groupby(enumerate(story), key=lambda item: item[1][1]):
        await ledger.append([Draft(event, number) for number, (event, _) in some], now=at)


def shown(found: Found, when: When) -> Shown:
    """What an answer says of one grant."""
    row = found.row
    state = state_during(row, when)
    assert state is not None
    return Shown(
        state=state,
        declared_from=max(row.grant.window.starts_at, row.granted.at),
        confirmed_from=None if row.applied is None else row.applied.at,
        revoked_at=None if row.revoked is None else row.revoked.at,
        closed_at=None if row.closed is None else row.closed.at,
    )


def must_show(life: Life, when: When, known: datetime | None) -> Shown | None:
    start, end = (
        (when.instant, when.instant + TICK) if isinstance(when, At) else (when.start, when.end)
    )
    return shown_between(known_at(recorded(life.told), known), start, end, MOMENTS)


@settings(max_examples=15, deadline=None)
@given(
    worlds(),
    st.lists(st.tuples(whens(), st.none() | instants()), min_size=20, max_size=30),
)
def test_what_is_shown_of_any_time_as_known_at_any_time_is_what_the_events_say(
    world: list[Life], questions: list[tuple[When, datetime | None]]
) -> None:
    """Who, in which state, and each part apart: declared, confirmed, revoked, gone."""

    async def try_it(ledger: Ledger) -> None:
        await append_all(ledger, told(world))
        for when, known in questions:
            async with ledger.reading() as connection:
                answer = await who_has_access(
                    connection, keep=Filter(), when=when, as_known_at=known
                )
            found = {item.row.grant.id: shown(item, when) for item in answer.access}
            for life in world:
                must = must_show(life, when, known)
                assert found.get(life.grant.id) == must, (when, known)

    async def in_a_ledger(folder: Path) -> None:
        async with Ledger(make_ledger(folder)) as ledger:
            await try_it(ledger)

    with TemporaryDirectory() as folder:
        asyncio.run(in_a_ledger(Path(folder)))


def test_the_oracle_knows_kinds_of_events_only() -> None:
    tree = ast.parse(Path(oracle.__file__).read_text(encoding="utf-8"))
    names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name for name in names if name and name.partition(".")[0] in ("ledger", "tests")} == {
        "ledger.envelope",
        "ledger.events",
    }
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
