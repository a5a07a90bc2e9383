"""Which process of several runs which tests: whole files, in the order in which they stand.

What is played once for several files stays in one process. pytest-xdist's own groups would do, but
its release 3.8 names them in a way that pytest 9.2 no longer reads: nothing says so, and everything
is played once a process.
"""

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # has no types

STORY = tuple(f"tests/acceptance/test_{name}.py" for name in ("metrics", "the_demo", "workflow"))
"""Files that ask about the story or the demo of tests/acceptance."""


def unit_of(nodeid: str) -> str:
    """What a test is run together with: its file, or all files of the story."""
    path = nodeid.partition("::")[0]
    return "the story" if path in STORY else path


class FilesInOrder(LoadScopeScheduling):  # type: ignore[misc]  # likewise
    """Begins with the files that come first: those of tests/acceptance, which take longest."""

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)
