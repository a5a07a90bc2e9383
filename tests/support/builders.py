"""Directories as values, and a ledger in memory that decisions are carried out in.

`Book` keeps what the store keeps (rows by `project.fold`, newest words by `latest_keys`), so that
deciding can be tried a thousand times in a second.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ledger.codec import GENESIS, dedup_key
from ledger.decide import Decision, Directory, Terms, asked, decide
from ledger.decide.decision import Check, Planned, fits
from ledger.envelope import Provenance, Recorded
from ledger.events import (
    AccountMapped,
    Event,
    Held,
    Ingested,
    PolicyDefined,
    SettingsChanged,
    Word,
)
from ledger.ingest import source_text
from ledger.manifest import Manifest, read
from ledger.model import GrantId, Team
from ledger.project import GrantRow, LatestKey, fold, latest_keys, row_key
from ledger.state import DefinedPolicy, Head, IntentView

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PROD = "111111111111"
DEV = "222222222222"
TEAM = "payments"
WORD = Word("olga", "left the company", "olga", "bastion", None)

Files = dict[str, bytes]
Entry = dict[str, Any]


def at(hours: float = 0) -> datetime:
    """So many hours after `NOW`."""
    return NOW + timedelta(hours=hours)


def text(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


def policy(**keys: Any) -> Entry:
    """A policy of one statement."""
    statement = {"effect": "Allow", "actions": ["s3:GetObject"], "resources": ["*"]}
    return {"custom_statements": [statement], **keys}


def temporary(
    user: str = "ana", *, environment: str = "prod", grant: str = "fix", **end: Any
) -> Entry:
    """An entry of temporary-access; `end` is one of its three ends, and what else it has."""
    return {
        "description": "to mend it",
        "user": user,
        "environment": environment,
        "grant": grant,
        **{key: text(v) if isinstance(v, datetime) else v for key, v in end.items()},
    }


def permanent(*users: str, environment: str = "prod", grant: str = "look", **more: Any) -> Entry:
    return {
        "description": "their work",
        "users": list(users),
        "environments": [environment],
        "grants": [grant],
        **more,
    }


def directory(
    team: str = TEAM,
    *,
    accounts: Mapping[str, Any] | None = None,
    policies: Mapping[str, Entry] | None = None,
    standing: Sequence[Entry] = (),
    windows: Sequence[Entry] = (),
    settings: Mapping[str, Any] | None = None,
) -> Files:
    """One team's files. JSON is YAML, so that values need no writer of their own."""
    found = {
        f"aws-accounts/{team}.yaml": {
            "aws-accounts": {"prod": PROD, "dev": DEV} if accounts is None else accounts
        },
        f"aws-policies/{team}.yaml": {
            "aws-policies": {"look": policy(), "fix": policy()} if policies is None else policies
        },
    }
    if standing:
        found[f"permanent-access/{team}.yaml"] = {"permanent-access": list(standing)}
    if windows:
        found[f"temporary-access/{team}.yaml"] = {"temporary-access": list(windows)}
    if settings is not None:
        found["iam-ledger.yaml"] = {"settings": dict(settings)}
    return {path: json.dumps(value, indent=1).encode() for path, value in found.items()}


def manifest(files: Files, *, now: datetime = NOW, teams: frozenset[str] | None = None) -> Manifest:
    reading = read(files, (), teams, now)
    assert reading.manifest is not None, "\n".join(str(problem) for problem in reading.problems)
    return reading.manifest


@dataclass
class Book:
    """A ledger in memory."""

    events: list[Recorded] = field(default_factory=list)
    rows: dict[tuple[GrantId, int], GrantRow] = field(default_factory=dict)
    newest: dict[LatestKey, Recorded] = field(default_factory=dict)

    def ingest(
        self,
        files: Files,
        now: datetime = NOW,
        *,
        teams: frozenset[str] | None = None,
        commit: str | None = None,
        consent: int | None = 1_000_000,
        check: Check = fits,
    ) -> Decision:
        """Decides and, unless something stops it, appends."""
        decision = self.plan(files, now, teams=teams, commit=commit, consent=consent, check=check)
        if decision.brake is None:
            self.append(decision.planned, now)
        return decision

    def plan(
        self,
        files: Files,
        now: datetime = NOW,
        *,
        teams: frozenset[str] | None = None,
        commit: str | None = None,
        consent: int | None = None,
        check: Check = fits,
    ) -> Decision:
        declared = manifest(files, now=now, teams=teams)
        scope = None if teams is None else frozenset(Team(team) for team in teams)
        terms = Terms(now, scope, consent, check)
        view = self.view(now, [grant.id for grant in declared.grants])
        questions = asked(view, declared, terms)
        sources = {p: self.events[p - 1].provenance.source for p in questions.positions}
        terms = replace(
            terms,
            sources={position: source for position, source in sources.items() if source},
            repeats=tuple(
                row
                for row in self.rows.values()
                if (row.grant.principal.key, row.grant.policy) in questions.accesses
                and row.declared_end is not None
                and row.declared_end <= now
            ),
        )
        return decide(view, Directory(declared, commit), terms)

    def append(self, planned: Sequence[Planned], now: datetime = NOW) -> None:
        for item in planned:
            self.record(item.event, now, cause=item.cause, source=source_text(item.origin))

    def record(
        self, event: Event, now: datetime = NOW, *, cause: int = 0, source: str | None = None
    ) -> Recorded:
        key = dedup_key(event, cause)
        assert key not in {item.dedup_key for item in self.events}, f"{key} stands already"
        recorded_at = max([now, *(item.recorded_at for item in self.events[-1:])])
        recorded = Recorded(
            len(self.events) + 1, recorded_at, event, Provenance(source=source), key, GENESIS
        )
        self.events.append(recorded)
        which = row_key(event)
        if which is not None:
            row = fold(self.rows.get(which), recorded)
            assert row is not None
            self.rows[which] = row
        for subject in latest_keys(event):
            self.newest[subject] = recorded
        return recorded

    def live(self, now: datetime) -> list[GrantRow]:
        """What gives access at `now`."""
        return [row for row in self.rows.values() if row.live(now)]

    def turns(self) -> list[tuple[str, int]]:
        return [(row.grant.id, row.grant.turn) for row in self.rows.values()]

    def of(self, kind: type) -> list[Any]:
        """The events of one kind, in order."""
        return [item.event for item in self.events if isinstance(item.event, kind)]

    def view(self, now: datetime, ids: Sequence[GrantId] = ()) -> IntentView:
        """What `store.views.read_intent` answers."""
        turns: dict[GrantId, GrantRow] = {}
        for row in sorted(self.rows.values(), key=lambda row: row.grant.turn):
            turns[row.grant.id] = row
        last = self.events[-1] if self.events else None
        words = {key: item.event for key, item in self.newest.items()}
        topics = ("account", "policy", "settings", "hold", "ingested")
        return IntentView(
            head=Head(last.position if last else 0, GENESIS, last.recorded_at if last else None),
            accounts={
                (e.account.team, e.account.environment): (e.account, self.newest[key].position)
                for key, e in words.items()
                if isinstance(e, AccountMapped)
            },
            policies={
                (e.policy.team, e.policy.name): DefinedPolicy(e.policy, self.newest[key].position)
                for key, e in words.items()
                if isinstance(e, PolicyDefined)
            },
            settings=next((e for e in words.values() if isinstance(e, SettingsChanged)), None),
            positions={k: item.position for k, item in self.newest.items() if k.topic in topics},
            holds=tuple(e for e in words.values() if isinstance(e, Held)),
            last_commits={
                Team(key.team): e.commit for key, e in words.items() if isinstance(e, Ingested)
            },
            rows={
                grant: row
                for grant, row in turns.items()
                if grant in ids or (row.revoked is None and not row.grant.window.over(now))
            },
        )
