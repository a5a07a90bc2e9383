"""A real Prometheus scrapes a real worker: every alert and every graph is asked of it.

The worker does its whole job against moto first, so that there is something to be told.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from scripts.dashboard_panels import RATE, expressions
from tests.acceptance.small import declare, files, installed, window
from tests.support.moto_server import ENVIRONMENT, MotoServer
from tests.support.processes import until
from tests.support.prometheus import RULES, Server, running
from worker.metrics import Metrics

SELECTOR = re.compile(r"\b(?:iam_ledger_\w+|up|scrape_duration_seconds)(?:\{[^}]*\})?")
SCRAPES_MAX_S = 60.0
WITHOUT_DATA = {
    'time() - (min(iam_ledger_oldest_overdue_timestamp_seconds{exposed="true"} > 0) > 0)': (
        "nothing is exposed"
    ),
    "time() - (max(iam_ledger_checkpoint_timestamp_seconds) > 0)": "no worker signs checkpoints",
}
"""Expression of the dashboard -> why it gives nothing while all is well."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A worker that has given and taken away, and who watches it."""

    server: Server


@pytest.fixture(scope="module")
def watched(moto_process: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    host, port = moto_process.get_host_and_port()  # type: ignore[attr-defined]  # moto's own server
    moto = MotoServer(f"http://{host}:{port}")
    folder = tmp_path_factory.mktemp("watched")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        moto.reset()
        with installed(moto, folder) as (program, _), program.daemon() as worker:
            target = f"127.0.0.1:{worker.port}"
            with running(folder, targets=[target]) as server:
                until(lambda: bool(server.ask("up == 1")), "a scrape", limit_s=SCRAPES_MAX_S)
                soon = datetime.now(UTC) + timedelta(seconds=20)
                declare(program, files(window("ana", expires_at=soon), window("ben")))
                worker.heard("access_removed")

                def told() -> bool:
                    counted = "sum(iam_ledger_revocation_lateness_seconds_count) >= 1"
                    rated = "sum(rate(iam_ledger_steps_total[1h])) > 0"
                    return bool(server.ask(counted) and server.ask(rated))

                until(told, "the end is told", limit_s=SCRAPES_MAX_S)
                yield Watched(server)


def alerts() -> dict[str, str]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return {rule["alert"]: rule["expr"] for group in groups for rule in group["rules"]}


def test_every_metric_of_every_alert_is_a_series_of_a_real_worker(watched: Watched) -> None:
    """With exactly the labels that the alert names."""
    looked_at = 0
    for name, expression in alerts().items():
        selectors = SELECTOR.findall(expression)
        assert selectors, name
        for selector in selectors:
            assert watched.server.ask(selector), f"{name}: no series is {selector}"
            looked_at += 1
    assert looked_at >= len(alerts())


def test_every_alert_can_be_asked_and_none_is_heard_while_all_is_well(watched: Watched) -> None:
    for expression in alerts().values():
        watched.server.ask(expression)
    rules = [rule for group in watched.server.get("rules")["groups"] for rule in group["rules"]]
    assert {rule["name"] for rule in rules} == set(alerts())
    assert [rule["name"] for rule in rules if rule["health"] != "ok"] == []
    assert [rule["name"] for rule in rules if rule["state"] == "firing"] == []


def test_every_expression_of_the_dashboard_gives_what_the_worker_has(watched: Watched) -> None:
    asked = 0
    for expression in expressions():
        found = watched.server.ask(expression.replace(RATE, "1h"))
        assert bool(found) != (expression in WITHOUT_DATA), expression
        numbers = [series["value"][1] for series in found]
        assert not numbers or set(numbers) != {"NaN"}, expression
        asked += 1
    assert asked > 30
    assert set(WITHOUT_DATA) <= set(expressions())


def test_a_metric_that_no_worker_has_would_be_seen(watched: Watched) -> None:
    assert watched.server.ask("iam_ledger_no_such_thing") == []
    with pytest.raises(AssertionError, match="parse error"):
        watched.server.ask("sum(iam_ledger_accounts")


def test_the_worker_told_prometheus_all_that_it_keeps(watched: Watched) -> None:
    names = set(watched.server.get("label/__name__/values"))
    for family in Metrics().registry.collect():
        for sample in family.samples:
            assert sample.name in names, sample.name
    assert watched.server.ask('iam_ledger_grants_standing{enforcement="aws"} == 1'), "ben's"
