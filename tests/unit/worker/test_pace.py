"""An account is called as fast as AWS lets us, no other waits for it, and ends wait for nothing."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from ledger.model import Account, AccountId, Team, parse_principal
from tests.support.fake_aws.account import FakeAws, FakeGate
from tests.support.fake_aws.strict import Rate, Strictness
from tests.support.fake_clock import FakeClock
from worker.errors import AwsBusy
from worker.metrics import Metrics
from worker.pace import READS, WAIT_MAX_S, WRITES, Pace, PacedAccount, PacedGate

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PROD, DEV = AccountId("111111111111"), AccountId("222222222222")
ANA = parse_principal("user/ana")
READ = json.dumps({"Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}]})
BURST = WRITES.burst


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def spent(rates: Pace) -> Pace:
    """One whose burst is used up."""
    for _ in range(rates.rates.burst):
        assert rates.wait_s(NOON) == 0
        rates.went(1, NOON, held_up=False)
    return rates


# --- the arithmetic -------------------------------------------------------------------------------


def test_after_a_rest_so_many_go_at_once_and_then_five_a_second() -> None:
    pace = spent(Pace(WRITES))
    assert pace.wait_s(NOON) == pytest.approx(0.2)
    assert pace.wait_s(later(0.2)) == pytest.approx(0)
    pace.went(1, later(0.2), held_up=False)
    assert pace.wait_s(later(0.2)) == pytest.approx(0.2)
    assert Pace(READS).rate > Pace(WRITES).rate == 5


def test_it_grows_only_where_it_is_what_holds_calls_up() -> None:
    pace = spent(Pace(WRITES))
    assert pace.rate == 5
    for number in range(10_000):
        pace.went(1, later(number), held_up=True)
    assert pace.rate == WRITES.most


def test_a_throttle_halves_it_once_for_a_moment_and_never_to_nothing() -> None:
    pace = Pace(WRITES)
    for _ in range(5):
        pace.throttled(NOON, None)
    assert pace.rate == 2.5
    for number in range(1, 20):
        pace.throttled(later(10 * number), None)
    assert pace.rate == WRITES.least


def test_removals_wait_only_where_aws_has_throttled_us_lately() -> None:
    pace = spent(Pace(WRITES))
    assert pace.wait_s(NOON) > 0
    assert pace.wait_s(NOON, urgent=True) == 0
    pace.throttled(NOON, None)
    assert pace.wait_s(NOON, urgent=True) > 0
    for number in range(60):
        pace.went(1, later(number), held_up=False)
    assert pace.wait_s(later(60), urgent=True) == 0


def test_nothing_waits_longer_than_the_bound_whatever_is_owed_or_asked_for() -> None:
    pace = Pace(WRITES)
    for _ in range(500):
        pace.went(100, NOON, held_up=False)
    assert 0 < pace.wait_s(NOON) <= WAIT_MAX_S
    assert pace.wait_s(later(WAIT_MAX_S)) == pytest.approx(0)
    pace.throttled(NOON, retry_after_s=3_600)
    assert pace.wait_s(later(100)) == WAIT_MAX_S


def test_what_the_server_asks_to_wait_is_waited() -> None:
    pace = Pace(READS)
    pace.throttled(NOON, retry_after_s=1.5)
    assert pace.wait_s(later(0.25)) == pytest.approx(1.25)
    assert pace.wait_s(later(1.5)) == 0


# --- on accounts ----------------------------------------------------------------------------------


class World:
    """Two accounts behind a paced gate; calls themselves take no time."""

    def __init__(self) -> None:
        self.clock = FakeClock(NOON)
        self.aws = FakeAws(self.clock, latency=timedelta(0))
        for account in (PROD, DEV):
            self.aws.open_account(account).add("user/ana")
        self.gate = PacedGate(FakeGate(self.aws), self.clock, lambda: 0.0)

    def way(self, account: AccountId = PROD) -> PacedAccount:
        return self.gate.account(Account(Team("payments"), "any", account, "Deployer"))

    async def puts(self, count: int, account: AccountId = PROD) -> float:
        """Seconds that so many writes take, throttled ones tried again."""
        began, done = self.clock.now(), 0
        while done < count:
            try:
                await self.clock.run(self.way(account).put_inline(ANA, f"p{done % 9}", READ))
            except AwsBusy:
                continue
            done += 1
        return (self.clock.now() - began).total_seconds()


async def test_an_account_that_is_throttled_holds_up_no_other_and_is_not_hammered() -> None:
    world = World()
    world.aws.be_strict(Strictness(writes=Rate(per_s=2, burst=2)), PROD)
    took_s = await world.puts(100)
    refused = [call for call in world.aws.calls if call.outcome == "Throttling"]
    assert 49 <= took_s <= 75, "close to what AWS lets through"
    assert len(refused) < 50
    assert await world.puts(BURST, DEV) == 0


async def test_where_aws_does_not_mind_writes_become_faster() -> None:
    world = World()
    first, last = await world.puts(BURST + 50), await world.puts(50)
    assert first > 4
    assert last < first * 0.7


async def test_a_read_of_many_calls_is_paid_for_as_so_many() -> None:
    world = World()
    for number in range(17):
        world.aws.iam(PROD).put_inline(ANA, f"p{number}", READ)
    way = world.way()
    for _ in range(2):  # GetUser, two listings, seventeen documents
        await world.clock.run(way.read_principal(ANA))
    assert world.clock.now() == NOON
    await world.clock.run(way.read_principal(ANA))
    assert world.clock.now() > NOON
    await world.clock.run(world.way(DEV).read_principal(ANA))
    assert world.clock.now() - NOON < timedelta(seconds=1)


async def test_a_removal_goes_at_once_behind_any_number_of_additions() -> None:
    world = World()
    await world.puts(BURST + 20)
    now = world.clock.now()
    for number in range(20):
        await world.clock.run(world.way().delete_inline(ANA, f"p{number}"))
    assert world.clock.now() == now


async def test_throttled_accounts_and_the_time_waited_are_counted() -> None:
    world, metrics = World(), Metrics()
    world.gate = PacedGate(FakeGate(world.aws), world.clock, lambda: 0.0, metrics)

    def said(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"iam_ledger_{name}", labels)

    await world.puts(BURST)
    assert (said("accounts_throttled"), said("pace_waited_seconds_total", kind="write")) == (0, 0)
    took_s = await world.puts(10)
    assert said("pace_waited_seconds_total", kind="write") == pytest.approx(took_s)
    assert said("pace_waited_seconds_total", kind="read") == 0
    world.aws.fail("busy", account=PROD, at=1)
    await world.puts(1)
    assert said("accounts_throttled") == 1
    await world.clock.advance(seconds=61)
    assert said("accounts_throttled") == 0
