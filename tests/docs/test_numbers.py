"""The numbers and lists in the pages are what the code makes of its own inputs."""

import json
import re
from datetime import UTC, datetime
from importlib.metadata import version
from typing import get_args

import orjson
import pytest

from cli.exits import Exit
from ledger.events import Evidence, Intent
from ledger.model import PRINCIPAL_KINDS
from tests.docs.pages import page
from worker.documents import NotCopyable, minify, timed_copy
from worker.metrics import OPERATIONS

NOBODYS = ("/aws-service-role/", "/root-task/")
"""Paths of AWS-managed policies that AWS attaches itself, or for one root task only."""
END = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def aws_policies() -> dict[str, dict[str, object]]:
    """Every AWS-managed policy that moto ships, by name."""
    from moto.iam.aws_managed_policies import aws_managed_policies_data

    found: dict[str, dict[str, object]] = json.loads(aws_managed_policies_data)
    return found


@pytest.fixture(scope="module")
def sizes(aws_policies: dict[str, dict[str, object]]) -> dict[str, int | None]:
    """Attachable policy -> characters of its timed copy; None where it cannot be copied."""
    found: dict[str, int | None] = {}
    for name, policy in aws_policies.items():
        if policy["Path"] in NOBODYS:
            continue
        text = orjson.dumps(policy["Document"]).decode()
        try:
            found[name] = minify(timed_copy([text], ends_at=END)).size
        except NotCopyable:
            found[name] = None
    return found


def rows(path: str, first: str) -> list[str]:
    """The cells of a table's row in a page."""
    found = re.search(rf"^\| {re.escape(first)} \|(.*)\|$", page(path).prose, re.MULTILINE)
    assert found is not None, f"{path} has no row `{first}`"
    return [cell.strip() for cell in found[1].split("|")]


def test_how_many_policies_of_aws_fit_is_what_the_page_of_limits_says(
    aws_policies: dict[str, dict[str, object]], sizes: dict[str, int | None]
) -> None:
    total = len(sizes)
    known = [size for size in sizes.values() if size is not None]
    limits = [facts.inline_chars_max for facts in PRINCIPAL_KINDS.values() if facts.temporary]
    fit = [sum(size <= limit for size in known) for limit in limits]
    shares = [f"{number:,} ({100 * number / total:.1f} %)" for number in fit]
    too_large = [f"{len(known) - number:,}" for number in fit]
    assert rows("docs/limits.md", "fit") == [f"{total:,}", *shares]
    assert rows("docs/limits.md", "too large") == ["", *too_large]
    assert rows("docs/limits.md", "hold a Deny") == ["", *[f"{total - len(known):,}"] * 2]
    prose = page("docs/limits.md").prose
    assert f"the {len(aws_policies):,} AWS-managed policies that moto {version('moto')}" in prose
    newest = max(str(policy["UpdateDate"]) for policy in aws_policies.values())
    assert newest.startswith("2026-09-30")


def test_the_examples_of_sizes_are_measured(sizes: dict[str, int | None]) -> None:
    found = re.findall(r"^\| (\w+) \| ([\d,]+) \|$", page("docs/limits.md").prose, re.MULTILINE)
    assert len(found) >= 7
    assert {name: f"{sizes[name]:,}" for name, _ in found} == dict(found)


def test_the_deployers_role_allows_the_calls_that_the_worker_makes_and_no_others() -> None:
    documents = [
        json.loads(block.text)
        for block in page("docs/deployer-role.md").blocks
        if block.language == "json"
    ]
    statements = documents[0]["Statement"]
    allowed = [
        action for each in statements if each["Effect"] == "Allow" for action in each["Action"]
    ]
    calls = {
        f"iam:{name}" for name in OPERATIONS if name not in ("AssumeRole", "GetCallerIdentity")
    }
    assert len(allowed) == len(set(allowed))
    assert set(allowed) == calls | {"iam:TagPolicy"}


def test_the_pages_count_the_kinds_of_event_right() -> None:
    intent, evidence = len(get_args(Intent)), len(get_args(Evidence))
    counted = f"{intent} kinds of intent, {evidence} of evidence"
    assert counted in page("docs/architecture.md").prose


def test_the_readme_lists_every_exit_code() -> None:
    found = re.findall(r"^\| (\d+) \| ", page("README.md").prose, re.MULTILINE)
    assert [int(code) for code in found] == [code.value for code in Exit]


def test_the_readme_is_short_enough_to_be_read() -> None:
    assert len(page("README.md").text.splitlines()) < 250
