"""No history is changed unnoticed: what the chain alone shows, and what only a checkpoint does."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import URL

from ledger.codec import chain_hash
from ledger.errors import ChainBroken
from ledger.store.verify import Verification
from tests.support.forging import (
    COLUMNS,
    FORGERIES,
    SIGNER,
    forge,
    look,
    read_rows,
    sign,
    story,
    write_rows,
)
from tests.support.histories import Story, after, grant
from tests.support.histories import append_all as append
from tests.support.ledgers import overwrite, raw, tampering

Attack = Callable[[Any], None]


pytestmark = pytest.mark.every_engine


@pytest.fixture
def url(ledger_url: URL) -> URL:
    asyncio.run(append(ledger_url, story().drafts))
    return ledger_url


def grow(url: URL, name: str = "eeee2222ffff3333") -> None:
    """One grant more, as an ingest would append it."""
    told = Story().granted(grant(name, "user/eve", ends=after(20)), after(9))
    asyncio.run(append(url, told.drafts))


def whats(found: Verification) -> set[str]:
    return {problem.what for problem in found.problems}


# --- a ledger that nobody touched ---------------------------------------------------------------


def test_a_ledger_holds_against_a_checkpoint_and_goes_on_holding_as_it_grows(url: URL) -> None:
    note = sign(url)
    assert look(url, note).ok
    grow(url)
    found = look(url, note)
    assert found.ok
    assert [(v.position, v.wrong) for v in found.verdicts] == [(12, None)]


def test_what_no_checkpoint_vouches_for_yet_is_said(url: URL) -> None:
    assert "cut tail cannot be seen" in " ".join(look(url).notes)
    note = sign(url)
    assert look(url, note).notes == ()
    grow(url)
    assert "Behind position 12" in " ".join(look(url, note).notes)


def test_an_empty_ledger_is_not_signed(ledger_url: URL) -> None:
    with pytest.raises(AssertionError):
        sign(ledger_url)
    with raw(ledger_url) as database:
        assert database.execute("SELECT count(*) FROM checkpoints").fetchone()[0] == 0


def test_the_same_head_is_signed_and_kept_once(url: URL) -> None:
    assert str(sign(url)) == str(sign(url, hours=10))
    with raw(url) as database:
        kept = database.execute("SELECT position, key, note FROM checkpoints").fetchall()
    assert [tuple(row) for row in kept] == [(12, SIGNER.key.short, str(sign(url)))]


# --- clumsy attacks: the chain alone shows them -------------------------------------------------


def _edit(database: Any) -> None:
    overwrite(database, "events", "principal", "user/eve", where="position = 4")


def _delete(database: Any) -> None:
    database.execute("DELETE FROM events WHERE position = 5")


def _insert(database: Any) -> None:
    database.execute("UPDATE events SET position = -position WHERE position > 5")
    database.execute("UPDATE events SET position = 1 - position WHERE position < 0")
    columns = [column.removesuffix("_us") for column in COLUMNS]
    taken = {"position": "6", "dedup_key": "'made up'"}
    names, values = ", ".join(columns), ", ".join(taken.get(name, name) for name in columns)
    database.execute(
        f"INSERT INTO events ({names}) SELECT {values} FROM events WHERE position = 5"  # noqa: S608 - our own names
    )


def _reorder(database: Any) -> None:
    for was, becomes in ((4, -4), (5, 4), (-4, 5)):
        database.execute("UPDATE events SET position = ? WHERE position = ?", (becomes, was))


CLUMSY: list[tuple[Attack, int]] = [(_edit, 4), (_delete, 6), (_insert, 6), (_reorder, 4)]


@pytest.mark.parametrize(("attack", "position"), CLUMSY)
def test_a_clumsy_change_is_found_without_a_checkpoint_at_its_place(
    url: URL, attack: Attack, position: int
) -> None:
    with tampering(url) as database:
        attack(database)
    found = look(url)
    assert not found.ok
    assert found.problems[0].position == position
    assert whats(found) & {"hash", "previous hash", "position"}


@pytest.mark.parametrize(("attack", "position"), CLUMSY)
def test_a_clumsy_change_cannot_hide_behind_a_checkpoint_that_still_fits(
    url: URL, attack: Attack, position: int
) -> None:
    """The last row's hash is as it was signed; the chain to it is not."""
    note = sign(url)
    with tampering(url) as database:
        attack(database)
    assert not look(url, note).ok


# --- skilled attacks: only a checkpoint shows them ----------------------------------------------


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_history_looks_whole_by_itself(url: URL, name: str) -> None:
    """Otherwise the next test would show nothing of what a checkpoint is for."""
    sign(url)
    forge(url, FORGERIES[name])
    found = look(url)
    assert found.ok, found.problems


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_history_is_found_with_a_checkpoint(url: URL, name: str) -> None:
    note = sign(url)
    forge(url, FORGERIES[name])
    found = look(url, note)
    assert not found.ok
    assert found.problems[0].what == "checkpoint"
    assert found.problems[0].message.startswith("kept.txt: ")


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_history_that_has_grown_since_is_found_all_the_same(url: URL, name: str) -> None:
    note = sign(url)
    forge(url, FORGERIES[name])
    for each in ("eeee2222ffff4444", "eeee2222ffff5555", "eeee2222ffff6666"):
        grow(url, each)
    assert not look(url, note).ok


def test_the_place_is_told_between_two_checkpoints(ledger_url: URL) -> None:
    drafts, url = story().drafts, ledger_url
    asyncio.run(append(url, drafts[:5]))
    first = sign(url)
    asyncio.run(append(url, drafts[5:]))
    second = sign(url)
    forge(
        url,
        lambda rows: [
            *rows[:7],
            replace(rows[7], recorded_at_us=rows[7].recorded_at_us + 1),
            *rows[8:],
        ],
    )
    found = look(url, second, first)
    assert [(v.witness.checkpoint.size, v.wrong is None) for v in found.verdicts] == [
        (5, True),
        (12, False),
    ]
    assert found.problems[0].position == 6
    assert "positions 6 to 12" in found.problems[0].message


def test_a_cut_tail_is_told_as_one(url: URL) -> None:
    note = sign(url)
    forge(url, FORGERIES["truncate"])
    (problem,) = look(url, note).problems
    assert problem.position == 11
    assert "it saw 12 events and the ledger ends at position 10" in problem.message


def test_an_older_state_that_went_its_own_way_is_found(url: URL) -> None:
    """As a database that was restored from a backup, and written to since."""
    older = read_rows(url)
    grow(url)
    note = sign(url)
    forge(url, lambda _: older)
    (problem,) = look(url, note).problems
    assert problem.position == 13
    grow(url, "ffff2222aaaa3333")
    assert look(url).ok
    (problem,) = look(url, note).problems
    assert "positions 1 to 13" in problem.message


def test_a_history_written_anew_from_the_first_event_is_found(url: URL) -> None:
    note = sign(url)
    forge(url, lambda rows: [replace(rows[0], provenance='{"author":"eve"}'), *rows[1:]])
    assert look(url).ok
    (problem,) = look(url, note).problems
    assert problem.position == 1
    assert "written anew from the first event on" in problem.message


def test_the_signed_hash_copied_into_a_forged_row_does_not_help(url: URL) -> None:
    """The row at the checkpoint's size carries the right hash and does not have it."""
    note = sign(url)
    rows = read_rows(url)
    signed = rows[-1].hash
    forge(url, FORGERIES["edit"])
    forged = read_rows(url)
    write_rows(url, [*forged[:-1], replace(forged[-1], hash=signed)])
    found = look(url, note)
    assert not found.ok
    assert "hash" in whats(found)


def test_a_hash_that_says_what_it_should_over_content_that_does_not_is_found(url: URL) -> None:
    note = sign(url)
    rows = read_rows(url)
    changed = replace(rows[4], principal="user/eve")
    assert chain_hash(changed) != rows[4].hash
    write_rows(url, [*rows[:4], changed, *rows[5:]])
    found = look(url, note)
    assert not found.ok
    assert [v.wrong for v in found.verdicts] == ["the chain up to it does not hold at position 5"]


# --- the kept ones, and what is signed next -----------------------------------------------------


@pytest.mark.parametrize("name", FORGERIES)
def test_nothing_is_signed_over_a_history_that_departs_from_what_was_kept(
    url: URL, name: str
) -> None:
    sign(url)
    with raw(url) as database:
        kept = [tuple(row) for row in database.execute("SELECT * FROM checkpoints")]
    forge(url, FORGERIES[name])
    with raw(url) as database:
        for row in kept:
            database.execute("INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?)", row)
        count = database.execute("SELECT count(*) FROM checkpoints").fetchone()[0]
    with pytest.raises(ChainBroken, match="Nothing was signed"):
        sign(url)
    with raw(url) as database:
        assert database.execute("SELECT count(*) FROM checkpoints").fetchone()[0] == count


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("hash", "ab" * 32, "something else than its row"),
        ("note", "made up", "its note cannot be read"),
        ("position", 3, "something else than its row"),
    ],
)
def test_a_kept_checkpoint_that_does_not_fit_is_found_without_any_key(
    url: URL, column: str, value: object, said: str
) -> None:
    sign(url)
    with raw(url) as database:
        overwrite(database, "checkpoints", column, value, where="position = 12")
    (problem,) = look(url).problems
    assert problem.what == "checkpoint"
    assert said in problem.message


def test_a_forger_who_forgets_the_kept_checkpoints_is_found_without_any_key(url: URL) -> None:
    sign(url)
    rows = read_rows(url)
    with raw(url) as database:
        kept = [tuple(row) for row in database.execute("SELECT * FROM checkpoints")]
    forge(url, FORGERIES["edit"])
    with raw(url) as database:
        for row in kept:
            database.execute("INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?)", row)
    assert rows[-1].hash != read_rows(url)[-1].hash
    (problem,) = look(url).problems
    assert (problem.position, problem.what) == (12, "checkpoint")
    assert "not the one that was signed" in problem.message
