"""The page for whoever is on call: its commands are carried out, and no alert lacks its entry."""

import re
import shlex
import subprocess
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import URL

from scripts.dashboard_panels import expressions
from tests.docs.pages import page
from tests.docs.test_commands import Command, commands_of
from tests.oracles.alert_cases import CASES
from tests.support.commands import Shell, StillClock
from tests.support.histories import Story, after, append_all, grant
from tests.support.postgres import Postgres, binaries, conninfo
from tests.walls.tree import ROOT
from worker.metrics import Metrics
from worker.timing import (
    OFFSET_GRANTING_MAX_S,
    OFFSET_TRUSTED_S,
    PARKED,
    PARKED_TRIES_MAX,
    PARKED_TURNS_MAX,
)

PAGE = page("docs/operations.md")
RULES = ROOT / "deploy" / "prometheus" / "alerts.yaml"
OF_PROMETHEUS = {"up", "scrape_duration_seconds"}
"""What Prometheus itself tells of a target."""

ANA = grant("aaaaaa222222", "user/ana", ends=None)
BOB = grant("bbbbbb222222", "user/bob", ends=after(6))
CHLOE = grant("cccccc222222", "user/chloe", ends=None)
NAMED = {"retry": BOB.id, "settle": CHLOE.id}
"""What GRANT stands for, by the command that is given it."""


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def commands(*programs: str) -> list[Command]:
    return [each for each in commands_of(PAGE) if shlex.split(each.text)[0] in programs]


# --- the commands ---------------------------------------------------------------------------------


@pytest.fixture
def url(tmp_path: Path) -> URL:
    """Ana has access, bob's cannot be given, and chloe's removal is refused."""
    told = Story().mapped()
    for who in (ANA, BOB, CHLOE):
        told.granted(who)
    told.applied(ANA, after(0.1)).applied(CHLOE, after(0.1)).revoked(CHLOE, after(1))
    return told.stuck(CHLOE, after(1.1)).stuck(BOB, after(1.2)).write(tmp_path)


def test_every_command_does_what_it_is_shown_for(url: URL) -> None:
    removed = False

    async def a_worker_works(now: datetime) -> None:
        """While `revoke --wait` waits."""
        nonlocal removed
        if not removed:
            removed = True
            await append_all(url, Story().removed(ANA, now).drafts)

    clock = StillClock(after(2), a_worker_works)
    said: dict[str, str] = {}
    for command in commands("iam-ledger"):
        words = shlex.split(command.text)[1:]
        if "--database" in words:
            continue  # on PostgreSQL: below
        hold = re.search(r"hold-\d+", "".join(said.values()))
        for number, word in enumerate(words):
            if word == "GRANT":
                words[number] = NAMED[words[0]]
            if word == "HOLD":
                assert hold is not None
                words[number] = hold[0]
        ran = Shell(url, clock).run(*words)
        assert ran.code == 0, f"{command.where}: {command.text}: {ran.code}\n{ran.out}{ran.err}"
        said[command.text] = ran.out
        clock.instant += timedelta(seconds=1)
    assert removed
    assert said["iam-ledger status"].startswith("1 exposed")
    assert "user/bob" in said["iam-ledger expiring --within 4h"]
    (row,) = Shell(url, clock).run("status", "-o", "json").json["settled"]
    assert (row["principal"], row["by"]) == ("chloe", "olga")


def test_a_ledger_on_postgresql_is_dumped_and_restored_as_shown(
    postgres: Postgres, tmp_path: Path
) -> None:
    first, second = postgres.create(), postgres.create()
    places = {
        "postgresql://ledger_owner@db.example.com/ledger": first,
        "postgresql://ledger_owner@db.example.com/restored": second,
    }
    try:
        assert Shell(first).run("migrate").code == 0
        for command in commands("pg_dump", "pg_restore", "iam-ledger"):
            name, *words = shlex.split(command.text)
            if name == "iam-ledger" and "--database" not in words:
                continue
            if name == "iam-ledger":
                place = words.index("--database") + 1
                ran = Shell(places[words[place]]).run(*words[: place - 1], *words[place + 1 :])
                assert ran.code == 0, ran.err
                continue
            for place, word in enumerate(words):
                option, _, address = word.partition("=")
                if option == "--dbname":
                    words[place] = f"--dbname={conninfo(places[address])}"
            done = subprocess.run(
                [binaries() / name, *words],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
            assert done.returncode == 0, done.stderr
    finally:
        postgres.drop(first)
        postgres.drop(second)


# --- the alerts -----------------------------------------------------------------------------------


def test_every_alert_has_its_entry_and_every_entry_its_alert() -> None:
    headings = re.findall(r"^### (IamLedger\w+)$", PAGE.text, re.MULTILINE)
    assert sorted(headings) == sorted(rule["alert"] for rule in alerts())
    for rule in alerts():
        anchor = f"docs/operations.md#{rule['alert'].lower()}"
        assert rule["annotations"]["runbook_url"] == anchor
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]


def test_every_entry_says_what_it_means_what_may_be_open_and_what_to_do() -> None:
    entries = re.split(r"^### (IamLedger\w+)$", PAGE.text, flags=re.MULTILINE)[1:]
    assert len(entries) > 40
    for name, entry in zip(entries[::2], entries[1::2], strict=True):
        text = entry.partition("\n## ")[0]
        assert re.findall(r"^\*\*(\w+)\*\*: ", text, re.MULTILINE) == ["Means", "Open", "Do"], name


def test_every_alert_is_tried_both_ways() -> None:
    assert {case.alert for case in CASES} == {rule["alert"] for rule in alerts()}
    assert all(case.quiet for case in CASES)


# --- the metrics ----------------------------------------------------------------------------------


def unknown_metrics(expression: str) -> set[str]:
    """What an expression names that no worker tells, with labels that it does not have."""
    known: dict[str, set[str]] = {}
    for family in Metrics().registry.collect():
        for sample in family.samples:
            known.setdefault(sample.name, set()).update(sample.labels)
    strange = set()
    for name, labels in re.findall(r"\b(iam_ledger_\w+)(?:\{([^}]*)\})?", expression):
        asked = set(re.findall(r"(\w+)\s*!?=~?", labels))
        if name not in known or not asked <= known[name]:
            strange.add(name)
    return strange


def test_every_metric_of_rules_and_dashboard_is_one_of_the_workers() -> None:
    asked = [rule["expr"] for rule in alerts()] + expressions()
    assert len(asked) > 60
    assert [each for each in asked if unknown_metrics(each)] == []
    named = {word for each in asked for word in re.findall(r"[a-z_]+(?=[{ ]|$)", each)}
    assert named & OF_PROMETHEUS == OF_PROMETHEUS


@pytest.mark.parametrize(
    "planted",
    ["sum(iam_ledger_grants_exposd)", 'iam_ledger_grants_overdue{exposure="true"} > 0'],
)
def test_a_metric_or_a_label_that_no_worker_has_would_be_seen(planted: str) -> None:
    assert unknown_metrics(planted)


def test_the_numbers_on_the_page_are_the_programs_own() -> None:
    prose = " ".join(PAGE.text.split())
    assert timedelta(minutes=1) == PARKED
    assert f"more than {PARKED_TRIES_MAX} steps of one account" in prose
    assert f"at worst every {PARKED_TURNS_MAX} minutes" in prose
    assert f"differ by more than {OFFSET_TRUSTED_S:.0f} s" in prose
    assert f"nothing beyond {OFFSET_GRANTING_MAX_S:.0f} s" in prose
    by_name = {rule["alert"]: rule["expr"] for rule in alerts()}
    assert by_name["IamLedgerClockWrong"].endswith(f"> {OFFSET_GRANTING_MAX_S:.0f}")
    assert by_name["IamLedgerClockDrifting"].endswith(f"> {OFFSET_TRUSTED_S:.0f}")
