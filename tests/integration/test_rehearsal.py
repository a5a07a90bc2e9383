"""`plan --aws` below its command: what is rehearsed is what the worker then does, call by call."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from cli.rehearsals import Told, text_of
from cli.rehearsing import Rehearsed
from ledger.account_words import AccountWords
from ledger.model import parse_principal
from ledger.store.views import read_account
from tests.support.builders import Files, at, directory, permanent, policy, temporary
from tests.support.rehearsing import foreseen, rehearse, said
from tests.support.stage import ANA, DEV, PROD, Stage
from worker.rehearsing.rehearsed import Room, Step

OURS = f"arn:aws:iam::{PROD}:policy/iam-ledger/"

DENYING = "arn:aws:iam::aws:policy/Denying"
LARGE = policy(
    custom_statements=[
        {
            "effect": "Allow",
            "actions": [f"s3:Get{n}"],
            "resources": [f"arn:aws:s3:::{'x' * 200}{n}"],
        }
        for n in range(40)
    ]
)


def allowing(*actions: str) -> dict[str, object]:
    statement = {"effect": "Allow", "actions": list(actions), "resources": ["*"]}
    return policy(custom_statements=[statement])


@dataclass(frozen=True)
class Scene:
    """What was ingested and carried out, what happened since, and what is to be ingested now."""

    now: Files
    before: Files | None = None
    since: Callable[[Stage], None] = lambda _: None
    first: Callable[[Stage], None] = lambda _: None
    """What somebody did before us."""


def _foreign(sid: str) -> str:
    statement = {"Sid": sid, "Effect": "Allow", "Action": "sns:Publish", "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _a_foreigner_and_no_room(stage: Stage) -> None:
    iam = stage.aws.iam(PROD)
    iam.create_policy("Payments-Look", "/", _foreign("a"), {})
    iam.put_inline(ANA, "somebody-elses", _foreign("y" * 1_900))
    _no_slots(stage)


def _no_slots(stage: Stage) -> None:
    iam = stage.aws.iam(PROD)
    for number in range(10):
        iam.attach(ANA, iam.create_policy(f"theirs-{number}", "/", _foreign("c"), {}) or "")


def _attached_before(stage: Stage) -> None:
    stage.aws.iam(PROD).attach(ANA, DENYING)


def _nothing(_stage: Stage) -> None:
    pass


def _by_hand(stage: Stage) -> None:
    stage.aws.iam(PROD).detach(ANA, f"{OURS}payments-look")


def _five_versions(stage: Stage) -> None:
    for number in range(4):
        stage.aws.iam(PROD).create_version(f"{OURS}payments-look", _foreign(f"v{number}"))


LOOKING = directory(standing=[permanent("ana", "bob", roles=["ci"], groups=["devs"])])
FIXING = directory(windows=[temporary(expires_at=at(3)), temporary("bob", expires_at=at(20))])
CHANGED = {"look": allowing("s3:ListBucket"), "fix": allowing("sqs:*")}

SCENES = {
    "the first day": Scene(
        directory(
            standing=[permanent("ana", roles=["ci"], groups=["devs"])],
            windows=[temporary(expires_at=at(3)), temporary(environment="dev", duration="1h")],
        )
    ),
    "lines and a policy taken out": Scene(
        directory(policies={"fix": policy()}, windows=[temporary(expires_at=at(3))]), LOOKING
    ),
    "policies with other content": Scene(
        directory(policies=CHANGED, standing=[permanent("ana", "bob")]), LOOKING
    ),
    "a copy under a policy with other content": Scene(
        directory(policies=CHANGED, windows=[temporary(expires_at=at(3))]), FIXING
    ),
    "another account for an environment": Scene(
        directory(accounts={"prod": DEV}, windows=[temporary(expires_at=at(3))]), FIXING
    ),
    "a fifth version": Scene(
        directory(policies=CHANGED, standing=[permanent("ana")]), LOOKING, _five_versions
    ),
    "what does not fit, is foreign, or is nobody": Scene(
        directory(
            policies={"look": policy(), "fix": policy()},
            standing=[permanent("ana")],
            windows=[temporary(expires_at=at(3)), temporary("zoe", expires_at=at(3))],
        ),
        since=_a_foreigner_and_no_room,
    ),
    "what somebody took away by hand": Scene(LOOKING, LOOKING, _by_hand),
    "what takes several policies, and what only the worker ends": Scene(
        directory(
            policies={
                "fix": LARGE,
                "odd": policy(managed_policies=[DENYING], enforcement="daemon"),
            },
            windows=[temporary(expires_at=at(3)), temporary("bob", grant="odd", expires_at=at(3))],
        )
    ),
    "the end of what takes several policies": Scene(
        directory(policies={"fix": LARGE}),
        directory(policies={"fix": LARGE}, windows=[temporary(expires_at=at(3))]),
    ),
    "what does not fit any more": Scene(
        directory(policies={"fix": LARGE}, windows=[temporary(expires_at=at(3))]),
        directory(policies={"fix": policy()}, windows=[temporary(expires_at=at(3))]),
        _no_slots,
    ),
    "what stood before us beside ours": Scene(
        directory(policies={"look": policy(managed_policies=[DENYING])}),
        directory(
            policies={"look": policy(managed_policies=[DENYING])}, standing=[permanent("ana")]
        ),
        first=_attached_before,
    ),
}


async def _played(stage: Stage, scene: Scene) -> None:
    """Everything up to the instant at which somebody asks what would happen."""
    deny = {"Effect": "Deny", "Action": "s3:*", "Resource": "*"}
    stage.aws.publish("Denying", json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
    scene.first(stage)
    if scene.before is not None:
        await stage.ingest(scene.before)
        process = stage.process()
        await stage.clock.run(process.once())
        await process.stop()
    scene.since(stage)
    await stage.clock.advance(minutes=5)


async def _check_foreseen(stage: Stage, words: list[AccountWords]) -> None:
    """What was foreseen of the ledger is, to the position, what an ingest has made of it."""
    async with stage.ledger.reading() as connection:
        read = [await read_account(connection, each.account) for each in words]
    # What names the ledger is made with its first event.
    named = [replace(a, ledger_id=b.ledger_id) for a, b in zip(words, read, strict=True)]
    assert [each.view() for each in named] == read


async def _check_requests(stage: Stage, head: int, done: int) -> None:
    """So many changes were made in AWS behind `head`, and evidence names the request of each."""
    events = [item.event for item in (await stage.recorded())[head:]]
    requests = [request for event in events for request in getattr(event, "requests", ())]
    assert len(requests) == len(set(requests)) == done


@pytest.mark.parametrize("name", SCENES)
async def test_what_is_rehearsed_the_worker_then_does_and_records_request_by_request(
    stage: Stage, name: str
) -> None:
    scene = SCENES[name]
    await _played(stage, scene)
    head, writes = len(await stage.recorded()), len(stage.aws.made())

    rehearsed = await rehearse(stage, scene.now)

    assert (len(await stage.recorded()), len(stage.aws.made())) == (head, writes)
    words = await foreseen(stage, scene.now)
    await stage.ingest(scene.now)
    await _check_foreseen(stage, words)
    process = stage.process()
    await stage.clock.run(process.once())
    since = stage.aws.made()[writes:]
    await _check_requests(stage, head, [call.outcome for call in since].count("done"))
    for account, found in rehearsed.items():
        done = [f"{call.operation} {call.about}" for call in since if call.account == account]
        assert [said(step) for step in found.steps] == done, account
    assert set(rehearsed) == set(process.keepers)


async def test_what_cannot_be_done_is_told_with_its_reason_and_fails(stage: Stage) -> None:
    scene = SCENES["what does not fit, is foreign, or is nobody"]
    await _played(stage, scene)
    found = (await rehearse(stage, scene.now))[PROD]
    told = Told(found)
    item = told.item()
    assert told.failed
    calls = [str(row["call"]) for row in told.rows()]
    assert "CreatePolicy (stands)" in calls
    assert told.title().endswith(f": {len(calls) - 1} step" + "s" * (len(calls) != 2)), (
        "what is in the way is no step"
    )
    (refused,), (conflict,), (stuck,) = (
        cast("Any", item[key]) for key in ("refused", "conflicts", "stuck")
    )
    assert (refused["principal"], refused["code"]) == ("ana", "no-room")
    assert "has 0 of 10 attachments left" in refused["message"]
    assert (conflict["policy"], conflict["code"]) == ("look", "conflict")
    assert (stuck["principal"], stuck["code"]) == ("zoe", "NoSuchEntity")


async def test_drift_and_what_stands_already_and_what_is_to_come_are_told_and_fail_nothing(
    stage: Stage,
) -> None:
    arn = stage.aws.publish("ReadOnlyAccess", _foreign("read"))
    policies = {"look": policy(managed_policies=[arn]), "fix": policy()}
    stage.aws.iam(PROD).attach(ANA, arn)
    stage.aws.iam(PROD).put_inline(ANA, "iam-ledger-made-by-hand", _foreign("b"))
    later = temporary(starts_at=at(2), expires_at=at(3))
    files = directory(policies=policies, standing=[permanent("ana")], windows=[later])
    told = Told((await rehearse(stage, files))[PROD])
    item = told.item()
    (stands,), (drift,), (to_come,) = (
        cast("Any", item[key]) for key in ("stands_already", "drift", "later")
    )
    assert (stands["principal"], stands["policy_arn"]) == ("ana", arn)
    assert drift["object"] == "inline user/ana iam-ledger-made-by-hand"
    assert to_come["starts_at"] == "2026-03-02T11:00:00Z"
    assert not told.failed


async def test_a_dead_account_and_one_that_is_too_busy_are_told_and_the_others_are_rehearsed(
    stage: Stage,
) -> None:
    stage.aws.lock(DEV)
    files = directory(
        standing=[permanent("ana")], windows=[temporary(environment="dev", duration="1h")]
    )
    found = await rehearse(stage, files)
    assert [step.call for step in found[PROD].steps].count("AttachUserPolicy") == 1
    dead = found[DEV].error
    assert dead is not None
    assert (dead.code, found[DEV].steps) == ("AccessDenied", ())
    assert (Told(found[PROD]).failed, Told(found[DEV]).failed) == (False, True)

    stage.aws.fail("busy", "observe", account=PROD, at=[1, 2])
    again = await rehearse(stage, files)
    assert (again[PROD].steps, again[PROD].unfinished) == (found[PROD].steps, None)
    stage.aws.fail("busy", "observe", account=PROD)
    unfinished = (await rehearse(stage, files))[PROD].unfinished
    assert unfinished is not None
    assert re.fullmatch(r"AWS did not answer all that was asked: \w+: .+", unfinished)


async def test_each_step_tells_its_size_what_is_left_and_its_class(stage: Stage) -> None:
    stage.aws.iam(PROD).put_inline(ANA, "somebody-elses", _foreign("s"))
    foreign = len(_foreign("s").replace(" ", ""))
    files = directory(standing=[permanent("ana")], windows=[temporary(expires_at=at(3))])
    told = Told((await rehearse(stage, files))[PROD])
    steps = {step["call"]: step for step in cast("Any", told.item()["steps"])}
    put, create = steps["PutUserPolicy"], steps["CreatePolicy"]
    assert put["used"] == put["characters"] + foreign
    assert (put["limit"], put["unit"], put["enforcement"]) == (2_048, "characters", "aws")
    assert (create["used"], create["limit"]) == (create["characters"], 6_144)
    attach = steps["AttachUserPolicy"]
    assert (attach["used"], attach["limit"], attach["unit"]) == (1, 10, "attachments")
    assert [(g["principal"], g["policy"]) for g in put["grants"]] == [("ana", "fix")]
    assert {row["class"] for row in told.rows()} == {None, "aws"}


async def test_no_call_is_broken_over_two_lines_on_a_narrow_screen(stage: Stage) -> None:
    found = (await rehearse(stage, LOOKING))[PROD]
    whose = parse_principal("group/somebody.with-a-long.name")
    calls = ("AttachGroupPolicy", "PutGroupPolicy", "DetachGroupPolicy", "DeletePolicyVersion")
    room = Room(1_024, 2_048, "characters")
    steps = tuple(Step(call, whose, f"{OURS}{'a' * 60}", "done", 157, room) for call in calls)
    told = Rehearsed((replace(found, steps=steps),), 1)
    lines = text_of(told, width=80, color=False).splitlines()
    assert set(calls) <= {line.split(maxsplit=1)[0] for line in lines if line}
    assert {len(line) for line in lines if line.startswith("─")} == {80}


async def test_each_object_has_its_own_class_whatever_else_its_grant_has(stage: Stage) -> None:
    """A copy with its end in it is AWS's to end, though what hangs beside it is the worker's."""
    odd = allowing("s3:GetObject") | {"managed_policies": [DENYING], "enforcement": "daemon"}
    files = directory(policies={"odd": odd}, windows=[temporary(grant="odd", expires_at=at(3))])
    await _played(stage, Scene(files))
    told = Told((await rehearse(stage, files))[PROD])
    found = {str(row["call"]): row["class"] for row in told.rows()}
    assert found == {"CreatePolicy": None, "AttachUserPolicy": "daemon", "PutUserPolicy": "aws"}
    steps = cast("Any", told.item()["steps"])
    assert {each["call"]: each["enforcement"] for each in steps} == found


async def test_what_was_stuck_before_is_told_only_where_it_was_tried_again(stage: Stage) -> None:
    scene = SCENES["what does not fit, is foreign, or is nobody"]
    await _played(stage, replace(scene, before=scene.now, since=_nothing, first=scene.since))
    before = Told((await rehearse(stage, scene.now))[PROD])
    parts = {part.key: len(part.items) for part in before.parts()}
    assert (parts["stuck"], parts["conflicts"], parts["refused"]) == (1, 1, 1), "the same again"
    stage.aws.fail("busy", "observe", account=PROD)
    stage.aws.fail("busy", "read_principal", account=PROD)
    unread = Told((await rehearse(stage, scene.now))[PROD])
    assert unread.failed
    assert {part.key for part in unread.parts()}.isdisjoint({"stuck", "refused"})
