"""The brake: what it counts, and when it holds an ingest back.

Invariant: access that goes on to the same end or later is not counted; everything else that would
end is. Expiry never comes here.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from ledger.decide.decision import Brake, BrakeReason, Terms
from ledger.manifest.declared import Manifest
from ledger.model import PERCENT_FROM, AccountId, Grant, GrantId, Team, Window
from ledger.project import GrantRow

AccessKey = tuple[Team, AccountId, str, str]
"""Team, account, principal's key, policy: what may be continued."""


def access_key(grant: Grant) -> AccessKey:
    return grant.team, grant.account, grant.principal.key, grant.policy


@dataclass(frozen=True, slots=True)
class Balance:
    """What a decision does to access that stands."""

    live: Sequence[GrantRow]
    """Live in the ledger, of the teams ingested."""
    revoked: Sequence[GrantRow]
    granted: Sequence[Grant]

    def ended(self, now: datetime) -> tuple[GrantRow, ...]:
        """The revoked grants that nothing continues to the same end or later."""
        gone = {row.key for row in self.revoked}
        windows: dict[AccessKey, list[Window]] = defaultdict(list)
        for grant in self._surviving(gone):
            windows[access_key(grant)].append(grant.window)
        return tuple(
            row
            for row in sorted(self.revoked, key=lambda row: row.granted.position)
            if not any(
                _continues(window, row.grant.window, now)
                for window in windows.get(access_key(row.grant), ())
            )
        )

    def _surviving(self, gone: set[tuple[GrantId, int]]) -> Iterable[Grant]:
        yield from (row.grant for row in self.live if row.key not in gone)
        yield from self.granted


def _continues(window: Window, before: Window, now: datetime) -> bool:
    if window.starts_at > max(now, before.starts_at):
        return False  # a gap is an end
    if window.ends_at is None:
        return True
    return before.ends_at is not None and window.ends_at >= before.ends_at


def brake_of(balance: Balance, manifest: Manifest, terms: Terms) -> Brake | None:
    """Why the decision needs a person's word; None: it needs none, or has it."""
    ends = balance.ended(terms.now)
    if not ends:
        return None
    settings = manifest.settings
    files_gone = _files_gone(ends, manifest, terms)
    share = 100 * len(ends) > settings.max_revocations_percent * len(balance.live)
    reasons: list[BrakeReason] = []
    if len(ends) > settings.max_revocations_count:
        reasons.append("count")
    if len(ends) >= PERCENT_FROM and share:
        reasons.append("percent")
    if terms.scope is None and not manifest.teams:
        reasons.append("empty-directory")
    elif files_gone:
        reasons.append("file-gone")
    if not reasons or (terms.consent is not None and terms.consent >= len(ends)):
        return None
    return Brake(
        ends=ends,
        live=len(balance.live),
        reasons=tuple(reasons),
        count_max=settings.max_revocations_count,
        percent_max=settings.max_revocations_percent,
        files_gone=files_gone,
        consent=terms.consent,
    )


def _files_gone(ends: Iterable[GrantRow], manifest: Manifest, terms: Terms) -> tuple[str, ...]:
    """The files that declared what would end and were not read this time."""
    read = set(manifest.files)
    recorded = (terms.sources.get(row.granted.position) for row in ends)
    paths = {source.rpartition(":")[0] or source for source in recorded if source is not None}
    return tuple(sorted(paths - read))
