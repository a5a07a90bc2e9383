"""Ledgers with a story in them, appended event by event at fixed instants."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from ledger.envelope import Draft, Provenance
from ledger.events import (
    AccountMapped,
    Applied,
    Event,
    Granted,
    GrantRef,
    Made,
    Refused,
    Removed,
    Revoked,
    SettingsChanged,
    Stuck,
    ref,
)
from ledger.model import Account, AccountId, Grant, GrantId, Principal, Team, Window
from ledger.model import parse_principal as principal
from ledger.store import Ledger
from tests.support.ledgers import make_ledger

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PROD = AccountId("111111111111")
DEV = AccountId("222222222222")
TEAM = Team("payments")


def after(hours: float = 0) -> datetime:
    """So many hours after noon of the story's day."""
    return NOON + timedelta(hours=hours)


def grant(
    name: str,
    who: str = "user/ana",
    *,
    ends: datetime | None = None,
    starts: datetime = NOON,
    **more: Any,
) -> Grant:
    """A grant of `fix` in production, unless said otherwise."""
    someone: Principal = principal(who)
    values: dict[str, Any] = {
        "id": GrantId(name),
        "turn": 1,
        "team": TEAM,
        "environment": "prod",
        "account": PROD,
        "principal": someone,
        "policy": "fix",
        "window": Window(starts, ends),
        "object": None if ends is None else f"iam-ledger-{name}",
    }
    return Grant(**values | more)


@dataclass
class Story:
    """Events in the making, each with its instant."""

    drafts: list[tuple[Draft, datetime]] = field(default_factory=list)

    def add(self, event: Event, at: datetime, *, cause: int = 0, **why: Any) -> "Story":
        self.drafts.append((Draft(event, cause, Provenance(**why)), at))
        return self

    def mapped(self, at: datetime = NOON) -> "Story":
        for environment, account in (("prod", PROD), ("dev", DEV)):
            where = Account(TEAM, environment, account, "Deployer")
            self.add(AccountMapped(where), at)
        settings = SettingsChanged("/iam-ledger/", "warn", ("user/*",), (), "local-part")
        return self.add(settings, at)

    def granted(self, what: Grant, at: datetime = NOON, **why: Any) -> "Story":
        known = {
            "source": "temporary-access/payments.yaml:14",
            "commit": "1a2b3c4d5e6f70819203a4b5c6d7e8f901234567",
            "author": "Bob <bob@example.com>",
            "approved_by": ("carol", "dan"),
            "pull_request": "https://example.com/pull/7",
        }
        return self.add(Granted(what), at, **known | why)

    def applied(self, what: Grant, at: datetime, recorded: datetime | None = None) -> "Story":
        made = Made("inline", what.object, "0" * 64) if what.object else ATTACHED
        event = Applied(
            ref(what), (made,), "aws" if what.temporary else None, (), 1, ("req-1",), at
        )
        return self.add(event, recorded or at, replica="worker-1", pass_id="p1")

    def revoked(self, what: Grant, at: datetime) -> "Story":
        return self.add(Revoked(ref(what), "removed"), at)

    def removed(self, what: Grant, at: datetime, recorded: datetime | None = None) -> "Story":
        event = Removed(ref(what), "expired", "answered", 400_000, ("req-2",), at)
        return self.add(event, recorded or at, replica="worker-1", pass_id="p2")

    def refused(self, what: Grant, at: datetime) -> "Story":
        return self.add(Refused(ref(what), "TooLarge", "2,100 of 2,048 characters", 1), at)

    def stuck(self, what: Grant | None, at: datetime) -> "Story":
        about: GrantRef | None = None if what is None else ref(what)
        return self.add(Stuck(PROD, "AccessDenied", "not allowed to do it", about), at)

    def write(self, folder: Path, name: str = "ledger.db") -> URL:
        """The story as a ledger on disk. Not from inside a running loop."""
        url = make_ledger(folder, name)
        asyncio.run(append_all(url, self.drafts))
        return url


ATTACHED = Made("attachment", "arn:aws:iam::aws:policy/ReadOnlyAccess", None)


async def append_all(url: URL, drafts: Iterable[tuple[Draft, datetime]]) -> None:
    async with Ledger(url) as ledger:
        for draft, now in drafts:
            await ledger.append([draft], now=now)
