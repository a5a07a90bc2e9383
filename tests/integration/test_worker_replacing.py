"""What continues somebody's access is written over what it replaces: no gap, no second budget."""

from datetime import datetime, timedelta

from ledger.events import Applied, Refused, Removed, Revoked
from tests.support.builders import Entry, at, directory, permanent, policy, temporary
from tests.support.fake_aws.iam import counted_chars
from tests.support.stage import ANA, PROD, Stage

READ = "s3:GetObject"


def filling(chars: int) -> list[str]:
    """Actions that make the timed copy of their statement exactly so long."""
    frame = len(
        '{"Statement":[{"Action":["s3:GetObject",""],"Condition":{"DateLessThan":'
        '{"aws:CurrentTime":"2026-03-02T13:00:00Z"}},"Effect":"Allow","Resource":"*"}],'
        '"Version":"2012-10-17"}'
    )
    return [READ, "s3:" + "x" * (chars - frame - 3)]


def full(chars: int = 1_973) -> dict[str, Entry]:
    statement = {"effect": "Allow", "actions": filling(chars), "resources": ["*"]}
    return {"fix": policy(custom_statements=[statement])}


async def test_a_grant_that_fills_the_budget_is_extended_without_an_instant_without_access(
    stage: Stage,
) -> None:
    policies = full()
    first = temporary("ana", expires_at=at(4))
    await stage.ingest(directory(policies=policies, windows=[first]))
    await stage.start()
    (text,) = stage.inline(ANA).values()
    assert counted_chars(text) == 1_973

    seen: list[tuple[datetime, int, bool]] = []
    stage.aws.on_call.append(
        lambda: seen.append((stage.clock.now(), len(stage.inline(ANA)), stage.allows()))
    )
    await stage.advance_to(at(3))
    await stage.ingest(directory(policies=policies, windows=[temporary("ana", expires_at=at(6))]))
    await stage.advance_to(at(7))

    looks = [(copies, allowed) for instant, copies, allowed in seen if instant < at(6)]
    assert looks
    assert set(looks) == {(1, True)}
    ((begin, end),) = stage.aws.intervals(PROD, ANA, READ)
    assert begin - at(0) < timedelta(seconds=1)
    assert end == at(6)
    writes = [call.operation for call in stage.aws.made() if "user/ana" in call.about]
    assert writes == ["put_inline", "put_inline", "delete_inline"]
    assert await stage.kinds(Applied, Removed, Revoked) == [
        "Applied",
        "Revoked",
        "Applied",
        "Removed",
        "Removed",
    ]
    replaced, ended = await stage.of(Removed)
    old, new = await stage.rows()
    assert replaced.kept_for == (new.grant.id,)
    assert (old.grant.object, old.closed is not None) == (new.grant.object, True)
    assert ended.cause == "expired"
    await stage.verified()


async def test_a_length_that_grows_ends_that_much_later_and_not_from_the_edit(
    stage: Stage,
) -> None:
    await stage.ingest(directory(windows=[temporary("ana", duration="4h")]))
    await stage.start()
    await stage.advance_to(at(3))
    await stage.ingest(directory(windows=[temporary("ana", duration="6h")]))
    await stage.advance_to(at(7))
    ((_, end),) = stage.aws.intervals(PROD, ANA, READ)
    assert end == at(6)
    assert len([call for call in stage.aws.made() if call.operation == "put_inline"]) == 2


async def test_a_grant_cut_short_ends_at_its_new_end(stage: Stage) -> None:
    await stage.ingest(directory(windows=[temporary("ana", expires_at=at(4))]))
    await stage.start()
    await stage.advance_to(at(1))
    await stage.ingest(directory(windows=[temporary("ana", expires_at=at(2))]))
    await stage.advance_to(at(5))
    ((_, end),) = stage.aws.intervals(PROD, ANA, READ)
    assert end == at(2)


async def test_an_extension_that_cannot_be_written_leaves_the_old_end(stage: Stage) -> None:
    """Somebody else's inline policy has taken the room that the larger copy would need."""
    stage.without_slots()
    await stage.ingest(directory(windows=[temporary("ana", expires_at=at(2))]))
    await stage.start()
    iam = stage.aws.iam(PROD)
    iam.put_inline(
        ANA,
        "theirs",
        '{"Statement":{"Effect":"Allow","Action":"ec2:%s","Resource":"*"}}' % ("x" * 1_700),
    )
    await stage.ingest(directory(policies=full(600), windows=[temporary("ana", expires_at=at(4))]))
    await stage.advance(minutes=1)
    (refused,) = await stage.of(Refused)
    assert refused.code == "no-room"
    assert "600" in refused.message
    assert "2,048" in refused.message
    assert stage.allows()
    await stage.advance_to(at(5))
    ((_, end),) = stage.aws.intervals(PROD, ANA, READ)
    assert end == at(2)
    assert set(stage.inline(ANA)) == {"theirs"}


async def test_an_end_that_is_moved_twice_and_cannot_be_written_leaves_the_old_one(
    stage: Stage,
) -> None:
    """The second continues the first, which was never written: what stands is of the one before."""
    await stage.ingest(directory(windows=[temporary("ana", expires_at=at(2))]))
    await stage.start()
    stage.aws.fail("refused", "put_inline", until=at(1))
    for hours in (4, 3):
        await stage.ingest(directory(windows=[temporary("ana", expires_at=at(hours))]))
    await stage.advance(minutes=10)
    assert stage.allows()
    await stage.advance_to(at(4))
    assert [end for _, end in stage.aws.intervals(PROD, ANA, READ)] == [at(3)]
    assert stage.inline(ANA) == {}


async def test_two_windows_of_one_principal_and_policy_never_cut_each_other(
    stage: Stage,
) -> None:
    """Failure 1: the earlier window's end must leave the later one's access alone."""
    await stage.ingest(
        directory(
            windows=[
                temporary("ana", expires_at=at(2)),
                temporary("ana", starts_at=at(1), expires_at=at(3)),
                temporary("ana", starts_at=at(3), expires_at=at(4)),
                temporary("ana", starts_at=at(6), expires_at=at(7)),
            ]
        )
    )
    await stage.start()
    await stage.advance_to(at(8))
    (_, first), second = stage.aws.intervals(PROD, ANA, READ)
    assert first == at(4)
    assert second == (at(6), at(7))
    assert stage.inline(ANA) == {}


async def test_a_later_start_is_written_five_minutes_ahead_and_opens_at_its_instant(
    stage: Stage,
) -> None:
    await stage.ingest(directory(windows=[temporary("ana", starts_at=at(2), expires_at=at(3))]))
    await stage.start()
    await stage.advance_to(at(2) - timedelta(minutes=5, seconds=1))
    assert stage.inline(ANA) == {}
    await stage.advance(seconds=2)
    assert len(stage.inline(ANA)) == 1
    assert not stage.allows()
    await stage.advance_to(at(4))
    assert stage.aws.intervals(PROD, ANA, READ) == [(at(2), at(3))]


async def test_a_policy_changed_under_a_live_grant_is_rewritten_in_place_with_its_end_kept(
    stage: Stage,
) -> None:
    window = temporary("ana", expires_at=at(4))
    await stage.ingest(directory(windows=[window]))
    await stage.start()
    await stage.advance_to(at(1))
    narrower = {"effect": "Allow", "actions": ["s3:ListBucket"], "resources": ["*"]}
    await stage.ingest(
        directory(policies={"fix": policy(custom_statements=[narrower])}, windows=[window])
    )
    await stage.advance_to(at(5))
    ((_, cut),) = stage.aws.intervals(PROD, ANA, READ)
    ((begin, end),) = stage.aws.intervals(PROD, ANA, "s3:ListBucket")
    assert cut == begin
    assert cut is not None
    assert cut - at(1) < timedelta(seconds=1)
    assert end == at(4)


async def test_what_reviewers_withdrew_does_not_live_on_where_the_new_content_cannot_be_written(
    stage: Stage,
) -> None:
    stage.without_slots()
    window = temporary("ana", expires_at=at(4))
    await stage.ingest(directory(windows=[window]))
    await stage.start()
    await stage.ingest(directory(policies=full(2_049), windows=[window]))
    await stage.advance(minutes=1)
    assert stage.inline(ANA) == {}
    (refused,) = await stage.of(Refused)
    assert "2,049" in refused.message
    row = await stage.row()
    assert row.trouble is not None
    assert row.trouble.kind == "refused"


async def test_access_that_is_permanent_now_goes_on_when_its_window_ends(stage: Stage) -> None:
    await stage.ingest(directory(windows=[temporary("ana", expires_at=at(1), grant="look")]))
    await stage.start()
    await stage.ingest(
        directory(
            windows=[temporary("ana", expires_at=at(1), grant="look")],
            standing=[permanent("ana")],
        )
    )
    await stage.advance_to(at(3))
    ((_, end),) = stage.aws.intervals(PROD, ANA, READ)
    assert end is None


async def test_a_name_that_has_gone_from_grant_to_grant_is_never_taken_from_who_carries_it(
    stage: Stage,
) -> None:
    """A line comes back under its old name while permanent access continues what had it since."""
    long = temporary("ana", starts_at=at(1.5), expires_at=at(5))
    other = temporary("ana", starts_at=at(1.25), expires_at=at(3))
    standing = [permanent("ana", grant="fix")]
    await stage.ingest(directory(windows=[long], standing=standing))
    await stage.start()
    await stage.advance_to(at(1))
    await stage.ingest(directory(windows=[other]))
    await stage.advance_to(at(2))
    await stage.ingest(directory(windows=[long], standing=standing))
    await stage.settle()
    *_, row = [row for row in await stage.rows() if row.grant.temporary]
    assert list(stage.inline(ANA)) == [row.grant.object]
    await stage.ingest(directory(windows=[long]))
    await stage.advance_to(at(6))
    assert stage.aws.intervals(PROD, ANA, READ)[-1][1] == at(5)
