"""What a reviewer is told of policies that are dangerous, need MFA, or may outlast their end."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.builders import Files, at, directory, permanent, policy, temporary
from tests.support.commands import Ran, Shell, StillClock
from tests.support.ledgers import make_ledger

EVERYTHING = {"effect": "Allow", "actions": ["*"], "resources": ["*"]}
TOLD = "this statement allows every action on every resource"
PLACE = "aws-policies/payments.yaml:5:5"


class Place:
    def __init__(self, folder: Path) -> None:
        self.config = folder / "config"
        make_ledger(folder, "ledger.db")
        address = f"sqlite+aiosqlite:///{folder / 'ledger.db'}"
        self.shell = Shell(None, StillClock(at()), {"IAM_LEDGER_DATABASE_URL": address})

    def run(self, command: str, files: Files, *more: str) -> Ran:
        for path, content in files.items():
            target = self.config / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        return self.shell.run(command, self.config, *more)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def files(settings: dict[str, Any] | None = None, **terms: Any) -> Files:
    """Policy `fix` allows everything; ana has it for a time, and ben for good."""
    return directory(
        policies={"fix": {"custom_statements": [EVERYTHING], **terms}, "look": policy()},
        standing=[permanent("ben", grant="fix"), permanent("carl")],
        windows=[temporary(duration="4h")],
        settings=settings,
    )


def test_without_a_reason_every_command_warns_at_the_statement_and_goes_on(place: Place) -> None:
    ran = place.run("validate", files())
    assert (ran.code, ran.err) == (0, "1 warning\n")
    assert f"{PLACE}: warning: {TOLD}; say why under `allow_dangerous`" in ran.out
    annotated = place.run("validate", files(), "-o", "github").out
    assert annotated.startswith("::warning file=")
    assert f"aws-policies/payments.yaml,line=5,col=5,title=dangerous::{TOLD}" in annotated
    for command in ("plan", "ingest", "plan"):
        ran = place.run(command, files())
        assert ran.code == 0
        assert ran.out.count(f"! {PLACE}: {TOLD}") == ran.out.count(TOLD) == 1
    warnings = place.run("plan", files(), "-o", "json").json["warnings"]
    assert [
        f"{each['path']}:{each['line']}:{each['column']}"
        for each in warnings
        if each["code"] == "dangerous"
    ] == [PLACE]


def test_where_the_settings_refuse_it_nothing_is_appended_without_a_reason(place: Place) -> None:
    refuse = {"dangerous": "refuse"}
    for command in ("validate", "plan", "ingest"):
        ran = place.run(command, files(refuse))
        assert ran.code == 1
        assert f"{PLACE}: {TOLD}" in ran.out
    assert place.run("ingest", files(refuse, allow_dangerous="on call")).code == 0


def test_a_reason_is_shown_to_who_reviews_it_and_then_stands_in_the_ledger(place: Place) -> None:
    consented = files(allow_dangerous="two are on call")
    assert place.run("validate", consented).err == "no problems\n"
    for form in ("table", "markdown"):
        told = place.run("plan", consented, "-o", form).out
        assert f"! {PLACE}: {TOLD}" in told
        assert "policy `fix` may, for this reason: two are on call" in told
    assert "may be dangerous: two are on call" in place.run("ingest", consented).out
    assert TOLD not in place.run("plan", consented).out
    history = place.shell.run("history", "--policy", "fix").out
    assert "may be dangerous: two are on call" in history


def test_a_grant_is_shown_with_what_its_policy_comes_with(place: Place) -> None:
    out = place.run("plan", files(require_mfa=True, enforcement="daemon")).out
    lines = [line.strip() for line in out.splitlines()]
    granted = {line: lines[number + 1] for number, line in enumerate(lines) if line[:2] == "+ "}
    who = {line.split()[1]: details for line, details in granted.items() if "user/" in line}
    assert who["user/ana"].startswith(
        "for 4h from the ingest on: until 2026-03-02T13:00:00Z if that were now, "
        "only with MFA, perhaps ended by the daemon only, dangerous, "
    )
    assert who["user/ben"].startswith("permanent, only with MFA, dangerous, permanent-access/")
    assert who["user/carl"].startswith("permanent, permanent-access/")
