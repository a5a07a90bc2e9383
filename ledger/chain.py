"""Holding a ledger's rows against what they must be: the audit behind `verify` and rebuild.

Invariant: nothing is trusted that can be computed. A row is what its event says, follows the row
before it, and folds; whoever changes one byte without recomputing all that comes after is found.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args, get_type_hints

from ledger.codec import (
    GENESIS,
    Envelope,
    as_written,
    cause_in,
    chain_hash,
    decode,
    decode_provenance,
    encode_unhashed,
    hash_of,
    instant_of,
)
from ledger.envelope import Draft, Recorded
from ledger.errors import ChainBroken, UnknownEvent
from ledger.model import GrantId
from ledger.project import GrantRow, LatestKey, fold, latest_keys, row_key
from ledger.rows import columns_of

PROBLEMS_MAX = 20
"""Kept and shown; more are only counted."""

What = Literal[
    "position",
    "previous hash",
    "hash",
    "time",
    "columns",
    "payload",
    "history",
    "grants",
    "latest",
    "guards",
    "file",
    "checkpoint",
    "unreadable",
]


@dataclass(frozen=True, slots=True)
class ChainProblem:
    """One thing that is not as the ledger wrote it."""

    position: int
    """Of the event it is about; 0 where it is about none."""
    what: What
    message: str


@dataclass(frozen=True, slots=True)
class TooNew:
    """Events that this program is too old to read: no sign of tampering, but not looked into."""

    kind: str
    version: int
    first_position: int
    count: int


RowKey = tuple[GrantId, int]

_TYPES: dict[str, tuple[type, ...]] = {
    name: get_args(hint) or (hint,) for name, hint in get_type_hints(Envelope).items()
}
_HASHED = len(_TYPES) - 2
"""How many columns the hash covers; the two behind them are the hashes."""
_GIVEN = {"position", "recorded_at_us", "prev_hash", "hash"}
_COMPARED = [name for name in _TYPES if name not in _GIVEN]
"""Columns that follow from the event, its provenance and its cause."""


@dataclass(slots=True)
class Audit:
    """What one reading of all rows, in order of position, has found so far.

    It keeps every grant's row in memory: about 1 kB a grant, fine up to a million events or a few.
    """

    chain_only: bool = False
    """Whether only hashes and order are looked at: nothing is decoded, folded or kept."""
    count: int = 0
    position: int = 0
    hash: str = GENESIS
    recorded_at_us: int | None = None
    problems: list[ChainProblem] = field(default_factory=list)
    """The first `PROBLEMS_MAX`."""
    problems_count: int = 0
    too_new: dict[tuple[str, int], TooNew] = field(default_factory=dict)
    rows: dict[RowKey, GrantRow] = field(default_factory=dict)
    newest: dict[LatestKey, int] = field(default_factory=dict)
    unread: set[int] = field(default_factory=set)
    """Positions whose event could not be looked into: what hangs on them cannot be judged."""
    written: set[tuple[type, ...]] = field(default_factory=set)
    """Types of whole rows that were found right: a handful, however many rows there are."""
    unsure: set[RowKey] = field(default_factory=set)
    """Grants of which an event could not be looked into."""

    def found(self, position: int, what: What, message: str) -> None:
        self.problems_count += 1
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(ChainProblem(position, what, message))

    def look_at(self, columns: tuple[Any, ...]) -> None:
        """Takes the next row into account: all its columns, in an envelope's order.

        What is plainly right costs a third of what is looked at closely; only there is found what
        is wrong.
        """
        self.count += 1
        if self._follows(columns):
            if self.chain_only:
                self._go_on(columns[0], columns[-1], columns[1])
                return
            recorded = self._plainly(columns)
            if recorded is not None:
                self._go_on(columns[0], columns[-1], columns[1])
                self._fold(recorded)
                return
        self._look_closely(Envelope(*columns))

    def _follows(self, columns: tuple[Any, ...]) -> bool:
        """Whether the row is the next, by all that chains it."""
        if tuple(map(type, columns)) not in self.written or columns[0] != self.position + 1:
            return False
        if self.recorded_at_us is not None and columns[1] < self.recorded_at_us:
            return False
        rest, prev_hash = columns[:_HASHED], columns[-2]
        return bool(prev_hash == self.hash and hash_of(prev_hash, rest) == columns[-1])

    def _plainly(self, columns: tuple[Any, ...]) -> Recorded | None:
        """The event, where its columns are byte for byte what it is written as; None: look."""
        said = as_written(columns[:_HASHED])
        if said is None or said.cause >= columns[0]:
            return None
        try:
            instant = instant_of(columns[1])
        except OverflowError:
            return None
        return Recorded(columns[0], instant, said.event, said.provenance, columns[-3], columns[-1])

    def _go_on(self, position: int, hash_: str, recorded_at_us: int | None) -> None:
        self.position, self.hash, self.recorded_at_us = position, hash_, recorded_at_us

    def _look_closely(self, row: Envelope) -> None:
        odd = self._odd(row)
        if odd:
            where = row.position if type(row.position) is int else self.position + 1
            self.found(where, "columns", f"{', '.join(odd)}: not of the type the ledger writes")
            self.unread.add(where)
            self._go_on(where, row.hash, self.recorded_at_us)
            return
        self._link(row)
        if self.chain_only:
            return
        event = self._read(row)
        if event is not None:
            self._fold(event)

    def _odd(self, row: Envelope) -> list[str]:
        """Columns of a type that the ledger does not write there."""
        kinds = tuple(type(getattr(row, name)) for name in _TYPES)
        odd = [name for name, kind in zip(_TYPES, kinds, strict=True) if kind not in _TYPES[name]]
        if not odd:
            self.written.add(kinds)
        return odd

    def _link(self, row: Envelope) -> None:
        """The row against the one before it. Goes on from what it says, so that one change is told
        once."""
        expected = self.position + 1
        if row.position > expected:
            gap = (
                str(expected)
                if row.position == expected + 1
                else f"{expected} to {row.position - 1}"
            )
            self.found(row.position, "position", f"nothing stands at {gap}, just before it")
        elif row.position < expected:
            self.found(row.position, "position", f"it has no place: {expected} would be the next")
        if row.prev_hash != self.hash:
            self.found(
                row.position,
                "previous hash",
                f"it does not follow position {self.position} as that stands now: a row was "
                "changed, taken out, put in or moved, here or just before",
            )
        if chain_hash(row) != row.hash:
            self.found(row.position, "hash", "its content is not what was hashed: it was changed")
        if self.recorded_at_us is not None and row.recorded_at_us < self.recorded_at_us:
            self.found(row.position, "time", "it was recorded before the event that precedes it")
        self._go_on(row.position, row.hash, row.recorded_at_us)

    def _read(self, row: Envelope) -> Recorded | None:
        """The event, once its columns say the same as its payload; None when it cannot be known."""
        try:
            event = decode(row.kind, row.version, row.payload)
            provenance = decode_provenance(row.provenance)
            cause = cause_in(row.dedup_key)
            instant = instant_of(row.recorded_at_us)
            again = encode_unhashed(
                Draft(event, cause, provenance),
                position=row.position,
                recorded_at_us=row.recorded_at_us,
                prev_hash=row.prev_hash,
            )
        except UnknownEvent:
            kind = (row.kind, row.version)
            known = self.too_new.get(kind, TooNew(*kind, first_position=row.position, count=0))
            self.too_new[kind] = replace(known, count=known.count + 1)
            self._leave_out(row)
            return None
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            self.found(row.position, "payload", f"nobody can read it: {error!r}")
            self._leave_out(row)
            return None
        differing = [n for n in _COMPARED if getattr(row, n) != getattr(again, n)]
        if differing:
            self.found(
                row.position, "columns", f"{', '.join(differing)}: not what its payload makes them"
            )
        elif cause >= row.position:
            self.found(row.position, "columns", f"it answers position {cause}, which comes later")
        return Recorded(row.position, instant, event, provenance, row.dedup_key, row.hash)

    def _leave_out(self, row: Envelope) -> None:
        self.unread.add(row.position)
        if row.grant_id is not None and row.turn is not None:
            self.unsure.add((GrantId(row.grant_id), row.turn))

    def _fold(self, recorded: Recorded) -> None:
        key = row_key(recorded.event)
        if key is not None:
            try:
                folded = fold(self.rows.get(key), recorded)
            except ChainBroken as error:
                self.found(recorded.position, "history", str(error))
                self.unsure.add(key)
            else:
                if folded is not None:
                    self.rows[key] = folded
        for subject in latest_keys(recorded.event):
            self.newest[subject] = recorded.position

    # --- the projection ---------------------------------------------------------------------------

    def compare_grant(self, stored: Mapping[Any, Any]) -> None:
        """One row of the `grants` table, which who-has-access reads, against the fold.

        Compared rows are let go: what is left in the end has no row in the table.
        """
        key = (stored["grant_id"], stored["turn"])
        row = self.rows.pop(key, None)
        if key in self.unsure:
            return
        name = f"grant {key[0]} turn {key[1]}"
        if row is None:
            self.found(0, "grants", f"{name} stands in the table and no event grants it")
            return
        wanted = columns_of(row)
        differing = [] if _alike(stored, wanted) else _differing(stored, wanted)
        if differing:
            self.found(
                row.granted.position,
                "grants",
                f"{name}: {', '.join(differing)} are not what its events make them",
            )

    def compare_latest(self, key: LatestKey, position: object) -> None:
        """One row of the `latest` table against what the events say; compared ones are let go."""
        wanted = self.newest.pop(key, None)
        if position in self.unread or wanted == position:
            return
        said = "no event is about it" if wanted is None else f"its newest event is {wanted}"
        where = position if type(position) is int else 0
        self.found(where, "latest", f"{key} points to position {position}; {said}")

    def compare_rest(self) -> None:
        """What the events make and the two tables did not hold."""
        for key, row in self.rows.items():
            if key not in self.unsure:
                where = row.granted.position
                self.found(where, "grants", f"grant {key[0]} turn {key[1]} has no row in the table")
        for subject, position in self.newest.items():
            self.found(position, "latest", f"{subject} is not in the table")


def _alike(stored: Mapping[Any, Any], wanted: Mapping[str, object]) -> bool:
    """Whether nothing can differ, at a third of the cost of saying what does."""
    found = list(stored.values())
    expected = [wanted[column] for column in stored]
    return found == expected and list(map(type, found)) == list(map(type, expected))


def _differing(stored: Mapping[Any, Any], wanted: Mapping[str, object]) -> list[str]:
    """Columns of another value, or of the same in another type."""
    return [
        column
        for column, value in stored.items()
        if type(value) is not type(wanted[column]) or value != wanted[column]
    ]
