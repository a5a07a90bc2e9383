"""What the gauges say of all accounts together, at the instant of a scrape."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from ledger.events import Stuck
from ledger.state import AccountView
from tests.support.histories import NOON, PROD, TEAM, after
from tests.unit.worker.views import (
    READ_ONLY,
    attachment,
    closed,
    copy,
    fix,
    row,
    sighting,
    view,
    written,
)
from worker.census import NOTHING, Census, count
from worker.metrics import Metrics
from worker.tally import tell


def said(*censuses: Census, at: datetime) -> dict[str, float]:
    """Every gauge that is not zero, by its name and labels."""
    metrics = Metrics()
    metrics.before_scrape = lambda: tell(metrics, censuses, at)
    counted = ("exposed", "overdue", "stuck", "missing", "refused", "standing", "next_end")
    return {
        sample.name.removeprefix("iam_ledger_")
        + "".join(f" {value}" for _, value in sorted(sample.labels.items())): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.value and any(word in sample.name for word in counted)
    }


def of(*rows: object, at: datetime = NOON, **more: object) -> Census:
    return count(view(*rows, policy=fix(), made=written(), **more), at)  # type: ignore[arg-type]


def test_an_account_that_was_never_read_counts_for_nothing() -> None:
    assert said(NOTHING, at=NOON) == {}


def test_what_aws_ends_itself_is_overdue_and_exposes_nobody() -> None:
    census = of(replace(row(ends=1, written=True, made=[copy()]), enforcement="aws"))
    end = after(1).timestamp()
    assert said(census, at=after(0.5)) == {
        "grants_standing aws": 1,
        "next_end_timestamp_seconds": end,
    }
    assert said(census, at=after(1)) == {
        "grants_standing aws": 1,
        "grants_overdue aws false": 1,
        "oldest_overdue_timestamp_seconds aws false": end,
    }


def test_what_only_the_worker_ends_is_exposed_from_its_end_and_counted_by_its_class() -> None:
    one = of(replace(row(ends=1, written=True, made=[attachment()]), enforcement="daemon"))
    two = of(replace(row(ends=2, written=True, made=[attachment()]), enforcement="daemon"))
    assert said(one, two, at=after(3)) == {
        "grants_standing daemon": 2,
        "grants_overdue daemon true": 2,
        "grants_exposed": 2,
        "oldest_overdue_timestamp_seconds daemon true": after(1).timestamp(),
    }


def test_what_was_revoked_is_exposed_whatever_the_clock_says() -> None:
    census = of(row(revoked=5, written=True, made=[attachment()]))
    assert said(census, at=NOON)["grants_exposed"] == 1
    assert said(census, at=NOON)["grants_overdue none true"] == 1


def test_what_another_grant_needs_or_stood_before_us_exposes_nobody() -> None:
    """As `status` says it: all that stands of it stands for another reason."""
    gone = row("a", revoked=0, written=True, made=[attachment()])
    other = row("b", written=True, made=[attachment()])
    assert said(of(gone, other), at=after(1))["grants_overdue none false"] == 1
    lone = row("c", revoked=0, made=[attachment(READ_ONLY)], written=True)
    for present in (True, False):
        seen = view(lone, policy=fix(None, READ_ONLY), sighted=[sighting(lone, present=present)])
        census = count(seen, NOON)
        assert said(census, at=after(1)).get("grants_exposed", 0) == (not present)


def test_what_is_closed_is_owed_no_more_and_stands_no_more() -> None:
    assert said(of(closed(row(ends=1, written=True, made=[copy()]))), at=after(2)) == {}


@pytest.mark.parametrize("trouble", ["stuck", "refused", "missing"])
def test_every_trouble_is_counted(trouble: str) -> None:
    census = of(row(ends=4, trouble=trouble))  # type: ignore[arg-type]  # one of the literal
    assert said(census, census, at=NOON)[f"grants_{trouble}"] == 2


def test_an_account_that_cannot_be_entered_and_a_policy_that_cannot_be_written_count_apart() -> (
    None
):
    why = Stuck(PROD, "AccessDenied", "no")
    stuck = {("", ""): why, (TEAM, "fix"): why, (TEAM, "look"): why}
    seen: AccountView = replace(view(), stuck=stuck)
    assert said(count(seen, NOON), at=NOON) == {"accounts_stuck": 1, "policies_stuck": 2}


def test_the_end_that_comes_next_is_told_of_all_accounts() -> None:
    early, late = of(row(ends=2)), of(row(ends=3), row(ends=1))
    assert said(early, late, at=after(1.5))["next_end_timestamp_seconds"] == after(2).timestamp()


def test_thousands_of_accounts_with_nothing_due_are_gone_through_without_asking_any_grant() -> None:
    """A scrape looks at no grant behind the first that is not owed."""
    census = of(*(row(f"g{number}", ends=1 + number) for number in range(50)))
    looked = list(census.owed(after(1)))
    assert len(looked) == 1
    assert census.next_end(NOON + timedelta(minutes=90)) == after(2)
