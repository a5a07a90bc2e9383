"""Signing checkpoints and checking signatures: Ed25519, by `cryptography`.

The only module that imports it, and nothing that answers questions imports this one. Invariant: a
note is believed only when a key that was given has signed exactly its text. No randomness here:
whoever makes a key brings the seed.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ledger.checkpoint import (
    ED25519,
    KEY_BYTES,
    Checkpoint,
    CheckpointRefused,
    Key,
    Note,
    Signature,
    key_name,
    key_parts,
    text_of,
)

PRIVATE = "PRIVATE+KEY+"


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key under its name. Never printed, never in the database."""

    key: Key
    _private: Ed25519PrivateKey = field(repr=False)

    def sign(self, checkpoint: Checkpoint) -> Note:
        """The same note each time: the signature is a function of key and text."""
        text = text_of(checkpoint)
        value = self._private.sign(text.encode())
        return Note(text, (Signature(self.key.name, self.key.id, value),))


def signer_of(name: str, seed: bytes) -> Signer:
    """The key that the 32 bytes of `seed` make."""
    private = Ed25519PrivateKey.from_private_bytes(seed)
    return Signer(Key(key_name(name), private.public_key().public_bytes_raw()), private)


def parse_signer(text: str) -> Signer:
    """A private key as `private_text` writes it; CheckpointRefused, without the text, when not."""
    if not text.startswith(PRIVATE):
        raise CheckpointRefused(f"it is no private key for checkpoints: {PRIVATE}… is expected")
    name, key_id, seed = key_parts(text.removeprefix(PRIVATE))
    signer = signer_of(name, seed)
    if signer.key.id.hex() != key_id:
        raise CheckpointRefused(f"the private key {name} does not belong to its id {key_id}")
    return signer


def private_text(name: str, seed: bytes) -> str:
    """The private key as one line, for a file that only its owner reads."""
    if len(seed) != KEY_BYTES:
        raise ValueError(f"a seed has {KEY_BYTES} bytes")
    encoded = base64.b64encode(ED25519 + seed).decode()
    return f"{PRIVATE}{signer_of(name, seed).key.short}+{encoded}"


def check(note: Note, keys: Sequence[Key]) -> Key:
    """The first of the note's signers that is among `keys`.

    CheckpointRefused when there is none, or when one of them did not sign this very text.
    """
    known = {(key.name, key.id): key for key in keys}
    signers: list[Key] = []
    for signature in note.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is None:
            continue  # by the specification: so keys are rotated and witnesses added
        try:
            Ed25519PublicKey.from_public_bytes(key.public).verify(
                signature.value, note.text.encode()
            )
        except InvalidSignature:
            raise CheckpointRefused(
                f"{key.short} did not sign this text: it was changed, or somebody made it up"
            ) from None
        signers.append(key)
    if not signers:
        names = ", ".join(f"{each.name}+{each.key_id.hex()}" for each in note.signatures)
        raise CheckpointRefused(f"none of the keys given signed it; it names {names}")
    return signers[0]
