"""Who brought a line: merges, squashes, formatting, removals, and what was given for one commit."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from cli.blame import GitTrace, given_trace
from cli.ci import Given
from cli.git import find_work_tree
from ledger.decide.decision import Declared, Gone
from ledger.envelope import Provenance
from ledger.manifest import DeclaredGrant, Source, read
from tests.support.builders import NOW, Files, at, directory, permanent, temporary
from tests.support.repositories import ANA, BEN, MERGER, Repository

ONE = directory(standing=[permanent("ana")])
TWO = directory(standing=[permanent("ana"), permanent("bob")])
PATH = "permanent-access/payments.yaml"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository.create(tmp_path / "work")


def trace(repository: Repository, given: Given | None = None, folder: str = "") -> GitTrace:
    tree = find_work_tree(repository.path / folder, repository.environment)
    assert tree is not None
    return GitTrace(tree, given or Given(commit=tree.head))


def declared(files: Files, name: str) -> DeclaredGrant:
    manifest = read(files, now=NOW).manifest
    assert manifest is not None
    return next(grant for grant in manifest.grants if grant.principal.name == name)


def of(
    repository: Repository, name: str, given: Given | None = None, folder: str = ""
) -> Provenance:
    """The provenance of the newest line for `name`, as the files stand."""
    grant = declared(repository.files(folder), name)
    (found,) = trace(repository, given, folder)([Declared(grant.sources[0], grant.deciding)])
    return found


def brought(provenance: Provenance) -> tuple[str | None, str | None, datetime | None]:
    return provenance.commit, provenance.author, provenance.merged_at


def person(who: tuple[str, str]) -> str:
    return f"{who[0]} <{who[1]}>"


def test_a_line_is_credited_to_its_commit_and_other_lines_to_theirs(
    repository: Repository,
) -> None:
    first = repository.commit(ONE, who=ANA)
    second = repository.commit(TWO, who=BEN, when=at(1))
    assert brought(of(repository, "ana")) == (first, person(ANA), NOW)
    assert brought(of(repository, "bob")) == (second, person(BEN), at(1))
    assert of(repository, "bob").source == f"{PATH}:18"


def test_a_merge_brought_it_and_the_branch_wrote_it(repository: Repository) -> None:
    repository.commit(ONE)
    repository.git("checkout", "--quiet", "-b", "feature")
    repository.commit(TWO, who=BEN, when=at(1))
    repository.git("checkout", "--quiet", "main")
    repository.git("merge", "--quiet", "--no-ff", "-m", "m", "feature", who=MERGER, when=at(5))
    assert brought(of(repository, "bob")) == (repository.head, person(BEN), at(5))


def test_a_squash_merge_is_credited_to_its_author_at_the_merge(repository: Repository) -> None:
    repository.commit(ONE)
    repository.git("checkout", "--quiet", "-b", "feature")
    repository.commit(TWO, who=ANA, when=at(1))
    repository.git("checkout", "--quiet", "main")
    repository.git("merge", "--quiet", "--squash", "feature")
    squash = repository.commit(who=BEN, committer=MERGER, when=at(5))
    assert brought(of(repository, "bob")) == (squash, person(BEN), at(5))


def test_the_commit_that_changed_a_part_of_a_line_brought_the_grant(
    repository: Repository,
) -> None:
    repository.commit(directory(windows=[temporary(duration="4h")]), who=ANA)
    second = repository.commit(directory(windows=[temporary(duration="6h")]), who=BEN, when=at(1))
    repository.commit(
        directory(windows=[temporary(duration="6h"), temporary("bob", duration="1h")]), when=at(2)
    )
    assert brought(of(repository, "ana")) == (second, person(BEN), at(1))


def test_the_commit_that_made_another_account_of_the_environment_brought_the_grant(
    repository: Repository,
) -> None:
    repository.commit(ONE, who=ANA)
    remapped = directory(
        standing=[permanent("ana")], accounts={"prod": "333333333333", "dev": "222222222222"}
    )
    second = repository.commit(remapped, who=BEN, when=at(1))
    assert brought(of(repository, "ana")) == (second, person(BEN), at(1))
    assert of(repository, "ana").source == f"{PATH}:6"


def test_the_newest_is_by_the_branch_and_not_by_a_clock(repository: Repository) -> None:
    repository.commit(directory(windows=[temporary(duration="4h")]), when=at(9))
    second = repository.commit(directory(windows=[temporary(duration="6h")]), who=BEN, when=at(1))
    assert of(repository, "ana").commit == second


def test_a_formatting_commit_is_credited_with_what_it_wrote(repository: Repository) -> None:
    """YAML's meaning hangs on white space: whoever moves a line answers for it."""
    repository.commit(ONE, who=ANA)
    indented = {path: text.replace(b"\n ", b"\n   ") for path, text in ONE.items()}
    formatting = repository.commit(indented, who=BEN, when=at(1))
    repository.git("config", "blame.ignoreRevsFile", "ignored")
    (repository.path / "ignored").write_text(formatting + "\n")
    assert brought(of(repository, "ana")) == (formatting, person(BEN), at(1))


def test_an_uncommitted_line_has_no_commit_and_borrows_none(repository: Repository) -> None:
    head = repository.commit(ONE)
    repository.write(TWO)
    given = Given(commit=head, pull_request="7", approved_by=("olga",), run_url="run")
    assert of(repository, "bob", given) == Provenance(source=f"{PATH}:18", run_url="run")
    assert of(repository, "ana", given).commit == head


def test_a_line_changed_in_part_and_not_committed_is_credited_to_nobody(
    repository: Repository,
) -> None:
    repository.commit(directory(windows=[temporary(duration="4h")]))
    repository.write(directory(windows=[temporary(duration="6h")]))
    assert of(repository, "ana").commit is None


def test_an_untracked_file_has_no_commit(repository: Repository) -> None:
    repository.commit(directory())
    repository.write(ONE)
    assert of(repository, "ana") == Provenance(source=f"{PATH}:6")


def test_names_of_any_kind_are_read(repository: Repository) -> None:
    folder = "access rights/zugänge [1]"
    head = repository.commit(ONE, folder=folder, who=('Åsa "Ace" Öst', "asa@example.com"))
    assert brought(of(repository, "ana", folder=folder)) == (
        head,
        'Åsa "Ace" Öst <asa@example.com>',
        NOW,
    )


# --- what was given ---------------------------------------------------------------------------


def test_a_pull_request_and_its_approvers_belong_to_their_commit_only(
    repository: Repository,
) -> None:
    repository.commit(ONE)
    head = repository.commit(TWO, when=at(1))
    given = Given(
        commit=head,
        author="Grace",
        merged_at=at(3),
        pull_request="https://git.example/pull/7",
        approved_by=("olga", "piet"),
        run_url="https://ci.example/1",
    )
    bob = of(repository, "bob", given)
    assert (bob.pull_request, bob.approved_by) == ("https://git.example/pull/7", ("olga", "piet"))
    assert brought(bob) == (head, "Grace", at(3))
    ana = of(repository, "ana", given)
    assert (ana.pull_request, ana.approved_by) == (None, ())
    assert ana.author == person(ANA)
    assert ana.run_url == bob.run_url == "https://ci.example/1"


def test_the_ingest_itself_is_of_the_commit_read(repository: Repository) -> None:
    head = repository.commit(ONE, who=BEN)
    given = Given(commit=head, pull_request="7", approved_by=("olga",))
    (found,) = trace(repository, given)([None])
    assert found == Provenance(
        commit=head,
        author=person(BEN),
        merged_at=NOW,
        pull_request="7",
        approved_by=("olga",),
    )


def test_outside_a_work_tree_no_line_is_credited_to_the_commit_given() -> None:
    given = Given(commit="abc", author="Grace", approved_by=("olga",), run_url="run")
    line = Declared(Source(PATH, 3, 1), ())
    found = given_trace(given, [line, Gone(PATH, None), None])
    assert found == [
        Provenance(source=f"{PATH}:3", run_url="run"),
        Provenance(source=PATH, run_url="run"),
        Provenance(commit="abc", author="Grace", approved_by=("olga",), run_url="run"),
    ]


# --- removals ---------------------------------------------------------------------------------


def removal(repository: Repository, since: str | None, path: str | None = PATH) -> Provenance:
    (found,) = trace(repository)([Gone(path, since)])
    return found


def test_a_removed_line_takes_the_newest_commit_that_touched_its_file(
    repository: Repository,
) -> None:
    ingested = repository.commit(TWO)
    took = repository.commit(ONE, who=BEN, when=at(1))
    repository.commit(ONE | directory("other"), when=at(2))
    found = removal(repository, ingested)
    assert brought(found) == (took, person(BEN), at(1))
    assert found.source == PATH


def test_a_line_removed_by_a_merge_is_the_merges_and_its_writers(repository: Repository) -> None:
    ingested = repository.commit(TWO)
    repository.git("checkout", "--quiet", "-b", "feature")
    repository.commit(ONE, who=BEN, when=at(1))
    repository.git("checkout", "--quiet", "main")
    repository.git("merge", "--quiet", "--no-ff", "-m", "m", "feature", who=MERGER, when=at(5))
    assert brought(removal(repository, ingested)) == (repository.head, person(BEN), at(5))


def test_a_removal_before_the_last_ingest_explains_nothing(repository: Repository) -> None:
    repository.commit(TWO)
    head = repository.commit(ONE, when=at(1))
    assert removal(repository, head).commit is None
    for unknown in (None, "0" * 40):
        assert removal(repository, unknown).commit is None
    assert removal(repository, head, path=None) == Provenance()


def test_a_removal_that_no_commit_holds_is_credited_to_none(repository: Repository) -> None:
    ingested = repository.commit(directory(standing=[permanent("carl")]))
    repository.commit(TWO, when=NOW + timedelta(hours=1))
    repository.write(ONE)
    assert removal(repository, ingested).commit is None
