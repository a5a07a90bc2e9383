"""For two minutes what we did is so, whatever IAM shows; and no longer, and nothing else."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from ledger.model import Account, AccountId, Team, parse_principal
from tests.support.fake_aws.account import FakeAws, FakeGate
from tests.support.fake_aws.strict import Strictness
from tests.support.fake_clock import FakeClock
from worker.errors import AwsBusy, AwsMissing, AwsRefused, AwsUnanswered
from worker.own_writes import SettledGate
from worker.timing import SETTLING

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PROD = AccountId("111111111111")
ENTRY = Account(Team("payments"), "prod", PROD, "Deployer")
ANA = parse_principal("user/ana")
HOUR = timedelta(hours=1)


def text(action: str) -> str:
    return json.dumps({"Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]})


ONE, TWO = text("s3:Get*"), text("s3:Put*")


class World:
    """An account that ana has been in for long, and a way in that remembers."""

    def __init__(self) -> None:
        self.clock = FakeClock(NOON - HOUR)
        self.aws = FakeAws(self.clock, latency=timedelta(0))
        self.iam = self.aws.open_account(PROD)
        self.iam.add("user/ana")
        self.gate = SettledGate(FakeGate(self.aws), self.clock.now)
        self.way = self.gate.account(ENTRY)

    async def strict(self, rules: Strictness) -> None:
        """From now on, an hour later."""
        await self.clock.advance_to(NOON)
        self.aws.be_strict(rules)

    async def inline(self) -> dict[str, str]:
        alone = await self.gate.account(ENTRY).read_principal(ANA)
        whole = (await self.way.observe()).principals[ANA.key]
        assert alone == whole
        return whole.inline


async def test_whatever_reads_show_ours_is_as_we_left_it_until_it_is_shown() -> None:
    world = World()
    world.iam.put_inline(ANA, "gone", ONE)
    world.iam.put_inline(ANA, "theirs", ONE)
    own = world.aws.publish("Own", ONE)
    await world.strict(Strictness(lag=timedelta(seconds=100)))
    await world.way.put_inline(ANA, "new", ONE)
    await world.way.delete_inline(ANA, "gone")
    await world.way.attach(ANA, own)
    assert await world.inline() == {"theirs": ONE, "new": ONE}
    state = await world.way.read_principal(ANA)
    assert state is not None
    assert state.attached == {own}
    await world.way.detach(ANA, own)
    await world.way.put_inline(ANA, "new", TWO)
    await world.clock.advance(seconds=99)
    assert await world.inline() == {"theirs": ONE, "new": TWO}
    await world.clock.advance(hours=1)
    assert await world.inline() == {"theirs": ONE, "new": TWO}


async def test_a_policy_of_ours_is_as_we_left_it_and_its_tags_too() -> None:
    world = World()
    old = world.iam.create_policy("old", "/", ONE, {"k": "old"})
    assert old is not None
    await world.strict(Strictness(lag=timedelta(seconds=100)))
    made = await world.way.create_policy(name="new", path="/", document=ONE, tags={"k": "v"})
    assert made.arn is not None
    for arn in (made.arn, old):
        await world.way.create_policy_version(arn, TWO)
    policy = await world.way.read_policy(made.arn)
    assert policy == world.iam.policy(made.arn)
    assert await world.way.read_policy_tags(made.arn) == {"k": "v"}
    assert await world.way.read_policy_tags(old) == {"k": "old"}
    rewritten = await world.way.read_policy(old)
    assert rewritten is not None
    assert rewritten.document == TWO
    assert set((await world.way.observe()).policies) == {"old", "new"}
    await world.way.delete_policy_version(made.arn, "v1")
    await world.way.delete_policy(made.arn)
    assert await world.way.read_policy(made.arn) is None
    assert set((await world.way.observe()).policies) == {"old"}


async def test_after_two_minutes_what_is_read_is_believed() -> None:
    world = World()
    await world.strict(Strictness())
    await world.way.put_inline(ANA, "new", ONE)
    world.iam.delete_inline(ANA, "new")
    assert await world.inline() == {"new": ONE}
    await world.clock.advance_to(NOON + SETTLING)
    assert await world.inline() == {}


async def test_not_there_is_asked_again_while_iam_may_not_know_what_we_made() -> None:
    world = World()
    world.iam.put_inline(ANA, "old", ONE)
    await world.strict(Strictness(unknown_for=timedelta(seconds=100)))
    own = (await world.way.create_policy(name="p", path="/", document=ONE, tags={})).arn or ""
    await world.way.put_inline(ANA, "new", ONE)
    for call in (
        world.way.delete_inline(ANA, "new"),
        world.way.attach(ANA, own),
        world.way.create_policy_version(own, TWO),
        world.way.delete_policy(own),
    ):
        with pytest.raises(AwsBusy):
            await call
    assert set(world.iam.entities[ANA.key].inline) == {"old", "new"}
    assert (await world.way.delete_inline(ANA, "old")).outcome == "done"
    assert (await world.way.delete_inline(ANA, "never")).outcome == "absent"
    with pytest.raises(AwsMissing):
        await world.way.attach(ANA, "arn:aws:iam::aws:policy/Never")
    await world.clock.advance_to(NOON + SETTLING)
    assert (await world.way.delete_inline(ANA, "new")).outcome == "done"
    assert (await world.way.attach(ANA, own)).outcome == "done"


async def test_in_use_is_asked_again_while_iam_may_still_see_what_we_detached() -> None:
    world = World()
    arns = [world.iam.create_policy(name, "/", ONE, {}) or "" for name in ("ours", "theirs")]
    for arn in arns:
        world.iam.attach(ANA, arn)
    await world.strict(Strictness(unknown_for=timedelta(seconds=10)))
    await world.way.detach(ANA, arns[0])
    with pytest.raises(AwsBusy):
        await world.way.delete_policy(arns[0])
    with pytest.raises(AwsRefused, match="DeleteConflict"):
        await world.way.delete_policy(arns[1])
    await world.clock.advance(seconds=10)
    assert (await world.way.delete_policy(arns[0])).outcome == "done"


async def test_a_principal_made_lately_may_not_be_known_to_iam_and_one_made_long_ago_is() -> None:
    world = World()
    await world.strict(Strictness(unknown_for=timedelta(seconds=10)))
    zoe = world.iam.add("user/zoe")
    assert await world.way.read_principal(zoe) is not None
    with pytest.raises(AwsBusy):
        await world.way.put_inline(zoe, "a", ONE)
    world.aws.fail("refused", "put_inline", code="MalformedPolicyDocument")
    with pytest.raises(AwsBusy):
        await world.way.put_inline(zoe, "a", ONE)
    await world.clock.advance_to(NOON + SETTLING)
    with pytest.raises(AwsRefused, match="MalformedPolicyDocument"):
        await world.way.put_inline(zoe, "a", ONE)
    world.iam.drop(zoe)
    world.aws.heal()
    with pytest.raises(AwsMissing):
        await world.way.put_inline(zoe, "a", ONE)


async def test_of_a_principal_made_anew_nothing_is_remembered() -> None:
    world = World()
    await world.strict(Strictness())
    await world.way.read_principal(ANA)
    await world.way.put_inline(ANA, "new", ONE)
    await world.way.attach(ANA, world.aws.publish("Own", ONE))
    world.iam.recreate(ANA)
    assert await world.inline() == {}
    state = await world.way.read_principal(ANA)
    assert state is not None
    assert state.attached == frozenset()


async def test_a_call_without_an_answer_teaches_nothing() -> None:
    world = World()
    await world.strict(Strictness())
    world.aws.fail("unanswered_undone", "put_inline")
    with pytest.raises(AwsUnanswered):
        await world.way.put_inline(ANA, "new", ONE)
    assert await world.inline() == {}
