"""Ends of a worker's process: in order at SIGTERM, and never two at one SQLite file."""

from pathlib import Path
from threading import Event

from ledger.model import parse_principal
from tests.acceptance.small import (
    AWS_OWN,
    DEV,
    PROD,
    declare,
    files,
    installed,
    look_at_dev,
    window,
)
from tests.support.moto_server import MotoServer
from tests.support.processes import HUB_KEY, Installation, until
from tests.support.watching import inline_names
from tests.support.wire import Call, Fate, Rule, Say, Wire

HOLD_MAX_S = 30.0

ANA = parse_principal("user/ana")


def test_sigterm_lets_the_call_under_way_end_records_it_and_exits_with_0(
    moto_server: MotoServer, tmp_path: Path
) -> None:
    with installed(moto_server, tmp_path) as (program, wire):
        declare(program, files(window("ana"), window("ben"), pipeline=False))
        reached, goes_on = Event(), Event()

        def hold(call: Call) -> Fate:
            if call.action == "PutUserPolicy":
                reached.set()
                assert goes_on.wait(HOLD_MAX_S)
            return "pass"

        wire.rule = hold
        with program.daemon() as worker:
            assert reached.wait(HOLD_MAX_S), "no write began"
            worker.terminate()
            worker.heard("worker_stopping")
            assert worker.get("/livez")[0] == 200, "it answers while it stops"
            goes_on.set()
            assert worker.wait() == 0
            said = [line["event"] for line in worker.logs]
        assert said[-1] == "worker_stopped"
        assert "steps_abandoned" not in said, "the grace period was used up"
        assert len(wire.writes) == 1, "a second step was begun after SIGTERM"
        assert program.count_events("applied") == 1, "what AWS had done was not recorded"
        assert program.ok("worker", "--once").code == 0
        assert program.count_events("applied") == 2
        assert len(wire.writes) == 2
        assert program.holds


def test_a_second_worker_on_one_file_does_not_start_and_the_first_goes_on(
    moto_server: MotoServer, tmp_path: Path
) -> None:
    with installed(moto_server, tmp_path) as (program, wire), program.daemon() as first:
        second = program.run("worker")
        assert second.code == 1
        assert (
            f"another worker (process {first.process.pid}) keeps {program.database}" in second.err
        )
        assert "Stop that one first" in second.err
        assert "Traceback" not in second.err
        assert wire.calls == [], "the second one spoke to AWS"
        assert first.get("/livez")[0] == 200
        declare(program, files(window("ana")))
        until(lambda: program.count_events("applied") == 2, "the first one's work")
        first.kill()
        assert program.ok("worker", "--once").code == 0, "the lock goes with its process"


def test_once_ends_with_0_when_every_account_is_done_and_with_1_when_one_is_not(
    moto_server: MotoServer, tmp_path: Path
) -> None:
    with installed(moto_server, tmp_path) as (program, wire):
        declare(program, files(window("ana"), more=(look_at_dev(),)))
        wire.rule = refuse_role_of(DEV)
        failed = program.run("worker", "--once")
        assert failed.code == 1
        assert "Traceback" not in failed.err
        _prod_is_done_and_dev_untouched(moto_server, program, wire)

        wire.rule = lambda _call: "pass"
        assert program.ok("worker", "--once").code == 0
        assert moto_server.attached(DEV, ANA) == {AWS_OWN}
        status = program.ask("status", "-o", "json").json
        assert status["stuck"] == []
        assert program.count_events("unstuck") == 1
        writes = len(wire.writes)
        assert program.ok("worker", "--once").code == 0
        assert len(wire.writes) == writes, "all agreed, and it wrote"


def refuse_role_of(account: str) -> Rule:
    """AssumeRole into one account is refused, as where its trust policy does not name us."""

    def rule(call: Call) -> Fate | Say:
        if call.action == "AssumeRole" and call.account == account:
            return Say(403, "AccessDenied")
        return "pass"

    return rule


def _prod_is_done_and_dev_untouched(moto: MotoServer, program: Installation, wire: Wire) -> None:
    assert len(inline_names(PROD, "user/ana")) == 1
    assert len(moto.attached(PROD, parse_principal("role/deploy"))) == 2
    iam = [call for call in wire.calls if call.service == "iam"]
    assert {call.account for call in iam} == {PROD}, "an account was entered without its role"
    assert HUB_KEY not in {call.key for call in iam}, "the hub's own keys were used"
    accounts = program.ask("status", "-o", "json").json["accounts"]
    (stuck,) = [account for account in accounts if account["last_error"]]
    assert stuck["account_id"] == DEV
    assert "AccessDenied" in stuck["last_error"]
    assert program.count_events("stuck") == 1
