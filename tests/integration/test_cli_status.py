"""`status`: what is exposed first, and the line that ends it by hand."""

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import URL

from cli.answers import ITEM_KEYS
from ledger import guards
from ledger.events import (
    Applied,
    DriftFound,
    Held,
    Left,
    Made,
    PolicyDefined,
    Released,
    Removed,
    Revoked,
    Settled,
    Sighted,
    Stuck,
    Word,
    ref,
)
from ledger.model import GrantId, Policy, Team
from ledger.store import Ledger
from ledger.store.leases import Replica, beat
from ledger.store.standing import AccountStatus, write_accounts
from tests.support.commands import Shell, StillClock
from tests.support.histories import ATTACHED, NOON, PROD, TEAM, Story, after, grant

ANA = grant("aaaa2222bbbb3333", ends=after(1))
BOB = grant("bbbb2222cccc3333", "user/bob", ends=after(9))
CI = grant("cccc2222dddd3333", "role/ci", policy="look")
DAN = grant("dddd2222eeee3333", "user/dan", ends=after(9))
WORD = Word("olga", "left the company", "olga", "bastion", None)
LOOK = Policy(TEAM, "look", "payments-look", '{"Statement": []}', ("arn:aws:iam::aws:policy/R",))


def kept(url: URL, status: AccountStatus) -> None:
    async def write() -> None:
        async with Ledger(url) as ledger, ledger.writing() as connection:
            await write_accounts(connection, [status])

    asyncio.run(write())


def shell_of(story: Story, folder: Path, hours: float = 2) -> Shell:
    return Shell(story.write(folder), StillClock(after(hours)))


def test_a_quiet_ledger_says_0_exposed_first(tmp_path: Path) -> None:
    shell = shell_of(Story().mapped().granted(BOB).applied(BOB, after(0.1)), tmp_path)
    ran = shell.run("status")
    assert (ran.code, ran.out.splitlines()[0]) == (0, "0 exposed")
    assert "2 accounts; no worker has ever kept one: run `iam-ledger worker`" in ran.out
    assert "at 2026-03-02T14:00:00Z, ledger position 5, recorded 2026-03-02T12:06:00Z" in ran.out
    document = shell.run("status", "-o", "json").json
    for part in ("exposed", "overdue", "stuck", "refused", "missing", "daemon", "left", "held"):
        assert document[part] == [], part
    assert document["head_position"] == 5
    assert [account["account_id"] for account in document["accounts"]] == [PROD, "222222222222"]


def test_what_is_exposed_stands_first_with_its_cause_and_the_line_that_ends_it(
    tmp_path: Path,
) -> None:
    story = Story().mapped().granted(BOB).applied(BOB, after(0.1)).revoked(BOB, after(1))
    shell = shell_of(story, tmp_path)
    assert shell.url is not None
    status = AccountStatus(
        PROD, (), "worker-1", after(1.9), after(1.8), "AccessDenied: no", after(2.1)
    )
    kept(shell.url, status)
    lines = shell.run("status").out.splitlines()
    assert lines[0].startswith("1 exposed: past the end or revoked, not confirmed removed")
    assert lines[2:8] == [
        f"user/bob fix in prod {PROD} (grant {BOB.id})",
        "  since 2026-03-02T13:00:00Z: revoked, its line was taken out",
        "  last error: AccessDenied: no",
        "  next try: 2026-03-02T14:06:00Z",
        "  by hand:",
        "    aws iam delete-user-policy --user-name bob --policy-name iam-ledger-bbbb2222cccc3333",
    ]
    (item,) = shell.run("status", "-o", "json").json["exposed"]
    assert list(item)[: len(ITEM_KEYS)] == list(ITEM_KEYS)
    assert (item["state"], item["since"], item["next_try"]) == (
        "ending",
        "2026-03-02T13:00:00Z",
        "2026-03-02T14:06:00Z",
    )
    assert item["by_hand"] == [lines[7].strip()]


def test_past_its_end_and_denied_by_aws_is_overdue_and_not_exposed(tmp_path: Path) -> None:
    shell = shell_of(Story().mapped().granted(ANA).applied(ANA, after(0.1)), tmp_path)
    document = shell.run("status", "-o", "json").json
    assert (document["exposed"], len(document["overdue"])) == ([], 1)
    out = shell.run("status").out
    assert out.startswith("0 exposed\n")
    assert "1 overdue: exposing nobody, and not confirmed removed yet\n  user/ana fix" in out
    assert "since 2026-03-02T13:00:00Z, its end has come; denied by AWS already\n" in out
    before = Shell(shell.url, StillClock(after(0.99))).run("status", "-o", "json").json
    assert before["overdue"] == []


def test_permanent_access_that_nothing_confirmed_names_what_may_stand_all_the_same(
    tmp_path: Path,
) -> None:
    story = Story().mapped().add(PolicyDefined(LOOK), NOON).granted(CI).revoked(CI, after(1))
    (item,) = shell_of(story, tmp_path).run("status", "-o", "json").json["exposed"]
    assert item["by_hand"] == [
        f"aws iam detach-role-policy --role-name ci --policy-arn arn:aws:iam::{PROD}:policy"
        "/iam-ledger/payments-look",
        "aws iam detach-role-policy --role-name ci --policy-arn arn:aws:iam::aws:policy/R",
    ]


def test_a_retired_policy_s_access_is_looked_for_by_hand(tmp_path: Path) -> None:
    story = Story().mapped().granted(CI).revoked(CI, after(1))
    (item,) = shell_of(story, tmp_path).run("status", "-o", "json").json["exposed"]
    assert item["by_hand"] == ["aws iam list-attached-role-policies --role-name ci"]


@pytest.mark.parametrize("written", [1, 2])
def test_every_form_of_a_temporary_grant_has_the_lines_that_end_it(
    tmp_path: Path, written: int
) -> None:
    """All access first, then what is left of it; policies that were rewritten have versions."""
    part = f"arn:aws:iam::{PROD}:policy/iam-ledger/{BOB.object}-p1"
    own = "arn:aws:iam::aws:policy/R"
    made = (Made("policy", part, "0" * 64), Made("attachment", own, None))
    story = Story().mapped().granted(BOB)
    for number in range(written):
        applied = Applied(ref(BOB), made, "daemon", (), number + 1, (), after(0.1))
        story = story.add(applied, after(0.1), cause=number)
    shell = shell_of(story.revoked(BOB, after(1)), tmp_path)
    (item,) = shell.run("status", "-o", "json").json["exposed"]
    first, second, *older, last = item["by_hand"]
    who = "--user-name bob --policy-arn"
    assert first == f"aws iam detach-user-policy {who} {part}"
    assert second == f"aws iam detach-user-policy {who} {own}"
    assert last == f"aws iam delete-policy --policy-arn {part}"
    assert [("list-policy-versions" in line, "| xargs" in line) for line in older] == [
        (True, True)
    ] * (written - 1)


def test_a_temporary_grant_that_nothing_confirmed_is_looked_for_in_every_form(
    tmp_path: Path,
) -> None:
    seen = Sighted(ref(replace(BOB, policy="look")), "arn:aws:iam::aws:policy/R", False)
    story = Story().mapped().add(PolicyDefined(LOOK), NOON).granted(replace(BOB, policy="look"))
    story = story.add(seen, after(0.1)).revoked(replace(BOB, policy="look"), after(1))
    shell = shell_of(story, tmp_path)
    (item,) = shell.run("status", "-o", "json").json["exposed"]
    assert item["enforcement"] == "daemon"
    name = BOB.object
    assert item["by_hand"][1:] == [
        "aws iam detach-user-policy --user-name bob --policy-arn arn:aws:iam::aws:policy/R",
        f"aws iam delete-user-policy --user-name bob --policy-name {name}",
        "aws iam list-attached-user-policies --user-name bob --path-prefix /iam-ledger/ --query "
        f"\"AttachedPolicies[?starts_with(PolicyName, '{name}-p')].PolicyArn\"",
    ]
    out = shell.run("status").out
    assert "1 of class daemon: only the worker ends it\n  user/bob look in prod" in out
    assert "to 2026-03-02T21:00:00Z" in out


def test_what_was_refused_after_a_look_is_not_listed_as_standing(tmp_path: Path) -> None:
    seen = Sighted(ref(BOB), "arn:aws:iam::aws:policy/R", False)
    story = Story().mapped().granted(BOB).add(seen, after(0.1)).refused(BOB, after(0.2))
    document = shell_of(story, tmp_path).run("status", "-o", "json").json
    assert (len(document["refused"]), document["daemon"]) == (1, [])


READ = "arn:aws:iam::aws:policy/R"
HELD = grant("dddd2222eeee3333", "user/bob", policy="look", ends=after(1))
"""Of class daemon, and over by the time somebody asks."""


def held_story(*, present: bool) -> Story:
    """`HELD` was given by an attachment, which `present` says stood before us."""
    made = (Made("attachment", READ, None),)
    story = Story().mapped().add(PolicyDefined(LOOK), NOON).granted(HELD)
    story.add(Sighted(ref(HELD), READ, present), after(0.1))
    return story.add(Applied(ref(HELD), made, "daemon", (), 4, (), after(0.1)), after(0.1))


def test_no_line_takes_away_what_stood_before_us(tmp_path: Path) -> None:
    shell = shell_of(held_story(present=True), tmp_path)
    document = shell.run("status", "-o", "json").json
    assert document["exposed"] == []
    (item,) = document["overdue"]
    assert (item["by_hand"], item["beside"]) == ([], [f"{READ} stays: it stood before us"])
    out = shell.run("status").out
    assert "detach" not in out
    assert f"its end has come; {READ} stays: it stood before us\n" in out


@pytest.mark.parametrize("shared", [True, False])
def test_no_line_takes_away_what_another_grant_needs(tmp_path: Path, shared: bool) -> None:
    story = held_story(present=False)
    if shared:
        other = replace(CI, principal=HELD.principal, team=Team("ops"))
        ops = replace(LOOK, team=Team("ops"), iam_name="ops-look", document=None)
        story.add(PolicyDefined(ops), after(0.2)).granted(other)
    shell = shell_of(story, tmp_path)
    document = shell.run("status", "-o", "json").json
    (item,) = document["overdue"]
    line = f"aws iam detach-user-policy --user-name bob --policy-arn {READ}"
    assert (item["by_hand"], len(document["exposed"])) == (([], 0) if shared else ([line], 1))
    assert item["beside"] == ([f"{READ} stays: needed by grant {CI.id}"] if shared else [])


def test_no_line_takes_away_a_name_under_which_a_longer_grant_goes_on(tmp_path: Path) -> None:
    longer = replace(BOB, id=GrantId("ffff2222aaaa3333"), continues=(BOB.id, 1))
    story = Story().mapped().granted(BOB).applied(BOB, after(0.1)).revoked(BOB, after(1))
    story.granted(longer).applied(longer, after(1.1))
    document = shell_of(story, tmp_path).run("status", "-o", "json").json
    (item,) = document["overdue"]
    assert (document["exposed"], item["by_hand"]) == ([], [])
    assert item["beside"] == [f"grant {longer.id} goes on under its name"]


def test_what_is_missing_is_not_told_as_standing_or_as_denied_by_aws(tmp_path: Path) -> None:
    gone = DriftFound(PROD, "missing", "x", ref(HELD), TEAM, "look", after(0.5), "mallory")
    story = held_story(present=False).add(gone, after(0.5))
    shell = shell_of(story, tmp_path)
    document = shell.run("status", "-o", "json").json
    assert (document["exposed"], document["daemon"], len(document["missing"])) == ([], [], 1)
    out = shell.run("status").out
    assert "missing, so nothing of it stands: x was taken away by somebody else" in out
    assert "denied by AWS already" not in out


def test_an_account_that_is_stuck_is_the_last_error_of_its_grants(tmp_path: Path) -> None:
    story = Story().mapped().granted(BOB).revoked(BOB, after(1)).stuck(None, after(1.5))
    shell = shell_of(story, tmp_path)
    document = shell.run("status", "-o", "json").json
    assert document["exposed"][0]["last_error"] == "AccessDenied: not allowed to do it"
    (stuck,) = document["stuck"]
    assert (stuck["account_id"], stuck["principal"], stuck["code"]) == (PROD, None, "AccessDenied")
    assert set(ITEM_KEYS) < set(stuck)


def test_stuck_refused_missing_left_held_and_drift_have_their_parts(tmp_path: Path) -> None:
    seen = DriftFound(
        PROD, "missing", "inline user/bob x", ref(BOB), TEAM, "fix", after(1), "mallory"
    )
    story = (
        Story()
        .mapped()
        .granted(ANA)
        .granted(BOB)
        .granted(CI)
        .granted(DAN)
        .applied(BOB, after(0.1))
        .applied(CI, after(0.1))
        .refused(DAN, after(0.2))
        .add(Revoked(ref(CI), "removed"), after(0.3))
        .add(Left(ref(CI), (ATTACHED,), after(0.4)), after(0.4))
        .stuck(ANA, after(0.5))
        .add(Held("hold-1", DAN.principal, PROD, "fix", TEAM, WORD), after(0.6))
        .add(seen, after(1))
        .add(Stuck(PROD, "Conflict", "foreign policy", None, TEAM, "look"), after(1.1))
    )
    shell = shell_of(story, tmp_path, hours=0.9)
    document = shell.run("status", "-o", "json").json
    found = {name: len(document[name]) for name in ("stuck", "refused", "missing", "left")}
    assert found == {"stuck": 2, "refused": 1, "missing": 1, "left": 1}
    assert (len(document["held"]), len(document["drift"])) == (1, 1)
    assert document["overdue"] == []
    assert document["left"][0]["state"] == "left"
    assert document["refused"][0]["message"] == "2,100 of 2,048 characters"
    text = shell.run("status").out
    for words in (
        "2 stuck: a step that does not get done",
        "1 refused: nothing of it stands",
        "1 missing: taken away by somebody else",
        "1 left: over, and standing because it stood before us",
        "1 held: grants nothing until released",
        "by olga (olga on bastion): left the company (hold hold-1)",
        "1 drift",
        "by mallory",
    ):
        assert words in text, words


def test_what_is_settled_released_or_removed_is_no_longer_listed(tmp_path: Path) -> None:
    removed = Removed(ref(ANA), "revoked", "answered", 0, (), after(1.2))
    story = (
        Story()
        .mapped()
        .granted(ANA)
        .granted(BOB)
        .applied(ANA, after(0.1))
        .revoked(ANA, after(0.5))
        .revoked(BOB, after(0.5))
        .add(removed, after(1.2))
        .add(Settled(ref(BOB), WORD), after(1.3))
        .add(Held("hold-1", DAN.principal, None, None, None, WORD), after(1.4))
        .add(Released("hold-1", DAN.principal, None, None, None, WORD), after(1.5))
    )
    document = shell_of(story, tmp_path).run("status", "-o", "json").json
    assert (document["exposed"], document["overdue"], document["held"]) == ([], [], [])


def test_what_cannot_be_read_is_told_and_hides_nothing_else(tmp_path: Path) -> None:
    story = Story().mapped().granted(BOB).applied(BOB, after(0.1)).revoked(BOB, after(1))
    shell = shell_of(story, tmp_path)
    assert shell.url is not None
    drop = [f"DROP TRIGGER {name}" for name in guards.SQLITE]
    newer = "UPDATE events SET version = 2 WHERE kind = 'settings_changed'"
    with sqlite3.connect(str(shell.url.database)) as connection:
        for statement in (*drop, newer, *guards.SQLITE.values()):
            connection.execute(statement)
    connection.close()
    out = shell.run("status").out
    assert out.startswith("1 exposed")
    assert "1 cannot be read by this program: what it says is missing here\n  " in out
    (item,) = shell.run("status", "-o", "json").json["unreadable"]
    assert (item["position"], item["subject"]) == (3, "settings")
    assert "settings_changed" in item["message"]


@pytest.mark.parametrize("color", [{"NO_COLOR": "1"}, {}])
def test_a_screen_is_kept_but_for_the_line_that_is_copied(
    tmp_path: Path, color: dict[str, str]
) -> None:
    story = Story().mapped().granted(BOB).granted(DAN).revoked(BOB, after(1)).refused(DAN, after(1))
    shell = shell_of(story, tmp_path)
    shell.screen = True
    lines = shell.run("status", **color).out.splitlines()
    assert ("\x1b" in lines[0]) == (not color)
    long = [line for line in lines if len(line) > 80 and "\x1b" not in line]
    assert [line.split()[0] for line in long] == ["aws"] * len(long)


def test_workers_that_share_the_accounts_are_listed_with_their_part(tmp_path: Path) -> None:
    url = Story().mapped().write(tmp_path)
    shell = Shell(url, StillClock(after(2)))

    async def join() -> None:
        async with Ledger(url) as ledger, ledger.leasing() as connection:
            await beat(connection, Replica("one 1", "one"), now=after(2))
            await beat(connection, Replica("two 1", "two"), now=after(2))

    assert "worker:" not in shell.run("status").out
    asyncio.run(join())
    assert "2 workers: one keeps 64 shards, two keeps 0 shards" in shell.run("status").out
    assert shell.run("status", "-o", "json").json["replicas"] == [
        {"replica": "one", "shards": 64, "heartbeat_at": "2026-03-02T14:00:00Z"},
        {"replica": "two", "shards": 0, "heartbeat_at": "2026-03-02T14:00:00Z"},
    ]
