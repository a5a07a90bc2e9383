"""Who could do one action then: grants held against what their policies said at that time."""

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import pytest
from sqlalchemy import URL, text

from ledger.answer import At, Between, When
from ledger.events import Applied, Made, Pin, PolicyDefined, ref
from ledger.model import Grant, Policy
from ledger.permits import Asked
from ledger.store import Ledger
from ledger.store.permissions import Permitted, permitted
from ledger.store.questions import who_has_access
from ledger.store.reads import Filter
from ledger.store.sources import StoredSource, keep_sources, read_sources
from tests.support.histories import NOON, TEAM, Story, after, append_all, grant

PUT = Asked("s3:PutObject")
READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess"


def document(effect: str = "Allow", action: str = "s3:PutObject", **more: Any) -> str:
    statement = {"Effect": effect, "Action": action, "Resource": "*", **more}
    return json.dumps({"Statement": [statement], "Version": "2012-10-17"})


def defined(name: str, text_: str | None, *managed: str) -> PolicyDefined:
    return PolicyDefined(Policy(TEAM, name, f"payments-{name}", text_, managed))


def source(version: str, document_: str, seen_at: datetime) -> StoredSource:
    return StoredSource(READ_ONLY, version, document_, seen_at)


async def ask(
    url: URL, story: Story, when: When, asked: Asked = PUT, *sources: StoredSource
) -> dict[str, Permitted]:
    await append_all(url, story.drafts)
    async with Ledger(url) as ledger:
        async with ledger.writing() as connection:
            await keep_sources(connection, sources)
        async with ledger.reading() as connection:
            found = await who_has_access(connection, keep=Filter(), when=when)
            kept = await permitted(connection, found, when, asked)
    return {one.found.row.grant.id: one for one in kept}


def said(found: dict[str, Permitted]) -> dict[str, str]:
    return {name: one.permits for name, one in found.items()}


FIX = grant("fix", ends=after(8))
LOOK = grant("look", policy="look")


async def test_only_those_whose_policy_allows_it_are_listed(ledger_url: URL) -> None:
    story = Story().mapped()
    story.add(defined("fix", document()), NOON).add(
        defined("look", document(action="s3:Get*")), NOON
    )
    story.granted(FIX).granted(LOOK)
    assert said(await ask(ledger_url, story, At(after(1)))) == {"fix": "yes"}


async def test_what_hangs_on_a_condition_is_said_to(ledger_url: URL) -> None:
    condition = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
    story = Story().mapped().add(defined("fix", document(Condition=condition)), NOON).granted(FIX)
    assert said(await ask(ledger_url, story, At(after(1)))) == {"fix": "conditional"}


async def test_a_second_factor_is_a_condition_that_stands_in_no_text_of_people(
    ledger_url: URL,
) -> None:
    asking = replace(defined("fix", document()).policy, require_mfa=True)
    story = Story().mapped().add(PolicyDefined(asking), NOON).granted(FIX)
    assert said(await ask(ledger_url, story, At(after(1)))) == {"fix": "conditional"}


@pytest.mark.parametrize(("kind", "found"), [("inline", {}), ("attachment", {"fix": "yes"})])
async def test_a_copy_keeps_the_text_it_was_made_from_and_an_attachment_follows_aws(
    ledger_url: URL, kind: Literal["inline", "attachment"], found: dict[str, str]
) -> None:
    name = READ_ONLY if kind == "attachment" else str(FIX.object)
    made, pins = (Made(kind, name, None),), (Pin(READ_ONLY, "v1", "0" * 64),)
    applied = Applied(ref(FIX), made, "daemon", pins, 1, (), after(0.1))
    story = Story().mapped().add(defined("fix", None, READ_ONLY), NOON).granted(FIX)
    story.add(applied, after(0.1))
    sources = [source("v1", document(action="s3:Get*"), NOON), source("v2", document(), after(1))]
    assert said(await ask(ledger_url, story, At(after(2)), PUT, *sources)) == found


async def test_a_deny_in_one_grant_binds_the_principals_others_and_nobody_else(
    ledger_url: URL,
) -> None:
    others = grant("others", "user/ben", ends=after(8))
    story = Story().mapped()
    story.add(defined("fix", document()), NOON).add(defined("look", document("Deny")), NOON)
    story.granted(FIX).granted(LOOK).granted(others)
    assert said(await ask(ledger_url, story, At(after(1)))) == {"others": "yes"}


@pytest.mark.parametrize(("hours", "found"), [(1, {}), (3, {"fix": "yes"})])
async def test_the_policy_is_read_as_it_was_defined_then(
    ledger_url: URL, hours: int, found: dict[str, str]
) -> None:
    story = Story().mapped().add(defined("fix", document(action="s3:Get*")), NOON).granted(FIX)
    story.add(defined("fix", document()), after(2), cause=1)
    assert said(await ask(ledger_url, story, At(after(hours)))) == found


async def test_at_any_time_between_means_the_most_that_it_came_to(ledger_url: URL) -> None:
    story = Story().mapped().add(defined("fix", document()), NOON).granted(FIX)
    story.add(defined("fix", document(action="s3:Get*")), after(2), cause=1)
    assert said(await ask(ledger_url, story, Between(after(1), after(4)))) == {"fix": "yes"}
    assert said(await ask(ledger_url, Story(), Between(after(3), after(4)))) == {}


@pytest.mark.parametrize(
    ("hours", "permits"), [(1, "unknown"), (3, "conditional"), (5, "yes"), (7, None)]
)
async def test_awss_own_policies_are_read_as_the_worker_had_seen_them_by_then(
    ledger_url: URL, hours: int, permits: str | None
) -> None:
    story = Story().mapped().add(defined("look", None, READ_ONLY), NOON).granted(LOOK)
    condition = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
    seen = (
        source("v1", document(Condition=condition), after(2)),
        source("v2", document(), after(4)),
        source("v3", document(action="s3:Get*"), after(6)),
    )
    found = await ask(ledger_url, story, At(after(hours)), PUT, *seen)
    assert said(found) == ({} if permits is None else {"look": permits})
    if permits == "unknown":
        assert found["look"].unread == (READ_ONLY,)


async def test_a_copy_is_judged_by_the_version_it_was_made_from(ledger_url: URL) -> None:
    story = Story().mapped().add(defined("fix", None, READ_ONLY), NOON).granted(FIX)
    seen = (
        source("v1", document(), after(-9)),
        source("v2", document(action="s3:Get*"), after(-8)),
    )
    story.drafts.append((_applied_from(FIX, "v1"), after(0.1)))
    assert said(await ask(ledger_url, story, At(after(1)), PUT, *seen)) == {"fix": "yes"}


def _applied_from(what: Grant, version: str) -> Any:
    from dataclasses import replace

    story = Story().applied(what, NOON)
    draft, _ = story.drafts[0]
    event: Any = draft.event
    return replace(draft, event=replace(event, pins=(Pin(READ_ONLY, version, "0" * 64),)))


async def test_a_text_that_was_changed_in_the_table_is_not_believed(ledger_url: URL) -> None:
    story = Story().mapped().add(defined("look", None, READ_ONLY), NOON).granted(LOOK)
    await ask(ledger_url, story, At(after(1)), PUT, source("v1", document(), NOON))
    async with Ledger(ledger_url) as ledger, ledger.writing() as connection:
        forged = {"text": document(action="s3:Get*")}
        await connection.execute(text("UPDATE sources SET document = :text"), forged)
    assert said(await ask(ledger_url, Story(), At(after(1)))) == {"look": "unknown"}


async def test_a_version_is_stored_once_and_never_overwritten(ledger_url: URL) -> None:
    first, again = source("v1", document(), NOON), source("v1", document("Deny"), after(1))
    async with Ledger(ledger_url) as ledger:
        async with ledger.writing() as connection:
            assert await keep_sources(connection, [first]) == 1
        async with ledger.writing() as connection:
            assert await keep_sources(connection, [again, source("v2", document(), NOON)]) == 1
        async with ledger.reading() as connection:
            found = await read_sources(connection, [READ_ONLY, "arn:aws:iam::aws:policy/Other"])
    assert {each.version: each.document for each in found[READ_ONLY]} == {
        "v1": document(),
        "v2": document(),
    }


def test_the_command_says_what_is_not_in_the_answer(tmp_path: Path) -> None:
    from tests.support.commands import Shell, StillClock

    story = Story().mapped().add(defined("fix", document()), NOON).granted(FIX)
    url = story.write(tmp_path)
    shell = Shell(url, StillClock(after(1)))
    ran = shell.run("who-has-access", "--action", "s3:PutObject")
    assert "could do s3:PutObject on some resource" in ran.out
    assert "PERMITS" in ran.out
    assert "resource policies" in ran.err
    ran = shell.run("who-has-access", "--action", "s3:PutObject", "-o", "json")
    assert ran.json["action"] == "s3:PutObject"
    assert ran.json["resource"] is None
    assert "the root user" in ran.json["not_in_answer"]
    assert [(item["permits"], item["unread"]) for item in ran.json["access"]] == [("yes", [])]
    assert shell.run("who-has-access", "--action", "s3:Put*").code == 64
    assert shell.run("who-has-access", "--resource", "arn:aws:s3:::x").code == 64
