"""What can go wrong in the ledger, named by what to do about it."""


class LedgerError(Exception):
    """Root of all that the ledger raises on purpose. The message is for a person to read."""


class LedgerMissing(LedgerError):
    """There is no ledger at that address, or an empty one: check the address before anything."""


class LedgerForeign(LedgerMissing):
    """The database is another program's: nothing may be made in it."""


class LedgerOutdated(LedgerError):
    """The schema is not the one this program knows, or its guards are gone: migrate first."""


class LedgerUnavailable(LedgerError):
    """The database did not answer: weather. The same call may work later; nothing was written."""


class LedgerRefused(LedgerUnavailable):
    """The database lets us not in, or not do it: a person must look at the address, the password or
    the role. Weather to a worker that runs, since passwords are renewed."""


class LedgerReadOnly(LedgerUnavailable):
    """The server only reads: a replica, or a primary that became one. Go to the primary."""


class LedgerDamaged(LedgerUnavailable):
    """The database's own file is damaged: a person puts a backup in its place. Weather to a worker
    that runs, which keeps the ends that it knows."""


class LedgerMigrated(LedgerUnavailable):
    """A newer program has changed the schema while this one ran, and nothing is read or written by
    this one any more: start the newer. Weather to a worker, which keeps the ends that it knows."""


class LedgerBusy(LedgerError):
    """Another process holds what only one may hold."""


class UnknownEvent(LedgerError):
    """An event of a kind or version that this program is too old to know: upgrade it."""

    def __init__(self, kind: str, version: int) -> None:
        super().__init__(f"event kind {kind!r} version {version} is newer than this program")
        self.kind = kind
        self.version = version


class ChainBroken(LedgerError):
    """History was changed behind the ledger's back: nothing may be built on it."""


class ClockBehind(LedgerError):
    """The caller's clock stands well behind the ledger's newest event: set the clock first."""


class StaleCommit(LedgerError):
    """The commit is not a descendant of the last ingested one: nothing was appended."""


class NotFound(LedgerError):
    """A grant or hold named by a person does not exist."""


class NotNow(LedgerError):
    """What a person asks of a grant makes no sense as it stands: nothing was appended."""


class Fenced(LedgerError):
    """Another worker keeps these accounts since: nothing was recorded, and nothing may be done."""
