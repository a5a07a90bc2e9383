"""The way into AWS: one session, one client a service, a role assumed in every account.

Invariant: there is no fallback. An account is entered by its role, and only after AWS has said that
the keys lead to that very account; else it stays closed, loudly.
"""

import random
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import UTC
from importlib.metadata import version
from typing import Any

import aioboto3
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentialResolver, create_credential_resolver
from aiobotocore.session import AioSession
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import BotoCoreError, InvalidRegionError, ProfileNotFound

from ledger.model import DEPLOYER_KIND, Account, AccountId
from worker.aws.account import InAccount, RealAccount
from worker.aws.calls import Caller, OnCall
from worker.aws.credentials import SESSION_S, BoundProvider, KeyCache, Keys, bound
from worker.aws.details import Parsers
from worker.clock import Clock
from worker.errors import (
    AccountClosed,
    AwsBusy,
    AwsMisconfigured,
    AwsMissing,
    AwsRefused,
    AwsUnanswered,
)

REGION = "us-east-1"
"""IAM is one service for the whole partition, and signs for this region."""

CONNECTIONS_MAX = 100

CONFIG = AioConfig(
    connect_timeout=5,
    read_timeout=30,
    max_pool_connections=CONNECTIONS_MAX,
    # Retries are the keepers': the SDK's quota is one for all accounts of a client.
    retries={"total_max_attempts": 1, "mode": "standard"},
    user_agent_extra=f"iam-ledger/{version('iam-ledger')}",
)

_WEATHER = (AwsBusy, AwsUnanswered)

SESSION_NAME_CHARS_MAX = 64

_FOREIGN = re.compile(r"[^\w+=,.@-]", re.ASCII)
"""What may not stand in a RoleSessionName (STS API reference, AssumeRole)."""

_Way = tuple[AccountId, str, str | None, str | None]


def session_name(replica: str) -> str:
    """How CloudTrail names what is done here: `iam-ledger-<replica>`, as STS takes it."""
    return _FOREIGN.sub("-", f"iam-ledger-{replica}")[:SESSION_NAME_CHARS_MAX]


class AwsGate:
    """Implements `worker.keeper.Gate`. Made by `open_gate`."""

    def __init__(
        self, iam: Any, sts: Any, hub: "Hub", caller: Caller, *, session_name: str
    ) -> None:
        self._iam = iam
        self._sts = sts
        self._hub = hub
        self._caller = caller
        self._session_name = session_name
        self._caches: dict[_Way, KeyCache] = {}

    def account(self, entry: Account) -> RealAccount:
        """The account behind `entry`; nothing is called before something is asked of it."""
        way = (entry.account, entry.deployer_role, entry.external_id, entry.source_identity)
        if way not in self._caches:

            async def assume() -> Keys:
                return await self._assume(entry)

            self._caches[way] = KeyCache(assume, self._caller.clock, random.random)
        inside = InAccount(entry.account, self._iam, self._caches[way], self._caller)
        return RealAccount(entry.account, inside)

    def clock_offset_s(self) -> float | None:
        return self._caller.offset.seconds

    async def _assume(self, entry: Account) -> Keys:
        """New keys of the account's role, checked. AccountClosed where the role says no."""
        role = (
            f"arn:aws:iam::{entry.account}:{DEPLOYER_KIND.value}/{entry.deployer_role.strip('/')}"
        )
        parameters = {
            "RoleArn": role,
            "RoleSessionName": self._session_name,
            "DurationSeconds": SESSION_S,
        }
        if entry.external_id is not None:
            parameters["ExternalId"] = entry.external_id
        if entry.source_identity is not None:
            parameters["SourceIdentity"] = entry.source_identity
        try:
            with bound(await self._hub.keys()):
                answer = await self._caller(self._sts, "AssumeRole", **parameters)
            found = answer["Credentials"]
            keys = ReadOnlyCredentials(
                found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"]
            )
            with bound(keys):
                identity = await self._caller(self._sts, "GetCallerIdentity")
        except _WEATHER as error:
            raise AwsBusy(error.code, f"entering by {role}: {error.message}") from error
        except (AwsRefused, AwsMissing) as error:
            raise AccountClosed(error.code, f"entering by {role}: {error.message}") from error
        if identity.get("Account") != entry.account:
            raise AccountClosed(
                "WrongAccount",
                f"{role} leads to account {identity.get('Account')}; nothing is done there",
            )
        return Keys(keys, found["Expiration"].astimezone(UTC))


class Hub:
    """The process's own keys, by the SDK's usual chain; used for AssumeRole and nothing else."""

    def __init__(self, chain: AioCredentialResolver) -> None:
        self._chain = chain
        self._found: Any = None

    async def keys(self) -> ReadOnlyCredentials:
        """AccountClosed when the chain has none, or they cannot be read."""
        try:
            if self._found is None:
                self._found = await self._chain.load_credentials()
            if self._found is None:
                raise AccountClosed(
                    "NoCredentials",
                    "this process has no AWS credentials of its own to enter accounts with: set "
                    "AWS_PROFILE, AWS_ROLE_ARN or what else the SDK reads",
                )
            frozen: ReadOnlyCredentials = await self._found.get_frozen_credentials()
        except BotoCoreError as error:
            raise AccountClosed("NoCredentials", str(error)) from error
        return frozen


@asynccontextmanager
async def open_gate(*, clock: Clock, replica: str, on_call: OnCall) -> AsyncIterator[AwsGate]:
    """The gate of one process. Endpoint, region and hub keys are found as in any SDK program.

    AwsMisconfigured where they are such that no client can be made.
    """
    async with AsyncExitStack() as stack:
        with _told():
            core = AioSession()
            hub = Hub(create_credential_resolver(core))
            core.register_component("credential_provider", AioCredentialResolver([BoundProvider()]))
            core.register_component("response_parser_factory", Parsers())
            session = aioboto3.Session(botocore_session=core)
            iam = await stack.enter_async_context(
                session.client("iam", region_name=REGION, config=CONFIG)
            )
            sts = await stack.enter_async_context(
                session.client("sts", region_name=session.region_name or REGION, config=CONFIG)
            )
        caller = Caller(clock, on_call)
        yield AwsGate(iam, sts, hub, caller, session_name=session_name(replica))


@contextmanager
def _told() -> Iterator[None]:
    """What no client can be made of, as AwsMisconfigured. A bad endpoint is a bare ValueError."""
    try:
        yield
    except ProfileNotFound as error:
        source = "AWS_PROFILE (or AWS_DEFAULT_PROFILE)"
        raise AwsMisconfigured(f"{source}: {error}; name one that is there, or unset it") from error
    except InvalidRegionError as error:
        source = "AWS_DEFAULT_REGION (or `region` in the file of AWS_CONFIG_FILE)"
        raise AwsMisconfigured(f"{source}: {error} Write one like us-east-1") from error
    except BotoCoreError as error:
        source = "the variables AWS_* or the file of AWS_CONFIG_FILE"
        raise AwsMisconfigured(f"{source}: {error}") from error
    except ValueError as error:
        source = "AWS_ENDPOINT_URL (or that of a service, as AWS_ENDPOINT_URL_IAM)"
        raise AwsMisconfigured(f"{source}: {error}; write one like https://host:port") from error
