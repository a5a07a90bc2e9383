"""What is too large for one inline policy stands over several policies of its own, all or none."""

import json
from datetime import timedelta
from typing import Any

import pytest

from ledger.events import Applied, Refused, Removed, Stuck
from ledger.model import parse_principal
from ledger.project import GrantRow
from tests.support.builders import Entry, Files, at, directory, permanent, policy, temporary
from tests.support.stage import ANA, PROD, Stage
from worker.account import AccountLimits

LONG = "x" * 130
FIRST, LAST = f"s3:{LONG}000", f"s3:{LONG}089"
"""Of the actions in `large()`, as they are sorted."""

MINE = "iam-ledger:grant"


def actions(count: int) -> list[str]:
    """140 characters each: 90 of them take three documents."""
    return [f"s3:{LONG}{number:03}" for number in range(count)]


def large(count: int = 90, **more: Any) -> str:
    statement = {"Effect": "Allow", "Action": actions(count), "Resource": "*", **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def published(stage: Stage, count: int = 90, name: str = "Large") -> dict[str, Entry]:
    """A policy `fix` of one of AWS's own that is so large."""
    return {"fix": {"managed_policies": [stage.aws.publish(name, large(count))]}}


def window(hours: float = 4) -> Entry:
    return temporary("ana", expires_at=at(hours))


def parts(row: GrantRow) -> list[str]:
    return [made.name for made in row.made if made.kind == "policy"]


def standing(stage: Stage) -> int:
    """How many parts there are; each hangs on ana, and nothing else does."""
    names = {name for name in stage.policies() if name.startswith("iam-ledger-")}
    attached = {arn.rpartition("/")[2] for arn in stage.attached(ANA)}
    assert attached == names
    return len(names)


def text_of(stage: Stage, arn: str) -> str:
    found = stage.aws.iam(PROD).find(arn)
    assert found is not None
    return found.versions[found.default]


async def given(stage: Stage, policies: dict[str, Entry], hours: float = 4) -> GrantRow:
    await stage.ingest(directory(policies=policies, windows=[window(hours)]))
    await stage.start()
    await stage.advance(seconds=5)
    return await stage.row()


async def test_a_large_copy_is_split_ends_by_itself_and_is_tagged_as_the_grants(
    stage: Stage,
) -> None:
    row = await given(stage, published(stage))
    assert (standing(stage), len(parts(row)), row.enforcement) == (3, 3, "aws")
    assert stage.inline(ANA) == {}
    assert stage.allows(action=FIRST)
    assert stage.allows(action=LAST)
    for arn in parts(row):
        tags = stage.aws.iam(PROD).tags(arn)
        assert (tags[MINE], tags["iam-ledger:policy"]) == (row.grant.id, "fix")
    (process,) = stage.processes
    await process.stop()
    await stage.advance_to(at(5))
    assert standing(stage) == 3, "nobody is there to clean up"
    ((_, end),) = stage.aws.intervals(PROD, ANA, LAST)
    assert end == at(4)
    await stage.start()
    assert standing(stage) == 0
    await stage.verified()


async def test_its_end_is_kept_without_reading_anything(stage: Stage) -> None:
    await given(stage, published(stage))
    before = len(stage.aws.calls)
    await stage.advance_to(at(5))
    calls = [call.operation for call in stage.aws.calls[before:]]
    assert calls == ["detach"] * 3 + ["delete_policy"] * 3
    (removed,) = await stage.of(Removed)
    assert removed.lateness_us == 3 * 40_000, "to the last call that ended access"
    assert len(removed.requests) == 6


@pytest.mark.parametrize(
    ("operation", "number", "code"),
    [
        ("create_policy", 3, "LimitExceeded"),
        ("attach", 2, "AccessDenied"),
        ("attach", 3, "LimitExceeded"),
    ],
)
async def test_what_is_refused_half_way_leaves_nothing_behind(
    stage: Stage, operation: str, number: int, code: str
) -> None:
    about = f"-p{number}"
    fault = stage.aws.fail("refused", operation, about=about, account=PROD, code=code)
    await given(stage, published(stage))
    assert (standing(stage), fault.struck) == (0, 1)
    assert not stage.allows(action=FIRST)
    told: type[Refused | Stuck] = Stuck if code == "AccessDenied" else Refused
    (event,) = await stage.of(told)
    assert event.code == code
    stage.aws.heal()
    await stage.advance(minutes=2)
    if code == "AccessDenied":
        assert standing(stage) == 3


async def test_a_longer_end_is_written_over_the_shorter_one_without_a_gap(stage: Stage) -> None:
    policies = published(stage)
    row = await given(stage, policies, 1)
    names = parts(row)
    looks: set[tuple[bool, bool]] = set()
    stage.aws.on_call.append(
        lambda: looks.add((stage.allows(action=FIRST), stage.allows(action=LAST)))
    )
    for hour in range(2, 9):
        await stage.ingest(directory(policies=policies, windows=[window(hour)]))
        await stage.advance(seconds=5)
    assert looks == {(True, True)}
    assert standing(stage) == 3
    newest = (await stage.rows())[-1]
    assert parts(newest) == names
    for arn in names:
        found = stage.aws.iam(PROD).find(arn)
        assert found is not None
        assert list(found.versions) == [f"v{number}" for number in range(4, 9)]
    await stage.advance_to(at(9))
    assert standing(stage) == 0
    ((_, end),) = stage.aws.intervals(PROD, ANA, FIRST)
    assert end == at(8)
    await stage.verified()


@pytest.mark.parametrize("counts", [(90, 40), (40, 90), (90, 1), (1, 90)])
async def test_a_policy_changed_under_a_live_grant_changes_its_form_without_a_gap(
    stage: Stage, counts: tuple[int, int]
) -> None:
    before, after = counts
    await given(stage, published(stage, before))
    looks: set[bool] = set()
    stage.aws.on_call.append(lambda: looks.add(stage.allows(action=FIRST)))
    files = directory(policies=published(stage, after, "Other"), windows=[window()])
    await stage.ingest(files)
    await stage.advance(seconds=5)
    assert looks == {True}
    wanted = {1: 0, 40: 1, 90: 3}[after]
    assert (standing(stage), len(stage.inline(ANA))) == (wanted, int(wanted == 0))
    assert not stage.allows(action=actions(max(counts))[-1]) or after > before
    assert (await stage.row()).enforcement == "aws"
    await stage.advance_to(at(5))
    assert (standing(stage), stage.inline(ANA)) == (0, {})


@pytest.mark.parametrize("operation", ["create_policy", "create_policy_version"])
async def test_what_reviewers_withdrew_goes_where_aws_refuses_the_new_text(
    stage: Stage, operation: str
) -> None:
    await given(stage, published(stage))
    code = "MalformedPolicyDocument"
    stage.aws.fail("refused", operation, about="iam-ledger-", account=PROD, code=code)
    files = directory(policies=published(stage, 130, "Other"), windows=[window()])
    await stage.ingest(files)
    await stage.advance(seconds=5)
    assert (standing(stage), stage.inline(ANA)) == (0, {})
    (refused,) = await stage.of(Refused)
    assert refused.code == code
    assert (await stage.row()).made != (), "that it stood is not forgotten"
    stage.aws.heal()
    files = directory(policies=published(stage, 40, "Third"), windows=[window()])
    await stage.ingest(files)
    await stage.advance(seconds=5)
    assert standing(stage) == 1
    await stage.verified()


async def test_an_extension_that_is_refused_leaves_what_it_continues_as_it_was(
    stage: Stage,
) -> None:
    policies = published(stage)
    row = await given(stage, policies, 2)
    texts = {arn: text_of(stage, arn) for arn in parts(row)}
    stage.aws.fail(
        "refused", "create_policy_version", about="-p2", account=PROD, code="LimitExceeded"
    )
    await stage.ingest(directory(policies=policies, windows=[window(4)]))
    await stage.advance(seconds=5)
    assert standing(stage) == 3
    assert {arn: text_of(stage, arn) for arn in parts(row)} == texts
    await stage.advance_to(at(3))
    ((_, end),) = stage.aws.intervals(PROD, ANA, FIRST)
    assert (standing(stage), end) == (0, at(2))


# --- quotas ---------------------------------------------------------------------------------------


async def test_without_room_it_is_refused_and_who_has_the_room_is_named(stage: Stage) -> None:
    iam = stage.aws.iam(PROD)
    for number in range(8):
        iam.attach(ANA, stage.aws.publish(f"Theirs{number}", large(1)))
    iam.put_inline(ANA, "theirs", large(10))
    await given(stage, published(stage))
    (refused,) = await stage.of(Refused)
    assert refused.code == "no-room"
    for told in (
        "takes 12,",
        "of 2,048 left inline (used by theirs: 1,4",
        "takes 3; user/ana has 2 of 10 attachments left (used by arn:aws:iam::aws:policy/Theirs0",
        "and 3 more",
        "`enforcement: daemon`",
    ):
        assert told in refused.message
    assert stage.calls() == ["create_policy /iam-ledger/payments-fix"] * 0
    iam.detach(ANA, "arn:aws:iam::aws:policy/Theirs0")
    (process,) = stage.processes
    await process.stop()
    await stage.start()
    assert len(parts(await stage.row())) == 3


async def test_what_stays_refused_is_told_once_and_asks_for_nothing_to_go_again(
    stage: Stage,
) -> None:
    await given(stage, published(stage))
    changed = directory(policies=published(stage, 500, "Other"), windows=[window()])
    await stage.ingest(changed)
    await stage.advance(seconds=5)
    assert standing(stage) == 0
    before = len(stage.calls())
    (process,) = stage.processes
    await process.stop()
    await stage.start(resync_every=timedelta(minutes=5))
    await stage.advance(minutes=30)
    assert stage.calls()[before:] == []
    assert len(await stage.of(Refused)) == 1


async def test_another_grant_that_has_the_room_is_named(stage: Stage) -> None:
    stage.without_slots()
    middle = stage.aws.publish("Middle", large(10))
    policies: dict[str, Entry] = {
        "fix": {"managed_policies": [middle]},
        "look": {"managed_policies": [middle]},
    }
    windows = [window(), temporary("ana", grant="look", expires_at=at(5))]
    await stage.ingest(directory(policies=policies, windows=windows))
    await stage.start()
    (refused,) = await stage.of(Refused)
    (stands,) = [row for row in await stage.rows() if row.made]
    assert f"{stands.grant.object} of grant {stands.grant.id}: 1," in refused.message


async def test_a_quota_that_was_raised_is_used_and_one_that_is_not_told_is_awss_default(
    stage: Stage,
) -> None:
    iam = stage.aws.iam(PROD)
    iam.quotas = AccountLimits(attached={ANA.kind: 20})
    await given(stage, published(stage, 500))
    assert standing(stage) > 10
    await stage.ingest(directory())
    await stage.advance(seconds=5)
    (process,) = stage.processes
    await process.stop()
    stage.aws.fail("refused", "read_limits")
    await stage.ingest(directory(policies=published(stage, 500), windows=[window(6)]))
    await stage.start()
    (refused,) = await stage.of(Refused)
    assert "10 of 10 attachments left" in refused.message


async def test_an_account_with_too_many_policies_is_told_with_its_number(stage: Stage) -> None:
    iam = stage.aws.iam(PROD)
    for number in range(8):
        iam.create_policy(f"theirs-{number}", "/", large(1), {})
    iam.quotas = AccountLimits(policies_max=10)
    await given(stage, published(stage))
    (refused,) = await stage.of(Refused)
    assert "room for 2 more customer-managed policies of 10" in refused.message
    assert standing(stage) == 0


async def test_a_policy_that_the_account_has_no_room_for_is_not_asked_for(stage: Stage) -> None:
    iam = stage.aws.iam(PROD)
    for number in range(10):
        iam.create_policy(f"theirs-{number}", "/", large(1), {})
    iam.quotas = AccountLimits(policies_max=10)
    await stage.ingest(directory(standing=[permanent("ana")]))
    await stage.start()
    stuck = [event for event in await stage.of(Stuck) if event.account == PROD]
    assert [event.policy for event in stuck] == ["fix", "look"]
    assert all("holds 10 of 10 customer-managed policies" in event.message for event in stuck)
    assert stage.calls(["create_policy"], PROD) == []


async def test_permanent_attachments_are_counted_against_the_accounts_own_quota(
    stage: Stage,
) -> None:
    iam = stage.aws.iam(PROD)
    arns = [stage.aws.publish(f"P{number}", large(1)) for number in range(11)]
    iam.quotas = AccountLimits(attached={ANA.kind: 11})
    policies: dict[str, Entry] = {"look": {"managed_policies": arns}}
    await stage.ingest(directory(policies=policies, standing=[permanent("ana")]))
    await stage.start()
    assert stage.attached(ANA) == set(arns)


# --- ownership ------------------------------------------------------------------------------------


async def test_a_policy_of_somebody_else_under_a_parts_name_is_told_and_left_alone(
    stage: Stage,
) -> None:
    policies = published(stage)
    files = directory(policies=policies, windows=[window()])
    report = await stage.ingest(files)
    assert report.events
    name = f"{(await stage.row()).grant.object}-p2"
    iam = stage.aws.iam(PROD)
    theirs = iam.create_policy(name.upper(), "/", large(1), {})
    await stage.start()
    (stuck,) = await stage.of(Stuck)
    assert stuck.code == "conflict"
    assert stage.policies() == {name.upper()}
    assert stage.attached(ANA) == set()
    assert theirs is not None
    iam.delete_policy(theirs)
    await stage.advance(minutes=2)
    assert standing(stage) == 3


async def test_another_installations_parts_are_neither_rewritten_nor_taken_away(
    stage: Stage,
) -> None:
    """The same files give the same names; only the tags tell whose they are."""
    await stage.ingest(directory(policies=published(stage), windows=[window(1)]))
    name = (await stage.row()).grant.object
    iam = stage.aws.iam(PROD)
    tags = {"iam-ledger:ledger": "another-one"}
    theirs = [
        iam.create_policy(f"{name}-p{number}", "/iam-ledger/", large(number), tags)
        for number in (1, 2)
    ]
    assert theirs[1] is not None
    iam.attach(ANA, theirs[1])
    await stage.start()
    await stage.advance_to(at(2))
    assert {event.code for event in await stage.of(Stuck)} == {"conflict"}
    for number, arn in enumerate(theirs, 1):
        assert arn is not None
        assert text_of(stage, arn) == large(number)
    assert stage.attached(ANA) == {theirs[1]}
    assert stage.policies() == {f"{name}-p1", f"{name}-p2"}


async def test_what_somebody_hung_on_another_person_goes_too_when_the_grant_is_over(
    stage: Stage,
) -> None:
    row = await given(stage, published(stage))
    bob = parse_principal("user/bob")
    stage.aws.iam(PROD).attach(bob, parts(row)[0])
    await stage.advance_to(at(5))
    assert standing(stage) == 0
    assert stage.attached(bob) == set()


# --- crashes --------------------------------------------------------------------------------------


def files_without(stage: Stage) -> Files:
    return directory(policies=published(stage))


@pytest.mark.parametrize(
    ("operation", "about"), [("create_policy", "-p2"), ("attach", "-p1"), ("attach", "-p3")]
)
async def test_what_a_crash_hid_goes_with_a_line_that_was_taken_out_meanwhile(
    stage: Stage, operation: str, about: str
) -> None:
    await stage.ingest(directory(policies=published(stage), windows=[window()]))
    stage.aws.fail("crash_after", operation, about=about, account=PROD)
    process = await stage.start()
    assert process.dead
    await process.stop()
    stage.aws.heal()
    assert await stage.of(Applied) == []
    await stage.ingest(files_without(stage))
    await stage.start()
    assert standing(stage) == 0
    (removed,) = await stage.of(Removed)
    assert removed.cause == "revoked"
    await stage.verified()


async def test_a_crash_while_what_a_crash_hid_is_taken_away_hides_nothing_more(
    stage: Stage,
) -> None:
    """The last part goes first: while any is left, the first is there to be found."""
    await stage.ingest(directory(policies=published(stage), windows=[window()]))
    for operation in ("attach", "delete_policy"):
        stage.aws.fail("crash_after", operation, account=PROD)
        process = await stage.start()
        assert process.dead
        await process.stop()
        stage.aws.heal()
        await stage.ingest(files_without(stage))
    await stage.start()
    assert standing(stage) == 0


async def test_a_part_that_a_crash_hid_behind_older_evidence_goes_too(stage: Stage) -> None:
    await given(stage, published(stage, 40))
    (process,) = stage.processes
    stage.aws.fail("crash_after", "attach", about="-p2", account=PROD)
    grown = directory(policies=published(stage, 90, "Other"), windows=[window()])
    await stage.ingest(grown)
    await stage.advance(seconds=5)
    assert process.dead
    await process.stop()
    stage.aws.heal()
    assert len(stage.attached(ANA)) == 2
    await stage.ingest(directory(policies=published(stage, 90, "Other")))
    await stage.start()
    assert standing(stage) == 0


async def test_two_windows_of_one_large_policy_never_cut_each_other(stage: Stage) -> None:
    windows = [window(2), temporary("ana", starts_at=at(1), expires_at=at(3))]
    policies = {"fix": policy(custom_statements=[small_but_inline_is_full()])}
    stage.aws.iam(PROD).put_inline(ANA, "theirs", large(12))
    await stage.ingest(directory(policies=policies, windows=windows))
    await stage.start()
    await stage.advance_to(at(4))
    assert standing(stage) == 0
    ((_, end),) = stage.aws.intervals(PROD, ANA, "ec2:Run00")
    assert end == at(3)


def small_but_inline_is_full() -> Entry:
    names = [f"ec2:Run{number:02}" for number in range(20)]
    return {"effect": "Allow", "actions": names, "resources": ["*"]}
