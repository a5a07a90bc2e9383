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

BOB, CLEO, DAN = (parse_principal(f"user/{name}") for name in ("bob", "cleo", "dan"))
READ, LIST, WATCH = "s3:GetObject", "s3:ListBucket", "ec2:DescribeInstances"
WIDE = [f"rds:{'x' * 900}{number}" for number in range(10)]
"""Two documents full."""

DEAD = timedelta(seconds=10)
"""How long a worker that died stays away."""

SLACK = DEAD + timedelta(seconds=5)
"""Its absence, and the calls that are made up for."""

OWN, GUARDED, LARGE = (f"arn:aws:iam::aws:policy/{name}" for name in ("Watch", "Guarded", "Wide"))


def allowing(action: str) -> Entry:
    statement = {"effect": "Allow", "actions": [action], "resources": ["*"]}
    return policy(custom_statements=[statement])


def document(*actions: str, deny: str | None = None) -> str:
    statements = [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]
    if deny is not None:
        statements.append({"Effect": "Deny", "Action": [deny], "Resource": "*"})
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def files(hour: int) -> Files:
    """What people declare from the beginning, after one hour, and after two."""
    policies = {
        "fix": allowing(LIST if hour else READ),
        "watch": {"managed_policies": [OWN]},
        "wide": {"managed_policies": [LARGE]},
        "guarded": {"managed_policies": [GUARDED], "enforcement": "daemon"},
    }
    if hour < 2:
        policies["look"] = allowing(READ)
    return directory(
        accounts={"prod": PROD},
        policies=policies,
        # Made longer by an hour while its policy changes.
        windows=[
            temporary("ana", expires_at=at(3 if hour else 2)),
            temporary("cleo", grant="wide", expires_at=at(2)),
            temporary("dan", grant="guarded", expires_at=at(2)),
        ],
        standing=[permanent("bob", roles=["ci"], groups=["devs"]), permanent("bob", grant="watch")]
        if hour < 2
        else [],
    )


@asynccontextmanager
async def story(folder: Path, begin: Callable[[Process], None]) -> AsyncIterator[Stage]:
    """The whole history; a worker that dies is followed by another a little later."""
    stage = Stage.empty(folder)
    try:
        stage.people("user/ana", "user/bob", "user/cleo", "user/dan", "role/ci", "group/devs")
        stage.aws.publish("Watch", document(WATCH))
        stage.aws.publish("Wide", document(*WIDE))
        # An end that no date could bring.
        stage.aws.publish("Guarded", document(READ, deny="s3:DeleteBucket"))
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
    for action in (WIDE[0], WIDE[-1]):
        assert begins(stage, CLEO, action, 0) == at(2), "AWS ended it"
    assert at(2) <= begins(stage, DAN, READ, 0) <= at(2) + SLACK, "the worker ended it"
    for principal in (ANA, BOB, CLEO, DAN, CI, DEVS):
        assert (stage.inline(principal), stage.attached(principal)) == ({}, set())
    assert stage.policies() == {"payments-fix"}
    for row in await stage.rows():
        assert row.closed is not None
        assert row.trouble is None
    await stage.verified()


CALLS = 45
COMMITS = 25
"""What the history takes when nobody dies."""

WRITES = (
    *(4, 6, 8, 10, 12, 14, 17, 20, 21, 22, 23, 26, 29, 31),
    *(32, 33, 34, 35, 36, 37, 38, 39, 41, 44, 45),
)
"""Which of the calls change something: after any other it is as before it."""

DEATHS = [
    *((number, "crash_before") for number in (1, *(one + 1 for one in WRITES if one < CALLS))),
    *((number, "crash_after") for number in WRITES),
]

EVIDENCE = Counter(
    {
        "written fix 3": 1,
        "written look 7": 1,
        "sighted user/bob False": 1,
        "sighted user/dan False": 1,
        "applied user/ana fix 1 3": 1,
        "applied user/bob look 1 7": 1,
        "applied role/ci look 1 7": 1,
        "applied group/devs look 1 7": 1,
        "applied user/bob watch 1 4": 1,
        "applied user/cleo wide 1 5": 1,
        "applied user/dan guarded 1 6": 1,
        "written fix 27": 1,
        "applied user/ana fix 1 27": 1,
        "removed user/ana fix 1 revoked": 1,
        "removed user/bob look 1 revoked": 1,
        "removed role/ci look 1 revoked": 1,
        "removed group/devs look 1 revoked": 1,
        "removed user/bob watch 1 revoked": 1,
        "removed user/cleo wide 1 expired": 1,
        "removed user/dan guarded 1 expired": 1,
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


@pytest.mark.parametrize(
    ("number", "kind"),
    [*((number, "dies_before") for number in range(1, COMMITS + 1)), (COMMITS, "dies_after")],
)
async def test_a_death_around_any_commit_changes_nothing_in_the_end(
    tmp_path: Path, kind: str, number: int
) -> None:
    """After one it is as before the next, or as before the call that follows."""
    async with story(tmp_path, lambda process: setattr(process.ledger, kind, number)) as stage:
        assert stage.deaths == 1
        await converged(stage)
        assert await evidence(stage) == EVIDENCE
