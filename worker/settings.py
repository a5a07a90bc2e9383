"""How a worker process runs: every knob with its unit and its reason. Read from flags by `cli`."""

from dataclasses import dataclass
from datetime import timedelta

from ledger.model import AccountId


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """Frozen at start; what people declare about access is in the ledger, never here."""

    replica: str = "worker"
    """This process's name in evidence and in AWS session names; 2 to 40 of `[A-Za-z0-9_=,.@-]`."""

    accounts: frozenset[AccountId] | None = None
    """Keep only these; None keeps all that the ledger knows."""

    once: bool = False
    """One pass over every account, then stop."""

    listen_host: str = "127.0.0.1"
    listen_port: int | None = 9464
    """Of /metrics, /livez and /readyz. 0 takes a free one; None serves nothing."""

    resync_every: timedelta = timedelta(minutes=10)
    """How often an account is read whole with nothing due: bounds how long drift goes unseen."""

    watch_every_s: float = 0.05
    """How often a SQLite ledger is asked for news: the most a new grant waits; 0.7 % of a core.
    On PostgreSQL the worker is told."""

    grace_s: float = 20.0
    """How long a stopping worker lets the calls under way end before it abandons them."""

    observing_max: int = 32
    """Accounts read whole at one time: bounds memory and sockets at a cold start."""

    status_every_s: float = 5.0
    """How often the per-account status is written for `iam-ledger status`."""
