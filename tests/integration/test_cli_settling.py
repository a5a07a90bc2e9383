"""`retry` and `settle` as people run them: told as a person's word, and never as AWS's."""

import os
import pwd
from pathlib import Path

import pytest

from tests.support.commands import Shell, StillClock
from tests.support.histories import ATTACHED, PROD, Story, after, grant

ANA = grant("aaaa2222bbbb3333", ends=after(4))
BOB = grant("bbbb2222cccc3333", "user/bob", policy="look")
CI = grant("cccc2222dddd3333", "role/ci", policy="look")
SAY = ("--by", "olga", "--reason", "the account was closed")


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    story = Story().mapped().granted(ANA).granted(CI).applied(CI, after(0.1))
    story.stuck(ANA, after(0.5)).revoked(CI, after(1)).stuck(CI, after(1.5))
    story.granted(BOB).applied(BOB, after(1)).revoked(BOB, after(1))
    return Shell(story.write(tmp_path), StillClock(after(2)))


def test_what_is_stuck_is_asked_for_again_once(shell: Shell) -> None:
    before = shell.run("status", "-o", "json").json
    ran = shell.run("retry", ANA.id[:6], *SAY)
    assert (ran.code, ran.err) == (0, "")
    named = f"user/ana fix in prod {PROD} (grant {ANA.id})"
    head = shell.run("status", "-o", "json").json["head_position"]
    assert ran.out == (
        f"{named}: the worker tries again, as soon as it hears of it; ledger position {head}\n"
    )
    assert shell.run("status", "-o", "json").json["stuck"] == [
        one for one in before["stuck"] if one["grant_id"] != ANA.id
    ]
    again = shell.run("retry", ANA.id, *SAY, "-o", "json").json
    assert (again["new"], again["position"], again["grant_id"]) == (False, head, ANA.id)


def test_what_is_settled_says_by_whom_and_never_that_it_was_removed(shell: Shell) -> None:
    assert shell.run("status").out.startswith("2 exposed")
    ran = shell.run("settle", CI.id, *SAY)
    assert (ran.code, ran.err) == (0, "")
    assert f"(grant {CI.id}): settled by olga, not confirmed by AWS; ledger" in ran.out
    listed = shell.run("status").out
    assert listed.startswith("1 exposed"), "what nobody has tried to remove"
    assert (
        "1 settled by a person's word, not confirmed\n"
        f"  role/ci look in prod {PROD} (grant {CI.id}): since 2026-03-02T14:00:00Z, by olga: "
        f"the account was closed\n    aws iam detach-role-policy --role-name ci --policy-arn "
        f"{ATTACHED.name}\n"
    ) in listed
    (one,) = shell.run("status", "-o", "json").json["settled"]
    assert (one["grant_id"], one["by"], one["reason"]) == (CI.id, "olga", SAY[-1])
    assert (one["since"], len(one["by_hand"])) == ("2026-03-02T14:00:00Z", 1)
    asked = shell.run("who-has-access", "--principal", "role/ci", "--because", "-o", "json")
    (item,) = asked.json["access"]
    assert (item["state"], item["removed_at"]) == ("settled", None)
    assert item["reason"] == "over, settled by olga, not confirmed by AWS"
    user = pwd.getpwuid(os.getuid()).pw_name
    assert f"by olga ({user} on " in item["because"][-1]["sentence"]
    assert "removed" not in shell.run("history", "--grant", CI.id).out
    assert "it was settled before" in shell.run("settle", CI.id, *SAY).out


def test_what_makes_no_sense_is_1_and_changes_nothing(shell: Shell) -> None:
    head = shell.run("status", "-o", "json").json["head_position"]
    for arguments, words in (
        (("settle", ANA.id), "is in force"),
        (("settle", BOB.id), "has no step that failed"),
        (("settle", "zzzzzz"), "no grant's id begins with `zzzzzz`; nothing was settled"),
        (("retry", "zzzzzz"), "nothing was asked for"),
    ):
        ran = shell.run(*arguments, *SAY)
        assert (ran.code, ran.out) == (1, "")
        assert words in ran.err
    assert shell.run("settle", CI.id, "--by", "olga").code == 64
    empty = shell.run("settle", "", *SAY)
    assert (empty.code, "Leave it out to ask without it" in empty.err) == (64, False)
    assert shell.run("status", "-o", "json").json["head_position"] == head
