"""Laws of the worker, over random directories one after another, on a real ledger and the fake AWS.

Failure 1 of others: an earlier window's end removed access that a later one needed.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from ledger.codec import instant_text
from ledger.model import Principal, parse_principal
from tests.support.builders import Entry, Files, at, directory, policy
from tests.support.stage import PROD, Stage
from worker.deciding.plan import plan

STEP = timedelta(minutes=20)
"""Every window begins and ends at a whole number of these after the first ingest."""

STEPS = 15
INGESTS = (0, 3, 6)
"""At which steps people change the directory."""

STORIES = settings(
    deadline=None,
    max_examples=10,
    suppress_health_check=[HealthCheck.too_slow],
    # A story takes half a second: making a failing one smaller would take minutes.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)

PRINCIPALS = ("user/ana", "user/bob", "role/ci")
POLICIES = ("p0", "p1", "own", "wide", "guarded")
"""Of statements; of AWS's own; of AWS's own, too large for one document; that no date can end."""

FULL = [f"rds:{'x' * 900}{number}" for number in range(13)]
"""With these a copy takes two documents, and fits no user nor role inline."""


@dataclass(frozen=True)
class Line:
    """One line: a principal, a policy, and when; no end is permanent access."""

    principal: str
    policy: str
    start: int
    end: int | None

    def covers(self, instant: datetime) -> bool:
        if self.end is None:
            return True
        return at(0) + self.start * STEP <= instant < at(0) + self.end * STEP

    def entry(self) -> Entry:
        kind, _, name = self.principal.partition("/")
        common = {"description": "x", "environment": "prod", "grant": self.policy, kind: name}
        if self.end is None:
            return common
        return {
            **common,
            "starts_at": instant_text(at(0) + self.start * STEP),
            "expires_at": instant_text(at(0) + self.end * STEP),
        }


@st.composite
def lines(draw: st.DrawFn) -> Line:
    start = draw(st.integers(0, STEPS - 1))
    end = draw(st.none() | st.integers(start + 1, STEPS))
    return Line(draw(st.sampled_from(PRINCIPALS)), draw(st.sampled_from(POLICIES)), start, end)


declared = st.lists(lines(), max_size=6)


def action(name: str) -> str:
    return f"s3:{name}"


def files(found: Sequence[Line], own: str) -> Files:
    policies: dict[str, Any] = {
        "own": {"managed_policies": [own]},
        "wide": {"managed_policies": [own.replace("Own", "Wide")]},
        "guarded": {"managed_policies": [own.replace("Own", "Guarded")], "enforcement": "daemon"},
    }
    for name in ("p0", "p1"):
        statement = {"effect": "Allow", "actions": [action(name)], "resources": ["*"]}
        policies[name] = policy(custom_statements=[statement])
    return directory(
        accounts={"prod": PROD},
        policies=policies,
        windows=[line.entry() for line in found if line.end is not None],
        standing=[line.entry() for line in found if line.end is None],
    )


def document(*actions: str, deny: str | None = None) -> str:
    statements = [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]
    if deny is not None:
        statements.append({"Effect": "Deny", "Action": [deny], "Resource": "*"})
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


async def live_through(stage: Stage, directories: Sequence[Sequence[Line]]) -> None:
    """Ingests them one after the other while a worker runs, then lets all windows end."""
    own = stage.aws.publish("Own", document(action("own")))
    stage.aws.publish("Wide", document(action("wide"), *FULL))
    stage.aws.publish("Guarded", document(action("guarded"), deny="s3:DeleteBucket"))
    stage.process()
    for step, found in zip(INGESTS, directories, strict=True):
        await stage.advance_to(at(0) + step * STEP)
        await stage.ingest(files(found, own))
        await stage.advance(seconds=4)
        await nothing_outstanding(stage)
    await stage.advance_to(at(0) + (STEPS + 1) * STEP)
    await nothing_outstanding(stage)


async def nothing_outstanding(stage: Stage) -> None:
    """Plan until empty: what was carried out is not planned again."""
    (process,) = stage.processes
    view = await process.door.read_account(PROD)
    work = plan(view, stage.clock.now(), retry_refused=True)
    assert not work, work
    held = {principal: (set[str](), set[str]()) for principal in PRINCIPALS}
    for row in view.rows:
        inline, attached = held[row.grant.principal.key]
        inline |= {made.name for made in row.made if made.kind == "inline"}
        attached |= {made.name for made in row.made if made.kind != "inline"}
    for text, (inline, attached) in held.items():
        principal = parse_principal(text)
        assert set(stage.inline(principal)) == inline
        assert stage.attached(principal) == attached
    parts = {each.name for row in view.rows for each in row.made if each.kind == "policy"}
    names = {arn.rpartition("/")[2] for arn in parts}
    assert {name for name in stage.policies() if name.startswith("iam-ledger-")} == names


def access(stage: Stage, principal: Principal, name: str, instant: datetime) -> bool:
    return stage.aws.allows(PROD, principal, action(name), instant)


def meant(directories: Sequence[Sequence[Line]], who: str, name: str, instant: datetime) -> bool:
    """What the directory in force at `instant` says."""
    steps = (instant - at(0)) / STEP
    found = [lines for step, lines in zip(INGESTS, directories, strict=True) if step <= steps][-1]
    return any(
        line.principal == who and line.policy == name and line.covers(instant) for line in found
    )


@STORIES
@given(st.tuples(declared, declared, declared))
@example(
    (
        [Line("role/ci", "own", 5, 14), Line("role/ci", "own", 0, None)],
        [Line("role/ci", "own", 4, 8)],
        [Line("role/ci", "own", 5, 14), Line("role/ci", "own", 0, None)],
    )
)
def test_access_at_an_instant_is_what_the_directory_in_force_says_of_it(
    directories: tuple[list[Line], list[Line], list[Line]],
) -> None:
    """Between two changes exactly that; at each end to the microsecond; nothing outstanding."""

    async def play() -> None:
        stage = Stage.empty(Path(folder))
        try:
            stage.people(*PRINCIPALS)
            await live_through(stage, directories)
            for step in range(STEPS + 1):
                for late in (timedelta(seconds=5), STEP - timedelta(microseconds=1)):
                    instant = at(0) + step * STEP + late
                    for who in PRINCIPALS:
                        for name in POLICIES:
                            is_so = access(stage, parse_principal(who), name, instant)
                            should = meant(directories, who, name, instant)
                            assert is_so == should, (who, name, instant)
            await stage.verified()
        finally:
            await stage.close()

    with TemporaryDirectory() as folder:
        asyncio.run(play())


@STORIES
@given(st.lists(st.tuples(st.integers(0, 13), st.integers(1, 6)), min_size=2, max_size=8))
def test_windows_never_cut_each_other_however_they_lie(windows: list[tuple[int, int]]) -> None:
    """Overlapping, touching, nested: access is their union, without an instant too few or many."""
    found = [Line("user/ana", "p0", start, start + length) for start, length in windows]

    async def play() -> None:
        stage = Stage.empty(Path(folder))
        try:
            stage.people(*PRINCIPALS)
            stage.process()
            await stage.ingest(files(found, "arn:aws:iam::aws:policy/Own"))
            await stage.advance_to(at(0) + 21 * STEP)
            intervals = stage.aws.intervals(PROD, parse_principal("user/ana"), action("p0"))
            covered = sorted(
                {step for start, length in windows for step in range(start, start + length)}
            )
            wanted: list[list[datetime]] = []
            for step in covered:
                begin, end = at(0) + step * STEP, at(0) + (step + 1) * STEP
                if wanted and wanted[-1][1] == begin:
                    wanted[-1][1] = end
                else:
                    wanted.append([begin, end])
            assert [end for _, end in intervals] == [end for _, end in wanted]
            for (begin, _), (meant_begin, _) in zip(intervals, wanted, strict=True):
                slack = timedelta(seconds=5) if meant_begin == at(0) else timedelta(0)
                assert meant_begin <= begin <= meant_begin + slack
            assert stage.inline(parse_principal("user/ana")) == {}
        finally:
            await stage.close()

    with TemporaryDirectory() as folder:
        asyncio.run(play())
