"""What AWS's failures mean to the worker: try later, read back first, or a person must look."""

from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ParamValidationError,
    ReadTimeoutError,
)
from botocore.parsers import ResponseParserError
from botocore.retries.standard import ThrottledRetryableChecker, TransientRetryableChecker

from worker.aws.errors import BUSY, THROTTLED, UNANSWERED, named
from worker.errors import AwsBusy, AwsError, AwsMissing, AwsRefused, AwsThrottled, AwsUnanswered

URL = "https://iam.example"


def answered(
    code: str, status: int = 400, message: str = "so it is", **headers: str
) -> ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {
            "HTTPStatusCode": status,
            "HTTPHeaders": {name.replace("_", "-"): value for name, value in headers.items()},
        },
    }
    return ClientError(response, "PutUserPolicy")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (answered("Throttling"), AwsThrottled),
        (answered("ConcurrentModification", 409), AwsBusy),
        (answered("EntityTemporarilyUnmodifiable", 409), AwsBusy),
        (answered("SlowDown", 503), AwsThrottled),
        (answered("Whatever", 429), AwsThrottled),
        (answered("Whatever", 503), AwsBusy),
        (answered("RequestExpired"), AwsBusy),
        (answered("SignatureDoesNotMatch", 403, "Signature expired: it is later"), AwsBusy),
        (answered("SignatureDoesNotMatch", 403, "Signature not yet current: early"), AwsBusy),
        (answered("SignatureDoesNotMatch", 403, "Check your secret access key"), AwsRefused),
        (answered("RequestTimeout", 400), AwsUnanswered),
        (answered("ServiceFailure", 500), AwsUnanswered),
        (answered("504", 504), AwsUnanswered),
        (answered("NoSuchEntity", 404), AwsMissing),
        (answered("LimitExceeded", 409), AwsRefused),
        (answered("AccessDenied", 403), AwsRefused),
        (answered("DeleteConflict", 409), AwsRefused),
        (answered("MalformedPolicyDocument", 400), AwsRefused),
        (ConnectTimeoutError(endpoint_url=URL), AwsBusy),
        (EndpointConnectionError(endpoint_url=URL), AwsBusy),
        (ConnectionClosedError(endpoint_url=URL), AwsUnanswered),
        (ReadTimeoutError(endpoint_url=URL), AwsUnanswered),
        (TimeoutError(), AwsUnanswered),
        (ResponseParserError("<html>500</html>"), AwsUnanswered),
        (ParamValidationError(report="a name of 300 characters"), AwsRefused),
    ],
    ids=lambda value: getattr(value, "__name__", str(value))[:60],
)
def test_a_failure_is_named_by_what_to_do_about_it(error: Any, kind: type[AwsError]) -> None:
    assert type(named(error)) is kind


def test_whatever_the_sdk_takes_for_throttling_is_tried_again_but_for_a_quota_that_is_used_up() -> (
    None
):
    # LimitExceededException is throttling to other services; IAM's LimitExceeded is a quota.
    throttling: Any = ThrottledRetryableChecker
    transient: Any = TransientRetryableChecker
    codes = set(throttling._THROTTLED_ERROR_CODES) - {
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "EC2ThrottledException",
    }
    assert codes <= BUSY | THROTTLED
    assert set(transient._TRANSIENT_ERROR_CODES) <= BUSY | UNANSWERED
    assert "LimitExceeded" not in BUSY | THROTTLED | UNANSWERED


def test_what_the_server_asks_to_wait_reaches_whoever_waits() -> None:
    assert named(answered("Throttling", retry_after="7")).retry_after_s == 7.0
    assert named(answered("Throttling", retry_after="Wed, 21 Oct")).retry_after_s is None
    assert named(answered("Throttling")).retry_after_s is None


def test_awss_own_word_and_message_are_kept_for_people() -> None:
    error = named(answered("AccessDenied", 403))
    assert (error.code, error.message) == ("AccessDenied", "so it is")
