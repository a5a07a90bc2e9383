"""Every metric of the worker: name, help, labels.

Born at zero, so that alerts can tell "none" from "never". No principal, ARN or grant id is ever a
label: those stand in the log and the ledger.
"""

from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from worker.census import Class
from worker.deciding.plan import Reason

NAMESPACE = "iam_ledger"

LATENESS_BUCKETS_S = (
    0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3_600, 21_600,
)  # fmt: skip
"""A bound on each promise (1 s, 5 s, 60 s), and hours, so that an outage is measured too."""

ENFORCEMENTS: tuple[Class, ...] = ("aws", "daemon", "none")
"""`none`: permanent access that was revoked."""

EXPOSED = ("true", "false")

KINDS_OF_CALL = ("read", "write")

OUTCOMES = ("ok", "throttled", "busy", "unanswered", "refused")

OPERATIONS = (
    "AssumeRole",
    "GetCallerIdentity",
    "GetAccountAuthorizationDetails",
    "GetAccountSummary",
    "GetUser",
    "GetRole",
    "GetGroup",
    "ListUserPolicies",
    "ListRolePolicies",
    "ListGroupPolicies",
    "GetUserPolicy",
    "GetRolePolicy",
    "GetGroupPolicy",
    "ListAttachedUserPolicies",
    "ListAttachedRolePolicies",
    "ListAttachedGroupPolicies",
    "GetPolicy",
    "GetPolicyVersion",
    "ListPolicyVersions",
    "ListPolicyTags",
    "ListEntitiesForPolicy",
    "PutUserPolicy",
    "PutRolePolicy",
    "DeleteUserPolicy",
    "DeleteRolePolicy",
    "AttachUserPolicy",
    "AttachRolePolicy",
    "AttachGroupPolicy",
    "DetachUserPolicy",
    "DetachRolePolicy",
    "DetachGroupPolicy",
    "CreatePolicy",
    "CreatePolicyVersion",
    "DeletePolicyVersion",
    "DeletePolicy",
    "TagPolicy",
)


class _BeforeAll(Collector):
    """Registered first, so that what is counted at a scrape is counted once for all its gauges."""

    def __init__(self, told: Callable[[], None]) -> None:
        self._told = told

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        self._told()
        return ()


class Metrics:
    """One set per process; tests make their own with a registry of their own."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self.before_scrape: Callable[[], None] = lambda: None
        """Sets the gauges that are counted, not kept."""
        self.registry.register(_BeforeAll(self._count))
        self._access()
        self._accounts()
        self._calls()
        self._ledger()
        info = Info("build", "What runs.", registry=self.registry, namespace=NAMESPACE)
        info.info({"version": version("iam-ledger")})
        self._born_at_zero()

    def _access(self) -> None:
        self.lateness = Histogram(
            "revocation_lateness_seconds",
            "From a grant's end or revocation to AWS's confirmation that it is gone.",
            ["enforcement"],
            buckets=LATENESS_BUCKETS_S,
            namespace=NAMESPACE,
            registry=self.registry,
        )
        self.exposed = self._gauge(
            "grants_exposed",
            "Grants past their end or revoked, not confirmed removed, not yet denied by AWS.",
        )
        self.overdue = self._gauge(
            "grants_overdue",
            "Grants past their end or revoked, not confirmed removed; exposed or not.",
            "enforcement",
            "exposed",
        )
        self.oldest_overdue = self._gauge(
            "oldest_overdue_timestamp_seconds",
            "When the one that is overdue longest should have been gone, Unix time; 0: none is.",
            "enforcement",
            "exposed",
        )
        self.next_end = self._gauge(
            "next_end_timestamp_seconds", "When access ends next, Unix time; 0: no end in sight."
        )
        self.standing = self._gauge(
            "grants_standing", "Grants of which something stands in AWS.", "enforcement"
        )
        self.stuck = self._gauge("grants_stuck", "Grants with a step that does not get done.")
        self.refused = self._gauge(
            "grants_refused", "Grants that the account's own numbers forbid."
        )
        self.missing = self._gauge(
            "grants_missing", "Grants whose access somebody else took away; `retry` gives it again."
        )
        self._steps()

    def _steps(self) -> None:
        self.grant_lateness = Histogram(
            "grant_lateness_seconds",
            "From when access was to stand to AWS's first confirmation that it does.",
            buckets=LATENESS_BUCKETS_S,
            namespace=NAMESPACE,
            registry=self.registry,
        )
        self.steps = self._counter(
            "steps",
            "Steps carried out in AWS, by their reason.",
            "reason",
        )
        self.drift = self._counter("drift_found", "Differences found and recorded.", "drift")

    def _accounts(self) -> None:
        self.accounts = self._gauge("accounts", "Accounts that this worker keeps.")
        self.accounts_failing = self._gauge(
            "accounts_failing", "Accounts whose last pass did not end well."
        )
        self.accounts_stuck = self._gauge(
            "accounts_stuck", "Accounts that cannot be entered, or not be kept as the ledger says."
        )
        self.policies_stuck = self._gauge(
            "policies_stuck", "Customer-managed policies, by account, that cannot be written."
        )
        self.accounts_throttled = self._gauge(
            "accounts_throttled", "Accounts in which AWS has throttled us within a minute."
        )
        self.shards = self._gauge(
            "shards", "Parts of the accounts, of 64, that this worker keeps; 64 where it is alone."
        )
        self.replicas = self._gauge("replicas", "Workers that share the ledger, this one too.")
        self.passes = self._counter("passes", "Reconciliations of one account.", "result")
        self.last_pass = self._gauge(
            "last_pass_timestamp_seconds", "When the newest pass ended, Unix time."
        )
        self.oldest_observation = self._gauge(
            "oldest_observation_timestamp_seconds",
            "When the account that waits longest was last read whole, Unix time; 0 before that.",
        )

    def _calls(self) -> None:
        self.calls = self._counter("aws_api_requests", "Calls to AWS.", "operation", "outcome")
        self.call_seconds = Histogram(
            "aws_api_request_duration_seconds",
            "Time of one call to AWS.",
            ["operation"],
            namespace=NAMESPACE,
            registry=self.registry,
        )
        self.pace_waited = self._counter(
            "pace_waited_seconds", "Time that calls have waited for their account's pace.", "kind"
        )
        self.clock_offset = self._gauge(
            "clock_offset_seconds", "AWS's clock less ours, by the Date header; 0 before any."
        )

    def _ledger(self) -> None:
        self.head = self._gauge("ledger_head_position", "The newest position that was seen.")
        self.ready = self._gauge("ready", "1 while /readyz says so.")
        self.ledger_answered = self._gauge(
            "ledger_answered_timestamp_seconds",
            "When the ledger last answered whoever follows it, Unix time; 0 before that.",
        )
        self.ledger_errors = Counter(
            "ledger_errors",
            "Times the database did not answer the worker.",
            namespace=NAMESPACE,
            registry=self.registry,
        )
        self.checkpoint_position = self._gauge(
            "checkpoint_position", "The newest position that this worker signed; 0 before any."
        )
        self.checkpoint_at = self._gauge(
            "checkpoint_timestamp_seconds",
            "When this worker last signed a checkpoint, Unix time; 0 before any.",
        )
        self.history_broken = self._gauge(
            "history_broken", "1 while the ledger departs from what was signed before."
        )
        self.additions_stopped = self._gauge(
            "additions_stopped",
            "1 from when the ledger was found to be another than was followed, to the restart.",
        )

    def _gauge(self, name: str, about: str, *labels: str) -> Gauge:
        return Gauge(name, about, labels, namespace=NAMESPACE, registry=self.registry)

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(name, about, labels, namespace=NAMESPACE, registry=self.registry)

    def _born_at_zero(self) -> None:
        for enforcement in ENFORCEMENTS:
            self.lateness.labels(enforcement)
            self.standing.labels(enforcement)
            for exposed in EXPOSED:
                self.overdue.labels(enforcement, exposed)
                self.oldest_overdue.labels(enforcement, exposed)
        for kind in KINDS_OF_CALL:
            self.pace_waited.labels(kind)
        for result in ("done", "failed"):
            self.passes.labels(result)
        for reason in get_args(Reason):
            self.steps.labels(reason)
        for drift in ("missing", "altered", "extra"):
            self.drift.labels(drift)
        for operation in OPERATIONS:
            self.call_seconds.labels(operation)
            for outcome in OUTCOMES:
                self.calls.labels(operation, outcome)

    def _count(self) -> None:
        self.before_scrape()

    def on_call(self, operation: str, outcome: str, seconds: float) -> None:
        """Counts one call to AWS; KeyError for a name that is not in the closed lists."""
        if operation not in OPERATIONS or outcome not in OUTCOMES:
            raise KeyError(f"{operation}/{outcome} is no label of ours")
        self.calls.labels(operation, outcome).inc()
        self.call_seconds.labels(operation).observe(seconds)
