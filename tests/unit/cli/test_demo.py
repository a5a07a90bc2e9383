"""The demo's refusals, and that it claims nothing. Its one whole run is in tests/acceptance."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from cli.demo import files, window_for
from cli.demo.stage import Astray, Stage, heeding_sigterm, refuse_real_endpoints
from cli.environment import Environment, hidden
from cli.session import Session
from cli.terminal import Terminal
from tests.support.commands import Shell, StillClock

VARIABLES = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/home/newcomer",
    "AWS_PROFILE": "company",
    "AWS_SESSION_TOKEN": "real",
    "IAM_LEDGER_DATABASE_URL": "sqlite+aiosqlite:///real.db",
    "IAM_LEDGER_DATABASE_URL_FILE": "/run/secrets/real",
    "GITHUB_ACTIONS": "true",
    "GIT_DIR": "/elsewhere",
    "HTTPS_PROXY": "http://proxy.example.com:3128",
    "http_proxy": "http://proxy.example.com:3128",
}


@pytest.fixture
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the demo makes its own folder."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    environment = Environment(VARIABLES)
    session = Session(environment, Terminal.of_process(environment), StillClock())
    stage = Stage(session, tmp_path, "http://127.0.0.1:1", backends=None)
    yield stage
    if stage.worker is not None:
        stage.worker.kill()
        stage.worker.wait()


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("AWS_ENDPOINT_URL", "https://iam.amazonaws.com"),
        ("AWS_ENDPOINT_URL_IAM", "https://iam.amazonaws.com"),
        ("AWS_ENDPOINT_URL_STS", "http://10.0.0.1:5000"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1.example.com:5000"),
        ("AWS_ENDPOINT_URL", "iam.amazonaws.com"),
    ],
)
def test_where_the_environment_points_at_a_real_endpoint_nothing_is_begun(
    name: str, address: str, temporary_folder: Path
) -> None:
    ran = Shell().run("demo", **{name: address})
    assert ran.code == 78
    assert f"{name} is {address}; the demo plays on this machine only" in ran.err
    assert "Unset it" in ran.err
    assert (ran.out, list(temporary_folder.iterdir())) == ("", [])


@pytest.mark.parametrize("address", ["http://127.0.0.1:5000", "http://localhost:4566", ""])
def test_an_endpoint_of_this_machine_is_no_reason_to_refuse(address: str) -> None:
    refuse_real_endpoints({"AWS_ENDPOINT_URL": address})


def test_without_moto_it_says_what_to_install_and_leaves_nothing(
    temporary_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "moto.backends", None)
    ran = Shell().run("demo")
    assert ran.code == 78
    assert "the demo needs the extra `demo`" in ran.err
    assert "pip install 'iam-ledger[demo]'" in ran.err
    assert list(temporary_folder.iterdir()) == []


@pytest.mark.usefixtures("moto_server")
def test_a_step_that_does_not_end_as_told_ends_the_demo_with_1_and_keeps_its_files(
    temporary_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The author does not mend the line: the second `validate` finds the mistake again."""
    from moto.core.config import default_user_config

    monkeypatch.setitem(default_user_config["iam"], "load_aws_managed_policies", False)
    monkeypatch.setattr(files, "mend", lambda _config: None)
    ran = Shell().run("demo")
    assert ran.code == 1
    assert "the demo went astray: `iam-ledger validate` ended with 1, not 0" in ran.err
    (folder,) = temporary_folder.iterdir()
    assert f"its files: {folder}" in ran.err
    assert (folder / "access" / "permanent-access" / "payments.yaml").is_file()
    assert "That is all" not in ran.out


def test_the_commands_see_nothing_of_this_machines_aws_ci_git_or_proxies(stage: Stage) -> None:
    seen = stage.variables()
    assert (seen["PATH"], seen["HOME"]) == (VARIABLES["PATH"], VARIABLES["HOME"])
    foreign = set(VARIABLES) - {"PATH", "HOME"}
    assert {name: seen[name] for name in foreign & set(seen)} == {
        "IAM_LEDGER_DATABASE_URL": f"sqlite+aiosqlite:///{stage.folder}/ledger.db"
    }
    assert seen["AWS_ENDPOINT_URL"] == stage.endpoint


def test_sigterm_ends_it_as_control_c_does_so_that_its_worker_is_stopped_too() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), heeding_sigterm():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_does_not_come_within_its_time_is_an_error(stage: Stage) -> None:
    with pytest.raises(Astray, match="the removal did not happen within 0 s"):
        stage.wait_until(lambda: False, timedelta(milliseconds=50), "the removal")


def test_where_commands_are_slow_the_window_is_long_enough_to_be_looked_at_all_the_same(
    stage: Stage,
) -> None:
    with pytest.raises(Astray):
        stage.run("status")
    assert window_for(stage.slowest_s) >= timedelta(seconds=10 * stage.slowest_s) > timedelta()
    assert window_for(0.5) == timedelta(seconds=8)
    assert window_for(2.45) == timedelta(seconds=25)


def test_a_worker_that_ends_badly_is_told_with_its_last_words(stage: Stage) -> None:
    stage.log.write_text("it was the disk", encoding="utf-8")
    stage.worker = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    stage.worker.wait()
    with pytest.raises(Astray, match="the worker ended with 3:\nit was the disk"):
        stage.stop_worker()


def test_a_command_that_answers_with_an_error_is_no_answer(stage: Stage) -> None:
    with pytest.raises(Astray, match="`iam-ledger status` failed: there is no ledger at"):
        stage.answer("status")


def test_the_stand_in_sees_nothing_of_this_machines_aws_and_all_of_it_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "company")
    with hidden("AWS_"):
        assert not [name for name in os.environ if name.startswith("AWS_")]
        assert "PATH" in os.environ
    assert os.environ["AWS_PROFILE"] == "company"
