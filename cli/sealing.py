"""The checkpoints that `ingest` and the worker make, where a key is configured.

Invariant: before `ingest` appends anything the ledger is held against the newest checkpoint that is
at hand; after it, what was appended is told whether a checkpoint could be made or not.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cli import answers, checkpoint, witnessing
from cli.exits import Exit, Stop, exit_of
from cli.session import Session
from ledger.checkpoint import Witness
from ledger.errors import ChainBroken, LedgerError

if TYPE_CHECKING:
    from datetime import datetime

    from ledger.signing import Signer
    from ledger.store import Ledger
    from ledger.store.checkpoints import Made
    from worker.checkpoints import Checkpoints
    from worker.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Seal:
    """What to sign with, and where the note goes beside the database."""

    signer: "Signer"
    file: Path | None
    kept: Witness | None
    """What stood in the file; None: nothing yet."""


def prepare(session: Session, flag: Path | None) -> Seal | None:
    """None where nothing is to be signed; Stop (78) where it could not be."""
    file = witnessing.configured_file(session, flag)
    if file is None:
        signer = witnessing.configured_signer(session)
        return None if signer is None else Seal(signer, None, None)
    signer = witnessing.needed_signer(session)
    kept = witnessing.standing_witness(file, signer)
    if kept is not None and not session.has_ledger():
        raise Stop(
            Exit.CONFIGURATION,
            f"{file} is the checkpoint of a ledger with "
            f"{answers.counted(kept.checkpoint.size, 'event')}, and {session.shown_database} holds "
            "no ledger: none was made. Check --database and IAM_LEDGER_DATABASE_URL",
        )
    return Seal(signer, file, kept)


async def refuse_broken(ledger: "Ledger", seal: Seal | None) -> None:
    """ChainBroken where the ledger departs from what was signed before; reads a few rows."""
    if seal is None:
        return
    from ledger.store import checkpoints

    try:
        async with ledger.reading() as connection:
            await checkpoints.refuse_broken(connection, seal.kept)
    except ChainBroken as error:
        raise ChainBroken(f"{error}. Nothing was appended") from None


def finish(session: Session, seal: Seal | None) -> Stop | None:
    """Signs the head and writes the note out; what went wrong, to be raised when all is told."""
    if seal is None:
        return None
    try:
        made = checkpoint.make(session, seal.signer, seal.kept)
        if seal.file is not None:
            checkpoint.publish(seal.file, made)
    except Stop as stop:
        return stop
    except LedgerError as error:
        return Stop(exit_of(error), f"the ledger has no new checkpoint: {error}")
    where = "in the ledger" if seal.file is None else str(seal.file)
    session.terminal.hint(
        f"checkpoint over {answers.counted(made.checkpoint.size, 'event')}: {where}"
    )
    return None


def for_worker(
    session: Session, seal: Seal | None, ledger: "Ledger", metrics: "Metrics"
) -> "Checkpoints | None":
    """The duty of a running worker; None where it has no key."""
    if seal is None:
        return None
    from ledger.store import checkpoints as store
    from worker.checkpoints import Checkpoints

    signer, file = seal.signer, seal.file

    async def make(remembered: Witness | None, now: "datetime") -> "Made | None":
        return await store.make(
            ledger, signer.sign, signer.key.short, now=now, remembered=remembered
        )

    publish = None if file is None else partial(witnessing.write_note, file)
    return Checkpoints(make, session.clock, metrics, publish, seal.kept)
