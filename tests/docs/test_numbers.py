"""The numbers and lists in the pages are what the code makes of its own inputs."""

import re
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import get_args

import pytest

from cli.exits import Exit
from ledger.events import Evidence, Intent, Pin
from ledger.manifest.dangerous_policies import CODES
from ledger.model import PRINCIPAL_KINDS, Policy, Team, Window, parse_principal
from tests.docs.pages import page
from tests.oracles.copies import MUTANTS
from tests.oracles.table import TABLE
from tests.support.aws_managed import attachable, every_policy
from worker.iam.documents import MANAGED_CHARS_MAX, NotCopyable, minify, timed_copy
from worker.iam.forms import Asked, CannotStand, Part, choose
from worker.iam.packing import split
from worker.iam.room import Room

END = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Size:
    """What a timed copy takes."""

    chars: int
    documents: int
    """Customer-managed policies, where it is not inline."""

    def fits(self, inline_max: int, documents_max: int = 0) -> bool:
        return self.chars <= inline_max or self.documents <= documents_max


@pytest.fixture(scope="module")
def sizes() -> dict[str, Size | None]:
    """Attachable policy -> what its timed copy takes; None where it cannot be copied."""
    found: dict[str, Size | None] = {}
    for name, text in attachable().items():
        try:
            statements = timed_copy([text], ends_at=END)
        except NotCopyable:
            found[name] = None
            continue
        chars = minify(statements).size
        small = chars <= MANAGED_CHARS_MAX
        found[name] = Size(chars, 1 if small else len(split(statements, MANAGED_CHARS_MAX)))
    return found


def rows(path: str, first: str) -> list[str]:
    """The cells of a table's row in a page."""
    found = re.search(rf"^\| {re.escape(first)} \|(.*)\|$", page(path).prose, re.MULTILINE)
    assert found is not None, f"{path} has no row `{first}`"
    return [cell.strip() for cell in found[1].split("|")]


def words(path: str) -> str:
    """A page's prose on one line."""
    return " ".join(page(path).prose.split())


LIMITS = [facts.inline_chars_max for facts in PRINCIPAL_KINDS.values() if facts.temporary]
FORMS = {
    "fit inline": 0,
    "fit inline, or three managed policies": 3,
    "fit inline, or ten managed policies": 10,
}


def test_how_many_policies_of_aws_fit_is_what_the_page_of_limits_says(
    sizes: dict[str, Size | None],
) -> None:
    total = len(sizes)
    known = [size for size in sizes.values() if size is not None]
    first = f"{total:,}"
    for form, documents_max in FORMS.items():
        fit = [sum(size.fits(limit, documents_max) for size in known) for limit in LIMITS]
        shares = [f"{number:,} ({100 * number / total:.1f} %)" for number in fit]
        assert rows("docs/limits.md", form) == [first, *shares]
        first = ""
    too_large = [f"{sum(not size.fits(limit, 10) for size in known):,}" for limit in LIMITS]
    assert rows("docs/limits.md", "too large for that") == ["", *too_large]
    assert rows("docs/limits.md", "hold a Deny") == ["", *[f"{total - len(known):,}"] * 2]
    prose, policies = words("docs/limits.md"), every_policy()
    assert f"the {len(policies):,} AWS-managed policies that moto {version('moto')}" in prose
    assert f"all {len(known):,} policies above that can be copied" in prose
    paths = Counter(each["Path"] for each in policies.values())
    assert f"the {paths['/aws-service-role/']} of service-linked roles" in prose
    assert f"the {paths['/root-task/']} for root" in prose
    assert max(str(each["UpdateDate"]) for each in policies.values()).startswith("2026-09-30")


def test_the_examples_of_sizes_are_measured(sizes: dict[str, Size | None]) -> None:
    prose = page("docs/limits.md").prose
    found = re.findall(r"^\| (\w+) \| ([\d,]+) \| (\d+) \|$", prose, re.MULTILINE)
    assert len(found) >= 7
    for name, chars, documents in found:
        size = sizes[name]
        assert size is not None
        assert (f"{size.chars:,}", str(size.documents)) == (chars, documents)


@pytest.mark.parametrize("slots", [3, 10])
@pytest.mark.parametrize("who", ["user/ana", "role/deploy"])
def test_what_the_table_counts_is_what_the_worker_chooses(
    sizes: dict[str, Size | None], who: str, slots: int
) -> None:
    """The examples, on a principal with nothing else and so many attachments free."""
    principal = parse_principal(who)
    chosen = 0
    for name in ("PowerUserAccess", "CloudWatchReadOnlyAccess", "ViewOnlyAccess", "SecurityAudit"):
        size = sizes[name]
        assert size is not None
        room = Room(principal, {}, frozenset(), slots, 1_500, 1_500)
        fits = size.fits(principal.facts.inline_chars_max, slots)
        with nullcontext() if fits else pytest.raises(CannotStand):
            form = choose(temporary(name), room)
            assert form.enforcement == "aws"
            inline = size.chars <= principal.facts.inline_chars_max
            assert len(form.objects) == (1 if inline else size.documents)
            chosen += 1
    assert chosen >= 2


def temporary(name: str) -> Asked:
    """One of AWS's own policies, asked for until the end."""
    arn = f"arn:aws:iam::aws:policy/{name}"
    policy = Policy(Team("payments"), "look", "payments-look", None, (arn,))
    part = Part(arn, attachable()[name], Pin(arn, "v1", "0" * 64))
    window = Window(END - timedelta(hours=4), END)
    return Asked(
        policy, window, False, "iam-ledger-x", "arn:aws:iam::111122223333:policy/", (part,)
    )


def test_the_page_counts_what_the_oracles_are_asked() -> None:
    prose = words("docs/limits.md")
    assert f"`scripts/oracles` has {len(TABLE)} rows, each of" in prose
    assert f"ministack {sum(not case.not_by_ministack for case in TABLE)} rows" in prose
    assert f"each of {len(MUTANTS)} planted errors" in prose
    assert sum(case.source_not_by_simulate != "" for case in TABLE) == 1
    assert not any(case.not_by_ministack and case.source_not_by_simulate for case in TABLE)


def test_how_many_policies_of_aws_are_dangerous_is_what_the_page_of_limits_says() -> None:
    said = f"a table, {len(CODES)} of the {len(attachable()):,} that can be attached"
    assert said in words("docs/limits.md")


def test_the_pages_count_the_kinds_of_event_right() -> None:
    intent, evidence = len(get_args(Intent)), len(get_args(Evidence))
    counted = f"{intent} kinds of intent, {evidence} of evidence"
    assert counted in page("docs/architecture.md").prose


def test_the_readme_lists_every_exit_code() -> None:
    found = re.findall(r"^\| (\d+) \| ", page("README.md").prose, re.MULTILINE)
    assert [int(code) for code in found] == [code.value for code in Exit]


def test_the_readme_is_short_enough_to_be_read() -> None:
    assert len(page("README.md").text.splitlines()) < 250
