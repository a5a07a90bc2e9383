"""The real account reads every listing to its last page, over the wire and however small they are.

moto's server has one page; the wire before it cuts that into pages of one (`tests/support/paging`).
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from botocore.credentials import ReadOnlyCredentials
from botocore.session import get_session

from ledger.model import AccountId, Principal, PrincipalKind
from tests.support.fake_clock import FakeClock
from tests.support.moto_server import MotoServer
from tests.support.scenes import AWS_OWN, ENTRY, Gates
from tests.support.wire import Wire, laid
from worker.account import AwsReading, ManagedPolicyState, PrincipalState
from worker.aws import account as real
from worker.aws import details
from worker.aws.account import InAccount, RealAccount
from worker.aws.calls import Caller
from worker.aws.details import Page
from worker.errors import AwsUnanswered

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PROD = AccountId("111111111111")


class Keys:
    async def get(self) -> ReadOnlyCredentials:
        return ReadOnlyCredentials("key", "secret", "token")


@dataclass
class Client:
    """Answers in pages: each operation's items, so many at a time."""

    pages: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    endless: bool = False
    lost: bool = False
    """Whether it says that there is more, and not where."""

    def __getattr__(self, operation: str) -> Any:
        async def call(**parameters: Any) -> dict[str, Any]:
            self.asked.append((operation, parameters))
            found = self.pages[operation]
            number = int(parameters.get("Marker", "0"))
            last = number + 1 >= len(found) and not self.endless
            more = {} if last else {"Marker": "0" if self.endless else str(number + 1)}
            if self.lost:
                return {**found[number], "IsTruncated": True}
            return {**found[number], "IsTruncated": not last, **more}

        return call


def account(client: Client) -> RealAccount:
    keys: Any = Keys()
    return RealAccount(
        PROD, InAccount(PROD, client, keys, Caller(FakeClock(NOON), lambda *_: None))
    )


def user(name: str) -> PrincipalState:
    return PrincipalState(Principal(PrincipalKind.USER, name), f"AIDA{name}", {}, frozenset(), NOON)


def page(*users: str, policies: tuple[ManagedPolicyState, ...] = ()) -> dict[str, Any]:
    """As `worker.aws.details` puts it into the answer."""
    return {details.PAGE: Page(tuple(map(user, users)), policies, None, "request")}


async def test_an_account_of_several_pages_is_seen_whole() -> None:
    arn = f"arn:aws:iam::{PROD}:policy/iam-ledger/P"
    policy = ManagedPolicyState("P", "/iam-ledger/", arn, "{}", "v1", ("v1",))
    pages = [page(*(f"u{part}{number}" for number in range(3))) for part in range(3)]
    pages.append(page(policies=(policy,)))
    client = Client({"get_account_authorization_details": pages})
    state = await account(client).observe()
    assert len(state.principals) == 9
    assert state.policies == {"p": policy}
    assert [parameters.get("Marker") for _, parameters in client.asked] == [None, "1", "2", "3"]
    assert {parameters["MaxItems"] for _, parameters in client.asked} == {100}
    kinds = client.asked[0][1]["Filter"]
    assert kinds == ["User", "Role", "Group", "LocalManagedPolicy"]


async def test_a_listing_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real, "PAGES_MAX", 5)
    client = Client({"list_policy_tags": [{"Tags": []}]}, endless=True)
    with pytest.raises(AwsUnanswered):
        await account(client).read_policy_tags("arn")
    assert Counter(operation for operation, _ in client.asked) == {"list_policy_tags": 5}


async def test_a_listing_that_goes_on_nowhere_is_no_answer() -> None:
    client = Client({"list_policy_tags": [{"Tags": []}]}, lost=True)
    with pytest.raises(AwsUnanswered, match="not where"):
        await account(client).read_policy_tags("arn")


# --- over the wire --------------------------------------------------------------------------------

UNREAD = {"GetGroup"}
"""Its listing is of the group's members, who are not asked for."""

TEXT = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}'


def in_pages() -> set[str]:
    """IAM's operations that may answer in pages, as botocore's model of it has them."""
    model = get_session().get_service_model("iam")
    shapes = ((name, model.operation_model(name).output_shape) for name in model.operation_names)
    return {name for name, shape in shapes if shape and "IsTruncated" in shape.members} - UNREAD


def fill(server: MotoServer) -> tuple[list[Principal], list[str]]:
    """Two of everything that there can be several of."""
    iam = server.iam(PROD)
    tags = [{"Key": f"k{number}", "Value": "v"} for number in range(2)]
    arns = []
    for policy in ("one", "two"):
        made = iam.create_policy(PolicyName=policy, PolicyDocument=TEXT, Tags=tags)
        arns.append(made["Policy"]["Arn"])
        iam.create_policy_version(PolicyArn=arns[-1], PolicyDocument=TEXT, SetAsDefault=True)
    people = []
    for kind in ("user", "role", "group"):
        for number in range(2):
            who = server.add(PROD, f"{kind}/n{number}")
            people.append(who)
            name = {f"{kind.capitalize()}Name": who.name}
            for arn in arns:
                getattr(iam, f"attach_{kind}_policy")(PolicyArn=arn, **name)
                put = getattr(iam, f"put_{kind}_policy")
                put(PolicyName=arn.rpartition("/")[2], PolicyDocument=TEXT, **name)
    return people, arns


async def read_all(aws: RealAccount, people: list[Principal], arns: list[str]) -> dict[str, Any]:
    """What every method of `AwsReading` gives back."""
    return {
        "observe": await aws.observe(),
        "read_limits": await aws.read_limits(),
        "read_principal": [await aws.read_principal(principal) for principal in people],
        "read_policy": [await aws.read_policy(arn) for arn in arns],
        "read_policy_tags": [await aws.read_policy_tags(arn) for arn in arns],
        "read_holders": [sorted(map(str, await aws.read_holders(arn))) for arn in arns],
        "read_source": await aws.read_source(AWS_OWN),
    }


@pytest.fixture
def wire(moto_server: MotoServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    with laid(moto_server.url) as found:
        monkeypatch.setenv("AWS_ENDPOINT_URL", found.url)
        yield found


async def test_all_that_is_read_in_pages_of_one_is_what_is_read_in_one_page(
    moto_server: MotoServer, wire: Wire
) -> None:
    people, arns = fill(moto_server)
    async with AsyncExitStack() as stack:
        gate = await Gates(stack).to(moto_server)
        whole = await read_all(gate.account(ENTRY), people, arns)
        calls = len(wire.calls)
        wire.page_items = 1
        assert await read_all(gate.account(ENTRY), people, arns) == whole
    asked = {name for name in vars(AwsReading) if name == "observe" or name.startswith("read_")}
    assert whole.keys() == asked, "whatever can be read is read here"
    assert len(whole["observe"].principals) == len(people) == 6
    assert [len(each) for each in whole["read_holders"]] == [6] * 2
    first = {call.action for call in wire.calls[:calls]} & in_pages()
    followed = {call.action for call in wire.calls[calls:] if "Marker" in call.parameters}
    assert followed == first, "and of each listing more than one page"
    assert len(first) >= 10


async def test_an_account_of_motos_is_seen_as_botocore_reads_it(
    moto_server: MotoServer, wire: Wire
) -> None:
    people, arns = fill(moto_server)
    told = moto_server.iam(PROD).get_account_authorization_details(
        Filter=["User", "Role", "Group", "LocalManagedPolicy"]
    )
    async with AsyncExitStack() as stack:
        gate = await Gates(stack).to(moto_server)
        state = await gate.account(ENTRY).observe()
    assert len(people) == len(state.principals)
    for who in people:
        kind, found = who.kind.value.capitalize(), state.principals[who.key]
        items = {item[f"{kind}Name"]: item for item in told[f"{kind}DetailList"]}
        item = items[who.name]
        inline = {each["PolicyName"]: each["PolicyDocument"] for each in item[f"{kind}PolicyList"]}
        assert {name: orjson.loads(text) for name, text in found.inline.items()} == inline
        attached = {each["PolicyArn"] for each in item["AttachedManagedPolicies"]}
        assert found.attached == attached == set(arns)
        assert (found.unique_id, found.principal.path) == (item[f"{kind}Id"], item["Path"])
        assert found.created_at == item["CreateDate"]
    policies = {item["Arn"]: item for item in told["Policies"]}
    assert {each.arn for each in state.policies.values()} == policies.keys() == set(arns)
    for each in state.policies.values():
        versions = {one["VersionId"]: one for one in policies[each.arn]["PolicyVersionList"]}
        assert set(each.versions) == versions.keys()
        assert each.default_version == policies[each.arn]["DefaultVersionId"]
        assert orjson.loads(each.document) == versions[each.default_version]["Document"]
