"""AWS at its strictest: late reads, late knowledge, throttling, another clock. The laws hold.

What the worker did stands at once; that IAM shows it late must not make it lose, keep or repeat.
"""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ledger.events import Applied, DriftFound, PolicyDeleted, Refused, Removed, Sighted, Stuck
from ledger.model import Principal, parse_principal
from tests.support.builders import at, directory, permanent, policy, temporary
from tests.support.fake_aws.faults import FaultKind
from tests.support.fake_aws.strict import Rate, Strictness
from tests.support.stage import ANA, CI, DEV, PROD, Stage

READ = "s3:GetObject"
LAG = timedelta(seconds=60)
LATE = Strictness(lag=LAG, unknown_for=timedelta(seconds=10), page_items=3)
BOB = parse_principal("user/bob")
OWN = "arn:aws:iam::aws:policy/Own"

GIVEN: dict[str, Any] = {
    "accounts": {"prod": PROD},
    "policies": {"look": policy(), "fix": policy(), "own": {"managed_policies": [OWN]}},
    "windows": [temporary("ana", expires_at=at(4))],
    "standing": [permanent("bob"), permanent("cid", roles=["ci"], grant="own")],
}
"""Access by an inline policy, by an attachment of ours, and by one of AWS's own."""

WITHOUT = {**GIVEN, "windows": [], "standing": []}
EVERYBODY = (ANA, BOB, CI)


@pytest.fixture
async def late(stage: Stage) -> Stage:
    """A stage on which IAM shows a minute late, and knows ten seconds late."""
    statement = {"Effect": "Allow", "Action": READ, "Resource": "*"}
    stage.aws.publish("Own", json.dumps({"Version": "2012-10-17", "Statement": statement}))
    stage.people("user/cid")
    stage.aws.be_strict(LATE)
    return stage


async def begin(stage: Stage, given: dict[str, Any]) -> None:
    """A worker that has carried `given` out long enough ago for everybody to see it."""
    await stage.ingest(directory(**given))
    await stage.start(resync_every=timedelta(seconds=45))
    await stage.advance(minutes=2.2)


def allowing(action: str) -> dict[str, Any]:
    return policy(custom_statements=[{"effect": "Allow", "actions": [action], "resources": ["*"]}])


def allowed(stage: Stage) -> list[bool]:
    return [stage.allows(principal) for principal in EVERYBODY]


async def nothing_imagined(stage: Stage) -> None:
    """IAM's lateness was taken neither for drift nor for trouble, nor told in the ledger at all."""
    assert await stage.kinds(DriftFound, Stuck, Refused) == []
    for row in await stage.rows():
        assert row.trouble is None
    removed = await stage.of(Removed)
    assert len({(event.grant.id, event.grant.turn) for event in removed}) == len(removed)
    assert {event.cause for event in removed} <= {"expired", "revoked"}
    await stage.verified()


def ends(stage: Stage, principal: Principal = ANA, action: str = READ) -> list[Any]:
    return [end for _, end in stage.aws.intervals(PROD, principal, action)]


# --- late reads, late knowledge -------------------------------------------------------------------


async def test_access_of_every_kind_comes_and_goes_on_time_though_iam_shows_it_late(
    late: Stage,
) -> None:
    soon = at(0.06)
    windows = [temporary("ana", expires_at=soon), temporary("bob", expires_at=at(4))]
    given = {**GIVEN, "windows": windows}
    await late.ingest(directory(**given))
    await late.start(resync_every=timedelta(seconds=45))
    await late.advance(seconds=30)
    assert allowed(late) == [True] * 3
    await late.advance_to(soon + timedelta(seconds=2))
    assert late.inline(ANA) == {}
    await late.ingest(directory(**{**WITHOUT, "policies": {"fix": policy()}}))
    await late.settle()
    assert allowed(late) == [False] * 3
    await late.advance(minutes=2.5)
    assert ends(late) == [soon]
    assert late.policies() == {"payments-fix"}
    assert len(await late.of(PolicyDeleted)) == 1
    await nothing_imagined(late)


@pytest.mark.parametrize("apart_s", [3, 30])
async def test_a_line_taken_out_and_put_back_gives_access_though_reads_show_the_old_one(
    late: Stage, apart_s: int
) -> None:
    await begin(late, GIVEN)
    await late.ingest(directory(**WITHOUT))
    await late.advance(seconds=apart_s)
    assert allowed(late) == [False] * 3
    await late.ingest(directory(**GIVEN))
    await late.advance(seconds=2)
    assert allowed(late) == [True] * 3
    await late.advance(minutes=2.5)
    assert allowed(late) == [True] * 3
    await nothing_imagined(late)
    assert not any(seen.present for seen in await late.of(Sighted))
    await late.ingest(directory(**WITHOUT))
    await late.advance(seconds=2)
    assert allowed(late) == [False] * 3, "what is ours is not taken for what stood before us"


@pytest.mark.parametrize("after_s", [3, 15])
async def test_a_line_taken_out_before_iam_knows_what_it_gave_leaves_nothing_behind(
    late: Stage, after_s: int
) -> None:
    await begin(late, WITHOUT)
    await late.ingest(directory(**GIVEN))
    await late.advance(seconds=after_s)
    assert allowed(late) == [True] * 3
    await late.ingest(directory(**WITHOUT))
    await late.advance(seconds=30)
    assert allowed(late) == [False] * 3
    await late.advance(minutes=2.5)
    assert allowed(late) == [False] * 3
    assert all(row.closed is not None for row in await late.rows())
    await nothing_imagined(late)


@pytest.mark.parametrize("kind", ["unanswered_undone", "unanswered_done"])
async def test_a_removal_without_an_answer_is_not_believed_for_a_reading_from_before_the_write(
    late: Stage, kind: FaultKind
) -> None:
    await begin(late, WITHOUT)
    await late.ingest(directory(**GIVEN))
    await late.advance(seconds=15)
    for principal in EVERYBODY:
        for operation in ("detach", "delete_inline"):
            late.aws.fail(kind, operation, about=principal.key, at=1)
    await late.ingest(directory(**WITHOUT))
    for _ in range(16):
        await late.advance(seconds=15)
        gone = {event.grant.principal.key for event in await late.of(Removed)}
        held = {each.key for each in EVERYBODY if late.allows(each)}
        assert not gone & held, "recorded, and not so"
    assert gone >= {each.key for each in EVERYBODY}


async def test_a_policy_changed_and_changed_back_says_what_it_said_first(late: Stage) -> None:
    first, wider = (
        {**GIVEN, "policies": {**GIVEN["policies"], "look": allowing(action)}}
        for action in (READ, "s3:*")
    )
    await begin(late, first)
    for files, widely in ((wider, True), (first, False), (wider, True), (first, False)):
        await late.ingest(directory(**files))
        await late.advance(seconds=12)
        assert late.allows(BOB, "s3:PutObject") is widely
        assert late.allows(BOB)
    await late.advance(minutes=2.5)
    await nothing_imagined(late)


async def test_what_somebody_does_by_hand_is_found_though_pages_are_of_several_instants(
    late: Stage,
) -> None:
    await begin(late, GIVEN)
    (arn,) = late.attached(BOB)
    late.aws.iam(PROD).detach(BOB, arn)
    await late.advance(minutes=2)
    assert await late.of(DriftFound) == [], "two minutes have not passed since it was first seen"
    await late.advance(minutes=3)
    (found,) = await late.of(DriftFound)
    assert (found.drift, "user/bob" in found.object) == ("missing", True)


# --- throttling, and changes at one time ----------------------------------------------------------


async def test_a_small_bucket_of_writes_delays_and_loses_nothing_and_holds_up_no_other_account(
    stage: Stage,
) -> None:
    names = [f"u{number:02}" for number in range(40)]
    stage.people(*(f"user/{name}" for name in names))
    windows = [temporary(name, expires_at=at(1)) for name in names]
    windows.append(temporary("ana", environment="dev", expires_at=at(1)))
    stage.aws.be_strict(Strictness(reads=Rate(10, 20), writes=Rate(2, 5)), PROD)
    await stage.ingest(directory(windows=windows))
    await stage.start()
    await stage.advance(seconds=60)
    assert len(await stage.of(Applied)) == len(windows), "two a second, and little is wasted"
    await stage.advance_to(at(1) + timedelta(seconds=60))
    removed = await stage.of(Removed)
    assert len({event.grant.id for event in removed}) == len(removed) == len(windows)
    assert [e.lateness_us < 1_000_000 for e in removed if e.grant.account == DEV] == [True]
    for row in await stage.rows():
        assert stage.inline(row.grant.principal, row.grant.account) == {}
        told = stage.aws.intervals(row.grant.account, row.grant.principal, READ)
        assert [end for _, end in told] == [at(1)], "AWS ends it itself, whatever is throttled"
    asked = [call for call in stage.aws.made("delete_inline", account=PROD) if call.at >= at(1)]
    assert len(asked) < 2 * len(names), "and AWS is not hammered for it"
    await stage.verified()


async def test_an_end_that_comes_while_many_additions_keep_to_the_pace_is_kept_between_them(
    stage: Stage,
) -> None:
    names = [f"u{number:02}" for number in range(40)]
    stage.people(*(f"user/{name}" for name in names))
    begins, ends_at = at(1) - timedelta(seconds=2), at(1)
    mine = temporary("ana", expires_at=ends_at)
    await stage.ingest(directory(windows=[mine]))
    await stage.start()
    await stage.advance_to(begins)
    await stage.ingest(
        directory(windows=[mine, *(temporary(name, expires_at=at(4)) for name in names)])
    )
    await stage.advance_to(at(1) + timedelta(seconds=30))
    applied = sorted(event.confirmed_at for event in await stage.of(Applied))
    (removed,) = await stage.of(Removed)
    assert len(applied) == len(names) + 1
    assert applied[-1] > ends_at + timedelta(seconds=2), "additions go on after the end"
    assert removed.lateness_us < 2_500_000


async def test_two_workers_who_are_told_that_another_is_changing_it_do_the_work_of_one(
    stage: Stage,
) -> None:
    stage.aws.be_strict(Strictness(exclusive_for=timedelta(milliseconds=100)))
    for process in (stage.process(), stage.process()):
        await process.run()
    await stage.ingest(directory(standing=[permanent("ana", "bob", roles=["ci"])]))
    await stage.advance(minutes=1)
    outcomes = {call.outcome for call in stage.aws.calls}
    assert "ConcurrentModification" in outcomes
    assert stage.allows(ANA)
    assert stage.allows(CI)
    assert await stage.kinds(Stuck, Refused) == []
    await stage.ingest(directory())
    await stage.advance(minutes=2.2)
    assert stage.attached(ANA) | stage.attached(CI) == set()
    assert all(row.closed is not None for row in await stage.rows())
    await stage.verified()


# --- another clock --------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead_s", [-20, 20])
async def test_ends_are_awss_own_though_the_machines_clock_is_off(
    stage: Stage, ahead_s: int
) -> None:
    stage.aws.ahead = timedelta(seconds=ahead_s)
    await stage.ingest(directory(windows=[temporary("ana", expires_at=at(1))]))
    process = stage.process()
    process.gate.measure()
    await process.run()
    await stage.advance_to(at(1.5))
    (removed,) = await stage.of(Removed)
    (deleted,) = stage.aws.made("delete_inline")
    by_aws = deleted.at + stage.aws.ahead
    assert at(1) <= by_aws <= at(1) + timedelta(seconds=2)
    assert ends(stage) == [at(1) - stage.aws.ahead]
    assert removed.cause == "expired"


async def test_with_a_clock_that_signs_nothing_nothing_is_done_and_all_of_it_once_it_is_right(
    stage: Stage,
) -> None:
    stage.aws.ahead = timedelta(minutes=7)
    await stage.ingest(directory(windows=[temporary("ana", expires_at=at(1))]))
    process = stage.process()
    process.gate.measure()
    await process.run()
    await stage.advance(minutes=2.2)
    assert stage.inline(ANA) == {}
    assert {call.outcome for call in stage.aws.calls} == {"SignatureDoesNotMatch"}
    stage.aws.ahead = timedelta(0)
    await stage.advance(minutes=2)
    assert len(stage.inline(ANA)) == 1, "within a minute of its being right"


async def test_a_worker_that_begins_anew_does_not_take_late_knowledge_for_a_removal(
    late: Stage,
) -> None:
    """IAM does not know yet what the one before it wrote five seconds ago, and is asked again."""
    await late.ingest(directory(**GIVEN))
    process = await late.start()
    await late.ingest(directory(**WITHOUT))
    await process.stop()
    assert late.allows(ANA)
    await late.start()
    await late.advance(seconds=20)
    assert not late.allows(ANA)
    assert late.inline(ANA) == {}
    await late.verified()


async def test_what_iam_may_not_know_yet_holds_nothing_else_up(late: Stage) -> None:
    """Four removals wait for it, and somebody else is given access all the same."""
    names = ("one", "two", "three", "four")
    policies = {name: policy() for name in names} | {"own": {"managed_policies": [OWN]}}
    windows = [temporary("ana", grant=name, expires_at=at(4)) for name in names]
    await late.ingest(directory(policies=policies, windows=windows))
    process = await late.start()
    assert len(late.inline(ANA)) == len(names)
    await late.ingest(directory(policies=policies, standing=[permanent("bob", grant="own")]))
    await process.stop()
    await late.start()
    await late.advance(seconds=3)
    assert late.allows(ANA), "nobody has taken `not there` for an answer"
    assert late.allows(BOB)
    await late.advance(seconds=20)
    assert late.inline(ANA) == {}
    await late.verified()


# --- made anew ------------------------------------------------------------------------------------


async def test_a_role_made_anew_gets_its_access_when_iam_lets_it_be_changed_and_a_user_does_not(
    late: Stage,
) -> None:
    await begin(late, GIVEN)
    late.aws.be_strict(replace(LATE, unmodifiable_for=timedelta(seconds=90)))
    iam = late.aws.iam(PROD)
    for principal in (BOB, CI):
        iam.recreate(principal)
    await late.advance(minutes=6)
    assert allowed(late) == [True, False, True]
    outcomes = [call.outcome for call in late.aws.made("attach") if "role/ci" in call.about]
    assert outcomes[-1] == "done"
    bob = next(row for row in await late.rows() if row.grant.principal.key == BOB.key)
    assert bob.trouble is not None
    assert bob.trouble.kind == "missing"
    await late.verified()
