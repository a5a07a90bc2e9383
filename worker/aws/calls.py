"""One call to AWS: bounded in time, timed, its clock read, its failure named.

Invariant: nothing of botocore's leaves here; every failure of a call is a `worker.errors.AwsError`.
"""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any

import structlog
from botocore import xform_name
from botocore.exceptions import ClientError

from worker.aws.errors import FAILURES, named
from worker.aws.offset import ClockOffset
from worker.clock import Clock, steady_s
from worker.errors import AwsBusy, AwsError, AwsThrottled, AwsUnanswered

log = structlog.get_logger()

CALL_MAX_S = 45.0
"""Beyond botocore's own timeouts: waiting for a free connection has none of its own."""

READING = ("Get", "List", "AssumeRole")
"""How the names of calls begin that change nothing."""

OnCall = Callable[[str, str, float], None]
"""(operation, outcome, seconds) of every call; see `worker.metrics`."""

Response = dict[str, Any]


class Caller:
    """Makes calls; shared by all accounts."""

    def __init__(self, clock: Clock, on_call: OnCall) -> None:
        self.clock = clock
        self.offset = ClockOffset(clock.now, steady_s)
        self._on_call = on_call

    async def __call__(self, client: Any, operation: str, **parameters: Any) -> Response:
        """The answer to `operation` (`PutUserPolicy`); raises an AwsError."""
        started, sent_s = monotonic(), self.offset.sent()
        try:
            async with asyncio.timeout(CALL_MAX_S):
                answer: Response = await getattr(client, xform_name(operation))(**parameters)
        except FAILURES as error:
            if isinstance(error, ClientError):
                self._read_clock(error.response, sent_s)
            failure = named(error)
            self._on_call(operation, _outcome(failure), monotonic() - started)
            raise failure from error
        self._read_clock(answer, sent_s)
        self._on_call(operation, "ok", monotonic() - started)
        if not operation.startswith(READING):
            # The ledger has it once the step is done; the log has it also where the step fails.
            request = answer.get("ResponseMetadata", {}).get("RequestId", "")
            log.info("aws_changed", operation=operation, request_id=request)
        return answer

    def _read_clock(self, answer: Any, sent_s: float) -> None:
        headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        self.offset.seen(headers.get("date"), sent_s)


def _outcome(failure: AwsError) -> str:
    if isinstance(failure, AwsBusy):
        return "throttled" if isinstance(failure, AwsThrottled) else "busy"
    return "unanswered" if isinstance(failure, AwsUnanswered) else "refused"
