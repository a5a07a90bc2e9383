"""`adopt` as people run it, over real wires, in an account that the scripts before us filled."""

import json
from pathlib import Path

import pytest

from ledger.events import AccountMapped, PolicyDefined, SettingsChanged
from ledger.model import Account, Policy, parse_principal
from tests.support.commands import Shell, StillClock
from tests.support.histories import NOON, PROD, TEAM, Story, after, grant
from tests.support.moto_server import MotoServer
from tests.support.seed import DOCUMENT, InMoto, Seed

ANA, BOB = parse_principal("user/ana"), parse_principal("user/bob")
READ = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
SEEDS = f"arn:aws:iam::{PROD}:policy/payments-look"
LOOK = Policy(TEAM, "look", "payments-look", json.dumps(DOCUMENT), (READ,))
SAY = ("--by", "olga", "--reason", "ours now")


@pytest.fixture
def shell(moto_server: MotoServer, tmp_path: Path) -> Shell:
    moto_server.add(PROD, "user/ana")
    moto_server.add(PROD, "user/bob")
    seed = Seed(InMoto(moto_server, PROD), "payments")
    seed.permanent([ANA], [seed.policy("look"), READ])
    seed.temporary(BOB, "look", "2026-02-01", [READ])
    story = Story().add(AccountMapped(Account(TEAM, "prod", PROD, "Deployer")), NOON)
    story.add(SettingsChanged("/iam-ledger/", "warn", ("user/*",), (), "local-part"), NOON)
    story.add(PolicyDefined(LOOK), NOON)
    story.granted(grant("aaaa2222bbbb3333", policy="look"))
    return Shell(story.write(tmp_path), StillClock(after(1)))


def test_without_yes_it_prints_and_with_it_takes_over_and_deletes_nothing(
    shell: Shell, moto_server: MotoServer
) -> None:
    iam = moto_server.iam(PROD)
    ran = shell.run("adopt")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        f"account {PROD}: would take over 3 things",
        f"  {SEEDS} (policy look of payments)",
        f"  {SEEDS} attached to user/ana (policy look of payments)",
        f"  {READ} attached to user/ana (policy look of payments)",
        "  no line explains these; if nobody needs them, this takes them away:",
        "    aws iam delete-user-policy --user-name bob --policy-name temp-payments-look",
        f"    aws iam detach-user-policy --user-name bob --policy-arn {READ}",
        "",
        "nothing was written; --yes with --by and --reason does it; ledger position 4",
    ]
    assert iam.list_policy_tags(PolicyArn=SEEDS)["Tags"] == []
    done = shell.run("adopt", "--yes", *SAY, "-o", "json").json
    assert (done["done"], done["position"]) == (True, 7)
    (account,) = done["accounts"]
    assert (account["taken_over"], len(account["leftovers"])) == (3, 2)
    tags = {tag["Key"]: tag["Value"] for tag in iam.list_policy_tags(PolicyArn=SEEDS)["Tags"]}
    assert tags["iam-ledger:team"] == "payments"
    assert moto_server.attached(PROD, BOB) == {READ}
    assert list(moto_server.inline(PROD, BOB)) == ["temp-payments-look"]
    told = shell.run("history", "--account", PROD).out
    assert f"took over {READ} attached to user/ana, by olga (" in told
    again = shell.run("adopt").out
    assert again.startswith(f"account {PROD}: nothing to take over\n")


def test_a_word_is_needed_to_take_over_and_none_to_look(shell: Shell) -> None:
    ran = shell.run("adopt", "--yes", "--by", "olga")
    assert ran.code == 64
    assert "--yes needs --by and --reason" in ran.err
    assert shell.run("adopt", "--account", "999999999999").code == 64
    assert shell.run("status", "-o", "json").json["head_position"] == 4


def test_an_account_that_cannot_be_entered_is_told_and_holds_up_no_other(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    ran = shell.run("adopt")
    assert ran.code == 1
    assert f"account {PROD}: NoCredentials: " in ran.out
