"""Checkpoints as files, and the keys that sign and check them.

Invariant: a file that is not a checkpoint is never overwritten, a private key is never shown, and
what is written is there whole or as it was before.
"""

import os
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from cli.environment import CHECKPOINT_FILE, CHECKPOINT_KEY
from cli.exits import Exit, Stop
from cli.session import Session
from cli.whole_files import write_whole
from ledger.checkpoint import (
    NOTE_BYTES_MAX,
    CheckpointRefused,
    Key,
    Note,
    Witness,
    checkpoint_in,
    parse_key,
    parse_note,
)

if TYPE_CHECKING:
    from ledger.signing import Signer


def load_signing() -> ModuleType:
    """`ledger.signing`; Stop (78) where what it needs is not installed."""
    try:
        from ledger import signing
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "cryptography":
            raise
        raise Stop(
            Exit.CONFIGURATION,
            "signatures need the package `cryptography`: pip install 'iam-ledger[sign]'",
        ) from None
    return signing


def configured_signer(session: Session) -> "Signer | None":
    """The key that this process signs with; None where none is set."""
    value = session.environment.value(CHECKPOINT_KEY)
    if not value.text:
        return None
    signing = load_signing()
    try:
        signer: Signer = signing.parse_signer(value.text)
    except CheckpointRefused as error:
        raise Stop(Exit.CONFIGURATION, f"{value.source}: {error}") from None
    return signer


def needed_signer(session: Session) -> "Signer":
    """The same where there is nothing to do without."""
    signer = configured_signer(session)
    if signer is None:
        raise Stop(
            Exit.CONFIGURATION,
            f"there is no key to sign with; set {CHECKPOINT_KEY.variable}_FILE to a file that "
            "`iam-ledger checkpoint --new-key` made",
        )
    return signer


def configured_file(session: Session, flag: Path | None) -> Path | None:
    """Where the newest checkpoint is written beside the database; None: nowhere."""
    text = session.environment.value(CHECKPOINT_FILE, None if flag is None else str(flag)).text
    return Path(text) if text else None


# --- reading ----------------------------------------------------------------------------------


def read_keys(texts: tuple[str, ...]) -> list[Key]:
    """Public keys, each given by itself or as a file with one on each line."""
    keys: list[Key] = []
    for text in texts:
        path = Path(text)
        try:
            keys += [_key(line, text) for line in _lines(path)] if _is_file(path) else [_key(text)]
        except OSError as error:
            raise _unreadable(path, error) from None
    return keys


def _is_file(path: Path) -> bool:
    with suppress(OSError, ValueError):
        return path.is_file()
    return False


def _lines(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    found = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not found:
        raise Stop(Exit.CONFIGURATION, f"{path} holds no key")
    return found


def _key(text: str, path: str | None = None) -> Key:
    try:
        return parse_key(text)
    except CheckpointRefused as error:
        where = "--key" if path is None else path
        raise Stop(Exit.CONFIGURATION, f"{where}: {error}") from None


def read_witness(path: Path, keys: list[Key]) -> Witness:
    """The checkpoint in `path`, signed by one of `keys`; Stop (78) for anything else."""
    note = _read_note(path)
    try:
        return Witness(str(path), checkpoint_in(note), load_signing().check(note, keys).short)
    except CheckpointRefused as error:
        raise Stop(Exit.CONFIGURATION, f"{path}: {error}") from None


def read_size(path: Path) -> int:
    """How many events the checkpoint in `path` saw; whether it is genuine is not asked here."""
    try:
        return checkpoint_in(_read_note(path)).size
    except CheckpointRefused as error:
        raise Stop(Exit.CONFIGURATION, f"{path}: {error}") from None


def standing_witness(path: Path, signer: "Signer") -> Witness | None:
    """What `path` says already, to hold the ledger against before it is overwritten.

    A key that is not `signer`'s is not asked for: keys are rotated. None: there is no such file.
    """
    if not path.exists():
        return None
    note = _read_note(path)
    signed = [each for each in note.signatures if each.key_id == signer.key.id]
    try:
        if signed:
            load_signing().check(note, [signer.key])
        return Witness(str(path), checkpoint_in(note), signer.key.short if signed else "unchecked")
    except CheckpointRefused as error:
        raise Stop(
            Exit.CONFIGURATION,
            f"{path}: {error}. The file was left as it is; move it away to have a new one written",
        ) from None


def _read_note(path: Path) -> Note:
    try:
        with path.open("rb") as handle:
            return parse_note(handle.read(NOTE_BYTES_MAX + 1))
    except OSError as error:
        raise _unreadable(path, error) from None
    except CheckpointRefused as error:
        raise Stop(Exit.CONFIGURATION, f"{path} is no checkpoint: {error}") from None


def _unreadable(path: Path, error: OSError) -> Stop:
    return Stop(Exit.CONFIGURATION, f"{path}: {error.strerror or error}")


# --- writing ----------------------------------------------------------------------------------


def write_note(path: Path, note: Note) -> None:
    """Puts the note in the place of what stands there, whole or not at all. OSError."""
    content = str(note).encode()
    with suppress(FileNotFoundError):
        if path.read_bytes() == content:
            return
    write_whole(path, content)  # it is for everybody to read


def write_new_key(path: Path, text: str) -> None:
    """A private key in a new file that only its owner reads; Stop where there is a file."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"{text}\n")
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise Stop(
            Exit.FAILED, f"{path} stands already, and no key is ever overwritten; give another name"
        ) from None
    except OSError as error:
        raise _unreadable(path, error) from None
