"""Who plays AWS: the fake and moto's server; ministack too where `scripts/contract` asks for it.

Where one of them is listed as different (`differences`), the promise must fail on it, and fail in
the listed way: a difference that is no more has to leave the list.
"""

import os
import re
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from ledger.model import AccountId
from tests.contract.differences import difference
from tests.support.ministack import Ministack, ministack
from tests.support.ministack_hands import HUB, MinistackServer
from tests.support.moto_server import ENVIRONMENT, MotoServer
from tests.support.scenes import ENTRY, FakeScene, Gates, Scene, ServerScene
from worker.errors import AwsError

ASKED_FOR = os.environ.get("IAM_LEDGER_CONTRACT_ON", "fake moto").split()
"""Of `fake`, `moto` and `ministack`."""

FAILURES = (AssertionError, pytest.fail.Exception, AwsError)
"""How a promise that is not kept ends."""


@pytest.fixture(scope="session")
def ministack_process() -> Iterator[Ministack]:
    with ministack() as server:
        yield server


@pytest.fixture
def ministack_server(
    ministack_process: Ministack, monkeypatch: pytest.MonkeyPatch
) -> MinistackServer:
    """The server, empty but for the role that leads in, in an environment that leads to it."""
    server = MinistackServer(ministack_process.url)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_SESSION_TOKEN")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", HUB)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    server.reset()
    server.let_in(AccountId(ENTRY.account), ENTRY.deployer_role)
    return server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gates() -> AsyncIterator[Gates]:
    """The gate to each server, opened once: that costs more than a test."""
    async with AsyncExitStack() as stack:
        yield Gates(stack)


@pytest_asyncio.fixture(params=ASKED_FOR, loop_scope="module")
async def scene(request: pytest.FixtureRequest, gates: Gates) -> Scene:
    """An empty account by each of them."""
    if request.param == "fake":
        return FakeScene.empty()
    server: MotoServer = request.getfixturevalue(f"{request.param}_server")
    return ServerScene.empty(server, request.param, await gates.to(server))


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    played = str(getattr(pyfuncitem.funcargs.get("scene"), "name", ""))
    listed = difference(pyfuncitem.name.partition("[")[0], played, pyfuncitem.name)
    if listed is None:
        return (yield)
    try:
        yield
    except FAILURES as failure:
        said = f"{type(failure).__name__}: {failure}"
        assert re.search(listed.shown, said), f"it fails, but not in the listed way: {said}"
        return True
    pytest.fail(f"{played} is as AWS documents by now: take {listed.promise} off the list")
