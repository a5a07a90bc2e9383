"""What git knows of the configuration directory: its commit, its state, and who wrote which line.

Invariant: git is only asked, never told to change anything; every question has a time limit, and an
answer that git cannot give is an error with its remedy, not a guess.
"""

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cli.exits import Exit, Stop
from ledger.commits import HistoryUnknown
from ledger.manifest import FOLDERS, SETTINGS_FILE

TIMEOUT_S = 60
"""For one question; blame of a long file in a long history takes some seconds."""

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")

_ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_NAMESPACE")
"""Variables (git sets them for its hooks) that would show us another work tree than CONFIG's."""


class GitUnusable(Stop):
    """CONFIG is in a git work tree and git does not answer: nothing was read or appended."""

    def __init__(self, message: str) -> None:
        super().__init__(Exit.CONFIGURATION, message)


@dataclass(frozen=True, slots=True)
class Answered:
    code: int
    out: str
    error: str


@dataclass(frozen=True, slots=True)
class Git:
    """git, asked from inside one folder."""

    folder: Path
    environment: Mapping[str, str] = field(repr=False)
    """The process's own, as given by the caller."""
    program: str = "git"

    def ask(self, *arguments: str) -> Answered:
        """git's answer, whatever its exit code; GitUnusable when there is none.

        FileNotFoundError when there is no git.
        """
        # Messages in English for us to recognise, paths taken as they are, no lock for looking.
        ours = {"LC_ALL": "C.UTF-8", "LANGUAGE": "C", "GIT_LITERAL_PATHSPECS": "1"}
        ours |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_PAGER": "cat"}
        kept = {name: value for name, value in self.environment.items() if name not in _ELSEWHERE}
        try:
            done = subprocess.run(  # noqa: S603  a list, no shell; names are behind `--`
                [self.program, *arguments],
                cwd=self.folder,
                env=kept | ours,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            asked = " ".join(arguments[:2])
            raise GitUnusable(
                f"`git {asked}` did not answer within {TIMEOUT_S} s; nothing was appended. "
                "Is the file system slow, or the clone a partial one that fetches as it goes?"
            ) from None
        except (NotADirectoryError, PermissionError) as error:
            raise GitUnusable(f"git cannot be run in {self.folder}: {error.strerror}") from None
        return Answered(
            done.returncode,
            done.stdout.decode("utf-8", "replace"),
            done.stderr.decode("utf-8", "replace").strip(),
        )

    def answer(self, *arguments: str) -> str:
        """What git says; GitUnusable when it refuses."""
        answered = self.ask(*arguments)
        if answered.code != 0:
            raise GitUnusable(f"`git {' '.join(arguments[:2])}` failed: {answered.error}")
        return answered.out


@dataclass(frozen=True, slots=True)
class WorkTree:
    """The git work tree that holds CONFIG. Is `ledger.commits.Commits`."""

    git: Git
    config: str
    """CONFIG inside the work tree, POSIX, with a slash behind it; empty for the top."""
    head: str
    dirty: bool
    """Whether the YAML that is read differs from `head`, untracked and ignored files included."""
    shallow: bool

    def is_ancestor(self, commit: str) -> bool:
        """Whether `commit` is `head` or an ancestor of it; HistoryUnknown in a shallow clone."""
        if commit == self.head:
            return True
        if _COMMIT.match(commit):
            answered = self.git.ask("merge-base", "--is-ancestor", commit, self.head)
            if answered.code == 0:
                return True
        if self.shallow:
            raise HistoryUnknown(
                f"this is a shallow clone: git cannot tell whether {commit[:12]}, ingested last, "
                f"comes before {self.head[:12]}. Fetch the whole history (`fetch-depth: 0` for "
                "actions/checkout, GIT_DEPTH: 0 for GitLab, `git fetch --unshallow`); nothing was "
                "appended"
            )
        return False

    def resolve(self, name: str) -> str:
        """`name` (a branch, a tag, a short id) as a full commit id; GitUnusable when unknown."""
        found = self.git.ask("rev-parse", "--verify", "--quiet", "--end-of-options", name + "^0")
        if found.code != 0:
            raise GitUnusable(f"git knows no commit `{name}` here; nothing was appended")
        return found.out.strip()


def find_work_tree(config: Path, environment: Mapping[str, str]) -> WorkTree | None:
    """The work tree that holds `config`; None outside one, or where there is no commit yet.

    Raises GitUnusable where there is one and git is missing or refuses it.
    """
    git = Git(config.resolve(), environment)
    if not git.folder.is_dir():
        return None
    try:
        found = git.ask("rev-parse", "--is-inside-work-tree", "--show-prefix")
    except FileNotFoundError:
        _check_no_work_tree(git.folder)
        return None
    if found.code != 0:
        _check_outside(git.folder, found.error)
        return None
    inside, prefix = (*found.out.splitlines(), "", "")[:2]
    if inside != "true":
        return None
    head = git.ask("rev-parse", "--verify", "--quiet", "HEAD^0")
    if head.code != 0:
        return None
    return WorkTree(
        git=git,
        config=prefix,
        head=head.out.strip(),
        dirty=bool(changed_files(git)),
        shallow=git.answer("rev-parse", "--is-shallow-repository").strip() == "true",
    )


def _check_no_work_tree(folder: Path) -> None:
    """There is no git: fine where there is no work tree either, else GitUnusable."""
    top = _top(folder)
    if top is not None:
        raise GitUnusable(
            f"{folder} is in the git work tree {top}, and git is not installed: without it nobody "
            "can tell which commit this is, or whether it is older than what was ingested. Install "
            "git; nothing was appended"
        )


def _check_outside(folder: Path, error: str) -> None:
    """git found no work tree: fine where that is its reason, else GitUnusable."""
    if "dubious ownership" in error:
        raise GitUnusable(
            f"git refuses {folder}, because somebody else owns its work tree. If you trust it: "
            f"git config --global --add safe.directory '{_owned(error) or folder}'; nothing was "
            "appended"
        )
    top = _top(folder)
    if top is not None or "not a git repository" not in error:
        raise GitUnusable(
            f"git cannot read the work tree of {top or folder}: {error}; nothing was appended"
        )


def _top(folder: Path) -> Path | None:
    """The work tree above `folder`, by what stands on the disk; None: there is none."""
    return next((at for at in (folder, *folder.parents) if (at / ".git").exists()), None)


def _owned(error: str) -> str | None:
    found = re.search(r"dubious ownership in repository at '(.*)'", error)
    return found[1] if found else None


def changed_files(git: Git) -> tuple[str, ...]:
    """The YAML of CONFIG that differs from the commit, as git's status names it."""
    said = git.answer(
        "status",
        "--porcelain=v1",
        "-z",
        "--untracked-files=all",
        "--ignored=matching",
        "--no-renames",
        "--",
        *FOLDERS,
        SETTINGS_FILE,
    )
    names = (entry[3:] for entry in said.split("\0") if len(entry) > 3)
    return tuple(name for name in names if name.endswith((".yaml", ".yml", "/")))


def commits_of(git: Git, head: str) -> dict[str, int]:
    """The commits that the branch of `head` went through, newest first: commit -> its place."""
    said = git.answer("rev-list", "--first-parent", head)
    return {commit: place for place, commit in enumerate(said.split())}


__all__: Sequence[str] = (
    "Answered",
    "Git",
    "GitUnusable",
    "WorkTree",
    "changed_files",
    "commits_of",
    "find_work_tree",
)
