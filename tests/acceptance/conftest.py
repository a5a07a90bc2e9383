"""One story for all who ask about it: it is played once, when the first test asks."""

from typing import TYPE_CHECKING

import pytest

from tests.acceptance.story import Story, play
from tests.support.moto_server import ENVIRONMENT, MotoServer

if TYPE_CHECKING:
    from moto.server import ThreadedMotoServer


@pytest.fixture(scope="session")
def story(moto_process: "ThreadedMotoServer", tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Played to its end: what other tests do to moto changes nothing of it."""
    host, port = moto_process.get_host_and_port()
    moto = MotoServer(f"http://{host}:{port}")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        moto.reset()
        return play(moto, tmp_path_factory.mktemp("story"))
