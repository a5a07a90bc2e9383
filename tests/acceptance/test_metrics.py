"""No metric without a life: each moved in the acceptance run, or stands here with its reason."""

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.story import Story
from worker.metrics import NAMESPACE, Metrics

UNMOVED = {
    "iam_ledger_build_info": "says which version runs; it is born saying so",
    "iam_ledger_drift_found": (
        "a difference is believed only two minutes after it was first read; moved, with time told, "
        "in tests/integration/test_worker_drift.py"
    ),
    "iam_ledger_checkpoint_position": (
        "the run has no key to sign with; moved in tests/integration/test_worker_checkpoints.py"
    ),
    "iam_ledger_checkpoint_timestamp_seconds": (
        "the run has no key to sign with; moved in tests/integration/test_worker_checkpoints.py"
    ),
    "iam_ledger_grants_missing": (
        "nobody takes anything away in the run; counted in tests/unit/worker/test_tally.py"
    ),
    "iam_ledger_policies_stuck": (
        "every policy can be written in the run; counted in tests/unit/worker/test_tally.py"
    ),
    "iam_ledger_accounts_stuck": (
        "every account can be entered in the run; counted in tests/unit/worker/test_tally.py"
    ),
    "iam_ledger_pace_waited_seconds": (
        "nobody is called that often in the run; counted in tests/unit/worker/test_pace.py"
    ),
    "iam_ledger_history_broken": (
        "nobody forges history in the run; moved in tests/integration/test_worker_checkpoints.py"
    ),
    "iam_ledger_additions_stopped": (
        "nobody puts an older copy back; moved in tests/integration/test_worker_restore.py"
    ),
}
"""Metric -> why the run cannot move it."""

Samples = frozenset[tuple[str, tuple[tuple[str, str], ...], float]]


def families(text: str) -> dict[str, Samples]:
    """Name -> its samples, those of its birth's date left out."""
    return {
        family.name: frozenset(
            (sample.name, tuple(sorted(sample.labels.items())), sample.value)
            for sample in family.samples
            if not sample.name.endswith("_created")
        )
        for family in text_string_to_metric_families(text)
        if family.name.startswith(NAMESPACE) and not family.name.endswith("_created")
    }


def never_moved(born: str, scrapes: Iterable[str], excused: Mapping[str, str]) -> list[str]:
    """Metrics that say in every scrape what they said when they were born, and are not excused."""
    known = families(born)
    moved = {
        name
        for scrape in scrapes
        for name, samples in families(scrape).items()
        if samples != known.get(name)
    }
    return sorted(set(known) - moved - set(excused))


def born(registry: CollectorRegistry) -> str:
    return generate_latest(registry).decode()


def test_every_metric_moved_in_the_run_or_is_listed_with_its_reason(story: Story) -> None:
    assert never_moved(born(Metrics().registry), story.scrapes, UNMOVED) == []


def test_the_worker_publishes_exactly_the_metrics_that_are_written_down(story: Story) -> None:
    assert set(families(story.scrapes[-1])) == set(families(born(Metrics().registry)))


def test_a_metric_that_nothing_moves_would_be_seen(story: Story) -> None:
    planted = Metrics()
    Gauge("planted", "Nobody sets it.", namespace=NAMESPACE, registry=planted.registry)
    unused = CollectorRegistry()
    Gauge("planted", "Nobody sets it.", namespace=NAMESPACE, registry=unused)
    scrapes = [scrape + born(unused) for scrape in story.scrapes]
    assert never_moved(born(planted.registry), scrapes, UNMOVED) == ["iam_ledger_planted"]


def test_a_metric_that_the_worker_forgets_to_publish_would_be_seen(story: Story) -> None:
    silent = [
        "\n".join(line for line in scrape.splitlines() if "iam_ledger_steps" not in line) + "\n"
        for scrape in story.scrapes
    ]
    assert never_moved(born(Metrics().registry), silent, UNMOVED) == ["iam_ledger_steps"]


def test_every_excuse_names_a_metric_that_there_is() -> None:
    assert set(UNMOVED) <= set(families(born(Metrics().registry)))


def test_lateness_was_measured_for_access_that_ended_and_that_was_revoked(story: Story) -> None:
    samples = {
        labels[0][1]: value
        for name, labels, value in families(story.scrapes[-1])[
            "iam_ledger_revocation_lateness_seconds"
        ]
        if name.endswith("_count")
    }
    # By class: six of windows (one of them replaced, one revoked), one permanent line taken out,
    # one window that nobody but the worker ends.
    assert samples == {"aws": 6.0, "none": 1.0, "daemon": 1.0}


def test_the_probes_said_well_at_the_end(story: Story) -> None:
    assert (story.probes["/livez"], story.probes["/readyz"]) == (200, 200)
