"""What all accounts of one worker come to, set on its gauges when they are scraped.

Invariant: accounts are gone through once a scrape, however many gauges there are.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from worker.census import Census, Class
from worker.metrics import ENFORCEMENTS, EXPOSED, Metrics


def tell(metrics: Metrics, censuses: Iterable[Census], now: datetime) -> None:
    """Sets the gauges that are counted, as it is at `now`."""
    troubles: Counter[str] = Counter()
    standing: Counter[Class] = Counter()
    overdue: Counter[tuple[str, str]] = Counter()
    oldest: dict[tuple[str, str], datetime] = {}
    accounts_stuck = policies_stuck = 0
    next_end: datetime | None = None
    for census in censuses:
        for kind, number in census.troubles.items():
            troubles[kind] += number
        for enforcement, number in census.standing.items():
            standing[enforcement] += number
        accounts_stuck += census.stuck
        policies_stuck += census.stuck_policies
        end = census.next_end(now)
        if end is not None and (next_end is None or end < next_end):
            next_end = end
        for owed in census.owed(now):
            labels = (owed.enforcement, EXPOSED[0] if owed.exposed else EXPOSED[1])
            overdue[labels] += 1
            if labels not in oldest or owed.since < oldest[labels]:
                oldest[labels] = owed.since
    metrics.stuck.set(troubles["stuck"])
    metrics.refused.set(troubles["refused"])
    metrics.missing.set(troubles["missing"])
    metrics.accounts_stuck.set(accounts_stuck)
    metrics.policies_stuck.set(policies_stuck)
    metrics.next_end.set(_unix(next_end))
    metrics.exposed.set(sum(overdue[enforcement, EXPOSED[0]] for enforcement in ENFORCEMENTS))
    for enforcement in ENFORCEMENTS:
        metrics.standing.labels(enforcement).set(standing[enforcement])
        for exposed in EXPOSED:
            metrics.overdue.labels(enforcement, exposed).set(overdue[enforcement, exposed])
            since = oldest.get((enforcement, exposed))
            metrics.oldest_overdue.labels(enforcement, exposed).set(_unix(since))


def _unix(instant: datetime | None) -> float:
    return 0.0 if instant is None else instant.timestamp()
