"""`revoke` and `release`: at once, never braked, and never undone by the next ingest."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime

import pytest
from sqlalchemy import URL

from ledger.errors import NotFound
from ledger.events import Held, Released, Revoked
from ledger.ingest import IngestRequest, Report, ingest
from ledger.model import Principal, PrincipalKind
from ledger.operators import release, revoke
from ledger.project import GrantRow
from ledger.store import Ledger
from ledger.store.append import read_head
from ledger.store.reads import all_grants, events_at, read_grants
from tests.support.builders import (
    DEV,
    NOW,
    PROD,
    WORD,
    Files,
    at,
    directory,
    permanent,
    temporary,
)

pytestmark = pytest.mark.every_engine

FILES = directory(
    standing=[permanent("ana", "bob"), permanent("ana", environment="dev")],
    windows=[temporary("ana", duration="4h"), temporary("ana", expires_at=at(8))],
)


@pytest.fixture
async def ledger(ledger_url: URL) -> AsyncIterator[Ledger]:
    async with Ledger(ledger_url) as opened:
        await take(opened, FILES)
        yield opened


async def take(ledger: Ledger, files: Files, now: datetime = NOW) -> Report:
    return await ingest(ledger, IngestRequest(files, now, consent=1_000))


async def rows(ledger: Ledger) -> list[GrantRow]:
    async with ledger.reading() as connection:
        found = await read_grants(connection, all_grants())
    return sorted(found, key=lambda row: row.granted.position)


async def live(ledger: Ledger, now: datetime) -> list[tuple[str, str, str]]:
    return sorted(
        (row.grant.principal.name, row.grant.environment, row.grant.policy)
        for row in await rows(ledger)
        if row.live(now)
    )


async def grant_of(ledger: Ledger, name: str, policy: str, environment: str = "prod") -> GrantRow:
    for row in await rows(ledger):
        grant = row.grant
        found = (grant.principal.name, grant.policy, grant.environment)
        if found == (name, policy, environment):
            return row
    raise AssertionError("no such grant")


async def test_revoking_one_grant_ends_every_window_of_that_access_and_no_other(
    ledger: Ledger,
) -> None:
    row = await grant_of(ledger, "ana", "fix")
    done = await revoke(ledger, grants=[row.grant.id], word=WORD, now=at(1))
    assert [each.grant.policy for each in done.revoked] == ["fix", "fix"]
    assert [(hold.account, hold.policy, hold.team) for hold in done.holds] == [
        (PROD, "fix", "payments")
    ]
    assert (done.new_holds, list(done.by_account())) == (("hold-1",), [PROD])
    assert await live(ledger, at(1)) == [
        ("ana", "dev", "look"),
        ("ana", "prod", "look"),
        ("bob", "prod", "look"),
    ]
    for each in await rows(ledger):
        if each.grant.policy == "fix":
            assert (each.revoked_cause, each.hold) == ("operator", "hold-1")


async def test_the_hold_stands_before_its_revocations_and_carries_the_word(
    ledger: Ledger,
) -> None:
    row = await grant_of(ledger, "bob", "look")
    done = await revoke(ledger, grants=[row.grant.id], word=WORD, now=at(1))
    async with ledger.reading() as connection:
        found = await events_at(connection, [done.position - 1, done.position])
    first, second = (found[position].event for position in sorted(found))
    assert isinstance(first, Held)
    on_a_server = ledger.url.get_backend_name() == "postgresql"
    assert first.word == replace(WORD, database_role="postgres" if on_a_server else None)
    assert isinstance(second, Revoked)


async def test_revoking_a_principal_ends_everything_everywhere_and_what_comes_later(
    ledger: Ledger,
) -> None:
    done = await revoke(ledger, principal="ana", word=WORD, now=at(1))
    assert len(done.revoked) == 4
    assert {account: len(found) for account, found in done.by_account().items()} == {
        PROD: 3,
        DEV: 1,
    }
    more = FILES | directory("other", standing=[permanent("Ana")])
    report = await take(ledger, more, at(2))
    assert report.decision is not None
    assert len(report.decision.held) == 5
    assert await live(ledger, at(2)) == [("bob", "prod", "look")]


@pytest.mark.parametrize(
    "spelling",
    ["ANA", "user/ana", "ana@example.com", Principal(PrincipalKind("user"), "Ana")],
)
async def test_a_principal_may_be_spelt_as_people_do(
    ledger: Ledger, spelling: str | Principal
) -> None:
    done = await revoke(ledger, principal=spelling, word=WORD, now=at(1))
    assert {row.grant.principal.name for row in done.revoked} == {"ana"}


async def test_an_ingest_between_cannot_grant_again_until_the_hold_is_released(
    ledger: Ledger,
) -> None:
    await revoke(ledger, principal="bob", word=WORD, now=at(1))
    await take(ledger, FILES, at(2))
    assert ("bob", "prod", "look") not in await live(ledger, at(2))
    done = await release(ledger, "hold-1", word=replace(WORD, reason="found him"), now=at(3))
    assert (done.already, done.hold.hold) == (False, "hold-1")
    await take(ledger, FILES, at(4))
    assert ("bob", "prod", "look") in await live(ledger, at(4))


async def test_what_a_release_gives_back_keeps_its_old_end(ledger: Ledger) -> None:
    row = await grant_of(ledger, "ana", "fix")
    await revoke(ledger, grants=[row.grant.id], word=WORD, now=at(1))
    await release(ledger, "hold-1", word=WORD, now=at(2))
    await take(ledger, FILES, at(3))
    ends = [r.grant.window.ends_at for r in await rows(ledger) if r.live(at(3)) and r.grant.object]
    assert sorted(str(end) for end in ends) == sorted(str(end) for end in (at(4), at(8)))


async def test_repeating_a_revocation_changes_nothing(ledger: Ledger) -> None:
    row = await grant_of(ledger, "ana", "fix")
    first = await revoke(ledger, grants=[row.grant.id], word=WORD, now=at(1))
    second = await revoke(ledger, grants=[row.grant.id], word=WORD, now=at(2))
    assert second.position == first.position
    assert (second.new_holds, second.revoked) == ((), ())
    (over,) = second.over
    assert "was revoked (operator) at 2026-03-02T10:00:00Z" in over.message
    assert "held by hold-1" in over.message
    third = await revoke(ledger, principal="ana", word=WORD, now=at(3))
    fourth = await revoke(ledger, principal="ana", word=WORD, now=at(4))
    assert (third.new_holds, fourth.new_holds) == (("hold-2",), ())
    assert [hold.hold for hold in fourth.holds] == ["hold-2"]
    assert fourth.position == third.position


async def test_two_windows_of_one_access_take_one_hold(ledger: Ledger) -> None:
    ids = [row.grant.id for row in await rows(ledger) if row.grant.policy == "fix"]
    assert len(ids) == 2
    done = await revoke(ledger, grants=ids, word=WORD, now=at(1))
    assert (len(done.new_holds), len(done.revoked)) == (1, 2)


async def test_a_grant_that_ended_is_said_so_and_not_held(ledger: Ledger) -> None:
    row = next(r for r in await rows(ledger) if r.grant.window.ends_at == at(4))
    done = await revoke(ledger, grants=[row.grant.id], word=WORD, now=at(5))
    (over,) = done.over
    assert over.message.endswith("ended at 2026-03-02T13:00:00Z")
    assert (done.holds, done.revoked) == ((), ())


async def test_access_to_come_is_revoked_too(ledger: Ledger) -> None:
    await take(ledger, directory(windows=[temporary("eve", starts_at=at(5), duration="1h")]), at(1))
    done = await revoke(ledger, principal="eve", word=WORD, now=at(2))
    assert len(done.revoked) == 1


async def test_many_revocations_are_never_braked(ledger: Ledger) -> None:
    names = [f"user{number}" for number in range(30)]
    await take(ledger, directory(standing=[permanent(*names)]), at(1))
    ids = [row.grant.id for row in await rows(ledger) if row.grant.principal.name in names]
    done = await revoke(ledger, grants=ids, word=WORD, now=at(2))
    assert (len(done.revoked), len(done.new_holds)) == (30, 30)
    assert len({hold.hold for hold in done.holds}) == 30


# --- what a person names ----------------------------------------------------------------------


async def test_the_beginning_of_an_id_is_enough_when_it_is_unique(ledger: Ledger) -> None:
    row = await grant_of(ledger, "bob", "look")
    done = await revoke(ledger, grants=[row.grant.id[:6].upper()], word=WORD, now=at(1))
    assert [each.key for each in done.revoked] == [row.key]


async def head(ledger: Ledger) -> int:
    async with ledger.reading() as connection:
        return (await read_head(connection)).position


async def test_what_names_no_grant_is_refused_with_near_misses_and_nothing_is_done(
    ledger: Ledger,
) -> None:
    row = await grant_of(ledger, "bob", "look")
    before = await head(ledger)
    wrong = row.grant.id[:-1] + ("a" if row.grant.id[-1] != "a" else "b")
    with pytest.raises(NotFound, match=rf"near: {row.grant.id}.*nothing was revoked"):
        await revoke(ledger, grants=[wrong], word=WORD, now=at(1))
    with pytest.raises(NotFound, match="too short"):
        await revoke(ledger, grants=[row.grant.id[:5]], word=WORD, now=at(1))
    with pytest.raises(NotFound):
        await revoke(ledger, grants=[row.grant.id, "zzzzzzzz"], word=WORD, now=at(1))
    assert await head(ledger) == before


async def test_nobody_of_that_name_is_refused_with_near_misses(ledger: Ledger) -> None:
    before = await head(ledger)
    with pytest.raises(NotFound, match=r"near: ana\)"):
        await revoke(ledger, principal="anna", word=WORD, now=at(1))
    with pytest.raises(NotFound, match="role/bob"):
        await revoke(ledger, principal="role/bob", word=WORD, now=at(1))
    assert await head(ledger) == before


@pytest.mark.parametrize("named", [{}, {"grants": ["abcdef"], "principal": "ana"}])
async def test_nothing_or_two_kinds_of_things_named_is_a_mistake_of_the_caller(
    ledger: Ledger, named: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match="one of the two"):
        await revoke(ledger, word=WORD, now=at(1), **named)  # type: ignore[arg-type]  # on purpose


async def test_releasing_twice_changes_nothing_and_an_unknown_hold_is_refused(
    ledger: Ledger,
) -> None:
    await revoke(ledger, principal="bob", word=WORD, now=at(1))
    with pytest.raises(NotFound, match=r"`hold-7` \(near: hold-1\); nothing was released"):
        await release(ledger, "hold-7", word=WORD, now=at(2))
    with pytest.raises(NotFound, match=r"in force: hold-1"):
        await release(ledger, "x", word=WORD, now=at(2))
    first = await release(ledger, "hold-1", word=WORD, now=at(3))
    second = await release(ledger, "hold-1", word=WORD, now=at(4))
    assert second.already
    assert isinstance(second.hold, Released)
    assert second.position == first.position


async def test_a_hold_released_and_made_again_has_a_name_of_its_own(ledger: Ledger) -> None:
    await revoke(ledger, principal="bob", word=WORD, now=at(1))
    await release(ledger, "hold-1", word=WORD, now=at(2))
    await take(ledger, FILES, at(3))
    again = await revoke(ledger, principal="bob", word=WORD, now=at(4))
    assert again.new_holds == ("hold-2",)
    assert len(again.revoked) == 1
