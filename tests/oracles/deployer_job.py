"""The worker does its whole job on ministack, by a deployer that may do what we print and no more.

`scripts/deployer` runs it. One job is done in many accounts at once: in the first with all that
`iam-ledger deployer-policy` prints, in each other one with one action less.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from typing import Any

import pytest

from ledger.model import AccountId
from tests.oracles.deployer_world import (
    HUB_ROLE,
    MANY,
    POLICIES,
    World,
    hours,
    hub_environment,
    lines_for_all,
    make_hub,
    now,
    people_of,
    statement,
    window,
    without,
)
from tests.support.ministack import ministack
from worker.iam.deployer import CALLS

WHOLE = AccountId("100000000000")
ACTIONS = sorted(
    f"iam:{operation}"
    for call in CALLS
    if call.on not in ("hub", "free")
    for operation in call.operations
)
LACKING = {WHOLE: None} | {
    AccountId(str(100_000_000_001 + number)): action for number, action in enumerate(ACTIONS)
}
TOLD_OTHERWISE = {
    "iam:GetAccountSummary": "attachment-slots",
    "iam:TagPolicy": "perform: iam:CreatePolicy",
}
"""Without the first the account's raised quota is not known; the second is part of a creation."""

EXPIRY_S = 25
"""Longer than two passes over one account take."""

State = dict[str, tuple[list[str], list[str]]]
"""Who -> names of inline policies, and of attached ones."""


@dataclass
class Job:
    """What the job has done, by the ledger and by the first account itself."""

    troubles: dict[AccountId, list[str]]
    """What was told of each account in the end, of stuck, refused and missing."""
    granted: State
    changed: State
    ended: State
    versions: dict[str, dict[str, str]]
    """At each stage, policy -> its default version."""


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    folder = tmp_path_factory.mktemp("deployer")
    with ministack(as_aws=True) as server:
        world = World(server, folder, LACKING, policies=dict(POLICIES))
        world.write()
        make_hub(world)
        document = world.printed("--hub-role-arn", HUB_ROLE)
        trust = world.printed("--trust", "--hub-role-arn", HUB_ROLE)
        for account, action in LACKING.items():
            world.give_deployer(account, without(document, action), trust)
            people_of(world, account)
        with hub_environment(server):
            yield _do(world)


def _do(world: World) -> Job:
    """Grants of every form, a new text, an extension, ends of every kind, deletions, looks."""
    versions = {}
    world.standing = lines_for_all(world)
    world.windows = [
        entry
        for name in world.environments
        for entry in (
            window("people/cleo", "fix", hours(2), name),
            window("people/cleo", "guarded", hours(2), name),
            window("people/dora", "large", hours(2), name),
            window("role/app", "fix", hours(2), name),
        )
    ]
    world.ingest()
    world.work()
    granted, versions["granted"] = _state(world), _versions(world)
    # A new text and a later end; somebody lends a part of dora's to ana by hand.
    world.policies["look"] = {
        **world.policies["look"],
        "custom_statements": [statement("s3:GetObject", "s3:ListBucket")],
    }
    for entry in world.windows:
        if (entry.get("user"), entry["grant"]) == ("people/cleo", "fix"):
            entry["expires_at"] = hours(3).isoformat()
    for account in world.lacking:
        if not _parts(world, account):  # for want of an action, or the machine was too busy
            world.work(account)
        for arn in _parts(world, account):
            world.root(account).attach_user_policy(UserName="ana", PolicyArn=arn)
    # One ends by itself, where the first account's clock is all that is waited for.
    end = now().timestamp() + EXPIRY_S
    soon = window("people/ben", "fix", hours(EXPIRY_S / 3600), f"e{WHOLE}")
    world.windows.append(soon)
    world.ingest()
    world.work(WHOLE)
    changed, versions["changed"] = _state(world), _versions(world)
    world.work()
    # All but that one is taken out, and a policy with its lines.
    world.standing, world.windows = [], [soon]
    del world.policies["look"]
    world.ingest()
    world.work()
    while now().timestamp() <= end:
        sleep(0.1)
    world.work()
    ended, versions["ended"] = _state(world), _versions(world)
    return Job(_troubles(world.folder), granted, changed, ended, versions)


def _local(world: World, account: AccountId) -> list[Any]:
    return list(world.root(account).list_policies(Scope="Local")["Policies"])


def _parts(world: World, account: AccountId) -> list[str]:
    return [each["Arn"] for each in _local(world, account) if each["PolicyName"].endswith("-p1")]


def _versions(world: World) -> dict[str, str]:
    return {each["PolicyName"]: each["DefaultVersionId"] for each in _local(world, WHOLE)}


def _state(world: World) -> State:
    """What the first account's people have."""
    iam, found = world.root(WHOLE), {}
    for kind, names in (
        ("user", ("ana", "ben", "cleo", "dora", "ella")),
        ("role", ("app",)),
        ("group", ("devs",)),
    ):
        for name in names:
            who = {f"{kind.capitalize()}Name": name}
            inline = getattr(iam, f"list_{kind}_policies")(**who)["PolicyNames"]
            listed = getattr(iam, f"list_attached_{kind}_policies")(**who)["AttachedPolicies"]
            found[name] = (sorted(inline), sorted(each["PolicyName"] for each in listed))
    return found


def _troubles(folder: Path) -> dict[AccountId, list[str]]:
    with sqlite3.connect(folder / "ledger.db") as ledger:
        rows = ledger.execute(
            "SELECT account, kind, payload FROM events WHERE kind IN ('stuck','refused','missing')"
        ).fetchall()
    found: dict[AccountId, list[str]] = {account: [] for account in LACKING}
    for account, kind, payload in rows:
        found[AccountId(account)].append(f"{kind} {payload}")
    return found


def test_the_whole_job_is_done_with_what_is_printed(job: Job) -> None:
    assert job.troubles[WHOLE] == []
    look, own = ["AmazonS3ReadOnlyAccess", "payments-look"], ["by-hand"]
    many = [arn.rpartition("/")[2] for arn in MANY]
    granted = job.granted
    assert (granted["ana"], granted["devs"]) == ((own, look), (own, look))
    assert granted["ella"] == ([], sorted([*many, *look]))
    inline, attached = granted["cleo"]
    assert (len(inline), attached) == (1, ["payments-guarded"])
    inline, attached = granted["dora"]
    assert (inline, len(attached)) == ([], 2)
    assert (len(granted["app"][0]), granted["app"][1]) == (2, look)
    assert job.versions["granted"]["payments-look"] == "v1"

    assert job.versions["changed"]["payments-look"] == "v2"
    assert len(job.changed["ben"][0]) == 1
    assert job.changed["cleo"] == granted["cleo"], "rewritten under the same name"

    none: tuple[list[str], list[str]] = ([], [])
    assert {name: job.ended[name] for name in ("ben", "cleo", "dora")} == dict.fromkeys(
        ("ben", "cleo", "dora"), none
    )
    assert {name: job.ended[name] for name in ("ana", "app", "devs")} == dict.fromkeys(
        ("ana", "app", "devs"), (own, [])
    )
    assert job.ended["ella"] == ([], sorted(many))
    assert sorted(job.versions["ended"]) == ["payments-fix", "payments-guarded", "payments-large"]


@pytest.mark.parametrize(("account", "action"), list(LACKING.items())[1:])
def test_without_any_one_action_something_is_not_done_and_is_told(
    job: Job, account: AccountId, action: str
) -> None:
    wanted = TOLD_OTHERWISE.get(action, f"perform: {action} ")
    assert [told for told in job.troubles[account] if wanted in told], job.troubles[account]
