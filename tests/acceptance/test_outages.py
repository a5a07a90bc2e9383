"""AWS away, the disk full, the folder gone: the loop turns, nothing is lost, all of it heals."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from ledger.model import whole_second
from tests.acceptance.small import PROD, declare, files, installed, window
from tests.acceptance.story import disk_full
from tests.support.moto_server import MotoServer
from tests.support.processes import until
from tests.support.watching import inline_names, watching
from tests.support.wire import Call, Fate, Say


def test_an_outage_of_aws_never_fails_livez_and_heals_by_itself(
    moto_server: MotoServer, tmp_path: Path
) -> None:
    with installed(moto_server, tmp_path) as (program, wire), program.daemon() as worker:
        wire.cut = True
        declare(program, files(window("ana")))
        failed = 'passes_total{result="failed"} 0.0'
        until(lambda: failed not in worker.get("/metrics")[1], "a pass that fails", every_s=0.1)
        assert worker.get("/livez") == (200, '{"alive": true}')
        assert worker.get("/readyz")[0] == 200, "it can do what is asked as soon as AWS answers"
        wire.cut = False
        until(lambda: program.count_events("applied") == 2, "the healing")
        worker.terminate()
        assert worker.wait() == 0


PAGE = "<!doctype html>\n<title>502 Bad Gateway</title>\n<hr>nginx"


def test_what_is_no_answer_of_awss_is_weather_and_what_it_did_is_looked_up(
    moto_server: MotoServer, tmp_path: Path
) -> None:
    """A page in its place, an answer that is lost, a call that is lost: each once, then well."""
    with installed(moto_server, tmp_path) as (program, wire), program.daemon() as worker:
        fates: dict[str, list[Fate | Say]] = {
            "AssumeRole": [Say(502, "", PAGE)],
            "PutUserPolicy": [Say(500, "", PAGE), "lose the answer"],
            "DeleteUserPolicy": ["lose the call"],
        }

        def rule(call: Call) -> Fate | Say:
            left = fates.get(call.action) if call.account == PROD else None
            return left.pop(0) if left else "pass"

        wire.rule = rule
        declare(program, files(window("ana"), pipeline=False))
        until(lambda: program.count_events("applied") == 1, "the grant")
        done = [call for call in wire.writes if call.done]
        assert len(done) == 1, "what AWS had done was done again"
        declare(program, files(pipeline=False))
        until(lambda: program.count_events("removed") == 1, "the removal")
        assert inline_names(PROD, "user/ana") == frozenset()
        assert not any(fates.values()), "a fate was not met"
        worker.terminate()
        assert worker.wait() == 0


def test_an_outage_of_the_database_never_fails_livez_keeps_the_end_and_loses_nothing(
    moto_server: MotoServer, tmp_path: Path
) -> None:
    with installed(moto_server, tmp_path) as (program, _wire), program.daemon() as worker:
        state = program.database.parent
        away = state.with_name("away")
        ends_at = whole_second(datetime.now(UTC) + timedelta(seconds=5))
        declare(program, files(window("ana", expires_at=ends_at), pipeline=False))
        until(lambda: program.count_events("applied") == 1, "the grant")
        with disk_full(worker), watching([(PROD, "user/ana")]) as watch:
            state.rename(away)
            try:
                until(lambda: not inline_names(PROD, "user/ana"), "the end")
                worker.heard("ledger_unavailable")
                assert worker.get("/livez")[0] == 200
                assert program.run("status").code == 78, "an answer from no ledger"
                assert worker.get("/livez")[0] == 200
            finally:
                away.rename(state)
            assert program.count_events("removed") == 0
        assert watch.lateness((PROD, "user/ana"), ends_at) < timedelta(seconds=5)
        until(lambda: program.count_events("removed") == 1, "the evidence")
        assert worker.get("/readyz")[0] == 200
        worker.terminate()
        assert worker.wait() == 0
        assert program.holds
