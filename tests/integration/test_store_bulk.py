"""Many rows at once stand as they would one by one, whatever is in them, and under every guard."""

from dataclasses import astuple
from datetime import timedelta
from itertools import islice
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL, select
from sqlalchemy.exc import IntegrityError

from benchmarks.building import build, check
from benchmarks.stencils import Pressing
from benchmarks.synthetic import Company, history
from ledger.codec import GENESIS, encode, microseconds
from ledger.envelope import Draft, Provenance, Recorded
from ledger.events import Applied, Granted, Removed, Stuck, Unstuck, ref
from ledger.model import AccountId, GrantId
from ledger.project import GrantRow, fold, row_key
from ledger.rows import columns_of
from ledger.schema import events, grants, latest
from ledger.store import Ledger
from ledger.store.dialect import among, bulk, insert_rows
from ledger.store.verify import verify
from tests.support.histories import ATTACHED, NOON, after, grant
from tests.support.ledgers import NewLedger, raw

pytestmark = pytest.mark.every_engine

COUNT = bulk.MANY + 10
ODD = "tab\t line\n return\r \\N \\. \\\\ \"quoted\" 'so' %s :name – ☃ 😀"


def stories() -> list[list[Draft]]:
    """What happens to so many grants and accounts, each step of all of them at once."""
    given = [
        grant(f"{number:016}", ends=after(2), description=f"{number} {ODD}")
        for number in range(COUNT)
    ]
    accounts = [AccountId(f"{number:012}") for number in range(COUNT)]
    said = Provenance(source=ODD, author=ODD)
    return [
        [Draft(Granted(each), 0, said) for each in given],
        [Draft(Applied(ref(g), (ATTACHED,), "aws", (), 1, (ODD,), after(1)), 1) for g in given],
        [Draft(Stuck(account, "Busy", ODD), 1) for account in accounts],
        [Draft(Unstuck(account), 2) for account in accounts],
        [
            Draft(Removed(ref(each), "expired", "answered", 5, (), after(3)), 3)
            for each in given[: COUNT - 5]
        ],
    ]


def held(url: URL) -> dict[str, list[tuple[object, ...]]]:
    with raw(url) as database:
        return {
            table: [
                tuple(row)
                for row in database.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3, 4")  # noqa: S608 - our own names
            ]
            for table in ("events", "grants", "latest")
        }


async def test_what_is_appended_at_once_stands_as_if_it_had_come_one_by_one(
    new_ledger: NewLedger,
) -> None:
    at_once, one_by_one = new_ledger(), new_ledger()
    async with Ledger(at_once) as many, Ledger(one_by_one) as few:
        for number, drafts in enumerate(stories()):
            now = NOON + timedelta(hours=number)
            await many.append(drafts, now=now)
            for some in (drafts[:1], drafts[1:30], drafts[30:]):
                assert len(some) < bulk.MANY
                await few.append(some, now=now)
        assert (await verify(many)).ok
    assert held(at_once) == held(one_by_one)
    assert len(held(at_once)["grants"]) == COUNT


async def test_a_whole_story_in_one_append_stands_as_told_step_by_step(
    new_ledger: NewLedger,
) -> None:
    whole, by_steps = new_ledger(), new_ledger()
    async with Ledger(whole) as at_once, Ledger(by_steps) as slowly:
        await at_once.append([draft for drafts in stories() for draft in drafts], now=NOON)
        for drafts in stories():
            await slowly.append(drafts, now=NOON)
    assert held(whole) == held(by_steps)


async def test_a_grant_that_many_events_touch_changes_nobody_elses_row(ledger: Ledger) -> None:
    drafts = stories()
    await ledger.append(drafts[0], now=NOON)
    await ledger.append(drafts[1][: bulk.MANY], now=NOON)
    async with ledger.reading() as connection:
        query = select(grants.c.grant_id).where(grants.c.applied_position.is_(None))
        untouched = {row.grant_id for row in await connection.execute(query)}
    assert untouched == {f"{number:016}" for number in range(bulk.MANY, COUNT)}


@pytest.mark.parametrize("change", ["position", "prev_hash"])
async def test_the_guards_look_at_many_rows_as_at_one(ledger: Ledger, change: str) -> None:
    await ledger.append(stories()[0], now=NOON)
    query = select(events).order_by(events.c.position)
    async with ledger.reading() as connection:
        rows = [dict(row) for row in (await connection.execute(query)).mappings()]
    following: list[dict[str, Any]] = []
    for row in rows:
        shifted = {"position": row["position"] + len(rows), "dedup_key": row["dedup_key"] + "x"}
        before = following[-1]["hash"] if following else rows[-1]["hash"]
        following.append(row | shifted | {"prev_hash": before})
    bad = following[-3]
    bad[change] = bad["position"] + 100 if change == "position" else "0" * 64
    async with ledger.writing() as connection:
        await connection.execute(select(events.c.position).limit(1))
        with pytest.raises((IntegrityError, psycopg.IntegrityError), match="the ledger is a chain"):
            await insert_rows(connection, events, following)
        await connection.rollback()
    assert len(held(ledger.url)["events"]) == len(rows)


async def test_of_more_values_than_a_statement_has_parameters_those_that_stand_are_found(
    ledger: Ledger,
) -> None:
    await ledger.append(stories()[0], now=NOON)
    asked = [f"{number:016}" for number in range(0, 200_000, 2)]
    async with ledger.reading() as connection:
        query = select(grants.c.grant_id).where(among(connection, grants.c.grant_id, asked))
        found = sorted(row.grant_id for row in await connection.execute(query))
        nobody = select(grants).where(among(connection, grants.c.grant_id, []))
        assert (await connection.execute(nobody)).all() == []
    assert found == [f"{number:016}" for number in range(0, COUNT, 2)]


async def test_nothing_to_insert_is_nothing(ledger: Ledger) -> None:
    async with ledger.writing() as connection:
        await insert_rows(connection, latest, [])
    assert held(ledger.url)["latest"] == []


COMPANY = Company(events=3_000, accounts=20, principals=50, policies=10)


async def test_the_company_that_benchmarks_build_is_a_ledger_that_verifies(ledger: Ledger) -> None:
    await build(ledger, COMPANY)
    await ledger.check()
    found = await verify(ledger)
    assert found.ok, found.problems
    assert found.events == COMPANY.events
    assert f"{COMPANY.events:,} events" in await check(ledger)


def test_its_rows_are_to_the_byte_what_the_codec_and_the_fold_make_of_its_history() -> None:
    pressing = Pressing(COMPANY)
    rows = list(pressing.events())
    folded: dict[tuple[GrantId, int], GrantRow] = {}
    hash_ = GENESIS
    for (at, draft), row in zip(islice(history(COMPANY), COMPANY.events), rows, strict=True):
        made = encode(draft, position=row[0], recorded_at_us=microseconds(at), prev_hash=hash_)
        assert astuple(made) == row
        hash_, key = made.hash, row_key(draft.event)
        said = Recorded(row[0], at, draft.event, draft.provenance, made.dedup_key, hash_)
        if key is not None and (grant_row := fold(folded.get(key), said)) is not None:
            folded[key] = grant_row
    projected = [tuple(columns_of(grant_row).values()) for grant_row in folded.values()]
    assert sorted([*pressing.closed, *pressing.still_open()]) == sorted(projected)
    assert len(projected) > COMPANY.events // 5
