"""What hands change: recorded with its class, not carried out; what is over never comes back."""

import json
from datetime import timedelta

from ledger.events import Applied, DriftFound, DriftRepaired, Refused, Removed
from tests.support.builders import at, directory, permanent, temporary
from tests.support.fake_aws.iam import Iam, counted_chars
from tests.support.stage import ANA, CI, PROD, Stage

ARN = f"arn:aws:iam::{PROD}:policy/iam-ledger/payments-look"
RESYNC = timedelta(minutes=10)
FILES = directory(windows=[temporary("ana", expires_at=at(40))], standing=[permanent("ana")])
OTHER = json.dumps(
    {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "a:b", "Resource": "*"}}
)

TIMED = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Action": "a:b",
            "Resource": "*",
            "Condition": {"DateLessThan": {"aws:CurrentTime": "2026-03-04T01:00:00Z"}},
        },
    }
)
"""It gives something else than ours, and no longer."""


async def begin(stage: Stage) -> Iam:
    """Both kinds of access given to ana, by a worker that reads the account every ten minutes."""
    await stage.ingest(FILES)
    await stage.start(resync_every=RESYNC)
    await stage.advance(minutes=5)
    assert stage.attached(ANA) == {ARN}
    assert len(stage.inline(ANA)) == 1
    return stage.aws.iam(PROD)


async def found(stage: Stage) -> list[tuple[str, str]]:
    return [(event.drift, event.object.split()[0]) for event in await stage.of(DriftFound)]


async def test_a_copy_taken_away_by_hand_is_found_missing_and_stays_away(stage: Stage) -> None:
    iam = await begin(stage)
    (name,) = stage.inline(ANA)
    iam.delete_inline(ANA, name)
    await stage.advance(minutes=30)
    assert stage.inline(ANA) == {}
    assert await found(stage) == [("missing", "inline")]
    rows = await stage.rows()
    assert [row.trouble.kind if row.trouble else None for row in rows].count("missing") == 1


async def test_a_copy_put_back_by_hand_is_no_longer_missing(stage: Stage) -> None:
    iam = await begin(stage)
    ((name, text),) = stage.inline(ANA).items()
    iam.delete_inline(ANA, name)
    await stage.advance(minutes=30)
    iam.put_inline(ANA, name, text)
    await stage.advance(minutes=30)
    (repaired,) = await stage.of(DriftRepaired)
    assert repaired.how == "found"
    assert [row.trouble for row in await stage.rows()] == [None, None]


async def test_an_attachment_taken_away_by_hand_is_found_missing_and_stays_away(
    stage: Stage,
) -> None:
    iam = await begin(stage)
    iam.detach(ANA, ARN)
    await stage.advance(minutes=30)
    assert stage.attached(ANA) == set()
    assert await found(stage) == [("missing", "attachment")]


async def test_a_copy_and_a_policy_edited_by_hand_are_found_altered_and_left(stage: Stage) -> None:
    iam = await begin(stage)
    (name,) = stage.inline(ANA)
    iam.put_inline(ANA, name, TIMED)
    iam.create_version(ARN, OTHER)
    writes = len(stage.aws.made())
    await stage.advance(minutes=30)
    assert sorted(await found(stage)) == [("altered", "inline"), ("altered", "policy")]
    assert len(stage.aws.made()) == writes, "under `drift: warn` nothing is put right"


async def test_our_policy_attached_to_somebody_by_hand_is_found_extra_and_left(
    stage: Stage,
) -> None:
    iam = await begin(stage)
    iam.attach(CI, ARN)
    await stage.advance(minutes=30)
    assert stage.attached(CI) == {ARN}
    assert await found(stage) == [("extra", "attachment")]


async def test_an_inline_policy_named_like_ours_that_no_grant_knows_is_found_extra_and_left(
    stage: Stage,
) -> None:
    iam = await begin(stage)
    iam.put_inline(CI, "iam-ledger-abcdefghijklmnop", OTHER)
    await stage.advance(minutes=30)
    assert list(stage.inline(CI)) == ["iam-ledger-abcdefghijklmnop"]
    assert await found(stage) == [("extra", "inline")]


async def test_a_difference_is_told_once_and_again_only_when_it_comes_back(stage: Stage) -> None:
    iam = await begin(stage)
    iam.attach(CI, ARN)
    await stage.advance(hours=2)
    assert await found(stage) == [("extra", "attachment")]
    iam.detach(CI, ARN)
    await stage.advance(minutes=30)
    assert await stage.kinds(DriftFound, DriftRepaired) == ["DriftFound", "DriftRepaired"]
    iam.attach(CI, ARN)
    await stage.advance(minutes=30)
    assert await found(stage) == [("extra", "attachment")] * 2
    await stage.verified()


async def test_a_difference_that_lasts_less_than_two_minutes_is_nobodys_business(
    stage: Stage,
) -> None:
    """IAM's reads lag: what one reading shows and the next does not was never there."""
    iam = await begin(stage)
    (process,) = stage.processes
    await stage.advance(minutes=4, seconds=58)
    iam.attach(CI, ARN)
    await stage.advance(minutes=1)
    assert process.keepers[PROD].status.observed_at is not None
    iam.detach(CI, ARN)
    await stage.advance(minutes=30)
    assert await stage.of(DriftFound) == []


async def test_what_others_have_beside_ours_is_no_drift(stage: Stage) -> None:
    iam = await begin(stage)
    iam.put_inline(ANA, "theirs", OTHER)
    iam.create_policy("theirs", "/", OTHER, {})
    iam.attach(ANA, f"arn:aws:iam::{PROD}:policy/theirs")
    iam.add("user/new")
    await stage.advance(minutes=30)
    assert await stage.of(DriftFound) == []


async def test_a_copy_of_a_grant_that_is_over_is_removed_however_often_it_comes_back(
    stage: Stage,
) -> None:
    """A restored backup, a Terraform apply: expired access must not return."""
    await stage.ingest(directory(windows=[temporary("ana", expires_at=at(1))]))
    await stage.start(resync_every=RESYNC)
    ((name, _),) = stage.inline(ANA).items()
    await stage.advance_to(at(2))
    iam = stage.aws.iam(PROD)
    for times in (1, 2, 3):
        iam.put_inline(ANA, name, OTHER)
        await stage.advance(minutes=15)
        assert stage.inline(ANA) == {}
        again = [event for event in await stage.of(Removed) if event.cause == "drift"]
        assert len(again) == times
    assert await stage.of(DriftFound) == []
    row = await stage.row()
    assert row.closed is not None
    assert row.closed.at - at(1) < timedelta(seconds=1)
    await stage.verified()


async def test_what_was_refused_and_taken_away_by_us_is_not_missing(stage: Stage) -> None:
    """It is tried again at each resync, and stands when there is room."""
    stage.without_slots()
    window = temporary("ana", expires_at=at(40))
    await stage.ingest(directory(windows=[window]))
    await stage.start(resync_every=RESYNC)
    iam = stage.aws.iam(PROD)
    (ours,) = stage.inline(ANA).values()
    room = 2_048 - counted_chars(ours) - counted_chars(OTHER)
    iam.put_inline(ANA, "theirs", OTHER.replace("a:b", "a:b" + "b" * room))
    wide = {"effect": "Allow", "actions": ["s3:Get*", "s3:" + "x" * 60], "resources": ["*"]}
    await stage.ingest(directory(policies={"fix": {"custom_statements": [wide]}}, windows=[window]))
    await stage.advance(minutes=45)
    assert list(stage.inline(ANA)) == ["theirs"]
    assert len(await stage.of(Refused)) == 1
    assert await stage.of(DriftFound) == []
    iam.delete_inline(ANA, "theirs")
    await stage.advance(minutes=15)
    assert len(stage.inline(ANA)) == 1
    assert len(await stage.of(Applied)) == 2


async def test_a_user_deleted_and_made_anew_gets_nothing_unasked(stage: Stage) -> None:
    """Failure 8: a name that is used again may be another person."""
    iam = await begin(stage)
    iam.drop(ANA)
    iam.add("user/ana")
    await stage.advance(minutes=45)
    assert (stage.inline(ANA), stage.attached(ANA)) == ({}, set())
    assert sorted(await found(stage)) == [("missing", "attachment"), ("missing", "inline")]


async def test_a_user_deleted_by_hand_holds_up_no_removal(stage: Stage) -> None:
    """Failure 8: "already gone" is done, not retried for ever."""
    await stage.ingest(directory(windows=[temporary("ana", expires_at=at(1))]))
    await stage.start()
    stage.aws.iam(PROD).drop(ANA)
    await stage.advance_to(at(2))
    (removed,) = await stage.of(Removed)
    assert (removed.cause, removed.outcome) == ("expired", "found_absent")
    assert len(stage.aws.made("delete_inline")) == 1


async def test_one_look_alone_records_drift_at_first_sight(stage: Stage) -> None:
    """`worker --once` has no second look."""
    iam = await begin(stage)
    await stage.processes[0].stop()
    iam.attach(CI, ARN)
    process = stage.process()
    assert await stage.clock.run(process.once())
    assert await found(stage) == [("extra", "attachment")]
