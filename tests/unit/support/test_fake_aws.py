"""What the fake says of access is what AWS's evaluation would, and its history forgets nothing."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ledger.model import Account, AccountId, Team
from tests.support.fake_aws.access import allowed
from tests.support.fake_aws.account import FakeAws, FakeGate
from tests.support.fake_aws.faults import Crash
from tests.support.fake_clock import FakeClock
from worker.errors import AccountClosed, AwsBusy, AwsUnanswered

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PROD = AccountId("111111111111")
ENTRY = Account(Team("payments"), "prod", PROD, "Deployer")


def document(action: str = "s3:GetObject", effect: str = "Allow", **dates: Any) -> str:
    condition = {operator: {"aws:CurrentTime": value} for operator, value in dates.items()}
    statement = {"Effect": effect, "Action": action, "Resource": "*", "Condition": condition}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def world(latency_s: float = 0) -> tuple[FakeClock, FakeAws, FakeGate]:
    clock = FakeClock(NOON)
    aws = FakeAws(clock, latency=timedelta(seconds=latency_s))
    aws.open_account(PROD)
    return clock, aws, FakeGate(aws)


@pytest.mark.parametrize(
    ("documents", "action", "verdict"),
    [
        ([document("s3:Get*")], "S3:GETOBJECT", True),
        ([document("s3:Get*")], "s3:PutObject", False),
        ([], "s3:GetObject", False),
        ([document(), document(effect="Deny")], "s3:GetObject", False),
        ([document(DateLessThan="2026-03-02T12:00:01Z")], "s3:GetObject", True),
        ([document(DateLessThan="2026-03-02T12:00:00Z")], "s3:GetObject", False),
        ([document(DateGreaterThanEquals="2026-03-02T12:00:00Z")], "s3:GetObject", True),
        ([document(DateGreaterThanEquals="2026-03-02T12:00:01Z")], "s3:GetObject", False),
        ([document(DateLessThan=["2026-03-01T00:00Z", "2026-03-03T00:00Z"])], "s3:GetObject", True),
        (
            [document(), document(effect="Deny", DateGreaterThanEquals="2026-03-02T12:00:00Z")],
            "s3:GetObject",
            False,
        ),
    ],
)
def test_access_is_judged_as_aws_documents_it(
    documents: list[str], action: str, verdict: bool
) -> None:
    assert allowed(documents, action, NOON) is verdict


async def test_intervals_show_every_gap_and_every_date() -> None:
    clock, aws, _ = world()
    iam = aws.iam(PROD)
    ana = iam.add("user/ana")
    iam.put_inline(ana, "a", document(DateLessThan="2026-03-02T14:00:00Z"))
    await clock.advance(hours=1)
    iam.delete_inline(ana, "a")
    await clock.advance(seconds=1)
    iam.put_inline(ana, "a", document(DateLessThan="2026-03-02T14:00:00Z"))
    own = aws.publish("Own", document())
    await clock.advance(hours=2)
    iam.attach(ana, own)
    await clock.advance(hours=1)
    one = NOON + timedelta(hours=1)
    assert aws.intervals(PROD, ana, "s3:GetObject") == [
        (NOON, one),
        (one + timedelta(seconds=1), NOON + timedelta(hours=2)),
        (NOON + timedelta(hours=3, seconds=1), None),
    ]
    assert aws.allows(PROD, ana, "s3:GetObject", NOON + timedelta(minutes=30))
    assert not aws.allows(PROD, ana, "s3:GetObject", NOON + timedelta(hours=2, minutes=30))


async def test_a_call_takes_its_time_and_is_done_in_the_middle_of_it() -> None:
    clock, aws, gate = world(latency_s=2)
    ana = aws.iam(PROD).add("user/ana")
    answer = await clock.run(gate.account(ENTRY).put_inline(ana, "a", document()))
    assert answer.confirmed_at == NOON + timedelta(seconds=2)
    ((begin, _),) = aws.intervals(PROD, ana, "s3:GetObject")
    assert begin == NOON + timedelta(seconds=1)


async def test_faults_strike_the_calls_that_they_are_about() -> None:
    _, aws, gate = world()
    ana = aws.iam(PROD).add("user/ana")
    account = gate.account(ENTRY)
    aws.fail("busy", "put_inline", at=2)
    aws.fail("unanswered_done", "put_inline", about="third")
    aws.fail("unanswered_undone", "put_inline", about="fourth")
    await account.put_inline(ana, "first", document())
    with pytest.raises(AwsBusy):
        await account.put_inline(ana, "second", document())
    for name in ("third", "fourth"):
        with pytest.raises(AwsUnanswered):
            await account.put_inline(ana, name, document())
    assert set(aws.iam(PROD).entities["user/ana"].inline) == {"first", "third"}
    outcomes = [call.outcome for call in aws.calls]
    assert outcomes == ["done", "Throttling", "ReadTimeout", "ReadTimeout"]


async def test_only_the_right_role_with_the_right_word_comes_in() -> None:
    _, aws, gate = world()
    aws.open_account(AccountId("222222222222"), role="Other", external_id="word")
    for role, word in (("Deployer", "word"), ("Other", None), ("Other", "words")):
        entry = Account(Team("payments"), "dev", AccountId("222222222222"), role, word)
        with pytest.raises(AccountClosed):
            await gate.account(entry).observe()
    entry = Account(Team("payments"), "dev", AccountId("222222222222"), "Other", "word")
    assert (await gate.account(entry).observe()).principals == {}


async def test_a_dead_process_reaches_nothing_any_more() -> None:
    _, aws, gate = world()
    ana = aws.iam(PROD).add("user/ana")
    aws.fail("crash_after", "put_inline")
    account = gate.account(ENTRY)
    with pytest.raises(Crash):
        await account.put_inline(ana, "a", document())
    with pytest.raises(Crash):
        await account.delete_inline(ana, "a")
    assert list(aws.iam(PROD).entities["user/ana"].inline) == ["a"]
    assert (await FakeGate(aws).account(ENTRY).observe()).principals["user/ana"].inline.keys() == {
        "a"
    }
