"""What CI says of a commit, and that it is said of no other."""

import pytest

from cli.ci import Given, from_environment, settle
from tests.support.builders import NOW

GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://github.example",
    "GITHUB_REPOSITORY": "acme/access",
    "GITHUB_RUN_ID": "42",
    "GITHUB_SHA": "a" * 40,
    "GITHUB_REF": "refs/heads/main",
    "GITHUB_ACTOR": "whoever-pressed-the-button",
}
GITLAB = {
    "GITLAB_CI": "true",
    "CI_PROJECT_URL": "https://gitlab.example/acme/access",
    "CI_COMMIT_SHA": "b" * 40,
    "CI_COMMIT_AUTHOR": "Ana Lima <ana@example.com>",
    "CI_JOB_URL": "https://gitlab.example/acme/access/-/jobs/7",
}


def test_github_names_the_commit_and_the_run_and_no_author() -> None:
    assert from_environment(GITHUB) == Given(
        commit="a" * 40, run_url="https://github.example/acme/access/actions/runs/42"
    )


def test_github_names_the_pull_request_of_a_pull_requests_own_run() -> None:
    found = from_environment(
        GITHUB | {"GITHUB_REF": "refs/pull/7/merge", "GITHUB_RUN_ATTEMPT": "2"}
    )
    assert found.pull_request == "https://github.example/acme/access/pull/7"
    assert found.run_url is not None
    assert found.run_url.endswith("/runs/42/attempts/2")


def test_gitlab_names_commit_author_and_job() -> None:
    assert from_environment(GITLAB) == Given(
        commit="b" * 40,
        author="Ana Lima <ana@example.com>",
        run_url="https://gitlab.example/acme/access/-/jobs/7",
    )


def test_gitlab_names_the_merge_request_in_its_own_pipeline() -> None:
    found = from_environment(GITLAB | {"CI_MERGE_REQUEST_IID": "9"})
    assert found.pull_request == "https://gitlab.example/acme/access/-/merge_requests/9"


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"CI": "true"},
        {name: value for name, value in GITHUB.items() if name != "GITHUB_ACTIONS"},
        GITHUB | {"GITHUB_ACTIONS": "false"},
    ],
)
def test_outside_of_ci_nothing_is_said(environment: dict[str, str]) -> None:
    assert from_environment(environment) == Given()


@pytest.mark.parametrize("ci", [{"GITHUB_ACTIONS": "true"}, {"GITLAB_CI": "true"}])
def test_a_variable_that_is_missing_is_not_made_up(ci: dict[str, str]) -> None:
    assert from_environment(ci) == Given()


def test_a_flag_comes_before_the_work_tree_and_that_before_ci() -> None:
    ci = from_environment(GITLAB)
    assert settle(Given(commit="c" * 40), ci, head="d" * 40).commit == "c" * 40
    assert settle(Given(), ci, head="d" * 40).commit == "d" * 40
    assert settle(Given(), ci, head=None).commit == "b" * 40


def test_what_ci_says_of_another_commit_is_not_borrowed_but_for_the_run() -> None:
    ci = from_environment(GITLAB | {"CI_MERGE_REQUEST_IID": "9"})
    found = settle(Given(), ci, head="d" * 40)
    assert found == Given(commit="d" * 40, run_url=ci.run_url)
    same = settle(Given(), ci, head="b" * 40)
    assert same.pull_request == ci.pull_request


def test_the_author_is_gits_to_say_where_there_is_a_work_tree() -> None:
    ci = from_environment(GITLAB)
    assert settle(Given(), ci, head="b" * 40).author is None
    assert settle(Given(), ci, head=None).author == "Ana Lima <ana@example.com>"


def test_what_a_person_gives_wins_and_is_kept_whole() -> None:
    flags = Given(
        author="Grace",
        merged_at=NOW,
        pull_request="7",
        approved_by=("olga", "piet"),
        run_url="mine",
    )
    found = settle(flags, from_environment(GITLAB), head="b" * 40)
    assert found == Given("b" * 40, "Grace", NOW, "7", ("olga", "piet"), "mine")
