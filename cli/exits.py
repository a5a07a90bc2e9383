"""What each end of a command means to the shell that called it.

Invariant: one table. A script may trust that 0 means done and that 2 is said only when asked for.
"""

from enum import IntEnum

from ledger.checkpoint import CheckpointRefused
from ledger.commits import HistoryUnknown
from ledger.errors import (
    ChainBroken,
    LedgerDamaged,
    LedgerError,
    LedgerMigrated,
    LedgerMissing,
    LedgerOutdated,
    LedgerReadOnly,
    LedgerRefused,
    StaleCommit,
    UnknownEvent,
)


class Exit(IntEnum):
    DONE = 0
    """Done, or nothing to do; also when the answer is "nobody"."""
    FAILED = 1
    """Problems were found, or it did not work."""
    FOUND = 2
    """Only with `--detailed-exitcode` (changes present) or `--exit-code` (somebody has access)."""
    STOPPED = 3
    """By the brake, or by a stale commit."""
    BROKEN = 4
    """The ledger's integrity is broken."""
    USAGE = 64
    """The command line cannot be understood (sysexits.h, EX_USAGE)."""
    CONFIGURATION = 78
    """What it needs to run is missing or wrong (sysexits.h, EX_CONFIG)."""
    INTERRUPTED = 130
    """Control-C: 128 + SIGINT."""


class Stop(Exception):
    """Ends a command with `code`, after `message` on stderr."""

    def __init__(self, code: Exit, message: str) -> None:
        super().__init__(message)
        self.code = code


_CODES: tuple[tuple[type[LedgerError], Exit], ...] = (
    (LedgerMissing, Exit.CONFIGURATION),
    (LedgerOutdated, Exit.CONFIGURATION),
    (LedgerRefused, Exit.CONFIGURATION),
    (LedgerReadOnly, Exit.CONFIGURATION),
    (LedgerMigrated, Exit.CONFIGURATION),
    (UnknownEvent, Exit.CONFIGURATION),
    (HistoryUnknown, Exit.CONFIGURATION),
    (CheckpointRefused, Exit.CONFIGURATION),
    (StaleCommit, Exit.STOPPED),
    (ChainBroken, Exit.BROKEN),
    (LedgerDamaged, Exit.BROKEN),
)
"""The rest of what the ledger raises on purpose is `Exit.FAILED`."""


def exit_of(error: LedgerError) -> Exit:
    """The code that an error of the ledger ends a command with."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), Exit.FAILED)
