"""`checkpoint`: signs what the ledger is now, for keeping where its owner cannot write.

Invariant: nothing is signed that departs from what the file, or the ledger itself, kept before.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import answers, witnessing
from cli.environment import CHECKPOINT_FILE
from cli.exits import Exit, Stop
from cli.options import speaking, with_database
from cli.session import Session

if TYPE_CHECKING:
    from ledger.checkpoint import Witness
    from ledger.signing import Signer
    from ledger.store import Ledger
    from ledger.store.checkpoints import Made

NAME = "iam-ledger"
"""Of a key that was given none."""


@click.command("checkpoint")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option(
    "--new-key",
    type=click.Path(path_type=Path),
    metavar="KEYFILE",
    help="Make a key pair: the private key into KEYFILE, the public one on stdout.",
)
@click.option("--name", metavar="NAME", help="Of the new key, as `example.com/ledger`.")
@with_database
@speaking
@click.pass_obj
def command(session: Session, file: Path | None, new_key: Path | None, name: str | None) -> int:
    """Sign how many events the ledger holds and the newest one's hash, into FILE or on stdout.

    Signs with IAM_LEDGER_CHECKPOINT_KEY_FILE. FILE belongs where the database's owner cannot write.
    """
    if new_key is None:
        if name is not None:
            raise click.UsageError("--name names a new key; give --new-key KEYFILE with it")
        signer = witnessing.needed_signer(session)
        _sign(session, signer, file)
        session.terminal.hint(f"check it with --key {signer.key}")
        return Exit.DONE
    signer = _make_key(session, new_key, NAME if name is None else name)
    if file is not None:
        _sign(session, signer, file, quietly=True)
    return Exit.DONE


def _make_key(session: Session, path: Path, name: str) -> "Signer":
    from secrets import token_bytes

    from ledger.checkpoint import KEY_BYTES, CheckpointRefused, key_name

    signing = witnessing.load_signing()
    try:
        key_name(name)
    except CheckpointRefused as error:
        raise click.UsageError(f"--name: {error}") from None
    seed = token_bytes(KEY_BYTES)
    signer: Signer = signing.signer_of(name, seed)
    witnessing.write_new_key(path, signing.private_text(name, seed))
    session.terminal.data(str(signer.key))
    session.terminal.hint(
        f"{path} holds the private key: keep it from whoever owns the database. The line on stdout "
        "is the public one, for auditors and `verify --key`."
    )
    return signer


def _sign(session: Session, signer: "Signer", file: Path | None, *, quietly: bool = False) -> None:
    kept = None if file is None else witnessing.standing_witness(file, signer)
    made = make(session, signer, kept)
    if file is None:
        session.terminal.data(str(made.note))
        return
    publish(file, made)
    said = (
        f"{file}: {answers.counted(made.checkpoint.size, 'event')}, hash {made.checkpoint.hash}, "
        f"signed by {signer.key.short}"
    )
    (session.terminal.hint if quietly else session.terminal.data)(said)


def make(session: Session, signer: "Signer", kept: "Witness | None") -> "Made":
    """A checkpoint of the ledger as it is now, kept in it too; ChainBroken as in the store."""
    from ledger.store import checkpoints

    async def work(ledger: "Ledger") -> "Made | None":
        return await checkpoints.make(
            ledger, signer.sign, signer.key.short, now=session.now(), remembered=kept
        )

    made = session.ask(work)
    if made is None:
        raise Stop(Exit.FAILED, "the ledger is empty: there is nothing to sign")
    return made


def publish(file: Path, made: "Made") -> None:
    """Writes it out; Stop where that cannot be done."""
    try:
        witnessing.write_note(file, made.note)
    except OSError as error:
        raise Stop(
            Exit.FAILED,
            f"{file}: {error.strerror or error}; the checkpoint is kept in the ledger and was not "
            f"written out. Give another file ({CHECKPOINT_FILE.flag})",
        ) from None
