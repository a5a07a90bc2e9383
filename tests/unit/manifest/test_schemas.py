"""The schemas that editors read say what the parser says, as far as a schema can."""

import json
from typing import Any

import pytest

from cli.schema import SUFFIX, text_of
from ledger.manifest import FOLDERS, access, accounts, policies, settings, statements
from ledger.manifest.schemas import schemas
from tests.support.json_schema import faults, marked
from tests.support.wrong_files import MARKED_ELSEWHERE, WRONG, Wrong
from tests.unit.manifest.directory import TEAM, accepted, entry, reading
from tests.walls.tree import ROOT

PUBLISHED = ROOT / "schemas"


def test_what_is_published_is_what_the_command_prints() -> None:
    published = {path.name: path.read_text(encoding="utf-8") for path in PUBLISHED.iterdir()}
    printed = {f"{section}{SUFFIX}": text_of(schema) for section, schema in schemas().items()}
    assert published == printed, "run `iam-ledger schema --into schemas`"
    assert set(schemas()) == {*FOLDERS, "settings"}


@pytest.mark.parametrize("name", [*WRONG, *MARKED_ELSEWHERE])
def test_what_a_schema_can_refuse_both_refuse(name: str) -> None:
    wrong = (WRONG | MARKED_ELSEWHERE)[name]
    places = [problem.source for problem in reading({**TEAM, wrong.path: wrong.text}).errors]
    assert (wrong.path, wrong.line) in [(place.path, place.line) for place in places]
    assert marked(wrong.path, wrong.text.encode())


def test_the_wrong_files_are_wrong_for_what_they_say_and_nothing_else() -> None:
    """Without the line in question, or with one that is right, nothing is marked."""
    right = {
        "an account without quotes": ("222222222222  #", "'222222222222'  #"),
        "an effect in lower case": ("allow", "Allow"),
        "a duration in words": ("4 hours", "4h"),
        "a pattern of no kind": ("robot/", "role/"),
        "two ends": ("duration: 4h", "ticket: OPS-1"),
        "a group for a time": ("group", "role"),
        "an empty list": ("[]", "[dev.break-glass]"),
    }
    for name, (before, after) in right.items():
        wrong: Wrong = (WRONG | MARKED_ELSEWHERE)[name]
        assert marked(wrong.path, wrong.text.replace(before, after).encode()) == [], name


def test_what_yaml_takes_for_a_number_or_a_truth_is_a_text_to_both(
    no_editor_marks_what_the_parser_takes: list[str],
) -> None:
    accepted({"temporary-access/pay.yaml": entry("user: 4711\nticket: 12345\ndescription: true")})
    accepted({"iam-ledger.yaml": 'settings:\n  max_temporary_days: "6"\n'})
    accepted({"permanent-access/pay.yaml": "", "temporary-access/pay.yaml": "temporary-access:\n"})
    assert len(no_editor_marks_what_the_parser_takes) > 6


# --- every key, once ------------------------------------------------------------------------------


def keys_of(schema: Any) -> set[str]:
    """Every key that a schema gives a description."""
    found: set[str] = set()
    if isinstance(schema, dict):
        for name, value in schema.items():
            if name == "properties":
                found |= {key for key, shape in value.items() if "description" in shape}
            found |= keys_of(value)
    elif isinstance(schema, list):
        for item in schema:
            found |= keys_of(item)
    return found


@pytest.mark.parametrize(
    ("section", "keys"),
    [
        (accounts.SECTION, accounts.KEYS),
        (policies.SECTION, (*policies.KEYS, *statements.STATEMENT_KEYS)),
        (access.PERMANENT, access.KEYS[access.PERMANENT]),
        (settings.SECTION, settings.KEYS),
    ],
)
def test_every_key_that_the_parser_knows_is_described(section: str, keys: tuple[str, ...]) -> None:
    assert set(keys) <= keys_of(schemas()[section])


def test_an_entry_for_a_time_has_every_key_but_groups() -> None:
    left = set(access.KEYS[access.TEMPORARY]) - keys_of(schemas()[access.TEMPORARY])
    assert left == {"group", "groups"}


def test_every_example_is_one_that_the_schema_takes() -> None:
    seen = 0

    def look(shape: Any, root: Any) -> None:
        nonlocal seen
        if isinstance(shape, dict):
            for example in shape.get("examples", ()):
                seen += 1
                assert faults(example, {**shape, "definitions": root.get("definitions")}) == []
            for value in shape.values():
                look(value, root)
        elif isinstance(shape, list):
            for item in shape:
                look(item, root)

    for schema in schemas().values():
        look(json.loads(text_of(schema)), schema)
    assert seen > 40
