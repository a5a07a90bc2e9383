"""Access ends at its instant: not a second early, gone within moments after."""

from datetime import timedelta

from ledger.events import Applied, Removed
from tests.support.builders import at, directory, temporary
from tests.support.stage import ANA, PROD, Stage


async def test_ana_keeps_access_up_to_the_last_second_and_not_one_more(stage: Stage) -> None:
    await stage.ingest(directory(windows=[temporary("ana", expires_at=at(4))]))
    await stage.start()
    await stage.advance_to(at(5))

    ((begin, end),) = stage.aws.intervals(PROD, ANA, "s3:GetObject")
    assert begin - at(0) < timedelta(seconds=1)
    assert end == at(4)


async def test_what_stood_for_her_is_gone_moments_after_the_end(stage: Stage) -> None:
    await stage.ingest(directory(windows=[temporary("ana", expires_at=at(4))]))
    await stage.start()
    await stage.advance_to(at(4) - timedelta(seconds=1))
    assert len(stage.inline(ANA)) == 1
    await stage.advance_to(at(4) + timedelta(seconds=1))
    assert stage.inline(ANA) == {}
    (removed,) = await stage.of(Removed)
    assert (removed.cause, removed.outcome) == ("expired", "answered")
    assert 0 < removed.lateness_us < 1_000_000
    assert removed.requests
    assert removed.confirmed_at == at(4) + timedelta(microseconds=removed.lateness_us)
    (applied,) = await stage.of(Applied)
    assert applied.enforcement == "aws"
    await stage.verified()


async def test_a_window_that_closes_during_the_last_step_of_a_pass_is_not_forgotten(
    stage: Stage,
) -> None:
    """Its end lies behind the pass when that is over: the keeper must not ask what comes next."""
    ending = temporary("ana", expires_at=at(1))
    await stage.ingest(directory(windows=[ending]))
    await stage.start()
    await stage.advance_to(at(1) - timedelta(seconds=1))
    stage.aws.latency = timedelta(seconds=2)
    await stage.ingest(directory(windows=[ending, temporary("bob", expires_at=at(4))]))
    await stage.advance(seconds=10)
    assert stage.inline(ANA) == {}
    (removed,) = await stage.of(Removed)
    assert removed.lateness_us < 6_000_000
