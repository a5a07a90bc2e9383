"""`iam-ledger demo`, once, as a newcomer runs it on a machine that is set up for other things."""

import os
import re
import subprocess
from pathlib import Path

from tests.support.processes import PROGRAM

DEMO_MAX_S = 240.0
"""It takes 20 s on a machine of its own; this bounds a hang."""

TOLD = (
    "$ iam-ledger validate access",
    "did you mean `payments.read-only`?",
    "$ iam-ledger worker",
    "$ iam-ledger ingest access --wait 60s",
    "access began at",
    "the stand-in still holds Ana's policy",
    "$ iam-ledger history",
    "removed because its end had come",
    "$ iam-ledger who-has-access --principal ana --policy payments.break-glass --at",
    "nobody has access at",
    "$ iam-ledger verify",
    "the ledger holds",
    "The worker stopped on SIGTERM with exit code 0",
)
"""What a person sees, in this order."""


def test_the_demo_plays_the_main_job_to_its_end_and_measures_the_removal(tmp_path: Path) -> None:
    other_things = {
        "AWS_PROFILE": "company",
        "AWS_ACCESS_KEY_ID": "AKIAREALREALREALREAL",
        "IAM_LEDGER_DATABASE_URL": "sqlite+aiosqlite:////nowhere/real.db",
        "GITHUB_ACTIONS": "true",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
    }
    done = subprocess.run(
        [PROGRAM, "demo"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
        | other_things,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=DEMO_MAX_S,
    )
    assert done.returncode == 0, done.stdout
    place = 0
    for told in TOLD:
        found = done.stdout.find(told, place)
        assert found >= 0, f"{told!r} was not told, or too early:\n{done.stdout}"
        place = found
    late = re.search(r"AWS confirmed the removal (\d+\.\d\d) s after the end", done.stdout)
    assert late is not None
    assert 0.0 <= float(late[1]) < 5.0
    assert "went astray" not in done.stdout
    assert list(tmp_path.iterdir()) == [], "it left something behind"
