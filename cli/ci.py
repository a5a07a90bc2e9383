"""What the CI system that runs us says about the commit and its pull request.

Invariant: nothing is borrowed. A variable speaks of the commit that the CI system names, and of no
other; what no variable says stays None. The environment is given, never read here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

_PULL = re.compile(r"refs/pull/([0-9]+)/(?:merge|head)\Z")


@dataclass(frozen=True, slots=True)
class Given:
    """What is known of one commit, from a person's flags or from CI. None: not said."""

    commit: str | None = None
    author: str | None = None
    merged_at: datetime | None = None
    pull_request: str | None = None
    """Its URL, or what was given."""
    approved_by: tuple[str, ...] = ()
    run_url: str | None = None
    """Of the run itself: true of everything that it appends, whatever commit a line is of."""


def from_environment(environment: Mapping[str, str]) -> Given:
    """What GitHub Actions or GitLab CI says; nothing outside of them.

    Sources: GitHub, "Default environment variables"; GitLab, "Predefined CI/CD variables". Neither
    names the approvers, and GitHub's actor is who started the run, not who wrote the commit.
    """
    if environment.get("GITHUB_ACTIONS") == "true":
        return _github(environment)
    if environment.get("GITLAB_CI") == "true":
        return _gitlab(environment)
    return Given()


def _github(environment: Mapping[str, str]) -> Given:
    server = environment.get("GITHUB_SERVER_URL", "https://github.com").rstrip("/")
    repository = environment.get("GITHUB_REPOSITORY")
    run, attempt = environment.get("GITHUB_RUN_ID"), environment.get("GITHUB_RUN_ATTEMPT", "1")
    pull = _PULL.match(environment.get("GITHUB_REF", ""))
    run_url = None
    if repository and run:
        run_url = f"{server}/{repository}/actions/runs/{run}"
        if attempt != "1":
            run_url += f"/attempts/{attempt}"
    return Given(
        commit=environment.get("GITHUB_SHA") or None,
        pull_request=f"{server}/{repository}/pull/{pull[1]}" if pull and repository else None,
        run_url=run_url,
    )


def _gitlab(environment: Mapping[str, str]) -> Given:
    project = environment.get("CI_MERGE_REQUEST_PROJECT_URL") or environment.get("CI_PROJECT_URL")
    request = environment.get("CI_MERGE_REQUEST_IID")
    return Given(
        commit=environment.get("CI_COMMIT_SHA") or None,
        author=environment.get("CI_COMMIT_AUTHOR") or None,
        pull_request=f"{project}/-/merge_requests/{request}" if project and request else None,
        run_url=environment.get("CI_JOB_URL") or environment.get("CI_PIPELINE_URL") or None,
    )


def settle(flags: Given, ci: Given, *, head: str | None) -> Given:
    """What holds: flag before work tree before CI, each only of the commit that it speaks of.

    `flags.commit`, where given, must be in full already. `head` is the work tree's commit; None
    outside one. With `head` the author and the merge are git's to say, line by line.
    """
    commit = flags.commit or head or ci.commit
    run_url = flags.run_url or ci.run_url
    if commit is None or ci.commit != commit:
        return replace(flags, commit=commit, run_url=run_url)
    return Given(
        commit=commit,
        author=flags.author or (ci.author if head is None else None),
        merged_at=flags.merged_at,
        pull_request=flags.pull_request or ci.pull_request,
        approved_by=flags.approved_by,
        run_url=run_url,
    )
