"""From a command line to one reading of the directory: files, commit, and where lines came from.

Invariant: git and the CI system are asked about the very directory that is read, and whatever was
given for one commit is said of no other.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.ci import Given, from_environment, settle
from cli.directory import Files
from cli.options import with_config
from cli.session import Session

if TYPE_CHECKING:
    from cli.git import WorkTree
    from ledger.ingest import IngestRequest

F = TypeVar("F", bound=Callable[..., Any])

_FULL = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")


@dataclass(frozen=True, slots=True)
class Flags:
    """What a command line says about a reading."""

    teams: tuple[str, ...]
    """Empty: the whole directory."""
    allow_revocations: int | None
    allow_stale: bool
    given: Given = field(default_factory=Given)


def with_reading(function: F) -> F:
    """Which directory, which teams of it, and what a person allows."""
    for decorate in (
        click.option("--allow-stale", is_flag=True, help="Also a commit that is not a newer one."),
        click.option(
            "--allow-revocations",
            type=click.IntRange(min=0),
            metavar="N",
            help="So many accesses may end; else the brake stops many at once.",
        ),
        click.option("--team", "teams", multiple=True, metavar="NAME", help="Only it; repeatable."),
        with_config,
    ):
        function = decorate(function)
    return function


def check_teams(asked: Iterable[str], known: Iterable[str], nowhere: str) -> None:
    """Usage error for a team that nobody knows: a typing error. `nowhere` says who was asked."""
    names = sorted(known)
    for team in sorted(set(asked).difference(names)):
        near = get_close_matches(team, names, n=1)
        hint = f"; did you mean `{near[0]}`?" if near else ""
        raise click.UsageError(f"--team `{team}`: {nowhere}{hint}")


def request_of(session: Session, files: Files, flags: Flags, *, dry_run: bool) -> "IngestRequest":
    """What `ledger.ingest` is asked; GitUnusable (78) where git cannot say what it must."""
    from cli.blame import GitTrace, given_trace
    from cli.git import find_work_tree
    from ledger.ingest import IngestRequest
    from ledger.model import Team
    from worker.iam.checks import refusal_of

    variables = session.environment.variables
    tree = find_work_tree(files.config, variables)
    asked = replace(flags.given, commit=_in_full(flags.given.commit, tree))
    given = settle(asked, from_environment(variables), head=None if tree is None else tree.head)
    return IngestRequest(
        files=files.files,
        now=session.now(),
        folders=files.others,
        teams=frozenset(map(Team, flags.teams)) or None,
        commits=tree,
        commit=given.commit,
        trace=partial(given_trace, given) if tree is None else GitTrace(tree, given),
        check=refusal_of,
        consent=flags.allow_revocations,
        allow_stale=flags.allow_stale,
        dry_run=dry_run,
    )


def _in_full(commit: str | None, tree: "WorkTree | None") -> str | None:
    if commit is None:
        return None
    if tree is not None:
        return tree.resolve(commit)
    if not _FULL.match(commit):
        raise click.UsageError(
            f"--commit is `{commit}`, and the directory is in no git work tree that could tell "
            "which one is meant; give its id in full, 40 characters"
        )
    return commit
