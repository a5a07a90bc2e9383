"""`plan --aws`, as it is run on the first day, against moto's server over a wire that counts."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.model import AccountId
from tests.support.builders import DEV, PROD, directory, permanent, policy, temporary
from tests.support.commands import Ran, Shell, StillClock
from tests.support.ledgers import make_ledger
from tests.support.moto_server import MotoServer
from tests.support.wire import Call, Fate, Say, Wire, laid
from worker.clock import SystemClock

AWS = "arn:aws:iam::aws:policy/"
STAGING = "333333333333"
POLICIES = {
    "look": policy(managed_policies=[f"{AWS}AmazonS3ReadOnlyAccess"]),
    "fix": policy(managed_policies=[f"{AWS}PowerUserAccess"]),
    "survey": {"managed_policies": [f"{AWS}ReadOnlyAccess"]},
}
FILES = directory(
    accounts={"prod": PROD, "dev": DEV, "staging": STAGING},
    policies=POLICIES,
    standing=[permanent("ana"), permanent("ana", environment="staging")],
    windows=[
        temporary(duration="4h"),
        temporary(duration="4h", environment="dev"),
        temporary(duration="4h", grant="survey", environment="staging"),
    ],
)


@pytest.fixture
def wire(moto_server: MotoServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """Between the command and AWS; no role of DEV's lets anybody in."""
    for account in (PROD, DEV, STAGING):
        moto_server.add(AccountId(account), "user/ana")
    moto_server.iam(AccountId(PROD)).attach_user_policy(
        UserName="ana", PolicyArn=f"{AWS}AmazonS3ReadOnlyAccess"
    )
    with laid(moto_server.url) as wire:
        monkeypatch.setenv("AWS_ENDPOINT_URL", wire.url)
        wire.rule = _dev_is_closed
        yield wire


def _dev_is_closed(call: Call) -> Fate | Say:
    closed = call.action == "AssumeRole" and call.account == DEV
    return Say(403, "AccessDenied") if closed else "pass"


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """On the first day: an empty ledger, and the files."""
    for path, content in FILES.items():
        target = tmp_path / "config" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    make_ledger(tmp_path)
    address = f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}"
    clock = StillClock(SystemClock().now())
    return Shell(
        None, clock, {"IAM_LEDGER_DATABASE_URL": address, "IAM_LEDGER_LISTEN": "127.0.0.1:0"}
    )


def _steps(ran: Ran) -> dict[str, list[tuple[str, ...]]]:
    return {
        account["account_id"]: [
            (step["call"], *sorted(filter(None, (step["principal"], step["object"]))))
            for step in account["steps"]
        ]
        for account in ran.json["aws"]["accounts"]
    }


def test_the_first_days_rehearsal_sends_no_call_that_writes_and_the_worker_then_sends_just_those(
    shell: Shell, wire: Wire, tmp_path: Path
) -> None:
    config, ledger = tmp_path / "config", tmp_path / "ledger.db"
    before = ledger.read_bytes()
    ran = shell.run("plan", config, "--aws", "-o", "json")
    assert ran.code == 1, "one account is dead, and one grant would be refused"
    assert wire.writes == []
    by_operation = Counter(call.action for call in wire.calls)
    assert {name for name in by_operation if not name.startswith(("Get", "List"))} == {"AssumeRole"}
    assert by_operation["GetAccountAuthorizationDetails"] == 2, "each account once"
    assert {c.parameters["RoleSessionName"] for c in wire.calls if c.action == "AssumeRole"} == {
        "iam-ledger-plan"
    }
    assert ran.json["aws"]["calls"] == len(wire.calls)
    assert ledger.read_bytes() == before
    steps = _steps(ran)
    assert [call for call, *_ in steps[PROD]] == [
        *("CreatePolicy", "CreatePolicy", "AttachUserPolicy", "PutUserPolicy")
    ]
    assert steps[DEV] == []
    dead = ran.json["aws"]["accounts"][1]
    assert (dead["account_id"], dead["error"]["code"]) == (DEV, "AccessDenied")

    assert shell.run("ingest", config).code == 0
    shell.run("worker", "--once", "-q")
    for account in (PROD, STAGING):
        writes = [call for call in wire.writes if call.account == account]
        assert [call.action for call in writes] == [call for call, *_ in steps[account]]
        named = [call.parameters.get("PolicyName") for call in writes]
        for (_, *names), name in zip(steps[account], named, strict=True):
            assert name is None or any(each.endswith(name) for each in names)


def test_on_a_screen_it_fits_80_columns_and_tells_calls_sizes_classes_and_what_would_be_refused(
    shell: Shell, wire: Wire, tmp_path: Path
) -> None:
    shell.screen = True
    ran = shell.run(
        "plan", tmp_path / "config", "--aws", "--account", PROD, "--account", STAGING, NO_COLOR="1"
    )
    assert (ran.code, wire.writes, ran.width <= 80) == (1, [], True)
    assert DEV not in ran.out.partition("nothing was appended")[2]
    told = " ".join(ran.out.split())
    assert f"account {PROD} (payments prod), entered by AWSSelfServeDeployer: 4 steps" in told
    for word in ("PutUserPolicy", "user/ana", "of 2,048", "2 of 10", "permanent"):
        assert word in told
    assert "would be refused: nothing of it would stand (1)" in told
    assert "of 2,048 left inline" in told
    assert "stands already: attached by others" in told
    assert "nothing was written" in told
    assert ran.err == ""


def test_for_a_pull_request_it_is_markdown_that_fits_one_comment(
    shell: Shell, wire: Wire, tmp_path: Path
) -> None:
    ran = shell.run("plan", tmp_path / "config", "--aws", "--account", PROD, "-o", "markdown")
    assert (ran.code, len(ran.out) < 65_536) == (0, True)
    assert f"#### account {PROD} (payments prod)" in ran.out
    assert "| PutUserPolicy | user/ana | iam-ledger-" in ran.out
    assert wire.writes == []


def test_an_account_that_does_not_answer_says_with_which_code(
    shell: Shell, wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    ran = shell.run("plan", tmp_path / "config", "--aws", "--account", PROD)
    assert (ran.code, wire.calls) == (1, [])
    said = "not finished: AWS did not answer all that was asked: Unreachable: entering by arn:"
    assert said in ran.out


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AWS_ENDPOINT_URL", "notaurl"),
        ("AWS_DEFAULT_REGION", "bad region!"),
        ("AWS_PROFILE", "nosuch"),
        ("AWS_STS_REGIONAL_ENDPOINTS", "nosuch"),
    ],
)
@pytest.mark.parametrize("command", ["plan", "adopt", "worker"])
def test_a_variable_that_the_sdk_cannot_use_is_78_and_named(
    shell: Shell,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    variable: str,
    value: str,
) -> None:
    monkeypatch.setenv(variable, value)
    arguments = {"plan": (tmp_path / "config", "--aws"), "worker": ("--once", "-q")}
    ran = shell.run(command, *arguments.get(command, ()))
    assert (ran.code, ran.out) == (78, "")
    named = "AWS_*" if variable.startswith("AWS_STS") else variable
    assert named in ran.err
    assert value in ran.err
    assert "Traceback" not in ran.err


def test_without_credentials_every_account_says_so_and_what_ingest_would_do_is_told_all_the_same(
    shell: Shell, wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    ran = shell.run("plan", tmp_path / "config", "--aws", "-o", "json")
    assert (ran.code, wire.calls) == (1, [])
    assert {each["error"]["code"] for each in ran.json["aws"]["accounts"]} == {"NoCredentials"}
    assert ran.json["granted"] == 5


def test_mistakes_on_the_line_and_in_the_files_are_told_before_aws_is_asked(
    shell: Shell, wire: Wire, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    ran = shell.run("plan", config, "--account", PROD)
    assert (ran.code, "--account goes with --aws" in ran.err) == (64, True)
    ran = shell.run("plan", config, "--aws", "--account", "999999999999")
    assert (ran.code, "has such an account" in ran.err) == (64, True)
    wrong = {"aws-policies": {"look": {"managed_policies": ["nothing"]}}}
    (config / "aws-policies" / "payments.yaml").write_text(json.dumps(wrong))
    assert shell.run("plan", config, "--aws").code == 1
    assert wire.calls == []
