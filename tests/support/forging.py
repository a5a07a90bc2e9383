"""Whoever owns the database, at work: history changed so that the ledger itself shows nothing.

Rows are changed, every hash after them is computed anew, the projections are made anew, the kept
checkpoints are thrown away and the guards stand again: all that anybody with the file can do.
"""

import asyncio
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

from sqlalchemy import URL

from ledger import signing
from ledger.checkpoint import Key, Note, Witness, checkpoint_in, parse_note
from ledger.codec import GENESIS, Envelope, chain_hash
from ledger.store import Ledger
from ledger.store import checkpoints as making
from ledger.store.dialect import file_of
from ledger.store.verify import Verification, rebuild, verify
from tests.support.histories import Story, after, append_all, grant
from tests.support.ledgers import envelope_in, raw, tampering

Rows = list[Envelope]
Change = Callable[[Rows], Rows]

SIGNER = signing.signer_of("example.com/ledger", b"\x01" * 32)
COLUMNS = tuple(f.name for f in fields(Envelope))

ANA = grant("aaaa2222bbbb3333", ends=after(4))
BEN = grant("bbbb2222cccc3333", "user/ben", ends=after(6))
CYD = grant("cccc2222dddd3333", "user/cyd", ends=after(8))


def story() -> Story:
    """Twelve events; nothing in it hangs on the position of another."""
    told = Story().mapped()
    told.granted(ANA, after(0.01)).granted(BEN, after(0.02)).granted(CYD, after(0.03))
    told.applied(ANA, after(0.1)).applied(BEN, after(0.2)).applied(CYD, after(0.3))
    told.removed(ANA, after(4.001)).removed(BEN, after(6.001)).removed(CYD, after(8.001))
    return told


def read_rows(url: URL) -> Rows:
    with raw(url) as database:
        found = database.execute("SELECT * FROM events ORDER BY position").fetchall()
    return [envelope_in(row) for row in found]


def write_rows(url: URL, rows: Rows) -> None:
    """Puts these rows in the place of all that stand."""
    with tampering(url) as database:
        database.execute("DELETE FROM events")
        marks = ", ".join("?" * len(COLUMNS))
        names = ", ".join(column.removesuffix("_us") for column in COLUMNS)
        query = f"INSERT INTO events ({names}) VALUES ({marks})"  # noqa: S608 - a test's own words
        for row in rows:
            database.execute(query, tuple(getattr(row, column) for column in COLUMNS))


def hash_anew(rows: Rows) -> Rows:
    """The same rows with dense positions and a chain without a flaw."""
    chained: Rows = []
    before = GENESIS
    for position, row in enumerate(rows, start=1):
        moved = replace(row, position=position, prev_hash=before)
        chained.append(replace(moved, hash=chain_hash(moved)))
        before = chained[-1].hash
    return chained


def forge(url: URL, change: Change) -> None:
    """Changes history so that nothing in the ledger tells. Not from inside a running loop."""
    write_rows(url, hash_anew(change(read_rows(url))))
    with raw(url) as database:
        database.execute("DELETE FROM checkpoints")

    async def make_anew() -> None:
        async with Ledger(url) as ledger:
            await rebuild(ledger)

    asyncio.run(make_anew())


# --- what can be done to history ----------------------------------------------------------------


def edit(rows: Rows) -> Rows:
    """Somebody else is said to have approved Ben's grant."""
    at = next(i for i, row in enumerate(rows) if row.grant_id == BEN.id)
    said = rows[at].provenance.replace('"carol"', '"mallory"')
    assert said != rows[at].provenance
    return [*rows[:at], replace(rows[at], provenance=said), *rows[at + 1 :]]


def delete(rows: Rows) -> Rows:
    """Ben never had access."""
    return [row for row in rows if row.grant_id != BEN.id]


def insert(rows: Rows) -> Rows:
    """A grant that nobody made, between two that were."""
    at = next(i for i, row in enumerate(rows) if row.grant_id == BEN.id)
    return [*rows[:at], _another(rows[at]), *rows[at:]]


def _another(row: Envelope) -> Envelope:
    swapped = {
        name: getattr(row, name).replace(BEN.id, "eeee2222ffff3333").replace("user/ben", "user/eve")
        for name in ("grant_id", "principal", "payload", "dedup_key")
    }
    return replace(row, **swapped)


def reorder(rows: Rows) -> Rows:
    """Two neighbours of one instant's reach change places."""
    first, second = rows[0], rows[1]
    return [
        replace(second, recorded_at_us=first.recorded_at_us),
        replace(first, recorded_at_us=second.recorded_at_us),
        *rows[2:],
    ]


def truncate(rows: Rows) -> Rows:
    """The newest two are gone."""
    return rows[:-2]


def rewrite_tail(rows: Rows) -> Rows:
    """The newest two are gone, and others stand in their place."""
    late = replace(rows[-2], recorded_at_us=rows[-2].recorded_at_us + 1)
    return [*rows[:-2], late, rows[-1]]


FORGERIES: dict[str, Change] = {
    "edit": edit,
    "delete": delete,
    "insert": insert,
    "reorder": reorder,
    "truncate": truncate,
    "rewrite the tail": rewrite_tail,
}


# --- checkpoints in tests -----------------------------------------------------------------------


def sign(url: URL, signer: signing.Signer = SIGNER, *, hours: float = 9) -> Note:
    """Makes a checkpoint as `ingest` and the worker do. Not from inside a running loop."""

    async def make() -> Note:
        async with Ledger(url) as ledger:
            made = await making.make(ledger, signer.sign, signer.key.short, now=after(hours))
        assert made is not None
        return made.note

    return asyncio.run(make())


def witness_of(note: Note | str, key: Key = SIGNER.key) -> Witness:
    read = parse_note(str(note).encode())
    return Witness("kept.txt", checkpoint_in(read), signing.check(read, [key]).short)


def look(url: URL, *notes: Note) -> Verification:
    """`verify` with these checkpoints. Not from inside a running loop."""

    async def work() -> Verification:
        async with Ledger(url) as ledger:
            return await verify(ledger, witnesses=[witness_of(note) for note in notes])

    return asyncio.run(work())


def copy_of(url: URL) -> bytes:
    """The whole database as one file, as a backup has it."""
    path = file_of(url)
    assert path is not None
    with raw(url) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.read_bytes()


def put_back(url: URL, content: bytes) -> None:
    """The file replaced by that copy, its journals gone."""
    path = file_of(url)
    assert path is not None
    for name in ("-wal", "-shm"):
        Path(f"{path}{name}").unlink(missing_ok=True)
    path.write_bytes(content)


def grow(url: URL, name: str = "eeee2222ffff3333") -> None:
    """One grant more."""
    told = Story().granted(grant(name, "user/eve", ends=after(20)), after(9))
    asyncio.run(append_all(url, told.drafts))
