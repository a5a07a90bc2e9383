"""What somebody cannot do who has the deployer's keys, or the hub's: ministack decides.

`scripts/deployer` runs it. Each refusal has its like beside it that is allowed, so that none of
them is refused for another reason.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ledger.model import AccountId
from tests.oracles.deployer_world import (
    BY_HAND,
    DEPLOYER,
    EXTERNAL_ID,
    HUB,
    HUB_ROLE,
    POLICIES,
    SOURCE_IDENTITY,
    TRUST,
    World,
    hours,
    hub_environment,
    hub_keys,
    make_hub,
    people_of,
    window,
    without,
)
from tests.support.ministack import ministack

PLAIN, ADOPTING, BOUNDED, READING, STACKED = (AccountId(f"20000000000{n}") for n in range(5))
ADMIN = "arn:aws:iam::aws:policy/AdministratorAccess"
OURS, FOREIGN = (f"arn:aws:iam::{PLAIN}:policy/{name}" for name in ("iam-ledger/ours", "guard"))
NAME = DEPLOYER.rpartition("/")[2]
PUT = {"PolicyName": "x", "PolicyDocument": BY_HAND}


def denied(call: Callable[..., Any], **parameters: Any) -> bool:
    """Whether AWS refuses the call for want of permission; any other failure is an error."""
    try:
        call(**parameters)
    except ClientError as error:
        if error.response["Error"]["Code"] != "AccessDenied":
            raise
        return True
    return False


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The hub in its account, and four accounts whose deployers were printed with other options."""
    folder = tmp_path_factory.mktemp("limits")
    options = {
        PLAIN: (),
        ADOPTING: ("--adopted",),
        BOUNDED: ("--permissions-boundary", f"arn:aws:iam::{BOUNDED}:policy/ceiling"),
        READING: ("--read-only",),
    }
    with ministack(as_aws=True) as server:
        accounts = dict.fromkeys([*options, STACKED])
        found = World(server, folder, accounts, policies=dict(POLICIES))
        found.write()
        make_hub(found)
        trust = found.printed("--trust", "--hub-role-arn", HUB_ROLE)
        for account, more in options.items():
            document = found.printed("--hub-role-arn", HUB_ROLE, *more)
            found.give_deployer(account, document, trust)
            people_of(found, account)
        with hub_environment(server):
            yield found


@pytest.fixture(scope="module")
def thief(world: World) -> Any:
    """IAM with the deployer's keys, where a policy of ours stands and one of somebody else."""
    root = world.root(PLAIN)
    root.create_policy(PolicyName="ours", Path="/iam-ledger/", PolicyDocument=BY_HAND)
    root.create_policy(PolicyName="guard", PolicyDocument=BY_HAND)
    root.create_role(RoleName="sso", Path="/aws-reserved/x/", AssumeRolePolicyDocument=TRUST)
    for arn in (OURS, FOREIGN):
        root.attach_user_policy(UserName="ana", PolicyArn=arn)
    return world.enter(PLAIN)


ALLOWED: list[tuple[str, dict[str, Any]]] = [
    ("put_user_policy", {"UserName": "ben", **PUT}),
    ("delete_user_policy", {"UserName": "ben", "PolicyName": "x"}),
    ("put_role_policy", {"RoleName": "app", **PUT}),
    ("attach_user_policy", {"UserName": "ben", "PolicyArn": ADMIN}),
    ("attach_role_policy", {"RoleName": "app", "PolicyArn": OURS}),
    ("detach_user_policy", {"UserName": "ana", "PolicyArn": OURS}),
    ("create_policy", {"Path": "/iam-ledger/", **PUT}),
    ("create_policy_version", {"PolicyArn": OURS, "PolicyDocument": BY_HAND}),
    ("tag_policy", {"PolicyArn": OURS, "Tags": [{"Key": "k", "Value": "v"}]}),
]

REFUSED: list[tuple[str, str, dict[str, Any]]] = [
    ("itself", "put_role_policy", {"RoleName": NAME, **PUT}),
    ("itself", "attach_role_policy", {"RoleName": NAME, "PolicyArn": ADMIN}),
    ("itself", "delete_role_policy", {"RoleName": NAME, "PolicyName": "iam-ledger"}),
    ("itself", "detach_role_policy", {"RoleName": NAME, "PolicyArn": ADMIN}),
    ("itself", "update_assume_role_policy", {"RoleName": NAME, "PolicyDocument": TRUST}),
    ("protected", "put_user_policy", {"UserName": "boss", **PUT}),
    ("protected", "attach_user_policy", {"UserName": "boss", "PolicyArn": ADMIN}),
    ("protected", "delete_user_policy", {"UserName": "boss", "PolicyName": "x"}),
    ("out of scope", "put_user_policy", {"UserName": "stranger", **PUT}),
    ("out of scope", "attach_user_policy", {"UserName": "stranger", "PolicyArn": ADMIN}),
    ("out of scope", "put_role_policy", {"RoleName": "other", **PUT}),
    ("out of scope", "delete_role_policy", {"RoleName": "other", "PolicyName": "x"}),
    ("reserved", "put_role_policy", {"RoleName": "sso", **PUT}),
    ("a group", "put_group_policy", {"GroupName": "devs", **PUT}),
    ("foreign", "attach_user_policy", {"UserName": "ben", "PolicyArn": FOREIGN}),
    ("foreign", "detach_user_policy", {"UserName": "ana", "PolicyArn": FOREIGN}),
    ("foreign", "create_policy", {"Path": "/", **PUT}),
    ("foreign", "create_policy", {"Path": "/iam-ledger-too/", **PUT}),
    ("foreign", "create_policy_version", {"PolicyArn": FOREIGN, "PolicyDocument": BY_HAND}),
    ("foreign", "delete_policy_version", {"PolicyArn": FOREIGN, "VersionId": "v1"}),
    ("foreign", "delete_policy", {"PolicyArn": FOREIGN}),
    ("foreign", "tag_policy", {"PolicyArn": FOREIGN, "Tags": [{"Key": "k", "Value": "v"}]}),
    ("keys", "create_access_key", {"UserName": "ben"}),
    ("keys", "create_login_profile", {"UserName": "ben", "Password": "correct-horse-1"}),
    ("more", "create_user", {"UserName": "new", "Path": "/people/"}),
    ("more", "add_user_to_group", {"GroupName": "devs", "UserName": "ben"}),
    ("more", "delete_user_permissions_boundary", {"UserName": "ben"}),
    ("more", "create_role", {"RoleName": "app2", "AssumeRolePolicyDocument": TRUST}),
    ("more", "update_assume_role_policy", {"RoleName": "app", "PolicyDocument": TRUST}),
    ("more", "untag_policy", {"PolicyArn": OURS, "TagKeys": ["k"]}),
]


@pytest.mark.parametrize(("call", "parameters"), ALLOWED)
def test_it_may_do_its_work(thief: Any, call: str, parameters: dict[str, Any]) -> None:
    assert not denied(getattr(thief, call), **parameters)


@pytest.mark.parametrize(("why", "call", "parameters"), REFUSED)
def test_it_can_touch_nothing_else_and_not_itself(
    thief: Any, why: str, call: str, parameters: dict[str, Any]
) -> None:
    assert denied(getattr(thief, call), **parameters), why


def test_what_the_deny_guards_is_guarded_by_nothing_else(world: World) -> None:
    """With the Deny taken out, the deployer would reach whoever its patterns cover."""
    root, name = world.root(PLAIN), DEPLOYER.rpartition("/")[2]
    document = world.printed("--hub-role-arn", HUB_ROLE)
    loose = {
        **document,
        "Statement": [each for each in document["Statement"] if each["Effect"] == "Allow"],
    }
    give = {"RoleName": name, "PolicyName": "iam-ledger"}
    boss = {"UserName": "boss", **PUT}
    root.put_role_policy(**give, PolicyDocument=json.dumps(loose))
    assert not denied(world.enter(PLAIN).put_user_policy, **boss)
    root.put_role_policy(**give, PolicyDocument=json.dumps(document))
    assert denied(world.enter(PLAIN).put_user_policy, **boss)


# --- the hub --------------------------------------------------------------------------------------


def test_the_hub_may_enter_deployers_and_do_nothing_else(world: World) -> None:
    sts = world.server.client("sts", *hub_keys(world.server))
    into = {"RoleSessionName": "thief", "ExternalId": EXTERNAL_ID}
    role = f"arn:aws:iam::{PLAIN}:role/{DEPLOYER}"
    assert not denied(sts.assume_role, RoleArn=role, **into, SourceIdentity=SOURCE_IDENTITY)
    assert denied(sts.assume_role, RoleArn=role, **into, SourceIdentity="somebody-else")
    assert denied(sts.assume_role, RoleArn=role, RoleSessionName="thief", ExternalId="another")
    assert denied(sts.assume_role, RoleArn=role, RoleSessionName="thief")
    assert denied(sts.assume_role, RoleArn=f"arn:aws:iam::{PLAIN}:role/other", **into)
    iam = world.server.client("iam", *hub_keys(world.server))
    assert denied(iam.list_users)
    assert denied(iam.put_role_policy, RoleName="iam-ledger-worker", **PUT)


@pytest.mark.parametrize("action", ["sts:AssumeRole", "sts:SetSourceIdentity"])
def test_without_either_action_of_either_side_nobody_enters(world: World, action: str) -> None:
    iam, account = world.root(HUB), world.root(PLAIN)
    hub, trust = world.printed("--hub"), world.printed("--trust", "--hub-role-arn", HUB_ROLE)
    sts = world.server.client("sts", *hub_keys(world.server))
    into = {"RoleArn": f"arn:aws:iam::{PLAIN}:role/{DEPLOYER}", "RoleSessionName": "thief"}
    into |= {"ExternalId": EXTERNAL_ID, "SourceIdentity": SOURCE_IDENTITY}

    def give(hub: Any, trust: Any) -> None:
        document = json.dumps(hub)
        iam.put_role_policy(RoleName="iam-ledger-worker", PolicyName="hub", PolicyDocument=document)
        account.update_assume_role_policy(RoleName=NAME, PolicyDocument=json.dumps(trust))

    less = [each for each in trust["Statement"] if each["Action"] != action]
    give(without(hub, action), trust)
    assert denied(sts.assume_role, **into)
    give(hub, {**trust, "Statement": less})
    assert denied(sts.assume_role, **into)
    give(hub, trust)
    assert not denied(sts.assume_role, **into)


def test_no_other_role_of_the_hubs_account_may_enter(world: World) -> None:
    root = world.root(HUB)
    root.create_role(RoleName="neighbour", AssumeRolePolicyDocument=TRUST)
    everything = json.dumps(
        {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
    )
    root.put_role_policy(RoleName="neighbour", PolicyName="all", PolicyDocument=everything)
    neighbour = HUB_ROLE.replace("iam-ledger-worker", "neighbour")
    keys = world.server.client("sts", HUB).assume_role(RoleArn=neighbour, RoleSessionName="thief")
    found = keys["Credentials"]
    sts = world.server.client(
        "sts", found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"]
    )
    role = f"arn:aws:iam::{PLAIN}:role/{DEPLOYER}"
    assert denied(sts.assume_role, RoleArn=role, RoleSessionName="thief", ExternalId=EXTERNAL_ID)


# --- templates ------------------------------------------------------------------------------------


def deploy(world: World, account: str, template: Any, **parameters: str) -> None:
    given = [{"ParameterKey": key, "ParameterValue": text} for key, text in parameters.items()]
    stacks = world.server.client("cloudformation", account)
    stacks.create_stack(
        StackName="iam-ledger",
        TemplateBody=json.dumps(template),
        Parameters=given,
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    stacks.get_waiter("stack_create_complete").wait(
        StackName="iam-ledger", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )


def test_a_stack_makes_the_role_that_the_documents_describe(world: World) -> None:
    template = world.printed("-o", "cloudformation")
    deploy(world, STACKED, template, HubRoleArn=HUB_ROLE)
    root = world.root(STACKED)
    role = root.get_role(RoleName=NAME)["Role"]
    assert role["Arn"] == f"arn:aws:iam::{STACKED}:role/{DEPLOYER}"
    trust = world.printed("--trust", "--hub-role-arn", HUB_ROLE)
    assert role["AssumeRolePolicyDocument"] == trust
    (name,) = root.list_role_policies(RoleName=NAME)["PolicyNames"]
    document = root.get_role_policy(RoleName=NAME, PolicyName=name)["PolicyDocument"]
    assert document == world.printed("--hub-role-arn", HUB_ROLE)
    root.create_user(UserName="ana", Path="/people/")
    assert not denied(world.enter(STACKED).put_user_policy, UserName="ana", **PUT)


# --- other deployers ------------------------------------------------------------------------------


def test_a_boundary_limits_whom_access_is_given_and_not_from_whom_it_is_taken(
    world: World,
) -> None:
    root, thief = world.root(BOUNDED), world.enter(BOUNDED)
    root.create_policy(PolicyName="ceiling", PolicyDocument=BY_HAND)
    arn = f"arn:aws:iam::{BOUNDED}:policy/ceiling"
    root.put_user_permissions_boundary(UserName="ben", PermissionsBoundary=arn)
    root.put_role_permissions_boundary(RoleName="app", PermissionsBoundary=arn)
    assert not denied(thief.put_user_policy, UserName="ben", **PUT)
    assert not denied(thief.attach_role_policy, RoleName="app", PolicyArn=ADMIN)
    assert denied(thief.put_user_policy, UserName="cleo", **PUT)
    assert denied(thief.attach_user_policy, UserName="cleo", PolicyArn=ADMIN)
    assert denied(thief.attach_group_policy, GroupName="devs", PolicyArn=ADMIN)
    root.put_user_policy(UserName="cleo", **PUT)
    assert not denied(thief.delete_user_policy, UserName="cleo", PolicyName="x")


def test_reading_is_enough_to_rehearse_and_not_to_change_anything(world: World) -> None:
    world.windows = [window("people/ben", "fix", hours(2), f"e{READING}")]
    world.ingest()
    rehearsed = world.run("plan", str(world.config), "--aws", "--account", READING, "-o", "json")
    (account,) = rehearsed.json["aws"]["accounts"]
    assert account["steps"], account
    world.work(READING)
    assert world.root(READING).list_user_policies(UserName="ben")["PolicyNames"] == []
    assert "AccessDenied" in world.run("status", codes=(0, 1)).out


def test_adopting_needs_the_names_that_are_taken_over(world: World) -> None:
    world.windows = []
    world.standing = [
        {
            "description": "their work",
            "users": ["people/ana"],
            "environments": [f"e{account}" for account in (PLAIN, ADOPTING)],
            "grants": ["look"],
        }
    ]
    for account in (PLAIN, ADOPTING):
        root = world.root(account)
        root.create_policy(PolicyName="payments-look", PolicyDocument=BY_HAND)
        arn = f"arn:aws:iam::{account}:policy/payments-look"
        root.attach_user_policy(UserName="ana", PolicyArn=arn)
    world.ingest()
    word = ("--yes", "--by", "olga", "--reason", "ours now", "-o", "json")
    said = world.run("adopt", "--account", PLAIN, *word, codes=(1,)).json
    assert "iam:TagPolicy" in said["accounts"][0]["error"]
    said = world.run("adopt", "--account", ADOPTING, *word).json
    assert said["accounts"][0]["taken_over"] == 2
    world.work(ADOPTING)
    adopted = f"arn:aws:iam::{ADOPTING}:policy/payments-look"
    version = world.root(ADOPTING).get_policy(PolicyArn=adopted)["Policy"]["DefaultVersionId"]
    assert version == "v2", "its text is the YAML's now"
