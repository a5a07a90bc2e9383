"""Accounts, policies and settings: only what differs, each with its cause."""

import pytest

from ledger.decide.decision import Declared, Gone
from ledger.events import (
    AccountMapped,
    AccountUnmapped,
    Ingested,
    PolicyDefined,
    PolicyRetired,
    SettingsChanged,
)
from tests.support.builders import DEV, PROD, Book, at, directory, permanent, policy


def test_a_remapped_environment_is_unmapped_there_and_mapped_here() -> None:
    book = Book()
    book.ingest(directory())
    book.ingest(directory(accounts={"prod": "333333333333", "dev": DEV}), at(1))
    assert [event.account.account for event in book.of(AccountUnmapped)] == [PROD]
    mapped = book.view(at(1)).accounts["payments", "prod"][0]  # type: ignore[index]  # NewType
    assert mapped.account == "333333333333"


def test_another_way_in_is_a_new_mapping_of_the_same_account() -> None:
    book = Book()
    book.ingest(directory())
    role = {"prod": {"id": PROD, "deployer_role": "deploy/Other"}, "dev": DEV}
    decision = book.ingest(directory(accounts=role), at(1))
    assert decision.counts.accounts == 1
    assert book.of(AccountUnmapped) == []
    assert book.of(AccountMapped)[-1].account.deployer_role == "deploy/Other"


def test_back_and_forth_is_recorded_each_time() -> None:
    book = Book()
    here, there = directory(), directory(accounts={"prod": "333333333333", "dev": DEV})
    less = directory(policies={"look": policy()})
    for hours, files in enumerate([here, there, less, here, there, here]):
        book.ingest(files, at(hours))
    assert len(book.of(AccountUnmapped)) == 4
    assert len(book.of(PolicyRetired)) == 1
    assert [event.policy.name for event in book.of(PolicyDefined)] == ["look", "fix", "fix"]


@pytest.mark.parametrize(
    "terms",
    [
        {"require_mfa": "true"},
        {"enforcement": "daemon"},
        {"allow_dangerous": "it was so before"},
        {"max_duration": "8h"},
        {"description": "what it is for"},
    ],
)
def test_each_word_beside_a_policys_content_is_part_of_its_value(terms: dict[str, str]) -> None:
    book = Book()
    book.ingest(directory(policies={"look": policy(), "fix": policy()}))
    changed = directory(policies={"look": policy(**terms), "fix": policy()})
    assert book.ingest(changed, at(1)).counts.policies == 1
    assert book.ingest(changed, at(2)).planned == ()
    assert book.ingest(directory(), at(3)).counts.policies == 1


def test_a_consent_is_told_when_its_policy_is_new_or_changed_and_not_for_ever_after() -> None:
    book = Book()
    everything = {"effect": "Allow", "actions": ["*"], "resources": ["*"]}
    admin = {"custom_statements": [everything], "allow_dangerous": "two are on call"}
    files = directory(policies={"look": policy(), "admin": admin})
    (note,) = book.ingest(files).notes
    assert note.code == "dangerous-allowed"
    assert note.message == "this statement allows every action on every resource"
    assert note.hint == "policy `admin` may, for this reason: two are on call"
    assert note.source is not None
    assert (note.source.path, note.source.line) == ("aws-policies/payments.yaml", 18)
    assert book.ingest(files, at(1)).notes == ()
    other = directory(policies={"look": policy(), "admin": {**admin, "allow_dangerous": "one is"}})
    assert [each.hint for each in book.ingest(other, at(2)).notes] == [
        "policy `admin` may, for this reason: one is"
    ]


def test_a_policy_is_defined_anew_only_when_its_value_differs() -> None:
    book = Book()
    book.ingest(directory(policies={"look": policy(), "fix": policy()}))
    same = directory(policies={"fix": policy(), "look": policy()})
    assert book.ingest(same, at(1)).planned == ()
    changed = directory(policies={"look": policy(max_duration="8h"), "fix": policy()})
    decision = book.ingest(changed, at(2))
    (item,) = (p for p in decision.planned if isinstance(p.event, PolicyDefined))
    assert item.cause == book.events[3].position
    assert isinstance(item.origin, Declared)
    assert item.origin.shown.line == 3
    assert {source.line for source in item.origin.deciding} == set(range(3, 17))


def test_a_retired_policy_keeps_its_name_in_iam_for_who_must_clean_up() -> None:
    book = Book()
    book.ingest(directory(policies={"a.look": policy(), "fix": policy()}), commit="c1")
    decision = book.ingest(directory(policies={"fix": policy()}), at(1), commit="c2")
    (item,) = (p for p in decision.planned if isinstance(p.event, PolicyRetired))
    assert isinstance(item.event, PolicyRetired)
    assert item.event.iam_name == "payments-a-look"
    assert item.origin == Gone("aws-policies/payments.yaml", "c1")


# --- settings ---------------------------------------------------------------------------------


def test_settings_are_recorded_first_and_only_what_the_worker_obeys() -> None:
    book = Book()
    assert isinstance(book.ingest(directory()).planned[0].event, SettingsChanged)
    ours = {"max_temporary_days": 3}
    assert book.ingest(directory(settings=ours), at(1)).planned == ()
    obeyed = {"protected_principals": ["user/root"]}
    assert len(book.ingest(directory(settings=obeyed), at(2)).planned) == 2


def test_the_worker_is_told_how_much_a_repair_may_take_away() -> None:
    book = Book()
    book.ingest(directory(settings={"max_revocations": {"count": 7}}))
    (told,) = (item.event for item in book.events if isinstance(item.event, SettingsChanged))
    assert (told.max_revocations_count, told.max_revocations_percent) == (7, 50)


def test_settings_are_ingested_with_whatever_team_is_chosen() -> None:
    book = Book()
    book.ingest(directory("alpha") | directory("beta"))
    files = directory("alpha", settings={"protected_principals": ["user/root"]})
    book.ingest(files, at(1), teams=frozenset({"alpha"}))
    assert len(book.of(SettingsChanged)) == 2


@pytest.mark.parametrize(
    ("key", "value"), [("policy_path", "/elsewhere/"), ("user_names", "email")]
)
def test_what_names_hang_on_cannot_change_under_them(key: str, value: str) -> None:
    book = Book()
    book.ingest(directory())
    decision = book.ingest(directory(settings={key: value}), at(1))
    (problem,) = decision.problems
    assert (problem.code, problem.source.path) == ("setting-frozen", "iam-ledger.yaml")
    assert f"`{key}`" in problem.message
    assert decision.planned == ()


def test_a_settings_file_that_is_gone_cannot_change_them_either() -> None:
    book = Book()
    book.ingest(directory(settings={"policy_path": "/elsewhere/"}))
    (problem,) = book.plan(directory(), at(1)).problems
    assert problem.hint == "write `policy_path: /elsewhere/` again"


def test_before_there_is_any_policy_they_may_still_change() -> None:
    book = Book()
    book.ingest({"iam-ledger.yaml": b"settings: {policy_path: /one/}"})
    decision = book.ingest(directory(settings={"policy_path": "/two/"}), at(1))
    assert decision.problems == ()


# --- ingested ---------------------------------------------------------------------------------


def test_a_new_commit_is_recorded_even_when_nothing_else_changed() -> None:
    book = Book()
    files = directory(standing=[permanent("ana")])
    book.ingest(files, commit="c1")
    assert book.ingest(files, at(1), commit="c1").planned == ()
    decision = book.ingest(files, at(2), commit="c2")
    assert [type(item.event) for item in decision.planned] == [Ingested]
    assert book.ingest(files, at(3), commit="c1").planned != ()
    assert [event.commit for event in book.of(Ingested)] == ["c1", "c2", "c1"]


def test_outside_a_work_tree_an_unchanged_directory_is_not_recorded() -> None:
    book = Book()
    book.ingest(directory())
    assert book.ingest(directory(), at(1)).planned == ()
    assert book.of(Ingested)[0].commit is None


def test_the_counts_say_what_was_appended_with_it() -> None:
    book = Book()
    book.ingest(directory(standing=[permanent("ana", "bob")]))
    (event,) = book.of(Ingested)
    assert (event.granted, event.revoked, event.policies, event.accounts) == (2, 0, 2, 2)
