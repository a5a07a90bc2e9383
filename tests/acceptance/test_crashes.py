"""kill -9 of a real worker, at a call that the wire sees: nothing is lost, nothing is doubled."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from signal import SIGKILL

from ledger.model import parse_principal, whole_second
from tests.acceptance.small import (
    AWS_OWN,
    PROD,
    declare,
    files,
    installed,
    window,
)
from tests.support.moto_server import MotoServer
from tests.support.processes import Installation, Worker, until
from tests.support.watching import inline_names
from tests.support.wire import Call, Fate, Wire

LIVES_MAX = 40

PLAIN_AT_ONCE = """
from datetime import timedelta
from worker import timing
timing.SETTLING = timedelta(0)
from cli.main import run
run()
"""
"""The program, for an AWS whose reads are never late, as moto's are not."""

Target = tuple[str, ...]


@dataclass
class Killer:
    """Kills the worker that makes a call: once before AWS gets it, once when AWS has done it."""

    before: Callable[[Call], bool]
    """Which writes are not even to get there, the first time."""
    victim: Worker | None = None
    prevented: set[Target] = field(default_factory=set)
    survived: set[Target] = field(default_factory=set)

    def rule(self, call: Call) -> Fate:
        if not call.writes or call.target in self.prevented or not self.before(call):
            return "pass"
        self.prevented.add(call.target)
        self._strike()
        return "lose the call"

    def witness(self, call: Call) -> None:
        if call.writes and call.done and call.target not in self.survived:
            self.survived.add(call.target)
            self._strike()

    def _strike(self) -> None:
        assert self.victim is not None
        self.victim.kill()


def live_and_die(program: Installation, wire: Wire, killer: Killer) -> int:
    """Starts one worker after another until one lives to its end; returns how many were killed."""
    wire.rule, wire.witness = killer.rule, killer.witness
    for killed in range(LIVES_MAX):
        with program.worker("--once", "--account", PROD) as worker:
            killer.victim = worker
            code = worker.wait()
        if code != -SIGKILL:
            assert code == 0, "".join(worker.lines)
            return killed
    raise AssertionError(f"not done after {LIVES_MAX} lives")


def done(wire: Wire) -> list[Target]:
    """Every write that AWS carried out."""
    return [call.target for call in wire.writes if call.done]


def test_killed_at_every_write_of_giving_and_of_taking_away_nothing_is_lost_or_doubled(
    moto_server: MotoServer, tmp_path: Path
) -> None:
    deploy, ana = parse_principal("role/deploy"), parse_principal("user/ana")
    with installed(moto_server, tmp_path) as (program, wire):
        program.command = (sys.executable, "-c", PLAIN_AT_ONCE)
        declare(program, files(window("ana")))
        killer = Killer(before=lambda call: call.action in ("PutUserPolicy", "DeleteUserPolicy"))
        assert live_and_die(program, wire, killer) == 5, "four writes, and one before it got there"
        (name,) = inline_names(PROD, "user/ana")
        ours = f"arn:aws:iam::{PROD}:policy/iam-ledger/payments-deploy"
        assert moto_server.attached(PROD, deploy) == {ours, AWS_OWN}
        assert name.startswith("iam-ledger-")
        given = done(wire)
        assert len(given) == len(set(given)) == 4, "something was written twice"
        assert program.count_events("applied") == 2
        assert program.count_events("sighted") == 1
        assert program.count_events("policy_written") == 1

        declare(program, files(pipeline=False))
        assert live_and_die(program, wire, killer) == 5
        assert moto_server.attached(PROD, deploy) == set()
        assert moto_server.inline(PROD, ana) == {}
        assert moto_server.policies(PROD) == {}
        taken = done(wire)[len(given) :]
        assert len(taken) == len(set(taken)) == 4
        assert program.count_events("removed") == 2
        assert program.count_events("policy_deleted") == 1
        assert program.count_events("applied") == 2, "it was given again"
        assert program.holds


def test_killed_while_it_takes_away_what_has_ended_the_next_worker_finds_it_gone_and_says_so(
    moto_server: MotoServer, tmp_path: Path
) -> None:
    with installed(moto_server, tmp_path) as (program, wire):
        with program.daemon() as first:
            ends_at = whole_second(datetime.now(UTC) + timedelta(seconds=5))
            declare(program, files(window("ana", expires_at=ends_at), window("ben")))
            until(lambda: program.count_events("applied") == 3, "what was declared")
            killer = Killer(before=lambda _call: False, victim=first)
            wire.witness = killer.witness
            until(lambda: not first.alive, "the kill at the removal", limit_s=60)
        assert not inline_names(PROD, "user/ana"), "AWS had done it"
        assert program.count_events("removed") == 0, "nobody had been told"
        wire.witness = lambda _call: None
        with program.daemon() as second:
            until(lambda: program.count_events("removed") == 1, "the evidence")
            removed = second.heard("access_removed")
            second.terminate()
            assert second.wait() == 0
        assert (removed["cause"], removed["outcome"]) == ("expired", "found_absent")
        assert removed["lateness_s"] > 0, "an upper bound: from its end to when we looked"
        assert len(inline_names(PROD, "user/ben")) == 1, "ben's window is open"
        assert program.count_events("applied") == 3
        assert program.holds
