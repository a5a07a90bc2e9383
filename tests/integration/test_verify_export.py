"""The auditor's script: alone, it proves a whole period, and no forged export passes it."""

import ast
import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import URL

from ledger.checkpoint import checkpoint_in, parse_note
from ledger.codec import Envelope, chain_hash, encode
from ledger.envelope import Draft, Provenance
from tests.support.auditor import SCRIPT, script
from tests.support.commands import Ran, Shell
from tests.support.every_kind import EVERY_KIND
from tests.support.forging import FORGERIES, SIGNER, forge, hash_anew, sign, story
from tests.support.histories import Story, after, append_all, grant

PERIOD = ("--from", "2026-03-02T12:06:00Z", "--to", "2026-03-02T12:18:00Z")
"""Two of the story's twelve events, the seventh and the eighth."""

Line = dict[str, Any]


@pytest.fixture
def url(tmp_path: Path) -> URL:
    return story().write(tmp_path)


@pytest.fixture
def sealed(url: URL, tmp_path: Path) -> Path:
    file = tmp_path / "sealed.txt"
    file.write_text(str(sign(url)))
    return file


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    def run(*arguments: object) -> Ran:
        try:
            code = script.main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return run


def export(url: URL, folder: Path, *arguments: object) -> Path:
    file = folder / "export.ndjson"
    asked = Shell(url).run("export", *arguments)
    assert asked.code == 0, asked.err
    file.write_text(asked.out)
    return file


def lines_of(file: Path) -> list[Line]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def put(file: Path, lines: list[Line]) -> None:
    file.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


def chained(lines: list[Line]) -> list[Line]:
    """The same with positions and hashes as a skilled forger makes them."""
    rows = [Envelope(**{k: v for k, v in line.items() if k != "recorded_at"}) for line in lines]
    made = []
    for line, row in zip(lines, hash_anew(rows), strict=True):
        made.append(
            {"recorded_at": line["recorded_at"]} | {n: getattr(row, n) for n in row.__slots__}
        )
    return made


# --- one hash ---------------------------------------------------------------------------------


@pytest.mark.parametrize("event", EVERY_KIND, ids=lambda event: type(event).__name__)
def test_the_script_hashes_every_kind_as_the_ledger_does(event: Any) -> None:
    row = encode(
        Draft(event, 3, Provenance(author="Ana “é” 😀 \x7f\u2028")),
        position=7,
        recorded_at_us=1,
        prev_hash="ab" * 32,
    )
    assert script.hash_of({name: getattr(row, name) for name in row.__slots__}) == row.hash


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_OPTIONAL = st.none() | _TEXT


@given(
    st.builds(
        Envelope,
        position=st.integers(1, 2**62),
        recorded_at_us=st.integers(-(2**62), 2**62),
        kind=_TEXT,
        version=st.integers(0, 2**31),
        team=_OPTIONAL,
        account=_OPTIONAL,
        grant_id=_OPTIONAL,
        turn=st.none() | st.integers(0, 2**31),
        principal=_OPTIONAL,
        policy=_OPTIONAL,
        payload=_TEXT,
        provenance=_TEXT,
        dedup_key=_TEXT,
        prev_hash=_TEXT,
        hash=st.just(""),
    )
)
def test_the_script_hashes_whatever_can_stand_in_a_row_as_the_ledger_does(row: Envelope) -> None:
    said = {name: getattr(row, name) for name in row.__slots__}
    assert script.hash_of(said) == chain_hash(row)


# --- what holds -------------------------------------------------------------------------------


def test_a_whole_ledger_is_proven(
    url: URL, sealed: Path, tmp_path: Path, ask: Callable[..., Ran]
) -> None:
    file = export(url, tmp_path)
    told = ask(file, "--checkpoint", sealed, "--key", SIGNER.key)
    assert told.code == 0, told.out + told.err
    assert "signed by example.com/ledger+" in told.out
    assert "PROVEN: events 1 to 12" in told.out


def test_a_period_is_proven_with_what_joins_it_to_a_checkpoint(
    url: URL, sealed: Path, tmp_path: Path, ask: Callable[..., Ran]
) -> None:
    file = export(url, tmp_path, *PERIOD, "--checkpoint", sealed)
    told = ask(file, "--checkpoint", sealed, "--key", SIGNER.key, *PERIOD)
    assert told.code == 0, told.out + told.err
    assert "2 events are in the period" in told.out
    assert "PROVEN: events 6 to 12" in told.out


def test_a_date_means_the_whole_day_to_the_script_as_to_export(
    url: URL, sealed: Path, tmp_path: Path, ask: Callable[..., Ran]
) -> None:
    day = ("--from", "2026-03-02", "--to", "2026-03-02")
    file = export(url, tmp_path, *day, "--checkpoint", sealed)
    told = ask(file, "--checkpoint", sealed, "--key", SIGNER.key, *day)
    assert told.code == 0, told.out
    assert "12 events are in the period" in told.out


def test_a_period_by_itself_is_a_chain_and_proves_nothing(
    url: URL, sealed: Path, tmp_path: Path, ask: Callable[..., Ran]
) -> None:
    told = ask(export(url, tmp_path, *PERIOD), "--checkpoint", sealed, "--key", SIGNER.key, *PERIOD)
    assert told.code == 1
    assert "the one at 12 is not among these: export with `--checkpoint" in told.out
    assert "events at its beginning may be missing" in told.out
    assert "events at its end may be missing" in told.out


def test_what_no_checkpoint_vouches_for_is_said(
    url: URL, sealed: Path, tmp_path: Path, ask: Callable[..., Ran]
) -> None:
    grown = Story().granted(grant("eeee2222ffff3333", ends=after(20)), after(9))
    asyncio.run(append_all(url, grown.drafts))
    told = ask(export(url, tmp_path), "--checkpoint", sealed, "--key", SIGNER.key)
    assert told.code == 1
    assert "no checkpoint vouches for events 13 to 13" in told.out
    assert ask(export(url, tmp_path)).code == 1


def test_an_earlier_checkpoint_joins_on_to_what_follows_it(
    url: URL, sealed: Path, tmp_path: Path, ask: Callable[..., Ran]
) -> None:
    """The first event's previous hash is the one that was signed."""
    file = export(url, tmp_path)
    put(file, lines_of(file)[6:])
    early = tmp_path / "early.txt"
    seen = checkpoint_in(parse_note(sealed.read_bytes()))
    before = lines_of(file)[0]["prev_hash"]
    early.write_text(str(SIGNER.sign(replace(seen, size=6, hash=before))))
    told = ask(file, "--checkpoint", early, "--checkpoint", sealed, "--key", SIGNER.key)
    assert told.code == 0, told.out
    early.write_text(str(SIGNER.sign(replace(seen, size=6, hash="ab" * 32))))
    told = ask(file, "--checkpoint", early, "--checkpoint", sealed, "--key", SIGNER.key)
    assert told.code == 4


# --- attacks on the export --------------------------------------------------------------------


def _edit(lines: list[Line]) -> list[Line]:
    said = lines[4]["provenance"].replace("carol", "mallory")
    assert said != lines[4]["provenance"]
    return [*lines[:4], lines[4] | {"provenance": said}, *lines[5:]]


def _insert(lines: list[Line]) -> list[Line]:
    return [*lines[:6], lines[5] | {"dedup_key": "made up"}, *lines[6:]]


CHANGES: dict[str, Callable[[list[Line]], list[Line]]] = {
    "edit": _edit,
    "delete": lambda lines: lines[:5] + lines[6:],
    "insert": _insert,
    "reorder": lambda lines: [*lines[:1], lines[2], lines[1], *lines[3:]],
    "say another instant": lambda lines: [
        lines[0] | {"recorded_at": "2020-01-01T00:00:00Z"},
        *lines[1:],
    ],
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_export_is_told_at_its_place(
    url: URL, sealed: Path, tmp_path: Path, ask: Callable[..., Ran], name: str
) -> None:
    file = export(url, tmp_path)
    put(file, CHANGES[name](lines_of(file)))
    told = ask(file, "--checkpoint", sealed, "--key", SIGNER.key)
    assert told.code == 4
    assert "CHANGED" in told.out
    assert ask(file).code == 4


def hashed(line: Line, **changed: object) -> Line:
    """The line with another content and the hash of that."""
    made = line | changed
    return made | {"hash": script.hash_of(made)}


def test_what_only_looks_like_a_chain_is_told_by_what_is_wrong_with_it(
    url: URL, tmp_path: Path, ask: Callable[..., Ran]
) -> None:
    """Each row's own hash is right; its place, its link or its time is not."""
    file = export(url, tmp_path)
    lines = lines_of(file)
    last = lines[-1]
    early = lines[0]
    for changed, said in (
        (hashed(last, position=13), "it does not stand behind position 11"),
        (hashed(last, prev_hash="ab" * 32), "it does not follow the event before it"),
        (
            hashed(last, recorded_at=early["recorded_at"], recorded_at_us=early["recorded_at_us"]),
            "it was recorded before the event that precedes it",
        ),
    ):
        put(file, [*lines[:-1], changed])
        told = ask(file)
        assert told.code == 4
        assert said in told.out.splitlines()[0]
        assert sum(line.startswith("position ") for line in told.out.splitlines()) == 1


@pytest.mark.parametrize("name", ["edit", "insert"])
def test_an_export_that_was_hashed_anew_is_told_by_the_checkpoint(
    url: URL, sealed: Path, tmp_path: Path, ask: Callable[..., Ran], name: str
) -> None:
    file = export(url, tmp_path)
    put(file, chained(CHANGES[name](lines_of(file))))
    assert ask(file).code == 1
    told = ask(file, "--checkpoint", sealed, "--key", SIGNER.key)
    assert told.code == 4
    assert "position 12" in told.out


def test_an_export_that_is_too_short_for_the_checkpoint_is_not_proven(
    url: URL, sealed: Path, tmp_path: Path, ask: Callable[..., Ran]
) -> None:
    file = export(url, tmp_path)
    put(file, chained(CHANGES["delete"](lines_of(file))))
    told = ask(file, "--checkpoint", sealed, "--key", SIGNER.key)
    assert told.code == 1
    assert "no checkpoint vouches for events 1 to 11" in told.out


@pytest.mark.parametrize("name", FORGERIES)
def test_an_export_of_a_forged_ledger_is_never_proven(
    url: URL, sealed: Path, tmp_path: Path, ask: Callable[..., Ran], name: str
) -> None:
    forge(url, FORGERIES[name])
    file = export(url, tmp_path, "--checkpoint", sealed)
    told = ask(file, "--checkpoint", sealed, "--key", SIGNER.key)
    assert told.code in (1, 4)
    assert not told.out.splitlines()[-1].startswith("PROVEN")


@pytest.mark.parametrize("kept", [slice(1, None), slice(0, -1), slice(3, 9)])
def test_a_period_with_its_edges_cut_off_is_not_proven(
    url: URL, sealed: Path, tmp_path: Path, ask: Callable[..., Ran], kept: slice
) -> None:
    file = export(url, tmp_path, *PERIOD, "--checkpoint", sealed)
    put(file, lines_of(file)[kept])
    assert ask(file, "--checkpoint", sealed, "--key", SIGNER.key, *PERIOD).code == 1


def test_events_of_two_ledgers_are_not_taken_for_one(
    url: URL, sealed: Path, tmp_path: Path, ask: Callable[..., Ran]
) -> None:
    file = export(url, tmp_path)
    changed = lines_of(file)
    put(file, chained([changed[0] | {"provenance": "{}"} | {"team": "x"}, *changed[1:]]))
    told = ask(file, "--checkpoint", sealed, "--key", SIGNER.key)
    assert told.code == 4
    assert "different ledgers" in told.out


# --- what cannot be read or believed ----------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "",
        "nonsense",
        "[]",
        "{}",
        "1",
        '{"position": 1, "position": 2}',
        '"\\ud800"',
    ],
)
def test_what_is_no_event_is_78(tmp_path: Path, ask: Callable[..., Ran], line: str) -> None:
    file = tmp_path / "export.ndjson"
    file.write_text(line + "\n")
    told = ask(file)
    assert told.code == 78
    assert "line 1" in told.err


@pytest.mark.parametrize(
    ("name", "value"),
    [("position", "1"), ("position", True), ("team", 1), ("turn", "1"), ("payload", None)],
)
def test_a_value_of_another_type_is_78(
    url: URL, tmp_path: Path, ask: Callable[..., Ran], name: str, value: object
) -> None:
    file = export(url, tmp_path)
    lines = lines_of(file)
    put(file, [lines[0] | {name: value}, *lines[1:]])
    told = ask(file)
    assert told.code == 78
    assert f"line 1: {name}" in told.err


def test_a_column_said_twice_is_78(url: URL, tmp_path: Path, ask: Callable[..., Ran]) -> None:
    """Or one reader would see what another does not."""
    file = export(url, tmp_path)
    file.write_text(file.read_text().replace('"kind":', '"kind":"made up","kind":', 1))
    assert ask(file).code == 78


@pytest.mark.parametrize(
    ("old", "new"), [("\n12\n", "\n11\n"), ("— ", "- "), ("iam-ledger/", "other/"), ("\n\n", "\n")]
)
def test_an_altered_checkpoint_is_78(
    url: URL, sealed: Path, tmp_path: Path, ask: Callable[..., Ran], old: str, new: str
) -> None:
    sealed.write_text(sealed.read_text().replace(old, new, 1))
    told = ask(export(url, tmp_path), "--checkpoint", sealed, "--key", SIGNER.key)
    assert (told.code, "PROVEN" in told.out) == (78, False)


def test_a_checkpoint_without_a_key_or_with_another_is_78(
    url: URL, sealed: Path, tmp_path: Path, ask: Callable[..., Ran]
) -> None:
    file = export(url, tmp_path)
    assert ask(file, "--checkpoint", sealed).code == 78
    other = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    told = ask(file, "--checkpoint", sealed, "--key", other)
    assert told.code == 78
    assert "none of the keys given signed it" in told.err
    assert ask(file, "--checkpoint", sealed, "--key", "a+b+c").code == 78
    assert ask(file, "--checkpoint", sealed, "--key", tmp_path / "none").code == 78


def test_keys_may_come_from_a_file(
    url: URL, sealed: Path, tmp_path: Path, ask: Callable[..., Ran]
) -> None:
    (tmp_path / "keys").write_text(f"# ours\n\n{SIGNER.key}\n")
    told = ask(export(url, tmp_path), "--checkpoint", sealed, "--key", tmp_path / "keys")
    assert told.code == 0, told.err


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("x", "--from", "yesterday"),
        ("x", "--to", "2026-03-01T00:00"),
        ("x", "--to", "2026-3-1"),
    ],
)
def test_wrong_arguments_are_64(ask: Callable[..., Ran], arguments: tuple[str, ...]) -> None:
    assert ask(*arguments).code == 64


def test_a_file_that_is_not_there_is_78(tmp_path: Path, ask: Callable[..., Ran]) -> None:
    told = ask(tmp_path / "none")
    assert told.code == 78
    assert "none" in told.err


# --- alone ------------------------------------------------------------------------------------


@pytest.mark.parametrize("bare", [False, True], ids=["with packages", "standard library only"])
def test_it_runs_alone_and_says_what_it_cannot_do(
    url: URL, sealed: Path, tmp_path: Path, bare: bool
) -> None:
    shutil.copy(SCRIPT, tmp_path / "copied.py")
    export(url, tmp_path)

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                *(sys.executable, "-I", *(["-S"] if bare else []), "copied.py", "export.ndjson"),
                *("--checkpoint", "sealed.txt", "--key", str(SIGNER.key), *more),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    done = run()
    assert done.returncode == (78 if bare else 0), done.stderr
    if bare:
        assert "pip install cryptography" in done.stderr
    rehearsed = run("--no-signatures")
    assert rehearsed.returncode == 1
    assert "signature NOT checked" in rehearsed.stdout


def test_it_imports_the_standard_library_and_for_signatures_cryptography() -> None:
    names = set()
    for node in ast.walk(ast.parse(SCRIPT.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module))
    foreign = {name.partition(".")[0] for name in names} - sys.stdlib_module_names
    assert foreign == {"cryptography"}
