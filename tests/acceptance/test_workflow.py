"""The seed's own workflow by the installed command, in three accounts, from YAML to the end."""

import json
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from ledger.codec import instant_text
from tests.acceptance.company import (
    ANALYTICS,
    AWS,
    EXTERNAL_ID,
    LEFTOVER,
    PROD,
    SOURCE_IDENTITY,
    STAGING,
    ours,
)
from tests.acceptance.story import ANA, BEN_PROD, CHLOE, DEPLOY, DORA, Story
from tests.support.measured import Measured
from tests.support.processes import HUB_KEY, HUB_SECRET
from tests.support.watching import Watched

GONE_WITHIN = timedelta(seconds=5)
TAKEN_OVER = f"arn:aws:iam::{ANALYTICS}:policy/data-query"
"""What the scripts before us had made, where it stands."""
LOOKS_APART_MAX = timedelta(seconds=2)
"""Of the looks at AWS, whose aim is every few milliseconds: beyond it a test has not looked."""


# --- validate -----------------------------------------------------------------------------------


def test_a_mistake_is_refused_at_its_place_and_the_corrected_files_are_taken(story: Story) -> None:
    mistaken = story.ran["validate, mistaken"]
    assert mistaken.code == 1
    assert "permanent-access/payments.yaml:5:14: policy `lok` (in `grants`) is not" in mistaken.out
    assert story.ran["validate"].code == 0
    first = story.ran["first ingest"]
    assert (first.code, "ingested: 7 granted" in first.out) == (0, True)


# --- before the first worker --------------------------------------------------------------------


def test_the_rehearsal_wrote_nothing_and_told_the_calls_that_the_worker_then_made(
    story: Story,
) -> None:
    before = story.after["rehearsal"]
    assert (before.writes, before.attached[PROD, "user/ana"]) == (0, set())
    rehearsed = story.ran["rehearsal"].json["aws"]["accounts"]
    first = story.wire.writes[: story.after["conflict"].writes]
    for account in rehearsed:
        told = [step["call"] for step in account["steps"]]
        assert told == [call.action for call in first if call.account == account["account_id"]]
    assert sum(len(account["steps"]) for account in rehearsed) == len(first) > 10


def test_what_the_scripts_made_is_a_conflict_until_a_person_takes_it_over(story: Story) -> None:
    rehearsal = story.ran["rehearsal"]
    assert rehearsal.code == 1
    (conflict,) = [c for a in rehearsal.json["aws"]["accounts"] for c in a["conflicts"]]
    assert conflict["policy"] == "query"
    assert story.after["conflict"].attached[ANALYTICS, "group/analysts"] == {TAKEN_OVER}
    assert story.ran["adopt"].code == 0
    (account,) = story.ran["adopt"].json["accounts"]
    assert account["taken_over"] == 2, "the policy, and its attachment"
    (leftover,) = account["leftovers"]
    assert (leftover["principal"], leftover["name"]) == ("dora", LEFTOVER)
    assert set(story.after["repeat"].inline[DORA]) == {LEFTOVER}, "it was only listed"
    taken = [e for e in story.ran["history"].json["events"] if e["kind"] == "adopted"]
    assert all("by olga" in event["sentence"] for event in taken)


# --- apply --------------------------------------------------------------------------------------


def test_users_roles_and_groups_of_three_accounts_hold_what_was_declared_and_nothing_else(
    story: Story,
) -> None:
    look, artifacts = AWS + "ReadOnlyAccess", AWS + "AmazonS3ReadOnlyAccess"
    after = story.after["apply"]
    assert after.attached == {
        (PROD, "user/ana"): {look},
        (PROD, "user/ben"): {look},
        (PROD, "role/deploy"): {ours(PROD, "payments-deploy"), artifacts},
        (STAGING, "user/ana"): {look},
        (STAGING, "user/ben"): {look},
        (STAGING, "role/deploy"): {ours(STAGING, "payments-deploy"), artifacts},
        (ANALYTICS, "user/chloe"): set(),
        (ANALYTICS, "user/dora"): set(),
        (ANALYTICS, "group/analysts"): {TAKEN_OVER, AWS + "CloudWatchReadOnlyAccess"},
    }
    assert {one: set(names) for one, names in after.inline.items() if names} == {DORA: {LEFTOVER}}
    assert after.policies == {
        PROD: [ours(PROD, "payments-deploy"), ours(PROD, "payments-queue")],
        STAGING: [ours(STAGING, "payments-deploy"), ours(STAGING, "payments-queue")],
        ANALYTICS: [TAKEN_OVER, ours(ANALYTICS, "data-rows")],
    }


def test_a_policy_that_only_names_awss_own_is_attached_and_makes_no_policy_of_ours(
    story: Story,
) -> None:
    after = story.after["apply"]
    assert after.attached[PROD, "user/ana"] == {AWS + "ReadOnlyAccess"}
    assert not [arn for arn in after.policies[PROD] if "look" in arn]


def test_ingest_that_waits_tells_when_access_began_and_ends(story: Story) -> None:
    waited = story.ran["grant"].json["waited"]
    assert {item["outcome"] for item in waited} == {"applied"}
    ana = next(item for item in waited if item["principal"] == "ana")
    assert ana["ends_at"] == instant_text(story.ends[ANA])
    assert datetime.fromisoformat(ana["applied_at"]) <= story.after["grant"].at
    said = story.ran["extend"]
    assert said.code == 0
    ends = instant_text(story.ends[BEN_PROD])
    assert f"user/ben break-glass in prod {PROD}: access began at " in said.out
    assert f", ends at {ends}" in said.out


@pytest.mark.parametrize("one", [ANA, DEPLOY], ids=["user", "role"])
def test_temporary_access_is_a_copy_that_ends_by_itself_and_no_attachment(
    story: Story, one: Watched
) -> None:
    after = story.after["grant"]
    (document,) = after.inline[one].values()
    end = instant_text(story.ends[one])
    for statement in _statements(document):
        assert statement["Condition"] == {"DateLessThan": {"aws:CurrentTime": end}}
    assert len(_statements(document)) == 2, "PowerUserAccess has two"
    assert after.attached[one] == story.after["apply"].attached[one]


def _statements(document: Any) -> list[dict[str, Any]]:
    found = document["Statement"]
    return found if isinstance(found, list) else [found]


def test_what_is_too_large_for_one_inline_policy_is_split_and_every_part_has_the_end(
    story: Story,
) -> None:
    after = story.after["grant"]
    parts = after.attached[DORA] - {AWS + "ReadOnlyAccess"}
    assert len(parts) > 5, "SecurityAudit has 39,369 characters, and a part 6,144"
    assert parts < set(after.policies[ANALYTICS])
    assert all(arn.startswith(ours(ANALYTICS, "iam-ledger-")) for arn in parts)
    created = [
        json.loads(call.parameters["PolicyDocument"])
        for call in story.wire.writes
        if call.action == "CreatePolicy" and ours(ANALYTICS, call.parameters["PolicyName"]) in parts
    ]
    assert len(created) == len(parts)
    end = {"DateLessThan": {"aws:CurrentTime": instant_text(story.ends[ANA])}}
    statements = [each for document in created for each in _statements(document)]
    assert all(each["Condition"].items() >= end.items() for each in statements)
    gone = story.after["repeat"]
    assert gone.policies[ANALYTICS] == [TAKEN_OVER, ours(ANALYTICS, "data-rows")]


def test_what_only_the_worker_ends_is_attached_called_so_and_gone_after_its_end(
    story: Story,
) -> None:
    assert AWS + "ReadOnlyAccess" in story.after["grant"].attached[DORA]
    (listed,) = story.ran["status, while it lasts"].json["daemon"]
    assert (listed["principal"], listed["policy"]) == ("dora", "watch")
    assert listed["enforcement"] == "daemon"
    assert story.after["repeat"].attached[DORA] == set()
    detached = [
        call.at
        for call in story.wire.writes
        if call.action == "DetachUserPolicy"
        and call.account == ANALYTICS
        and call.parameters["PolicyArn"] == AWS + "ReadOnlyAccess"
    ]
    assert len(detached) == 1
    assert timedelta(0) <= detached[0] - story.ends[ANA] < GONE_WITHIN


# --- what changes -------------------------------------------------------------------------------


def test_an_extension_leaves_no_instant_without_access(story: Story) -> None:
    held = story.watch.held(BEN_PROD)
    gaps = [later.first - earlier.last for earlier, later in pairwise(held)]
    assert [len(run.names) for run in held] == [1, 0], "he was seen without, or with two copies"
    assert max(gaps) < LOOKS_APART_MAX
    (before,), (after,) = (
        story.after[part].inline[BEN_PROD].items() for part in ("grant", "extend")
    )
    assert before[0] == after[0], "the name in IAM stays"
    ends = [
        {statement["Condition"]["DateLessThan"]["aws:CurrentTime"] for statement in _statements(d)}
        for d in (before[1], after[1])
    ]
    moved = story.ends[BEN_PROD]
    assert ends == [{instant_text(moved - timedelta(seconds=2))}, {instant_text(moved)}]


def test_a_line_taken_out_ends_that_access_and_no_other(story: Story) -> None:
    before, after = story.after["grant"].attached, story.after["extend"].attached
    changed = {one: before[one] - after[one] for one in before if before[one] != after[one]}
    assert changed == {(STAGING, "user/ben"): {AWS + "ReadOnlyAccess"}}
    assert all(after[one] <= before[one] for one in after)


def test_a_policy_definition_taken_out_is_deleted_in_every_account_of_its_team(
    story: Story,
) -> None:
    after = story.after["extend"].policies
    assert after[PROD] == [ours(PROD, "payments-deploy")]
    assert after[STAGING] == [ours(STAGING, "payments-deploy")]
    assert {TAKEN_OVER, ours(ANALYTICS, "data-rows")} < set(after[ANALYTICS])


def test_the_same_directory_again_appends_nothing_and_writes_nothing(story: Story) -> None:
    assert story.ran["plan, repeated"].code == 0, "plan saw changes"
    assert story.ran["repeat"].code == 0
    assert "no changes" in story.ran["repeat"].out
    before, after = story.after["before repeating"], story.after["repeat"]
    assert (after.events, after.writes) == (before.events, before.writes)
    assert after.inline[ANA] == {}, "what had expired came back"


def test_no_object_is_written_twice_but_what_was_extended(story: Story) -> None:
    """The seed made a new policy version on every run, until the fifth failed."""
    given = [call.target for call in story.wire.writes if call.done and call.action[0] in "CPA"]
    twice = {target for target in given if given.count(target) > 1}
    assert {(target[0], target[2]) for target in twice} == {(PROD, "ben"), (ANALYTICS, "chloe")}
    versions = [call for call in story.wire.calls if call.action == "CreatePolicyVersion"]
    assert [call.parameters["PolicyArn"] for call in versions] == [TAKEN_OVER]


# --- a person's word ----------------------------------------------------------------------------


def test_revoke_ends_access_at_once_and_holds_it_until_release(story: Story) -> None:
    assert story.ran["revoke"].code == 0
    held = story.ran["ingest under a hold"]
    assert (held.code, held.json["granted"]) == (0, 0)
    removed = [event for event in _events(story, CHLOE) if event["kind"] == "removed"]
    assert len(removed) == 1
    assert "revoked" in removed[0]["sentence"]
    assert story.ran["release"].code == 0
    again = story.ran["ingest after release"]
    assert (again.code, "ingested: 1 granted" in again.out) == (0, True)
    assert len(story.after["release"].inline[CHLOE]) == 1
    assert {event["turn"] for event in _events(story, CHLOE) if event["kind"] == "applied"} == {
        1,
        2,
    }


def _events(story: Story, one: Watched) -> list[dict[str, Any]]:
    kind, _, name = one[1].partition("/")
    return [
        event
        for event in story.ran["history"].json["events"]
        if (event["account_id"], event["principal_type"], event["principal"])
        == (one[0], kind, name)
    ]


# --- what cannot be done ------------------------------------------------------------------------


def test_what_does_not_fit_and_who_does_not_exist_are_told_and_stop_nobody(story: Story) -> None:
    status = story.ran["status"].json
    (refused,), (stuck,) = status["refused"], status["stuck"]
    assert (refused["principal"], refused["policy"]) == ("chloe", "survey")
    assert (refused["code"], "of 2,048" in refused["message"]) == ("no-room", True)
    assert (stuck["principal"], stuck["code"]) == ("nobody", "NoSuchEntity")
    assert status["exposed"] == status["overdue"] == []


def test_a_full_disk_loses_nothing_of_what_was_done_meanwhile(story: Story) -> None:
    assert story.probes["/livez on a full disk"] == 200
    kinds = [event["kind"] for event in story.ran["history"].json["events"]]
    assert (kinds.count("refused"), kinds.count("stuck")) == (1, 2), "nobody, and the conflict"


# --- clean up -----------------------------------------------------------------------------------


@pytest.mark.parametrize("one", [ANA, DEPLOY, BEN_PROD], ids=["user", "role", "extended"])
def test_temporary_access_stands_at_the_last_look_before_its_end_and_is_gone_in_five_seconds(
    story: Story, one: Watched, measured: Measured
) -> None:
    late = story.watch.lateness(one, story.ends[one])
    holding = story.watch.held(one)[0]
    apart = (holding.last - holding.first) / max(1, holding.looks - 1)
    measured(
        f"{one[1]}: still there at its end, gone {late.total_seconds():.3f} s after it "
        f"(target 1 s); {holding.looks:,} looks, {apart.total_seconds() * 1000:.0f} ms apart"
    )
    assert late < GONE_WITHIN


def test_each_turn_was_applied_once_and_removed_once(story: Story) -> None:
    events = story.ran["history"].json["events"]
    for kind in ("applied", "removed"):
        turns = [(e["grant_id"], e["turn"]) for e in events if e["kind"] == kind]
        assert len(turns) == len(set(turns)), f"a turn was {kind} twice"
    ended = {e["kind"] for e in _events(story, ANA) if e["policy"] == "break-glass"}
    assert {"granted", "applied", "removed"} <= ended


# --- asking -------------------------------------------------------------------------------------


def test_who_had_access_is_answered_for_now_for_then_and_in_between(story: Story) -> None:
    ran = story.ran
    meanwhile = {item["principal"] for item in ran["who, while it lasts"].json["access"]}
    assert meanwhile == {"ana", "ben", "deploy"}
    assert ran["who, now"].code == 0
    assert "nobody has access" in ran["who, now"].err
    assert ran["who, before"].code == 2
    assert "user/ana" in ran["who, before"].out
    assert ran["who, at its end"].code == 0
    (item,) = ran["who, between"].json["access"]
    assert item["ends_at"] == instant_text(story.ends[ANA])
    removed_at, ends_at = (datetime.fromisoformat(item[key]) for key in ("removed_at", "ends_at"))
    assert timedelta(0) <= removed_at - ends_at < GONE_WITHIN


def test_an_answer_says_why_with_line_commit_author_and_awss_own_confirmation(
    story: Story,
) -> None:
    because = story.ran["who, before"].out
    assert "temporary-access/payments.yaml:3, commit " in because
    assert "by Ben Okafor <ben@example.com>" in because
    assert "applied, AWS confirmed inline" in because
    assert "removed because its end had come" in because


def test_what_ends_soon_is_listed_by_its_end(story: Story) -> None:
    access = story.ran["expiring"].json["access"]
    assert sorted(item["principal"] for item in access) == ["ana", "ben", "deploy", "dora", "dora"]
    ends = [item["ends_at"] for item in access]
    assert ends == sorted(ends)


def test_the_ledger_holds_at_the_end(story: Story) -> None:
    verified = story.ran["verify"]
    assert verified.code == 0
    assert verified.json["ok"] is True
    assert verified.json["events"] == verified.json["head_position"]


# --- the worker ---------------------------------------------------------------------------------


def test_the_hubs_own_keys_reach_no_iam_and_every_account_is_entered_by_its_role(
    story: Story,
) -> None:
    iam = [call for call in story.wire.calls if call.service == "iam"]
    assert len(iam) > 50
    assert not [call for call in iam if call.key == HUB_KEY or call.account is None]
    by_hub = {call.action for call in story.wire.calls if call.key == HUB_KEY}
    assert by_hub == {"AssumeRole"}
    assumed = [call for call in story.wire.calls if call.action == "AssumeRole"]
    entered = [(call.parameters["RoleSessionName"], call.account) for call in assumed]
    identities = {(call.account, call.parameters.get("SourceIdentity")) for call in assumed}
    assert identities == {(PROD, SOURCE_IDENTITY), (STAGING, SOURCE_IDENTITY), (ANALYTICS, None)}
    everywhere = [PROD, STAGING, ANALYTICS]
    assert sorted(entered) == [
        ("iam-ledger-adopt", ANALYTICS),
        *(("iam-ledger-plan", account) for account in everywhere),
        *(("iam-ledger-worker", account) for account in everywhere),
    ]


def test_logs_are_json_and_hold_nothing_secret(story: Story) -> None:
    assert len(story.logs) > 20
    assert all("event" in line for line in story.logs)
    assert len(story.wire.secrets) == 7 * 3, "seven keys of three parts each were issued"
    for secret in {HUB_KEY, HUB_SECRET, EXTERNAL_ID, *story.wire.secrets}:
        assert secret not in story.log_text
        assert secret not in json.dumps([ran.out + ran.err for ran in story.ran.values()])


def test_a_worker_told_to_stop_ends_with_0(story: Story) -> None:
    assert story.exit_code == 0
    assert story.logs[-1]["event"] == "worker_stopped"
