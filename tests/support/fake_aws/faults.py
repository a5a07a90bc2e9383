"""What can go wrong on the way to AWS and back, by rule."""

from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ledger.model import AccountId
from worker.errors import (
    AccountClosed,
    AwsBusy,
    AwsError,
    AwsMissing,
    AwsRefused,
    AwsThrottled,
    AwsUnanswered,
)

FaultKind = Literal[
    "busy",
    "refused",
    "missing",
    "closed",
    "unanswered_undone",
    "unanswered_done",
    "crash_before",
    "crash_after",
]


class Crash(BaseException):
    """The process dies here. No `except` of the worker may ever stop it."""


@dataclass(slots=True)
class Life:
    """One process of the worker: after its death nothing of it reaches AWS or the ledger."""

    over: bool = False

    def check(self) -> None:
        if self.over:
            raise Crash("this process is dead")

    def end(self, why: str) -> None:
        self.over = True
        raise Crash(why)


@dataclass(slots=True)
class Fault:
    """One rule. It counts the calls that it is about, and strikes at some of them."""

    kind: FaultKind
    account: AccountId | None = None
    """None: any."""
    operation: str | None = None
    """A method of `AwsAccount`; None: any."""
    about: str | None = None
    """Part of what the call is about (a principal's key, a name, an ARN); None: anything."""
    at: Container[int] | None = None
    """Which of the matching calls, the first being 1; None: all."""
    until: datetime | None = None
    """Not from this instant on; None: for ever."""
    code: str = ""
    message: str = "as the test wanted"
    matched: int = 0
    struck: int = 0

    def strikes(self, account: AccountId, operation: str, about: str, now: datetime) -> bool:
        """Whether it strikes this call, which is counted."""
        if (
            (self.account is not None and self.account != account)
            or (self.operation is not None and self.operation != operation)
            or (self.about is not None and self.about.casefold() not in about.casefold())
            or (self.until is not None and now >= self.until)
        ):
            return False
        self.matched += 1
        if self.at is not None and self.matched not in self.at:
            return False
        self.struck += 1
        return True

    @property
    def done_first(self) -> bool:
        """Whether AWS does what was asked before it goes wrong."""
        return self.kind in ("unanswered_done", "crash_after")

    def error(self) -> AwsError:
        match self.kind:
            case "busy":
                if self.code:
                    return AwsBusy(self.code, self.message)
                return AwsThrottled("Throttling", self.message)
            case "refused":
                return AwsRefused(self.code or "AccessDenied", self.message)
            case "missing":
                return AwsMissing(self.code or "NoSuchEntity", self.message)
            case "closed":
                return AccountClosed(self.code or "AccessDenied", self.message)
            case "unanswered_undone" | "unanswered_done":
                return AwsUnanswered(self.code or "ReadTimeout", self.message)
            case "crash_before" | "crash_after":
                raise ValueError("a crash is no answer")
