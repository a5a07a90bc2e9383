"""The texts of AWS's own policies, each version once, as the worker read them.

Invariant: a version that stands is never overwritten. The table is no evidence by itself: a copy's
pin in the chain holds the SHA-256 of the text it was made from, and a text that does not match its
own is not used.
"""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.codec import instant_of, microseconds
from ledger.schema import sources
from ledger.store.append import chunks


@dataclass(frozen=True, slots=True)
class StoredSource:
    """One version of one AWS-managed policy."""

    arn: str
    version: str
    document: str
    """Canonical JSON."""
    seen_at: datetime
    """When the worker first read it as the default version, or for a copy."""

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.document.encode()).hexdigest()


async def keep_sources(connection: AsyncConnection, found: Iterable[StoredSource]) -> int:
    """Stores those that do not stand yet; how many. For use in `Ledger.writing`."""
    wanted = {(source.arn, source.version): source for source in found}
    for some in chunks(sorted({arn for arn, _ in wanted})):
        query = select(sources.c.arn, sources.c.version).where(sources.c.arn.in_(some))
        for row in await connection.execute(query):
            wanted.pop((row.arn, row.version), None)
    if wanted:
        await connection.execute(insert(sources), [_columns(each) for each in wanted.values()])
    return len(wanted)


async def read_sources(
    connection: AsyncConnection, arns: Collection[str]
) -> dict[str, Sequence[StoredSource]]:
    """Every version that was read of these policies, oldest first; damaged texts are left out."""
    found: dict[str, list[StoredSource]] = {}
    for some in chunks(sorted(arns)):
        query = select(sources).where(sources.c.arn.in_(some)).order_by(sources.c.seen_at)
        for row in await connection.execute(query):
            source = StoredSource(row.arn, row.version, row.document, instant_of(row.seen_at))
            if source.sha256 == row.sha256:
                found.setdefault(row.arn, []).append(source)
    return dict(found)


def _columns(source: StoredSource) -> dict[str, object]:
    return {
        "arn": source.arn,
        "version": source.version,
        "sha256": source.sha256,
        "document": source.document,
        "seen_at": microseconds(source.seen_at),
    }
