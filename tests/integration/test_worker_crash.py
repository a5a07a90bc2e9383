"""Killed anywhere and started again, the worker converges: nothing lost, nothing doubled.

One small history with every kind of step. It is played once to count AWS's calls and the ledger's
commits, then once for every place at which the process can die.
"""

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from ledger.events import Applied, Left, PolicyDeleted, PolicyWritten, Removed, Sighted, Stuck
from ledger.model import Principal, parse_principal
from tests.support.builders import Entry, Files, at, directory, permanent, policy, temporary
from tests.support.fake_aws.faults import FaultKind
from tests.support.stage import ANA, CI, DEVS, PROD, Process, Stage

BOB = parse_principal("user/bob")
READ, LIST, WATCH = "s3:GetObject", "s3:ListBucket", "ec2:DescribeInstances"
DEAD = timedelta(seconds=10)
"""How long a worker that died stays away."""

SLACK = DEAD + timedelta(seconds=5)
"""Its absence, and the calls that are made up for."""

OWN = "arn:aws:iam::aws:policy/Watch"


def allowing(action: str) -> Entry:
    statement = {"effect": "Allow", "actions": [action], "resources": ["*"]}
    return policy(custom_statements=[statement])


def files(hour: int) -> Files:
    """What people declare from the beginning, after one hour, and after two."""
    policies = {"fix": allowing(LIST if hour else READ), "watch": {"managed_policies": [OWN]}}
    if hour < 2:
        policies["look"] = allowing(READ)
    return directory(
        accounts={"prod": PROD},
        policies=policies,
        # Made longer by an hour while its policy changes.
        windows=[temporary("ana", expires_at=at(3 if hour else 2))],
        standing=[permanent("bob", roles=["ci"], groups=["devs"]), permanent("bob", grant="watch")]
        if hour < 2
        else [],
    )


@asynccontextmanager
async def story(folder: Path, begin: Callable[[Process], None]) -> AsyncIterator[Stage]:
    """The whole history; a worker that dies is followed by another a little later."""
    stage = Stage.empty(folder)
    try:
        stage.people("user/ana", "user/bob", "role/ci", "group/devs")
        statement = {"Effect": "Allow", "Action": WATCH, "Resource": "*"}
        stage.aws.publish("Watch", json.dumps({"Version": "2012-10-17", "Statement": statement}))
        begin(stage.process())
        for hour in (0, 1, 2):
            await to(stage, at(hour))
            await stage.ingest(files(hour))
        await to(stage, at(4))
        yield stage
    finally:
        await stage.close()


async def to(stage: Stage, instant: datetime) -> None:
    """Goes to `instant`, wake by wake, and buries whoever dies on the way."""
    while True:
        await stage.clock.settle()
        for process in [process for process in stage.processes if process.dead]:
            await process.stop()
            await stage.advance_to(stage.clock.now() + DEAD)
            await stage.process().run()
        if stage.clock.now() >= instant:
            return
        await stage.advance_to(min(stage.clock.next_wake or instant, instant))


async def evidence(stage: Stage) -> Counter[str]:
    """What the worker recorded, by what it is about and not by when it was."""
    found: Counter[str] = Counter()
    for item in await stage.recorded():
        match item.event:
            case Applied(grant=grant, policy_position=position):
                found[f"applied {grant.principal} {grant.policy} {grant.turn} {position}"] += 1
            case Removed(grant=grant, cause=cause):
                found[f"removed {grant.principal} {grant.policy} {grant.turn} {cause}"] += 1
            case PolicyWritten(policy=name, policy_position=position):
                found[f"written {name} {position}"] += 1
            case PolicyDeleted(policy=name):
                found[f"deleted {name}"] += 1
            case Sighted(grant=grant, present=present):
                found[f"sighted {grant.principal} {present}"] += 1
            case Left() | Stuck():
                found[f"unwanted {item.event}"] += 1
            case _:
                pass
    return found


def begins(stage: Stage, who: Principal, action: str, hour: float) -> datetime:
    """When the only stretch of that access ended, having begun soon after `hour`."""
    ((start, end),) = stage.aws.intervals(PROD, who, action)
    assert at(hour) <= start <= at(hour) + SLACK, (who, action, start)
    assert end is not None, (who, action)
    return end


async def converged(stage: Stage) -> None:
    """Everything is as if nobody had ever died."""
    assert at(1) <= begins(stage, ANA, READ, 0) <= at(1) + SLACK
    assert begins(stage, ANA, LIST, 1) == at(3)
    for principal in (BOB, CI, DEVS):
        assert at(2) <= begins(stage, principal, READ, 0) <= at(2) + SLACK
    assert at(2) <= begins(stage, BOB, WATCH, 0) <= at(2) + SLACK
    for principal in (ANA, BOB, CI, DEVS):
        assert (stage.inline(principal), stage.attached(principal)) == ({}, set())
    assert stage.policies() == {"payments-fix"}
    for row in await stage.rows():
        assert row.closed is not None
        assert row.trouble is None
    await stage.verified()


CALLS = 29
COMMITS = 18
"""What the history takes when nobody dies."""

WRITES = (3, 5, 7, 9, 11, 13, 16, 19, 21, 22, 23, 24, 25, 28, 29)
"""Which of the calls change something: after any other it is as before the next one."""

DEATHS = [
    *((number, "crash_before") for number in range(1, CALLS + 1)),
    *((number, "crash_after") for number in WRITES),
]

EVIDENCE = Counter(
    {
        "written fix 3": 1,
        "written look 5": 1,
        "sighted user/bob False": 1,
        "applied user/ana fix 1 3": 1,
        "applied user/bob look 1 5": 1,
        "applied role/ci look 1 5": 1,
        "applied group/devs look 1 5": 1,
        "applied user/bob watch 1 4": 1,
        "written fix 20": 1,
        "applied user/ana fix 1 20": 1,
        "removed user/ana fix 1 revoked": 1,
        "removed user/bob look 1 revoked": 1,
        "removed role/ci look 1 revoked": 1,
        "removed group/devs look 1 revoked": 1,
        "removed user/bob watch 1 revoked": 1,
        "deleted look": 1,
        "removed user/ana fix 1 expired": 1,
    }
)


async def test_nobody_dies(tmp_path: Path) -> None:
    """The history itself: what the others are held against, and how many of them there must be."""
    async with story(tmp_path, lambda _: None) as stage:
        await converged(stage)
        assert await evidence(stage) == EVIDENCE
        (process,) = stage.processes
        assert (len(stage.aws.calls), process.ledger.commits) == (CALLS, COMMITS)
        calls = enumerate(stage.aws.calls, 1)
        assert tuple(number for number, call in calls if call.writes) == WRITES


@pytest.mark.parametrize(("number", "kind"), DEATHS)
async def test_a_death_around_any_call_changes_nothing_in_the_end(
    tmp_path: Path, number: int, kind: FaultKind
) -> None:
    def begin(process: Process) -> None:
        process.stage.aws.fail(kind, at=number)

    async with story(tmp_path, begin) as stage:
        assert stage.deaths == 1
        await converged(stage)
        assert await evidence(stage) == EVIDENCE


@pytest.mark.parametrize("number", range(1, COMMITS + 1))
@pytest.mark.parametrize("kind", ["dies_before", "dies_after"])
async def test_a_death_around_any_commit_changes_nothing_in_the_end(
    tmp_path: Path, kind: str, number: int
) -> None:
    async with story(tmp_path, lambda process: setattr(process.ledger, kind, number)) as stage:
        assert stage.deaths == 1
        await converged(stage)
        assert await evidence(stage) == EVIDENCE
