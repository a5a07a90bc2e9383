"""One story for all who ask about it, and one demo beside it: both are played once.

The demo mostly waits, so it plays while the story does; its test comes after both by its name.
"""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.story import Story, play
from tests.support.distribution import unit_of
from tests.support.moto_server import ENVIRONMENT, MotoServer
from tests.support.processes import PROGRAM

if TYPE_CHECKING:
    from moto.server import ThreadedMotoServer

OTHER_THINGS = {
    "AWS_PROFILE": "company",
    "AWS_ACCESS_KEY_ID": "AKIAREALREALREALREAL",
    "IAM_LEDGER_DATABASE_URL": "sqlite+aiosqlite:////nowhere/real.db",
    "GITHUB_ACTIONS": "true",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "http_proxy": "http://127.0.0.1:9",
}
"""What the machine is set up for beside the demo, which must not care."""


@dataclass(slots=True)
class Demo:
    """The demo's process, and the folder that it may leave nothing in."""

    process: "subprocess.Popen[str]"
    folder: Path


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """`iam-ledger demo`, begun when the first test or the story asks for it."""
    folder = tmp_path_factory.mktemp("demo")
    own = {"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder)}
    with subprocess.Popen(
        [PROGRAM, "demo"],
        cwd=folder,
        env=own | OTHER_THINGS,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        yield Demo(process, folder)
        process.terminate()


@pytest.fixture(scope="session")
def story(
    moto_process: "ThreadedMotoServer", tmp_path_factory: pytest.TempPathFactory, demo: Demo
) -> Story:
    """Played to its end: what other tests do to moto changes nothing of it."""
    assert demo.process.pid, "it plays beside"
    host, port = moto_process.get_host_and_port()
    moto = MotoServer(f"http://{host}:{port}")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        moto.reset()
        return play(moto, tmp_path_factory.mktemp("story"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever asks about the story or the demo runs where they are played, and once."""
    for item in items:
        if {"story", "demo"} & set(getattr(item, "fixturenames", ())):
            assert unit_of(item.nodeid) == "the story", (
                f"{item.nodeid} would play it again: name its file in tests/support/distribution.py"
            )
