"""Makes the Grafana dashboard out of `scripts/dashboard_panels.py`, by Grafana's own SDK.

`--write` writes deploy/grafana/iam-ledger.json; without it the JSON is printed. It runs in a
virtual environment that holds the SDK and nothing else (tests/oracles/grafana.txt):
`scripts/alerts --write` makes that and runs this, and `scripts/alerts` says where the committed
file is not what this makes.
"""

import json
import string
import sys
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import (  # type: ignore[import-not-found]  # in its own venv
    common as common_builders,
)
from grafana_foundation_sdk.builders import (
    dashboard,
    prometheus,
    stat,
    timeseries,
)
from grafana_foundation_sdk.cog.encoder import (  # type: ignore[import-not-found]  # as above
    JSONEncoder,
)
from grafana_foundation_sdk.models import (  # type: ignore[import-not-found]  # as above
    common,
)
from grafana_foundation_sdk.models import dashboard as model

from scripts.dashboard_panels import ROWS, WIDTH, Panel

FILE = Path(__file__).parents[1] / "deploy" / "grafana" / "iam-ledger.json"
SOURCE = "datasource"
"""The variable by which whoever looks chooses their Prometheus: none is wired in."""


def _source() -> Any:
    return model.DataSourceRef(type_val="prometheus", uid=f"${{{SOURCE}}}")


def _thresholds(panel: Panel) -> Any:
    first, more = "green", []
    if panel.red_from is not None:
        more.append(model.Threshold(value=panel.red_from, color="red"))
    if panel.red_below is not None:
        first = "red"
        more.append(model.Threshold(value=panel.red_below, color="green"))
    steps = [model.Threshold(value=None, color=first), *more]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)


def _panel(panel: Panel, width: int, height: int) -> Any:
    if panel.kind == "number":
        made = stat.Panel().graph_mode(common.BigValueGraphMode.NONE)
        made = made.color_mode(common.BigValueColorMode.BACKGROUND).thresholds(_thresholds(panel))
        made = made.reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
        made = made.no_value("none")
    else:
        made = timeseries.Panel().fill_opacity(10).axis_soft_min(0)
        made = made.show_points(common.VisibilityMode.NEVER)
    made = made.title(panel.title).description(panel.about).unit(panel.unit).datasource(_source())
    for letter, query in zip(string.ascii_uppercase, panel.queries, strict=False):
        asked = prometheus.Dataquery().expr(query.expr).ref_id(letter).datasource(_source())
        asked = asked.legend_format(query.legend) if query.legend else asked
        made = made.with_target(asked.instant() if panel.kind == "number" else asked.range())
    return made.span(width).height(height)


def made() -> str:
    """The dashboard as JSON."""
    board = (
        dashboard.Dashboard("iam-ledger")
        .uid("iam-ledger")
        .description("Who ends access, how late, and whether anybody could still have some.")
        .tags(["iam-ledger"])
        .time("now-6h", "now")
        .refresh("30s")
        .timezone("utc")
        .readonly()
        .with_variable(dashboard.DatasourceVariable(SOURCE).label("Prometheus").type("prometheus"))
    )
    for row in ROWS:
        board = board.with_row(dashboard.Row(row.title))
        for panel in row.panels:
            board = board.with_panel(_panel(panel, WIDTH // len(row.panels), row.height))
    built = json.loads(json.dumps(board.build(), cls=JSONEncoder))
    for number, panel in enumerate(built["panels"], 1):
        panel["id"] = number
    return json.dumps(built, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    if arguments == ["--write"]:
        FILE.write_text(made(), encoding="utf-8")
    else:
        sys.stdout.write(made())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
