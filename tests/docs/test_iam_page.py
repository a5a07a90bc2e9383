"""The page about what is written into accounts: its directory, carried out, makes its documents."""

import json
import re
from typing import Any

from cli.rehearsals import text_of
from cli.rehearsing import Rehearsed
from ledger.model import PRINCIPAL_KINDS
from tests.docs.pages import page
from tests.docs.test_commands import files_of
from tests.support.builders import Files
from tests.support.rehearsing import rehearse
from tests.support.stage import ANA, PROD, Stage
from worker.account import POLICIES_MAX
from worker.aws.gate import session_name
from worker.deciding.desired import TAG_LEDGER, TAG_POLICY, TAG_TEAM
from worker.iam.documents import MANAGED_CHARS_MAX, VERSIONS_MAX

PAGE = "docs/iam.md"
SQS = "AmazonSQSReadOnlyAccess"


def directory() -> Files:
    """The page's YAML, as a configuration directory."""
    return {path.removeprefix("access/"): text for path, text in files_of(page(PAGE)).items()}


def shown() -> list[Any]:
    """The page's documents, in order."""
    return [json.loads(block.text) for block in page(PAGE).blocks if block.language == "json"]


def publish(stage: Stage) -> None:
    """AWS's own policy of the example, by moto's text."""
    from moto.iam.aws_managed_policies import aws_managed_policies_data

    found = json.loads(aws_managed_policies_data)[SQS]
    stage.aws.publish(SQS, json.dumps(found["Document"]))


async def test_the_pages_directory_makes_the_pages_documents_and_steps(stage: Stage) -> None:
    publish(stage)
    found = await rehearse(stage, directory())
    told = text_of(Rehearsed((found[PROD],), 0), width=80, color=False).rpartition("\n\n")[0]
    blocks = [block.text for block in page(PAGE).blocks if block.language == "text"]
    assert f"{told}\n" in blocks, told
    await stage.ingest(directory())
    process = stage.process()
    assert await stage.clock.run(process.once())
    iam = stage.aws.iam(PROD)
    policies = [json.loads(each.versions[each.default]) for each in iam.policies.values()]
    inline = [
        json.loads(text)
        for who in ("user/ana", "user/bob", "role/ci")
        for text in iam.entities[who].inline.values()
    ]
    made = [*policies, *inline]
    assert len(made) == 5
    for document in shown():
        assert document in made, json.dumps(made, indent=2)


async def test_the_tags_names_and_paths_of_the_page_are_those_that_stand(stage: Stage) -> None:
    publish(stage)
    await stage.ingest(directory())
    await stage.clock.run(stage.process().once())
    iam, prose = stage.aws.iam(PROD), page(PAGE).prose
    (policy,) = [each for each in iam.policies.values() if each.name == "shop-release"]
    assert set(policy.tags) == {TAG_LEDGER, TAG_TEAM, TAG_POLICY}
    for word in (*policy.tags, "`{team}-{policy}`", "`/iam-ledger/`", "`iam-ledger-{grant id}`"):
        assert word.replace("`", "") in prose.replace("`", ""), word
    assert all(name.startswith("iam-ledger-") for name in stage.inline(ANA))
    assert f"`{session_name('')}{{worker}}`" in prose


def test_the_quotas_of_the_page_are_those_that_are_kept() -> None:
    prose = page(PAGE).prose
    inline = ", ".join(f"{f.kind.value} {f.inline_chars_max:,}" for f in PRINCIPAL_KINDS.values())
    attached = {facts.attached_max for facts in PRINCIPAL_KINDS.values()}
    expected = {
        "inline policies of one principal, characters in all": inline,
        "characters of a customer-managed policy": f"{MANAGED_CHARS_MAX:,}",
        "versions of one": f"{VERSIONS_MAX}",
        "customer-managed policies of an account": f"{POLICIES_MAX:,}",
        "managed policies attached to a principal": "/".join(map(str, sorted(attached))),
    }
    rows = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|", prose, re.MULTILINE))
    assert {name: rows.get(name) for name in expected} == expected
