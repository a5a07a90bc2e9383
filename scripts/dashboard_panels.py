"""What the Grafana dashboard shows: values, from which `scripts/dashboard.py` makes its JSON.

Every expression sums or groups over workers: each of them tells only of the accounts that it keeps.
"""

from dataclasses import dataclass
from typing import Literal

RATE = "$__rate_interval"
"""Grafana puts a time in its place that fits the graph and the scrapes."""

WIDTH = 24
"""Of a row, in Grafana's own columns."""


@dataclass(frozen=True, slots=True)
class Query:
    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """A number or a graph."""

    title: str
    about: str
    unit: str
    """By Grafana's own names of units."""
    queries: tuple[Query, ...]
    kind: Literal["number", "graph"] = "graph"
    red_from: float | None = None
    """From which value on a number is red; None: never."""
    red_below: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    title: str
    panels: tuple[Panel, ...]
    height: int = 8


def number(title: str, about: str, expr: str, unit: str = "short", **bounds: float) -> Panel:
    return Panel(title, about, unit, (Query(expr),), "number", **bounds)


def graph(title: str, about: str, unit: str, *queries: tuple[str, str]) -> Panel:
    return Panel(title, about, unit, tuple(Query(expr, legend) for expr, legend in queries))


def quantile(share: float, metric: str, by: str = "") -> str:
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by ({labels}) (rate({metric}_bucket[{RATE}])))"


def age(metric: str, of: str = "min") -> str:
    """Seconds since an instant that some metric names; nothing where it names none."""
    return f"time() - ({of}({metric}) > 0)"


LATENESS = "iam_ledger_revocation_lateness_seconds"
GIVEN = "iam_ledger_grant_lateness_seconds"
CALLS = "iam_ledger_aws_api_requests_total"

ROWS = (
    Row(
        "Access that should not be there",
        (
            number(
                "Exposed",
                "Past the end or revoked, not confirmed removed, and not denied by AWS.",
                "sum(iam_ledger_grants_exposed)",
                red_from=1,
            ),
            number(
                "Exposed for",
                "Since when the one that is exposed longest should be gone.",
                age('iam_ledger_oldest_overdue_timestamp_seconds{exposed="true"} > 0'),
                "s",
                red_from=60,
            ),
            number(
                "Overdue, exposing nobody",
                "Denied by AWS already, or standing for another reason.",
                'sum(iam_ledger_grants_overdue{exposed="false"})',
            ),
            number(
                "Stuck",
                "Grants and policies with a step that does not get done.",
                "sum(iam_ledger_grants_stuck) + sum(iam_ledger_policies_stuck)",
                red_from=1,
            ),
            number(
                "Refused",
                "Grants that the account's own numbers forbid.",
                "sum(iam_ledger_grants_refused)",
                red_from=1,
            ),
            number(
                "Missing",
                "Taken away by another hand; `retry` gives them again.",
                "sum(iam_ledger_grants_missing)",
                red_from=1,
            ),
            number(
                "Accounts closed",
                "That cannot be entered or kept.",
                "sum(iam_ledger_accounts_stuck)",
                red_from=1,
            ),
            number(
                "Next end",
                "When access ends next.",
                "min(iam_ledger_next_end_timestamp_seconds > 0) * 1000",
                "dateTimeFromNow",
            ),
        ),
        height=4,
    ),
    Row(
        "How late",
        (
            graph(
                "Ends, confirmed late by",
                "From a grant's end or revocation to AWS's confirmation, by who ends it.",
                "s",
                (quantile(0.5, LATENESS, "enforcement"), "half of {{enforcement}}"),
                (quantile(0.99, LATENESS, "enforcement"), "99 % of {{enforcement}}"),
            ),
            graph(
                "Additions, confirmed late by",
                "From when access was to stand to AWS's first confirmation that it does.",
                "s",
                (quantile(0.5, GIVEN), "half"),
                (quantile(0.99, GIVEN), "99 %"),
            ),
            graph(
                "Steps carried out a second",
                "By their reason.",
                "ops",
                (f"sum by (reason) (rate(iam_ledger_steps_total[{RATE}]))", "{{reason}}"),
            ),
        ),
    ),
    Row(
        "Grants",
        (
            graph(
                "Standing in AWS",
                "By who ends them: AWS itself, only the worker, or nobody but a revocation.",
                "short",
                ("sum by (enforcement) (iam_ledger_grants_standing)", "{{enforcement}}"),
            ),
            graph(
                "Overdue",
                "By class, and whether somebody may have access by them.",
                "short",
                (
                    "sum by (enforcement, exposed) (iam_ledger_grants_overdue)",
                    "{{enforcement}}, exposed {{exposed}}",
                ),
            ),
            graph(
                "Drift found an hour",
                "Differences that another hand made.",
                "short",
                ("sum by (drift) (increase(iam_ledger_drift_found_total[1h]))", "{{drift}}"),
            ),
        ),
    ),
    Row(
        "Accounts",
        (
            graph(
                "Accounts",
                "Kept, failing, closed, and throttled by AWS.",
                "short",
                ("sum(iam_ledger_accounts)", "kept"),
                ("sum(iam_ledger_accounts_failing)", "failing"),
                ("sum(iam_ledger_accounts_stuck)", "closed"),
                ("sum(iam_ledger_accounts_throttled)", "throttled"),
            ),
            graph(
                "Passes a second",
                "Reconciliations of one account.",
                "ops",
                (f"sum by (result) (rate(iam_ledger_passes_total[{RATE}]))", "{{result}}"),
            ),
            graph(
                "Since an account was read whole",
                "Of the one that waits longest: so long drift may go unseen.",
                "s",
                (age("iam_ledger_oldest_observation_timestamp_seconds"), "oldest"),
            ),
        ),
    ),
    Row(
        "AWS",
        (
            graph(
                "Calls a second",
                "By how AWS answered.",
                "ops",
                (f"sum by (outcome) (rate({CALLS}[{RATE}]))", "{{outcome}}"),
            ),
            graph(
                "Time of a call",
                "The five slowest operations, 99 of 100 calls.",
                "s",
                (
                    "topk(5, "
                    + quantile(0.99, "iam_ledger_aws_api_request_duration_seconds", "operation")
                    + ")",
                    "{{operation}}",
                ),
            ),
            graph(
                "Waiting for the pace",
                "Seconds a second that calls wait, so that AWS does not throttle.",
                "s",
                (f"sum by (kind) (rate(iam_ledger_pace_waited_seconds_total[{RATE}]))", "{{kind}}"),
            ),
            graph(
                "Clock, less AWS's",
                "Beyond 2 s ends are kept by AWS's time, beyond 30 s nothing is granted.",
                "s",
                ("iam_ledger_clock_offset_seconds", "{{instance}}"),
            ),
        ),
    ),
    Row(
        "Workers and the ledger",
        (
            number(
                "Workers ready",
                "Whose /readyz says so.",
                "sum(iam_ledger_ready)",
                red_below=1,
            ),
            number(
                "Parts kept",
                "Of 64, into which the accounts are divided.",
                "sum(iam_ledger_shards)",
                red_below=64,
            ),
            number(
                "History",
                "1: the ledger departs from what was signed or followed before.",
                "max(iam_ledger_history_broken) + max(iam_ledger_additions_stopped)",
                red_from=1,
            ),
            number("Head", "The ledger's newest position.", "max(iam_ledger_ledger_head_position)"),
            number(
                "Since the ledger answered",
                "Of the worker that has waited longest.",
                age("iam_ledger_ledger_answered_timestamp_seconds"),
                "s",
                red_from=60,
            ),
            number(
                "Since the last checkpoint",
                "Nothing where no worker signs any.",
                age("iam_ledger_checkpoint_timestamp_seconds", "max"),
                "s",
                red_from=1_800,
            ),
        ),
        height=4,
    ),
    Row(
        "Each worker",
        (
            graph(
                "Parts of the accounts",
                "Of 64, by worker.",
                "short",
                ("iam_ledger_shards", "{{instance}}"),
            ),
            graph(
                "Time to answer a scrape",
                "A loop that is held up answers late, and ends access late by as much.",
                "s",
                ('scrape_duration_seconds{job="iam-ledger"}', "{{instance}}"),
            ),
            graph(
                "Database errors a second",
                "Times that the database did not answer.",
                "ops",
                (f"rate(iam_ledger_ledger_errors_total[{RATE}])", "{{instance}}"),
            ),
        ),
    ),
)


def panels() -> list[Panel]:
    return [panel for row in ROWS for panel in row.panels]


def expressions() -> list[str]:
    return [query.expr for panel in panels() for query in panel.queries]
