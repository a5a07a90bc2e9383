"""The real account reads listings to their last page. moto, having one page, cannot show it."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.credentials import ReadOnlyCredentials

from ledger.model import AccountId, parse_principal
from tests.support.fake_clock import FakeClock
from worker.aws import account as real
from worker.aws.account import InAccount, RealAccount
from worker.aws.calls import Caller
from worker.errors import AwsUnanswered

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PROD = AccountId("111111111111")
ANA = parse_principal("user/ana")
DOCUMENT = {"Statement": {"Effect": "Allow", "Action": "a:b", "Resource": "*"}}


class Keys:
    async def get(self) -> ReadOnlyCredentials:
        return ReadOnlyCredentials("key", "secret", "token")


@dataclass
class Client:
    """Answers in pages: each operation's items, so many at a time."""

    pages: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    endless: bool = False

    def __getattr__(self, operation: str) -> Any:
        async def call(**parameters: Any) -> dict[str, Any]:
            self.asked.append((operation, parameters))
            found = self.pages[operation]
            number = int(parameters.get("Marker", "0"))
            last = number + 1 >= len(found) and not self.endless
            more = {} if last else {"Marker": "0" if self.endless else str(number + 1)}
            return {**found[number], "IsTruncated": not last, **more}

        return call


def account(client: Client) -> RealAccount:
    keys: Any = Keys()
    return RealAccount(
        PROD, InAccount(PROD, client, keys, Caller(FakeClock(NOON), lambda *_: None))
    )


def user(name: str) -> dict[str, Any]:
    return {"UserName": name, "Path": "/", "UserId": f"AIDA{name}", "CreateDate": NOON}


async def test_an_account_of_several_pages_is_seen_whole() -> None:
    policy = {
        "Arn": f"arn:aws:iam::{PROD}:policy/iam-ledger/p",
        "Path": "/iam-ledger/",
        "DefaultVersionId": "v10",
        "PolicyVersionList": [
            {"VersionId": version, "Document": DOCUMENT} for version in ("v10", "v9", "v2")
        ],
    }
    pages: list[dict[str, Any]] = [
        {"UserDetailList": [user(f"u{page}{number}") for number in range(3)]} for page in range(3)
    ]
    pages.append({"Policies": [policy]})
    client = Client({"get_account_authorization_details": pages})
    state = await account(client).observe()
    assert len(state.principals) == 9
    assert state.policies["p"].versions == ("v2", "v9", "v10"), "by number, not by letters"
    assert [parameters.get("Marker") for _, parameters in client.asked] == [None, "1", "2", "3"]
    assert {parameters["MaxItems"] for _, parameters in client.asked} == {100}
    kinds = client.asked[0][1]["Filter"]
    assert kinds == ["User", "Role", "Group", "LocalManagedPolicy"]


async def test_a_principal_with_more_than_a_page_of_anything_is_seen_whole() -> None:
    client = Client(
        {
            "get_user": [{"User": user("ana")}],
            "list_user_policies": [{"PolicyNames": ["a", "b"]}, {"PolicyNames": ["c"]}],
            "get_user_policy": [{"PolicyDocument": DOCUMENT}],
            "list_attached_user_policies": [
                {"AttachedPolicies": [{"PolicyArn": f"arn:{number}"}]} for number in range(3)
            ],
        }
    )
    state = await account(client).read_principal(ANA)
    assert state is not None
    assert set(state.inline) == {"a", "b", "c"}
    assert state.attached == {"arn:0", "arn:1", "arn:2"}


async def test_every_version_and_every_tag_is_read() -> None:
    arn = f"arn:aws:iam::{PROD}:policy/iam-ledger/p"
    client = Client(
        {
            "get_policy": [{"Policy": {"PolicyName": "p", "Path": "/", "DefaultVersionId": "v2"}}],
            "list_policy_versions": [
                {"Versions": [{"VersionId": "v2"}]},
                {"Versions": [{"VersionId": "v1"}]},
            ],
            "get_policy_version": [{"PolicyVersion": {"Document": DOCUMENT}}],
            "list_policy_tags": [
                {"Tags": [{"Key": "a", "Value": "1"}]},
                {"Tags": [{"Key": "b", "Value": "2"}]},
            ],
        }
    )
    found = await account(client).read_policy(arn)
    assert found is not None
    assert found.versions == ("v1", "v2")
    assert await account(client).read_policy_tags(arn) == {"a": "1", "b": "2"}


async def test_a_listing_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real, "PAGES_MAX", 5)
    client = Client({"list_policy_tags": [{"Tags": []}]}, endless=True)
    with pytest.raises(AwsUnanswered):
        await account(client).read_policy_tags("arn")
    assert Counter(operation for operation, _ in client.asked) == {"list_policy_tags": 5}
