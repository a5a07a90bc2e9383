"""What the fake does where AWS is strict: it hides, forgets, throttles and mistakes as told."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ledger.model import Account, AccountId, Principal, Team, parse_principal
from tests.support.fake_aws.account import SKEW_MAX, FakeAccount, FakeAws, FakeGate
from tests.support.fake_aws.iam import RAW_CHARS_MAX
from tests.support.fake_aws.strict import Rate, Strictness
from tests.support.fake_clock import FakeClock
from worker.errors import AwsBusy, AwsMissing, AwsRefused

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PROD, DEV = AccountId("111111111111"), AccountId("222222222222")
TEN = timedelta(seconds=10)
ANA = parse_principal("user/ana")
READ = json.dumps(
    {"Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}]}, sort_keys=True
)


class World:
    """One account with ana in it, a way in, and a clock that moves when told."""

    def __init__(self, rules: Strictness) -> None:
        self.clock = FakeClock(NOON)
        self.aws = FakeAws(self.clock, latency=timedelta(0))
        self.iam = self.aws.open_account(PROD)
        self.aws.open_account(DEV)
        self.iam.add("user/ana")
        self.gate = FakeGate(self.aws)
        self.way = self.into(PROD)
        self.aws.be_strict(rules, PROD)

    def into(self, account: AccountId) -> FakeAccount:
        return self.gate.account(Account(Team("payments"), "any", account, "Deployer"))

    async def inline(self) -> set[str]:
        seen = await self.way.read_principal(ANA)
        assert seen is not None
        return set(seen.inline)


# --- late to show ---------------------------------------------------------------------------------


async def test_a_write_shows_in_every_read_only_when_the_lag_is_over_and_stands_at_once() -> None:
    world = World(Strictness(lag=TEN))
    await world.clock.advance(minutes=1)
    await world.way.put_inline(ANA, "a", READ)
    made = await world.way.create_policy(name="p", path="/", document=READ, tags={"k": "v"})
    assert made.arn is not None
    assert world.aws.allows(PROD, ANA, "s3:GetObject")
    await world.clock.advance(seconds=9)
    assert await world.inline() == set()
    assert (await world.way.observe()).policies == {}
    assert await world.way.read_policy(made.arn) is None
    with pytest.raises(AwsMissing):
        await world.way.read_policy_tags(made.arn)
    await world.clock.advance(seconds=1)
    assert await world.inline() == {"a"}
    assert set((await world.way.observe()).policies) == {"p"}
    assert await world.way.read_policy_tags(made.arn) == {"k": "v"}


async def test_what_was_taken_away_still_shows_for_the_lag() -> None:
    world = World(Strictness(lag=TEN))
    world.iam.put_inline(ANA, "a", READ)
    await world.clock.advance(minutes=1)
    await world.way.delete_inline(ANA, "a")
    assert await world.inline() == {"a"}
    assert not world.aws.allows(PROD, ANA, "s3:GetObject")
    await world.clock.advance_to(world.clock.now() + TEN)
    assert await world.inline() == set()


async def test_replicas_answer_now_the_new_and_now_the_old() -> None:
    world = World(Strictness())
    ages = iter([0.0, 1.0, 0.5, 0.0])
    world.aws.be_strict(Strictness(lag=TEN), PROD, random=lambda: next(ages))
    await world.clock.advance(minutes=1)
    await world.way.put_inline(ANA, "a", READ)
    await world.clock.advance(seconds=4)
    assert [await world.inline() for _ in range(4)] == [{"a"}, set(), set(), {"a"}]


async def test_another_account_shows_everything_at_once() -> None:
    world = World(Strictness(lag=TEN, writes=Rate(0, 0)))
    other = world.into(DEV)
    world.aws.iam(DEV).add("user/ana")
    await other.put_inline(ANA, "a", READ)
    seen = await other.read_principal(ANA)
    assert seen is not None
    assert set(seen.inline) == {"a"}


async def test_an_account_read_in_pages_is_of_several_instants() -> None:
    world = World(Strictness(page_items=2))
    world.aws.latency = timedelta(seconds=1)
    for name in ("bob", "cid", "dan"):
        world.iam.add(f"user/{name}")
    world.iam.create_policy("p", "/", READ, {})
    told: list[str] = []

    def by_hand() -> None:
        told.append("")
        if len(told) == 2:  # when the first page has been read
            world.iam.put_inline(ANA, "late", READ)
            world.iam.put_inline(parse_principal("user/dan"), "late", READ)

    world.aws.on_call.append(by_hand)
    state = await world.clock.run(world.way.observe())
    assert set(state.principals) == {"user/ana", "user/bob", "user/cid", "user/dan"}
    assert set(state.policies) == {"p"}
    assert set(state.principals["user/ana"].inline) == set()
    assert set(state.principals["user/dan"].inline) == {"late"}
    assert len(world.aws.made("observe")) == 3


# --- late to know ---------------------------------------------------------------------------------


async def test_what_was_just_made_is_not_known_to_the_calls_that_name_it() -> None:
    world = World(Strictness(unknown_for=TEN))
    await world.clock.advance(minutes=1)
    bob = world.iam.add("user/bob")
    made = await world.way.create_policy(name="p", path="/", document=READ, tags={})
    assert made.arn is not None
    await world.way.put_inline(ANA, "a", READ)
    for call in (
        world.way.put_inline(bob, "a", READ),
        world.way.attach(ANA, made.arn),
        world.way.create_policy_version(made.arn, READ),
    ):
        with pytest.raises(AwsMissing):
            await call
    assert (await world.way.delete_inline(ANA, "a")).outcome == "absent"
    assert (await world.way.delete_policy(made.arn)).outcome == "absent"
    assert world.aws.allows(PROD, ANA, "s3:GetObject"), "and it stands all the same"
    await world.clock.advance_to(world.clock.now() + TEN)
    assert (await world.way.attach(ANA, made.arn)).outcome == "done"
    assert (await world.way.delete_inline(ANA, "a")).outcome == "done"
    await world.clock.advance_to(world.clock.now() + TEN)
    assert (await world.way.detach(ANA, made.arn)).outcome == "done"
    with pytest.raises(AwsRefused, match="DeleteConflict"):
        await world.way.delete_policy(made.arn)
    await world.clock.advance_to(world.clock.now() + TEN)
    assert (await world.way.delete_policy(made.arn)).outcome == "done"


async def test_a_name_made_anew_cannot_be_changed_at_once() -> None:
    world = World(Strictness(unmodifiable_for=TEN))
    world.iam.put_inline(ANA, "a", READ)
    before = world.iam.entities[ANA.key].unique_id
    world.iam.recreate(ANA)
    assert world.iam.entities[ANA.key].unique_id != before
    assert await world.inline() == set()
    with pytest.raises(AwsBusy, match="EntityTemporarilyUnmodifiable"):
        await world.way.put_inline(ANA, "a", READ)
    await world.clock.advance_to(world.clock.now() + TEN)
    await world.way.put_inline(ANA, "a", READ)


async def test_two_changes_of_one_thing_at_one_time_are_one() -> None:
    world = World(Strictness(exclusive_for=TEN))
    bob = world.iam.add("user/bob")
    await world.way.put_inline(ANA, "a", READ)
    await world.way.put_inline(bob, "a", READ)
    with pytest.raises(AwsBusy, match="ConcurrentModification"):
        await world.way.put_inline(ANA, "b", READ)
    await world.clock.advance_to(world.clock.now() + TEN)
    await world.way.put_inline(ANA, "b", READ)


# --- quick to throttle ----------------------------------------------------------------------------


async def test_the_bucket_of_writes_gives_so_many_at_once_and_then_so_many_a_second() -> None:
    world = World(Strictness(writes=Rate(per_s=2, burst=5)))

    async def taken(seconds: float) -> int:
        await world.clock.advance(seconds=seconds)
        for done in range(20):
            try:
                await world.way.put_inline(ANA, "a", READ)
            except AwsBusy:
                return done
        return 20

    assert [await taken(seconds) for seconds in (0, 0, 1, 1.5, 60)] == [5, 0, 2, 3, 5]
    assert world.aws.calls[-1].outcome == "Throttling"
    assert await world.inline() == {"a"}, "reads are counted apart"


async def test_a_read_of_many_calls_is_counted_as_so_many() -> None:
    world = World(Strictness(reads=Rate(per_s=1, burst=10)))
    for number in range(4):
        world.iam.put_inline(ANA, f"p{number}", READ)
    await world.inline()  # GetUser, two listings, and four documents
    await world.inline()
    with pytest.raises(AwsBusy):
        await world.inline()
    await world.clock.advance(seconds=4)
    with pytest.raises(AwsBusy):
        await world.inline()
    await world.clock.advance(seconds=1)
    await world.inline()


# --- another clock --------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead_s", [-90, -3, 0, 3, 90])
async def test_the_clock_is_read_off_the_answers_to_about_a_second(ahead_s: int) -> None:
    world = World(Strictness())
    world.aws.latency = timedelta(milliseconds=300)
    world.aws.ahead = timedelta(seconds=ahead_s)
    world.gate.measure()
    assert world.gate.clock_offset_s() is None
    await world.clock.run(world.into(PROD).enter())
    measured = world.gate.clock_offset_s()
    assert measured is not None
    assert abs(measured - ahead_s) <= 0.5


async def test_a_clock_too_far_off_signs_nothing_and_is_told_so() -> None:
    world = World(Strictness())
    world.aws.ahead = SKEW_MAX + timedelta(seconds=10)
    world.gate.measure()
    with pytest.raises(AwsBusy, match="SignatureDoesNotMatch"):
        await world.clock.run(world.into(PROD).put_inline(ANA, "a", READ))
    assert world.aws.made("put_inline")[0].outcome == "SignatureDoesNotMatch"
    measured = world.gate.clock_offset_s()
    assert measured is not None
    assert measured > SKEW_MAX.total_seconds()


async def test_dates_in_documents_are_judged_by_awss_clock() -> None:
    world = World(Strictness())
    world.aws.ahead = timedelta(minutes=1)
    statement = {
        "Effect": "Allow",
        "Action": "s3:Get*",
        "Resource": "*",
        "Condition": {"DateLessThan": {"aws:CurrentTime": "2026-03-02T12:02:00Z"}},
    }
    world.iam.put_inline(ANA, "a", json.dumps({"Statement": [statement]}))
    await world.clock.advance(minutes=5)
    assert world.aws.intervals(PROD, ANA, "s3:GetObject") == [(NOON, NOON + timedelta(minutes=1))]
    assert not world.aws.allows(PROD, ANA, "s3:GetObject", NOON + timedelta(minutes=1))


# --- people's hands, and IAM's rules on names -----------------------------------------------------


def test_a_renamed_user_keeps_its_id_and_all_that_hangs_on_it() -> None:
    iam = World(Strictness()).iam
    iam.put_inline(ANA, "a", READ)
    before = iam.entities[ANA.key]
    zoe = iam.rename(ANA, "Zoe")
    assert iam.principal(ANA) is None
    after = iam.principal(zoe)
    assert after is not None
    assert (after.unique_id, set(after.inline)) == (before.unique_id, {"a"})
    assert str(after.principal) == "user/Zoe"
    with pytest.raises(AwsRefused):
        iam.rename(iam.add("role/ci"), "cd")


def test_names_are_one_whatever_their_case_and_path() -> None:
    iam = World(Strictness()).iam
    with pytest.raises(AwsRefused, match="EntityAlreadyExists"):
        iam.add("user/ANA", "/other/")
    iam.add("role/ana")
    assert iam.create_policy("Look", "/a/", READ, {}) is not None
    assert iam.create_policy("lOOK", "/b/", READ, {}) is None


@pytest.mark.parametrize(
    ("name", "path"),
    [
        *((name, "/") for name in ("", "a b", "é", "n" * 129)),
        *(("p", path) for path in ("a/", "/a b/", "/a", f"/{'x' * 511}/", "//", "/~/")),
    ],
)
def test_a_policys_name_and_path_are_of_certain_signs_and_so_long(name: str, path: str) -> None:
    with pytest.raises(AwsRefused, match="ValidationError"):
        World(Strictness()).iam.create_policy(name, path, READ, {})


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ({str(number): "" for number in range(51)}, "LimitExceeded"),
        ({"k" * 129: ""}, "ValidationError"),
        ({"k": "v" * 257}, "ValidationError"),
        ({"k": "a,b"}, "ValidationError"),
        ({"": "v"}, "ValidationError"),
        ({"aws:k": "v"}, "InvalidInput"),
        ({"k": "v", "K": "v"}, "InvalidInput"),
    ],
)
def test_tags_are_so_many_so_long_and_of_certain_signs(tags: dict[str, str], code: str) -> None:
    iam = World(Strictness()).iam
    with pytest.raises(AwsRefused, match=code):
        iam.create_policy("p", "/", READ, tags)
    assert iam.policies == {}
    full = {f"{'é' * 126}{number}": "v" * 256 for number in range(50)}
    assert iam.create_policy("p", "/", READ, full) is not None


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (READ + " " * (RAW_CHARS_MAX + 1 - len(READ)), "ValidationError"),
        (READ.replace("s3:Get*", "s3:Get*\N{GRINNING FACE}"), "ValidationError"),
        (READ.replace("s3:Get*", "Get*"), "MalformedPolicyDocument"),
        (READ.replace('"Resource": "*"', '"Resource": "*", "Principal": "*"'), "Malformed"),
        (READ.replace("{", '{"Version": "2026-01-01", ', 1), "MalformedPolicyDocument"),
    ],
)
def test_a_document_that_aws_would_not_take_is_not_taken(document: str, code: str) -> None:
    iam = World(Strictness()).iam
    with pytest.raises(AwsRefused, match=code):
        iam.create_policy("p", "/", document, {})
    with pytest.raises(AwsRefused, match=code):
        iam.put_inline(ANA, "a", document)


def test_an_account_has_room_for_so_many_policies_and_attachments() -> None:
    iam = World(Strictness()).iam
    kind = Principal(ANA.kind, "x").kind
    iam.quotas = replace(iam.quotas, policies_max=3, attached={kind: 2})
    arns = [iam.create_policy(f"p{number}", "/", READ, {}) or "" for number in range(3)]
    with pytest.raises(AwsRefused, match="LimitExceeded"):
        iam.create_policy("p3", "/", READ, {})
    assert iam.create_policy("P0", "/", READ, {}) is None, "it stands: room is not asked for"
    for arn in arns[:2]:
        iam.attach(ANA, arn)
    with pytest.raises(AwsRefused, match="LimitExceeded"):
        iam.attach(ANA, arns[2])
    assert iam.limits().policies == 3
