"""Answers that never come, throttling, closed accounts, no database: nothing is lost or doubled."""

import json
from datetime import timedelta

import pytest

from ledger.events import Applied, PolicyWritten, Removed, Sighted, Stuck, Unstuck
from tests.support.builders import at, directory, permanent, policy, temporary
from tests.support.fake_aws.faults import FaultKind
from tests.support.stage import ANA, DEV, PROD, ROLE, Stage

READ = "s3:GetObject"
WINDOW = temporary("ana", expires_at=at(4))
MINUTE = timedelta(minutes=1)
BATCH = 5


# --- answers that never came ----------------------------------------------------------------------


async def test_a_copy_whose_answer_got_lost_is_read_back_and_not_written_twice(
    stage: Stage,
) -> None:
    stage.aws.fail("unanswered_done", "put_inline", at=1)
    await stage.ingest(directory(windows=[WINDOW]))
    await stage.start()
    assert len(stage.aws.made("put_inline")) == 1
    kinds = [call.operation for call in stage.aws.calls if "user/ana" in call.about]
    assert kinds == ["read_principal", "put_inline", "read_principal"]
    (applied,) = await stage.of(Applied)
    assert applied.requests == ()


async def test_a_copy_that_was_never_made_is_not_believed(stage: Stage) -> None:
    """Failure 4: an answer that never came says nothing."""
    stage.aws.fail("unanswered_undone", "put_inline", at=1)
    await stage.ingest(directory(windows=[WINDOW]))
    await stage.start()
    assert await stage.of(Applied) == []
    assert stage.inline(ANA) == {}
    await stage.advance(seconds=5)
    assert len(stage.inline(ANA)) == 1
    assert len(await stage.of(Applied)) == 1


@pytest.mark.parametrize("kind", ["unanswered_done", "unanswered_undone", "busy"])
async def test_a_removal_is_recorded_only_when_it_is_so(stage: Stage, kind: FaultKind) -> None:
    stage.aws.fail(kind, "delete_inline", at=1)
    recorded_while_standing = []
    await stage.ingest(directory(windows=[WINDOW]))
    await stage.start()
    await stage.advance_to(at(4))
    for _ in range(40):
        await stage.advance(milliseconds=100)
        if stage.inline(ANA) and await stage.of(Removed):
            recorded_while_standing.append(stage.clock.now())
    assert recorded_while_standing == []
    (removed,) = await stage.of(Removed)
    assert stage.inline(ANA) == {}
    assert removed.lateness_us < 3_000_000
    assert len(stage.aws.made("delete_inline")) == (1 if kind == "unanswered_done" else 2)


@pytest.mark.parametrize("kind", ["unanswered_done", "unanswered_undone", "busy"])
@pytest.mark.parametrize(
    "operation", ["create_policy", "attach", "create_policy_version", "detach", "delete_policy"]
)
async def test_permanent_access_comes_and_goes_whatever_answer_gets_lost(
    stage: Stage, kind: FaultKind, operation: str
) -> None:
    fault = stage.aws.fail(kind, operation, account=PROD, at=1)
    await stage.ingest(directory(policies={"look": policy()}, standing=[permanent("ana")]))
    await stage.start()
    await stage.advance(minutes=3)
    assert stage.allows()
    narrower = {"effect": "Allow", "actions": ["s3:ListBucket"], "resources": ["*"]}
    changed = {"look": policy(custom_statements=[narrower])}
    await stage.ingest(directory(policies=changed, standing=[permanent("ana")]))
    await stage.advance(seconds=10)
    assert (stage.allows(), stage.allows(action="s3:ListBucket")) == (False, True)
    await stage.ingest(directory(policies={"fix": policy()}))
    await stage.advance(seconds=10)
    assert stage.attached(ANA) == set()
    assert stage.policies() == {"payments-fix"}
    assert fault.struck == 1
    written = [event for event in await stage.of(PolicyWritten) if event.account == PROD]
    assert len(written) == 3
    assert len(await stage.of(Applied)) == 2
    assert len(await stage.of(Removed)) == 1
    await stage.verified()


@pytest.mark.parametrize("position", range(1, BATCH + 1))
@pytest.mark.parametrize("kind", ["busy", "unanswered_done", "unanswered_undone", "refused"])
async def test_none_of_a_batch_is_lost_or_doubled_wherever_it_fails(
    stage: Stage, position: int, kind: FaultKind
) -> None:
    """Failure 3: nine of ten were dropped, with success returned."""
    names = [f"u{number}" for number in range(BATCH)]
    stage.people(*(f"user/{name}" for name in names))
    windows = [temporary(name, expires_at=at(1)) for name in names]
    stage.aws.fail(kind, "put_inline", at=position)
    stage.aws.fail(kind, "delete_inline", at=position)
    await stage.ingest(directory(windows=windows))
    await stage.start()
    await stage.advance(minutes=2)
    assert len(await stage.of(Applied)) == BATCH
    await stage.advance_to(at(1) + 2 * MINUTE)
    removed = await stage.of(Removed)
    assert len({event.grant.id for event in removed}) == len(removed) == BATCH
    for name, row in zip(names, await stage.rows(), strict=True):
        assert stage.inline(row.grant.principal) == {}
        assert row.grant.principal.name == name
        intervals = stage.aws.intervals(PROD, row.grant.principal, READ)
        assert [end for _, end in intervals] == [at(1)]


# --- throttling -----------------------------------------------------------------------------------


async def test_half_an_hour_of_throttling_loses_nothing_and_is_told(stage: Stage) -> None:
    """Failure 5: retries ran out and access stayed."""
    names = [f"u{number}" for number in range(6)]
    stage.people(*(f"user/{name}" for name in names))
    windows = [temporary(name, expires_at=at(1)) for name in names]
    windows.append(temporary("ana", environment="dev", expires_at=at(1)))
    await stage.ingest(directory(windows=windows))
    await stage.start()
    await stage.advance_to(at(1) - MINUTE)
    fault = stage.aws.fail("busy", account=PROD, until=at(1.5))
    await stage.advance_to(at(1.5))
    assert stage.inline(ANA, DEV) == {}, "the other account is not held up"
    in_dev = [event for event in await stage.of(Removed) if event.grant.account == DEV]
    assert [event.lateness_us < 1_000_000 for event in in_dev] == [True]
    assert not any(stage.allows(row.grant.principal) for row in await stage.rows())
    assert 20 < fault.struck < 500, "neither given up nor hammered"
    stuck = await stage.of(Stuck)
    assert 1 <= len(stuck) <= len(names)
    await stage.advance(minutes=2)
    for row in await stage.rows():
        assert stage.inline(row.grant.principal, row.grant.account) == {}
        assert row.closed is not None
        assert row.trouble is None
    await stage.verified()


async def test_three_steps_that_are_always_busy_hold_up_no_other(stage: Stage) -> None:
    """Law 6: one principal that IAM will not let be changed, beside another whose end has come."""
    policies = {f"p{number}": policy() for number in range(4)}
    windows = [temporary("ana", grant=f"p{number}", expires_at=at(1)) for number in range(4)]
    windows.append(temporary("bob", grant="p0", expires_at=at(1.5)))
    await stage.ingest(directory(policies=policies, windows=windows))
    await stage.start()
    stage.aws.fail("busy", "delete_inline", about="user/ana", code="EntityTemporarilyUnmodifiable")
    await stage.advance_to(at(1.5) + 2 * MINUTE)
    ended = [event for event in await stage.of(Removed) if event.grant.principal.name == "bob"]
    assert len(ended) == 1
    assert len(stage.inline(ANA)) == 4
    stage.aws.heal()
    await stage.advance(minutes=2)
    assert stage.inline(ANA) == {}


async def test_grants_that_are_always_busy_hold_up_no_other_grant(stage: Stage) -> None:
    policies = {f"p{number}": policy() for number in range(4)}
    stage.aws.fail("busy", "put_inline", about="user/ana", code="EntityTemporarilyUnmodifiable")
    windows = [temporary("ana", grant=f"p{number}", expires_at=at(1)) for number in range(4)]
    windows.append(temporary("bob", grant="p0", expires_at=at(1)))
    await stage.ingest(directory(policies=policies, windows=windows))
    await stage.start()
    await stage.advance(minutes=2)
    assert len(await stage.of(Applied)) == 1


# --- refusals -------------------------------------------------------------------------------------


async def test_a_grant_to_somebody_who_does_not_exist_is_told_and_holds_up_nobody(
    stage: Stage,
) -> None:
    windows = [temporary("aaron", expires_at=at(30)), temporary("ana", expires_at=at(30))]
    await stage.ingest(directory(windows=windows))
    await stage.start()
    assert len(stage.inline(ANA)) == 1
    (stuck,) = await stage.of(Stuck)
    assert stuck.code == "NoSuchEntity"
    assert "aaron" in stuck.message
    await stage.advance(hours=3)
    tries = [call for call in stage.aws.made("read_principal") if "aaron" in call.about]
    assert 180 <= len(tries) <= 240, "one call a minute, and never given up"
    assert len(await stage.of(Stuck)) == 1
    stage.people("user/aaron")
    await stage.advance(minutes=1, seconds=1)
    assert len(await stage.of(Applied)) == 2
    assert [row.trouble for row in await stage.rows()] == [None, None]


async def test_a_removal_that_is_refused_is_told_at_once_and_done_when_the_right_is_back(
    stage: Stage,
) -> None:
    await stage.ingest(directory(windows=[WINDOW], standing=[permanent("bob")]))
    await stage.start()
    stage.aws.fail("refused", "delete_inline")
    await stage.advance_to(at(4) + timedelta(seconds=1))
    (stuck,) = await stage.of(Stuck)
    assert stuck.code == "AccessDenied"
    assert stuck.grant is not None
    assert len(stage.inline(ANA)) == 1
    stage.aws.heal()
    await stage.advance(minutes=2)
    assert stage.inline(ANA) == {}
    assert len(await stage.of(Stuck)) == 1


# --- closed accounts ------------------------------------------------------------------------------


async def test_an_account_whose_role_fails_stops_alone_and_no_other_keys_are_tried(
    stage: Stage,
) -> None:
    """Law 11. The seed wrote into the central account with default credentials."""
    stage.aws.lock(PROD)
    windows = [
        temporary("ana", expires_at=at(4)),
        temporary("ana", environment="dev", duration="4h"),
    ]
    await stage.ingest(directory(windows=windows))
    process = await stage.start()
    assert len(stage.inline(ANA, DEV)) == 1
    assert stage.inline(ANA, PROD) == {}
    (stuck,) = await stage.of(Stuck)
    assert (stuck.account, stuck.grant, stuck.policy) == (PROD, None, None)
    assert stuck.code == "AccessDenied"
    await stage.advance(hours=3)
    entered = [call for call in stage.aws.calls if call.account == PROD]
    assert {call.outcome for call in entered} == {"AccessDenied"}
    assert {call.role for call in stage.aws.calls} == {ROLE}
    assert {(entry.account, entry.deployer_role) for entry in process.gate.entered} == {
        (PROD, ROLE),
        (DEV, ROLE),
    }
    assert 180 <= len(entered) <= 240, "one call a minute"
    assert len(await stage.of(Stuck)) == 1

    stage.aws.lock(PROD, role=ROLE)
    await stage.advance(minutes=1, seconds=1)
    assert len(stage.inline(ANA, PROD)) == 1
    assert len(await stage.of(Unstuck)) == 1
    await stage.verified()


# --- the database ---------------------------------------------------------------------------------


async def test_what_was_confirmed_while_the_database_was_away_is_recorded_when_it_is_back(
    stage: Stage,
) -> None:
    await stage.ingest(directory(windows=[WINDOW], standing=[permanent("ana")]))
    process = await stage.start()

    def go_away() -> None:
        process.ledger.out = process.ledger.out or stage.clock.now() >= at(4)

    stage.aws.on_call.append(go_away)
    await stage.advance_to(at(4) + MINUTE)
    assert stage.inline(ANA) == {}
    assert await stage.of(Removed) == []
    stage.aws.on_call.clear()
    process.ledger.out = False
    calls = len(stage.aws.calls)
    await stage.advance(minutes=2)
    (removed,) = await stage.of(Removed)
    assert removed.outcome == "answered"
    assert removed.lateness_us < 1_000_000
    assert len(stage.aws.calls) == calls, "what is known to be done is not done again"
    await stage.verified()


async def test_nothing_is_attached_that_the_ledger_could_not_be_told_of_before(
    stage: Stage,
) -> None:
    """An attachment has no marker: what stood before us is on record before our first attach."""
    statement = {"Effect": "Allow", "Action": READ, "Resource": "*"}
    own = stage.aws.publish("Own", json.dumps({"Version": "2012-10-17", "Statement": statement}))
    policies = {"look": {"managed_policies": [own]}}
    await stage.ingest(directory(policies=policies, standing=[permanent("ana")]))
    process = stage.process()

    def go_away() -> None:
        process.ledger.out = bool(stage.calls(["observe"], PROD))

    stage.aws.on_call.append(go_away)
    await process.run()
    await stage.advance(minutes=1)
    assert stage.calls(["read_principal"]) != []
    assert stage.calls(["attach"]) == []
    stage.aws.on_call.clear()
    process.ledger.out = False
    await stage.advance(minutes=2)
    assert stage.attached(ANA) == {own}
    assert [seen.present for seen in await stage.of(Sighted)] == [False]


async def test_a_text_that_cannot_be_read_leaves_nothing_attached_and_unrecorded(
    stage: Stage,
) -> None:
    statement = {"Effect": "Allow", "Action": READ, "Resource": "*"}
    own = stage.aws.publish("Own", json.dumps({"Version": "2012-10-17", "Statement": statement}))
    stage.aws.fail("refused", "read_source")
    policies = {"look": {"managed_policies": [own]}}
    await stage.ingest(directory(policies=policies, standing=[permanent("ana")]))
    await stage.start()
    assert [event.code for event in await stage.of(Stuck)] == ["AccessDenied"]
    assert stage.attached(ANA) == set()
    stage.aws.heal()
    await stage.advance(minutes=2)
    assert stage.attached(ANA) == {own}
    assert len(await stage.of(Applied)) == 1


# --- the clock ------------------------------------------------------------------------------------


async def test_nothing_is_granted_by_a_wrong_clock_but_access_still_ends(stage: Stage) -> None:
    await stage.ingest(directory(windows=[temporary("ana", expires_at=at(1))]))
    process = await stage.start()
    process.gate.offset_s = 45.0
    await stage.ingest(
        directory(windows=[temporary("ana", expires_at=at(1)), temporary("bob", duration="4h")])
    )
    await stage.advance_to(at(1) - timedelta(seconds=43))
    assert stage.inline(ANA) == {}, "by AWS's clock the end has come"
    assert len(await stage.of(Applied)) == 1
    process.gate.offset_s = 1.0
    await stage.advance(minutes=2)
    assert len(await stage.of(Applied)) == 2


async def test_a_clock_that_runs_ahead_ends_nothing_early(stage: Stage) -> None:
    """Law 3: ours is three quarters of a minute ahead of AWS's, and AWS's counts."""
    await stage.ingest(directory(windows=[temporary("ana", expires_at=at(1))]))
    process = await stage.start()
    process.gate.offset_s = -45.0
    await stage.advance_to(at(1) + timedelta(seconds=45))
    assert len(stage.inline(ANA)) == 1
    await stage.advance(seconds=2)
    assert stage.inline(ANA) == {}


# --- order ----------------------------------------------------------------------------------------


async def test_what_comes_due_while_others_are_served_is_removed_between_two_steps(
    stage: Stage,
) -> None:
    names = [f"u{number}" for number in range(20)]
    stage.people(*(f"user/{name}" for name in names))
    ending = [temporary("ana", expires_at=at(1))]
    await stage.ingest(directory(windows=ending))
    await stage.start()
    stage.aws.latency = timedelta(seconds=2)
    await stage.advance_to(at(1) - timedelta(seconds=10))
    late = [temporary(name, expires_at=at(9)) for name in names]
    await stage.ingest(directory(windows=[*ending, *late]))
    await stage.advance_to(at(1) + timedelta(seconds=9))
    assert stage.inline(ANA) == {}
    assert 1 <= len(await stage.of(Applied)) < 10, "the others wait their turn"
    (removed,) = await stage.of(Removed)
    assert removed.lateness_us < 8_000_000


async def test_removals_come_before_additions_and_before_reading_the_account(
    stage: Stage,
) -> None:
    await stage.ingest(directory(windows=[temporary("ana", expires_at=at(1))]))
    process = await stage.start()
    await process.stop()
    await stage.advance_to(at(2))
    await stage.ingest(
        directory(windows=[temporary("ana", expires_at=at(1)), temporary("bob", duration="1h")])
    )
    before = len(stage.aws.calls)
    await stage.start()
    operations = [call.operation for call in stage.aws.calls[before:] if call.account == PROD]
    assert operations == ["delete_inline", "read_limits", "observe", "read_principal", "put_inline"]
