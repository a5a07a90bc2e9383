"""A small history in two accounts, for tests that kill, stop and cut: few calls, all of a kind."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ledger.ingest import IngestRequest, Report, ingest
from ledger.model import AccountId
from ledger.store import Ledger
from ledger.store.dialect import parse_url
from tests.support.builders import Entry, Files, directory, permanent, policy, temporary
from tests.support.ledgers import make_ledger
from tests.support.moto_server import MotoServer
from tests.support.processes import Installation
from tests.support.wire import Wire, laid

PROD, DEV = AccountId("1" * 12), AccountId("2" * 12)
AWS_OWN = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
DEPLOY_POLICY = policy(managed_policies=[AWS_OWN])
PIPELINE = {
    "description": "deploys",
    "roles": ["deploy"],
    "environments": ["prod"],
    "grants": ["deploy"],
}
"""Two attachments and a policy of ours."""


def files(*windows: Entry, pipeline: bool = True, more: tuple[Entry, ...] = ()) -> Files:
    """The pipeline's permanent access in production, and `windows`."""
    own = {"managed_policies": [AWS_OWN]}
    policies = {"fix": own, "look": own} | ({"deploy": DEPLOY_POLICY} if pipeline else {})
    standing = [*([PIPELINE] if pipeline else []), *more]
    return directory(policies=policies, standing=standing, windows=list(windows))


def window(user: str, **end: Any) -> Entry:
    """The policy `fix` in production; for two hours where no end is told."""
    return temporary(user, **(end or {"duration": "2h"}))


def look_at_dev() -> Entry:
    """Permanent access in the other account."""
    return permanent("ana", environment="dev", grant="look")


@contextmanager
def installed(moto: MotoServer, folder: Path) -> Iterator[tuple[Installation, Wire]]:
    """An empty ledger, two accounts with their people, and a wire between."""
    for account in (PROD, DEV):
        for principal in ("user/ana", "user/ben", "role/deploy"):
            moto.add(account, principal)
    with laid(moto.url) as wire:
        program = Installation(folder, wire.url)
        program.database.parent.mkdir()
        make_ledger(program.database.parent, program.database.name)
        yield program, wire


def declare(program: Installation, declared: Files) -> Report:
    """What `ingest` does, here and now: no process is started for it."""

    async def run() -> Report:
        url = parse_url(f"sqlite+aiosqlite:///{program.database}")
        async with Ledger(url) as ledger:
            return await ingest(ledger, IngestRequest(declared, datetime.now(UTC), consent=99))

    report = asyncio.run(run())
    assert not report.errors, report.errors
    return report
