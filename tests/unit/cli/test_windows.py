"""Windows in their readers' words."""

from datetime import date, timedelta
from typing import Any

import pytest

from cli.windows import Reader, moved, span_text
from ledger.manifest import DeclaredGrant, EndsAt, LastDay, Lasts, Permanent
from ledger.model import Window
from tests.support.builders import NOW, at, directory, manifest, permanent, temporary

UNTIL = "until 2026-03-02T13:00:00Z"


def line(**end: Any) -> DeclaredGrant:
    """The one line of a directory that says so."""
    files = directory(windows=[temporary(**end)]) if end else directory(standing=[permanent("ana")])
    (found,) = manifest(files).grants
    return found


def reader(*, to_come: bool = True) -> Reader:
    return Reader(NOW, "Europe/Berlin", to_come)


def test_a_duration_counts_from_an_ingest_that_is_still_to_come() -> None:
    said = reader().window(Window(NOW, at(4)), line(duration="4h"))
    assert said == f"for 4h from the ingest on: {UNTIL} if that were now"
    done = reader(to_come=False).window(Window(NOW, at(4)), line(duration="4h"))
    assert done == f"for 4h, {UNTIL}"


def test_a_duration_with_a_start_of_its_own_hangs_on_no_ingest() -> None:
    said = reader().window(Window(at(2), at(4)), line(duration="2h", starts_at=at(2)))
    assert said == f"from 2026-03-02T11:00:00Z for 2h, {UNTIL}"


def test_a_day_is_named_with_its_zone_and_the_instant_it_ends_at() -> None:
    said = reader().window(Window(NOW, at(14)), line(expiration_date="2026-03-02"))
    assert said == "through 2026-03-02 in Europe/Berlin, until 2026-03-02T23:00:00Z"


def test_an_instant_is_told_with_how_long_that_is() -> None:
    assert reader().window(Window(NOW, at(4)), line(expires_at=at(4))) == f"{UNTIL} (in 4h)"
    later = reader().window(Window(at(2.5), at(4)), line(expires_at=at(4)))
    assert later == f"from 2026-03-02T11:30:00Z {UNTIL} (1h30m)"


def test_what_has_no_end_says_so_and_a_line_that_is_not_known_costs_only_words() -> None:
    assert reader().window(Window(NOW, None), line()) == "permanent"
    assert reader().window(Window(NOW, at(4)), None) == f"{UNTIL} (in 4h)"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(45, "45s"), (60, "1m"), (3_599, "59m59s"), (3_661, "1h1m"), (90_061, "1d1h"), (0, "0m")],
)
def test_a_span_has_its_two_largest_units(seconds: int, said: str) -> None:
    assert span_text(timedelta(seconds=seconds)) == said


def test_how_far_an_end_moved_is_told_where_both_have_one() -> None:
    assert moved(Window(NOW, at(4)), Window(NOW, at(6))) == " (2h later)"
    assert moved(Window(NOW, at(4)), Window(NOW, at(3.5))) == " (30m earlier)"
    assert moved(Window(NOW, at(4)), Window(at(1), at(4))) == ""
    assert moved(Window(NOW, None), Window(NOW, at(4))) == ""


def test_every_kind_of_end_was_tried_here() -> None:
    ends = [line(duration="4h"), line(expiration_date="2026-03-02"), line(expires_at=at(4)), line()]
    assert [type(each.end) for each in ends] == [Lasts, LastDay, EndsAt, Permanent]
    assert date(2026, 3, 2) == getattr(ends[1].end, "day", None)
