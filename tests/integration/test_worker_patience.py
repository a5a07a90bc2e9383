"""Fair and patient: no account waits for another, and what failed is tried again within a minute
of the day on which it can work, without hammering until then."""

import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from ledger.events import Applied, Refused, Removed, Stuck
from ledger.model import AccountId
from tests.support.builders import Entry, at, directory, permanent, policy, temporary
from tests.support.stage import ANA, PROD, ROLE, Stage
from worker.timing import PARKED_TRIES_MAX

MINUTE = timedelta(minutes=1)
FILLING = json.dumps(
    {"Statement": [{"Effect": "Deny", "Action": f"s3:{'x' * 1_950}", "Resource": "*"}]}
)
"""All of a user's room."""
A_LITTLE_OVER_A_MINUTE = {"minutes": 1, "seconds": 2}
"""The wait, and the calls of one pass."""

# --- one account that is throttled, among many ----------------------------------------------------

OTHERS = [AccountId(f"{number:012}") for number in range(1, 20)]
ACCOUNTS = {f"env-{account}": account for account in (PROD, *OTHERS)}


@dataclass(frozen=True, slots=True)
class HalfAnHour:
    """How one company fared in the half hour in which one of its accounts was throttled, or not."""

    took_s: dict[AccountId, float]
    """Of each other account: all its additions from when they were due, and its ends."""
    stage: Stage
    throttled_calls: int


def windows(grant: str, hours: float) -> list[Entry]:
    return [temporary(grant=grant, environment=name, expires_at=at(hours)) for name in ACCOUNTS]


async def half_an_hour(folder: Path, *, throttled: bool) -> HalfAnHour:
    """One end an account falls into it, two additions, and a cold start of the worker."""
    stage = Stage.empty(folder, f"{throttled}.db")
    for account in OTHERS:
        stage.aws.open_account(account, role=ROLE)
    for account in ACCOUNTS.values():
        stage.people("user/ana", account=account)
    first, later = windows("fix", 1), windows("look", 9)
    await stage.ingest(directory(accounts=ACCOUNTS, windows=first))
    process = await stage.start()
    await stage.advance_to(at(1) - MINUTE)
    if throttled:
        stage.aws.fail("busy", account=PROD, until=at(1.5))
    await stage.advance_to(at(1) + 5 * MINUTE)
    await stage.ingest(directory(accounts=ACCOUNTS, windows=[*first, *later]))
    due_at = {"fix": at(0), "look": stage.clock.now()}
    await process.stop()
    await stage.start(resync_every=timedelta(minutes=10))
    await stage.advance_to(at(1.5))
    throttled_calls = sum(call.outcome == "Throttling" for call in stage.aws.calls)
    took_s = dict.fromkeys(OTHERS, 0.0)
    for given in await stage.of(Applied):
        if given.grant.account != PROD:
            waited = given.confirmed_at - due_at[given.grant.policy]
            took_s[given.grant.account] += waited.total_seconds()
    for removed in await stage.of(Removed):
        if removed.grant.account != PROD:
            took_s[removed.grant.account] += removed.lateness_us / 1_000_000
    return HalfAnHour(took_s, stage, throttled_calls)


async def test_an_account_throttled_for_half_an_hour_delays_no_other_and_then_owes_nothing(
    tmp_path: Path,
) -> None:
    """Failure 5: by 5 % at most, of what each other takes when nobody is throttled."""
    calm = await half_an_hour(tmp_path, throttled=False)
    rough = await half_an_hour(tmp_path, throttled=True)
    for half_hour in (calm, rough):
        closed = [row for row in await half_hour.stage.rows() if row.closed is not None]
        assert len(closed) == len(OTHERS) + (half_hour is calm)
    assert min(calm.took_s.values()) > 0
    delayed = {a: rough.took_s[a] / calm.took_s[a] for a in OTHERS}
    assert max(delayed.values()) <= 1.05, delayed
    assert calm.throttled_calls == 0
    assert 20 <= rough.throttled_calls <= 300, "neither given up nor hammered"

    stage = rough.stage
    assert {event.account for event in await stage.of(Stuck)} == {PROD}
    (over, goes_on) = [row for row in await stage.rows() if row.grant.account == PROD]
    assert stage.inline(ANA).keys() == {over.grant.object}
    await stage.advance(**A_LITTLE_OVER_A_MINUTE)
    assert stage.inline(ANA).keys() == {goes_on.grant.object}
    rows = [row for row in await stage.rows() if row.grant.account == PROD]
    assert [row.closed is not None for row in rows] == [True, False]
    assert [row.trouble for row in rows] == [None, None]
    for half_hour in (calm, rough):
        await half_hour.stage.close()


# --- what is refused, and heals -------------------------------------------------------------------


async def test_room_that_a_person_makes_is_used_within_a_minute(stage: Stage) -> None:
    """What our own numbers forbid is told once, and costs some reads a minute."""
    iam = stage.aws.iam(PROD)
    iam.put_inline(ANA, "theirs", FILLING)
    stage.without_slots()
    await stage.ingest(directory(windows=[temporary("ana", expires_at=at(9))]))
    await stage.start()
    assert [event.code for event in await stage.of(Refused)] == ["no-room"]
    before = len(stage.aws.calls)
    await stage.advance(hours=1)
    calls = [call for call in stage.aws.calls[before:] if call.account == PROD]
    assert 60 <= len(calls) <= 180
    assert not any(call.writes for call in calls)
    assert len(await stage.of(Refused)) == 1
    iam.delete_inline(ANA, "theirs")
    await stage.advance(**A_LITTLE_OVER_A_MINUTE)
    assert len(await stage.of(Applied)) == 1


async def test_a_removal_does_not_wait_for_what_was_refused_before_it_was_due(
    stage: Stage,
) -> None:
    """Law 6: a rewriting that AWS refuses holds up no end of the same grant."""
    window = temporary("ana", expires_at=at(9))
    await stage.ingest(directory(windows=[window]))
    await stage.start()
    stage.aws.fail("refused", "put_inline")
    wider = policy(custom_statements=[{"effect": "Allow", "actions": ["s3:*"], "resources": ["*"]}])
    await stage.ingest(directory(policies={"fix": wider, "look": policy()}, windows=[window]))
    await stage.advance(seconds=5)
    assert [event.code for event in await stage.of(Stuck)] == ["AccessDenied"]
    await stage.ingest(directory(policies={"fix": wider, "look": policy()}))
    await stage.settle()
    (removed,) = await stage.of(Removed)
    assert removed.lateness_us < 1_000_000
    assert stage.inline(ANA) == {}


async def test_a_policy_that_people_have_mended_is_tried_at_once(stage: Stage) -> None:
    fault = stage.aws.fail("refused", "put_inline")
    window = temporary("ana", expires_at=at(9))
    await stage.ingest(directory(windows=[window]))
    await stage.start()
    await stage.advance(seconds=5)
    assert (fault.struck, len(await stage.of(Stuck))) == (1, 1)
    mended = policy(
        custom_statements=[{"effect": "Allow", "actions": ["s3:*"], "resources": ["*"]}]
    )
    await stage.ingest(directory(policies={"fix": mended, "look": policy()}, windows=[window]))
    await stage.settle()
    assert fault.struck == 2


async def test_sixty_refused_steps_are_few_calls_a_minute_and_heal_together(
    stage: Stage,
) -> None:
    """Permanent lines: one right that is missing, and sixty that need it."""
    names = [f"u{number}" for number in range(60)]
    stage.people(*(f"user/{name}" for name in names))
    fault = stage.aws.fail("refused", "attach", account=PROD)
    await stage.ingest(directory(standing=[permanent(*names)]))
    await stage.start()
    await stage.advance(minutes=1)
    assert len(await stage.of(Stuck)) == 60, "each is told once"
    before = fault.struck
    await stage.advance(minutes=10)
    tries = fault.struck - before
    assert 9 * PARKED_TRIES_MAX <= tries <= 11 * PARKED_TRIES_MAX
    assert len(await stage.of(Stuck)) == 60
    stage.aws.heal()
    await stage.advance(minutes=1, seconds=30)
    assert len(await stage.of(Applied)) == 60
    assert not any(row.trouble for row in await stage.rows())


@pytest.mark.parametrize("back_after", [timedelta(minutes=5), timedelta(hours=2)])
async def test_an_account_that_opens_again_is_kept_again_within_a_minute(
    stage: Stage, back_after: timedelta
) -> None:
    """However long it was closed, one call a minute found it so."""
    await stage.ingest(directory(windows=[temporary("ana", expires_at=at(1 / 60))]))
    await stage.start()
    stage.aws.lock(PROD)
    before = len(stage.aws.calls)
    await stage.advance(seconds=back_after.total_seconds())
    calls = [call for call in stage.aws.calls[before:] if call.account == PROD]
    assert len(calls) <= back_after / MINUTE * 4 / 3 + 2
    assert stage.inline(ANA) != {}
    stage.aws.lock(PROD, role=ROLE)
    await stage.advance(**A_LITTLE_OVER_A_MINUTE)
    assert stage.inline(ANA) == {}
