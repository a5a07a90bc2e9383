"""`plan --aws`: every account as it is, and what a worker would do there; nothing is written.

Invariant: the ledger is only read, and AWS is only asked. What cannot be read is told, and delays
no other account.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from cli.progress import Progress
from cli.session import Session
from ledger.model import AccountId

if TYPE_CHECKING:
    from cli.difference import Difference
    from ledger.account_words import AccountWords
    from ledger.events import Event
    from ledger.project import GrantRow
    from ledger.store import Ledger
    from worker.rehearsing.rehearsal import Rehearsal

REPLICA = "plan"
"""Sessions in AWS are called `iam-ledger-plan`: CloudTrail tells a rehearsal from the worker."""

ACCOUNTS_AT_ONCE_MAX = 32


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """All accounts, in order of their ids."""

    accounts: "tuple[Rehearsal, ...]"
    calls: int
    """How many calls were made of AWS, none of which writes."""


def rehearse(session: Session, difference: "Difference", asked: Iterable[str]) -> Rehearsed:
    """What a worker would do once `difference` was ingested; of `asked` only, where any is."""
    session.start_logs("error")  # what a pass logs as done is not done here
    only = frozenset(AccountId(account) for account in asked)
    with Progress(session, "calls to AWS") as progress:
        return session.ask(lambda ledger: _rehearse(session, ledger, difference, only, progress))


async def _rehearse(
    session: Session,
    ledger: "Ledger",
    difference: "Difference",
    only: frozenset[AccountId],
    progress: Progress,
) -> Rehearsed:
    from ledger.store.views import closed_rows_of
    from worker.aws.gate import open_gate
    from worker.metrics import Metrics
    from worker.rehearsing.rehearsal import Rehearsing

    words = await words_of(ledger, difference, only)
    calls = 0

    def count(_operation: str, _outcome: str, _seconds: float) -> None:
        nonlocal calls
        calls += 1
        progress(calls)

    async def read_closed(account: AccountId, names: list[str]) -> "tuple[GrantRow, ...]":
        async with ledger.reading() as connection:
            return await closed_rows_of(connection, account, names)

    async with open_gate(clock=session.clock, replica=REPLICA, on_call=count) as gate:
        rehearsing = Rehearsing(
            gate=gate,
            clock=session.clock,
            read_closed=read_closed,
            metrics=Metrics(),
            observing=asyncio.Semaphore(ACCOUNTS_AT_ONCE_MAX),
        )
        found = await asyncio.gather(*(rehearsing.rehearse(each) for each in words))
    return Rehearsed(tuple(found), calls)


async def words_of(
    ledger: "Ledger", difference: "Difference", only: frozenset[AccountId]
) -> "list[AccountWords]":
    """What the ledger says of every account, with what the ingest would append behind it."""
    from ledger.events import AccountMapped
    from ledger.store.views import accounts_to_keep, read_words
    from worker.rehearsing.rehearsal import planned

    events: list[Event] = [item.event for item in difference.report.events]
    async with ledger.reading() as connection:
        accounts = set(await accounts_to_keep(connection))
        accounts |= {e.account.account for e in events if isinstance(e, AccountMapped)}
        unknown = sorted(only - accounts)
        if unknown:
            raise click.UsageError(
                f"--account {unknown[0]}: neither the directory nor the ledger has such an account"
            )
        chosen = sorted(accounts & only if only else accounts)
        read = [await read_words(connection, account) for account in chosen]
    return [planned(words, events, at=difference.now) for words in read]
