"""Verifies what `iam-ledger export` wrote, without iam-ledger and without its database.

One file, Python 3.11 or newer, the standard library: copy it, read it, run it where you trust the
machine. Only signatures need more: `pip install cryptography`. Without it no checkpoint can be
believed, and this stops; `--no-signatures` goes on, for a rehearsal, and then proves nothing.

    python verify_export.py march.ndjson --checkpoint checkpoint.txt --key public.key \\
        --from 2026-03-01 --to 2026-03-31

It recomputes every hash, follows the chain from event to event, and holds it against checkpoints.
Each hash covers the one before it, so a checkpoint vouches for every event up to the one it saw
last. With --from and --to it says whether the period is whole.

Exit code 0: all of it is proven. 1: nothing is wrong, and not all is proven; it says what is not.
4: something was changed. 64: usage. 78: something cannot be read, or nobody known signed it.
"""

import argparse
import base64
import hashlib
import json
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

PROVEN, NOT_ALL, CHANGED, USAGE, UNREADABLE = 0, 1, 4, 64, 78

HASHED = (
    *("position", "recorded_at_us", "kind", "version", "team", "account", "grant_id", "turn"),
    *("principal", "policy", "payload", "provenance", "dedup_key"),
)
"""The columns under an event's hash, in this order."""

NUMBERS = ("position", "recorded_at_us", "version")
TEXTS = ("kind", "payload", "provenance", "dedup_key", "prev_hash", "hash")
COLUMNS = {"recorded_at", "prev_hash", "hash", *HASHED}

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
NOTE_BYTES_MAX = 64 * 1024
PROBLEMS_MAX = 20
ED25519 = b"\x01"

NOTE = re.compile(
    r"(?P<text>(?P<origin>iam-ledger/\S+)\n(?P<size>[1-9][0-9]*)\n(?P<hash>[A-Za-z0-9+/]{43}=)\n"
    r"(?:[^\n]+\n)*)\n(?P<signatures>(?:— [^\s+]+ [A-Za-z0-9+/]+=*\n)+)",
    re.ASCII,
)
"""A checkpoint: a signed note (C2SP signed-note) over origin, number of events, newest hash."""


class Unreadable(Exception):
    """Something that was given cannot be used."""


# --- events -----------------------------------------------------------------------------------


def hash_of(row: dict[str, Any]) -> str:
    """SHA-256 over the previous hash, a line feed, and the columns as one JSON array (RFC 8785)."""
    array = ["iam-ledger/1", *(row[name] for name in HASHED)]
    body = json.dumps(array, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(f"{row['prev_hash']}\n{body}".encode()).hexdigest()


def read_row(line: str, number: int) -> dict[str, Any]:
    """One event, with each of its columns once, of its type, and nothing else."""
    try:
        pairs = json.loads(line, object_pairs_hook=list)
        row = dict(pairs)
        line.encode()
    except (ValueError, TypeError) as error:
        raise Unreadable(f"line {number} is no event: {error}") from None
    if set(row) != COLUMNS or len(pairs) != len(COLUMNS):
        raise Unreadable(f"line {number} does not have the columns of an event")
    for name in HASHED + TEXTS:
        kinds = (int,) if name in NUMBERS else (str,) if name in TEXTS else (str, type(None))
        if type(row[name]) not in ((int, type(None)) if name == "turn" else kinds):
            raise Unreadable(f"line {number}: {name} is not of the type that an event has")
    return row


@dataclass
class Reading:
    """What reading the events in order has shown."""

    start_us: int | None
    """Of the period that is asked about; None: from the first event on."""
    end_us: int | None
    wanted: set[int]
    """Positions whose hash is needed."""
    first: dict[str, Any] = field(default_factory=dict)
    last: dict[str, Any] = field(default_factory=dict)
    hashes: dict[int, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    inside: int = 0
    """Events of the period."""
    before: int = 0
    """Position of the last event before the period; 0: none is here."""
    behind: int = 0
    """Position of the first event after it."""

    def take(self, row: dict[str, Any]) -> None:
        if len(self.problems) < PROBLEMS_MAX:
            self.problems += [f"position {row['position']}: {what}" for what in self._wrong(row)]
        instant_us = row["recorded_at_us"]
        if self.start_us is not None and instant_us < self.start_us:
            self.before = row["position"]
        elif self.end_us is not None and instant_us >= self.end_us:
            self.behind = self.behind or row["position"]
        else:
            self.inside += 1
        if row["position"] in self.wanted:
            self.hashes[row["position"]] = row["hash"]
        self.first = self.first or row
        self.last = row

    def _wrong(self, row: dict[str, Any]) -> Iterable[str]:
        try:
            computed = hash_of(row)
            spoken = (EPOCH + row["recorded_at_us"] * MICROSECOND).isoformat()
        except (OverflowError, UnicodeEncodeError) as error:
            yield f"no event holds this: {error}"
            return
        if computed != row["hash"]:
            yield "its content is not what was hashed: it was changed"
        if row["recorded_at"] != spoken.replace("+00:00", "Z"):
            yield "recorded_at is not the instant that was hashed"
        if not self.last:
            if row["position"] == 1 and row["prev_hash"] != "0" * 64:
                yield "the first event of all follows another one"
            return
        if row["position"] != self.last["position"] + 1:
            yield f"it does not stand behind position {self.last['position']}"
        if row["prev_hash"] != self.last["hash"]:
            yield "it does not follow the event before it: one was changed, taken out or put in"
        if row["recorded_at_us"] < self.last["recorded_at_us"]:
            yield "it was recorded before the event that precedes it"


# --- checkpoints and keys ---------------------------------------------------------------------


@dataclass(frozen=True)
class Checkpoint:
    file: str
    text: str
    """What was signed."""
    origin: str
    size: int
    hash: str
    signatures: str


Keys = dict[tuple[str, bytes], bytes]
"""(name, id) -> the public key's 32 bytes."""


def read_checkpoint(file: str) -> Checkpoint:
    with open(file, "rb") as handle:
        content = handle.read(NOTE_BYTES_MAX + 1)
    found = NOTE.fullmatch(content.decode("utf-8", "replace"))
    if found is None or len(content) > NOTE_BYTES_MAX:
        raise Unreadable(f"{file} is no signed checkpoint")
    digest = base64.b64decode(found["hash"]).hex()
    return Checkpoint(
        file, found["text"], found["origin"], int(found["size"]), digest, found["signatures"]
    )


def read_keys(texts: list[str]) -> Keys:
    """Public keys of the form `name+id+base64`, each by itself or a file with one on each line."""
    keys: Keys = {}
    for text in texts:
        lines = [text]
        if text.count("+") < 2:
            with open(text, encoding="utf-8") as file:
                lines = [line for line in file if line.strip() and not line.startswith("#")]
        for line in lines:
            name, _, rest = line.strip().partition("+")
            key_id, _, encoded = rest.partition("+")
            try:
                material = base64.b64decode(encoded, validate=True)
            except ValueError:
                material = b""
            named = hashlib.sha256(name.encode() + b"\n" + material).digest()[:4]
            if material[:1] != ED25519 or len(material) != 33 or named.hex() != key_id:
                raise Unreadable(f"`{line.strip()}` is no public key: name+id+base64 is expected")
            keys[name, named] = material[1:]
    return keys


def signer_of(checkpoint: Checkpoint, keys: Keys) -> str:
    """Which of the keys signed it; Unreadable when none did, or one of them something else."""
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        raise Unreadable(
            "signatures cannot be checked: pip install cryptography, or rehearse with "
            "--no-signatures, which proves nothing, as anybody can write a checkpoint"
        ) from None
    signers = []
    for line in checkpoint.signatures.splitlines():
        _, name, encoded = line.split(" ")
        try:
            value = base64.b64decode(encoded, validate=True)
            public = keys.get((name, value[:4]))
            if public is not None:
                text = checkpoint.text.encode()
                Ed25519PublicKey.from_public_bytes(public).verify(value[4:], text)
                signers.append(f"{name}+{value[:4].hex()}")
        except (ValueError, InvalidSignature):
            raise Unreadable(f"{checkpoint.file}: {name} did not sign this text") from None
    if not signers:
        raise Unreadable(f"{checkpoint.file}: none of the keys given signed it")
    return signers[0]


# --- judging ----------------------------------------------------------------------------------


def hold_against(reading: Reading, checkpoints: list[Checkpoint]) -> tuple[int, list[str]]:
    """Up to which position the events are proven (0: none is), and what else is to be said.

    Problems go to `reading.problems`.
    """
    proven, said = 0, []
    first, last = reading.first["position"], reading.last["position"]
    origins = {checkpoint.origin for checkpoint in checkpoints}
    if first == 1:
        origins.add(f"iam-ledger/{reading.first['hash'][:12]}")
    if len(origins) > 1:
        reading.problems.append(f"these are of different ledgers: {', '.join(sorted(origins))}")
    for checkpoint in checkpoints:
        size = checkpoint.size
        stands = reading.first["prev_hash"] if size == first - 1 else reading.hashes.get(size)
        if stands is None:
            said.append(
                f"{checkpoint.file} saw {size} events, and the one at {size} is not among these: "
                f"export with `--checkpoint {checkpoint.file}`"
            )
        elif stands == checkpoint.hash:
            said.append(f"{checkpoint.file}: the ledger was signed as it stands here, up to {size}")
            proven = max(proven, size)
        else:
            reading.problems.append(
                f"position {size}: {checkpoint.file} saw another event there; history up to it was "
                "changed since it was signed, or this export was"
            )
    if proven < last:
        said.append(f"no checkpoint vouches for events {max(proven + 1, first)} to {last}")
    return proven, said


def judge_period(reading: Reading, proven: int) -> tuple[bool, list[str]]:
    """Whether nothing of the period can be missing or changed, and how that is known."""
    said = [f"{reading.inside} events are in the period"]
    begins = reading.before > 0 or reading.first["position"] == 1
    if not begins:
        said.append("events at its beginning may be missing: export with `--checkpoint`")
    ends = 0 < (reading.behind or reading.last["position"]) <= proven
    if not ends:
        said.append("events at its end may be missing: export with a later `--checkpoint`")
    elif not reading.behind:
        said.append("its last event was the ledger's newest when the checkpoint was signed")
    return begins and ends, said


# --- the command ------------------------------------------------------------------------------


def moment(text: str) -> tuple[int, int]:
    """Begin and end, in microseconds since 1970, of a UTC day; of an instant they are the same."""
    try:
        found, day = datetime.fromisoformat(text), timedelta()
    except ValueError:
        raise argparse.ArgumentTypeError(f"`{text}` is neither an instant nor a date") from None
    if found.tzinfo is None:
        if len(text) != len("2026-03-01"):
            raise argparse.ArgumentTypeError(f"`{text}` has no time zone; write {text}Z")
        found, day = found.replace(tzinfo=UTC), timedelta(days=1)
    return (found - EPOCH) // MICROSECOND, (found - EPOCH + day) // MICROSECOND


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.format_usage()}{self.prog}: {message}\n")


def parser() -> Parser:
    made = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("export", help="what `iam-ledger export` wrote")
    made.add_argument("--checkpoint", action="append", default=[], metavar="FILE")
    made.add_argument("--key", action="append", default=[], help="a public key, or a file of some")
    made.add_argument("--from", dest="start", type=moment, metavar="T", help="recorded from T on")
    made.add_argument("--to", dest="end", type=moment, metavar="T", help="before T; or a last day")
    made.add_argument("--no-signatures", action="store_true", help="a rehearsal: proves nothing")
    return made


def run(asked: argparse.Namespace) -> int:
    keys = read_keys(asked.key)
    checkpoints = [read_checkpoint(file) for file in asked.checkpoint]
    for checkpoint in checkpoints:
        signer = None if asked.no_signatures else signer_of(checkpoint, keys)
        print(f"{checkpoint.file}: {f'signed by {signer}' if signer else 'signature NOT checked'}")
    start_us = None if asked.start is None else asked.start[0]
    end_us = None if asked.end is None else asked.end[1]
    reading = Reading(start_us, end_us, {checkpoint.size for checkpoint in checkpoints})
    with open(asked.export, encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            reading.take(read_row(line, number))
    if not reading.first:
        print("NOT ALL IS PROVEN: there is no event in it")
        return NOT_ALL
    proven, said = hold_against(reading, checkpoints)
    whole = proven >= reading.last["position"]
    if start_us is not None or end_us is not None:
        whole, more = judge_period(reading, proven)
        said += more
    print("\n".join([*reading.problems[:PROBLEMS_MAX], *said]))
    span = f"events {reading.first['position']} to {reading.last['position']}"
    if reading.problems:
        print(f"CHANGED: {span} are not what the ledger recorded")
        return CHANGED
    if not whole or asked.no_signatures:
        print(f"NOT ALL IS PROVEN: {span} are an unbroken chain, and nothing wrong was found")
        return NOT_ALL
    print(f"PROVEN: {span} are an unbroken chain, and what was asked about is as it was signed")
    return PROVEN


def main(arguments: list[str]) -> int:
    try:
        return run(parser().parse_args(arguments))
    except (Unreadable, OSError, UnicodeDecodeError) as error:
        print(f"verify_export: {error}", file=sys.stderr)
        return UNREADABLE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
