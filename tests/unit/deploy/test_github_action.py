"""What action.yml's program asks GitHub, what it believes, and what it writes there."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.github import (
    PAGE,
    REPOSITORY,
    TOKEN,
    GitHub,
    action,
    comment,
    github,
    pull,
    review,
)

ACTION = action()
MERGED, HEAD, BEFORE = "a" * 40, "b" * 40, "c" * 40
MARKER = "<!-- iam-ledger plan: access -->"
PLAN = f"{MARKER}\n### iam-ledger: plan: 1 to grant\n"


@pytest.fixture
def hub() -> Iterator[GitHub]:
    with github() as found:
        yield found


def forge(hub: GitHub, token: str = TOKEN) -> Any:
    return ACTION.Forge(hub.url, REPOSITORY, token, sleep=lambda _: None)


# --- who brought it, and who approved it ----------------------------------------------------------


def test_the_pull_request_is_the_one_whose_merge_made_the_commit_with_who_approved_what_was_merged(
    hub: GitHub,
) -> None:
    other = pull(6, head=HEAD, merged_as=BEFORE)
    still_open = pull(8, head=MERGED, merged_as=None)
    hub.lists[f"commits/{MERGED}/pulls"] = [other, still_open, pull(7, head=HEAD, merged_as=MERGED)]
    hub.lists["pulls/7/reviews"] = [
        review("olga", "APPROVED", HEAD),
        review("ben", "APPROVED", BEFORE),
        review("dan", "APPROVED", HEAD),
    ]
    found = ACTION.ask_who_brought(forge(hub), MERGED)
    assert found.arguments() == [
        f"--pull-request={PAGE}/7",
        "--merged-at=2026-03-02T08:59:30Z",
        "--approved-by=dan",
        "--approved-by=olga",
    ]
    assert found.approved_before == ("ben",)


@pytest.mark.parametrize("pulls", [[], [pull(6, head=HEAD, merged_as=BEFORE)]])
def test_of_a_commit_that_came_by_no_pull_request_nothing_is_said(
    hub: GitHub, pulls: list[dict[str, Any]]
) -> None:
    hub.lists[f"commits/{MERGED}/pulls"] = pulls
    assert ACTION.ask_who_brought(forge(hub), MERGED) is None


@pytest.mark.parametrize(
    ("states", "approves"),
    [
        (("APPROVED",), True),
        (("APPROVED", "COMMENTED"), True),
        (("CHANGES_REQUESTED", "APPROVED"), True),
        (("APPROVED", "CHANGES_REQUESTED"), False),
        (("APPROVED", "DISMISSED"), False),
        (("COMMENTED",), False),
        (("PENDING",), False),
    ],
)
def test_a_persons_last_verdict_counts(states: tuple[str, ...], approves: bool) -> None:
    reviews = [review("olga", state, HEAD) for state in states]
    assert ACTION.approvals(reviews) == ({"olga": HEAD} if approves else {})


def test_an_approval_of_an_account_that_is_gone_names_nobody() -> None:
    assert ACTION.approvals([review(None, "APPROVED", HEAD)]) == {}


def test_every_page_of_the_reviews_is_read(hub: GitHub) -> None:
    hub.lists[f"commits/{MERGED}/pulls"] = [pull(7, head=HEAD, merged_as=MERGED)]
    many = [review(f"reader{number}", "COMMENTED", HEAD) for number in range(199)]
    hub.lists["pulls/7/reviews"] = [*many, review("olga", "APPROVED", HEAD)]
    assert ACTION.ask_who_brought(forge(hub), MERGED).approved_by == ("olga",)
    assert hub.asked.count("GET pulls/7/reviews") == 3


# --- when GitHub does not answer ------------------------------------------------------------------


def test_what_may_pass_is_asked_again_and_then_told(hub: GitHub) -> None:
    hub.lists[f"commits/{MERGED}/pulls"] = []
    hub.busy = [502, 503, 429]
    assert ACTION.ask_who_brought(forge(hub), MERGED) is None
    hub.busy = [502] * ACTION.ATTEMPTS_MAX
    with pytest.raises(ACTION.Failed, match=r"commits/a+/pulls.* is: 502"):
        ACTION.ask_who_brought(forge(hub), MERGED)


def test_a_refusal_is_told_at_once_and_never_read_as_nobody(hub: GitHub) -> None:
    with pytest.raises(ACTION.Failed, match="401"):
        ACTION.ask_who_brought(forge(hub, token="another"), MERGED)
    with pytest.raises(ACTION.Failed, match="404"):
        ACTION.ask_who_brought(forge(hub), MERGED)
    assert len(hub.asked) == 1, "the second was asked once too"


def test_a_github_that_is_not_there_is_told(hub: GitHub) -> None:
    nowhere = ACTION.Forge("http://127.0.0.1:1", REPOSITORY, TOKEN, sleep=lambda _: None)
    with pytest.raises(ACTION.Failed, match="refused"):
        ACTION.ask_who_brought(nowhere, MERGED)


# --- the comment ----------------------------------------------------------------------------------


def test_a_plan_is_one_comment_that_is_written_anew_in_its_place(hub: GitHub) -> None:
    comments = hub.lists["issues/7/comments"] = [comment(1, "looks good", "User")]
    ACTION.put_comment(forge(hub), 7, PLAN)
    assert hub.written == [("POST", "issues/7/comments", {"body": PLAN})]
    comments += [comment(2, f"{MARKER}\r\nolder"), comment(3, f"{MARKER}\nsecond")]
    ACTION.put_comment(forge(hub), 7, PLAN)
    assert hub.written[1:] == [("PATCH", "issues/comments/2", {"body": PLAN})]


@pytest.mark.parametrize(
    "there",
    [
        comment(1, PLAN, "User"),
        comment(1, "<!-- iam-ledger plan: other -->\nplan"),
        comment(1, f"quoted:\n{MARKER}"),
        comment(1, "", "Bot"),
    ],
)
def test_nothing_that_is_not_this_plans_comment_by_a_job_is_written_over(
    hub: GitHub, there: dict[str, Any]
) -> None:
    hub.lists["issues/7/comments"] = [there]
    ACTION.put_comment(forge(hub), 7, PLAN)
    assert [(method, path) for method, path, _ in hub.written] == [("POST", "issues/7/comments")]


def test_a_comment_that_says_the_same_already_is_left_alone(hub: GitHub) -> None:
    hub.lists["issues/7/comments"] = [comment(1, PLAN)]
    ACTION.put_comment(forge(hub), 7, PLAN)
    assert hub.written == []


def test_a_text_without_the_marker_is_never_posted(hub: GitHub) -> None:
    with pytest.raises(ACTION.Failed, match="no marker"):
        ACTION.put_comment(forge(hub), 7, "anything")
    assert hub.asked == []


# --- what the runner sees -------------------------------------------------------------------------


def test_what_a_pull_request_wrote_is_printed_between_marks_that_nobody_can_guess(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tokens = set()
    for _ in range(2):
        ACTION.say_unobeyed("::set-output name=a::b")
        first, text, last = capsys.readouterr().out.splitlines()
        token = first.removeprefix("::stop-commands::")
        assert (text, last, len(token)) == ("::set-output name=a::b", f"::{token}::", 32)
        tokens.add(token)
    assert len(tokens) == 2


def test_an_error_cannot_end_its_own_line() -> None:
    assert ACTION.escaped("50 %\nof it\r") == "50 %25%0Aof it%0D"
