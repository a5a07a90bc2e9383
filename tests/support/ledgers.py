"""Real SQLite ledgers for tests: every test has a migrated one of its own, in a file.

Migrating takes a quarter of a second, so it happens once a process and the bytes are copied.
"""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy import URL

from ledger.store import Ledger
from ledger.store.dialect import parse_url
from migrations.upgrade import upgrade


@cache
def _template() -> bytes:
    """An empty ledger at head. Migrated in a thread of its own, since alembic starts a loop."""
    with TemporaryDirectory() as folder, ThreadPoolExecutor(1) as thread:
        path = Path(folder) / "template.db"
        thread.submit(upgrade, parse_url(f"sqlite+aiosqlite:///{path}")).result()
        assert not path.with_name("template.db-wal").exists(), "the template is not whole"
        return path.read_bytes()


def make_ledger(folder: Path, name: str = "ledger.db") -> URL:
    """A new, empty ledger in a file."""
    path = folder / name
    path.write_bytes(_template())
    return parse_url(f"sqlite+aiosqlite:///{path}")


@pytest.fixture
def ledger_url(tmp_path: Path) -> URL:
    """The address of a new, empty ledger."""
    return make_ledger(tmp_path)


@pytest.fixture
async def ledger(ledger_url: URL) -> AsyncIterator[Ledger]:
    """A new, empty ledger, open."""
    async with Ledger(ledger_url) as opened:
        yield opened
