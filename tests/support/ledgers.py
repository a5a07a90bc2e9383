"""Real SQLite ledgers for tests."""

from pathlib import Path

from sqlalchemy import URL

from ledger.store.dialect import parse_url
from migrations.upgrade import upgrade


def make_ledger(folder: Path, name: str = "ledger.db") -> URL:
    """A new ledger in a file. Not from inside a running loop."""
    url = parse_url(f"sqlite+aiosqlite:///{folder / name}")
    upgrade(url)
    return url
