"""Fixtures that every test may ask for by name, how Hypothesis searches, who runs what.

What is collected stays to the end, and is much: it is not looked through for rings, neither while
it is made nor ever after.
"""

import gc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.support.distribution import FilesInOrder

gc.disable()

pytest_plugins = [
    "tests.support.postgres",
    "tests.support.ledgers",
    "tests.support.moto_server",
    "tests.support.stage",
    "tests.support.measured",
]

# The gate tries the same examples every time: what it refuses is the change's doing. New ones are
# looked for by scripts/explore, for as long as somebody likes.
settings.register_profile("gate", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile("gate")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("simulation")
    group.addoption("--histories", type=int, default=0, help="how many tests/simulation plays")
    group.addoption("--first", type=int, default=0, help="the seed of the first of them")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.hookimpl(optionalhook=True)  # without pytest-xdist there is nothing to distribute
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> "FilesInOrder":
    from tests.support.distribution import FilesInOrder

    return FilesInOrder(config, log)
