"""What a file may be as YAML, before anything is asked of what it says."""

import time

import pytest

from ledger.manifest import nodes
from ledger.manifest.composing import EXPANSION_MAX, compose, fast_loader, pure_loader
from ledger.manifest.sheet import SIZE_MAX_BYTES
from tests.unit.manifest.directory import PERMANENT, accepted, reading, said

ACCOUNTS = "aws-accounts/pay.yaml"


def test_scalars_stay_the_text_that_was_written() -> None:
    text = "[012345670123, 1:30, no, on, 3.10, 2025-11-30, 4h, ~, 0x1F, 1_000, '', \"\\u00e9\"]"
    root = compose(text).root
    assert isinstance(root, nodes.Sequence)
    texts = [item.text for item in root.items if isinstance(item, nodes.Scalar)]
    assert texts == [
        *("012345670123", "1:30", "no", "on", "3.10", "2025-11-30"),
        *("4h", "~", "0x1F", "1_000", "", "é"),
    ]


def test_every_node_knows_where_it_begins() -> None:
    root = compose("a:\n  - {b: 'c'}\n  - &d é\n  - *d\n").root
    one, two, three = nodes.Scalar, nodes.Mapping, nodes.Sequence
    assert root == two(
        {
            "a": nodes.Pair(
                one("a", 1, 1, True),
                three(
                    [
                        two({"b": nodes.Pair(one("b", 2, 6, True), one("c", 2, 9, False))}, 2, 5),
                        one("é", 3, 5, True),
                        one("é", 4, 5, True),
                    ],
                    2,
                    3,
                ),
            )
        },
        1,
        1,
    )


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "---\n", "~\n", "\ufeff", "\r\n"])
def test_an_empty_file_is_an_empty_section(text: str) -> None:
    manifest = accepted({PERMANENT: text})
    assert manifest.grants == ()


@pytest.mark.parametrize("text", ["permanent-access:\n", "permanent-access: []\n", "{}\n"])
def test_an_empty_section_declares_nothing(text: str) -> None:
    assert accepted({PERMANENT: text}).grants == ()


def test_a_byte_order_mark_and_windows_line_ends_change_nothing() -> None:
    text = 'aws-accounts:\n  a: "111111111111"\n  b: x\n'
    odd = b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()
    assert (
        said({ACCOUNTS: odd})
        == said({ACCOUNTS: text})
        == [
            f"{ACCOUNTS}:3:6: the account id x stands without quotes; "
            'write "x": other readers of YAML take it for a number'
        ]
    )


BROKEN: dict[str, tuple[str | bytes, str]] = {
    "nul": (b"a: b\nc: \0\n", "2:4: the character U+0000 cannot stand in a file; take it out"),
    "not-utf-8": (b"a: \xc3\xa9\xff\n", "1:5: byte 0xFF here is not UTF-8; save the file as UTF-8"),
    "utf-16": (
        "a: b".encode("utf-16"),
        "1:1: byte 0xFF here is not UTF-8; save the file as UTF-8",
    ),
    "latin-1": (
        "aws-accounts:\n  n\u00e9: x".encode("latin-1"),
        "2:4: byte 0xE9 here is not UTF-8; save the file as UTF-8",
    ),
    "bom-inside": ("a: \ufeffb", "1:4: the character U+FEFF cannot stand in a file; take it out"),
    "line-separator": (
        "a:\r\n  \u2028b",
        "2:3: the character U+2028 cannot stand in a file; take it out",
    ),
    "turned-text": (
        "a: b # \u202e",
        "1:8: the character U+202E cannot stand in a file; take it out",
    ),
    "tab": ("aws-accounts:\n\ta: b\n", "2:1: a tab stands here; write spaces"),
    "open-quote": (
        'aws-accounts:\n  a: "1\n',
        "3:1: this is not YAML: while scanning a quoted scalar found unexpected end of stream",
    ),
    "indent": (
        "aws-accounts:\n  a: b\n c: d\n",
        "3:2: this is not YAML: while parsing a block mapping expected <block end>, but found "
        "'<block mapping start>'",
    ),
    "bracket": (
        "aws-accounts: [a\n",
        "2:1: this is not YAML: while parsing a flow sequence expected ',' or ']', but got "
        "'<stream end>'",
    ),
    "percent": ("%YAML 1.1\n---\na: b\n", "1:1: no line may begin with `%`; take it out"),
    "two-documents": (
        "a: b\n---\nc: d\n",
        "2:1: a second document begins here; take the `---` away, or make it a file of its own",
    ),
    "no-anchor": ("a: *b\n", "1:4: no anchor `&b` stands before this"),
    "anchor-in-itself": ("a: &b [*b]\n", "1:8: `*b` stands inside its own anchor"),
    "depth": (
        "[" * 40 + "]" * 40,
        "1:33: more than 32 lists and mappings stand inside each other here",
    ),
    "no-such-escape": (
        'a: "\\U00110000"',
        "1:7: this is not YAML: an escape (`\\u` or `\\U`) names no character",
    ),
    "surrogate": (
        'a: "\\ud800"',
        "1:4: this is not YAML: an escape (`\\u` or `\\U`) names no character",
    ),
    "question-in-brackets": (
        "a: [s3:Get?]",
        "1:11: this is not YAML: while parsing a flow sequence expected ',' or ']', but got '?'",
    ),
    "colon-in-brackets": (
        "a: {b:, c}",
        "1:5: this is not YAML: between brackets a text with `?` or `:` needs quotes",
    ),
    "behind-a-block-sign": (
        "a: >#",
        "1:5: this is not YAML: while scanning a block scalar expected chomping or indentation "
        "indicators, but found '#'",
    ),
}


@pytest.mark.parametrize(("text", "expected"), BROKEN.values(), ids=BROKEN)
def test_what_is_not_yaml_is_told_with_its_place(text: str | bytes, expected: str) -> None:
    assert said({ACCOUNTS: text}) == [f"{ACCOUNTS}:{expected}"]


MARRED = {
    "duplicate-key": (
        'aws-accounts:\n  a: "111111111111"\n  b: "111111111111"\n  a: "222222222222"\n',
        "4:3: key `a` stands here for the second time (first: line 2); keep one of them",
    ),
    "tag": (
        'aws-accounts:\n  a: !!int "111111111111"\n',
        "2:6: the tag `!!int` is not read here; write the value alone",
    ),
    "python-tag": (
        'aws-accounts:\n  a: !!python/name:os.system "111111111111"\n',
        "2:6: the tag `!!python/name:os.system` is not read here; write the value alone",
    ),
    "own-tag": (
        "aws-accounts: !mine\n  a: '111111111111'\n",
        "1:15: the tag `!mine` is not read here; write the value alone",
    ),
    "key-not-text": ("aws-accounts:\n  ? [a]\n  : b\n", "2:5: a key must be a text"),
    "merge-key": (
        "aws-accounts:\n  a: &a {id: '111111111111'}\n  b: {<<: *a, id: '111111111111'}\n",
        "3:7: key `<<` is not known here; merge keys are not read; write the keys out",
    ),
}


@pytest.mark.parametrize(("text", "expected"), MARRED.values(), ids=MARRED)
def test_what_mars_a_value_is_told_and_the_rest_is_still_read(text: str, expected: str) -> None:
    more = text + "wrong: 1\n"
    assert said({ACCOUNTS: more}) == [
        f"{ACCOUNTS}:{expected}",
        f"{ACCOUNTS}:{text.count(chr(10)) + 1}:1: key `wrong` is not known here; "
        "known here: `aws-accounts`",
    ]


def test_anchors_and_aliases_are_read() -> None:
    manifest = accepted(
        {
            PERMANENT: "permanent-access:\n"
            "  - users: &people [ana@example.com, ben@example.com]\n"
            "    environment: prod\n    grant: dev.read-only\n"
            "  - users: *people\n    environment: nonprod\n    grant: dev.read-only\n"
        }
    )
    assert len(manifest.grants) == 4


def test_a_bomb_of_aliases_is_refused_before_it_bursts() -> None:
    layers = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    layers += [
        f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 10)}]" for i in range(12)
    ]
    found = said({ACCOUNTS: "\n".join(layers)})
    assert len(found) == 1
    assert f"the aliases of this file repeat more than {EXPANSION_MAX:,} values" in found[0]


def test_a_file_too_large_is_not_parsed() -> None:
    found = said({ACCOUNTS: b"#" * (SIZE_MAX_BYTES + 1)})
    assert found == [
        f"{ACCOUNTS}:1:1: the file has 8,388,609 bytes; at most 8,388,608 are read; "
        "split it by team"
    ]


def test_a_file_of_a_million_values_is_refused_on_the_way() -> None:
    found = said({ACCOUNTS: "[" + "a," * 1_000_000 + "]"})
    assert found == [
        f"{ACCOUNTS}:1:2000000: the file holds more than 1,000,000 values; split it by team"
    ]


@pytest.mark.parametrize("text", ["[" * 200_000, "- " * 100_000, "? " * 100_000, "{a: " * 60_000])
def test_a_message_from_the_slow_parser_comes_soon_too(text: str) -> None:
    before = time.process_time()
    assert len(said({ACCOUNTS: text})) == 1
    assert time.process_time() - before < 5


def test_brackets_without_end_cost_no_stack() -> None:
    found = said({ACCOUNTS: "[" * 1_000_000})
    assert found == [
        f"{ACCOUNTS}:1:33: more than 32 lists and mappings stand inside each other here"
    ]


def test_a_message_never_steers_the_terminal_and_has_an_end() -> None:
    found = said({ACCOUNTS: f'"\\e[31mred": 1\n{"x" * 1000}: 1\n'})
    assert found[0].startswith(f"{ACCOUNTS}:1:1: key `\\u001b[31mred` is not known here")
    assert len(found[1]) < 900


def test_the_line_is_shown_as_written() -> None:
    (problem,) = reading({ACCOUNTS: "aws-accounts:\r\n  a:   12 # mine\r\n"}).problems
    assert problem.excerpt == "  a:   12 # mine"


def test_a_broken_file_brings_no_second_problem_from_what_it_would_have_declared() -> None:
    permanent = "permanent-access:\n  - {user: a, environment: prod, grant: dev.break-glass}\n"
    assert len(said({ACCOUNTS: "aws-accounts: [\n", PERMANENT: permanent})) == 1
    assert len(said({"aws-policies/pay.yaml": "aws-policies: [\n", PERMANENT: permanent})) == 1


TREES = [
    "a: b\n",
    "? \n",
    "a:\nb: \n- c\n",
    "a: |\n  x\n\n  y\nb: >-\n  x\n",
    "a: &x [1, {b: c}]\nd: *x\n",
    "{b:, c}",
    ">#\n",
    ">- \n  a",
    "a: [b?c]\n",
    "--- \n",
    "a: 'it''s'\n",
    *(text for text, _ in BROKEN.values() if isinstance(text, str)),
    *(text for text, _ in MARRED.values()),
]


@pytest.mark.parametrize("text", TREES)
def test_the_fast_and_the_pure_parser_tell_the_same(text: str) -> None:
    assert fast_loader() is not pure_loader(), "PyYAML without libyaml: nothing is compared"
    assert compose(text, fast_loader()) == compose(text, pure_loader())


def test_without_libyaml_the_pure_parser_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        PERMANENT: "permanent-access:\n"
        "  - {users: [ana, ben], environments: [prod], grants: [dev.read-only]}\n"
        "  - {user: cy, environment: stage, grant: dev.read-only}\n"
    }
    sound = {PERMANENT: files[PERMANENT].rpartition("  - ")[0]}
    fast, fast_said = accepted(sound), said(files)
    monkeypatch.delattr("yaml.CBaseLoader")
    assert fast_loader() is pure_loader()
    assert accepted(sound) == fast
    assert said(files) == fast_said != []
