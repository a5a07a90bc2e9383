"""Stale commits and dirty trees, in real clones of real repositories."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import URL

from cli.blame import GitTrace, given_trace
from cli.ci import Given
from cli.git import GitUnusable, find_work_tree
from ledger.commits import HistoryUnknown
from ledger.errors import StaleCommit
from ledger.events import Granted, Ingested
from ledger.ingest import IngestRequest, Report, ingest, plan
from ledger.store import Ledger
from tests.support.builders import NOW, at, directory, permanent, temporary
from tests.support.repositories import BEN, Repository

ONE = directory(standing=[permanent("ana")])
TWO = directory(standing=[permanent("ana", "bob")])
THREE = directory(standing=[permanent("ana", "bob", "carl")])


@pytest.fixture
async def ledger(ledger_url: URL) -> AsyncIterator[Ledger]:
    async with Ledger(ledger_url) as opened:
        yield opened


@pytest.fixture
def origin(tmp_path: Path) -> Repository:
    return Repository.create(tmp_path / "origin")


def request(repository: Repository, now: datetime = NOW, folder: str = "") -> IngestRequest:
    """What the command line makes of a work tree."""
    tree = find_work_tree(repository.path / folder, repository.environment)
    files = repository.files(folder)
    if tree is None:
        return IngestRequest(files, now, trace=partial(given_trace, Given()))
    return IngestRequest(files, now, commits=tree, trace=GitTrace(tree, Given()))


async def run(ledger: Ledger, repository: Repository, now: datetime = NOW) -> Report:
    return await ingest(ledger, request(repository, now))


async def test_a_full_clone_goes_forward_and_never_back(
    ledger: Ledger, origin: Repository, tmp_path: Path
) -> None:
    first = origin.commit(ONE)
    origin.commit(TWO)
    clone = origin.clone(tmp_path / "full")
    await run(ledger, clone)
    clone.git("checkout", "--quiet", first)
    with pytest.raises(StaleCommit):
        await run(ledger, clone, at(1))
    clone.git("checkout", "--quiet", "main")
    newest = clone.commit(THREE)
    report = await run(ledger, clone, at(2))
    assert (report.commit, report.counts.granted) == (newest, 1)


async def test_a_shallow_clone_cannot_tell_and_says_what_to_fetch(
    ledger: Ledger, origin: Repository, tmp_path: Path
) -> None:
    origin.commit(ONE)
    await run(ledger, origin)
    origin.commit(TWO)
    shallow = origin.clone(tmp_path / "shallow", "--depth", "1")
    with pytest.raises(HistoryUnknown, match="fetch-depth: 0"):
        await run(ledger, shallow, at(1))
    planned = await plan(ledger, request(shallow, at(1)))
    assert [note.code for note in planned.stops] == ["history-unknown"]
    forced = await ingest(ledger, replace(request(shallow, at(1)), allow_stale=True))
    assert forced.counts.granted == 1


async def test_a_shallow_clone_of_the_very_commit_ingested_last_needs_no_history(
    ledger: Ledger, origin: Repository, tmp_path: Path
) -> None:
    origin.commit(ONE)
    origin.commit(TWO)
    await run(ledger, origin)
    shallow = origin.clone(tmp_path / "shallow", "--depth", "1")
    assert (await run(ledger, shallow, at(1))).events == ()


async def test_a_sibling_branch_is_refused(
    ledger: Ledger, origin: Repository, tmp_path: Path
) -> None:
    origin.commit(ONE)
    origin.git("checkout", "--quiet", "-b", "sibling")
    origin.commit(THREE)
    origin.git("checkout", "--quiet", "main")
    origin.commit(TWO)
    await run(ledger, origin)
    sibling = origin.clone(tmp_path / "sibling", "--branch", "sibling", "--single-branch")
    with pytest.raises(StaleCommit):
        await run(ledger, sibling, at(1))


async def test_rewritten_history_is_refused(ledger: Ledger, origin: Repository) -> None:
    origin.commit(ONE)
    origin.commit(TWO)
    await run(ledger, origin)
    origin.git("reset", "--quiet", "--hard", "HEAD~1")
    origin.commit(THREE, when=at(1))
    with pytest.raises(StaleCommit, match="--allow-stale"):
        await run(ledger, origin, at(2))
    origin.git("reflog", "expire", "--expire=now", "--all")
    origin.git("gc", "--quiet", "--prune=now")
    with pytest.raises(StaleCommit):
        await run(ledger, origin, at(2))


async def test_a_merge_that_holds_both_branches_goes_on(ledger: Ledger, origin: Repository) -> None:
    origin.commit(ONE)
    await run(ledger, origin)
    origin.git("checkout", "--quiet", "-b", "feature")
    origin.commit(TWO)
    origin.git("checkout", "--quiet", "main")
    origin.git("merge", "--quiet", "--no-ff", "-m", "merge", "feature")
    assert (await run(ledger, origin, at(1))).counts.granted == 1


async def test_what_a_revert_brings_back_after_its_end_stays_over(
    ledger: Ledger, origin: Repository
) -> None:
    """Failure 10: neither a revert nor an old commit, forced in, gives expired access again."""
    with_window = origin.commit(directory(windows=[temporary(duration="4h")]))
    await run(ledger, origin)
    origin.commit(directory(windows=[temporary("bob", duration="1h", ticket="OPS-1")]))
    await ingest(ledger, replace(request(origin, at(1)), consent=1))
    origin.git("revert", "--no-edit", "HEAD")
    reverted = await run(ledger, origin, at(5))
    assert (reverted.counts.granted, [note.code for note in reverted.notes]) == (0, ["spent"])
    origin.git("checkout", "--quiet", with_window)
    forced = await ingest(ledger, replace(request(origin, at(6)), allow_stale=True))
    assert forced.counts.granted == 0


async def test_what_the_ledger_keeps_names_the_commit_and_its_author(
    ledger: Ledger, origin: Repository
) -> None:
    origin.commit(ONE)
    head = origin.commit(TWO, who=BEN, when=at(1))
    report = await run(ledger, origin, at(2))
    commits = {
        event.event.grant.principal.name: (event.provenance.commit, event.provenance.author)
        for event in report.events
        if isinstance(event.event, Granted)
    }
    assert commits["bob"] == (head, "Ben Okafor <ben@example.com>")


# --- dirty ------------------------------------------------------------------------------------


def edit(repository: Repository) -> None:
    repository.write(TWO)


def add(repository: Repository) -> None:
    repository.write(ONE | directory("other"))


def ignore(repository: Repository) -> None:
    (repository.path / ".git/info/exclude").write_text("aws-accounts/other.yaml\n")
    add(repository)
    for name in ("aws-policies/other.yaml",):
        (repository.path / name).unlink()


@pytest.mark.parametrize("change", [edit, add, ignore])
async def test_yaml_that_no_commit_holds_makes_the_tree_dirty(
    ledger: Ledger, origin: Repository, change: object
) -> None:
    origin.commit(ONE)
    assert callable(change)
    change(origin)
    report = await run(ledger, origin)
    assert [note.code for note in report.notes] == ["dirty"]
    event = report.events[-1].event
    assert isinstance(event, Ingested)
    assert (event.dirty, event.commit) == (True, origin.head)


async def test_what_is_not_read_makes_nothing_dirty(ledger: Ledger, origin: Repository) -> None:
    """The ledger's own file lies in the working folder by default."""
    origin.commit(ONE)
    for name in ("iam-ledger.db", "notes.yaml", "scripts", "permanent-access/ana.yaml~"):
        (origin.path / name).write_text("mine")
    assert (await run(ledger, origin)).notes == ()


async def test_only_files_of_the_configuration_count(ledger: Ledger, origin: Repository) -> None:
    origin.commit(ONE, folder="access rights/ünïcode")
    origin.write(TWO)
    folder = "access rights/ünïcode"
    report = await ingest(ledger, request(origin, folder=folder))
    assert report.notes == ()
    origin.write(TWO, folder)
    report = await ingest(ledger, request(origin, at(1), folder=folder))
    assert [note.code for note in report.notes] == ["dirty"]


# --- no git, or none that answers -------------------------------------------------------------


async def test_outside_a_work_tree_there_is_no_commit(ledger: Ledger, tmp_path: Path) -> None:
    outside = Repository(tmp_path / "plain")
    outside.write(ONE)
    report = await run(ledger, outside)
    assert (report.commit, report.compared, report.counts.granted) == (None, False, 1)


def test_a_repository_without_a_commit_is_no_place_to_compare(origin: Repository) -> None:
    assert find_work_tree(origin.path, origin.environment) is None


def test_a_folder_that_is_not_there_is_in_no_work_tree(origin: Repository) -> None:
    assert find_work_tree(origin.path / "absent", origin.environment) is None


def test_where_git_is_missing_only_a_work_tree_is_refused(
    origin: Repository, tmp_path: Path
) -> None:
    origin.commit(ONE)
    nowhere = origin.environment | {"PATH": str(tmp_path / "empty")}
    with pytest.raises(GitUnusable, match=r"git is not installed.*nothing was appended"):
        find_work_tree(origin.path / "aws-accounts", nowhere)
    (tmp_path / "plain").mkdir()
    assert find_work_tree(tmp_path / "plain", nowhere) is None


def test_a_work_tree_that_git_does_not_trust_is_refused_with_the_remedy(
    origin: Repository,
) -> None:
    origin.commit(ONE)
    other_owner = origin.environment | {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}
    with pytest.raises(GitUnusable, match=r"safe\.directory .*origin'.*nothing was appended"):
        find_work_tree(origin.path, other_owner)


def test_a_hooks_own_variables_do_not_lead_elsewhere(origin: Repository, tmp_path: Path) -> None:
    head = origin.commit(ONE)
    other = Repository.create(tmp_path / "other")
    other.commit(TWO)
    hook = origin.environment | {"GIT_DIR": str(other.path / ".git")}
    tree = find_work_tree(origin.path, hook)
    assert tree is not None
    assert tree.head == head


def test_a_name_for_a_commit_is_resolved_or_refused(origin: Repository) -> None:
    head = origin.commit(ONE)
    origin.git("tag", "-a", "-m", "first", "v1")
    tree = find_work_tree(origin.path, origin.environment)
    assert tree is not None
    assert {tree.resolve(name) for name in ("v1", "main", head[:10], head)} == {head}
    for name in ("v2", "--all", ""):
        with pytest.raises(GitUnusable, match="no commit"):
            tree.resolve(name)


def test_what_the_ledger_names_that_is_no_commit_id_is_no_ancestor(origin: Repository) -> None:
    origin.commit(ONE)
    tree = find_work_tree(origin.path, origin.environment)
    assert tree is not None
    assert not tree.is_ancestor("main")
    assert not tree.is_ancestor("--help")
