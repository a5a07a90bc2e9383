"""`who-has-access`, `expiring` and `history` as people and scripts run them, on a real ledger."""

import csv
import io
import json
from pathlib import Path

import pytest
from sqlalchemy import URL

from cli.answers import EVENT_KEYS, ITEM_KEYS
from tests.support.commands import Shell, StillClock
from tests.support.histories import DEV, PROD, Story, after, grant
from tests.support.ledgers import make_ledger

ANA = grant("aaaa2222bbbb3333", ends=after(4), ticket="OPS-1")
BOB = grant("bbbb2222cccc3333", "user/bob", ends=after(1))
CI = grant("cccc2222dddd3333", "role/ci", policy="look")
DAN = grant("dddd2222eeee3333", "user/dan", ends=after(6))
EVE = grant("eeee2222ffff3333", "user/eve", account=DEV, environment="dev", ends=after(30))
FAY = grant("ffff2222gggg3333", "user/fay", starts=after(5), ends=after(8))


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> URL:
    """Ana's and ci's are confirmed, Bob's is over, Dan's refused, Eve's declared, Fay's to come."""
    story = Story().mapped()
    for one in (ANA, BOB, CI, DAN, EVE, FAY):
        story.granted(one)
    for one in (ANA, BOB, CI):
        story.applied(one, after(0.1))
    return story.refused(DAN, after(0.2)).removed(BOB, after(1)).write(tmp_path_factory.mktemp("l"))


@pytest.fixture
def shell(url: URL) -> Shell:
    return Shell(url, StillClock(after(2)))


# --- who-has-access ---------------------------------------------------------------------------


def test_json_is_the_contract_to_the_key(shell: Shell) -> None:
    ran = shell.run("who-has-access", "--principal", "ana", "-o", "json")
    assert (ran.code, ran.err) == (0, "")
    assert ran.json == {
        "schema_version": 1,
        "at": "2026-03-02T14:00:00Z",
        "between": None,
        "as_known_at": None,
        "position": 14,
        "access": [
            {
                "principal": "ana",
                "principal_type": "user",
                "account_id": PROD,
                "environment": "prod",
                "team": "payments",
                "policy": "fix",
                "kind": "temporary",
                "starts_at": "2026-03-02T12:00:00Z",
                "ends_at": "2026-03-02T16:00:00Z",
                "state": "confirmed",
                "enforcement": "aws",
                "grant_id": ANA.id,
                "granted_at": "2026-03-02T12:00:00Z",
                "applied_at": "2026-03-02T12:06:00Z",
                "revoked_at": None,
                "removed_at": None,
                "recorded_at": "2026-03-02T12:00:00Z",
                "source": "temporary-access/payments.yaml:14",
                "commit": "1a2b3c4d5e6f70819203a4b5c6d7e8f901234567",
                "author": "Bob <bob@example.com>",
                "approved_by": ["carol", "dan"],
                "pull_request": "https://example.com/pull/7",
                "ticket": "OPS-1",
            }
        ],
    }
    assert list(ran.json["access"][0]) == list(ITEM_KEYS)


def who(shell: Shell, *arguments: object) -> list[tuple[str, str]]:
    ran = shell.run("who-has-access", "-o", "json", *arguments)
    assert ran.code == 0, ran.err
    return [(item["principal"], item["state"]) for item in ran.json["access"]]


def test_it_lists_whoever_may_have_access_now(shell: Shell) -> None:
    assert who(shell) == [("ci", "confirmed"), ("ana", "confirmed"), ("eve", "declared")]


@pytest.mark.parametrize(
    ("when", "names"),
    [
        (("--at", "2026-03-02T12:30Z"), {"ana", "bob", "ci", "eve"}),
        (("--at", "2026-03-02"), {"ana", "bob", "ci", "eve", "fay"}),
        (("--at", "90m ago"), {"ana", "bob", "ci", "eve"}),
        (("--at", "in 4h"), {"ci", "eve", "fay"}),
        (("--at", "2026-03-01"), set()),
        (("--between", "2026-03-02T16:30Z", "2026-03-02T18:00Z"), {"ci", "eve", "fay"}),
        (("--between", "2026-03-02", "2026-03-03"), {"ana", "bob", "ci", "eve", "fay"}),
        (("--as-known-at", "2026-03-02T12:00:00Z"), {"ana", "bob", "ci", "dan", "eve"}),
        (("--at", "2026-03-02T12:30Z", "--as-known-at", "now"), {"ana", "bob", "ci", "eve"}),
    ],
)
def test_then_and_as_known_then(shell: Shell, when: tuple[str, ...], names: set[str]) -> None:
    assert {name for name, _ in who(shell, *when)} == names


def test_what_was_not_confirmed_yet_was_declared_by_what_was_known_then(shell: Shell) -> None:
    known = who(shell, "--principal", "ana", "--as-known-at", "2026-03-02T12:01Z")
    assert known == [("ana", "declared")]


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        (("--account", DEV), {"eve"}),
        (("--environment", "dev"), {"eve"}),
        (("--team", "payments"), {"ana", "ci", "eve"}),
        (("--policy", "look"), {"ci"}),
        (("--principal", "ANA"), {"ana"}),
        (("--principal", "user/ana"), {"ana"}),
        (("--principal", "ana@example.com"), {"ana"}),
        (("--principal", f"arn:aws:iam::{PROD}:user/some/path/ana"), {"ana"}),
        (("--principal", f"arn:aws:iam::{DEV}:user/ana"), set()),
        (("--principal", "role/ana"), set()),
    ],
)
def test_filters_keep_what_they_name(
    shell: Shell, filters: tuple[str, ...], names: set[str]
) -> None:
    assert {name for name, _ in who(shell, *filters)} == names


def test_exit_code_2_is_said_only_when_asked_for(shell: Shell) -> None:
    assert shell.run("who-has-access").code == 0
    assert shell.run("who-has-access", "--exit-code").code == 2
    assert shell.run("who-has-access", "--exit-code", "--principal", "bob").code == 0
    assert shell.run("who-has-access", "--exit-code", "--principal", "dan").code == 0


def test_nobody_is_an_answer_and_words_that_nobody_ever_wrote_are_named(shell: Shell) -> None:
    ran = shell.run("who-has-access", "--principal", "bob")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err == "nobody has access at 2026-03-02T14:00:00Z, ledger position 14\n"
    ran = shell.run("who-has-access", "--team", "paymnets", "--policy", "look", "-o", "json")
    assert (ran.code, ran.json["access"]) == (0, [])
    assert "no grant in this ledger ever named team `paymnets`: is it spelt so?" in ran.err
    assert "policy `look`" not in ran.err


def test_a_ledger_without_events_does_not_pass_for_an_answer(tmp_path: Path) -> None:
    ran = Shell(make_ledger(tmp_path)).run("who-has-access", "--team", "payments")
    assert ran.code == 0
    assert "this ledger holds no event yet: is it the right one?" in ran.err


def test_a_screen_of_80_columns_is_kept_and_a_pipe_gets_one_line_a_grant(shell: Shell) -> None:
    piped = shell.run("who-has-access")
    assert piped.out.splitlines()[0] == (
        "who has access at 2026-03-02T14:00:00Z, ledger position 14: 3 grants"
    )
    assert piped.out.splitlines()[3].split() == [
        *("role/ci", "prod", PROD, "look", "permanent", "confirmed"),
        *("temporary-access/payments.yaml:14", "1a2b3c4d5e"),
    ]
    assert "\x1b" not in piped.out
    shell.screen = True
    shown = shell.run("who-has-access", "--because")
    assert shown.width <= 80 or "\x1b" in shown.out
    plain = shell.run("who-has-access", "--because", NO_COLOR="1")
    assert plain.width <= 80
    assert "\x1b" not in plain.out
    assert "user/ana" in plain.out


def test_colour_is_a_wish_that_the_flag_decides(shell: Shell) -> None:
    assert "\x1b" in shell.run("--color", "always", "status").out
    assert "\x1b" in shell.run("status", "--color", "always", NO_COLOR="1").out
    shell.screen = True
    assert "\x1b" in shell.run("status").out
    assert "\x1b" not in shell.run("status", NO_COLOR="1").out
    assert "\x1b" not in shell.run("status", TERM="dumb").out
    assert "\x1b" not in shell.run("status", "--color", "never").out
    wrong = shell.run("status", IAM_LEDGER_COLOR="pink")
    assert (wrong.code, wrong.err) == (
        78,
        "IAM_LEDGER_COLOR is `pink`; write one of auto, always, never\n",
    )


def test_because_names_the_events_and_who_was_meant_to_have_access(shell: Shell) -> None:
    ran = shell.run("who-has-access", "--because", "-o", "json")
    ana = next(item for item in ran.json["access"] if item["principal"] == "ana")
    assert ana["reason"] == "in its window, and AWS confirmed it at 2026-03-02T12:06:00Z"
    assert [event["kind"] for event in ana["because"]] == ["granted", "applied"]
    assert list(ana["because"][0]) == list(EVENT_KEYS)
    (dan,) = ran.json["no_access"]
    assert (dan["principal"], dan["state"]) == ("dan", None)
    assert "refused since 2026-03-02T12:12:00Z: TooLarge: 2,100 of 2,048" in dan["reason"]
    text = shell.run("who-has-access", "--because").out
    assert "#4 2026-03-02T12:00:00Z granted fix to user/ana in prod" in text
    assert "approved by carol, dan, https://example.com/pull/7" in text
    assert "user/dan fix in prod 111111111111" in text


def test_ndjson_csv_and_markdown_say_the_same(shell: Shell) -> None:
    lines = shell.run("who-has-access", "-o", "ndjson").out.splitlines()
    assert [json.loads(line)["principal"] for line in lines] == ["ci", "ana", "eve"]
    ran = shell.run("who-has-access", "-o", "csv")
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert list(rows[0]) == list(ITEM_KEYS)
    assert [row["principal"] for row in rows] == ["ci", "ana", "eve"]
    assert rows[1]["approved_by"] == "carol;dan"
    assert ran.err.startswith("who has access at 2026-03-02T14:00:00Z")
    assert shell.run("-q", "who-has-access", "-o", "csv").err == ""
    table = shell.run("who-has-access", "-o", "markdown").out
    assert "| user/ana | prod 111111111111 | fix | 2026-03-02T16:00:00Z | confirmed |" in table


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--at", "2026-03-02T12:00"), "has no time zone; write 2026-03-02T12:00Z"),
        (("--at", "soon"), "is no instant"),
        (("--at", "now", "--between", "1h ago", "now"), "give --at or --between, not both"),
        (("--between", "now", "now"), "B must lie after A"),
        (("--account", "12345"), "is not an AWS account id of 12 digits"),
        (("--principal", "arn:aws:s3:::bucket/key"), "is not the ARN of an IAM user, role"),
        (
            ("--account", DEV, "--principal", f"arn:aws:iam::{PROD}:user/ana"),
            f"--principal is in account {PROD}, --account is {DEV}",
        ),
        (("-o", "xml"), "is not one of"),
        (("--at",), "requires an argument"),
        (("ana",), "unexpected extra argument"),
    ],
)
def test_a_line_that_cannot_be_meant_is_a_usage_error(
    shell: Shell, arguments: tuple[str, ...], words: str
) -> None:
    ran = shell.run("who-has-access", *arguments)
    assert (ran.code, ran.out) == (64, "")
    assert words in ran.err
    assert "read `iam-ledger who-has-access --help`" in ran.err


def test_an_interval_says_of_what_was_taken_away_when_it_went(tmp_path: Path) -> None:
    story = Story().mapped()
    for one in (ANA, EVE):
        story.granted(one).applied(one, after(0.1)).revoked(one, after(1))
    shell = Shell(story.removed(ANA, after(1.5)).write(tmp_path), StillClock(after(2)))
    ran = shell.run("who-has-access", "--between", "2026-03-02", "2026-03-03", "-o", "markdown")
    ana, eve = (line for line in ran.out.splitlines() if "user/" in line)
    assert "| removed 2026-03-02T13:30:00Z | ending |" in ana
    assert "| revoked 2026-03-02T13:00:00Z | ending |" in eve


# --- expiring ---------------------------------------------------------------------------------


def test_what_ends_soon_comes_nearest_first(shell: Shell) -> None:
    ran = shell.run("expiring", "-o", "json")
    assert list(ran.json) == ["schema_version", "at", "until", "position", "access"]
    assert [(i["principal"], i["state"]) for i in ran.json["access"]] == [
        ("ana", "confirmed"),
        ("fay", "declared"),
    ]
    assert list(ran.json["access"][0]) == list(ITEM_KEYS)
    longer = shell.run("expiring", "--within", "2d", "-o", "csv").out.splitlines()
    assert [line.split(",")[0] for line in longer] == ["principal", "ana", "fay", "eve"]


def test_nothing_that_ends_is_said_in_words(shell: Shell) -> None:
    ran = shell.run("expiring", "--within", "1m", "--team", "paymnets")
    assert (ran.code, ran.out) == (0, "")
    assert "nothing ends after 2026-03-02T14:00:00Z, up to 2026-03-02T14:01:00Z" in ran.err
    assert "team `paymnets`: is it spelt so?" in ran.err


def test_expiring_fits_a_screen(shell: Shell) -> None:
    shell.screen = True
    ran = shell.run("expiring", NO_COLOR="1")
    assert (ran.code, ran.width <= 80) == (0, True)
    assert "user/ana" in ran.out


@pytest.mark.parametrize("span", ["0h", "soon", "-1h", ""])
def test_within_is_a_length_of_time(shell: Shell, span: str) -> None:
    assert shell.run("expiring", "--within", span).code == 64


# --- history ----------------------------------------------------------------------------------


def kinds(shell: Shell, *arguments: object) -> list[str]:
    ran = shell.run("history", "-o", "json", *arguments)
    assert ran.code == 0, ran.err
    return [event["kind"] for event in ran.json["events"]]


def test_history_tells_all_of_one_grant_in_order(shell: Shell) -> None:
    assert kinds(shell, "--grant", BOB.id[:6]) == ["granted", "applied", "removed"]
    assert kinds(shell, "--principal", "dan") == ["granted", "refused"]
    assert kinds(shell, "--account", DEV) == ["account_mapped", "granted"]
    assert kinds(shell, "--policy", "look") == ["granted", "applied"]
    assert len(kinds(shell)) == len(kinds(shell, "--team", "payments")) + 1


def test_history_as_known_then_and_the_newest_of_it(shell: Shell) -> None:
    assert kinds(shell, "--principal", "bob", "--as-known-at", "2026-03-02T12:30Z") == [
        "granted",
        "applied",
    ]
    ran = shell.run("history", "--newest", "2", "-o", "json")
    assert list(ran.json) == ["schema_version", "as_known_at", "position", "truncated", "events"]
    assert (ran.json["truncated"], len(ran.json["events"])) == (True, 2)
    assert "only the newest 2 are shown; --newest N shows more" in ran.err
    assert list(ran.json["events"][0]) == list(EVENT_KEYS)


def test_history_is_one_line_an_event_in_a_pipe_and_folded_on_a_screen(shell: Shell) -> None:
    piped = shell.run("history", "--principal", "bob").out.splitlines()
    assert piped[0] == "3 events up to ledger position 14"
    assert piped[2].startswith("#5 2026-03-02T12:00:00Z granted fix to user/bob in prod")
    assert len(piped) == 5
    shell.screen = True
    assert shell.run("history").width <= 80
    assert len(shell.run("history", "-o", "csv").out.splitlines()) == 15
    assert shell.run("history", "-o", "markdown").out.count("\n|") == 16
    assert len(shell.run("history", "-o", "ndjson").out.splitlines()) == 14


def test_history_of_nobody_names_the_word(shell: Shell) -> None:
    ran = shell.run("history", "--principal", "anna")
    assert (ran.code, ran.out) == (0, "")
    assert "no event about that, ledger position 14" in ran.err
    assert "principal `anna`: is it spelt so?" in ran.err


@pytest.mark.parametrize("number", ["0", "-1", "many", "10000000"])
def test_newest_is_a_number_with_a_ceiling(shell: Shell, number: str) -> None:
    assert shell.run("history", "--newest", number).code == 64
