"""One history: people, AWS, the database and the worker itself do what they may do, by a seed.

Invariant: the same seed plays the same history on every machine; it tells what it does as it goes,
so that a history that breaks a law can be read, and played again.
"""

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from ledger.errors import LedgerUnavailable
from ledger.model import AccountId, parse_principal
from tests.simulation.truth import Line, Truth, Where
from tests.support import builders
from tests.support.builders import Entry, Files, policy
from tests.support.stage import DEV, PROD, ROLE, Process, Stage

STEPS = 30
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
PEOPLE = ("user/ana", "user/bob", "role/ci")
GROUP = "group/devs"
TIMED = ("fix", "big", "own", "loose")
STANDING = ("look", "own")
POLICIES = ("fix", "big", "own", "loose", "look")
ENVIRONMENTS: dict[str, str] = {PROD: "prod", DEV: "dev"}
DAEMON = ("loose",)
"""Policies whose access only the worker ends."""

FOREIGN = (
    '{"Statement":{"Action":"s3:foreign","Effect":"Allow","Resource":"*"},"Version":"2012-10-17"}'
)

Step = Callable[["History"], Awaitable[str | None]]


def shown(instant: datetime) -> str:
    return f"{instant:%H:%M:%S}.{instant.microsecond // 1000:03}"


def action(name: str) -> str:
    return f"s3:{name}"


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def declared_policies(own: str, loose: str) -> dict[str, Entry]:
    """Each allows one action of its own; `big` is too large for a user's inline policies."""

    def allow(name: str, resources: list[str]) -> list[dict[str, Any]]:
        return [{"effect": "Allow", "actions": [action(name)], "resources": resources}]

    return {
        "fix": policy(custom_statements=allow("fix", ["*"])),
        "look": policy(custom_statements=allow("look", ["*"])),
        "big": policy(
            custom_statements=allow("big", [f"arn:aws:s3:::bucket-{n:03}/*" for n in range(120)])
        ),
        "own": {"managed_policies": [own]},
        "loose": {"managed_policies": [loose], "enforcement": "daemon"},
    }


@dataclass(slots=True)
class History:
    """A stage, what people meant, and what is wrong with the world just now."""

    seed: int
    stage: Stage
    drift: str
    random: Random
    truth: Truth = field(default_factory=Truth)
    story: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    tampered: dict[tuple[str, str], list[datetime]] = field(default_factory=dict)
    """(account, principal) -> when somebody changed by hand what hangs there."""
    disturbed: list[tuple[datetime, datetime]] = field(default_factory=list)
    """From when to when something was wrong, be it with AWS, the database or the worker."""
    _own: str = ""
    _loose: str = ""
    _wrong_since: datetime | None = None

    @classmethod
    async def begin(cls, seed: int, folder: Path) -> "History":
        random = Random(seed)  # noqa: S311 - histories are chosen by it, no secrets
        stage = Stage.empty(folder)
        self = cls(seed, stage, random.choice(["warn", "repair"]), random)
        for account in (PROD, DEV):
            stage.people(*PEOPLE, GROUP, account=account)
            iam = stage.aws.iam(account)
            iam.entities["user/ana"].inline["theirs"] = FOREIGN
        allow = {"Effect": "Allow", "Action": action("own"), "Resource": "*"}
        self._own = stage.aws.publish("Own", document(allow))
        allow = {"Effect": "Allow", "Action": action("loose"), "Resource": "*"}
        deny = {"Effect": "Deny", "Action": "s3:nothing", "Resource": "*"}
        self._loose = stage.aws.publish("Loose", document(allow, deny))
        await self.start()
        return self

    # --- what it is told by ----------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        return self.stage.clock.now()

    @property
    def worker(self) -> Process | None:
        return next(iter(self.stage.processes), None)

    def tell(self, text: str) -> None:
        self.story.append(f"{shown(self.now)} {text}")

    def wrong(self) -> None:
        self._wrong_since = self._wrong_since or self.now

    def right(self) -> None:
        if self._wrong_since is not None:
            self.disturbed.append((self._wrong_since, self.now))
            self._wrong_since = None

    # --- the worker ------------------------------------------------------------------------------

    async def start(self) -> None:
        process = self.stage.process(resync_every=timedelta(minutes=10))
        with suppress(LedgerUnavailable):
            await process.run()
        await self.advance(SECOND)

    async def bury(self) -> None:
        """Takes the dead one away."""
        worker = self.worker
        if worker is not None and worker.dead:
            await worker.stop()

    async def advance(self, how_long: timedelta) -> None:
        await self.stage.advance_to(self.now + how_long)

    async def nudge(self) -> None:
        """As the feed does when the ledger has news, or answers again."""
        worker = self.worker
        if worker is None or worker.dead:
            return
        with suppress(LedgerUnavailable):
            await worker.run()
        worker.nudge()

    # --- people ----------------------------------------------------------------------------------

    def files(self, lines: tuple[Line, ...]) -> Files:
        def entry(line: Line) -> Entry:
            kind, _, name = line.principal.partition("/")
            common = {
                "description": "x",
                kind: name,
                "environment": ENVIRONMENTS[line.account],
                "grant": line.policy,
            }
            window = {"starts_at": line.starts_at, "expires_at": line.ends_at}
            return common | {key: builders.text(v) for key, v in window.items() if v is not None}

        return builders.directory(
            policies=declared_policies(self._own, self._loose),
            windows=[entry(line) for line in lines if line.ends_at is not None],
            standing=[entry(line) for line in lines if line.ends_at is None],
            settings={"drift": self.drift, "deployer_role": ROLE},
        )

    async def ingest(self, lines: tuple[Line, ...]) -> None:
        with suppress(LedgerUnavailable):  # only the worker's way may be cut
            await self.stage.ingest(self.files(lines))
        self.truth.ingested(lines, self.now)
        await self.nudge()
        if self.random.random() < 0.8:  # seldom is there another in the same moment
            await self.advance(timedelta(milliseconds=self.random.randint(1, 2_000)))

    def new_line(self) -> Line:
        random = self.random
        account = random.choice([PROD, DEV])
        if random.random() < 0.3:
            principal = random.choice([*PEOPLE, GROUP])
            return Line(account, principal, random.choice(STANDING), None, None)
        base = self.now.replace(microsecond=0)
        starts_at = None
        if random.random() < 0.4:
            starts_at = base + random.randint(1, 15) * MINUTE
        ends_at = (starts_at or base) + timedelta(seconds=random.randint(30, 1500))
        return Line(account, random.choice(PEOPLE), random.choice(TIMED), starts_at, ends_at)

    def any_where(self) -> Where | None:
        wheres = sorted({line.where for line in self.truth.lines if not line.over(self.now)})
        return self.random.choice(wheres) if wheres else None

    # --- the end ---------------------------------------------------------------------------------

    async def heal(self) -> None:
        """Nothing is wrong any more, and time goes by until the worker must have noticed."""
        self.stage.aws.heal()
        for account in (PROD, DEV):
            self.stage.aws.lock(account, role=ROLE)
        await self.bury()
        if self.worker is None:
            await self.start()
        worker = self.worker
        assert worker is not None
        worker.ledger.out = False
        worker.ledger.dies_before = worker.ledger.dies_after = None
        worker.gate.offset_s = 0.0
        await self.nudge()
        self.tell("all is well again")
        await self.advance(25 * MINUTE)  # two resyncs, and the longest time that is parked
        self.right()

    async def close(self) -> None:
        await self.stage.close()

    def holds(self, where: Where, instant: datetime | None = None) -> bool:
        """Whether AWS allows it."""
        account, principal, name = where
        return self.stage.aws.allows(
            AccountId(account), parse_principal(principal), action(name), instant
        )
