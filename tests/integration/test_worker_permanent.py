"""Permanent access: policies of ours made, kept equal and taken away; attachments are a set."""

import json
from datetime import timedelta
from typing import Any

from ledger.events import Applied, Left, PolicyDeleted, PolicyWritten, Refused, Removed, Sighted
from tests.support.builders import Entry, Files, at, directory, permanent, policy, temporary
from tests.support.stage import ANA, CI, DEVS, PROD, Stage

ARN = f"arn:aws:iam::{PROD}:policy/iam-ledger/payments-look"
TAGS = {"iam-ledger:team": "payments", "iam-ledger:policy": "look"}


def allowing(*actions: str, **more: Any) -> Entry:
    """A policy of one statement with these actions."""
    statement = {"effect": "Allow", "actions": list(actions), "resources": ["*"]}
    return policy(custom_statements=[statement], **more)


def managed(*arns: str) -> Entry:
    """A policy of AWS's own policies only."""
    return {"managed_policies": list(arns)}


def text(*actions: str) -> str:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def merged(*files: Files) -> Files:
    """Several teams' files as one directory."""
    return {path: content for some in files for path, content in some.items()}


# --- policies of ours -----------------------------------------------------------------------------


async def test_users_roles_and_groups_get_the_policy_attached_and_lose_it_with_their_line(
    stage: Stage,
) -> None:
    standing = permanent("ana", roles=["ci"], groups=["devs"])
    await stage.ingest(directory(standing=[standing]))
    await stage.start()
    for principal in (ANA, CI, DEVS):
        assert stage.attached(principal) == {ARN}
        assert stage.allows(principal)
    tags = stage.aws.iam(PROD).tags(ARN)
    assert tags.items() >= TAGS.items()
    assert len(tags["iam-ledger:ledger"]) == 12

    await stage.ingest(directory(standing=[permanent("ana")]))
    await stage.settle()
    assert [stage.attached(principal) for principal in (ANA, CI, DEVS)] == [{ARN}, set(), set()]
    removed = await stage.of(Removed)
    assert {str(event.grant.principal) for event in removed} == {"role/ci", "group/devs"}
    assert {event.cause for event in removed} == {"revoked"}
    assert all(0 < event.lateness_us < 1_000_000 for event in removed)
    await stage.verified()


async def test_a_policy_stands_in_every_account_its_team_maps_and_goes_with_its_definition(
    stage: Stage,
) -> None:
    await stage.ingest(directory(standing=[permanent("ana")]))
    await stage.start()
    for account in await stage.accounts():
        assert stage.policies(account) == {"payments-look", "payments-fix"}
    await stage.ingest(directory(policies={"fix": policy()}))
    await stage.settle()
    for account in await stage.accounts():
        assert stage.policies(account) == {"payments-fix"}
    assert stage.attached(ANA) == set()
    deleted = await stage.of(PolicyDeleted)
    assert {(event.policy, event.outcome) for event in deleted} == {("look", "answered")}


async def test_a_policy_is_changed_in_place_as_often_as_people_like(stage: Stage) -> None:
    """Five versions are the most IAM keeps: the oldest makes room, the default never goes."""
    standing = [permanent("ana")]
    await stage.ingest(directory(standing=standing))
    await stage.start()
    for number in range(8):
        policies = {"look": allowing(f"s3:Get{number}"), "fix": policy()}
        await stage.ingest(directory(standing=standing, policies=policies))
        await stage.settle()
        assert stage.allows(ANA, f"s3:Get{number}")
        assert not stage.allows(ANA, f"s3:Get{number - 1}")
        found = stage.aws.iam(PROD).find(ARN)
        assert found is not None
        assert len(found.versions) <= 5
        assert found.default == list(found.versions)[-1]
    assert stage.attached(ANA) == {ARN}
    first = stage.aws.iam(PROD).find(ARN)
    assert first is not None
    assert list(first.versions) == ["v5", "v6", "v7", "v8", "v9"]
    await stage.verified()


async def test_a_policy_that_says_the_same_in_other_words_makes_no_version(stage: Stage) -> None:
    standing = [permanent("ana")]
    look = allowing("s3:GetObject", "s3:ListBucket")
    await stage.ingest(directory(standing=standing, policies={"look": look}))
    await stage.start()
    turned = allowing("s3:ListBucket", "s3:GetObject", description="the same")
    await stage.ingest(directory(standing=standing, policies={"look": turned}))
    await stage.settle()
    found = stage.aws.iam(PROD).find(ARN)
    assert found is not None
    assert list(found.versions) == ["v1"]


async def test_a_policy_of_somebody_else_under_our_name_is_told_and_left_alone(
    stage: Stage,
) -> None:
    theirs = text("ec2:RunInstances")
    stage.aws.iam(PROD).create_policy("Payments-Look", "/", theirs, {})
    await stage.ingest(directory(standing=[permanent("ana")], windows=[temporary(duration="2h")]))
    worker = await stage.start()
    ours = stage.aws.iam(PROD).find(f"arn:aws:iam::{PROD}:policy/Payments-Look")
    assert ours is not None
    assert (ours.versions, ours.tags) == ({"v1": theirs}, {})
    view = await worker.door.read_account(PROD)
    stuck = view.stuck["payments", "look"]
    assert stuck.code == "conflict"
    assert "payments-look" in stuck.message
    assert stage.attached(ANA) == set()
    assert stage.allows(), "what else there is to do is done"

    stage.aws.iam(PROD).delete_policy(ours.arn)
    await stage.advance(minutes=2)
    assert stage.attached(ANA) == {ARN}
    assert (await worker.door.read_account(PROD)).stuck == {}


async def test_another_installations_policy_under_our_path_is_never_touched(stage: Stage) -> None:
    iam = stage.aws.iam(PROD)
    other = {"iam-ledger:ledger": "another-one", **TAGS}
    iam.create_policy("payments-look", "/iam-ledger/", text("ec2:RunInstances"), other)
    await stage.ingest(directory(standing=[permanent("ana")]))
    worker = await stage.start()
    view = await worker.door.read_account(PROD)
    assert view.stuck["payments", "look"].code == "conflict"
    await stage.ingest(directory(policies={"fix": policy()}))
    await stage.advance(minutes=5)
    found = iam.find(ARN)
    assert found is not None
    assert found.versions == {"v1": text("ec2:RunInstances")}
    assert stage.attached(ANA) == set()


# --- AWS's own policies ---------------------------------------------------------------------------


async def test_a_policy_of_awss_own_alone_is_attached_and_detached(stage: Stage) -> None:
    """The seed said "not found"."""
    read = stage.aws.publish("ReadOnly", text("s3:GetObject"))
    await stage.ingest(directory(policies={"look": managed(read)}, standing=[permanent("ana")]))
    await stage.start()
    assert stage.attached(ANA) == {read}
    assert stage.policies() == set()
    assert await stage.kinds(Sighted, Applied) == ["Sighted", "Applied"]
    (seen,) = await stage.of(Sighted)
    assert (seen.policy_arn, seen.present) == (read, False)

    await stage.ingest(directory(policies={"look": managed(read)}))
    await stage.settle()
    assert stage.attached(ANA) == set()
    (removed,) = await stage.of(Removed)
    assert removed.outcome == "answered"


async def test_what_stood_before_us_is_used_and_left(stage: Stage) -> None:
    read = stage.aws.publish("ReadOnly", text("s3:GetObject"))
    stage.aws.iam(PROD).attach(ANA, read)
    await stage.ingest(directory(policies={"look": managed(read)}, standing=[permanent("ana")]))
    await stage.start()
    (seen,) = await stage.of(Sighted)
    assert seen.present
    await stage.ingest(directory(policies={"look": managed(read)}))
    await stage.settle()
    assert stage.attached(ANA) == {read}
    assert stage.calls(["attach", "detach"]) == []
    (left,) = await stage.of(Left)
    assert [made.name for made in left.made] == [read]
    assert (await stage.row()).closed_how == "left"
    assert await stage.of(Removed) == []


async def test_an_attachment_that_two_teams_share_stands_until_the_last_of_them_ends(
    stage: Stage,
) -> None:
    read = stage.aws.publish("ReadOnly", text("s3:GetObject"))

    def of(team: str, *standing: Entry) -> Files:
        return directory(team, policies={"look": managed(read)}, standing=standing)

    both = merged(of("payments", permanent("ana")), of("search", permanent("ana")))
    await stage.ingest(both)
    await stage.start()
    assert stage.attached(ANA) == {read}
    await stage.ingest(merged(of("payments"), of("search", permanent("ana"))))
    await stage.settle()
    assert stage.attached(ANA) == {read}
    (first,) = await stage.of(Removed)
    assert len(first.kept_for) == 1
    await stage.ingest(merged(of("payments"), of("search")))
    await stage.settle()
    assert stage.attached(ANA) == set()
    assert await stage.of(Left) == []
    ((_, end),) = stage.aws.intervals(PROD, ANA, "s3:GetObject")
    assert end is not None
    assert end - stage.clock.now() < timedelta(seconds=1)


async def test_a_second_team_that_comes_later_shares_what_the_first_attached(
    stage: Stage,
) -> None:
    read = stage.aws.publish("ReadOnly", text("s3:GetObject"))

    def of(team: str, *standing: Entry) -> Files:
        return directory(team, policies={"look": managed(read)}, standing=standing)

    await stage.ingest(of("payments", permanent("ana")))
    await stage.start()
    await stage.ingest(merged(of("payments", permanent("ana")), of("search", permanent("ana"))))
    await stage.settle()
    await stage.ingest(merged(of("payments"), of("search", permanent("ana"))))
    await stage.settle()
    assert stage.attached(ANA) == {read}
    await stage.ingest(merged(of("payments"), of("search")))
    await stage.settle()
    assert stage.attached(ANA) == set()
    assert await stage.of(Left) == []


async def test_a_part_taken_out_of_a_policy_is_detached_and_the_rest_stays(stage: Stage) -> None:
    read, write = (
        stage.aws.publish("Read", text("s3:Get*")),
        stage.aws.publish("Write", text("a:b")),
    )
    standing = [permanent("ana")]
    await stage.ingest(directory(policies={"look": managed(read, write)}, standing=standing))
    await stage.start()
    assert stage.attached(ANA) == {read, write}
    await stage.ingest(directory(policies={"look": managed(read)}, standing=standing))
    await stage.settle()
    assert stage.attached(ANA) == {read}
    assert (await stage.row()).trouble is None


async def test_more_attachments_than_the_principal_may_have_are_refused_with_the_numbers(
    stage: Stage,
) -> None:
    arns = [stage.aws.publish(f"P{number}", text(f"s3:Get{number}")) for number in range(11)]
    for arn in arns[:9]:
        stage.aws.iam(PROD).attach(ANA, arn)
    policies = {"look": managed(*arns[9:])}
    await stage.ingest(directory(policies=policies, standing=[permanent("ana")]))
    await stage.start(resync_every=timedelta(minutes=10))
    assert stage.attached(ANA) == set(arns[:9])
    assert stage.calls(["attach"]) == []
    (refused,) = await stage.of(Refused)
    assert refused.code == "attachment-slots"
    assert "2 more" in refused.message
    assert "9 of 10" in refused.message
    stage.aws.iam(PROD).detach(ANA, arns[0])
    await stage.advance(minutes=11)
    assert stage.attached(ANA) == set(arns[1:])
    assert (await stage.row()).trouble is None


async def test_what_reviewers_withdrew_is_detached_though_the_new_parts_do_not_fit(
    stage: Stage,
) -> None:
    old, theirs = (
        stage.aws.publish("Old", text("s3:GetObject")),
        stage.aws.publish("X", text("a:b")),
    )
    arns = [stage.aws.publish(f"P{number}", text(f"s3:Get{number}")) for number in range(9)]
    stage.aws.iam(PROD).attach(ANA, theirs)
    standing = [permanent("ana")]
    await stage.ingest(directory(policies={"look": managed(old, arns[0])}, standing=standing))
    await stage.start()
    assert stage.attached(ANA) == {theirs, old, arns[0]}
    policies = {"look": managed(*arns, stage.aws.publish("P9", text("s3:Get9")))}
    await stage.ingest(directory(policies=policies, standing=standing))
    await stage.settle()
    assert stage.attached(ANA) == {theirs}
    (refused,) = await stage.of(Refused)
    assert refused.code == "attachment-slots"


async def test_a_part_that_takes_anothers_place_needs_no_slot_beside_it(stage: Stage) -> None:
    old, new = (
        stage.aws.publish("Old", text("s3:GetObject")),
        stage.aws.publish("New", text("s3:*")),
    )
    for number in range(8):
        arn = stage.aws.publish(f"P{number}", text(f"ec2:Get{number}"))
        stage.aws.iam(PROD).attach(ANA, arn)
    standing = [permanent("ana")]
    await stage.ingest(directory(policies={"look": managed(old)}, standing=standing))
    await stage.start()
    await stage.ingest(directory(policies={"look": managed(new)}, standing=standing))
    await stage.settle()
    assert len(stage.attached(ANA)) == 9
    ((_, end),) = stage.aws.intervals(PROD, ANA, "s3:GetObject")
    assert end is None, "where there is a slot, what is new comes before what it replaces"

    stage.aws.iam(PROD).attach(ANA, stage.aws.publish("P8", text("ec2:Get8")))
    await stage.ingest(directory(policies={"look": managed(old)}, standing=standing))
    await stage.settle()
    assert old in stage.attached(ANA)
    assert len(stage.attached(ANA)) == 10
    assert (await stage.row()).trouble is None


async def test_a_grant_of_one_policy_leaves_nothing_of_another_behind(stage: Stage) -> None:
    await stage.ingest(directory(standing=[permanent("ana"), permanent("ana", grant="fix")]))
    await stage.start()
    await stage.ingest(directory(standing=[permanent("ana", grant="fix")]))
    await stage.settle()
    assert stage.attached(ANA) == {ARN.replace("look", "fix")}
    assert await stage.kinds(PolicyDeleted) == []
    assert len(await stage.of(PolicyWritten)) == 4


async def test_access_that_was_revoked_by_hand_in_an_incident_ends_at_once(stage: Stage) -> None:
    await stage.ingest(
        directory(standing=[permanent("ana")], windows=[temporary("ana", expires_at=at(4))])
    )
    await stage.start()
    await stage.advance_to(at(1))
    await stage.revoke(principal=ANA)
    await stage.settle()
    assert (stage.inline(ANA), stage.attached(ANA)) == ({}, set())
    ((_, end),) = stage.aws.intervals(PROD, ANA, "s3:GetObject")
    assert end is not None
    assert end - at(1) < timedelta(seconds=1)
