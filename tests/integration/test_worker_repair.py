"""`drift: repair`, ends that hands have loosened, and principals that are not who they were."""

import json
from datetime import timedelta

import pytest

from ledger.events import Applied, DriftFound, DriftRepaired, Left, Removed, Sighted, Stuck
from ledger.settling import retry, settle
from tests.support.builders import WORD, Files, at, permanent, temporary
from tests.support.builders import directory as whole
from tests.support.fake_aws.iam import Iam
from tests.support.stage import ANA, CI, PROD, Stage

ARN = f"arn:aws:iam::{PROD}:policy/iam-ledger/payments-look"
READ = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
RESYNC = timedelta(minutes=10)
OTHER = json.dumps(
    {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "a:b", "Resource": "*"}}
)
STANDING = [permanent("ana")]
WINDOWS = [temporary("ana", expires_at=at(40))]


def files(drift: str = "repair", **parts: object) -> Files:
    kept = {"standing": STANDING, "windows": WINDOWS} | parts
    return whole(accounts={"prod": PROD}, settings={"drift": drift}, **kept)  # type: ignore[arg-type]  # parts of a directory


async def begin(stage: Stage, drift: str = "repair", **parts: object) -> Iam:
    """Both kinds of access given to ana, by a worker that reads the account every ten minutes."""
    await stage.ingest(files(drift, **parts))
    await stage.start(resync_every=RESYNC)
    await stage.advance(minutes=5)
    return stage.aws.iam(PROD)


async def repaired(stage: Stage) -> set[tuple[str, str]]:
    return {(event.how, event.object.split()[0]) for event in await stage.of(DriftRepaired)}


# --- repair ---------------------------------------------------------------------------------------


async def test_what_was_taken_away_or_altered_by_hand_is_put_right(stage: Stage) -> None:
    iam = await begin(stage)
    ((name, text),) = stage.inline(ANA).items()
    iam.delete_inline(ANA, name)
    iam.detach(ANA, ARN)
    iam.create_version(ARN, OTHER)
    await stage.advance(minutes=8)
    assert stage.inline(ANA) == {name: text}
    assert stage.attached(ANA) == {ARN}
    state = iam.policy(ARN)
    assert state is not None
    assert "s3:GetObject" in state.document
    await stage.advance(minutes=5)
    assert await repaired(stage) == {
        ("written", "inline"),
        ("written", "attachment"),
        ("written", "policy"),
    }
    assert [row.trouble for row in await stage.rows()] == [None, None]
    calls = len(stage.aws.made())
    await stage.advance(minutes=40)
    assert len(stage.aws.made()) == calls, "what is right is left alone"
    await stage.verified()


async def test_who_comes_again_before_anybody_has_looked_is_met_again(stage: Stage) -> None:
    """The finding was answered: what is found after the answer is another one."""
    iam = await begin(stage, windows=[])

    def altered() -> bool:
        state = iam.policy(ARN)
        return state is not None and state.document == OTHER

    for times in (1, 2):
        iam.create_version(ARN, OTHER)
        while altered():
            await stage.advance(minutes=1)
            assert stage.clock.now() < at(times), "it is never put right"
    assert len(await stage.of(DriftFound)) == 2
    await stage.advance(minutes=5)
    assert await repaired(stage) == {("written", "policy")}
    await stage.verified()


async def test_a_word_about_a_grant_has_what_it_hangs_on_tried_too(stage: Stage) -> None:
    """Its policy is a conflict, and parked; then somebody makes room."""
    iam = stage.aws.iam(PROD)
    foreign = iam.create_policy("payments-look", "/", OTHER, {})
    assert foreign is not None
    await begin(stage, "warn", windows=[])
    iam.delete_policy(foreign)
    await retry(stage.ledger, (await stage.row()).grant.id, word=WORD, now=stage.clock.now())
    stage.processes[0].nudge()
    await stage.settle()
    assert stage.attached(ANA) == {ARN}


async def test_what_was_added_under_our_names_is_taken_away(stage: Stage) -> None:
    iam = await begin(stage)
    iam.attach(CI, ARN)
    iam.put_inline(CI, "iam-ledger-abcdefghijklmnop", OTHER)
    iam.put_inline(CI, "theirs", OTHER)
    await stage.advance(minutes=12)
    assert (stage.attached(CI), list(stage.inline(CI))) == (set(), ["theirs"])
    assert await repaired(stage) == {("written", "attachment"), ("written", "inline")}
    await stage.advance(minutes=30)
    assert len(await stage.of(DriftFound)) == 2
    await stage.verified()


async def test_beyond_the_brake_nothing_is_taken_away_until_a_person_has_looked(
    stage: Stage,
) -> None:
    iam = await begin(stage)
    people = [iam.add(f"user/u{number}") for number in range(21)]
    for principal in people:
        iam.attach(principal, ARN)
    await stage.advance(minutes=30)
    assert all(stage.attached(principal) == {ARN} for principal in people)
    (stuck,) = await stage.of(Stuck)
    assert (stuck.code, stuck.grant, stuck.policy) == ("drift-brake", None, None)
    assert "`max_revocations`" in stuck.message
    for principal in people[:18]:
        iam.detach(principal, ARN)
    await stage.advance(minutes=15)
    assert not any(stage.attached(principal) for principal in people)
    assert await stage.kinds(Stuck) == ["Stuck"]
    await stage.verified()


@pytest.mark.parametrize("drift", ["warn", "repair"])
async def test_a_part_of_a_copy_that_is_over_is_taken_away_whoever_has_it(
    stage: Stage, drift: str
) -> None:
    """One without our tags, or of a grant that this ledger never knew, is told and left."""
    wide = [f"rds:{'x' * 900}{number}" for number in range(9)]
    own = stage.aws.publish("Wide", OTHER.replace('"a:b"', json.dumps(wide)))
    soon = [temporary("ana", grant="wide", expires_at=at(1))]
    policies = {"wide": {"managed_policies": [own]}}
    iam = await begin(stage, drift, standing=[], windows=soon, policies=policies)
    first = min(stage.attached(ANA))
    name, tags = first.rpartition("/")[2], iam.tags(first)
    await stage.advance_to(at(1.1))
    assert stage.policies() == set()
    iam.create_policy(name, "/iam-ledger/", OTHER, tags)
    iam.create_policy("iam-ledger-aaaaaaaaaaaaaaaa-p1", "/iam-ledger/", OTHER, {})
    iam.create_policy(name.replace("-p1", "-p2"), "/iam-ledger/", OTHER, {})
    iam.attach(CI, first)
    await stage.advance(minutes=15)
    assert stage.attached(CI) == set()
    assert stage.policies() == {"iam-ledger-aaaaaaaaaaaaaaaa-p1", name.replace("-p1", "-p2")}
    assert [event.cause for event in await stage.of(Removed)] == ["expired", "drift"]
    found = {(event.drift, event.object.rpartition("/")[2]) for event in await stage.of(DriftFound)}
    assert found == {("extra", each) for each in stage.policies()}
    await stage.verified()


# --- loosened ends --------------------------------------------------------------------------------


@pytest.mark.parametrize("drift", ["warn", "repair"])
async def test_an_end_that_somebody_loosened_is_put_right_at_the_first_look(
    stage: Stage, drift: str
) -> None:
    iam = await begin(stage, drift)
    ((name, text),) = stage.inline(ANA).items()
    iam.put_inline(ANA, name, text.replace("2026-03-04", "2036-03-04"))
    assert stage.allows(ANA, at=at(41))
    await stage.advance(minutes=6)
    assert stage.inline(ANA) == {name: text}
    (found,) = await stage.of(DriftFound)
    assert (found.drift, found.loosened) == ("altered", True)
    await stage.advance(minutes=5)
    assert await repaired(stage) == {("written", "inline")}
    await stage.verified()


async def test_what_was_cut_by_hand_is_not_given_back_for_an_end_that_was_loosened(
    stage: Stage,
) -> None:
    """Somebody may have cut it in an incident: `warn` gives nothing back."""
    iam = await begin(stage, "warn")
    ((name, text),) = stage.inline(ANA).items()
    iam.delete_inline(ANA, name)
    await stage.advance(minutes=20)
    iam.put_inline(ANA, name, text.replace("2026-03-04", "2036-03-04"))
    await stage.advance(minutes=20)
    assert stage.inline(ANA) == {name: text}
    assert [event.drift for event in await stage.of(DriftFound)] == ["missing", "altered"]


# --- principals made anew -------------------------------------------------------------------------


async def test_a_role_made_anew_gets_its_live_grants_again_and_loudly(stage: Stage) -> None:
    role = {"description": "w", "roles": ["ci"], "environments": ["prod"], "grants": ["look"]}
    iam = await begin(stage, "warn", standing=[role], windows=[])
    before = (await stage.row()).principal_id
    iam.recreate(CI)
    await stage.advance(minutes=10)
    assert stage.attached(CI) == {ARN}
    (found,) = await stage.of(DriftFound)
    row = await stage.row()
    assert found.principal_id == row.principal_id != before
    assert len(await stage.of(Applied)) == 2
    await stage.verified()


async def test_what_stood_on_a_role_made_anew_before_us_is_not_ours(stage: Stage) -> None:
    stage.aws.publish("AmazonS3ReadOnlyAccess", OTHER)
    role = {"description": "w", "roles": ["ci"], "environments": ["prod"], "grants": ["look"]}
    policies = {"look": {"managed_policies": [READ]}}
    iam = await begin(stage, "warn", standing=[role], windows=[], policies=policies)
    iam.attach(iam.recreate(CI), READ)
    await stage.advance(minutes=10)
    assert [event.present for event in await stage.of(Sighted)] == [False, True]
    await stage.ingest(files("warn", standing=[], windows=[], policies=policies))
    await stage.settle()
    assert stage.attached(CI) == {READ}
    assert len(await stage.of(Left)) == 1


@pytest.mark.parametrize("drift", ["warn", "repair"])
async def test_a_user_made_anew_gets_nothing_until_somebody_says_who_it_is(
    stage: Stage, drift: str
) -> None:
    iam = await begin(stage, drift)
    iam.recreate(ANA)
    await stage.advance(minutes=45)
    assert (stage.inline(ANA), stage.attached(ANA)) == ({}, set())
    rows = await stage.rows()
    assert [row.trouble.code if row.trouble else None for row in rows] == ["remade", "remade"]
    assert stage.calls(["put_inline", "attach"])[2:] == []
    for row in rows:
        await retry(stage.ledger, row.grant.id, word=WORD, now=stage.clock.now())
    stage.processes[0].nudge()
    await stage.settle()
    assert (len(stage.inline(ANA)), stage.attached(ANA)) == (1, {ARN})
    await stage.advance(minutes=15)
    assert await repaired(stage) == {("written", "inline"), ("written", "attachment")}
    await stage.verified()


async def test_a_new_text_is_not_written_to_a_user_who_was_made_anew_since(stage: Stage) -> None:
    """Between two looks nothing but the id tells them apart."""
    iam = await begin(stage, "warn", standing=[])
    iam.recreate(ANA)
    wider = {"effect": "Allow", "actions": ["s3:Get*"], "resources": ["*"]}
    fix = {"fix": {"custom_statements": [wider]}}
    await stage.ingest(files("warn", standing=[], policies=fix))
    await stage.settle()
    assert stage.inline(ANA) == {}
    trouble = (await stage.row()).trouble
    assert trouble is not None
    assert trouble.code == "remade"


def denying(stage: Stage) -> str:
    """One of AWS's own policies, which `enforcement: daemon` attaches for a time."""
    return stage.aws.publish("AmazonS3ReadOnlyAccess", OTHER.replace('"Allow"', '"Deny"'))


@pytest.mark.parametrize("drift", ["warn", "repair"])
@pytest.mark.parametrize("noticed", [False, True])
async def test_what_somebody_attached_to_a_user_made_anew_outlives_the_line_of_the_old_one(
    stage: Stage, drift: str, *, noticed: bool
) -> None:
    policies = {"look": {"managed_policies": [denying(stage)]}}
    iam = await begin(stage, drift, windows=[], policies=policies)
    assert stage.attached(ANA) == {READ}
    iam.attach(iam.recreate(ANA), READ)
    await stage.advance(minutes=15 if noticed else 0)
    await stage.ingest(files(drift, standing=[], windows=[], policies=policies))
    await stage.settle()
    assert stage.attached(ANA) == {READ}
    (left,) = await stage.of(Left)
    assert [made.name for made in left.made] == [READ]
    assert await stage.of(Removed) == []
    await stage.verified()


async def test_where_nothing_hangs_on_a_user_made_anew_nothing_is_said_to_be_left(
    stage: Stage,
) -> None:
    policies = {"look": {"managed_policies": [denying(stage)]}}
    iam = await begin(stage, "warn", windows=[], policies=policies)
    iam.recreate(ANA)
    await stage.ingest(files("warn", standing=[], windows=[], policies=policies))
    await stage.settle()
    (removed,) = await stage.of(Removed)
    assert removed.outcome == "found_absent"
    assert stage.calls(["detach"]) == []


@pytest.mark.parametrize("drift", ["warn", "repair"])
async def test_what_somebody_attached_to_a_user_known_to_be_made_anew_outlives_the_window(
    stage: Stage, drift: str
) -> None:
    """The end of the old one's is refused at first: what was known of the new one is kept."""
    once = {"fix": {"managed_policies": [denying(stage)], "enforcement": "daemon"}}
    soon = [temporary("ana", expires_at=at(1))]
    iam = await begin(stage, drift, standing=[], windows=soon, policies=once)
    assert stage.attached(ANA) == {READ}
    iam.attach(iam.recreate(ANA), READ)
    await stage.advance(minutes=20)
    trouble = (await stage.row()).trouble
    assert trouble is not None
    assert trouble.code == "remade"
    stage.aws.fail("refused", "read_principal", account=PROD, code="AccessDenied")
    await stage.advance_to(at(1.4))
    assert len(await stage.of(Stuck)) == 1
    stage.aws.heal()
    await stage.advance_to(at(2))
    assert stage.attached(ANA) == {READ}
    (left,) = await stage.of(Left)
    assert [made.name for made in left.made] == [READ]
    await stage.verified()


async def test_what_was_given_to_a_role_made_anew_goes_though_no_evidence_says_so(
    stage: Stage,
) -> None:
    """A crash has hidden it: what was sighted since the old one was written is ours."""
    role = {"description": "w", "roles": ["ci"], "environments": ["prod"], "grants": ["look"]}
    policies = {"look": {"managed_policies": [denying(stage)]}}
    iam = await begin(stage, "warn", standing=[role], windows=[], policies=policies)
    row = await stage.row()
    iam.recreate(CI)
    stage.aws.fail("refused", "attach", account=PROD, code="AccessDenied")
    await stage.advance(minutes=9)
    assert [event.present for event in await stage.of(Sighted)] == [False, False]
    assert (await stage.row()).principal_id == row.principal_id
    stage.aws.heal()
    iam.attach(CI, READ)
    await stage.ingest(files("warn", standing=[], windows=[], policies=policies))
    await stage.settle()
    assert stage.attached(CI) == set()
    assert len(await stage.of(Removed)) == 1


# --- by a person's word ---------------------------------------------------------------------------


async def test_what_is_missing_is_given_again_by_a_persons_word(stage: Stage) -> None:
    iam = await begin(stage, "warn", standing=[])
    ((name, text),) = stage.inline(ANA).items()
    iam.delete_inline(ANA, name)
    await stage.advance(minutes=20)
    assert stage.inline(ANA) == {}
    row = await stage.row()
    await retry(stage.ledger, row.grant.id, word=WORD, now=stage.clock.now())
    stage.processes[0].nudge()
    await stage.settle()
    assert stage.inline(ANA) == {name: text}
    assert (await stage.row()).trouble is None
    await stage.advance(minutes=15)
    assert await repaired(stage) == {("written", "inline")}
    await stage.verified()


async def test_a_parked_step_is_tried_at_once_and_once_a_word(stage: Stage) -> None:
    iam = stage.aws.iam(PROD)
    iam.drop(ANA)
    await begin(stage, "warn", standing=[])
    tries = len(stage.aws.made("read_principal"))
    iam.add("user/ana")
    row = await stage.row()
    await retry(stage.ledger, row.grant.id, word=WORD, now=stage.clock.now())
    stage.processes[0].nudge()
    await stage.settle()
    assert len(stage.inline(ANA)) == 1
    assert len(stage.aws.made("read_principal")) == tries + 1


async def test_a_word_that_meets_the_same_refusal_is_used_up_and_told(stage: Stage) -> None:
    stage.aws.iam(PROD).drop(ANA)
    await begin(stage, "warn", standing=[])
    row = await stage.row()
    await retry(stage.ledger, row.grant.id, word=WORD, now=stage.clock.now())
    stage.processes[0].nudge()
    await stage.advance(minutes=30)
    trouble = (await stage.row()).trouble
    assert trouble is not None
    assert trouble.kind == "stuck"
    assert len(await stage.of(Stuck)) == 2


async def test_what_is_settled_is_tried_no_more_and_keeps_no_account(stage: Stage) -> None:
    await begin(stage, "warn", standing=[], windows=[temporary("ana", expires_at=at(1))])
    stage.aws.lock(PROD)
    await stage.advance_to(at(2))
    row = await stage.row()
    assert row.closed is None
    await settle(stage.ledger, row.grant.id, word=WORD, now=stage.clock.now())
    stage.processes[0].nudge()
    await stage.settle()
    tried = len(stage.aws.made("delete_inline"))
    await stage.advance(hours=1)
    assert len(stage.aws.made("delete_inline")) == tried
    assert (await stage.row()).closed_how == "settled"
    await stage.verified()
