"""botocore's errors as ours, named by remedy: the one file that knows AWS's error codes.

Source: IAM and STS API references, "Common errors". Of a 5xx nobody knows whether it was done, but
for 503, by which a service says that it has not begun.
"""

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ParamValidationError,
    ProxyConnectionError,
)
from botocore.parsers import ResponseParserError

from worker.errors import (
    AwsBusy,
    AwsError,
    AwsMissing,
    AwsRefused,
    AwsThrottled,
    AwsUnanswered,
)

Failure = ClientError | BotoCoreError | ResponseParserError | TimeoutError
FAILURES = (ClientError, BotoCoreError, ResponseParserError, TimeoutError)
"""How a call can end but with an answer. One that is no XML, as a proxy's or a load balancer's page
is none, raises what is no BotoCoreError; it is weather all the same."""

THROTTLED = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
        "SlowDown",
    }
)
"""We called too fast, and nothing was done. IAM's quotas (`LimitExceeded`) are not here."""

BUSY = frozenset(
    {
        "PriorRequestNotComplete",
        "TransactionInProgressException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "ConcurrentModification",
        "ConcurrentModificationException",
        "EntityTemporarilyUnmodifiable",
        "EntityTemporarilyUnmodifiableException",
        "RequestTimeTooSkewed",
        "RequestExpired",
    }
)
"""The same call may work later, and nothing was done."""

UNANSWERED = frozenset({"RequestTimeout", "RequestTimeoutException"})
"""AWS gave up waiting for the call, or for itself: it may or may not have been done."""

BAD_SIGNATURE = "SignatureDoesNotMatch"
SKEWED = ("Signature expired", "Signature not yet current")
"""How AWS begins when a signature is bad for our clock, and good when that is right (SigV4)."""

STALE_KEYS = frozenset({"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId"})
"""The temporary keys are no good any more; new ones may be."""

MISSING = "NoSuchEntity"
STANDS = "EntityAlreadyExists"

_NOT_SENT = (ConnectTimeoutError, EndpointConnectionError, ProxyConnectionError)


def named(error: Failure) -> AwsError:
    """`error` by what to do about it."""
    if isinstance(error, ClientError):
        return _answered(error)
    if isinstance(error, _NOT_SENT):
        return AwsBusy("Unreachable", str(error))
    if isinstance(error, ParamValidationError):
        return AwsRefused("ParamValidation", str(error))
    if isinstance(error, ResponseParserError):
        return AwsUnanswered("Unreadable", "what answered is not AWS, or sent half of an answer")
    return AwsUnanswered(type(error).__name__, str(error) or "no answer in time")


def _answered(error: ClientError) -> AwsError:
    said: Mapping[str, Any] = error.response.get("Error", {})
    about: Mapping[str, Any] = error.response.get("ResponseMetadata", {})
    code, message = str(said.get("Code", "Unknown")), str(said.get("Message", ""))
    status = int(about.get("HTTPStatusCode", 0))
    wait_s = _retry_after_s(about.get("HTTPHeaders", {}))
    if code in THROTTLED or status == 429:
        return AwsThrottled(code, message, retry_after_s=wait_s)
    if code in BUSY or status == 503 or _skewed(code, message):
        return AwsBusy(code, message, retry_after_s=wait_s)
    if code in UNANSWERED or status >= 500:
        return AwsUnanswered(code, message, retry_after_s=wait_s)
    if code in (MISSING, f"{MISSING}Exception"):
        return AwsMissing(MISSING, message)
    return AwsRefused(code, message)


def _skewed(code: str, message: str) -> bool:
    return code == BAD_SIGNATURE and message.startswith(SKEWED)


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    text = headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else None
