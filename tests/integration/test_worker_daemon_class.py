"""What AWS cannot end by itself is given only by opt-in, and taken away by the worker on time."""

import json
from datetime import timedelta
from typing import Any

import pytest

from cli.standing import report_of
from ledger.answer import state_of
from ledger.events import Applied, Left, Refused, Removed, Sighted, Stuck
from ledger.store.standing import read_standing
from tests.support.builders import Entry, Files, at, directory, permanent, policy, temporary
from tests.support.stage import ANA, CI, PROD, Process, Stage

READ, RUN = "s3:GetObject", "ec2:RunInstances"
OWN = f"arn:aws:iam::{PROD}:policy/iam-ledger/payments-fix"


def document(*actions: str, deny: str = "") -> str:
    statements = [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]
    if deny:
        statements.append({"Effect": "Deny", "Action": [deny], "Resource": "*"})
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def denying(stage: Stage, name: str = "Guarded") -> str:
    """One of AWS's own policies that no date could end."""
    return stage.aws.publish(name, document(READ, deny="s3:DeleteBucket"))


def daemon(*arns: str, statements: list[Entry] | None = None) -> Entry:
    own: dict[str, Any] = {} if statements is None else {"custom_statements": statements}
    managed = {"managed_policies": list(arns)} if arns else {}
    return {**managed, **own, "enforcement": "daemon"}


def allow(*actions: str, effect: str = "Allow") -> Entry:
    return {"effect": effect, "actions": list(actions), "resources": ["*"]}


def window(hours: float = 4, **more: Any) -> Entry:
    return temporary("ana", expires_at=at(hours), **more)


async def given(stage: Stage, one: Entry, *windows: Entry) -> Process:
    await stage.ingest(directory(policies={"fix": one}, windows=windows or [window()]))
    return await stage.start()


async def test_a_source_with_a_deny_is_attached_as_it_is_and_detached_at_the_end(
    stage: Stage,
) -> None:
    own = denying(stage)
    await given(stage, daemon(own))
    assert (stage.attached(ANA), stage.inline(ANA)) == ({own}, {})
    row = await stage.row()
    assert [(made.kind, made.name) for made in row.made] == [("attachment", own)]
    assert (row.enforcement, row.access_to) == ("daemon", None)
    assert [pin.arn for pin in row.pins] == [own]
    assert await stage.kinds(Sighted, Applied) == ["Sighted", "Applied"]
    before = len(stage.aws.calls)
    await stage.advance_to(at(5))
    assert [call.operation for call in stage.aws.calls[before:]] == ["detach"]
    ((_, end),) = stage.aws.intervals(PROD, ANA, READ)
    assert end is not None
    assert end - at(4) < timedelta(seconds=1)
    (removed,) = await stage.of(Removed)
    assert removed.outcome == "answered"
    await stage.verified()


async def test_without_its_policys_leave_it_is_refused_and_says_what_would_help(
    stage: Stage,
) -> None:
    await given(stage, {"managed_policies": [denying(stage)]})
    (refused,) = await stage.of(Refused)
    assert refused.code == "not-copyable"
    assert "of Guarded, it holds a Deny" in refused.message
    assert "`enforcement: daemon`" in refused.message


async def test_what_can_be_timed_is_and_the_grant_shows_the_weakest_class(stage: Stage) -> None:
    guarded, plain = denying(stage), stage.aws.publish("Plain", document("rds:Start"))
    await given(stage, daemon(guarded, plain, statements=[allow(RUN)]))
    assert stage.attached(ANA) == {guarded}
    (text,) = stage.inline(ANA).values()
    assert "DateLessThan" in text
    row = await stage.row()
    assert sorted(made.kind for made in row.made) == ["attachment", "inline"]
    assert row.enforcement == "daemon"
    (process,) = stage.processes
    await process.stop()
    await stage.advance_to(at(5))
    assert stage.allows(), "only the worker ends it"
    assert not stage.allows(action=RUN), "AWS ends it"
    assert not stage.allows(action="rds:Start")
    assert state_of(await stage.row(), stage.clock.now()) == "ending"
    await stage.start()
    assert (stage.attached(ANA), stage.inline(ANA)) == (set(), {})
    await stage.verified()


async def test_where_all_of_it_can_be_timed_the_leave_is_not_used(stage: Stage) -> None:
    await given(stage, daemon(stage.aws.publish("Plain", document(READ))))
    assert stage.attached(ANA) == set()
    assert (await stage.row()).enforcement == "aws"


async def test_statements_with_a_deny_are_given_by_the_teams_own_policy(stage: Stage) -> None:
    statements = [allow(RUN), allow("ec2:Terminate*", effect="Deny")]
    await given(stage, daemon(statements=statements))
    assert stage.attached(ANA) == {OWN}
    assert stage.allows(action=RUN)
    (seen,) = await stage.of(Sighted)
    assert (seen.policy_arn, seen.present) == (OWN, False)
    await stage.ingest(directory(policies={"look": policy()}))
    await stage.settle()
    assert stage.attached(ANA) == set()
    assert stage.policies() == {"payments-look"}, "IAM deletes none that is attached"
    await stage.verified()


async def test_what_is_too_large_for_every_form_takes_one_attachment(stage: Stage) -> None:
    """As ReadOnlyAccess: its copy would take 16 customer-managed policies."""
    names = [f"s3:{'x' * 130}{number:03}" for number in range(500)]
    huge, small = (
        stage.aws.publish("Huge", document(*names)),
        stage.aws.publish("S", document(READ)),
    )
    await given(stage, daemon(huge, small))
    assert stage.attached(ANA) == {huge}
    assert len(stage.inline(ANA)) == 1
    assert (await stage.row()).enforcement == "daemon"


async def test_where_there_is_no_slot_either_it_is_refused_with_the_numbers(stage: Stage) -> None:
    stage.without_slots()
    await given(stage, daemon(denying(stage)))
    (refused,) = await stage.of(Refused)
    assert refused.code == "attachment-slots"
    assert "needs 1 more attachments; user/ana has 0 of 0" in refused.message


async def test_a_later_start_is_attached_at_its_instant_and_not_before(stage: Stage) -> None:
    one = daemon(denying(stage), statements=[allow(RUN)])
    await given(stage, one, window(3, starts_at=at(2)))
    await stage.advance_to(at(2) - timedelta(seconds=1))
    assert (stage.attached(ANA), stage.inline(ANA)) == (set(), {})
    await stage.advance_to(at(4))
    for action in (READ, RUN):
        ((begin, end),) = stage.aws.intervals(PROD, ANA, action)
        assert timedelta(0) <= begin - at(2) < timedelta(seconds=1)
        assert end is not None
        assert end - at(3) < timedelta(seconds=1)


# --- whose an attachment is -----------------------------------------------------------------------


async def test_what_stood_before_us_is_used_and_left(stage: Stage) -> None:
    own = denying(stage)
    stage.aws.iam(PROD).attach(ANA, own)
    await given(stage, daemon(own, statements=[allow(RUN)]))
    await stage.advance_to(at(5))
    assert (stage.attached(ANA), stage.inline(ANA)) == ({own}, {})
    (left,) = await stage.of(Left)
    assert [made.name for made in left.made] == [own]
    assert await stage.of(Removed) == []
    assert stage.calls(["attach", "detach"]) == []


def shared(own: str, *, standing: bool, first: float | None, second: float | None) -> Files:
    """Payments has it for ever or not; payments and search have it for a time or not."""
    found: Files = {}
    for team, hours in (("payments", first), ("search", second)):
        found |= directory(
            team,
            policies={"fix": daemon(own)},
            standing=[permanent("ana", grant="fix")] if standing and team == "payments" else [],
            windows=[] if hours is None else [window(hours)],
        )
    return found


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
async def test_an_attachment_of_several_teams_stands_until_the_last_of_them_ends(
    stage: Stage, order: tuple[int, int]
) -> None:
    first, second = order
    own = denying(stage)
    await stage.ingest(shared(own, standing=True, first=first, second=second))
    await stage.start()
    await stage.advance_to(at(0.5))
    await stage.ingest(shared(own, standing=False, first=first, second=second))
    await stage.advance_to(at(3))
    ((begin, end),) = stage.aws.intervals(PROD, ANA, READ)
    assert begin < at(0) + timedelta(seconds=1)
    assert end is not None
    assert timedelta(0) <= end - at(2) < timedelta(seconds=1)
    assert stage.attached(ANA) == set()
    assert await stage.of(Left) == []
    removed = {str(event.grant.team): event.kept_for for event in await stage.of(Removed)}
    assert len(await stage.of(Removed)) == 3
    assert removed["search" if second == 2 else "payments"] == ()


async def test_permanent_access_that_is_for_a_time_now_goes_on_until_then(stage: Stage) -> None:
    own = denying(stage)
    await stage.ingest(shared(own, standing=True, first=None, second=None))
    await stage.start()
    await stage.ingest(shared(own, standing=False, first=2, second=None))
    await stage.advance_to(at(3))
    ((_, end),) = stage.aws.intervals(PROD, ANA, READ)
    assert end is not None
    assert end - at(2) < timedelta(seconds=1)


async def test_a_longer_end_keeps_the_attachment_and_detaches_it_once(stage: Stage) -> None:
    one = daemon(denying(stage))
    await given(stage, one, window(1))
    await stage.ingest(directory(policies={"fix": one}, windows=[window(3)]))
    await stage.advance_to(at(4))
    ((_, end),) = stage.aws.intervals(PROD, ANA, READ)
    assert end is not None
    assert end - at(3) < timedelta(seconds=1)
    assert [line.split()[0] for line in stage.calls(["attach", "detach"])] == ["attach", "detach"]
    assert await stage.of(Left) == []


async def test_a_part_that_can_be_timed_now_is_and_its_attachment_goes_without_a_gap(
    stage: Stage,
) -> None:
    own = denying(stage)
    await given(stage, daemon(own))
    looks: set[bool] = set()
    stage.aws.on_call.append(lambda: looks.add(stage.allows()))
    plain = stage.aws.publish("Plain", document(READ))
    await stage.ingest(directory(policies={"fix": daemon(plain)}, windows=[window()]))
    await stage.settle()
    assert (stage.attached(ANA), len(stage.inline(ANA)), looks) == (set(), 1, {True})
    assert (await stage.row()).enforcement == "aws"


async def test_a_part_that_is_attached_no_more_stays_for_who_else_has_it(stage: Stage) -> None:
    own, plain = denying(stage), stage.aws.publish("Plain", document(RUN))
    search = directory("search", policies={"fix": daemon(own)}, windows=[window(3)])
    await stage.ingest(search | directory(policies={"fix": daemon(own)}, windows=[window()]))
    await stage.start()
    await stage.ingest(search | directory(policies={"fix": daemon(plain)}, windows=[window()]))
    await stage.advance_to(at(2))
    assert (stage.attached(ANA), len(stage.inline(ANA))) == ({own}, 1)
    await stage.advance_to(at(3.5))
    assert (stage.attached(ANA), len(stage.inline(ANA))) == (set(), 1)


async def test_it_stays_for_who_got_it_a_moment_ago_in_the_same_pass(stage: Stage) -> None:
    own, plain = denying(stage), stage.aws.publish("Plain", document(RUN))
    search = directory(
        "search", policies={"fix": daemon(own)}, windows=[window(3, starts_at=at(1))]
    )
    await stage.ingest(search)
    await stage.ingest(search | directory(policies={"fix": daemon(own)}, windows=[window()]))
    process = await stage.start()
    await process.stop()
    await stage.ingest(search | directory(policies={"fix": daemon(plain)}, windows=[window()]))
    await stage.advance_to(at(2))
    await stage.start()
    assert (stage.attached(ANA), len(stage.inline(ANA))) == ({own}, 1)
    await stage.advance_to(at(3.5))
    assert stage.attached(ANA) == set()


# --- crashes and refusals -------------------------------------------------------------------------


async def test_an_attachment_whose_evidence_a_crash_lost_is_never_taken_for_class_aws(
    stage: Stage,
) -> None:
    own = denying(stage)
    await stage.ingest(directory(policies={"fix": daemon(own)}, windows=[window(1)]))
    stage.aws.fail("crash_after", "attach", account=PROD)
    process = await stage.start()
    await process.stop()
    stage.aws.heal()
    assert await stage.of(Applied) == []
    await stage.advance_to(at(2))
    row = await stage.row()
    assert row.enforcement == "daemon"
    assert state_of(row, stage.clock.now()) == "ending", "somebody may have it still"
    await stage.start()
    assert stage.attached(ANA) == set()
    (removed,) = await stage.of(Removed)
    assert removed.outcome == "answered"
    await stage.verified()


async def test_that_is_so_too_where_somebody_had_taken_it_from_who_else_has_it(
    stage: Stage,
) -> None:
    """What others hold by the ledger, and do not have, is attached for the new one alone."""
    own = denying(stage)
    await stage.ingest(shared(own, standing=True, first=None, second=None))
    process = await stage.start()
    await stage.advance(minutes=3)
    stage.aws.iam(PROD).detach(ANA, own)
    stage.aws.fail("crash_after", "attach", account=PROD)
    await stage.ingest(shared(own, standing=True, first=None, second=1))
    await stage.settle()
    assert process.dead
    await process.stop()
    (row,) = [row for row in await stage.rows() if row.grant.temporary]
    assert (row.applied, row.enforcement) == (None, "daemon")


async def test_an_attachment_that_aws_refuses_takes_back_what_was_written_beside_it(
    stage: Stage,
) -> None:
    stage.aws.fail("refused", "put_inline", account=PROD)
    await given(stage, daemon(denying(stage), statements=[allow(RUN)]))
    assert (stage.attached(ANA), stage.inline(ANA)) == (set(), {})
    assert [event.code for event in await stage.of(Stuck)] == ["AccessDenied"]


async def test_the_old_text_of_our_policy_is_withdrawn_where_aws_refuses_the_new_one(
    stage: Stage,
) -> None:
    """Failure: the old version stayed attached, and only a `stuck` told of it."""
    look = f"arn:aws:iam::{PROD}:policy/iam-ledger/payments-look"
    standing = [permanent("ana", roles=["ci"])]
    await stage.ingest(directory(standing=standing))
    await stage.start()
    assert look in stage.attached(ANA) & stage.attached(CI)
    code = "MalformedPolicyDocument"
    stage.aws.fail("refused", "create_policy_version", account=PROD, code=code)
    changed: dict[str, Entry] = {"look": {"custom_statements": [allow(RUN)]}, "fix": policy()}
    await stage.ingest(directory(standing=standing, policies=changed))
    await stage.settle()
    assert stage.attached(ANA) == stage.attached(CI) == set()
    refused = await stage.of(Refused)
    assert {(str(event.grant.principal), event.code) for event in refused} == {
        ("user/ana", code),
        ("role/ci", code),
    }
    assert "the old one was withdrawn" in refused[0].message
    await stage.advance(minutes=10)
    assert len(await stage.of(Refused)) == 2, "told once"
    stage.aws.heal()
    await stage.advance(minutes=15)
    assert stage.attached(ANA) == stage.attached(CI) == {look}
    assert stage.allows(action=RUN)
    assert all(row.trouble is None for row in await stage.rows())
    await stage.verified()


async def test_permanent_access_that_aws_has_no_slot_for_is_refused_and_nothing_of_it_stays(
    stage: Stage,
) -> None:
    """As where the account's quota is smaller than it told, or somebody was quicker."""
    arns = [stage.aws.publish(name, document(READ)) for name in ("First", "Second")]
    stage.aws.fail("refused", "attach", about="Second", code="LimitExceeded")
    policies: dict[str, Entry] = {"look": {"managed_policies": arns}}
    await stage.ingest(directory(policies=policies, standing=[permanent("ana")]))
    await stage.start(resync_every=timedelta(minutes=10))
    assert stage.attached(ANA) == set()
    (refused,) = await stage.of(Refused)
    assert (refused.code, await stage.of(Stuck)) == ("LimitExceeded", [])
    stage.aws.heal()
    await stage.advance(minutes=11)
    assert stage.attached(ANA) == set(arns)
    await stage.verified()


async def test_a_policy_of_ours_that_cannot_be_touched_is_told_and_withdraws_nothing(
    stage: Stage,
) -> None:
    """The deployer's rights are at fault there, not the text: a person must look."""
    await stage.ingest(directory(standing=[permanent("ana")]))
    await stage.start()
    stage.aws.fail("refused", "create_policy_version", account=PROD)
    changed: dict[str, Entry] = {"look": {"custom_statements": [allow(RUN)]}, "fix": policy()}
    await stage.ingest(directory(standing=[permanent("ana")], policies=changed))
    await stage.settle()
    assert len(stage.attached(ANA)) == 1
    assert await stage.of(Refused) == []


async def test_a_second_factor_is_asked_for_in_every_form(stage: Stage) -> None:
    statements = [allow(READ), allow("ec2:Terminate*", effect="Deny")]
    policies: dict[str, Entry] = {
        "fix": {"custom_statements": [allow(RUN)], "require_mfa": True},
        "look": {"custom_statements": statements, "require_mfa": True, "enforcement": "daemon"},
    }
    windows = [window(), temporary("ana", grant="look", expires_at=at(4))]
    await stage.ingest(directory(policies=policies, windows=windows))
    await stage.start()
    (copy,) = stage.inline(ANA).values()
    texts = [copy]
    for name in ("fix", "look"):
        found = stage.aws.iam(PROD).find(OWN.replace("fix", name))
        assert found is not None
        texts.append(found.versions[found.default])
    for text in texts:
        for statement in json.loads(text)["Statement"]:
            asked = statement.get("Condition", {}).get("Bool", {})
            wanted = {"aws:MultiFactorAuthPresent": "true"}
            assert asked == (wanted if statement["Effect"] == "Allow" else {})


@pytest.mark.parametrize("reason", ["nobody else's", "stood before", "needed by another"])
async def test_what_status_would_have_people_type_is_what_the_worker_then_does(
    stage: Stage, reason: str
) -> None:
    own = denying(stage)
    if reason == "stood before":
        stage.aws.iam(PROD).attach(ANA, own)
    policies = {"fix": daemon(own), "look": policy(managed_policies=[own])}
    standing = [permanent("ana")] if reason == "needed by another" else []
    await stage.ingest(directory(policies=policies, windows=[window()], standing=standing))
    process = await stage.start()
    await process.stop()
    await stage.advance_to(at(5))
    async with stage.ledger.reading() as connection:
        standing_now = await read_standing(connection, now=stage.clock.now())
    report = report_of(standing_now, stage.clock.now())
    (shown,) = report.overdue
    before = len(stage.aws.calls)
    await stage.start()
    detached = [c for c in stage.aws.calls[before:] if c.operation == "detach"]
    assert len(detached) == len(report.exposed) == len(shown.by_hand)
    assert (len(detached) == 1) == (reason == "nobody else's")
    assert all("aws iam detach-user-policy" in line for line in shown.by_hand)
