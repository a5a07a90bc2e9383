"""Laws of drift, over whatever hands do to an account in one go, on a ledger and the fake AWS.

Under `repair` AWS holds, after a quiet moment, what it held before; under `warn` it holds what
hands left, but for ends that they loosened.
"""

import asyncio
import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from ledger.events import Stuck
from ledger.model import parse_principal
from tests.support.builders import Files, at, directory, permanent, policy, temporary
from tests.support.fake_aws.iam import Iam
from tests.support.stage import ANA, CI, PROD, Stage

BOB = parse_principal("user/bob")
OURS = f"arn:aws:iam::{PROD}:policy/iam-ledger/"
LOOK = f"{OURS}payments-look"
WIDE = [f"rds:{'x' * 900}{number}" for number in range(9)]
"""With these a copy takes two policies of its own, and fits no user inline."""

STORIES = settings(
    deadline=None,
    max_examples=2,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)


def document(*actions: str, until: str | None = None) -> str:
    statement: dict[str, Any] = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    if until is not None:
        statement["Condition"] = {"DateLessThan": {"aws:CurrentTime": until}}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@dataclass(frozen=True)
class Hands:
    """What somebody does in the console, all at once; every None is left alone."""

    copy: str | None = None
    """Ana's inline copy: `cut`, `alter` or `loosen`."""
    first: str | None = None
    """The first part of bob's, likewise."""
    second: str | None = None
    """The second part of it: `cut` off him, or `drop`ped altogether."""
    cut: frozenset[str] = frozenset()
    """Attachments taken from ana: `own`, `aws`."""
    rewritten: bool = False
    """Whether our policy gets another text."""
    extra: frozenset[str] = frozenset()
    """What is added to ci under our names: `own`, `part`, `inline`."""


def some(*words: str) -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from(words))


hands = st.builds(
    Hands,
    copy=st.sampled_from([None, "cut", "alter", "loosen"]),
    first=st.sampled_from([None, "cut", "alter", "loosen"]),
    second=st.sampled_from([None, None, "cut", "drop"]),
    cut=some("own", "aws"),
    rewritten=st.booleans(),
    extra=some("own", "part", "inline"),
)


@dataclass(frozen=True)
class World:
    """The account as people look at it."""

    iam: Iam
    read: str
    name: str
    """Of ana's copy."""
    parts: tuple[str, ...]
    """ARNs of bob's."""

    def seen(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            policy.arn: json.loads(policy.versions[policy.default])
            for policy in self.iam.policies.values()
        }
        for who in (ANA, BOB, CI):
            entity = self.iam.entities[who.key]
            found[f"attached {who}"] = set(entity.attached)
            found |= {f"{who} {n}": json.loads(text) for n, text in entity.inline.items()}
        return found

    def text(self, arn: str) -> str:
        policy = self.iam.policy(arn)
        assert policy is not None
        return policy.document

    def spoil(self, done: Hands) -> None:
        iam, first, second = self.iam, *self.parts
        self._spoil_copy(done.copy)
        if done.first == "cut":
            iam.detach(BOB, first)
        elif done.first is not None:
            later = self.text(first).replace("2026-03", "2036-03")
            iam.create_version(first, later if done.first == "loosen" else ALTERED)
        if done.second is not None:
            iam.detach(BOB, second)
        if done.second == "drop":
            iam.delete_policy(second)
        for word, arn in (("own", LOOK), ("aws", self.read)):
            if word in done.cut:
                iam.detach(ANA, arn)
        if done.rewritten:
            iam.create_version(LOOK, document("a:b"))
        for word, arn in (("own", LOOK), ("part", first)):
            if word in done.extra:
                iam.attach(CI, arn)
        if "inline" in done.extra:
            iam.put_inline(CI, "iam-ledger-abcdefghijklmnop", document("a:b"))

    def _spoil_copy(self, what: str | None) -> None:
        text = self.iam.entities[ANA.key].inline[self.name]
        if what == "cut":
            self.iam.delete_inline(ANA, self.name)
        elif what == "alter":
            self.iam.put_inline(ANA, self.name, ALTERED)
        elif what == "loosen":
            self.iam.put_inline(ANA, self.name, text.replace("2026-03", "2036-03"))


ALTERED = document("a:b", until="2026-03-03T00:00:00Z")


def files(drift: str, read: str, wide: str) -> Files:
    return directory(
        accounts={"prod": PROD},
        policies={
            "look": policy(managed_policies=[read]),
            "fix": policy(),
            "wide": {"managed_policies": [wide]},
        },
        standing=[permanent("ana")],
        windows=[
            temporary("ana", expires_at=at(40)),
            temporary("bob", grant="wide", expires_at=at(40)),
        ],
        settings={"drift": drift},
    )


async def begin(stage: Stage, drift: str) -> World:
    stage.people("user/ana", "user/bob", "role/ci")
    read = stage.aws.publish("Read", document("s3:Get*"))
    wide = stage.aws.publish("Wide", document(*WIDE))
    await stage.ingest(files(drift, read, wide))
    await stage.start(resync_every=timedelta(minutes=10))
    await stage.advance(minutes=5)
    (name,) = stage.inline(ANA)
    parts = sorted(stage.attached(BOB))
    assert len(parts) == 2, "bob's copy is split"
    return World(stage.aws.iam(PROD), read, name, tuple(parts))


def run(drift: str, done: Hands) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """What stood before hands, right after them, and after a quiet moment."""

    async def live(stage: Stage) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        world = await begin(stage, drift)
        before = world.seen()
        world.spoil(done)
        spoilt = world.seen()
        await stage.advance(minutes=12)
        calls = len(stage.aws.made())
        await stage.advance(minutes=20)
        assert len(stage.aws.made()) == calls, "what is as it should be is left alone"
        assert await stage.of(Stuck) == []
        await stage.verified()
        return before, spoilt, world.seen()

    async def on_a_stage() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        with TemporaryDirectory() as folder:
            stage = Stage.empty(Path(folder))
            try:
                return await live(stage)
            finally:
                await stage.close()

    return asyncio.run(on_a_stage())


EVERYTHING = Hands(
    "cut", "alter", "drop", frozenset({"own", "aws"}), True, frozenset({"own", "part", "inline"})
)


@STORIES
@given(hands)
@example(EVERYTHING)
@example(Hands("alter", "cut", "cut"))
def test_under_repair_aws_holds_after_a_quiet_moment_what_it_held_before(done: Hands) -> None:
    before, _, after = run("repair", done)
    assert after == before


@STORIES
@given(hands)
@example(Hands("loosen", "loosen"))
@example(Hands("loosen", "loosen", "drop"))
def test_under_warn_nothing_is_written_but_ends_that_were_loosened(done: Hands) -> None:
    before, spoilt, after = run("warn", done)
    if done.copy == "loosen":
        copy = next(key for key in before if key.startswith(f"{ANA} iam-ledger-"))
        spoilt[copy] = before[copy]
    if done.first == "loosen" and done.second is None:
        first = min(arn for arn in before if arn.endswith("-p1"))
        spoilt[first] = before[first]
    assert after == spoilt
