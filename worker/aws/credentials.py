"""Temporary keys, one set an account: assumed, checked, cached, and bound to one call at a time.

Invariant: a call to an account is signed with keys that AWS itself said lead there, or not at all.
The client's only credential provider reads a context variable; unset, signing raises. There is no
way from here to the hub's own keys.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta

from aiobotocore.credentials import AioCredentials
from botocore.credentials import CredentialProvider, ReadOnlyCredentials

from worker.clock import Clock
from worker.errors import AccountClosed, AwsBusy, AwsError

SESSION_S = 3_600
"""What is asked for. Chained roles get no more, and with less the SDK would ask at every call."""

REFRESH_FROM, REFRESH_SPREAD = 0.5, 0.25
"""New keys are taken between 50 and 75 % of their life, so that accounts do not march in step."""

REFUSED_KEEP = timedelta(seconds=30)
BUSY_KEEP = timedelta(seconds=1)
"""How long a failure answers for the next who asks: a herd of waiters is one AssumeRole."""

_bound: ContextVar[ReadOnlyCredentials] = ContextVar("aws_keys")


class BoundKeys(AioCredentials):
    """What the clients hold for credentials: whatever is bound where the call is made."""

    def __init__(self) -> None:
        super().__init__("unbound", "unbound")

    async def get_frozen_credentials(self) -> ReadOnlyCredentials:  # type: ignore[override]  # below
        """LookupError where nothing is bound: then nothing is signed and nothing is sent.

        A coroutine, as aiobotocore has it; the types know botocore's own, which is none.
        """
        return _bound.get()


class BoundProvider(CredentialProvider):
    """The session's only credential provider."""

    METHOD = "iam-ledger-bound"
    CANONICAL_NAME = "iam-ledger-bound"

    async def load(self) -> AioCredentials:
        return BoundKeys()


@contextmanager
def bound(keys: ReadOnlyCredentials) -> Iterator[None]:
    """Within it, calls of this task are signed with `keys`."""
    token = _bound.set(keys)
    try:
        yield
    finally:
        _bound.reset(token)


@dataclass(frozen=True, slots=True)
class Keys:
    """One account's temporary keys."""

    credentials: ReadOnlyCredentials
    expires_at: datetime


Assume = Callable[[], Awaitable[Keys]]
"""Takes new keys and checks where they lead; AwsError."""


class KeyCache:
    """The keys of one account: one AssumeRole at a time, however many ask."""

    def __init__(self, assume: Assume, clock: Clock, random: Callable[[], float]) -> None:
        self._assume = assume
        self._clock = clock
        self._random = random
        self._one_at_a_time = asyncio.Lock()
        self._keys: Keys | None = None
        self._refresh_at: datetime | None = None
        self._failure: AwsError | None = None
        self._failure_until: datetime | None = None

    async def get(self) -> ReadOnlyCredentials:
        """Keys that hold; AccountClosed where the role refuses, AwsBusy as weather."""
        if self._keys is None or self._due():
            async with self._one_at_a_time:
                if self._keys is None or self._due():
                    await self._renew()
        if self._keys is None:
            raise AccountClosed("NoKeys", "no keys were given")
        return self._keys.credentials

    def drop(self) -> None:
        """AWS refused them: the next call takes new ones."""
        self._keys = None

    def _due(self) -> bool:
        return self._refresh_at is not None and self._refresh_at <= self._clock.now()

    def _hold(self) -> bool:
        """Whether the keys at hand hold for the longest call."""
        if self._keys is None:
            return False
        return self._clock.now() + timedelta(minutes=2) < self._keys.expires_at

    async def _renew(self) -> None:
        now = self._clock.now()
        failure = self._failure
        if failure is not None and self._failure_until is not None and now < self._failure_until:
            if self._hold():
                return
            raise type(failure)(failure.code, failure.message) from failure
        try:
            keys = await self._assume()
        except AwsError as error:
            self._failure = error
            keep = BUSY_KEEP if isinstance(error, AwsBusy) else REFUSED_KEEP
            self._failure_until = now + keep
            if isinstance(error, AwsBusy) and self._hold():
                return  # weather: the old keys go on for now
            self._keys = None
            raise
        self._failure = self._failure_until = None
        self._keys = keys
        life = keys.expires_at - now
        self._refresh_at = now + life * (REFRESH_FROM + REFRESH_SPREAD * self._random())
