"""`iam-ledger demo`, once, as a newcomer runs it on a machine that is set up for other things."""

import re

from tests.acceptance.conftest import Demo

DEMO_MAX_S = 240.0
"""It takes 20 s on a machine of its own; this bounds a hang."""

TOLD = (
    "$ iam-ledger validate access",
    "did you mean `payments.read-only`?",
    "$ iam-ledger worker",
    "$ iam-ledger ingest access --wait 60s",
    "access began at",
    "4. Nobody does anything. It ends at",
    "AWS confirmed the removal",
    "$ iam-ledger history",
    "removed because its end had come",
    "$ iam-ledger who-has-access --principal ana --policy payments.break-glass --at",
    "nobody has access at",
    "$ iam-ledger verify",
    "the ledger holds",
    "The worker stopped on SIGTERM with exit code 0",
)
"""What a person sees, in this order."""


def test_the_demo_plays_the_main_job_to_its_end_and_measures_the_removal(demo: Demo) -> None:
    screen, _ = demo.process.communicate(timeout=DEMO_MAX_S)
    assert demo.process.returncode == 0, screen
    place = 0
    for told in TOLD:
        found = screen.find(told, place)
        assert found >= 0, f"{told!r} was not told, or too early:\n{screen}"
        place = found
    late = re.search(r"AWS confirmed the removal (\d+\.\d\d) s after the end", screen)
    assert late is not None
    assert 0.0 <= float(late[1]) < 5.0
    assert "went astray" not in screen
    assert list(demo.folder.iterdir()) == [], "it left something behind"
