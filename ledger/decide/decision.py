"""What a decision is made of: values that say what would be appended, and why, and what is wrong.

Invariant: a decision with problems plans nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from ledger.events import Event, Held
from ledger.manifest.declared import DeclaredGrant
from ledger.manifest.problems import Problem, Source
from ledger.model import Grant, GrantId, Policy, Team
from ledger.project import GrantRow

Check = Callable[[Policy, bool, int], str | None]
"""(policy, temporary, inline characters the principal may hold) -> why it cannot be written, or
None. What only the files decide; what the account decides is the worker's to refuse."""


def fits(_policy: Policy, _temporary: bool, _inline_chars_max: int) -> str | None:
    """The check that refuses nothing."""
    return None


@dataclass(frozen=True, slots=True)
class Terms:
    """Under what a directory is compared with the ledger."""

    now: datetime
    """The ingest's own: windows and durations count from it."""
    scope: frozenset[Team] | None = None
    """The teams asked for; None: the whole directory, with teams that are gone from it."""
    consent: int | None = None
    """How many accesses a person let end (`--allow-revocations`); None: nobody was asked."""
    check: Check = fits
    sources: Mapping[int, str] = field(default_factory=dict)
    """Position of an event that may be undone -> its recorded `path:line`; see `asked`."""
    repeats: tuple[GrantRow, ...] = ()
    """Turns that are over, of the same principals and policies as new lines; see `asked`."""


# --- where an event comes from ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Declared:
    """Lines that stand in a file."""

    shown: Source
    deciding: tuple[Source, ...]
    """Whichever of these lines is newest brought it."""


@dataclass(frozen=True, slots=True)
class Gone:
    """Lines that stand no more."""

    path: str | None
    """The file that held them; None: not recorded."""
    since: str | None
    """The commit of their team's last ingest: they went after it. None: not known."""


Origin = Declared | Gone


@dataclass(frozen=True, slots=True)
class Planned:
    """An event that would be appended."""

    event: Event
    cause: int
    origin: Origin | None
    """None: the ingest itself."""


# --- what people are told ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Note:
    """Something a person should know, which stops nothing."""

    code: str
    """Kebab-case and stable."""
    message: str
    source: Source | None = None
    """None: about no line."""
    hint: str | None = None


def named(declared: DeclaredGrant) -> str:
    """A line's grant in a note's sentence."""
    return f"{declared.principal} to policy `{declared.policy}` in {declared.environment}"


@dataclass(frozen=True, slots=True)
class Change:
    """Access that goes on in another window, without a gap."""

    before: GrantRow
    after: Grant


@dataclass(frozen=True, slots=True)
class HeldLine:
    """A line that grants nothing because an operator's hold covers it."""

    declared: DeclaredGrant
    hold: Held


@dataclass(frozen=True, slots=True)
class OverLine:
    """A line that grants nothing because its end has passed."""

    declared: DeclaredGrant
    ended_at: datetime
    spent: bool
    """Whether it was ever granted; False: it came too late."""


BrakeReason = Literal["count", "percent", "empty-directory", "file-gone"]


@dataclass(frozen=True, slots=True)
class Brake:
    """More access would end than may end without a person's word."""

    ends: tuple[GrantRow, ...]
    """Every access that would end, oldest first."""
    live: int
    """The live grants of the teams ingested."""
    reasons: tuple[BrakeReason, ...]
    count_max: int
    percent_max: int
    files_gone: tuple[str, ...]
    consent: int | None

    @property
    def number(self) -> int:
        return len(self.ends)

    @property
    def percent(self) -> int:
        """Of the live grants, cut down to a whole number."""
        return 100 * self.number // self.live if self.live else 0

    @property
    def message(self) -> str:
        says = {
            "count": f"more than {self.count_max}",
            "percent": f"more than {self.percent_max} % of {self.live}",
            "empty-directory": "the directory is empty",
            "file-gone": f"their files are gone: {', '.join(self.files_gone[:5])}"
            + (" …" if len(self.files_gone) > 5 else ""),
        }
        why = "; ".join(says[reason] for reason in self.reasons)
        given = f" ({self.consent} was allowed)" if self.consent is not None else ""
        accesses = "1 access" if self.number == 1 else f"{self.number} accesses"
        return (
            f"{accesses} would end{given}, and that needs a person's word: {why}. "
            f"If it is meant, say --allow-revocations {self.number}"
        )


@dataclass(frozen=True, slots=True)
class Counts:
    """Of the events planned."""

    granted: int = 0
    revoked: int = 0
    policies: int = 0
    accounts: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """The difference between what is declared and what the ledger holds, ready to append."""

    teams: tuple[Team, ...]
    """The teams that this reading speaks for, sorted."""
    planned: tuple[Planned, ...] = ()
    """In the order of appending; empty when there are problems."""
    counts: Counts = Counts()
    problems: tuple[Problem, ...] = ()
    notes: tuple[Note, ...] = ()
    brake: Brake | None = None
    adds: tuple[Grant, ...] = ()
    ends: tuple[GrantRow, ...] = ()
    changes: tuple[Change, ...] = ()
    held: tuple[HeldLine, ...] = ()
    over: tuple[OverLine, ...] = ()
    lines: Mapping[GrantId, DeclaredGrant] = field(default_factory=dict, repr=False)
    """What declares each of `adds` and `changes`, as people wrote it."""
    time_zone: str = "UTC"
    """The settings': in which a line's day ends."""
