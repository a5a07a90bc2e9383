"""The texts of AWS-managed policies, read once, kept for a while, and stored in the ledger.

They are the same in every account, so one process keeps one copy of each. A version of a policy
never changes; which version is the default may, and is asked again after `KEEP`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ledger.store.sources import StoredSource
from worker.account import AwsAccount, SourceDocument
from worker.iam.documents import canonical

KEEP = timedelta(minutes=10)
KEPT_MAX = 2_000
"""More than AWS has policies (about 1,600)."""


Store = Callable[[StoredSource], Awaitable[None]]
"""Stores a text unless it stands already; LedgerUnavailable."""


@dataclass(slots=True)
class Sources:
    """A small cache; losing it costs two reads a policy."""

    store: Store
    _default: dict[str, tuple[datetime, SourceDocument]] = field(default_factory=dict)
    _pinned: dict[tuple[str, str], SourceDocument] = field(default_factory=dict)

    async def read(
        self, aws: AwsAccount, arn: str, version: str | None, now: datetime
    ) -> SourceDocument:
        """The document at `version`, or the default one where None.

        Raises as `read_source`, and LedgerUnavailable: nothing is copied from a text that nobody
        could be shown later.
        """
        if version is not None and (arn, version) in self._pinned:
            return self._pinned[arn, version]
        if version is None and arn in self._default:
            read_at, document = self._default[arn]
            if now - read_at < KEEP:
                return document
        document = await aws.read_source(arn, version)
        if len(self._pinned) >= KEPT_MAX:
            self._pinned.clear()
            self._default.clear()
        if (arn, document.version) not in self._pinned:
            text = canonical(document.document).text
            await self.store(StoredSource(arn, document.version, text, now))
        self._pinned[arn, document.version] = document
        if version is None:
            self._default[arn] = (now, document)
        return document
