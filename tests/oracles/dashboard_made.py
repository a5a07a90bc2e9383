"""The committed dashboard is what Grafana's own SDK makes of the table of panels.

Nobody here can draw it: no Grafana is to be had. `alerts_asked.py` asks its expressions.
"""

import json
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from scripts.dashboard_panels import WIDTH, panels
from tests.support.separate import python
from tests.walls.tree import ROOT

REQUIREMENTS = Path(__file__).with_name("grafana.txt")
COMMITTED = ROOT / "deploy" / "grafana" / "iam-ledger.json"


@pytest.fixture(scope="module")
def dashboard() -> Any:
    return json.loads(COMMITTED.read_text(encoding="utf-8"))


def test_the_committed_dashboard_is_what_the_script_makes() -> None:
    made = subprocess.run(
        [python(REQUIREMENTS), "-m", "scripts.dashboard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert made.stdout == COMMITTED.read_text(encoding="utf-8"), "run scripts/alerts --write"


def test_every_panel_of_the_table_is_drawn_once_and_none_over_another(dashboard: Any) -> None:
    drawn = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert [panel["title"] for panel in drawn] == [panel.title for panel in panels()]
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)
    assert all(place["x"] + place["w"] <= WIDTH for place in places)


def test_every_query_has_a_name_of_its_own_and_no_wired_source(dashboard: Any) -> None:
    for panel in dashboard["panels"]:
        names = [target["refId"] for target in panel.get("targets", ())]
        assert len(names) == len(set(names))
        for asked in (panel, *panel.get("targets", ())):
            source = asked.get("datasource", {"uid": "${datasource}"})
            assert source["uid"] == "${datasource}"
    (variable,) = dashboard["templating"]["list"]
    assert (variable["name"], variable["type"]) == ("datasource", "datasource")
