"""Temporary access: one timed copy a grant, of statements and of AWS's texts, or the numbers."""

import json
from datetime import timedelta
from typing import Any

from ledger.events import Applied, Refused, Stuck
from tests.support.builders import Entry, at, directory, temporary
from tests.support.fake_aws.iam import Iam, counted_chars
from tests.support.stage import ANA, CI, DEV, PROD, Stage

READ = "s3:GetObject"


def document(*actions: str, effect: str = "Allow") -> str:
    statement = {"Effect": effect, "Action": list(actions), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def managed(*arns: str, **more: Any) -> Entry:
    return {"managed_policies": list(arns), **more}


def for_role(**end: Any) -> Entry:
    entry = temporary("x", **end)
    del entry["user"]
    return {**entry, "role": "ci"}


def sized(chars: int) -> str:
    """A document of AWS's whose timed copy takes exactly so many characters."""
    frame = len(
        '{"Statement":[{"Action":["s3:GetObject",""],"Condition":{"DateLessThan":'
        '{"aws:CurrentTime":"2026-03-02T13:00:00Z"}},"Effect":"Allow","Resource":"*"}],'
        '"Version":"2012-10-17"}'
    )
    return document(READ, f"s3:{'z' * (chars - frame - 3)}")


async def test_a_copy_of_awss_own_document_ends_by_itself_and_names_its_version(
    stage: Stage,
) -> None:
    """The seed attached it with no end."""
    own = stage.aws.publish("Power", document("s3:Get*"), document("s3:*"))
    await stage.ingest(
        directory(policies={"fix": managed(own)}, windows=[temporary("ana", expires_at=at(4))])
    )
    process = await stage.start()
    assert stage.attached(ANA) == set()
    assert stage.allows(action="s3:PutObject")
    (applied,) = await stage.of(Applied)
    ((pin,), (made,)) = applied.pins, applied.made
    assert (pin.arn, pin.version) == (own, "v2")
    assert made.kind == "inline"
    assert applied.enforcement == "aws"
    await process.stop()
    await stage.advance_to(at(5))
    assert len(stage.inline(ANA)) == 1, "nobody is there to clean up"
    ((_, end),) = stage.aws.intervals(PROD, ANA, READ)
    assert end == at(4)


async def test_a_pinned_version_is_not_chased_inside_a_grant(stage: Stage) -> None:
    own = stage.aws.publish("Power", document("s3:Get*"))
    window = temporary("ana", expires_at=at(40))
    look = {"effect": "Allow", "actions": ["ec2:Describe*"], "resources": ["*"]}
    await stage.ingest(directory(policies={"fix": managed(own)}, windows=[window]))
    await stage.start()
    found = stage.aws.aws_managed[own]
    found.versions["v2"], found.default = document("s3:*"), "v2"
    wider = managed(own, custom_statements=[look])
    await stage.advance(minutes=30)
    await stage.ingest(directory(policies={"fix": wider}, windows=[window]))
    await stage.advance(minutes=1)
    assert stage.allows(action="ec2:DescribeInstances")
    assert not stage.allows(action="s3:PutObject")
    assert [pin.version for event in await stage.of(Applied) for pin in event.pins] == ["v1", "v1"]


async def test_statements_and_awss_documents_make_one_copy(stage: Stage) -> None:
    own = stage.aws.publish("Read", document("s3:Get*"))
    statement = {"effect": "Allow", "actions": ["ec2:Run*"], "resources": ["*"]}
    both = managed(own, custom_statements=[statement])
    await stage.ingest(
        directory(policies={"fix": both}, windows=[temporary("ana", expires_at=at(4))])
    )
    await stage.start()
    assert len(stage.inline(ANA)) == 1
    assert stage.allows()
    assert stage.allows(action="ec2:RunInstances")


async def test_what_fits_a_role_and_no_user_is_written_for_the_one_and_refused_for_the_other(
    stage: Stage,
) -> None:
    stage.without_slots()
    own = stage.aws.publish("Large", sized(2_049))
    windows = [temporary("ana", expires_at=at(4)), for_role(expires_at=at(4))]
    await stage.ingest(directory(policies={"fix": managed(own)}, windows=windows))
    await stage.start()
    assert stage.inline(ANA) == {}
    (text,) = stage.inline(CI).values()
    assert counted_chars(text) == 2_049
    (refused,) = await stage.of(Refused)
    assert refused.code == "no-room"
    for number in ("2,049", "2,048"):
        assert number in refused.message
    assert await stage.of(Stuck) == []
    await stage.advance_to(at(5))
    assert stage.inline(CI) == {}
    assert all(row.closed is not None for row in await stage.rows())


async def test_exactly_what_fits_is_written(stage: Stage) -> None:
    own = stage.aws.publish("Exact", sized(2_048))
    await stage.ingest(
        directory(policies={"fix": managed(own)}, windows=[temporary("ana", expires_at=at(4))])
    )
    await stage.start()
    assert [counted_chars(text) for text in stage.inline(ANA).values()] == [2_048]


async def test_the_budget_is_shared_with_what_others_have_put_there(stage: Stage) -> None:
    stage.without_slots()
    iam: Iam = stage.aws.iam(PROD)
    theirs = document("a:" + "z" * (1_900 - counted_chars(document("a:"))))
    iam.put_inline(ANA, "theirs", theirs)
    await stage.ingest(directory(windows=[temporary("ana", expires_at=at(4))]))
    await stage.start()
    (refused,) = await stage.of(Refused)
    assert "1,900" in refused.message
    assert "148 of 2,048" in refused.message
    assert set(stage.inline(ANA)) == {"theirs"}
    assert stage.aws.made("put_inline") == [], "our own check comes before the first call"


async def test_two_grants_share_the_room_and_the_one_that_does_not_fit_is_told(
    stage: Stage,
) -> None:
    stage.without_slots()
    own = stage.aws.publish("Large", sized(1_500))
    policies = {"fix": managed(own), "look": managed(own)}
    windows = [temporary("ana", expires_at=at(1)), temporary("ana", grant="look", expires_at=at(4))]
    await stage.ingest(directory(policies=policies, windows=windows))
    await stage.start(resync_every=timedelta(minutes=10))
    assert len(stage.inline(ANA)) == 1
    assert len(await stage.of(Refused)) == 1
    await stage.advance_to(at(1.5))
    assert len(stage.inline(ANA)) == 1, "when the first is over there is room for the second"
    assert len(await stage.of(Applied)) == 2


async def test_a_source_with_a_deny_is_refused_and_says_why(stage: Stage) -> None:
    own = stage.aws.publish("Denying", document("s3:*", effect="Deny"))
    await stage.ingest(
        directory(policies={"fix": managed(own)}, windows=[temporary("ana", expires_at=at(4))])
    )
    await stage.start()
    (refused,) = await stage.of(Refused)
    assert refused.code == "not-copyable"
    assert "Deny" in refused.message
    assert stage.inline(ANA) == {}


async def test_a_policy_of_aws_that_does_not_exist_is_told_and_parked(stage: Stage) -> None:
    gone = "arn:aws:iam::aws:policy/NoSuchPolicy"
    await stage.ingest(
        directory(policies={"fix": managed(gone)}, windows=[temporary("ana", expires_at=at(4))])
    )
    await stage.start()
    (stuck,) = await stage.of(Stuck)
    assert "NoSuchPolicy" in stuck.message
    await stage.advance(minutes=30)
    assert 30 <= len(stage.aws.made("read_source")) <= 40, "about once a minute"


async def test_principals_that_are_protected_or_awss_own_get_nothing(stage: Stage) -> None:
    iam = stage.aws.iam(PROD)
    iam.add("role/guard", "/guard/")
    iam.add("role/linked", "/aws-service-role/x.amazonaws.com/")
    windows = [{**for_role(expires_at=at(4)), "role": name} for name in ("guard", "linked")]
    settings = {"protected_principals": ["role/guard/*"]}
    await stage.ingest(directory(windows=windows, settings=settings))
    await stage.start()
    assert {event.code for event in await stage.of(Refused)} == {"protected", "service-role"}
    assert stage.aws.made("put_inline") == []


async def test_a_removal_from_who_is_protected_since_is_still_made(stage: Stage) -> None:
    window = temporary("ana", expires_at=at(4))
    await stage.ingest(directory(windows=[window]))
    await stage.start()
    settings = {"protected_principals": ["user/ana"]}
    await stage.ingest(directory(settings=settings))
    await stage.settle()
    assert stage.inline(ANA) == {}


async def test_each_account_of_a_team_gets_its_own_and_an_unmapped_one_is_emptied(
    stage: Stage,
) -> None:
    windows = [
        temporary("ana", expires_at=at(4)),
        temporary("ana", environment="dev", expires_at=at(4)),
    ]
    await stage.ingest(directory(windows=windows))
    await stage.start()
    assert (len(stage.inline(ANA, PROD)), len(stage.inline(ANA, DEV))) == (1, 1)
    await stage.ingest(
        directory(accounts={"prod": PROD}, windows=[temporary("ana", expires_at=at(4))])
    )
    await stage.advance(seconds=5)
    assert (len(stage.inline(ANA, PROD)), len(stage.inline(ANA, DEV))) == (1, 0)
    assert stage.policies(DEV) == set()
    assert await stage.accounts() == (PROD,)


async def test_one_pass_alone_does_all_there_is_to_do_and_says_so(stage: Stage) -> None:
    await stage.ingest(directory(windows=[temporary("ana", expires_at=at(4))]))
    process = stage.process()
    assert await stage.clock.run(process.once())
    assert len(stage.inline(ANA)) == 1
    stage.aws.fail("busy", "delete_inline")
    await stage.advance_to(at(4))
    assert not await stage.clock.run(process.once())
    stage.aws.heal()
    assert await stage.clock.run(process.once())
    assert stage.inline(ANA) == {}
