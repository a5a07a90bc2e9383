"""A person's word about one grant: only where it makes sense, and never told as AWS's."""

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest

from ledger.answer import At, state_of, without_access
from ledger.envelope import Draft
from ledger.errors import NotFound, NotNow
from ledger.events import (
    Applied,
    DriftFound,
    Event,
    Granted,
    GrantRef,
    Made,
    Refused,
    Removed,
    RetryRequested,
    Revoked,
    Settled,
    Stuck,
    ref,
)
from ledger.project import GrantRow, Trouble
from ledger.settling import retry, settle
from ledger.store import Ledger
from ledger.store.reads import all_grants, read_grants
from tests.support.builders import WORD
from tests.support.histories import ATTACHED, DEV, NOON, PROD, after, grant
from tests.support.ledgers import make_ledger

ANA = grant("aaaa2222bbbb3333", ends=after(4))
CI = grant("cccc2222dddd3333", "role/ci", policy="look")
INLINE = Made("inline", str(ANA.object), "0" * 64)


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    async with Ledger(make_ledger(tmp_path)) as opened:
        await say(opened, Granted(ANA), Granted(CI))
        yield opened


async def say(ledger: Ledger, *events: Event, at: datetime = NOON) -> None:
    for event in events:
        async with ledger.reading() as connection:
            count = len(await read_grants(connection, all_grants()))
        await ledger.append([Draft(event, count)], now=at)


async def row_of(ledger: Ledger, about: GrantRef) -> GrantRow:
    async with ledger.reading() as connection:
        rows = await read_grants(connection, all_grants())
    return next(row for row in rows if row.key == (about.id, about.turn))


def applied(what: GrantRef, *made: Made) -> Applied:
    return Applied(what, made, "aws" if what == ref(ANA) else None, (), 1, (), NOON)


MISSING = DriftFound(PROD, "missing", "inline user/ana x", ref(ANA), None, None, NOON, None)
TROUBLES: dict[str, Event] = {
    "stuck": Stuck(PROD, "NoSuchEntity", "no such user", ref(ANA)),
    "refused": Refused(ref(ANA), "inline-budget", "too large", 1),
    "missing": MISSING,
}
STUCK_CI = Stuck(PROD, "AccessDenied", "not allowed to do it", ref(CI))


@pytest.mark.parametrize("kind", list(TROUBLES))
async def test_what_is_in_trouble_is_to_be_tried_again_by_a_persons_word(
    ledger: Ledger, kind: str
) -> None:
    await say(ledger, applied(ref(ANA), INLINE), TROUBLES[kind])
    said = await retry(ledger, ANA.id[:8], word=WORD, now=after(1))
    row = await row_of(ledger, ref(ANA))
    assert said.done == "appended"
    assert row.trouble is not None
    assert (row.trouble.kind, row.trouble.since.position) == ("retry", said.position)
    assert WORD.by in row.trouble.message
    assert state_of(row, after(2)) == "declared", "nobody has confirmed it since"
    assert not without_access(row, At(after(2)))
    again = await retry(ledger, ANA.id, word=WORD, now=after(2))
    assert (again.done, again.position) == ("already", said.position)


async def test_asking_again_after_it_failed_again_is_a_new_word(ledger: Ledger) -> None:
    first = await retry(ledger, ANA.id, word=WORD, now=after(1))
    await ledger.append([Draft(TROUBLES["stuck"], first.position)], now=after(1))
    second = await retry(ledger, ANA.id, word=WORD, now=after(2))
    assert (second.done, second.position) == ("appended", first.position + 2)


async def test_what_is_as_it_should_be_or_over_is_not_tried_again(ledger: Ledger) -> None:
    await say(ledger, applied(ref(CI), ATTACHED))
    with pytest.raises(NotNow, match="as it should be"):
        await retry(ledger, CI.id, word=WORD, now=after(1))
    removed = Removed(ref(CI), "revoked", "answered", 0, (), after(1))
    await say(ledger, Revoked(ref(CI), "removed"), removed, at=after(1))
    with pytest.raises(NotNow, match="was removed at 2026-03-02T13:00:00Z: there is nothing to"):
        await retry(ledger, CI.id, word=WORD, now=after(2))
    with pytest.raises(NotNow, match="there is nothing to settle"):
        await settle(ledger, CI.id, word=WORD, now=after(2))
    with pytest.raises(NotFound, match="nothing was asked for"):
        await retry(ledger, "zzzzzz", word=WORD, now=after(2))


async def test_what_is_in_force_cannot_be_settled(ledger: Ledger) -> None:
    """Else somebody could make access that goes on look like access that is over."""
    await say(ledger, applied(ref(CI), ATTACHED), TROUBLES["stuck"])
    for one in (CI, ANA):
        with pytest.raises(NotNow, match=f"`iam-ledger revoke {one.id}`"):
            await settle(ledger, one.id, word=WORD, now=after(1))
    assert (await row_of(ledger, ref(ANA))).closed is None


async def test_what_is_settled_owes_nothing_and_is_never_told_as_removed(ledger: Ledger) -> None:
    await say(ledger, applied(ref(CI), ATTACHED), Revoked(ref(CI), "removed"), at=after(1))
    await say(ledger, STUCK_CI, at=after(1.5))
    said = await settle(ledger, CI.id, word=WORD, now=after(2))
    row = await row_of(ledger, ref(CI))
    assert (row.closed_how, row.owed(after(3))) == ("settled", False)
    assert state_of(row, after(3)) == "settled", "nobody knows that it is gone"
    again = await settle(ledger, CI.id, word=WORD, now=after(3))
    assert (again.done, again.position) == ("already", said.position)


@pytest.mark.parametrize("failed", [STUCK_CI, Stuck(PROD, "AccessDenied", "not allowed", None)])
async def test_what_nobody_has_tried_to_remove_cannot_be_settled(
    ledger: Ledger, failed: Stuck
) -> None:
    """Else the worker would never come by, and what only it can end would stand for good."""
    await say(ledger, applied(ref(CI), ATTACHED), Revoked(ref(CI), "removed"), at=after(1))
    of_a_policy = Stuck(PROD, "AccessDenied", "no", None, CI.team, "look")
    await say(ledger, of_a_policy, Stuck(DEV, "AccessDenied", "no", None), at=after(1))
    with pytest.raises(NotNow, match=r"no step that failed.*`iam-ledger worker`.*nothing was set"):
        await settle(ledger, CI.id, word=WORD, now=after(2))
    assert (await row_of(ledger, ref(CI))).owed(after(2))
    await say(ledger, failed, at=after(2))
    said = await settle(ledger, CI.id, word=WORD, now=after(3))
    assert said.done == "appended"


async def test_a_word_about_what_is_closed_changes_nothing(ledger: Ledger) -> None:
    await say(ledger, Revoked(ref(CI), "removed"), Settled(ref(CI), WORD))
    before = await row_of(ledger, ref(CI))
    await say(ledger, RetryRequested(ref(CI), WORD))
    assert await row_of(ledger, ref(CI)) == before


async def test_of_several_objects_the_last_that_goes_makes_the_grant_missing(
    ledger: Ledger,
) -> None:
    second = Made("attachment", "arn:aws:iam::aws:policy/X", None)
    await say(ledger, applied(ref(CI), ATTACHED, second))
    gone = DriftFound(PROD, "missing", "attachment role/ci x", ref(CI), None, None, after(1), None)
    await say(ledger, gone)
    assert (await row_of(ledger, ref(CI))).trouble is None, "the other still gives access"
    last = DriftFound(
        PROD, "missing", "attachment role/ci y", ref(CI), None, None, after(2), None, None, True
    )
    await say(ledger, last)
    trouble = (await row_of(ledger, ref(CI))).trouble
    assert isinstance(trouble, Trouble)
    assert (trouble.kind, trouble.code) == ("missing", "missing")
