"""No question reads events or grants through: each goes by an index, on both engines.

What a question costs then goes with its answer, and hardly with the years behind it. The plans are
the engines' own words; the figures are in docs/performance.md.
"""

import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from sqlalchemy import event, select, text
from sqlalchemy.engine import Engine
from sqlalchemy.ext.asyncio import AsyncConnection

from benchmarks.building import build
from benchmarks.questions import HEAD, Ask, asked_of
from benchmarks.synthetic import Company, said_in
from ledger.answer import At
from ledger.envelope import Draft
from ledger.events import Granted, Stuck
from ledger.model import AccountId, GrantId, parse_principal
from ledger.schema import events, grants
from ledger.store import Ledger, questions
from ledger.store.append import append, read_rows
from ledger.store.feed import seen_after
from ledger.store.lookup import ended_rows, live_rows_of, newest_turns
from ledger.store.of_all import Kept, ledger_id, still_holds
from ledger.store.reads import Filter, events_at
from ledger.store.standing import read_standing
from ledger.store.views import (
    accounts_to_keep,
    closed_rows_of,
    owing,
    read_account,
    read_accounts,
    read_intent,
)
from tests.support.histories import after, grant

COMPANY = Company(events=24_000, accounts=300, principals=600, policies=60, days=365)
NOW = COMPANY.end
ACCOUNT = COMPANY.account(7)
MANY = [COMPANY.account(number) for number in range(20)]
IDS = [GrantId(f"{number:016}") for number in range(500)]

Plan = list[str]
"""What an engine says it reads through, for one statement."""


@contextmanager
def statements() -> Iterator[list[tuple[str, Any]]]:
    """What any engine is asked meanwhile, with its parameters."""
    seen: list[tuple[str, Any]] = []

    def note(_c: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        seen.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


OF_THE_OPEN = ("ix_grants_open", "ix_grants_next_ends", "ix_grants_declared")
"""Indexes of what is in force or owed: to read all of one is to read no history."""


async def read_through(connection: AsyncConnection, statement: str, parameters: Any) -> Plan:
    """The parts of the engine's plan that read all of events or grants."""
    if not statement.lstrip().upper().startswith(("SELECT", "WITH")):
        return []
    if connection.dialect.name == "sqlite":
        rows = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        said = [str(row.detail) for row in rows]
        through = [line for line in said if line.startswith(("SCAN events", "SCAN grants"))]
        return [line for line in through if not line.endswith(OF_THE_OPEN)]
    # A few thousand rows are rightly read through; without that, what has no index still is.
    for cheap in ("enable_seqscan", "enable_mergejoin", "enable_hashjoin"):
        await connection.execute(text(f"SET LOCAL {cheap} = off"))
    found = await connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
    plan = found.scalar_one()
    nodes = [(json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]]
    for node in nodes:
        nodes.extend(below for below in node.get("Plans", []) if not _one_end(node, below))
    return [_through(node) for node in nodes if _through(node)]


def _one_end(above: dict[str, Any], node: dict[str, Any]) -> bool:
    """Whether `node` reads an index from one end, and whoever is above it takes one row.

    So `max(position)` is planned; from PostgreSQL 18 on without a condition that the column, which
    is never null, is not null.
    """
    one = above["Node Type"] == "Limit" and above["Plan Rows"] == 1
    return one and node["Node Type"].startswith("Index") and "Filter" not in node


def _through(node: dict[str, Any]) -> str:
    """What a part of PostgreSQL's plan reads all of; empty: nothing."""
    name = node.get("Index Name", "")
    table = node.get("Relation Name", name)
    ours = name.partition("_")[2].startswith((events.name, grants.name))
    if node["Node Type"] == "Seq Scan" and table in (events.name, grants.name):
        return f"all of {table}"
    if ours and name not in OF_THE_OPEN and "Index Cond" not in node:
        return f"all of {table} by {name}"
    return ""


def newest_only(statement: str) -> bool:
    """It asks for the newest event or the first: an end of the table, wherever that is."""
    return "WHERE" not in statement and "LIMIT" in statement and "ORDER BY" in statement


async def plans_of(ledger: Ledger, ask: Ask) -> dict[str, Plan]:
    """Statement -> what it reads through, of those that do."""
    async with ledger.reading() as connection:
        with statements() as seen:
            await ask(connection, Random(3))  # noqa: S311 - the same questions every time
        assert seen, "nothing was asked"
        found = {s: await read_through(connection, s, given) for s, given in seen}
    return {s: plan for s, plan in found.items() if plan and not newest_only(s)}


async def _again(connection: AsyncConnection) -> None:
    kept = Kept()
    await kept.at(connection)
    await kept.at(connection)
    assert await still_holds(connection, await read_account(connection, ACCOUNT))


def others() -> dict[str, Ask]:
    """What programs ask: the worker, ingest, and whoever names a grant."""
    someone = parse_principal("user/person-00007")

    def of(work: Callable[[AsyncConnection], Awaitable[object]]) -> Ask:
        async def ask(connection: AsyncConnection, _random: Random) -> int:
            await work(connection)
            return 0

        return ask

    return {
        "what ingest compares with": of(
            lambda c: read_intent(c, teams=None, ids=IDS, now=NOW),
        ),
        "what ingest of a team compares with": of(
            lambda c: read_intent(c, teams=[COMPANY.team(3)], ids=IDS, now=NOW),
        ),
        "what a keeper reads": of(lambda c: read_account(c, ACCOUNT)),
        "what many keepers read": of(lambda c: read_accounts(c, MANY, Kept())),
        "what a keeper reads again": of(_again),
        "where something is due": of(lambda c: owing(c, now=NOW)),
        "which accounts are kept": of(accounts_to_keep),
        "what was there under a name": of(lambda c: closed_rows_of(c, ACCOUNT, ["a", "b"])),
        "what stands wrong": of(lambda c: read_standing(c, now=NOW)),
        "what is new": of(lambda c: seen_after(c, 23_900)),
        "what somebody has": of(lambda c: live_rows_of(c, someone, now=NOW)),
        "what somebody had": of(
            lambda c: ended_rows(c, [(someone.key, COMPANY.policy(3))], now=NOW)
        ),
        "a grant by its beginning": of(lambda c: newest_turns(c, "aaaa")),
        "all turns of a grant": of(lambda c: questions.grants_by_id(c, "aaaa")),
        "the events of many grants": of(
            lambda c: questions.events_of(c, [(grant_id, 1) for grant_id in IDS]),
        ),
        "the events at positions": of(lambda c: events_at(c, range(1, 24_000, 50))),
        "the rows of many grants": of(lambda c: read_rows(c, [(each, 1) for each in IDS])),
        "who was meant to have access and has none": of(
            lambda c: questions.who_has_access(
                c, keep=Filter(account=ACCOUNT), when=At(NOW), denied=True
            )
        ),
        "an environment": of(
            lambda c: questions.who_has_access(c, keep=Filter(environment="env-3"), when=At(NOW))
        ),
        "a word that nobody knows": of(
            lambda c: questions.unknown_words(
                c, Filter(policy="nothing", account="0" * 12, environment="nowhere")
            )
        ),
        "its name": of(ledger_id),
    }


QUESTIONS = asked_of(COMPANY, NOW - timedelta(days=20)) | others()


@pytest.mark.every_engine
async def test_no_question_reads_events_or_grants_through(ledger: Ledger) -> None:
    await build(ledger, COMPANY)
    found = {name: await plans_of(ledger, ask) for name, ask in QUESTIONS.items()}
    assert {name: plans for name, plans in found.items() if plans} == {}


@pytest.mark.every_engine
async def test_appending_many_looks_nothing_up_by_reading_through(ledger: Ledger) -> None:
    await build(ledger, COMPANY)
    drafts = [
        Draft(Granted(grant(f"{number:016}", ends=after(2))), 0, said_in(number))
        for number in range(500)
    ]
    drafts += [Draft(Stuck(AccountId(f"{number:012}"), "Busy", "x"), 0) for number in range(500)]
    async with ledger.writing() as connection:
        with statements() as seen:
            await append(connection, drafts, now=NOW)
        found = {s: await read_through(connection, s, given) for s, given in seen}
    assert {s: plan for s, plan in found.items() if plan and not newest_only(s)} == {}


@pytest.mark.every_engine
async def test_a_question_that_reads_through_is_seen(ledger: Ledger) -> None:
    await build(ledger, COMPANY)

    async def ask(connection: AsyncConnection, _random: Random) -> int:
        found = await connection.execute(select(events.c.kind).where(events.c.team == "team-03"))
        return len(found.all())

    assert await plans_of(ledger, ask)
    assert not await plans_of(ledger, QUESTIONS[HEAD])
