"""Who brought a line to the branch, when, and who wrote it: git's blame as provenance.

Invariant: a line is credited to the commit that last touched what decides it, and to nothing else;
what git cannot say stays None ("not recorded"). A pull request and approvers that were given belong
to the commit they were given for; a line of another commit has none.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cli.ci import Given
from cli.git import Git, GitUnusable, WorkTree, changed_files, commits_of
from ledger.decide.decision import Declared, Gone, Origin
from ledger.envelope import Provenance
from ledger.ingest import source_text

_HEADER = re.compile(r"([0-9a-f]{40,64}) [0-9]+ ([0-9]+)(?: [0-9]+)?\Z")

FIELDS = "%H%x00%ct%x00%an%x00%ae"
"""git log's words for: commit, committed at (seconds), author's name and address."""


@dataclass(frozen=True, slots=True)
class Credit:
    """What git says of one line."""

    commit: str
    author: str
    committed_at: datetime


Lines = dict[int, Credit]
"""Line number (1-based) -> credit; a line that no commit holds is absent."""


def parse_blame(text: str) -> Lines:
    """The lines of `git blame --porcelain`. Uncommitted lines are left out."""
    facts: dict[str, dict[str, str]] = {}
    lines: Lines = {}
    commit, number = "", 0
    for row in text.split("\n"):
        if row.startswith("\t"):
            if commit.strip("0"):
                lines[number] = _credit(commit, facts[commit])
            continue
        header = _HEADER.match(row)
        if header:
            commit, number = header[1], int(header[2])
            facts.setdefault(commit, {})
        else:
            key, _, value = row.partition(" ")
            facts.setdefault(commit, {})[key] = value
    return lines


def _credit(commit: str, facts: dict[str, str]) -> Credit:
    author = _author(facts["author"], facts["author-mail"].strip("<>"))
    return Credit(commit, author, datetime.fromtimestamp(int(facts["committer-time"]), UTC))


def _author(name: str, mail: str) -> str:
    return f"{name} <{mail}>" if mail else name


@dataclass(slots=True)
class GitTrace:
    """Answers where lines came from, by the work tree that they stand in. Is `ingest.Trace`."""

    tree: WorkTree
    given: Given
    _branch: dict[str, Lines] = field(default_factory=dict)
    _written: dict[str, Lines] = field(default_factory=dict)
    _places: dict[str, int] | None = None
    _changed: frozenset[str] | None = None

    def __call__(self, origins: Sequence[Origin | None]) -> Sequence[Provenance]:
        return [self._answer(origin) for origin in origins]

    def _answer(self, origin: Origin | None) -> Provenance:
        source = source_text(origin)
        match origin:
            case None:
                return self._of(source, self._read_commit())
            case Declared():
                return self._of(source, self._newest(origin))
            case Gone():
                return self._of(source, self._taken_away(origin))

    def _of(self, source: str | None, credit: Credit | None) -> Provenance:
        """`credit` with what was given for that very commit."""
        if credit is None:
            return Provenance(source=source, run_url=self.given.run_url)
        mine = self.given if credit.commit == self.given.commit else Given()
        return Provenance(
            source=source,
            commit=credit.commit,
            author=mine.author or credit.author,
            merged_at=mine.merged_at or credit.committed_at,
            pull_request=mine.pull_request,
            approved_by=mine.approved_by,
            run_url=self.given.run_url,
        )

    def _read_commit(self) -> Credit | None:
        return self._log(self.given.commit or self.tree.head)

    # --- lines that stand ---------------------------------------------------------------------

    def _newest(self, origin: Declared) -> Credit | None:
        """The commit that brought the newest of the deciding lines, with that line's author."""
        by_commit: dict[str, list[Credit]] = {}
        when: dict[str, datetime] = {}
        for source in origin.deciding:
            branch, written = self._blames(source.path)
            brought = branch.get(source.line)
            if brought is None:
                return None  # not committed: newer than every commit
            when[brought.commit] = brought.committed_at
            by_commit.setdefault(brought.commit, []).append(written.get(source.line, brought))
        if not by_commit:
            return None
        newest = min(by_commit, key=self._place)
        writers = by_commit[newest]
        author = max(writers, key=lambda credit: credit.committed_at).author
        return Credit(newest, author, when[newest])

    def _place(self, commit: str) -> int:
        if self._places is None:
            self._places = commits_of(self.tree.git, self.tree.head)
        return self._places.get(commit, len(self._places))

    def _blames(self, path: str) -> tuple[Lines, Lines]:
        if path not in self._branch:
            git = self.tree.git
            self._branch[path] = _blame(git, path, "--first-parent")
            self._written[path] = _blame(git, path)
        return self._branch[path], self._written[path]

    # --- lines that stand no more -------------------------------------------------------------

    def _taken_away(self, origin: Gone) -> Credit | None:
        """The newest commit since the last ingest that touched the file they stood in."""
        if origin.path is None or origin.since is None or self._is_changed(origin.path):
            return None
        span = f"{origin.since}..{self.tree.head}"
        brought = self._log("--first-parent", "-m", span, path=origin.path)
        if brought is None:
            return None
        written = self._log(span, path=origin.path)
        return (
            brought
            if written is None
            else Credit(brought.commit, written.author, brought.committed_at)
        )

    def _is_changed(self, path: str) -> bool:
        """Whether the file differs from the commit: its lines may be gone from no commit yet."""
        if self._changed is None:
            self._changed = frozenset(changed_files(self.tree.git))
        return self.tree.config + path in self._changed

    def _log(self, *which: str, path: str | None = None) -> Credit | None:
        """The newest commit of `which`; None when git finds none or does not know them."""
        behind = ("--", path) if path is not None else ("--",)
        answered = self.tree.git.ask("log", "-1", f"--format={FIELDS}", "-s", *which, *behind)
        if answered.code != 0 or not answered.out.strip():
            return None
        commit, seconds, name, mail = answered.out.strip("\n").split("\0")
        return Credit(commit, _author(name, mail), datetime.fromtimestamp(int(seconds), UTC))


def _blame(git: Git, path: str, *options: str) -> Lines:
    """Each line of the file as it stands; nothing for a file that no commit holds."""
    # A setting may name commits to look through: a line would be credited to somebody who did not
    # write it. An empty name, given last, clears that list (git-blame, "--ignore-revs-file").
    asked = ("blame", "--porcelain", "--encoding=UTF-8", "--ignore-revs-file=", *options)
    answered = git.ask(*asked, "--", path)
    if answered.code == 0:
        return parse_blame(answered.out)
    if "no such path" in answered.error or "no such ref" in answered.error:
        return {}
    raise GitUnusable(f"`git blame {path}` failed: {answered.error}; nothing was appended")


def given_trace(given: Given, origins: Sequence[Origin | None]) -> Sequence[Provenance]:
    """Outside a work tree: what was given is said of the whole ingest; lines have their place.

    Which commit brought a line nobody knows there, so no line is credited to the one given.
    """
    return [
        Provenance(
            source=source_text(origin),
            commit=given.commit if origin is None else None,
            author=given.author if origin is None else None,
            merged_at=given.merged_at if origin is None else None,
            pull_request=given.pull_request if origin is None else None,
            approved_by=given.approved_by if origin is None else (),
            run_url=given.run_url,
        )
        for origin in origins
    ]
