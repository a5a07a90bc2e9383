"""`adopt` below its command: accounts that were filled in the manner of the scripts before us."""

import json
from datetime import timedelta
from typing import Any

import pytest

from ledger.events import (
    Adopted,
    DriftFound,
    Left,
    PolicyDeleted,
    PolicyWritten,
    Removed,
    Sighted,
    Stuck,
)
from ledger.model import parse_principal
from ledger.settling import take_over
from ledger.store.views import read_account
from tests.support.builders import WORD, Files, at, permanent, policy, temporary
from tests.support.builders import directory as whole
from tests.support.fake_aws.account import FakeGate
from tests.support.seed import InFake, Seed
from tests.support.stage import ANA, CI, PROD, Stage
from worker.account import AwsTagging
from worker.adopting import Findings, look, mark

SEEDS = f"arn:aws:iam::{PROD}:policy/payments-look"
OURS = f"arn:aws:iam::{PROD}:policy/iam-ledger/payments-look"
READ = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
POWER = "arn:aws:iam::aws:policy/PowerUserAccess"
STATEMENT = {"effect": "Allow", "actions": ["s3:GetObject"], "resources": ["*"]}
POLICIES = {
    "look": policy(managed_policies=[READ]),
    "fix": {"managed_policies": [POWER]},
}
FOR_CI = {
    "description": "its work",
    "roles": ["ci"],
    "environments": ["prod"],
    "grants": ["look"],
}
STANDING = [permanent("ana"), FOR_CI]


def directory(**parts: Any) -> Files:
    """Of one account."""
    return whole(accounts={"prod": PROD}, **parts)


FILES = directory(policies=POLICIES, standing=STANDING)


@pytest.fixture
def seeded(stage: Stage) -> Stage:
    """Production as the scripts left it: ana and ci look, bob fixed something once."""
    for arn in (READ, POWER):
        stage.aws.publish(arn.rpartition("/")[2], TEXT)
    seed = Seed(InFake(stage.aws.iam(PROD)), "payments")
    seed.permanent([ANA, CI], [seed.policy("look"), READ])
    seed.temporary(BOB, "fix", "2026-02-01", [POWER])
    return stage


ALLOWED = {"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}
TEXT = json.dumps({"Version": "2012-10-17", "Statement": [ALLOWED]})
BOB = parse_principal("user/bob")


async def looked(stage: Stage, *, yes: bool = False) -> Findings:
    """What `adopt` finds in production, and with `yes` does."""
    async with stage.ledger.reading() as connection:
        view = await read_account(connection, PROD)
    assert view.way_in is not None
    aws: AwsTagging = FakeGate(stage.aws).account(view.way_in)
    findings = await stage.clock.run(look(aws, view, stage.clock.now()))
    for found in (*findings.policies, *findings.attachments) if yes else ():
        await stage.clock.run(mark(aws, view, found))
        event = found.adopted(WORD)
        await take_over(stage.ledger, [(event, found.cause)], now=stage.clock.now())
    for process in stage.processes if yes else ():
        process.nudge()
    await stage.settle()
    return findings


async def test_looking_finds_what_the_lines_declare_and_what_no_line_explains(
    seeded: Stage,
) -> None:
    await seeded.ingest(FILES)
    before = len(seeded.aws.made())
    found = await looked(seeded)
    assert [(each.policy, each.arn) for each in found.policies] == [("look", SEEDS)]
    assert {(str(each.principal), each.arn) for each in found.attachments} == {
        (who, arn) for who in ("user/ana", "role/ci") for arn in (SEEDS, READ)
    }
    assert [each.by_hand for each in found.leftovers] == [
        "aws iam delete-user-policy --user-name bob --policy-name temp-payments-fix",
        f"aws iam detach-user-policy --user-name bob --policy-arn {POWER}",
    ]
    assert len(seeded.aws.made()) == before
    assert await seeded.of(Adopted) == []


async def test_without_adopting_the_policy_is_a_conflict_that_names_the_remedy(
    seeded: Stage,
) -> None:
    await seeded.ingest(FILES)
    await seeded.start()
    (stuck,) = await seeded.of(Stuck)
    assert (stuck.code, stuck.policy) == ("conflict", "look")
    assert "iam-ledger adopt" in stuck.message
    assert seeded.policies() == {"payments-look"}


async def test_what_is_taken_over_stays_where_it_is_and_is_kept_from_then_on(
    seeded: Stage,
) -> None:
    """The conflict was parked: a person's word is heeded at once all the same."""
    await seeded.ingest(FILES)
    await seeded.start()
    iam = seeded.aws.iam(PROD)
    await looked(seeded, yes=True)
    assert iam.tags(SEEDS)["iam-ledger:policy"] == "look"
    assert [made.made.name for made in await seeded.of(PolicyWritten)] == [SEEDS]
    assert await looked(seeded) == Findings(PROD, leftovers=(await looked(seeded)).leftovers)
    wider = {**STATEMENT, "actions": ["s3:Get*"]}
    changed = POLICIES | {"look": policy(custom_statements=[wider], managed_policies=[READ])}
    await seeded.ingest(directory(policies=changed, standing=STANDING))
    await seeded.settle()
    state = iam.policy(SEEDS)
    assert state is not None
    assert "s3:Get*" in state.document
    assert seeded.attached(ANA) == {SEEDS, READ}
    assert seeded.policies() == {"payments-look"}
    await seeded.verified()


async def test_what_was_taken_over_ends_with_its_grant_and_its_policy(seeded: Stage) -> None:
    await seeded.ingest(FILES)
    await seeded.start()
    await looked(seeded, yes=True)
    await seeded.ingest(directory(policies=POLICIES, standing=STANDING[1:]))
    await seeded.settle()
    assert seeded.attached(ANA) == set(), "adopted, so not left standing"
    assert seeded.attached(CI) == {SEEDS, READ}
    await seeded.ingest(directory(policies={"fix": POLICIES["fix"]}))
    await seeded.settle()
    assert seeded.attached(CI) == set()
    assert await seeded.of(Left) == []
    assert len(await seeded.of(Removed)) == 2
    assert [gone.policy_arn for gone in await seeded.of(PolicyDeleted)] == [SEEDS]
    assert seeded.policies() == set()
    await seeded.verified()


async def test_adopting_before_any_worker_ran_leaves_nothing_to_look_for(seeded: Stage) -> None:
    await seeded.ingest(FILES)
    await looked(seeded, yes=True)
    await seeded.start()
    assert await seeded.of(Sighted) == []
    assert seeded.calls(["attach"]) == []
    await seeded.ingest(directory(policies=POLICIES))
    await seeded.settle()
    assert (seeded.attached(ANA), seeded.attached(CI)) == (set(), set())


async def test_a_word_of_old_does_not_make_ours_what_somebody_attaches_later(
    seeded: Stage,
) -> None:
    """Law 9: adopted, ended, and attached by hand since: the next grant finds it standing."""
    await seeded.ingest(FILES)
    await seeded.start()
    await looked(seeded, yes=True)
    await seeded.ingest(directory(policies=POLICIES))
    await seeded.advance(minutes=3)  # what we did ourselves is believed for two
    seeded.aws.iam(PROD).attach(ANA, READ)
    await seeded.ingest(directory(policies=POLICIES, standing=[permanent("ana")]))
    await seeded.settle()
    await seeded.ingest(directory(policies=POLICIES))
    await seeded.settle()
    assert seeded.attached(ANA) == {READ}
    (left,) = await seeded.of(Left)
    assert [made.name for made in left.made] == [READ]


async def test_what_adopt_listed_as_unexplained_is_told_and_not_repaired_away(
    seeded: Stage,
) -> None:
    """Also of a policy whose name the scripts wrote in another case: what is declared stays."""
    iam = seeded.aws.iam(PROD)
    upper = iam.create_policy("Payments-SEE", "/", TEXT, {})
    assert upper is not None
    for who in (ANA, BOB):
        iam.attach(who, upper)
        iam.attach(who, SEEDS)
    repairing = directory(
        policies=POLICIES | {"see": policy()},
        standing=[permanent("ana", grants=["look", "see"])],
        settings={"drift": "repair"},
    )
    await seeded.ingest(repairing)
    found = await looked(seeded, yes=True)
    assert len([each for each in found.leftovers if each.name in (SEEDS, upper)]) == 3
    await seeded.start(resync_every=timedelta(minutes=10))
    await seeded.advance(minutes=50)
    assert seeded.attached(BOB) >= {SEEDS, upper}
    assert SEEDS in seeded.attached(CI), "whom no line names"
    assert seeded.calls(["detach"]) == []
    told = {event.object for event in await seeded.of(DriftFound)}
    hangs = ((BOB, SEEDS), (BOB, upper), (CI, SEEDS))
    assert told == {f"attachment {who} {arn}" for who, arn in hangs}
    await seeded.verified()


async def test_a_policy_of_another_ledger_is_never_taken_over(seeded: Stage) -> None:
    seeded.aws.iam(PROD).tag(SEEDS, {"iam-ledger:ledger": "another"})
    await seeded.ingest(FILES)
    found = await looked(seeded)
    assert found.policies == ()
    assert [(each.arn, each.ledger) for each in found.foreign] == [(SEEDS, "another")]
    assert {each.arn for each in found.attachments} == {READ}


async def test_adopting_twice_or_after_a_crash_between_tag_and_word_is_one_adoption(
    seeded: Stage,
) -> None:
    await seeded.ingest(FILES)
    async with seeded.ledger.reading() as connection:
        view = await read_account(connection, PROD)
    assert view.way_in is not None
    aws = FakeGate(seeded.aws).account(view.way_in)
    first = await looked(seeded)
    await seeded.clock.run(mark(aws, view, first.policies[0]))
    again = await looked(seeded, yes=True)
    assert again == first
    assert (await looked(seeded, yes=True)).attachments == ()
    assert len(await seeded.of(Adopted)) == 5


async def test_what_temporary_grants_of_ours_have_is_no_leftover(seeded: Stage) -> None:
    await seeded.ingest(directory(policies=POLICIES, windows=[temporary("ana", expires_at=at(4))]))
    await seeded.start()
    found = await looked(seeded)
    assert {each.principal.name for each in found.leftovers if each.kind == "inline"} == {"bob"}
