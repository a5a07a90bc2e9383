"""What every `AwsAccount` promises: the fake, and the real one on moto's server and on ministack.

Assert the world: what stands is read by the scene's own eyes, not by the implementation. Where a
server is not as AWS documents itself is listed in `differences`, and has to be shown by a promise.
"""

import json
from dataclasses import replace

import pytest

from ledger.model import parse_principal
from tests.support.scenes import AWS_OWN, ENTRY, PROD, Scene
from worker.account import AccountState
from worker.errors import AccountClosed, AwsMissing, AwsRefused

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATH = "/iam-ledger/"
PRINCIPALS = ("user/ana", "role/ci", "group/devs")
TEMPORARY = ("user/ana", "role/ci")
"""Kinds that get inline policies of ours."""
NOBODY = "arn:aws:iam::111111111111:policy/iam-ledger/nobody"


def document(*actions: str, on: str = "*") -> str:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": on}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


ONE = document("s3:GetObject")
TWO = document("s3:GetObject", "s3:PutObject")


def others(state: AccountState) -> set[str]:
    """Whom it has but the role that leads in."""
    return set(state.principals) - {f"role/{ENTRY.deployer_role.casefold()}"}


async def make_policy(scene: Scene, name: str = "payments-look", text: str = ONE) -> str:
    answer = await scene.aws.create_policy(name=name, path=PATH, document=text, tags={"a": "b"})
    assert answer.outcome == "done"
    assert answer.arn is not None
    return answer.arn


# --- reading --------------------------------------------------------------------------------------


async def test_an_empty_account_holds_nothing(scene: Scene) -> None:
    state = await scene.aws.observe()
    assert scene.aws.account == PROD
    assert (others(state), state.policies) == (set(), {})


async def test_observing_shows_every_principal_with_its_path_and_a_policy_with_its_text(
    scene: Scene,
) -> None:
    people = [
        scene.add(text, path) for text, path in zip(PRINCIPALS, ("/p/", "/", "/q/r/"), strict=True)
    ]
    arn = await make_policy(scene)
    for principal in people:
        await scene.aws.attach(principal, arn)
        await scene.aws.attach(principal, AWS_OWN)
    await scene.aws.put_inline(people[0], "iam-ledger-1", ONE)

    state = await scene.aws.observe()

    assert others(state) == set(PRINCIPALS)
    for principal in people:
        seen = state.principals[principal.key]
        assert (seen.principal.kind, seen.principal.name) == (principal.kind, principal.name)
        assert seen.principal.path == principal.path
        assert seen.attached == {arn, AWS_OWN}
        assert seen.unique_id
        assert seen.created_at is not None
        assert seen.created_at.tzinfo is not None
    assert len({seen.unique_id for seen in state.principals.values()}) == len(state.principals)
    inline = state.principals["user/ana"].inline
    assert {name: json.loads(text) for name, text in inline.items()} == {
        "iam-ledger-1": json.loads(ONE)
    }
    assert set(state.policies) == {"payments-look"}
    policy = state.policies["payments-look"]
    assert (policy.name, policy.path, policy.arn) == ("payments-look", PATH, arn)
    assert json.loads(policy.document) == json.loads(ONE)
    assert policy.versions == (policy.default_version,)


@pytest.mark.parametrize("text", PRINCIPALS)
async def test_observing_and_reading_one_principal_say_the_same(scene: Scene, text: str) -> None:
    principal = scene.add(text, "/deep/path/")
    arn = await make_policy(scene)
    await scene.aws.attach(principal, arn)
    if text in TEMPORARY:
        await scene.aws.put_inline(principal, "iam-ledger-1", TWO)
    alone = await scene.aws.read_principal(principal)
    assert alone is not None
    assert alone.principal.path == "/deep/path/"
    whole = (await scene.aws.observe()).principals[principal.key]
    assert (alone.unique_id, alone.attached) == (whole.unique_id, whole.attached)
    assert alone.inline.keys() == whole.inline.keys()
    assert [json.loads(text) for text in alone.inline.values()] == [
        json.loads(text) for text in whole.inline.values()
    ]


@pytest.mark.parametrize("text", PRINCIPALS)
async def test_a_principal_that_does_not_exist_is_none(scene: Scene, text: str) -> None:
    principal = scene.add(text)
    scene.drop(principal)
    assert await scene.aws.read_principal(principal) is None


@pytest.mark.parametrize("text", PRINCIPALS)
async def test_a_name_made_anew_has_another_unique_id(scene: Scene, text: str) -> None:
    principal = scene.add(text)
    first = await scene.aws.read_principal(principal)
    scene.drop(principal)
    scene.add(text)
    second = await scene.aws.read_principal(principal)
    assert first is not None
    assert second is not None
    assert first.unique_id != second.unique_id


async def documents_read(scene: Scene, resource: str) -> list[str]:
    """The resource of one document, by every way in which documents are read."""
    ana = scene.add("user/ana")
    odd = document("s3:GetObject").replace('"*"', json.dumps(resource, ensure_ascii=False))
    await scene.aws.put_inline(ana, "odd", odd)
    arn = await make_policy(scene, "odd", odd)
    state = await scene.aws.observe()
    alone = await scene.aws.read_principal(ana)
    policy = await scene.aws.read_policy(arn)
    assert alone is not None
    assert policy is not None
    texts = [
        state.principals["user/ana"].inline["odd"],
        alone.inline["odd"],
        state.policies["odd"].document,
        policy.document,
    ]
    return [json.loads(text)["Statement"][0]["Resource"] for text in texts]


async def test_documents_come_back_with_their_own_signs(scene: Scene) -> None:
    resource = "arn:aws:s3:::b/${aws:username}/a + b/é/*"
    assert await documents_read(scene, resource) == [resource] * 4


async def test_a_percent_sign_comes_back_as_itself(scene: Scene) -> None:
    assert await documents_read(scene, "arn:aws:s3:::b/100%25/*") == ["arn:aws:s3:::b/100%25/*"] * 4


# --- AWS's own policies ---------------------------------------------------------------------------


async def test_a_source_is_its_default_version_unless_another_is_named(scene: Scene) -> None:
    default = await scene.aws.read_source(AWS_OWN)
    assert default.arn == AWS_OWN
    assert "Statement" in json.loads(default.document)
    assert await scene.aws.read_source(AWS_OWN, default.version) == default


async def test_an_older_version_of_a_source_keeps_its_own_text(scene: Scene) -> None:
    default = await scene.aws.read_source(AWS_OWN)
    older = await scene.aws.read_source(AWS_OWN, "v1")
    assert (default.version, older.version) == ("v2", "v1")
    assert default.document != older.document


async def test_a_source_that_does_not_exist_is_missing(scene: Scene) -> None:
    with pytest.raises(AwsMissing):
        await scene.aws.read_source("arn:aws:iam::aws:policy/NoSuchPolicy")
    with pytest.raises(AwsMissing):
        await scene.aws.read_source(AWS_OWN, "v999")


# --- inline policies ------------------------------------------------------------------------------


@pytest.mark.parametrize("text", TEMPORARY)
async def test_putting_makes_then_replaces_in_one_step(scene: Scene, text: str) -> None:
    principal = scene.add(text)
    for wanted in (ONE, TWO, TWO):
        answer = await scene.aws.put_inline(principal, "iam-ledger-1", wanted)
        assert answer.outcome == "done"
        assert answer.request_id
        assert answer.confirmed_at.tzinfo is not None
        assert scene.inline(principal) == {"iam-ledger-1": json.loads(wanted)}


@pytest.mark.parametrize("text", TEMPORARY)
async def test_deleting_is_done_once_and_absent_ever_after(scene: Scene, text: str) -> None:
    principal = scene.add(text)
    await scene.aws.put_inline(principal, "iam-ledger-1", ONE)
    await scene.aws.put_inline(principal, "theirs", TWO)
    outcomes = [
        (await scene.aws.delete_inline(principal, "iam-ledger-1")).outcome for _ in range(3)
    ]
    assert outcomes == ["done", "absent", "absent"]
    assert scene.inline(principal) == {"theirs": json.loads(TWO)}


@pytest.mark.parametrize("text", TEMPORARY)
async def test_nobody_can_be_given_nothing_and_lose_nothing(scene: Scene, text: str) -> None:
    principal = scene.add(text)
    scene.drop(principal)
    with pytest.raises(AwsMissing):
        await scene.aws.put_inline(principal, "iam-ledger-1", ONE)
    assert (await scene.aws.delete_inline(principal, "iam-ledger-1")).outcome == "absent"


@pytest.mark.parametrize("text", TEMPORARY)
async def test_a_document_that_is_none_is_refused(scene: Scene, text: str) -> None:
    principal = scene.add(text)
    with pytest.raises(AwsRefused) as refused:
        await scene.aws.put_inline(principal, "iam-ledger-1", "{")
    assert refused.value.code == "MalformedPolicyDocument"
    assert scene.inline(principal) == {}


@pytest.mark.parametrize(("text", "limit"), [("user/ana", 2_048), ("role/ci", 10_240)])
async def test_all_inline_policies_together_have_room_for_so_much(
    scene: Scene, text: str, limit: int
) -> None:
    principal = scene.add(text)
    await scene.aws.put_inline(principal, "first", sized(limit // 2))
    await scene.aws.put_inline(principal, "second", sized(limit - limit // 2))
    with pytest.raises(AwsRefused) as refused:
        await scene.aws.put_inline(principal, "third", ONE)
    assert refused.value.code == "LimitExceeded"
    await scene.aws.put_inline(principal, "second", sized(limit - limit // 2))
    with pytest.raises(AwsRefused):
        await scene.aws.put_inline(principal, "second", sized(limit - limit // 2 + 1))


def sized(chars: int) -> str:
    """A document of exactly so many characters, and white space that does not count."""
    bucket = "arn:aws:s3:::"
    shortest = len(
        json.dumps(json.loads(document("s3:GetObject", on=bucket)), separators=(",", ":"))
    )
    return document("s3:GetObject", on=bucket + "x" * (chars - shortest))


# --- attachments ----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", PRINCIPALS)
@pytest.mark.parametrize("own", [True, False])
async def test_attaching_twice_is_once_and_detaching_twice_is_absent(
    scene: Scene, text: str, own: bool
) -> None:
    principal = scene.add(text)
    arn = await make_policy(scene) if own else AWS_OWN
    assert [(await scene.aws.attach(principal, arn)).outcome for _ in range(2)] == ["done"] * 2
    assert scene.attached(principal) == {arn}
    outcomes = [(await scene.aws.detach(principal, arn)).outcome for _ in range(2)]
    assert outcomes == ["done", "absent"]
    assert scene.attached(principal) == set()


@pytest.mark.parametrize("text", PRINCIPALS)
async def test_attaching_to_nobody_or_of_nothing_is_missing(scene: Scene, text: str) -> None:
    principal = scene.add(text)
    with pytest.raises(AwsMissing):
        await scene.aws.attach(principal, NOBODY)
    assert (await scene.aws.detach(principal, NOBODY)).outcome == "absent"
    scene.drop(principal)
    with pytest.raises(AwsMissing):
        await scene.aws.attach(principal, AWS_OWN)
    assert (await scene.aws.detach(principal, AWS_OWN)).outcome == "absent"


async def test_the_eleventh_attachment_is_refused(scene: Scene) -> None:
    ana = scene.add("user/ana")
    arns = [await make_policy(scene, f"p{number}") for number in range(11)]
    for arn in arns[:10]:
        await scene.aws.attach(ana, arn)
    with pytest.raises(AwsRefused) as refused:
        await scene.aws.attach(ana, arns[10])
    assert refused.value.code == "LimitExceeded"
    assert (await scene.aws.attach(ana, arns[0])).outcome == "done"


# --- customer-managed policies --------------------------------------------------------------------


async def test_a_policy_is_made_under_its_path_with_its_tags(scene: Scene) -> None:
    tags = {"iam-ledger:team": "payments", "iam-ledger:policy": "dev.look"}
    answer = await scene.aws.create_policy(name="look", path=PATH, document=ONE, tags=tags)
    assert answer.outcome == "done"
    assert answer.arn == f"arn:aws:iam::{PROD}:policy/iam-ledger/look"
    assert answer.request_id
    assert scene.policies() == {answer.arn: json.loads(ONE)}
    assert await scene.aws.read_policy_tags(answer.arn) == tags


async def test_tags_are_added_to_those_that_a_policy_has(scene: Scene) -> None:
    arn = await make_policy(scene)
    answer = await scene.aws.tag_policy(arn, {"iam-ledger:team": "payments", "c": "d"})
    assert (answer.outcome, bool(answer.request_id)) == ("done", True)
    await scene.aws.tag_policy(arn, {"c": "e"})
    tags = {"a": "b", "c": "e", "iam-ledger:team": "payments"}
    assert await scene.aws.read_policy_tags(arn) == tags
    with pytest.raises(AwsMissing):
        await scene.aws.tag_policy(NOBODY, {"c": "d"})


async def test_a_policy_that_stands_is_left_as_it_is(scene: Scene) -> None:
    arn = await make_policy(scene)
    answer = await scene.aws.create_policy(
        name="payments-look", path=PATH, document=TWO, tags={"c": "d"}
    )
    assert (answer.outcome, answer.arn) == ("stood", None)
    assert scene.policies() == {arn: json.loads(ONE)}
    assert await scene.aws.read_policy_tags(arn) == {"a": "b"}


@pytest.mark.parametrize(("name", "path"), [("payments-look", "/other/"), ("Payments-LOOK", PATH)])
async def test_a_policys_name_is_one_whatever_path_and_case(
    scene: Scene, name: str, path: str
) -> None:
    await make_policy(scene)
    answer = await scene.aws.create_policy(name=name, path=path, document=TWO, tags={})
    assert (answer.outcome, answer.arn) == ("stood", None)


async def test_what_is_no_policy_reads_as_none_and_has_no_tags(scene: Scene) -> None:
    assert await scene.aws.read_policy(NOBODY) is None
    with pytest.raises(AwsMissing):
        await scene.aws.read_policy_tags(NOBODY)


async def test_a_new_version_is_the_default_and_five_are_the_most(scene: Scene) -> None:
    arn = await make_policy(scene)
    texts = [document(f"s3:Get{number}") for number in range(4)]
    for text in texts:
        answer = await scene.aws.create_policy_version(arn, text)
        assert answer.outcome == "done"
        assert scene.policies() == {arn: json.loads(text)}
    full = await scene.aws.read_policy(arn)
    assert full is not None
    assert len(full.versions) == 5
    assert full.default_version == full.versions[-1]

    with pytest.raises(AwsRefused) as refused:
        await scene.aws.create_policy_version(arn, TWO)
    assert refused.value.code == "LimitExceeded"
    assert scene.policies() == {arn: json.loads(texts[-1])}

    assert (await scene.aws.delete_policy_version(arn, full.versions[0])).outcome == "done"
    assert (await scene.aws.delete_policy_version(arn, full.versions[0])).outcome == "absent"
    await scene.aws.create_policy_version(arn, TWO)
    pruned = await scene.aws.read_policy(arn)
    assert pruned is not None
    assert pruned.versions[:-1] == full.versions[1:]
    assert pruned.default_version == pruned.versions[-1]
    assert scene.policies() == {arn: json.loads(TWO)}


async def test_a_version_of_no_policy_is_missing(scene: Scene) -> None:
    with pytest.raises(AwsMissing):
        await scene.aws.create_policy_version(NOBODY, ONE)
    assert (await scene.aws.delete_policy_version(NOBODY, "v1")).outcome == "absent"


async def test_the_default_version_cannot_be_deleted(scene: Scene) -> None:
    arn = await make_policy(scene)
    with pytest.raises(AwsRefused) as refused:
        await scene.aws.delete_policy_version(arn, "v1")
    assert refused.value.code == "DeleteConflict"


async def test_a_policy_with_other_versions_stands(scene: Scene) -> None:
    arn = await make_policy(scene)
    await scene.aws.create_policy_version(arn, TWO)
    with pytest.raises(AwsRefused) as refused:
        await scene.aws.delete_policy(arn)
    assert refused.value.code == "DeleteConflict"


async def test_a_policy_without_other_versions_goes(scene: Scene) -> None:
    arn = await make_policy(scene)
    await scene.aws.create_policy_version(arn, TWO)
    await scene.aws.delete_policy_version(arn, "v1")
    assert [(await scene.aws.delete_policy(arn)).outcome for _ in range(2)] == ["done", "absent"]
    assert scene.policies() == {}
    assert await scene.aws.read_policy(arn) is None


async def test_a_policy_that_is_attached_stands(scene: Scene) -> None:
    ana = scene.add("user/ana")
    arn = await make_policy(scene)
    await scene.aws.attach(ana, arn)
    with pytest.raises(AwsRefused) as refused:
        await scene.aws.delete_policy(arn)
    assert refused.value.code == "DeleteConflict"
    await scene.aws.detach(ana, arn)
    assert (await scene.aws.delete_policy(arn)).outcome == "done"


async def test_a_managed_policy_has_room_for_6144_characters(scene: Scene) -> None:
    arn = await make_policy(scene, "full", sized(6_144))
    with pytest.raises(AwsRefused) as made:
        await scene.aws.create_policy(name="over", path=PATH, document=sized(6_145), tags={})
    with pytest.raises(AwsRefused) as changed:
        await scene.aws.create_policy_version(arn, sized(6_145))
    assert made.value.code == changed.value.code == "LimitExceeded"


# --- the way in, and what the account tells of itself ---------------------------------------------


async def test_a_role_that_does_not_exist_lets_nobody_in(scene: Scene) -> None:
    way = scene.way(replace(ENTRY, deployer_role="Nobody"))
    with pytest.raises(AccountClosed):
        await way.observe()


async def test_an_account_tells_its_quotas_and_how_many_policies_it_has(scene: Scene) -> None:
    before = (await scene.aws.read_limits()).policies
    await make_policy(scene)
    limits = await scene.aws.read_limits()
    assert before is not None
    assert limits.policies == before + 1
    assert limits.policies_max >= 1_500
    for text in PRINCIPALS:
        assert limits.attached_max(parse_principal(text)) >= 10


@pytest.mark.parametrize("text", PRINCIPALS)
async def test_whom_a_policy_is_attached_to_is_told(scene: Scene, text: str) -> None:
    principal = scene.add(text)
    arn = await make_policy(scene)
    assert await scene.aws.read_holders(arn) == ()
    await scene.aws.attach(principal, arn)
    assert [str(holder) for holder in await scene.aws.read_holders(arn)] == [text]


async def test_what_is_no_policy_is_attached_to_nobody_and_is_missing(scene: Scene) -> None:
    with pytest.raises(AwsMissing):
        await scene.aws.read_holders(NOBODY)


async def test_a_policy_has_fifty_tags_at_most(scene: Scene) -> None:
    tags = {f"k{number}": "v" for number in range(51)}
    with pytest.raises(AwsRefused) as refused:
        await scene.aws.create_policy(name="look", path=PATH, document=ONE, tags=tags)
    assert refused.value.code in {"LimitExceeded", "ValidationError"}
    assert scene.policies() == {}


@pytest.mark.parametrize(("name", "path"), [("a b", PATH), ("x" * 129, PATH), ("look", "/a b/")])
async def test_a_policys_name_and_path_are_of_certain_signs_and_so_long(
    scene: Scene, name: str, path: str
) -> None:
    with pytest.raises(AwsRefused):
        await scene.aws.create_policy(name=name, path=path, document=ONE, tags={})
    assert scene.policies() == {}


@pytest.mark.parametrize(
    "statement",
    [
        '"Action":"GetObject","Resource":"*"',
        '"Action":"s3:GetObject"',
        '"Action":"s3:GetObject","Resource":"*","Principal":"*"',
        '"Action":"s3:GetObject","Resource":"*","Sid":"not so"',
        '"Action":"s3:GetObject","Resource":"*","Condition":'
        '{"DateLessThan":{"aws:CurrentTime":"tomorrow"}}',
    ],
    ids=["no vendor", "no resource", "a principal", "a sid of other signs", "no date"],
)
async def test_a_statement_that_aws_would_not_take_is_not_taken(
    scene: Scene, statement: str
) -> None:
    text = f'{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow",{statement}}}]}}'
    with pytest.raises(AwsRefused) as refused:
        await scene.aws.put_inline(scene.add("user/ana"), "iam-ledger-1", text)
    assert refused.value.code == "MalformedPolicyDocument"
