"""`revoke`, `release`, and waiting for the worker: by a person's word, and told to its end."""

import os
import platform
import pwd
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import URL

from ledger.envelope import Draft
from ledger.events import Applied, Event, Left, Made, PolicyDefined, Refused, Removed, Stuck, ref
from ledger.model import Policy
from ledger.project import GrantRow
from ledger.store import Ledger
from ledger.store.reads import all_grants, read_grants
from tests.support.builders import PROD, at, directory, permanent, policy, temporary
from tests.support.commands import Shell, StillClock
from tests.support.histories import ATTACHED, DEV, TEAM, Story, after, grant
from tests.support.ledgers import make_ledger

ANA = grant("aaaa2222bbbb3333", ends=after(4))
MORE = grant("abcd2222bbbb3333", ends=after(9), policy="look")
BOB = grant("bbbb2222cccc3333", "user/bob", ends=after(1))
CI = grant("cccc2222dddd3333", "role/ci", policy="look")
AWAY = grant("dddd2222eeee3333", account=DEV, environment="dev", ends=after(5))
SAY = ("--by", "olga", "--reason", "left the company")


@pytest.fixture
def url(tmp_path: Path) -> URL:
    story = Story().mapped()
    for one in (ANA, MORE, BOB, CI, AWAY):
        story.granted(one)
    return story.applied(ANA, after(0.1)).applied(CI, after(0.1)).write(tmp_path)


@pytest.fixture
def shell(url: URL) -> Shell:
    return Shell(url, StillClock(after(2)))


def who(shell: Shell) -> set[str]:
    """Whose access neither a person nor its end has ended."""
    items = shell.run("who-has-access", "-o", "json").json["access"]
    return {item["grant_id"] for item in items if item["state"] in ("declared", "confirmed")}


# --- revoke -----------------------------------------------------------------------------------


def test_a_grant_named_by_its_beginning_ends_at_once_and_is_held(shell: Shell) -> None:
    ran = shell.run("revoke", ANA.id[:6], *SAY)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        "revoked 1 grant, which the worker takes out of AWS:",
        f"- user/ana fix in prod {PROD} (grant {ANA.id})",
        f"held: user/ana gets no fix of payments in {PROD}, by olga "
        f"({pwd.getpwuid(os.getuid()).pw_name} on {platform.node()}): left the company "
        "(hold hold-1)",
        "ledger position 12",
    ]
    assert who(shell) == {MORE.id, CI.id, AWAY.id}
    assert shell.run("status").out.startswith("1 exposed")


def test_a_principal_ends_in_every_account_and_json_says_so(shell: Shell) -> None:
    ran = shell.run("revoke", "--principal", "ana", *SAY, "-o", "json")
    assert (ran.code, ran.err) == (0, "")
    assert list(ran.json) == ["schema_version", "position", "holds", "revoked", "over"]
    (hold,) = ran.json["holds"]
    assert hold == {
        "hold": "hold-1",
        "principal": "ana",
        "principal_type": "user",
        "account_id": None,
        "team": None,
        "policy": None,
        "by": "olga",
        "reason": "left the company",
        "new": True,
    }
    assert [item["grant_id"] for item in ran.json["revoked"]] == [ANA.id, MORE.id, AWAY.id]
    assert who(shell) == {CI.id}
    again = shell.run("revoke", "--principal", "user/ana", *SAY, "-o", "json").json
    assert (again["revoked"], again["holds"][0]["new"]) == ([], False)
    assert again["position"] == ran.json["position"]


def test_the_word_stands_in_the_history_with_user_and_host(shell: Shell) -> None:
    shell.run("revoke", "--principal", "ana", *SAY)
    out = shell.run("history", "--principal", "ana").out
    user = pwd.getpwuid(os.getuid()).pw_name
    assert f"by olga ({user} on {platform.node()}): left the company" in out


def test_the_user_is_the_operating_systems_and_no_variables(shell: Shell) -> None:
    ran = shell.run("revoke", ANA.id, *SAY, USER="mallory", LOGNAME="mallory", USERNAME="mallory")
    assert (ran.code, "mallory" in ran.out) == (0, False)


def test_what_is_over_already_is_said_so_and_is_0(shell: Shell) -> None:
    ran = shell.run("revoke", BOB.id, *SAY)
    assert ran.code == 0
    assert "ended at 2026-03-02T13:00:00Z" in ran.out
    assert "revoked" not in ran.out
    assert ran.out.endswith("ledger position 10\n")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("zzzzzz",), 1, "no grant's id begins with `zzzzzz`; nothing was revoked"),
        ((ANA.id, "zzzzzz"), 1, "nothing was revoked"),
        (("aaa",), 1, "too short to name a grant"),
        (("--principal", "anna"), 1, "(near: ana)"),
        (("--principal", "user/bobby"), 1, "user/bob"),
        ((), 64, "name grants, or --principal, one of the two"),
        ((ANA.id, "--principal", "ana"), 64, "one of the two"),
        (("--principal", f"arn:aws:iam::{PROD}:user/ana"), 64, "an ARN names one"),
        ((ANA.id, "--wait", "99999999d"), 64, "is no length of time"),
        (tuple(f"grant{n:04}" for n in range(1001)), 64, "1,000 grants at most"),
    ],
)
def test_what_is_named_wrongly_ends_nothing(
    shell: Shell, arguments: tuple[str, ...], code: int, words: str
) -> None:
    before = who(shell)
    ran = shell.run("revoke", *arguments, *SAY)
    assert (ran.code, ran.out) == (code, "")
    assert words in ran.err
    assert who(shell) == before


@pytest.mark.parametrize(
    "said",
    [
        ("--by", "olga"),
        ("--reason", "left"),
        ("--by", "olga", "--reason", " "),
        ("--by", "", "--reason", "left"),
        ("--by", "olga", "--reason", "x" * 1_001),
    ],
)
@pytest.mark.parametrize("command", [("revoke", ANA.id), ("release", "hold-1")])
def test_who_and_why_are_asked_for(
    shell: Shell, command: tuple[str, ...], said: tuple[str, ...]
) -> None:
    ran = shell.run(*command, *said)
    assert (ran.code, ran.out) == (64, "")
    assert "--by" in ran.err or "--reason" in ran.err


# --- release ----------------------------------------------------------------------------------


def test_a_release_lifts_the_hold_and_a_second_one_does_nothing(shell: Shell) -> None:
    shell.run("revoke", "--principal", "ana", *SAY)
    ran = shell.run("release", "hold-1", "--by", "olga", "--reason", "came back", "-o", "json")
    assert (ran.code, ran.json) == (
        0,
        {
            "schema_version": 1,
            "position": 15,
            "hold": "hold-1",
            "principal": "ana",
            "principal_type": "user",
            "account_id": None,
            "team": None,
            "policy": None,
            "already": False,
        },
    )
    again = shell.run("release", "hold-1", *SAY)
    assert (again.code, again.out) == (
        0,
        "hold-1 was released before: nothing was done, ledger position 15\n",
    )
    assert shell.run("status", "-o", "json").json["held"] == []


def test_an_unknown_hold_is_1_and_names_those_in_force(shell: Shell) -> None:
    shell.run("revoke", ANA.id, *SAY)
    ran = shell.run("release", "x", *SAY)
    assert (ran.code, ran.out) == (1, "")
    assert "there is no hold `x` (in force: hold-1); nothing was released" in ran.err
    assert shell.run("release").code == 64


def test_a_line_grants_again_only_after_the_release(tmp_path: Path) -> None:
    shell = Shell(make_ledger(tmp_path), StillClock(at()))
    config = tmp_path / "config"
    for path, content in directory(standing=[permanent("ana")]).items():
        (config / path).parent.mkdir(parents=True)
        (config / path).write_bytes(content)
    shell.run("ingest", config)
    shell.run("revoke", "--principal", "ana", *SAY)
    assert shell.run("ingest", config, "-o", "json").json["granted"] == 0
    released = shell.run("release", "hold-1", *SAY)
    assert "user/ana may be granted anything in any account again" in released.out
    assert shell.run("ingest", config, "-o", "json").json["granted"] == 1


# --- waiting ----------------------------------------------------------------------------------


class Worker:
    """Appends what it is told to at its second sleep, as a worker beside us would."""

    def __init__(self, url: URL, *kinds: str) -> None:
        self.url = url
        self.kinds = kinds
        self.sleeps = 0
        self.policy_position = 1
        """Under which text of the policy it writes."""
        self.cause = 0

    async def __call__(self, now: datetime) -> None:
        self.sleeps += 1
        if self.sleeps != 2:
            return
        async with Ledger(self.url) as ledger:
            async with ledger.reading() as connection:
                rows = await read_grants(connection, all_grants())
            events = [self._event(row, kind, now) for row in rows for kind in self.kinds]
            await ledger.append([Draft(event, self.cause) for event in events], now=now)

    def _event(self, row: GrantRow, kind: str, now: datetime) -> Event:
        grant, about = row.grant, ref(row.grant)
        match kind:
            case "applied":
                made = Made("inline", grant.object or "x", "0" * 64)
                return Applied(about, (made,), "aws", (), self.policy_position, ("r",), now)
            case "refused":
                words = "2,100 of 2,048 characters"
                return Refused(about, "TooLarge", words, self.policy_position)
            case "stuck":
                return Stuck(grant.account, "AccessDenied", "not allowed", about)
            case "account stuck":
                return Stuck(grant.account, "AccessDenied", "cannot assume the role")
            case "policy stuck":
                return Stuck(grant.account, "Conflict", "foreign", None, grant.team, grant.policy)
            case "removed":
                return Removed(about, "revoked", "answered", 0, ("r",), now)
            case "left":
                return Left(about, (ATTACHED,), now)
            case _:
                raise ValueError(kind)


def waiting(tmp_path: Path, *kinds: str, standing: Sequence[dict[str, object]] = ()) -> Shell:
    """A shell in front of one line's directory, with a worker that does `kinds`."""
    url = make_ledger(tmp_path)
    windows = [] if standing else [temporary(duration="4h")]
    for path, content in directory(standing=standing, windows=windows).items():
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_bytes(content)
    return Shell(url, StillClock(at(), Worker(url, *kinds)))


def test_ingest_waits_until_access_began_and_tells_when_it_ends(tmp_path: Path) -> None:
    ran = waiting(tmp_path, "applied").run("ingest", tmp_path, "--wait", "2m")
    assert ran.code == 0
    assert ran.out.endswith(
        f"user/ana fix in prod {PROD}: access began at 2026-03-02T09:00:00Z, ends at "
        "2026-03-02T13:00:00Z\n"
    )
    assert ran.err == (
        "waiting for 1 grant to be applied by the worker, until 2026-03-02T09:02:00Z\n"
    )


def test_json_is_one_document_with_what_was_waited_for(tmp_path: Path) -> None:
    ran = waiting(tmp_path, "applied").run("ingest", tmp_path, "--wait", "2m", "-o", "json")
    assert (ran.code, list(ran.json)[-2:]) == (0, ["events", "waited"])
    (waited,) = ran.json["waited"]
    assert (waited["outcome"], waited["why"]) == ("applied", None)
    assert waited["applied_at"] == "2026-03-02T09:00:00.400000Z"
    assert waited["ends_at"] == "2026-03-02T13:00:00Z"


@pytest.mark.parametrize(
    ("kind", "outcome", "words"),
    [
        ("refused", "refused", "refused: TooLarge: 2,100 of 2,048 characters"),
        ("stuck", "stuck", "stuck: AccessDenied: not allowed"),
        ("account stuck", "stuck", "stuck: its account: AccessDenied: cannot assume the role"),
        ("removed", "stuck", "stuck: it is over already, and was never applied"),
    ],
)
def test_what_does_not_get_there_is_1_and_says_why(
    tmp_path: Path, kind: str, outcome: str, words: str
) -> None:
    shell = waiting(tmp_path, kind)
    ran = shell.run("ingest", tmp_path, "--wait", "2m")
    assert (ran.code, words in ran.out) == (1, True)
    assert shell.clock.instant < at() + timedelta(minutes=1)


def test_time_over_is_1_and_says_that_no_worker_runs(tmp_path: Path) -> None:
    shell = waiting(tmp_path)
    ran = shell.run("ingest", tmp_path, "--wait", "2s", "-o", "json")
    assert (ran.code, ran.json["waited"][0]["outcome"]) == (1, "time_over")
    assert "run `iam-ledger worker`" in ran.json["waited"][0]["why"]
    assert shell.clock.instant == at() + timedelta(seconds=2)


def test_permanent_access_hangs_on_its_policy_and_a_timed_copy_does_not(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    shell = waiting(tmp_path / "a", "policy stuck", standing=[permanent("ana")])
    ran = shell.run("ingest", tmp_path / "a", "--wait", "2s")
    assert "stuck: its policy: Conflict: foreign" in ran.out
    ran = waiting(tmp_path / "b", "policy stuck").run("ingest", tmp_path / "b", "--wait", "2s")
    assert "not done yet" in ran.out


def test_a_start_beyond_the_wait_is_told_and_is_0(tmp_path: Path) -> None:
    url = make_ledger(tmp_path)
    windows = [temporary(starts_at=at(5), duration="1h")]
    for path, content in directory(windows=windows).items():
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_bytes(content)
    ran = Shell(url, StillClock(at())).run("ingest", tmp_path, "--wait", "2m")
    assert ran.code == 0
    assert "starts at 2026-03-02T14:00:00Z, ends at 2026-03-02T15:00:00Z" in ran.out


def change_the_policy(tmp_path: Path) -> None:
    other = policy(description="put too")
    files = directory(windows=[temporary(duration="4h")], policies={"fix": other, "look": policy()})
    for path, content in files.items():
        (tmp_path / path).write_bytes(content)


NEW_TEXT = 1_000
"""Not before where any test's policy stands anew."""


@pytest.mark.parametrize(
    ("kind", "position", "code", "words"),
    [
        ("applied", NEW_TEXT, 0, "has the new text of its policy, ends at 2026-03-02T13:00:00Z"),
        ("refused", NEW_TEXT, 1, "refused: TooLarge: 2,100 of 2,048 characters"),
        ("applied", 1, 1, "not done yet"),
        ("refused", 1, 1, "not done yet"),
        ("stuck", 1, 1, "stuck: AccessDenied: not allowed"),
        ("account stuck", 1, 1, "stuck: its account: AccessDenied: cannot assume the role"),
        ("removed", 1, 0, "gone since 2026-03-02T09:"),
    ],
)
def test_ingest_waits_for_what_stands_to_get_its_policys_new_text(
    tmp_path: Path, kind: str, position: int, code: int, words: str
) -> None:
    shell = waiting(tmp_path, "applied")
    assert shell.run("ingest", tmp_path, "--wait", "2m").code == 0
    change_the_policy(tmp_path)
    assert shell.url is not None
    worker = Worker(shell.url, kind)
    worker.policy_position, worker.cause = position, 2  # another writing than the first
    shell.clock.on_sleep = worker
    ran = shell.run("ingest", tmp_path, "--wait", "2m")
    assert (ran.code, words in ran.out) == (code, True)
    assert "waiting for 1 grant to be applied" in ran.err
    assert shell.run("ingest", tmp_path, "--wait", "2m").err == "", "nothing new is waited for"


def test_what_ends_with_the_change_of_its_policy_is_not_waited_for(tmp_path: Path) -> None:
    shell = waiting(tmp_path, "applied")
    assert shell.run("ingest", tmp_path, "--wait", "2m").code == 0
    change_the_policy(tmp_path)
    (tmp_path / "temporary-access" / f"{TEAM}.yaml").unlink()
    ran = shell.run("ingest", tmp_path, "--wait", "2m", "--allow-revocations", "1")
    assert (ran.code, ran.err) == (0, "")


def test_nothing_new_is_nothing_to_wait_for(tmp_path: Path) -> None:
    shell = waiting(tmp_path, "applied")
    shell.run("ingest", tmp_path)
    again = shell.run("ingest", tmp_path, "--wait", "2m")
    assert (again.code, again.err, shell.clock.instant) == (0, "", at())


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("removed", "gone since 2026-03-02T09:00:00Z"),
        ("left", "over, and left standing because it stood before us"),
    ],
)
def test_revoke_waits_until_the_access_is_gone(tmp_path: Path, kind: str, words: str) -> None:
    shell = waiting(tmp_path, kind)
    shell.run("ingest", tmp_path)
    ran = shell.run("revoke", "--principal", "ana", *SAY, "--wait", "2m")
    assert (ran.code, ran.out.splitlines()[-1]) == (0, f"user/ana fix in prod {PROD}: {words}")


def test_revoke_that_is_not_confirmed_in_time_is_1_and_stands_all_the_same(
    tmp_path: Path,
) -> None:
    shell = waiting(tmp_path)
    shell.run("ingest", tmp_path)
    ran = shell.run("revoke", "--principal", "ana", *SAY, "--wait", "1s", "-o", "json")
    assert (ran.code, ran.json["waited"][0]["outcome"]) == (1, "time_over")
    assert shell.run("status", "-o", "json").json["exposed"][0]["principal"] == "ana"


def test_control_c_while_waiting_says_what_stands(tmp_path: Path) -> None:
    shell = waiting(tmp_path)

    async def interrupt(_now: datetime) -> None:
        raise KeyboardInterrupt

    shell.clock.on_sleep = interrupt
    ran = shell.run("ingest", tmp_path, "--wait", "2m")
    assert ran.code == 130
    assert "ingested: 1 granted" in ran.out
    assert "what was appended stands, and the worker goes on" in ran.err


def test_the_policy_of_permanent_access_is_named_by_hand_after_a_revocation(
    tmp_path: Path,
) -> None:
    look = Policy(TEAM, "look", "payments-look", '{"Statement": []}')
    story = Story().mapped().add(PolicyDefined(look), after()).granted(CI)
    shell = Shell(story.write(tmp_path), StillClock(after(1)))
    assert shell.run("revoke", CI.id, *SAY).code == 0
    assert "policy/iam-ledger/payments-look" in shell.run("status").out
