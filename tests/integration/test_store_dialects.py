"""What only one engine understands is said in one seam, and all else is said to both alike.

Every function of the store runs once on each engine, and every statement that it emits on SQLite
must compile for PostgreSQL too.
"""

import ast
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import CodeType, FrameType, ModuleType
from typing import Any

import pytest
from sqlalchemy import ClauseElement, event
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Engine
from sqlalchemy.sql.expression import TextClause
from sqlalchemy.sql.visitors import iterate

from ledger import guards, store
from ledger.answer import At, Between
from ledger.envelope import Draft
from ledger.events import AccountMapped, Applied, Event, Granted, PolicyDefined, Removed, ref
from ledger.model import Account, AccountId
from ledger.permits import Asked
from ledger.store import (
    Ledger,
    append,
    exporting,
    feed,
    leases,
    lookup,
    of_all,
    permissions,
    questions,
    reads,
    sources,
    standing,
    verify,
    views,
)
from tests.support.every_kind import ACCOUNT, EVERY_KIND, INLINE, POLICY
from tests.support.histories import DEV, NOON, PROD, TEAM, after, grant
from tests.support.ledgers import raw

ROOT = Path(__file__).parents[2]

ONCE = grant("aaaaaaaaaaaaaaaa", ends=after(2))
READ_ONLY = sources.StoredSource(
    "arn:aws:iam::aws:policy/ReadOnlyAccess", "v1", '{"Statement":[]}', NOON
)
OVER = grant("bbbbbbbbbbbbbbbb", "user/ben", ends=after(1))
APART = {"ledger.store.dialect", "ledger.store.checkpoints", "ledger.store.together"}
"""The seam itself; what has such a test of its own; and what speaks to callers only."""


def modules() -> list[ModuleType]:
    names = [f"ledger.store.{module.name}" for module in iter_modules(store.__path__)]
    return [import_module(name) for name in names if name not in APART]


def functions_with_sql() -> dict[CodeType, str]:
    """Every coroutine of the store: whatever speaks to a database is one."""
    found: dict[CodeType, str] = {}
    for module in modules():
        members = [module, *(c for _, c in inspect.getmembers(module, inspect.isclass))]
        for owner in members:
            for name, function in inspect.getmembers(owner, inspect.isfunction):
                code = inspect.unwrap(function).__code__
                asynchronous = code.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR)
                if asynchronous and function.__module__ == module.__name__:
                    found[code] = f"{module.__name__}.{name}"
    return found


@contextmanager
def watched() -> Iterator[tuple[list[ClauseElement], set[CodeType]]]:
    """Collects the statements that go to any engine, and the functions that are called."""
    statements: list[ClauseElement] = []
    called: set[CodeType] = set()

    def note(_connection: object, statement: Any, *_: object) -> None:
        statements.append(statement)

    def profile(frame: FrameType, what: str, _argument: object) -> None:
        if what == "call":
            called.add(frame.f_code)

    event.listen(Engine, "before_execute", note)
    sys.setprofile(profile)
    try:
        yield statements, called
    finally:
        sys.setprofile(None)
        event.remove(Engine, "before_execute", note)


async def write(ledger: Ledger) -> None:
    """A history with something in force, something over, and every other kind of event."""
    where = Account(TEAM, "dev", DEV, "Deployer")
    known: list[Event] = [AccountMapped(ACCOUNT), AccountMapped(where), PolicyDefined(POLICY)]
    done: list[Event] = [Granted(ONCE), Granted(OVER)]
    made = Applied(ref(OVER), (INLINE,), "aws", (), 3, (), NOON)
    gone = Removed(ref(OVER), "expired", "answered", 0, (), after(1))
    await ledger.append([Draft(item, 0) for item in (*known, *done)], now=NOON)
    await ledger.append([Draft(item, 4) for item in (made, gone)], now=after(1))
    others: list[Event] = [item for item in EVERY_KIND if getattr(item, "grant", None) is None]
    await ledger.append([Draft(item, 5) for item in others], now=after(1))
    async with ledger.writing() as connection:
        await sources.keep_sources(connection, [READ_ONLY])
        status = standing.AccountStatus(PROD, (), "worker-1", NOON)
        await standing.write_accounts(connection, [status])


async def ask(ledger: Ledger) -> None:
    """Every question, with every filter that it takes."""
    filters = [
        reads.Filter(),
        reads.Filter(PROD, "prod", TEAM, "user/ana", "fix", "aaaa"),
        reads.Filter(principal="ana@example.com"),
    ]
    async with ledger.reading() as connection:
        for keep in filters:
            for known in (None, after(1)):
                for when in (At(NOON), Between(NOON, after(9))):
                    await questions.who_has_access(
                        connection, keep=keep, when=when, as_known_at=known, denied=True
                    )
                await questions.history(connection, keep=keep, newest=5, as_known_at=known)
            await questions.expiring(connection, keep=keep, now=NOON, until=after(9))
            await questions.unknown_words(connection, keep)
        await questions.grants_by_id(connection, "aaaa")
        await lookup.newest_turns(connection, "aaaa")
        await lookup.grant_ids(connection)
        await lookup.principals(connection)
        await lookup.database_role(connection)
        await lookup.live_rows_of(connection, ONCE.principal, now=NOON)
        await lookup.ended_rows(connection, [("user/ben", "fix")], now=after(9))
        await reads.newest(connection, "policy")
        await reads.newest_readable(connection, "stuck", account=PROD)
        await reads.events_at(connection, [1, 2])
        await append.count_events(connection)
        assert await feed.said_after(connection, feed.NOTHING_SEEN)
        first, *_ = await feed.seen_after(connection, 0)
        await feed.follow(connection, feed.Bookmark(first.position, first.hash))
        span = await exporting.span_of(connection, NOON, after(9))
        assert [row.position async for row in exporting.stream_span(connection, span)]
        answer = await questions.who_has_access(connection, keep=reads.Filter(), when=At(NOON))
        await permissions.permitted(connection, answer, At(NOON), Asked("s3:PutObject"))
        await sources.read_sources(connection, [READ_ONLY.arn])
        await standing.read_standing(connection, now=after(9))


async def share(ledger: Ledger) -> None:
    """What workers say to each other: who keeps which shard, and who has left."""
    me = leases.Replica("worker-1 1", "worker-1")
    async with ledger.leasing() as connection:
        held = (await leases.beat(connection, me, now=NOON)).held
    async with ledger.leasing() as connection:
        await leases.beat(connection, me, now=NOON, let_go=[0])
    async with ledger.writing() as connection:
        await leases.check_fences(connection, held[1:])
        status = standing.AccountStatus(AccountId("9" * 12), (), "worker-1", NOON)
        await standing.write_accounts(connection, [status])
        await standing.forget_accounts(connection, [PROD])
    async with ledger.reading() as connection:
        assert await leases.read_replicas(connection, now=NOON)
        first, *_ = await feed.seen_after(connection, 0)
        assert await feed.departed(connection, feed.Bookmark(first.position, first.hash)) is None
    async with ledger.leasing() as connection:
        await leases.leave(connection, me)


async def keep(ledger: Ledger) -> None:
    """What ingest and keepers read, and what an auditor has done."""
    async with ledger.reading() as connection:
        for teams in (None, [TEAM]):
            await views.read_intent(connection, teams=teams, ids=[ONCE.id, OVER.id], now=after(9))
        await views.accounts_to_keep(connection)
        view = await views.read_account(connection, PROD)
        assert await of_all.still_holds(connection, view)
        await views.read_accounts(connection, [PROD], of_all.Kept())
        await views.owing(connection, now=after(9))
        await views.closed_rows_of(connection, PROD, ["iam-ledger-bbbbbbbbbbbbbbbb"])
        async for _ in reads.stream_envelopes(connection, after=2):
            pass
    await ledger.check()
    assert (await verify.verify(ledger)).ok
    await verify.rebuild(ledger)


async def spoil(ledger: Ledger) -> None:
    """A mapping that nobody can read sends the reader to older ones."""
    done = await ledger.append([Draft(AccountMapped(ACCOUNT), 9)], now=after(1))
    with raw(ledger.url) as database:
        engine = ledger.url.get_backend_name()
        database.execute(guards.removing(engine, "events_refuse_update"))
        database.execute("UPDATE events SET payload = '{' WHERE position = ?", (done.positions[0],))
    async with ledger.reading() as connection:
        await views.read_account(connection, PROD)


@pytest.mark.every_engine
async def test_every_statement_of_the_store_compiles_for_postgresql(ledger: Ledger) -> None:
    with watched() as (statements, called):
        await write(ledger)
        await ask(ledger)
        await share(ledger)
        await keep(ledger)
        await spoil(ledger)
        async with Ledger(ledger.url):
            pass
    missed = {name for code, name in functions_with_sql().items() if code not in called}
    assert missed == set(), "these were not run: call them in this test"
    dialect = postgresql.psycopg.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's own
    texts = {str(statement.compile(dialect=dialect)) for statement in statements}
    assert len(texts) > 40
    plain = ("SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM ", "WITH RECURSIVE ")
    indexes = ("DROP INDEX ix_grants_", "CREATE INDEX ix_grants_")  # in the seam, while filled anew
    assert not [text for text in texts if not text.lstrip().startswith((*plain, *indexes))]
    handwritten = [part for statement in statements for part in iterate(statement)]
    assert not [part for part in handwritten if isinstance(part, TextClause)]


SQLITE_ONLY = (
    "PRAGMA",
    "exec_driver_sql",
    "sqlite_master",
    "sqlite3",
    "sqlite_begin",
    "INSERT OR ",
    "AUTOINCREMENT",
    "rowid",
    "ON CONFLICT",
    "dialects.sqlite",
)
SEAM = ("ledger/store/dialect/", "ledger/guards.py", "migrations/env.py")


@pytest.mark.parametrize("word", SQLITE_ONLY)
def test_what_only_sqlite_understands_is_said_in_one_seam(word: str) -> None:
    said = {
        path.relative_to(ROOT).as_posix()
        for room in ("ledger", "worker", "cli", "migrations")
        for path in sorted((ROOT / room).rglob("*.py"))
        if word in code_of(path)
    }
    assert not [path for path in said if not path.startswith(SEAM)], f"{word} is for the seam only"


@cache
def code_of(path: Path) -> str:
    """A file's text without its prose."""
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [item for item in body if not is_prose(item)] or [ast.Pass()]  # type: ignore[attr-defined]  # any node with one
    return ast.unparse(tree)


def is_prose(item: object) -> bool:
    return (
        isinstance(item, ast.Expr)
        and isinstance(item.value, ast.Constant)
        and isinstance(item.value.value, str)
    )
