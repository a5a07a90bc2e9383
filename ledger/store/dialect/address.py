"""Where a ledger is: the database URL, read and shown."""

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from ledger.errors import LedgerMissing, LedgerUnavailable

Address = Callable[[], URL]
"""The address as it is now: asked for each new connection, since passwords in files are renewed.
LedgerUnavailable where it cannot be had."""

SQLITE = "sqlite+aiosqlite"
POSTGRESQL = "postgresql+psycopg"

_DRIVERS = {
    "sqlite": SQLITE,
    SQLITE: SQLITE,
    "postgresql": POSTGRESQL,
    "postgres": POSTGRESQL,
    POSTGRESQL: POSTGRESQL,
}


Told = Callable[[], tuple[str, str]]
"""The address's text, and the password that was told apart from it (empty: none)."""


def renewed(told: Told) -> Address:
    """Reads the address anew each time; what cannot be read is weather, since files are renewed."""

    def address() -> URL:
        try:
            return parse_url(*told())
        except LedgerMissing as error:
            raise LedgerUnavailable(f"where the ledger is was changed: {error}") from error

    return address


def parse_url(text: str, password: str = "") -> URL:
    """`text` as a database URL that this version can use; LedgerMissing says what is wrong.

    `password` goes before the one in the URL; SQLite has none.
    """
    try:
        url = make_url(text)
    except ArgumentError:
        raise LedgerMissing(
            "the database URL cannot be read; write for example sqlite+aiosqlite:///iam-ledger.db "
            "or postgresql://user@host/database"
        ) from None
    driver = _DRIVERS.get(url.drivername)
    if driver is None:
        raise LedgerMissing(
            f"{shown(url)}: only {SQLITE} and {POSTGRESQL} are supported; plain sqlite:// and "
            "postgresql:// mean these"
        )
    url = url.set(drivername=driver)
    if driver == SQLITE and file_of(url) is None:
        raise LedgerMissing(
            f"{shown(url)} names no file; a ledger in memory would be gone with this process"
        )
    if driver == POSTGRESQL and not url.database:
        raise LedgerMissing(f"{shown(url)} names no database; end it with /name")
    if driver == POSTGRESQL and password:
        url = url.set(password=password)
    return url


def shown(url: URL) -> str:
    """The URL for people: the password left out, wherever in it drivers let it stand."""
    if url.host and "@" in url.host:  # a password with an unescaped `@` in it
        url = url.set(host=url.host.rpartition("@")[2])
    secret = {name: "hidden" for name in url.query if "password" in name.casefold()}
    return url.update_query_dict(secret).render_as_string(hide_password=True)


def file_of(url: URL) -> Path | None:
    """The file of a SQLite database; None for one in memory, and for PostgreSQL."""
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return None
    return Path(url.database)
