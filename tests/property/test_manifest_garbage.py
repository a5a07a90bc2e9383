"""Whatever bytes come, reading ends with problems at their places; both parsers say the same."""

import yaml
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from ledger.manifest import FOLDERS, SETTINGS_FILE, Reading, read
from ledger.manifest.composing import compose, fast_loader, pure_loader
from ledger.manifest.problems import UNSHOWABLE, lines_of

VALID = {
    SETTINGS_FILE: """\
settings:
  time_zone: Europe/Berlin
  max_revocations: {count: 20, percent: 50}
  protected_principals: ["role/guard/*"]
""",
    "aws-accounts/pay.yaml": """\
aws-accounts:
  nonprod: "111111111111"
  prod: {id: '222222222222', external_id: "x:y"}
""",
    "aws-policies/pay.yaml": """\
aws-policies:
  dev.read-only: &read
    description: >-
      Look, and
      touch nothing
    managed_policies: ["arn:aws:iam::aws:policy/A"]
    custom_statements:
      - {sid: A1, effect: Allow, actions: ["s3:*"], resources: '*', conditions: {Bool: {a: true}}}
    max_duration: 8h
""",
    "permanent-access/pay.yaml": """\
permanent-access:
  - users: &people [ana@example.com, ben]
    environments: [nonprod, prod]
    grants: [dev.read-only]
  - users: *people
    environment: prod
    grant: dev.read-only
""",
    "temporary-access/pay.yaml": """\
temporary-access:
  - description: |
      why
    user: ana@example.com
    environment: prod
    grant: dev.read-only
    expires_at: 2030-01-01T10:00+01:00
  - {role: ci, environment: prod, grant: dev.read-only, duration: 4h, ticket: X}
""",
}
FRAGMENTS = [
    *("\t", "  ", "\n", "- ", "? ", ": ", ":", "[", "]", "{", "}", ",", '"', "'", "#", " #"),
    *("&a ", "*a ", "*people", "!x ", "!!str ", "!!int ", "|", ">", "|2\n", ">-\n", "%", "@", "`"),
    *("---\n", "...\n", "--- ", "\\", "\r\n", "\r", "é", "\U0001f600", "<<", "~", "null", "a", "0"),
    *('"\\x41"', '"\\ud800"', '"\\U00110000"', '"\\0"', "''", "-", "!<x> ", "%YAML 1.1\n", "\0"),
    *("\ufeff", "\u2028", "\u00a0", "\u3000", "99999999999999999999", "-1", "1e9", "user", "grant"),
    *("duration: ", "9999-12-31", "0000-00-00", "T24:00Z", "arn:aws:iam::", "arn:", "@", "/", "*"),
]


def check(files: dict[str, bytes], result: Reading) -> None:
    """What holds of every reading."""
    assert (result.manifest is None) == bool(result.errors)
    assert list(result.problems) == sorted(result.problems, key=lambda problem: problem.source)
    for problem in result.problems:
        assert problem.source.path in files
        text = files[problem.source.path].decode("utf-8", "replace").removeprefix("\ufeff")
        lines = [*lines_of(text), ""]
        assert 1 <= problem.source.line <= len(lines)
        assert 1 <= problem.source.column <= len(lines[problem.source.line - 1]) + 2
        assert not UNSHOWABLE.search(str(problem) + (problem.excerpt or ""))
        str(problem).encode()


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([SETTINGS_FILE, *(f"{folder}/pay.yaml" for folder in FOLDERS)]),
        st.binary(max_size=60)
        | st.text(max_size=60).map(lambda text: text.encode("utf-8", "ignore")),
    )
)
def test_bytes_of_any_kind_are_read_or_refused(files: dict[str, bytes]) -> None:
    check(files, read(files))


MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from(sorted(VALID)),
        st.integers(0, 400),
        st.sampled_from([0, 0, 1, 3, 12]),
        st.sampled_from(FRAGMENTS),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=400, deadline=None)
@given(MUTATIONS)
def test_a_valid_directory_with_anything_thrown_in_is_read_or_refused(
    mutations: list[tuple[str, int, int, str]],
) -> None:
    files = {path: text.encode() for path, text in mutated(mutations).items()}
    check(files, read(files))


def mutated(mutations: list[tuple[str, int, int, str]]) -> dict[str, str]:
    files = dict(VALID)
    for path, at, cut, fragment in mutations:
        text = files[path]
        place = at % (len(text) + 1)
        files[path] = text[:place] + fragment + text[place + cut :]
    return files


def test_the_directory_that_is_mutated_is_valid() -> None:
    result = read({path: text.encode() for path, text in VALID.items()})
    assert result.problems == ()
    assert result.manifest is not None
    assert len(result.manifest.grants) == 6


def allowed(text: str) -> bool:
    """Whether a sheet would hand `text` to a parser."""
    return not UNSHOWABLE.search(text) and "\t" not in text


@settings(max_examples=600, deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=14).map("".join))
@example("? ")
@example("{b:, c}")
@example(">#")
@example("[a?b]")
@example("--- ")
def test_the_fast_and_the_pure_parser_say_the_same_of_fragments(text: str) -> None:
    assume(allowed(text))
    assert hasattr(yaml, "CBaseLoader"), "PyYAML without libyaml: nothing is compared"
    assert compose(text, fast_loader()) == compose(text, pure_loader())


@settings(max_examples=300, deadline=None)
@given(MUTATIONS)
def test_the_fast_and_the_pure_parser_say_the_same_of_mutated_files(
    mutations: list[tuple[str, int, int, str]],
) -> None:
    for text in mutated(mutations).values():
        if allowed(text):
            assert compose(text, fast_loader()) == compose(text, pure_loader())
