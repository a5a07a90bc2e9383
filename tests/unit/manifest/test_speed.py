"""What reading costs: linear, and a small multiple of what YAML itself costs."""

import gc
import time
from collections.abc import Callable

import yaml

from ledger.manifest import read
from tests.support.measured import Measured
from tests.unit.manifest.directory import TEAM, TEMPORARY

RATIO_MAX = 3.0
SLACK = 1.6
"""Other work on the machine moves both sides; the figure itself is printed."""


def grants(count: int) -> bytes:
    return b"temporary-access:\n" + b"".join(
        b"  - description: Debug production database %d\n"
        b"    user: developer%d@example.com\n"
        b"    environment: prod\n"
        b"    grant: dev.break-glass\n"
        b"    expiration_date: 2025-11-30\n" % (number, number)
        for number in range(count)
    )


def cheapest_s(work: Callable[[], object], tries: int = 2) -> float:
    """Processor seconds of the cheapest of a few runs: the one that was disturbed least."""
    found = []
    for _ in range(tries):
        gc.collect()
        before = time.process_time()
        work()
        found.append(time.process_time() - before)
    return min(found)


def reading_of(data: bytes) -> Callable[[], object]:
    files = {**{path: text.encode() for path, text in TEAM.items()}, TEMPORARY: data}
    return lambda: read(files)


def test_5000_grants_are_read_within_three_times_what_yaml_takes(measured: Measured) -> None:
    loader = getattr(yaml, "CSafeLoader", None)
    assert loader is not None, "PyYAML without libyaml: nothing to compare with"
    data = grants(5_000)
    ours_s = cheapest_s(reading_of(data))
    composed_s = cheapest_s(lambda: yaml.compose(data, Loader=loader))
    measured(
        f"5,000 grants read in {ours_s:.3f} s, composed in {composed_s:.3f} s: "
        f"{ours_s / composed_s:.2f} times"
    )
    assert ours_s < composed_s * RATIO_MAX * SLACK


def test_the_cost_grows_with_the_file_and_not_faster() -> None:
    few_s = cheapest_s(reading_of(grants(1_500)))
    many_s = cheapest_s(reading_of(grants(6_000)))
    assert many_s < few_s * 4 * 4, "more than linear, by more than a busy machine explains"


def test_thousands_of_problems_cost_in_proportion() -> None:
    wrong = grants(2_000).replace(b"dev.break-glass", b"dev.break-glas")
    sound_s = cheapest_s(reading_of(grants(2_000)))
    wrong_s = cheapest_s(reading_of(wrong))
    assert wrong_s < sound_s * 10 + 0.5
