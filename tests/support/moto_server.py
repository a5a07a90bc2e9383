"""moto's server on loopback: AWS by somebody else's hand, with real wires.

One server a session, emptied for every test. The worker enters an account with the credentials of
an assumed role. Where it differs from AWS is listed in `tests/contract/differences.py`.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import pytest

from ledger.model import AccountId, Principal, parse_principal

if TYPE_CHECKING:
    from moto.server import ThreadedMotoServer

REGION = "us-east-1"
AWS_POLICIES = (
    "AdministratorAccess",
    "AmazonRDSFullAccess",
    "AmazonS3FullAccess",
    "AmazonS3ReadOnlyAccess",
    "CloudWatchReadOnlyAccess",
    "PowerUserAccess",
    "ReadOnlyAccess",
    "SecurityAudit",
)
"""Names of the AWS-managed policies that stand in every account, moto's texts."""

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_SESSION_TOKEN": "testing",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_REGION": REGION,
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    "AWS_EC2_METADATA_DISABLED": "true",
    "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
}
"""Credentials that open nothing anywhere, and AWS's own policies, which moto leaves out else."""


_CLIENTS: dict[tuple[str, str, str], Any] = {}
"""By address, service and account; making one takes longer than most tests."""


@cache
def _session() -> Any:
    from botocore.session import get_session

    return get_session()


def client_of(url: str, service: str, account: AccountId, *, key: str, secret: str) -> Any:
    """A botocore client in `account`, which moto's server knows by a header of its own."""
    made = (url, service, account)
    if made not in _CLIENTS:
        from botocore.config import Config

        client = _session().create_client(
            service,
            region_name=REGION,
            endpoint_url=url,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=Config(retries={"total_max_attempts": 1}),
        )

        def choose(request: Any, **_: object) -> None:
            request.headers["x-moto-account-id"] = account

        client.meta.events.register("before-sign.*.*", choose)
        _CLIENTS[made] = client
    return _CLIENTS[made]


@dataclass(slots=True)
class MotoServer:
    """The running server, and a person's hands in its accounts."""

    url: str

    def reset(self) -> None:
        """Forgets every account."""
        request = Request(f"{self.url}/moto-api/reset", method="POST")  # noqa: S310  # our own server
        with urlopen(request, timeout=30) as answer:  # noqa: S310  # our own server
            assert answer.status == 200

    def iam(self, account: AccountId) -> Any:
        """A plain client inside `account`."""
        return self.client("iam", account)

    def client(self, service: str, account: AccountId) -> Any:
        """A botocore client in `account`, chosen by moto's own header: no role is assumed."""
        return client_of(self.url, service, account, key="testing", secret="testing")

    # --- changing an account by hand -------------------------------------------------------------

    def add(self, account: AccountId, text: str, path: str = "/") -> Principal:
        """`add(PROD, "user/ana")`: a new principal."""
        named = parse_principal(text)
        kind = named.kind.value.capitalize()
        more = {"AssumeRolePolicyDocument": TRUST} if kind == "Role" else {}
        create = getattr(self.iam(account), f"create_{named.kind.value}")
        create(**{f"{kind}Name": named.name, "Path": path, **more})
        return Principal(named.kind, named.name, path)

    def drop(self, account: AccountId, principal: Principal) -> None:
        """Takes everything from a principal, then deletes it, as IAM wants it done."""
        iam, kind = self.iam(account), principal.kind.value
        who = {f"{kind.capitalize()}Name": principal.name}
        for name in self.inline(account, principal):
            getattr(iam, f"delete_{kind}_policy")(PolicyName=name, **who)
        for arn in self.attached(account, principal):
            getattr(iam, f"detach_{kind}_policy")(PolicyArn=arn, **who)
        getattr(iam, f"delete_{kind}")(**who)

    # --- the truth -------------------------------------------------------------------------------

    def inline(self, account: AccountId, principal: Principal) -> dict[str, Any]:
        """Name -> document, as JSON values."""
        iam, kind = self.iam(account), principal.kind.value
        who = {f"{kind.capitalize()}Name": principal.name}
        names = getattr(iam, f"list_{kind}_policies")(**who)["PolicyNames"]
        get = getattr(iam, f"get_{kind}_policy")
        found = {}
        for name in names:
            with _gone_by_now(iam):
                found[name] = get(PolicyName=name, **who)["PolicyDocument"]
        return found

    def attached(self, account: AccountId, principal: Principal) -> set[str]:
        """ARNs of the attached policies."""
        kind = principal.kind.value
        listing = getattr(self.iam(account), f"list_attached_{kind}_policies")
        found = listing(**{f"{kind.capitalize()}Name": principal.name})["AttachedPolicies"]
        return {policy["PolicyArn"] for policy in found}

    def policies(self, account: AccountId) -> dict[str, Any]:
        """ARN -> the default version's document, of the account's own policies."""
        iam = self.iam(account)
        found = {}
        for policy in iam.list_policies(Scope="Local")["Policies"]:
            which = {"PolicyArn": policy["Arn"], "VersionId": policy["DefaultVersionId"]}
            with _gone_by_now(iam):
                version = iam.get_policy_version(**which)["PolicyVersion"]
                found[policy["Arn"]] = version["Document"]
        return found


def _gone_by_now(iam: Any) -> AbstractContextManager[None]:
    """A worker may take away what was listed before its text is asked for."""
    return suppress(iam.exceptions.NoSuchEntityException)


TRUST = (
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow",'
    '"Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}'
)


@pytest.fixture(scope="session")
def moto_process() -> Iterator["ThreadedMotoServer"]:
    """The server, started once a session, with a few of AWS's own policies.

    moto knows 1,582 of them, and takes three seconds to read them into every new account.
    """
    from moto.iam import models
    from moto.iam.aws_managed_policies import aws_managed_policies_data
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    known = json.loads(aws_managed_policies_data)
    few = json.dumps({name: known[name] for name in AWS_POLICIES})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "aws_managed_policies_data", few)
        server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
        server.start()
        yield server
        server.stop()


@pytest.fixture
def moto_server(moto_process: "ThreadedMotoServer", monkeypatch: pytest.MonkeyPatch) -> MotoServer:
    """The server, empty, in an environment that leads to it and names no real credentials."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    host, port = moto_process.get_host_and_port()
    server = MotoServer(f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    server.reset()
    return server
