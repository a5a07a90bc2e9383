"""What a crash or a damaged row has lost is found out, never taken for nothing; or left alone."""

from ledger.events import Applied, Refused, Removed, Stuck
from tests.support.builders import Entry, at, directory, permanent, policy, temporary
from tests.support.ledgers import overwrite, tampering
from tests.support.stage import ANA, Stage

READ = "s3:GetObject"
READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess"
SMALL = {"fix": policy()}
WINDOW = temporary("ana", expires_at=at(4))


def large() -> dict[str, Entry]:
    """Fits a role, and no user."""
    actions = ["s3:" + "x" * 3_000]
    statement = {"effect": "Allow", "actions": actions, "resources": ["*"]}
    return {"fix": policy(custom_statements=[statement])}


async def crashed_after_the_put(stage: Stage) -> None:
    """A copy stands that the ledger knows nothing of."""
    stage.without_slots()
    await stage.ingest(directory(policies=SMALL, windows=[WINDOW]))
    stage.aws.fail("crash_after", operation="put_inline")
    process = await stage.start()
    await process.stop()
    stage.aws.faults.clear()
    assert len(stage.inline(ANA)) == 1
    assert await stage.of(Applied) == []


async def test_a_copy_that_a_crash_hid_goes_when_its_policy_no_longer_fits_and_is_recorded(
    stage: Stage,
) -> None:
    await crashed_after_the_put(stage)
    await stage.ingest(directory(policies=large(), windows=[WINDOW]))
    await stage.start()
    assert stage.inline(ANA) == {}
    assert await stage.kinds(Applied, Refused, Removed) == ["Applied", "Refused"]
    await stage.ingest(directory(policies=SMALL, windows=[WINDOW]))
    await stage.settle()
    assert stage.allows()
    assert await stage.kinds(Applied, Refused) == ["Applied", "Refused", "Applied"]
    row = await stage.row()
    assert row.trouble is None
    await stage.verified()


async def test_the_copy_that_a_refused_extension_continues_stays_to_its_own_end(
    stage: Stage,
) -> None:
    stage.without_slots()
    await stage.ingest(directory(policies=SMALL, windows=[WINDOW]))
    await stage.start()
    later = temporary("ana", expires_at=at(6))
    await stage.ingest(directory(policies=large(), windows=[later]))
    await stage.settle()
    assert stage.allows(), "reviewers took nothing away before its end"
    await stage.advance_to(at(5))
    assert stage.inline(ANA) == {}
    await stage.verified()


async def test_an_attachment_of_which_nobody_knows_whose_it_is_is_left_alone_and_told(
    stage: Stage,
) -> None:
    stage.aws.publish("ReadOnlyAccess", '{"Statement": [], "Version": "2012-10-17"}')
    policies: dict[str, Entry] = {"look": {"managed_policies": [READ_ONLY]}}
    await stage.ingest(directory(policies=policies, standing=[permanent("ana")]))
    process = await stage.start()
    assert READ_ONLY in stage.attached(ANA)
    await process.stop()
    with tampering(stage.url) as database:
        database.execute("DELETE FROM latest WHERE topic = 'sighted'")
    await stage.ingest(directory(policies=policies))
    await stage.start()
    assert READ_ONLY in stage.attached(ANA)
    assert await stage.of(Removed) == []
    (stuck,) = await stage.of(Stuck)
    assert stuck.code == "unsure"
    assert READ_ONLY in stuck.message


async def test_a_policy_whose_newest_word_becomes_unreadable_during_a_pass_is_not_deleted(
    stage: Stage,
) -> None:
    policies = {"look": policy()}
    await stage.ingest(directory(policies=policies, standing=[permanent("ana")]))
    await stage.start()
    name = "payments-look"
    assert name in stage.policies()
    damaged: list[bool] = []

    def damage() -> None:
        if not damaged:
            damaged.append(True)
            with tampering(stage.url) as database:
                overwrite(database, "events", "payload", "{", where="kind = 'policy_defined'")

    stage.aws.on_call.append(damage)
    await stage.ingest(directory(policies=policies, standing=[permanent("ana", "bob")]))
    await stage.settle()
    await stage.advance(minutes=5)
    assert damaged
    assert name in stage.policies()
    assert name in " ".join(stage.attached(ANA))
