"""What one decision is: source documents, one call, and what is expected before and after the end.

Invariant: nothing here is computed from the code under test. Times are in units before or after
the end, so that one table serves a simulator, for which a unit is an hour, and a server that goes
by the clock, for which it is seconds.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

USER = "ana"
"""Who asks, where the oracle lets one choose; `{user}` stands for it in documents and calls."""

ACCOUNT = "111122223333"
TAGS = {"team": "payments"}
"""The user's tags."""

REQUEST: Mapping[str, str] = {
    "aws:username": "{user}",
    "aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:user/{{user}}",
    "aws:PrincipalAccount": ACCOUNT,
    "aws:PrincipalType": "User",
    "aws:PrincipalTag/team": "payments",
    "aws:RequestedRegion": "us-east-1",
    "aws:SecureTransport": "false",
    "aws:SourceIp": "127.0.0.1",
}
"""What every call says of itself, whichever oracle is asked."""

MOMENTS = ("before the start", "at the start", "in the last second", "at the end", "later")
"""The five moments of every row: 3 units, 2 units, 1 second before the end; the end; 2 units on."""

ALLOWED, DENIED = "A", "."
NEVER = DENIED * len(MOMENTS)

_DATE = re.compile(r"<E([+-][\d.]+)?(?::(\w+))?>")
"""`<E-1>`: one unit before the end; `:epoch` in seconds since 1970, `:offset` in another zone."""


@dataclass(frozen=True)
class Scale:
    """The end, and how long a unit is."""

    end: datetime
    unit: timedelta

    @property
    def start(self) -> datetime:
        return self.end - 2 * self.unit

    @property
    def moments(self) -> tuple[datetime, ...]:
        return (
            self.end - 3 * self.unit,
            self.start,
            self.end - timedelta(seconds=1),
            self.end,
            self.end + 2 * self.unit,
        )

    def written(self, text: str) -> str:
        return _DATE.sub(self._date, text)

    def _date(self, found: re.Match[str]) -> str:
        at = self.end + float(found[1] or 0) * self.unit
        if found[2] == "epoch":
            return str(int(at.timestamp()))
        if found[2] == "offset":
            return at.astimezone(timezone(timedelta(hours=-9, minutes=-30))).isoformat()
        return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


HOURS = Scale(datetime(2026, 3, 2, 13, tzinfo=UTC), timedelta(hours=1))


@dataclass(frozen=True)
class Call:
    """What is asked for."""

    action: str
    resource: str = "*"
    context: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    """Keys beside those of `REQUEST`."""


Statement = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One row: five decisions on what the sources allow, and five on what their copy does."""

    kind: str
    name: str
    sources: tuple[tuple[Statement, ...], ...]
    call: Call
    source: str
    """A letter for each of `MOMENTS`, by hand: what the principal may with the sources."""
    copy: str
    """The same, with the copy instead of them."""
    refused: str = ""
    """What the refusal to copy says; empty: it is copied. Refused, the copy is no document."""
    starts: bool = False
    """Whether the copy is asked for from the start on, and not from now."""
    mfa: bool = False
    chars_max: int | None = None
    """Characters of one document, over several of which the copy is split; None: one document."""
    beside: tuple[Statement, ...] = ()
    """What else stands on the principal, beside sources and beside the copy."""
    not_by_ministack: str = ""
    """Why that oracle is not asked; empty: it is."""
    source_not_by_simulate: str = ""
    """Why that oracle is not asked for the source. The copy it is asked for always."""

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"

    def source_texts(self, scale: Scale, user: str = USER) -> list[str]:
        return [filled(document(*each), scale, user) for each in self.sources]

    def beside_texts(self, scale: Scale, user: str = USER) -> list[str]:
        return [filled(document(*self.beside), scale, user)] if self.beside else []


Documents = Callable[[Case, Scale, str], list[str]]
"""What makes a row's documents: its sources, its copy, or a wrong copy."""

Asked = tuple[Case, Documents]


def sources_of(case: Case, scale: Scale, user: str) -> list[str]:
    return case.source_texts(scale, user)


def filled(text: str, scale: Scale, user: str = USER) -> str:
    return scale.written(text).replace("{user}", user)


def document(*statements: Statement) -> str:
    numbered = [{"Sid": f"S{number}", **each} for number, each in enumerate(statements)]
    return json.dumps({"Version": "2012-10-17", "Statement": numbered})


def context_of(call: Call, user: str = USER) -> dict[str, str | tuple[str, ...]]:
    """Every key of the call but the time."""
    filled_in: dict[str, str | tuple[str, ...]] = {
        key: value.replace("{user}", user) for key, value in REQUEST.items()
    }
    return {**filled_in, **call.context}
