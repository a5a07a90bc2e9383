"""One account's keys: one AssumeRole however many ask, renewed in time, never borrowed."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from botocore.credentials import ReadOnlyCredentials

from tests.support.fake_clock import FakeClock
from worker.aws.credentials import BoundKeys, KeyCache, Keys, bound
from worker.errors import AccountClosed, AwsBusy, AwsError

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


@dataclass
class Role:
    """Answers AssumeRole, or refuses."""

    clock: FakeClock
    error: AwsError | None = None
    calls: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self) -> Keys:
        self.calls += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        keys = ReadOnlyCredentials(f"ASIA{self.calls}", "secret", "token")
        return Keys(keys, self.clock.now() + HOUR)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOON)


@pytest.fixture
def role(clock: FakeClock) -> Role:
    role = Role(clock)
    role.gate.set()
    return role


@pytest.fixture
def cache(role: Role, clock: FakeClock) -> KeyCache:
    return KeyCache(role, clock, lambda: 0.0)


async def test_fifty_who_ask_at_once_are_one_assume_role(
    clock: FakeClock, role: Role, cache: KeyCache
) -> None:
    role.gate.clear()
    asking = [asyncio.ensure_future(cache.get()) for _ in range(50)]
    await asyncio.sleep(0)
    role.gate.set()
    found = await asyncio.gather(*asking)
    assert {keys.access_key for keys in found} == {"ASIA1"}
    assert role.calls == 1


async def test_keys_are_renewed_before_they_end_and_not_at_every_call(
    clock: FakeClock, role: Role, cache: KeyCache
) -> None:
    await cache.get()
    await clock.advance_to(NOON + timedelta(minutes=29))
    assert (await cache.get()).access_key == "ASIA1"
    await clock.advance_to(NOON + timedelta(minutes=30))
    assert (await cache.get()).access_key == "ASIA2"
    assert role.calls == 2


async def test_the_old_keys_go_on_while_sts_is_away_and_until_they_end(
    clock: FakeClock, role: Role, cache: KeyCache
) -> None:
    await cache.get()
    role.error = AwsBusy("Throttling", "slow down")
    await clock.advance_to(NOON + timedelta(minutes=40))
    assert (await cache.get()).access_key == "ASIA1"
    await clock.advance_to(NOON + timedelta(minutes=59))
    with pytest.raises(AwsBusy):
        await cache.get()


async def test_a_role_that_refuses_is_not_asked_by_everybody(
    clock: FakeClock, role: Role, cache: KeyCache
) -> None:
    role.error = AccountClosed("AccessDenied", "not you")
    for _ in range(20):
        with pytest.raises(AccountClosed, match="not you"):
            await cache.get()
    assert role.calls == 1
    role.error = None
    await clock.advance_to(NOON + timedelta(seconds=30))
    assert (await cache.get()).access_key == "ASIA2"


async def test_a_role_that_no_longer_lets_us_in_stops_the_account_at_the_next_renewal(
    clock: FakeClock, role: Role, cache: KeyCache
) -> None:
    await cache.get()
    role.error = AccountClosed("AccessDenied", "no more")
    await clock.advance_to(NOON + timedelta(minutes=30))
    with pytest.raises(AccountClosed):
        await cache.get()


async def test_keys_that_aws_no_longer_takes_are_dropped(role: Role, cache: KeyCache) -> None:
    await cache.get()
    cache.drop()
    assert (await cache.get()).access_key == "ASIA2"
    assert role.calls == 2


async def test_each_call_is_signed_with_the_keys_bound_where_it_is_made() -> None:
    signer = BoundKeys()

    async def call(number: int) -> bool:
        keys = ReadOnlyCredentials(f"ASIA{number}", "secret", "token")
        with bound(keys):
            for _ in range(5):
                await asyncio.sleep(0)
                if (await signer.get_frozen_credentials()).access_key != f"ASIA{number}":
                    return False
        return True

    assert all(await asyncio.gather(*(call(number) for number in range(200))))


async def test_with_nothing_bound_nothing_is_signed() -> None:
    with pytest.raises(LookupError):
        await BoundKeys().get_frozen_credentials()
