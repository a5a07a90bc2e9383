"""Every metric of the worker: name, help, labels.

Born at zero, so that alerts can tell "none" from "never". No principal, ARN or grant id is ever a
label: those stand in the log and the ledger.
"""

from importlib.metadata import version
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

from worker.deciding.plan import Reason

NAMESPACE = "iam_ledger"

LATENESS_BUCKETS_S = (
    0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3_600, 21_600,
)  # fmt: skip
"""A bound on each promise (1 s, 5 s, 60 s), and hours, so that an outage is measured too."""

ENFORCEMENTS = ("aws", "daemon", "none")
"""`none`: permanent access that was revoked."""

OUTCOMES = ("ok", "busy", "unanswered", "refused")

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


class Metrics:
    """One set per process; tests make their own with a registry of their own."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
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
            "grants_overdue", "Grants past their end or revoked, not confirmed removed."
        )
        self.stuck = self._gauge("grants_stuck", "Grants with a step that does not get done.")
        self.refused = self._gauge(
            "grants_refused", "Grants that the account's own numbers forbid."
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
        self.clock_offset = self._gauge(
            "clock_offset_seconds", "AWS's clock less ours, by the Date header; 0 before any."
        )

    def _ledger(self) -> None:
        self.head = self._gauge("ledger_head_position", "The newest position that was seen.")
        self.ledger_errors = Counter(
            "ledger_errors",
            "Times the database did not answer the worker.",
            namespace=NAMESPACE,
            registry=self.registry,
        )
        self.checkpoint_position = self._gauge(
            "checkpoint_position", "The newest position that this worker signed; 0 before any."
        )
        self.history_broken = self._gauge(
            "history_broken", "1 while the ledger departs from what was signed before."
        )
        self.additions_stopped = self._gauge(
            "additions_stopped",
            "1 from when the ledger was found to be another than was followed, to the restart.",
        )

    def _gauge(self, name: str, about: str) -> Gauge:
        return Gauge(name, about, namespace=NAMESPACE, registry=self.registry)

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(name, about, labels, namespace=NAMESPACE, registry=self.registry)

    def _born_at_zero(self) -> None:
        for enforcement in ENFORCEMENTS:
            self.lateness.labels(enforcement)
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

    def on_call(self, operation: str, outcome: str, seconds: float) -> None:
        """Counts one call to AWS; KeyError for a name that is not in the closed lists."""
        if operation not in OPERATIONS or outcome not in OUTCOMES:
            raise KeyError(f"{operation}/{outcome} is no label of ours")
        self.calls.labels(operation, outcome).inc()
        self.call_seconds.labels(operation).observe(seconds)
