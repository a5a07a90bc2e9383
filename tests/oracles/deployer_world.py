"""Many accounts on ministack, each entered by a deployer that may do a little less than the others.

The roles' documents are those that `iam-ledger deployer-policy` prints; the job is the installed
commands'. The first account's deployer may do all of it; every other one's lacks one action.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from cli.environment import Environment
from cli.main import main
from ledger.model import AccountId
from tests.support.builders import Entry, directory, permanent, policy
from tests.support.builders import text as instant_text
from tests.support.ministack import REGION, Ministack

HUB, HUB_ROLE = "999999999999", "arn:aws:iam::999999999999:role/iam-ledger-worker"
EXTERNAL_ID, SOURCE_IDENTITY = "x-77", "iam-ledger"
DEPLOYER = "infra/Deployer"
TEAM = "payments"
AT_ONCE = 12
AWS_OWN = "arn:aws:iam::aws:policy/"
READ = f"{AWS_OWN}AmazonS3ReadOnlyAccess"
MANY = [
    f"{AWS_OWN}{name}"
    for name in (
        *("AmazonSQSFullAccess", "AmazonSNSFullAccess", "AmazonEC2FullAccess", "IAMFullAccess"),
        *("AmazonS3FullAccess", "PowerUserAccess", "SecurityAudit", "AWSXrayReadOnlyAccess"),
        *("AmazonEC2ReadOnlyAccess", "IAMReadOnlyAccess"),
    )
]
"""As many as AWS lets hang on a user, unless the account's quota was raised."""

SETTINGS = {
    "deployer_role": DEPLOYER,
    "managed_principals": ["user/people/*", "role/app", "group/*"],
    "protected_principals": ["user/people/boss"],
}
BY_HAND = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "sns:Publish", "Resource": "*"}],
    }
)
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{HUB}:root"}, "Action": "sts:*"}
        ],
    }
)


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class World:
    """The server, a directory of YAML, a ledger, and the hub's keys in the environment."""

    server: Ministack
    folder: Path
    lacking: Mapping[AccountId, str | None]
    """Account -> the action that its deployer lacks; None: none."""
    standing: list[Entry] = field(default_factory=list)
    windows: list[Entry] = field(default_factory=list)
    policies: dict[str, Entry] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        return self.folder / "config"

    @property
    def environments(self) -> list[str]:
        return [f"e{account}" for account in self.lacking]

    def write(self) -> None:
        """The directory as it is wanted now."""
        accounts = {
            f"e{account}": {
                "id": account,
                "external_id": EXTERNAL_ID,
                "source_identity": SOURCE_IDENTITY,
            }
            for account in self.lacking
        }
        files = directory(
            TEAM,
            accounts=accounts,
            policies=self.policies,
            standing=self.standing,
            windows=self.windows,
            settings=SETTINGS,
        )
        for name in ("permanent-access", "temporary-access"):
            (self.config / name / f"{TEAM}.yaml").unlink(missing_ok=True)
        for path, content in files.items():
            (self.config / path).parent.mkdir(parents=True, exist_ok=True)
            (self.config / path).write_bytes(content)

    def run(self, *arguments: str, codes: Sequence[int] = (0,)) -> Said:
        """One command of ours, in this process, by the machine's own clock."""
        out, err = StringIO(), StringIO()
        variables = {
            "PATH": "/usr/bin:/bin",
            "IAM_LEDGER_DATABASE_URL": f"sqlite+aiosqlite:///{self.folder}/ledger.db",
            "IAM_LEDGER_LISTEN": "127.0.0.1:0",
        }
        with redirect_stdout(out), redirect_stderr(err):
            code = main(list(arguments), environment=Environment(variables))
        said = Said(code, out.getvalue(), err.getvalue())
        assert code in codes, f"{arguments}: {code}\n{said.out[-3000:]}\n{said.err[-6000:]}"
        return said

    def printed(self, *options: str) -> Any:
        """A document that `deployer-policy` prints."""
        return self.run("deployer-policy", str(self.config), *options).json

    def ingest(self) -> None:
        self.write()
        self.run("ingest", str(self.config), "--allow-revocations", "10000")

    def work(self, *accounts: AccountId) -> None:
        """One pass over every account, or over these; some cannot do all of it.

        A few at a time: all at once would keep the one server so busy that calls run out of time.
        """
        wanted = accounts or tuple(self.lacking)
        for first in range(0, len(wanted), AT_ONCE):
            few = wanted[first : first + AT_ONCE]
            only = [word for account in few for word in ("--account", account)]
            self.run("worker", "--once", "-q", *only, codes=(0, 1))

    # --- by hand ------------------------------------------------------------------------------

    def root(self, account: str) -> Any:
        return self.server.client("iam", account)

    def enter(self, account: str) -> Any:
        """IAM with the deployer's own keys: what somebody could do who stole them."""
        sts = self.server.client("sts", *hub_keys(self.server))
        keys = sts.assume_role(
            RoleArn=f"arn:aws:iam::{account}:role/{DEPLOYER}",
            RoleSessionName="thief",
            ExternalId=EXTERNAL_ID,
        )["Credentials"]
        return self.server.client(
            "iam", keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"]
        )

    def give_deployer(self, account: str, document: Any, trust: Any) -> None:
        path, _, name = DEPLOYER.rpartition("/")
        iam = self.root(account)
        iam.create_role(RoleName=name, Path=f"/{path}/", AssumeRolePolicyDocument=json.dumps(trust))
        iam.put_role_policy(
            RoleName=name, PolicyName="iam-ledger", PolicyDocument=json.dumps(document)
        )


def without(document: Any, action: str | None) -> Any:
    """`document` with one action less, wherever it is allowed."""
    kept = []
    for each in document["Statement"]:
        left = [known for known in each["Action"] if known != action]
        if each["Effect"] == "Deny":
            kept.append(each)
        elif left:
            kept.append({**each, "Action": left})
    return {**document, "Statement": kept}


def hub_keys(server: Ministack) -> tuple[str, str, str]:
    """Of a session of the hub's own role."""
    sts = server.client("sts", HUB)
    found = sts.assume_role(RoleArn=HUB_ROLE, RoleSessionName="host")["Credentials"]
    return found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"]


@contextmanager
def hub_environment(server: Ministack) -> Iterator[None]:
    """Whatever in this process reads AWS's own variables is the hub, and reaches `server` only."""
    key, secret, token = hub_keys(server)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_SESSION_TOKEN": token,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": "/nonexistent",
            "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": server.url,
        }.items():
            patch.setenv(name, value)
        yield


def make_hub(world: World) -> None:
    """The worker's own role, with what `--hub` prints and nothing else."""
    iam = world.root(HUB)
    iam.create_role(RoleName="iam-ledger-worker", AssumeRolePolicyDocument=TRUST)
    document = json.dumps(world.printed("--hub"))
    iam.put_role_policy(RoleName="iam-ledger-worker", PolicyName="hub", PolicyDocument=document)


def people_of(world: World, account: str) -> None:
    """Who is there before us, and what they have by others' hands."""
    iam = world.root(account)
    for name in ("ana", "ben", "cleo", "dora", "ella", "boss"):
        iam.create_user(UserName=name, Path="/people/")
    iam.create_user(UserName="stranger", Path="/machines/")
    iam.create_role(RoleName="app", AssumeRolePolicyDocument=TRUST)
    iam.create_role(RoleName="other", AssumeRolePolicyDocument=TRUST)
    iam.create_group(GroupName="devs")
    iam.put_user_policy(UserName="ana", PolicyName="by-hand", PolicyDocument=BY_HAND)
    iam.put_role_policy(RoleName="app", PolicyName="by-hand", PolicyDocument=BY_HAND)
    iam.put_group_policy(GroupName="devs", PolicyName="by-hand", PolicyDocument=BY_HAND)
    for arn in MANY:
        iam.attach_user_policy(UserName="ella", PolicyArn=arn)


def statement(*actions: str, effect: str = "Allow", resource: str = "*") -> Entry:
    return {"effect": effect, "actions": list(actions), "resources": [resource]}


POLICIES = {
    "look": policy(managed_policies=[READ]),
    "fix": policy(),
    # Larger than a user's inline policies may be together: two or three managed policies.
    "large": {
        "custom_statements": [
            statement(
                f"s3:PutObject{'Tagging' * (number % 2)}", resource=f"arn:aws:s3:::b{number:04}/*"
            )
            for number in range(60)
        ]
    },
    # What AWS cannot end by itself.
    "guarded": {
        "custom_statements": [statement("sqs:*"), statement("sqs:DeleteQueue", effect="Deny")],
        "enforcement": "daemon",
    },
}


def window(user: str, grant: str, end: datetime, environment: str, **more: Any) -> Entry:
    who = {"role": user.removeprefix("role/")} if user.startswith("role/") else {"user": user}
    return {
        "description": "for the job",
        **who,
        "environment": environment,
        "grant": grant,
        "expires_at": instant_text(end),
        **more,
    }


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def hours(count: float) -> datetime:
    return now() + timedelta(hours=count)


def lines_for_all(world: World) -> list[Entry]:
    """Permanent access of each kind."""
    everywhere = {"environments": world.environments, "grants": ["look"]}
    return [
        {**permanent("people/ana", "people/ella"), **everywhere},
        {"description": "their work", "roles": ["app"], **everywhere},
        {"description": "their work", "groups": ["devs"], **everywhere},
    ]
