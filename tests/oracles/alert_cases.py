"""When each alert is to be heard, and when not: series as Prometheus would have them, an hour long.

`fires` and `quiet` are what Prometheus has in the two cases, a value a minute for every series, in
promtool's own words (`3500x60` stands still, `0+1x60` grows). An instant is in seconds since the
series began: an alert is asked about at 3,600.
"""

from collections.abc import Mapping
from dataclasses import dataclass

ASKED_AT_S = 3_600
FOR_MAX = "60"
"""Values of a series after its first: one a minute."""

Series = Mapping[str, str]

JOB = 'job="iam-ledger"'
ONE = f'{JOB}, instance="one"'
TWO = f'{JOB}, instance="two"'


def oldest(enforcement: str, exposed: str) -> str:
    labels = f'enforcement="{enforcement}", exposed="{exposed}"'
    return f"iam_ledger_oldest_overdue_timestamp_seconds{{{ONE}, {labels}}}"


def of(name: str, instance: str = ONE) -> str:
    return f"iam_ledger_{name}{{{instance}}}"


def still(value: float) -> str:
    return f"{value}x{FOR_MAX}"


def buckets(name: str, late: str, within: str) -> Series:
    """A histogram in which a minute brings so many above 300 s (`late`) and so many at once."""
    bucket = f"iam_ledger_{name}_bucket{{{ONE}, le="
    every = f"0+{int(late) + int(within)}x{FOR_MAX}"
    fast = f"0+{within}x{FOR_MAX}"
    return {
        f'{bucket}"0.1"}}': fast,
        f'{bucket}"5.0"}}': fast,
        f'{bucket}"300.0"}}': fast,
        f'{bucket}"900.0"}}': every,
        f'{bucket}"+Inf"}}': every,
    }


@dataclass(frozen=True, slots=True)
class Case:
    alert: str
    fires: Series
    quiet: Series


def gauge(alert: str, name: str, over: float, under: float) -> Case:
    """One gauge of one worker, on either side."""
    return Case(alert, {of(name): still(over)}, {of(name): still(under)})


CASES = (
    Case(
        "IamLedgerExposed",
        {oldest("none", "true"): still(3_500), oldest("aws", "true"): still(0)},
        {
            oldest("none", "true"): still(3_560),
            oldest("aws", "true"): still(0),
            oldest("aws", "false"): still(100),
            oldest("daemon", "true"): still(100),
        },
    ),
    Case(
        "IamLedgerDaemonClassExposed",
        {oldest("daemon", "true"): still(3_500)},
        {oldest("daemon", "true"): still(3_560), oldest("none", "true"): still(100)},
    ),
    Case(
        "IamLedgerOverdue",
        {oldest("aws", "false"): still(2_900)},
        {oldest("aws", "false"): still(3_100), oldest("none", "false"): still(0)},
    ),
    Case(
        "IamLedgerEndsLate",
        buckets("revocation_lateness_seconds", late="2", within="98"),
        buckets("revocation_lateness_seconds", late="0", within="100"),
    ),
    Case(
        "IamLedgerAdditionsLate",
        buckets("grant_lateness_seconds", late="2", within="98"),
        buckets("grant_lateness_seconds", late="0", within="100"),
    ),
    Case(
        "IamLedgerStuck",
        {of("grants_stuck"): still(0), of("policies_stuck"): still(1)},
        {of("grants_stuck"): still(0), of("policies_stuck"): still(0)},
    ),
    gauge("IamLedgerRefused", "grants_refused", 1, 0),
    gauge("IamLedgerMissing", "grants_missing", 1, 0),
    Case(
        "IamLedgerDrift",
        {f'iam_ledger_drift_found_total{{{ONE}, drift="altered"}}': f"0x{40} 1x{20}"},
        {f'iam_ledger_drift_found_total{{{ONE}, drift="altered"}}': still(7)},
    ),
    Case(
        "IamLedgerNoWorker",
        {f"up{{{ONE}}}": still(0), f"up{{{TWO}}}": still(0)},
        {f"up{{{ONE}}}": still(0), f"up{{{TWO}}}": still(1)},
    ),
    Case("IamLedgerNoWorker", {}, {f"up{{{ONE}}}": f"1x58 0x{1}"}),
    Case(
        "IamLedgerAccountsUnkept",
        {of("shards"): still(32), of("shards", TWO): f"32x30 _x{30}"},
        {of("shards"): still(32), of("shards", TWO): still(32)},
    ),
    Case(
        "IamLedgerWorkerDown",
        {f"up{{{ONE}}}": still(1), f"up{{{TWO}}}": still(0)},
        {f"up{{{ONE}}}": still(1), f"up{{{TWO}}}": f"0x{57} 1x{3}"},
    ),
    gauge("IamLedgerNotReady", "ready", 0, 1),
    Case(
        "IamLedgerSlowLoop",
        {f"scrape_duration_seconds{{{ONE}}}": still(6)},
        {f"scrape_duration_seconds{{{ONE}}}": still(0.2)},
    ),
    Case(
        "IamLedgerNoPass",
        {of("last_pass_timestamp_seconds"): still(600), of("accounts"): still(3)},
        {
            of("last_pass_timestamp_seconds"): still(600),
            of("accounts"): still(0),
            of("last_pass_timestamp_seconds", TWO): "0+60x60",
            of("accounts", TWO): still(3),
        },
    ),
    Case(
        "IamLedgerNotObserved",
        {of("oldest_observation_timestamp_seconds"): still(-4_000), of("accounts"): still(3)},
        {of("oldest_observation_timestamp_seconds"): still(600), of("accounts"): still(3)},
    ),
    gauge("IamLedgerClockWrong", "clock_offset_seconds", -31, 29),
    gauge("IamLedgerClockDrifting", "clock_offset_seconds", -2.5, 1.5),
    gauge("IamLedgerAccountClosed", "accounts_stuck", 2, 0),
    gauge("IamLedgerAccountsFailing", "accounts_failing", 1, 0),
    gauge("IamLedgerThrottled", "accounts_throttled", 1, 0),
    gauge("IamLedgerHistoryBroken", "history_broken", 1, 0),
    gauge("IamLedgerAdditionsStopped", "additions_stopped", 1, 0),
    Case(
        "IamLedgerLedgerSilent",
        {of("ledger_answered_timestamp_seconds"): still(3_000)},
        {of("ledger_answered_timestamp_seconds"): "0+60x60"},
    ),
    Case(
        "IamLedgerLedgerErrors",
        {of("ledger_errors_total"): "0+1x60"},
        {of("ledger_errors_total"): f"0x{50} 1x{10}"},
    ),
    gauge("IamLedgerCheckpointOld", "checkpoint_timestamp_seconds", 1_700, 0),
    gauge("IamLedgerCheckpointOld", "checkpoint_timestamp_seconds", 1_700, 1_900),
)
