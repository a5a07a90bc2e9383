"""Entering an account: by its role and no other way, and only where AWS says it leads there."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import ClientError, EndpointConnectionError

from ledger.model import Account, AccountId, Team
from tests.support.fake_clock import FakeClock
from worker.aws.calls import Caller
from worker.aws.credentials import BoundKeys
from worker.aws.gate import AwsGate, Hub, session_name
from worker.errors import AccountClosed, AwsBusy, AwsRefused

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PROD = AccountId("111111111111")
OTHER = AccountId("222222222222")


def refusal(code: str, status: int = 403) -> ClientError:
    metadata: Any = {"HTTPStatusCode": status, "HTTPHeaders": {}}
    error: Any = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": metadata}
    return ClientError(error, "AssumeRole")


async def signer() -> str:
    """The access key that a call made here would be signed with."""
    return str((await BoundKeys().get_frozen_credentials()).access_key)


@dataclass
class Chain:
    """The SDK's usual chain, as far as it matters here."""

    found: Any = field(
        default_factory=lambda: _Static(ReadOnlyCredentials("AKIAHUB", "secret", None))
    )

    async def load_credentials(self) -> Any:
        return self.found


@dataclass
class _Static:
    keys: ReadOnlyCredentials

    async def get_frozen_credentials(self) -> ReadOnlyCredentials:
        return self.keys


@dataclass
class Sts:
    """Gives keys to accounts whose roles let the hub in, and says where keys lead."""

    leads_to: dict[str, str] = field(default_factory=dict)
    """Account asked for -> account the keys lead to."""
    error: Exception | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)
    signed_by: list[str] = field(default_factory=list)

    async def assume_role(self, **parameters: Any) -> dict[str, Any]:
        self.asked.append(parameters)
        self.signed_by.append(await signer())
        if self.error is not None:
            raise self.error
        account = parameters["RoleArn"].split(":")[4]
        return {
            "Credentials": {
                "AccessKeyId": f"ASIA{account}",
                "SecretAccessKey": "secret",
                "SessionToken": "token",
                "Expiration": NOON + timedelta(hours=1),
            }
        }

    async def get_caller_identity(self) -> dict[str, Any]:
        key = await signer()
        self.signed_by.append(key)
        account = key.removeprefix("ASIA")
        return {"Account": self.leads_to.get(account, account)}


@dataclass
class Iam:
    """Notes who signed what."""

    signed_by: list[str] = field(default_factory=list)
    errors: list[ClientError] = field(default_factory=list)

    async def delete_user_policy(self, **_: Any) -> dict[str, Any]:
        self.signed_by.append(await signer())
        if self.errors:
            raise self.errors.pop(0)
        return {"ResponseMetadata": {"RequestId": "req-1", "HTTPHeaders": {}}}


@dataclass
class World:
    iam: Iam
    sts: Sts
    chain: Chain
    gate: AwsGate

    async def delete(self, account: AccountId = PROD, **entry: Any) -> str:
        from ledger.model import parse_principal

        where = Account(Team("payments"), "prod", account, "path/Deployer", **entry)
        answer = await self.gate.account(where).delete_inline(parse_principal("user/ana"), "x")
        return answer.request_id


@pytest.fixture
def world() -> World:
    iam, sts, chain = Iam(), Sts(), Chain()
    hub: Any = chain
    caller = Caller(FakeClock(NOON), lambda *_: None)
    gate = AwsGate(iam, sts, Hub(hub), caller, session_name="iam-ledger-test")
    return World(iam, sts, chain, gate)


async def test_the_role_is_assumed_with_the_hubs_keys_and_everything_else_with_the_roles(
    world: World,
) -> None:
    assert await world.delete(external_id="shared-secret") == "req-1"
    assert world.sts.asked == [
        {
            "RoleArn": "arn:aws:iam::111111111111:role/path/Deployer",
            "RoleSessionName": "iam-ledger-test",
            "DurationSeconds": 3600,
            "ExternalId": "shared-secret",
        }
    ]
    assert world.sts.signed_by == ["AKIAHUB", "ASIA111111111111"]
    assert world.iam.signed_by == ["ASIA111111111111"]


async def test_neither_external_id_nor_source_identity_is_sent_where_none_is_set(
    world: World,
) -> None:
    await world.delete()
    assert {"ExternalId", "SourceIdentity"}.isdisjoint(world.sts.asked[0])


async def test_an_account_that_asks_for_it_is_entered_with_its_source_identity(
    world: World,
) -> None:
    await world.delete(source_identity="iam-ledger")
    await world.delete()
    assert [asked.get("SourceIdentity") for asked in world.sts.asked] == ["iam-ledger", None]


@pytest.mark.parametrize(
    ("replica", "name"),
    [
        ("worker-1", "iam-ledger-worker-1"),
        ("a_=,.@-Z9", "iam-ledger-a_=,.@-Z9"),
        ("eu west/1:ü", "iam-ledger-eu-west-1--"),
        ("", "iam-ledger-"),
        ("x" * 200, "iam-ledger-" + "x" * 53),
    ],
)
def test_sessions_are_named_after_the_replica_as_sts_takes_it(replica: str, name: str) -> None:
    assert session_name(replica) == name
    assert 2 <= len(name) <= 64


async def test_keys_that_lead_to_another_account_are_never_used(world: World) -> None:
    world.sts.leads_to[PROD] = OTHER
    with pytest.raises(AccountClosed, match=f"leads to account {OTHER}") as closed:
        await world.delete()
    assert closed.value.code == "WrongAccount"
    assert world.iam.signed_by == []


async def test_a_role_that_refuses_closes_the_account_and_nothing_is_sent_to_iam(
    world: World,
) -> None:
    world.sts.error = refusal("AccessDenied")
    with pytest.raises(AccountClosed, match="role/path/Deployer"):
        await world.delete()
    assert world.iam.signed_by == []


async def test_a_hub_without_keys_closes_every_account_and_says_what_to_set(world: World) -> None:
    world.chain.found = None
    with pytest.raises(AccountClosed, match="AWS_PROFILE"):
        await world.delete()
    assert world.sts.asked == []


@pytest.mark.parametrize(
    "error",
    [refusal("Throttling", 400), refusal("X", 500), EndpointConnectionError(endpoint_url="sts")],
)
async def test_weather_at_the_gate_closes_nothing(world: World, error: Exception) -> None:
    world.sts.error = error
    with pytest.raises(AwsBusy):
        await world.delete()


async def test_keys_that_expired_early_are_renewed_once_and_the_call_is_made_again(
    world: World,
) -> None:
    world.iam.errors = [refusal("ExpiredToken")]
    assert await world.delete() == "req-1"
    assert len(world.sts.asked) == 2
    world.iam.errors = [refusal("ExpiredToken"), refusal("ExpiredToken")]
    with pytest.raises(AwsRefused):
        await world.delete()


async def test_accounts_share_clients_and_never_keys(world: World) -> None:
    import asyncio

    await asyncio.gather(*(world.delete(each) for each in (PROD, OTHER) * 20))
    assert len(world.sts.asked) == 2
    assert set(world.iam.signed_by) == {f"ASIA{PROD}", f"ASIA{OTHER}"}
    assert len(world.iam.signed_by) == 40
