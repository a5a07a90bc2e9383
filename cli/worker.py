"""`worker`: the daemon that makes AWS agree with the ledger, or one pass of it.

Invariant: SIGTERM ends it cleanly with 0; a second worker on one SQLite file does not start, on
PostgreSQL it takes its share of the accounts.
"""

import asyncio
import os
import random
import signal
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING
from uuid import uuid4

import click

from cli import sealing
from cli.environment import LISTEN, REPLICA
from cli.exits import Exit, Stop
from cli.options import AccountType, SpanType, speaking, with_database
from cli.session import Session
from ledger.model import AccountId

if TYPE_CHECKING:
    from datetime import timedelta

    from ledger.store.leases import Replica
    from worker.settings import WorkerSettings

REPLICA_CHARACTERS = "letters, digits and any of `_=,.@-`"


@click.command("worker")
@click.option(
    "--once", is_flag=True, help="One pass over every account, then exit; 1 if any failed."
)
@click.option(
    "--account",
    "accounts",
    type=AccountType(),
    multiple=True,
    metavar="ID",
    help="Keep only this account; repeatable.",
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help="Of /metrics, /livez and /readyz; port 0 takes a free one; else IAM_LEDGER_LISTEN.",
)
@click.option("--replica", metavar="NAME", help="Its name in evidence and in AWS's own trail.")
@click.option(
    "--resync-every",
    type=SpanType(),
    default="10m",
    show_default=True,
    metavar="SPAN",
    help="How often an account is read whole with nothing due.",
)
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where the newest signed checkpoint goes; else IAM_LEDGER_CHECKPOINT_FILE.",
)
@with_database
@speaking
@click.pass_obj
def command(
    session: Session,
    once: bool,
    accounts: tuple[str, ...],
    listen: str | None,
    replica: str | None,
    resync_every: "timedelta",
    checkpoint: Path | None,
) -> int:
    """Make AWS agree with the ledger, in every account, and take access away at its end.

    The accounts' deployer roles are assumed with the credentials that any AWS SDK would find here.
    """
    from worker.settings import WorkerSettings

    host, port = _address(session, listen)
    settings = WorkerSettings(
        replica=_name(session, replica),
        accounts=frozenset(AccountId(account) for account in accounts) or None,
        once=once,
        listen_host=host,
        listen_port=port,
        resync_every=resync_every,
    )
    seal = sealing.prepare(session, checkpoint)
    session.start_logs()
    return asyncio.run(_run(session, settings, seal))


async def _run(session: Session, settings: "WorkerSettings", seal: sealing.Seal | None) -> int:
    from ledger.store.dialect import single_worker
    from worker.aws.gate import open_gate
    from worker.daemon import Daemon
    from worker.errors import CannotListen
    from worker.keeper import Shared
    from worker.leases import Leases
    from worker.ledger_door import LedgerDoor
    from worker.metrics import Metrics
    from worker.own_writes import SettledGate
    from worker.pace import PacedGate
    from worker.sources import Sources

    metrics, clock, stop = Metrics(), session.clock, asyncio.Event()
    async with session.ledger() as ledger:
        await ledger.check()
        with single_worker(ledger.url) as alone:
            door = LedgerDoor(ledger)
            interrupted = _heed_signals(stop)
            leases = None if alone else Leases(door, _replica(settings), clock, metrics)
            try:
                async with open_gate(
                    clock=clock, replica=settings.replica, on_call=metrics.on_call
                ) as gate:
                    shared = Shared(
                        ledger=door,
                        gate=SettledGate(PacedGate(gate, clock, random.random, metrics), clock.now),
                        clock=clock,
                        metrics=metrics,
                        settings=settings,
                        sources=Sources(door.keep_source),
                        stop=stop,
                        observing=asyncio.Semaphore(settings.observing_max),
                        sure=leases.sure if leases is not None else lambda: True,
                        random=random.random,
                    )
                    checkpoints = sealing.for_worker(session, seal, ledger, metrics)
                    done = await Daemon(door, shared, checkpoints, leases).run()
            except CannotListen as error:
                raise Stop(
                    Exit.CONFIGURATION, f"cannot listen on {error}; give --listen another address"
                ) from None
            finally:
                door.close()
    if interrupted.is_set():
        return Exit.INTERRUPTED
    return Exit.DONE if done else Exit.FAILED


def _replica(settings: "WorkerSettings") -> "Replica":
    """This process among those that share the ledger, which `--once` and `--account` do not."""
    from ledger.store.leases import Replica

    return Replica(
        instance=f"{settings.replica} {gethostname()} {os.getpid()} {uuid4().hex[:8]}",
        name=settings.replica,
        alone=settings.once or settings.accounts is not None,
    )


def _heed_signals(stop: asyncio.Event) -> asyncio.Event:
    """SIGTERM and Control-C ask for an orderly end; the event tells whether it was Control-C."""
    loop, interrupted = asyncio.get_running_loop(), asyncio.Event()

    def interrupt() -> None:
        interrupted.set()
        stop.set()

    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, interrupt)
    return interrupted


def _address(session: Session, flag: str | None) -> tuple[str, int]:
    value = session.environment.value(LISTEN, flag)
    host, _, port = value.text.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) < 65_536) or not host:
        message = f"{value.source} is `{value.text}`; write host:port, as 127.0.0.1:9464"
        if flag is not None:
            raise click.UsageError(message)
        raise Stop(Exit.CONFIGURATION, message)
    return host.strip("[]"), int(port)


def _name(session: Session, flag: str | None) -> str:
    value = session.environment.value(REPLICA, flag)
    allowed = all(c.isascii() and (c.isalnum() or c in "_=,.@-") for c in value.text)
    if not allowed or not 2 <= len(value.text) <= 40:
        message = f"{value.source} is `{value.text}`; write 2 to 40 {REPLICA_CHARACTERS}"
        if flag is not None:
            raise click.UsageError(message)
        raise Stop(Exit.CONFIGURATION, message)
    return value.text
