"""promtool reads the rules and tries each alert: heard when it is to be, and not when it is not."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.oracles.alert_cases import ASKED_AT_S, CASES, Case, Series
from tests.support.prometheus import CONFIGURATION, RULES, promtool


def question(alert: str, series: Series, *, heard: bool) -> dict[str, Any]:
    """One of promtool's tests: whether `alert` fires at the end of `series`."""
    given = [{"series": name, "values": values} for name, values in series.items()]
    return {
        "interval": "1m",
        "input_series": given or [{"series": "something_else", "values": "0x60"}],
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{alertname="{alert}", alertstate="firing"}})',
                "eval_time": f"{ASKED_AT_S}s",
                "exp_samples": [{"labels": "{}", "value": 1}] if heard else [],
            }
        ],
    }


def tried(case: Case, folder: Path, rules: Path = RULES) -> str:
    """What promtool says is wrong with both halves of `case`; empty where nothing is."""
    tests = [
        question(case.alert, case.fires, heard=True),
        question(case.alert, case.quiet, heard=False),
    ]
    asked = {"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": tests}
    (folder / "asked.yaml").write_text(json.dumps(asked), encoding="utf-8")
    done = promtool("test", "rules", "asked.yaml", folder=folder)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.alert)
def test_an_alert_is_heard_when_it_is_to_be_and_only_then(case: Case, tmp_path: Path) -> None:
    assert tried(case, tmp_path) == ""


def test_the_rules_and_the_example_are_what_prometheus_reads(tmp_path: Path) -> None:
    for what, path in (("rules", RULES), ("config", CONFIGURATION)):
        done = promtool("check", what, path, folder=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", sorted({case.alert for case in CASES}))
def test_an_alert_that_is_never_heard_or_always_would_be_seen(alert: str, tmp_path: Path) -> None:
    """Each expression is spoilt in both ways; at least one case of the alert has to fail."""
    cases = [case for case in CASES if case.alert == alert]
    for spoilt in ("vector(1)", "vector(1) < 0"):
        rules = yaml.safe_load(RULES.read_text(encoding="utf-8"))
        for group in rules["groups"]:
            for rule in group["rules"]:
                if rule["alert"] == alert:
                    rule["expr"] = spoilt
        planted = tmp_path / "planted.yaml"
        planted.write_text(json.dumps(rules), encoding="utf-8")
        assert any(tried(case, tmp_path, planted) for case in cases), spoilt
