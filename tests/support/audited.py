"""Ledgers for whoever audits them: one company's month with all that can happen, or many grants."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from ledger.events import (
    Applied,
    DriftFound,
    DriftRepaired,
    Left,
    Made,
    PolicyDefined,
    Removed,
    Revoked,
    RevokedCause,
    Settled,
    Word,
    ref,
)
from ledger.model import AccountId, Grant, Policy, Team
from tests.support.histories import ATTACHED, DEV, PROD, TEAM, Story, after, grant

DAY = 24
TODAY = after(26 * DAY + 2.25)
"""The instant that the month's reports are about: 28 March, 14:15."""

WAREHOUSE = AccountId("333333333333")
DATA = Team("data")
OLGA = Word("olga", "the account is closed, nobody can reach it", "olga", "bastion", None)

HOSTILE = (
    "<script>alert(1)</script>",
    "\"quoted\" & 'quoted' <b>",
    "right\u202eto\u2066left\u200f",
    "שלום עולם",
    "</style><img src=x onerror=alert(1)>",
    "x" * 10_000,
)


def day(number: float, hour: float = 0) -> datetime:
    """Days after 2 March at noon, and hours more."""
    return after(number * DAY + hour)


def month() -> Story:
    """Two teams, three accounts, and each state that a grant can be in, on 28 March."""
    story = Story().mapped()
    text = '{"Statement":[{"Action":"s3:GetObject","Effect":"Allow","Resource":"*"}]}'
    for name in ("look", "fix", "deploy"):
        policy = Policy(TEAM, name, f"payments-{name}", text, (), f"What {name} needs", None)
        story.add(PolicyDefined(policy), day(0))
    drafts = Months(story)
    drafts.standing()
    drafts.windows()
    drafts.troubles()
    story.drafts.sort(key=lambda item: item[1])
    return story


class Months:
    """The month's events, each grant's in order; the story is sorted by time in the end."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.number = 0

    def grant(self, who: str, policy: str, start: datetime, **more: Any) -> Grant:
        self.number += 1
        name = f"{self.number:04d}" + "abcdefghjkmn"
        one = grant(name, who, policy=policy, starts=start, **more)
        number, kind = 40 + self.number, "temporary" if one.temporary else "permanent"
        self.story.granted(
            one,
            start,
            source=f"{kind}-access/{one.team}.yaml:{number}",
            pull_request=f"https://example.com/pull/{number}",
        )
        return one

    def removed(
        self, one: Grant, at: datetime, cause: str = "expired", late_us: int = 412_000
    ) -> None:
        event = Removed(
            ref(one),
            "revoked" if cause != "expired" else "expired",
            "answered",
            late_us,
            ("c1a7e0f2-55",),
            at,
        )
        self.story.add(event, at, replica="worker-1", pass_id="p2")

    def revoked(self, one: Grant, at: datetime, cause: RevokedCause = "removed") -> None:
        self.story.add(Revoked(ref(one), cause), at, source="permanent-access/payments.yaml:12")

    def standing(self) -> None:
        for number, (who, policy, account) in enumerate(
            (
                ("user/ana", "look", PROD),
                ("user/ben", "look", PROD),
                ("role/deploy", "deploy", PROD),
                ("user/ana", "look", DEV),
                ("role/deploy", "deploy", DEV),
            )
        ):
            start = day(0.2 + 0.01 * number)
            name = "prod" if account == PROD else "dev"
            one = self.grant(who, policy, start, account=account, environment=name)
            self.story.applied(one, day(0.21 + 0.01 * number))
        analysts = self.grant(
            "group/analysts", "query", day(1), account=WAREHOUSE, environment="warehouse", team=DATA
        )
        self.story.applied(analysts, day(1, 0.01))
        gone = self.grant("user/fay", "look", day(1, 2))
        self.story.applied(gone, day(1, 2.1))
        self.revoked(gone, day(12))
        self.removed(gone, day(12, 9), "revoked", 32_400_000_000)

    def windows(self) -> None:
        for who, first, hours in (
            ("user/ana", 3, 8),
            ("user/ben", 9, 30),
            ("user/ana", 17.4, 4),
            ("user/chloe", 22, 60),
        ):
            one = self.grant(
                who, "fix", day(first), ends=day(first, hours), ticket=f"OPS-{1200 + int(first)}"
            )
            self.story.applied(one, day(first, 0.004))
            self.removed(one, day(first, hours))
        running = self.grant(
            "user/ana",
            "fix",
            day(25.9),
            ends=day(27.5),
            ticket="OPS-1291",
            description="Payments are stuck",
        )
        self.story.applied(running, day(25.9, 0.003))
        self.grant("user/ben", "fix", day(26, 2.2), ends=day(27), ticket="OPS-1293")
        later = self.grant("user/dora", "fix", day(26, 1), ends=day(33), ticket="OPS-1292")
        self.story.applied(later, day(26, 1.01))
        coming = grant("9998abcdefghjkmn", "user/eve", policy="fix", starts=day(29), ends=day(31))
        self.story.granted(coming, day(26))

    def troubles(self) -> None:
        dora: dict[str, Any] = {"account": WAREHOUSE, "environment": "warehouse", "team": DATA}
        watch = self.grant("user/dora", "watch", day(20), ends=day(26, 1.5), **dora)
        self.story.add(
            Applied(ref(watch), (ATTACHED,), "daemon", (), 4, ("r-9",), day(20, 0.01)),
            day(20, 0.01),
            replica="worker-1",
        )
        self.story.stuck(watch, day(26, 1.6))
        audit = self.grant("user/gus", "audit", day(24), ends=day(28), **dora)
        self.story.add(
            Applied(ref(audit), (ATTACHED,), "daemon", (), 4, ("r-10",), day(24, 0.01)),
            day(24, 0.01),
            replica="worker-1",
        )
        late = self.grant("user/hal", "watch", day(5), ends=day(8), **dora)
        self.story.add(
            Applied(ref(late), (ATTACHED,), "daemon", (), 4, ("r-11",), day(5, 0.01)),
            day(5, 0.01),
            replica="worker-1",
        )
        self.removed(late, day(10), "expired", 172_800_000_000)
        refused = self.grant("user/ivy", "survey", day(25), ends=day(30), **dora)
        self.story.refused(refused, day(25, 0.01))
        drifted = self.grant("user/jon", "look", day(2))
        self.story.applied(drifted, day(2, 0.1))
        item = "attachment user/jon arn:aws:iam::aws:policy/ReadOnlyAccess"
        self.story.add(
            DriftFound(PROD, "altered", item, ref(drifted), None, None, day(14), None),
            day(14, 0.2),
            replica="worker-1",
        )
        self.story.add(
            DriftRepaired(PROD, item, "written", ref(drifted), None, None, day(15)),
            day(15, 0.01),
            replica="worker-1",
        )
        kept = self.grant("user/kim", "look", day(4))
        self.story.applied(kept, day(4, 0.1))
        self.revoked(kept, day(16))
        self.story.add(
            Left(ref(kept), (ATTACHED,), day(16, 0.01)), day(16, 0.02), replica="worker-1"
        )
        said = self.grant("user/lea", "look", day(6), account=DEV, environment="dev")
        self.story.applied(said, day(6, 0.1))
        self.revoked(said, day(18))
        self.story.stuck(said, day(18, 0.1))
        self.story.add(Settled(ref(said), OLGA), day(19))


def hostile() -> Story:
    """Every text that somebody else writes is an attack on the page."""
    story = Story().mapped()
    for number, text in enumerate(HOSTILE):
        one = grant(
            f"{number:04d}hhhhhhhhhhhh",
            f"user/u{number}",
            ends=after(100),
            team=Team(text[:200]),
            environment=text[:200],
            policy=text,
            ticket=text,
            description=text,
        )
        story.granted(
            one,
            source=text,
            commit=text,
            author=text,
            approved_by=(text,),
            pull_request=f"javascript:alert({number})//{text[:50]}",
        )
        story.stuck(one, after(1))
    return story


def crowd(number: int) -> Story:
    """So many grants in forty accounts, half of them temporary."""
    story = Story().mapped()
    for each in range(number):
        account = AccountId(f"{400_000_000_000 + each % 40}")
        one = grant(
            f"{each:016d}",
            f"user/person-{each // 4}",
            policy=f"policy-{each % 7}",
            ends=after(200 + each % 300) if each % 2 else None,
            account=account,
            environment=f"team-{each % 40}",
            ticket=f"OPS-{each}",
        )
        story.granted(one, after(each / number))
        made = Made("inline", one.object, "0" * 64) if one.object else ATTACHED
        story.add(
            Applied(ref(one), (made,), "aws" if one.temporary else None, (), 1, ("r",), after(1.5)),
            after(1.5),
            replica="worker-1",
        )
    return story


def write(story: Story, folder: Path) -> URL:
    """As a ledger on disk, appended in one go for each instant."""
    return replace(story, drafts=story.drafts).write(folder)
