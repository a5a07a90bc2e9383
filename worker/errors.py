"""What AWS can do to a call, named by remedy. botocore's names stay in `worker/aws`."""


class AwsError(Exception):
    """A call that did not do what was asked. `code` is AWS's own word, for logs and answers."""

    def __init__(self, code: str, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s
        """What the server asked for; None where it said nothing."""


class AwsBusy(AwsError):
    """Throttled, 5xx or a concurrent change: nothing was done, the same call may work later."""


class AwsThrottled(AwsBusy):
    """We have called too fast (worker.pace)."""


class AwsSettling(AwsBusy):
    """What it said may be of before our own last write: says nothing of how busy it is."""


class AwsUnanswered(AwsError):
    """The answer never came: it may or may not have been done. Read back before anything else."""


class AwsRefused(AwsError):
    """AWS understood and said no: a person must look, or the cause must heal."""


class AwsMissing(AwsRefused):
    """The principal (or policy) that the call is about does not exist."""


class AccountClosed(AwsError):
    """No way into the account: its role cannot be assumed, or leads elsewhere. Stops the account.

    There is no fallback to other credentials, ever.
    """


class CannotListen(Exception):
    """The address for /metrics cannot be served: another process has it, or it is not ours."""


class AwsMisconfigured(Exception):
    """What a variable or a file tells the SDK cannot be used. Says which; no call was made."""
