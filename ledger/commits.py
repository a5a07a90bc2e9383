"""Which commit a directory was read at, and whether it may follow what was ingested before.

The ledger knows no git: it asks through this port. Invariant: a team's directory never goes back to
an older state, another branch or a rewritten history unless a person said so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from ledger.errors import LedgerError
from ledger.model import Team


class HistoryUnknown(LedgerError):
    """The history needed to compare two commits is not there: fetch it, nothing was appended."""


class Commits(Protocol):
    """The work tree that the directory was read from."""

    @property
    def head(self) -> str:
        """The commit read, in full."""
        ...

    @property
    def dirty(self) -> bool:
        """Whether the files read differ from that commit."""
        ...

    def is_ancestor(self, commit: str) -> bool:
        """Whether `commit` is `head` or an ancestor of it.

        Raises HistoryUnknown where nobody can tell (a shallow clone).
        """
        ...


@dataclass(frozen=True, slots=True)
class Stale:
    """Teams whose last ingested commit is neither this one nor an ancestor of it."""

    commit: str
    behind: Mapping[Team, str]
    """Team -> its last ingested commit."""

    @property
    def message(self) -> str:
        teams = sorted(self.behind)
        shown = ", ".join(f"{team} at {self.behind[team][:12]}" for team in teams[:5])
        more = f" and {len(teams) - 5} more teams" if len(teams) > 5 else ""
        return (
            f"commit {self.commit[:12]} does not follow what was ingested last ({shown}{more}): "
            "it is older, on another branch, or history was rewritten. Ingest the newest commit "
            "of the branch, or say --allow-stale"
        )
