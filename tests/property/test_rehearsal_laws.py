"""A rehearsal is the worker's next pass, call by call, whatever was declared and done by hand."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.property.test_worker_laws import (
    FULL,
    PRINCIPALS,
    STEP,
    Line,
    action,
    declared,
    document,
    files,
)
from tests.support.builders import at
from tests.support.rehearsing import rehearse, said
from tests.support.stage import PROD, Stage

INGESTS = (0, 4, 9, 20)
"""At which steps people ingest and a worker runs once; at the last nothing is declared."""

STORIES = settings(
    deadline=None,
    max_examples=2 if getattr(settings.default, "derandomize", True) else 40,  # a second each
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)

LARGE = [f"x:{'y' * 90}{number}" for number in range(15)]
"""With these hardly anything else fits inline on a user."""


def by_hand(stage: Stage, random: Random) -> None:
    """Somebody takes away, rewrites and adds, here and there."""
    iam = stage.aws.iam(PROD)
    for entity in list(iam.entities.values()):
        who = entity.principal
        for name in list(entity.inline):
            fate = random.random()
            if fate < 0.15:
                iam.delete_inline(who, name)
            elif fate < 0.3:
                iam.put_inline(who, name, document("s3:Foreign"))
        for arn in list(entity.attached):
            if random.random() < 0.2:
                iam.detach(who, arn)
        if random.random() < 0.1:
            iam.put_inline(who, "iam-ledger-strange", document("s3:Foreign"))
        if random.random() < 0.1:
            iam.put_inline(who, "large", document(*LARGE))
        if iam.policies and random.random() < 0.1:
            iam.attach(who, next(iter(iam.policies.values())).arn)


@STORIES
@given(
    st.tuples(declared, declared, declared),
    st.integers(0, 10**6),
    st.sampled_from(["warn", "repair"]),
)
def test_what_is_rehearsed_is_what_the_next_pass_does(
    directories: tuple[list[Line], list[Line], list[Line]], seed: int, drift: str
) -> None:
    async def play(folder: str) -> None:
        stage, random = Stage.empty(Path(folder)), Random(seed)  # noqa: S311  a world, no secret
        try:
            stage.people(*PRINCIPALS)
            await live_through(stage, (*directories, []), random, drift)
        finally:
            await stage.close()

    with TemporaryDirectory() as folder:
        asyncio.run(play(folder))


async def live_through(
    stage: Stage, directories: Sequence[Sequence[Line]], random: Random, drift: str
) -> None:
    own = stage.aws.publish("Own", document(action("own")))
    stage.aws.publish("Wide", document(action("wide"), *FULL))
    stage.aws.publish("Guarded", document(action("guarded"), deny="s3:DeleteBucket"))
    for step, found in zip(INGESTS, directories, strict=True):
        await stage.advance_to(at(0) + step * STEP)
        asked = files(found, own)
        asked["iam-ledger.yaml"] = json.dumps({"settings": {"drift": drift}}).encode()
        before = len(stage.aws.made())
        rehearsed = await rehearse(stage, asked)
        assert len(stage.aws.made()) == before, "a rehearsal wrote"
        await stage.ingest(asked)
        process = stage.process()
        await stage.clock.run(process.once())
        await process.stop()
        done = [f"{call.operation} {call.about}" for call in stage.aws.made()[before:]]
        assert [said(step) for step in rehearsed[PROD].steps] == done
        by_hand(stage, random)
