"""Every rule holds in the tree, and every rule can see what it is for."""

import pytest

from tests.walls import rules
from tests.walls.rules import PRODUCT_RULES, SIZE_EXCEPTIONS, TEST_RULES, Rule
from tests.walls.tree import PRODUCT, Source, sources

SIXTY_ONE_LINES = "def long() -> None:\n" + "    pass\n" * rules.FUNCTION_LINES_MAX


@pytest.mark.parametrize("rule", PRODUCT_RULES, ids=lambda rule: str(rule.__name__))
def test_the_product_keeps(rule: Rule) -> None:
    looked_at = sources(*PRODUCT)
    assert len(looked_at) > 20, "the tree was not found, so nothing was looked at"
    problems = [problem for source in looked_at for problem in rule(source)]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("rule", TEST_RULES, ids=lambda rule: str(rule.__name__))
def test_the_tests_keep(rule: Rule) -> None:
    problems = [problem for source in sources("tests", "scripts") for problem in rule(source)]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (rules.one_clock, "from datetime import UTC, datetime\nx = datetime.now(UTC)"),
        (rules.one_clock, "import datetime as dt\nimport datetime\nx = datetime.datetime.utcnow()"),
        (rules.one_clock, "from datetime import date\nx = date.today()"),
        (rules.one_clock, "import time\nx = time.time()"),
        (rules.one_clock, "from time import time\nx = time()"),
        (rules.environment_seam, "import os\nx = os.environ['HOME']"),
        (rules.environment_seam, "from os import getenv\nx = getenv('HOME')"),
        (rules.silent_rooms, "print('hello')"),
        (rules.kinds_in_one_place, "x = PrincipalKind.USER"),
        (rules.kinds_in_one_place, "x = ledger.model.PrincipalKind.GROUP"),
        (rules.sizes, SIXTY_ONE_LINES),
        (rules.sizes, "x = 1\n" * (rules.FILE_LINES_MAX + 1)),
        (rules.nothing_unfinished, "x = 1  # TO" + "DO: more"),
        (rules.nothing_unfinished, "def f() -> None:\n    raise NotImplementedError"),
        (rules.nothing_unfinished, "def f() -> None:\n    raise NotImplementedError('later')"),
        (rules.bugs_crash, "try:\n    f()\nexcept Exception:\n    pass"),
        (rules.bugs_crash, "try:\n    f()\nexcept (ValueError, Exception) as e:\n    log(e)"),
        (rules.bugs_crash, "try:\n    f()\nexcept:\n    pass"),
    ],
)
def test_a_planted_violation_is_seen(rule: Rule, text: str) -> None:
    assert len(rule(Source("worker/planted.py", text))) >= 1


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        (rules.one_clock, "worker/clock.py", "x = datetime.now(UTC)"),
        (rules.one_clock, "worker/keeper.py", "x = self.clock.now()"),
        (rules.one_clock, "ledger/day.py", "from datetime import time\nx = time(10, 0)"),
        (rules.one_clock, "worker/keeper.py", "import time\nx = time.monotonic()"),
        (rules.environment_seam, "cli/environment.py", "import os\nx = os.environ"),
        (rules.silent_rooms, "cli/render.py", "print('hello')"),
        (rules.kinds_in_one_place, "worker/aws/users.py", "x = PrincipalKind.USER"),
        (rules.sizes, "ledger/model.py", SIXTY_ONE_LINES.removesuffix("    pass\n")),
        (rules.bugs_crash, "worker/x.py", "try:\n    f()\nexcept OSError:\n    pass"),
        (
            rules.bugs_crash,
            "worker/x.py",
            "try:\n    f()\nexcept BaseException:\n    g()\n    raise",
        ),
    ],
)
def test_what_is_allowed_passes(rule: Rule, path: str, text: str) -> None:
    assert rule(Source(path, text)) == []


def test_every_exception_from_the_sizes_is_still_needed_and_has_a_reason() -> None:
    known = {source.path for source in sources(*PRODUCT, "tests", "scripts")}
    assert {path.partition(":")[0] for path in SIZE_EXCEPTIONS} <= known
    assert all(SIZE_EXCEPTIONS.values())
