"""The ledger as a database: the door to all that reads and appends.

Invariant: whatever is acknowledged is durable, in order, and chained; whatever is not acknowledged
left nothing behind. The only SQL is in this package.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import URL, Connection, Text, column, inspect, select, table
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import guards
from ledger.envelope import Draft
from ledger.errors import LedgerForeign, LedgerMissing, LedgerOutdated, LedgerUnavailable
from ledger.schema import REVISION, events
from ledger.store.append import Appended, append
from ledger.store.dialect import (
    Address,
    check_server,
    dispose,
    file_of,
    for_leasing,
    for_reading,
    for_writing,
    open_engine,
    shown,
    triggers,
    weather,
)
from ledger.store.leases import Fence, check_fences
from ledger.store.together import Asked, Together

DRAFTS_A_COMMIT_MAX = 10_000
"""A commit of this size holds the append lock for about 0.2 s."""

TABLES_SHOWN_MAX = 5

_VERSIONS = "alembic_version"


@dataclass(frozen=True, slots=True)
class _Wanted:
    drafts: Sequence[Draft]
    now: datetime
    fence: Fence | None


_Waiting = Asked[_Wanted, Appended]


class Ledger:
    """One open ledger. Use as an async context manager; any number of tasks may share it."""

    def __init__(self, url: URL, address: Address | None = None) -> None:
        """`address` says anew where it is, for each connection: passwords are renewed. None: `url`,
        for ever."""
        self.url = url
        self.address = address
        self._engine = open_engine(url, address=address)
        self._reader = for_reading(self._engine)
        self._writer = for_writing(self._engine)
        self._leaser = for_leasing(self._engine)
        self._appending = Together(self._append_waiting)

    async def __aenter__(self) -> "Ledger":
        return self

    async def __aexit__(self, *_: object) -> None:
        await dispose(self._engine)

    # --- transactions -------------------------------------------------------------------------

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that sees one instant of the ledger; LedgerUnavailable as weather."""
        with weather():
            async with self._reader.connect() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction under the append lock, committed at the end unless it raises."""
        with weather():
            async with self._writer.begin() as connection:
                yield connection

    @asynccontextmanager
    async def leasing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction of one worker at a time, for `ledger.store.leases`; holds up no append."""
        with weather():
            async with self._leaser.begin() as connection:
                yield connection

    async def append(
        self, drafts: Sequence[Draft], *, now: datetime, fence: Fence | None = None
    ) -> Appended:
        """Appends in one commit, shared with whoever else is waiting to append.

        Recorded at the latest `now` of those who share it, and never before what stands already.
        Returns when the commit is durable. Repeating it after any failure is safe: what stands
        already is skipped. Raises Fenced where `fence` is void by the time of the commit; None:
        whoever appends shares nothing out.
        """
        return await self._appending.ask(_Wanted(drafts, now, fence))

    async def _append_waiting(self, waiting: Sequence[_Waiting]) -> None:
        """Commits for all of them up to the ceiling; one of the others then takes the rest.

        Who goes on where this one was cancelled skips what was durable already.
        """
        batch: list[_Waiting] = []
        size = 0
        for each in waiting:
            if batch and size + len(each.what.drafts) > DRAFTS_A_COMMIT_MAX:
                break
            batch.append(each)
            size += len(each.what.drafts)
        await self._settle(batch)

    async def _settle(self, batch: Sequence[_Waiting]) -> None:
        """Commits for all of `batch`; one that asks for what cannot be fails alone.

        It is found by halving: the others still share their commits.
        """
        try:
            await self._commit(batch)
        except LedgerUnavailable as error:
            for waiting in batch:
                waiting.fail(error)
        except Exception as error:
            if len(batch) == 1:
                batch[0].fail(error)
                return
            middle = len(batch) // 2
            await self._settle(batch[:middle])
            await self._settle(batch[middle:])

    async def _commit(self, batch: Sequence[_Waiting]) -> None:
        """One append for all: what each asked costs as little as if one had asked for it all."""
        async with self.writing() as connection:
            fences = {one.what.fence for one in batch if one.what.fence is not None}
            await check_fences(connection, fences)
            appended = await append(
                connection,
                [draft for waiting in batch for draft in waiting.what.drafts],
                now=max(waiting.what.now for waiting in batch),
            )
        new = {item.position: item for item in appended.recorded}
        start = 0
        for waiting in batch:
            positions = appended.positions[start : start + len(waiting.what.drafts)]
            start += len(waiting.what.drafts)
            # Where two say the same, it is new to the first of them only.
            own = tuple(new.pop(at) for at in dict.fromkeys(positions) if at in new)
            waiting.answer(Appended(positions, own, appended.head))

    # --- start-up -----------------------------------------------------------------------------

    async def check(self) -> None:
        """Refuses a ledger that is missing, of another schema, or without its guards."""
        path = file_of(self.url)
        where = shown(self.url)
        if path is not None and not path.is_file():
            raise LedgerMissing(
                f"there is no ledger at {where}; set --database or IAM_LEDGER_DATABASE_URL, or "
                "make one with `iam-ledger migrate`"
            )
        async with self.reading() as connection:
            await connection.run_sync(check_server)
            await connection.run_sync(_check_tables, where)
            version = select(column("version_num", Text)).select_from(table(_VERSIONS))
            revision = (await connection.execute(version)).scalar_one_or_none()
            if revision != REVISION:
                raise LedgerOutdated(
                    f"{where} has schema {revision}, this program needs {REVISION}; "
                    "run `iam-ledger migrate` of the newer of the two"
                )
            standing = await connection.run_sync(triggers)
        gone = guards.missing(self.url.get_backend_name(), standing)
        if gone:
            raise LedgerOutdated(
                f"{where} has lost the guards that keep it append-only ({', '.join(gone)}): "
                "somebody has changed the schema by hand. Run `iam-ledger verify`, find out who, "
                "then `iam-ledger migrate` puts them back"
            )


def _check_tables(connection: Connection, where: str) -> None:
    """LedgerMissing where nothing is yet, LedgerForeign where what is there is not a ledger's."""
    look = inspect(connection)
    tables = set(look.get_table_names())

    def has(table_name: str, columns: Iterable[str]) -> bool:
        if table_name not in tables:
            return False
        return {found["name"] for found in look.get_columns(table_name)}.issuperset(columns)

    versioned = has(_VERSIONS, ["version_num"])
    if versioned and has(events.name, events.columns.keys()):
        return
    if not tables or (versioned and tables == {_VERSIONS}):
        raise LedgerMissing(
            f"{where} holds no ledger; set --database or IAM_LEDGER_DATABASE_URL, or "
            "make one with `iam-ledger migrate`"
        )
    named = sorted(tables)
    shown_names = ", ".join(named[:TABLES_SHOWN_MAX]) + (", …" if named[TABLES_SHOWN_MAX:] else "")
    raise LedgerForeign(
        f"{where} holds no ledger; set --database or IAM_LEDGER_DATABASE_URL to one, or to a "
        f"database of its own: the tables here ({shown_names}) are not a ledger's. "
        "Nothing was changed"
    )
