"""Checkpoints: how long a ledger was and what its newest hash was, as a note that a key signs.

The form is that of C2SP's signed-note and tlog-checkpoint, so that other people's tools open it;
the third line is the head's hash in our chain, not the root of an RFC 6962 tree. Invariant: one
ledger, size and key give one note, byte for byte, and what is not exactly a note is refused. Values
in, values out: signing and checking signatures is `ledger.signing`.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ledger.errors import LedgerError

ORIGIN = "iam-ledger/"
"""What every origin begins with; the ledger's id follows."""

NOTE_BYTES_MAX = 64 * 1024
SIGNATURES_MAX = 32
"""The specification asks for 16 at least."""

ED25519 = b"\x01"
"""The signature type's byte in keys and key ids."""
KEY_BYTES = 32
KEY_ID_BYTES = 4

_SIZE = re.compile(r"[1-9][0-9]{0,18}\Z", re.ASCII)
_CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f]")
_KEY_ID = re.compile(r"[0-9a-f]{8}\Z", re.ASCII)


class CheckpointRefused(LedgerError):
    """A checkpoint or key that cannot be used: get the right file, or the right key."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a ledger was when it was signed."""

    origin: str
    size: int
    """How many events it held: the newest one's position."""
    hash: str
    """Of the newest event, in hex as in the ledger's rows."""


@dataclass(frozen=True, slots=True)
class Signature:
    """One key's signature line. Says nothing until it was checked."""

    name: str
    key_id: bytes
    value: bytes

    def __str__(self) -> str:
        return f"— {self.name} {base64.b64encode(self.key_id + self.value).decode()}"


@dataclass(frozen=True, slots=True)
class Note:
    """A text with signatures under it."""

    text: str
    """With its last line feed: exactly what is signed."""
    signatures: tuple[Signature, ...]

    def __str__(self) -> str:
        return "\n".join([self.text, *map(str, self.signatures), ""])


@dataclass(frozen=True, slots=True)
class Key:
    """A public key under its name. May be known to everybody."""

    name: str
    public: bytes

    @property
    def id(self) -> bytes:
        """Four bytes that tell this key from others of its name, so that keys can be rotated."""
        named = self.name.encode() + b"\n" + ED25519 + self.public
        return hashlib.sha256(named).digest()[:KEY_ID_BYTES]

    @property
    def short(self) -> str:
        """Name and id, for people and for the `checkpoints` table."""
        return f"{self.name}+{self.id.hex()}"

    def __str__(self) -> str:
        return f"{self.short}+{base64.b64encode(ED25519 + self.public).decode()}"


def origin_of(ledger_id: str) -> str:
    """The first line of every checkpoint of that ledger."""
    return f"{ORIGIN}{ledger_id}"


def text_of(checkpoint: Checkpoint) -> str:
    """The three lines that are signed."""
    root = base64.b64encode(bytes.fromhex(checkpoint.hash)).decode()
    return f"{checkpoint.origin}\n{checkpoint.size}\n{root}\n"


# --- reading ----------------------------------------------------------------------------------


def parse_note(content: bytes) -> Note:
    """A signed note; CheckpointRefused says what is not as it must be, and in which line."""
    if len(content) > NOTE_BYTES_MAX:
        raise CheckpointRefused(f"it has {len(content):,} bytes; a checkpoint has a few hundred")
    try:
        whole = content.decode()
    except UnicodeDecodeError as error:
        raise CheckpointRefused(f"byte {error.start + 1} is not UTF-8") from None
    found = _CONTROLS.search(whole)
    if found is not None:
        line = whole.count("\n", 0, found.start()) + 1
        raise CheckpointRefused(f"line {line} holds the control character {found[0]!r}")
    text, blank, rest = whole.rpartition("\n\n")
    if not blank or not text or not rest:
        raise CheckpointRefused("it is not signed: no blank line with signatures below")
    if not rest.endswith("\n"):
        raise CheckpointRefused("its last line does not end: it was cut off")
    first = text.count("\n") + 3
    lines = rest[:-1].split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise CheckpointRefused(f"{len(lines)} signatures; {SIGNATURES_MAX} are the limit")
    signatures = tuple(_signature(line, first + i) for i, line in enumerate(lines))
    return Note(f"{text}\n", signatures)


def _signature(line: str, number: int) -> Signature:
    mark, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    if mark != "—" or not _is_name(name):
        raise CheckpointRefused(f"line {number} is no signature: `— name base64` is expected")
    value = _decoded(encoded)
    if value is None or len(value) <= KEY_ID_BYTES:
        raise CheckpointRefused(f"line {number}: the signature of {name} is no base64 of one")
    return Signature(name, value[:KEY_ID_BYTES], value[KEY_ID_BYTES:])


def checkpoint_in(note: Note) -> Checkpoint:
    """What the note says; CheckpointRefused when that is no checkpoint of a ledger of ours.

    Lines behind the third are signed too and mean nothing to us.
    """
    lines = note.text[:-1].split("\n")
    if len(lines) < 3 or not all(lines):
        raise CheckpointRefused("it is no checkpoint: origin, size and hash are its first lines")
    origin, size, encoded = lines[:3]
    if not origin.startswith(ORIGIN) or origin == ORIGIN:
        raise CheckpointRefused(f"line 1: `{origin}` is no ledger of ours; {ORIGIN}… is expected")
    if not _SIZE.match(size):
        raise CheckpointRefused(f"line 2: `{size}` is no number of events")
    root = _decoded(encoded)
    if root is None or len(root) != hashlib.sha256().digest_size:
        raise CheckpointRefused(f"line 3: `{encoded}` is no SHA-256 in base64")
    return Checkpoint(origin, int(size), root.hex())


def parse_key(text: str) -> Key:
    """A public key as `name+id+base64`; CheckpointRefused says what is not right about it."""
    if text.startswith("PRIVATE+KEY+"):
        raise CheckpointRefused("that is a private key: keep it secret; the public one is needed")
    name, key_id, public = key_parts(text)
    key = Key(name, public)
    if key.id.hex() != key_id:
        raise CheckpointRefused(f"the key {name} has the id {key.id.hex()}, not {key_id}")
    return key


def key_parts(text: str) -> tuple[str, str, bytes]:
    """Name, id and 32 bytes of `name+id+base64`, a public key's or what follows PRIVATE+KEY+."""
    name, _, rest = text.partition("+")
    key_id, _, encoded = rest.partition("+")
    material = _decoded(encoded)
    if not _is_name(name) or not _KEY_ID.match(key_id) or not material:
        raise CheckpointRefused("it is no key: `name+id+base64` is expected, on one line")
    if material[:1] != ED25519 or len(material) != 1 + KEY_BYTES:
        raise CheckpointRefused(f"the key {name} is no Ed25519 key")
    return name, key_id, material[1:]


def key_name(text: str) -> str:
    """`text` as the name of a key; CheckpointRefused when it cannot be one."""
    if not _is_name(text) or _CONTROLS.search(text):
        raise CheckpointRefused(f"`{text}` cannot name a key: neither spaces nor + may stand in it")
    return text


def _is_name(text: str) -> bool:
    return bool(text) and "+" not in text and not any(letter.isspace() for letter in text)


def _decoded(text: str) -> bytes | None:
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return value if base64.b64encode(value).decode() == text else None


# --- judging ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Witness:
    """A checkpoint whose signature holds, to hold a ledger against."""

    name: str
    """Where it was read, for people."""
    checkpoint: Checkpoint
    key: str
    """`Key.short` of who signed it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a ledger is to one checkpoint."""

    witness: Witness
    position: int
    """Where history departs from it at the latest; its size when it holds."""
    wrong: str | None
    """None: the ledger only grew since."""


def judge(
    witnesses: Sequence[Witness], *, origin: str, head: int, hashes: Mapping[int, str]
) -> tuple[Verdict, ...]:
    """One verdict a witness, the shortest first.

    `hashes` are those of the rows that stand at the witnesses' sizes. They prove something only
    where the chain up to there was recomputed and holds.
    """
    verdicts: list[Verdict] = []
    holds = 0
    for witness in sorted(witnesses, key=lambda witness: witness.checkpoint.size):
        size = witness.checkpoint.size
        wrong, where = None, size
        if head and witness.checkpoint.origin != origin:
            where = 1
            wrong = (
                f"it is of {witness.checkpoint.origin} and this is {origin}: another ledger, or "
                "one whose history was written anew from the first event on"
            )
        elif size > head:
            where = head + 1
            wrong = (
                f"it saw {size} events and the ledger ends at position {head}: the tail was cut "
                "off, or this is an older copy"
            )
        elif hashes.get(size) != witness.checkpoint.hash:
            where = holds + 1
            wrong = (
                f"what stands at position {size} is not what it saw there: something in positions "
                f"{where} to {size} was changed, taken out, put in or moved, and hashed anew"
            )
        else:
            holds = size
        verdicts.append(Verdict(witness, where, wrong))
    return tuple(verdicts)
