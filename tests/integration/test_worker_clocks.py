"""Wrong clocks end nothing early and keep no revocation back; a ledger that is away ends no end."""

from datetime import timedelta

from ledger.events import DriftFound, Removed
from tests.support.builders import NOW, at, directory, permanent, policy, temporary
from tests.support.stage import ANA, PROD, Stage


async def test_a_revocation_is_carried_out_at_once_whatever_awss_clock_says(stage: Stage) -> None:
    await stage.ingest(directory(standing=[permanent("ana")]))
    process = await stage.start()
    assert stage.attached(ANA)
    process.gate.offset_s = -20.0  # ours runs ahead: by AWS's clock nothing was revoked yet
    await stage.ingest(directory())
    await stage.settle()
    assert stage.attached(ANA) == set()
    assert len(await stage.of(Removed)) == 1


async def test_a_head_that_was_written_by_a_wrong_clock_keeps_no_revocation_back(
    stage: Stage,
) -> None:
    await stage.ingest(directory(standing=[permanent("ana")]))
    await stage.start()
    ahead = NOW + timedelta(days=1_000)
    await stage.ingest(directory(standing=[permanent("ana")]), now=ahead, commit="1" * 40)
    await stage.ingest(directory())
    await stage.settle()
    assert stage.attached(ANA) == set()


async def test_before_aws_has_told_its_time_nothing_is_ended(stage: Stage) -> None:
    await stage.ingest(directory(windows=[temporary("ana", expires_at=at(1))]))
    process = await stage.start()
    assert stage.inline(ANA)
    await process.stop()
    await stage.advance_to(at(1))
    late = stage.process()
    late.gate.offset_s = None
    late.gate.tells_s = -1_800.0  # it is half an hour earlier than this machine says
    await late.run()
    await stage.settle()
    assert stage.inline(ANA), "by AWS's clock the end has not come"
    await stage.advance(minutes=31)
    assert stage.inline(ANA) == {}


async def test_with_the_ledger_away_the_ends_that_were_known_are_kept_and_recorded_later(
    stage: Stage,
) -> None:
    windows = [temporary("ana", expires_at=at(1)), temporary("bob", expires_at=at(2))]
    await stage.ingest(directory(windows=windows, standing=[permanent("ana")]))
    process = await stage.start(resync_every=timedelta(minutes=10))
    process.ledger.out = True
    await stage.advance_to(at(1) + timedelta(seconds=1))
    assert stage.inline(ANA) == {}
    assert stage.attached(ANA), "nothing else is taken away"
    await stage.advance(minutes=30)
    assert await stage.of(Removed) == []
    deletions = [call for call in stage.calls() if call.startswith("delete_inline")]
    assert len(deletions) == 1, "once, however often the ledger is tried"
    count = "iam_ledger_revocation_lateness_seconds_count"
    registry = process.shared.metrics.registry
    assert registry.get_sample_value(count, {"enforcement": "aws"}) == 1
    process.ledger.out = False
    await stage.advance(minutes=2)
    (removed,) = await stage.of(Removed)
    assert removed.confirmed_at - at(1) < timedelta(seconds=1)
    await stage.verified()


async def test_a_copy_goes_after_its_end_though_its_user_was_renamed_with_it(stage: Stage) -> None:
    await stage.ingest(directory(windows=[temporary("ana", expires_at=at(1))]))
    await stage.start(resync_every=timedelta(minutes=10))
    iam = stage.aws.iam(PROD)
    ana = iam.entities.pop("user/ana")
    iam.add("user/zoe")
    iam.entities["user/zoe"].inline.update(ana.inline)
    assert iam.entities["user/zoe"].inline
    await stage.advance_to(at(1) + timedelta(minutes=25))
    assert iam.entities["user/zoe"].inline == {}


async def test_one_of_two_parts_taken_by_hand_leaves_its_holder_in_every_answer(
    stage: Stage,
) -> None:
    arn = stage.aws.publish("Watch", '{"Statement": [], "Version": "2012-10-17"}')
    both = {"look": policy(managed_policies=[arn])}
    await stage.ingest(directory(policies=both, standing=[permanent("ana")]))
    await stage.start(resync_every=timedelta(minutes=10))
    del stage.aws.iam(PROD).entities[ANA.key].attached[arn]
    await stage.advance(minutes=40)
    assert [found.drift for found in await stage.of(DriftFound)] == ["missing"]
    row = await stage.row()
    assert row.trouble is None
    assert row.access_to is None
