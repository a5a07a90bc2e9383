"""From when to when something of ours was missing or altered, as people read it."""

from pathlib import Path
from typing import Literal

import pytest

from ledger.events import DriftFound, DriftRepaired, ref
from tests.support.commands import Shell, StillClock
from tests.support.histories import PROD, Story, after, grant

ANA = grant("aaaa2222bbbb3333", ends=after(8))
OBJECT = f"inline user/ana {ANA.object}"
MISSED = "2026-03-02T13:00:00Z"
RECORDED = "2026-03-02T13:06:00Z"
OVER = "2026-03-02T15:00:00Z"
REPAIRED = "2026-03-02T15:06:00Z"


def story(drift: Literal["missing", "altered"]) -> Story:
    """Differing from one o'clock on, right again at three; each recorded six minutes later."""
    found = DriftFound(PROD, drift, OBJECT, ref(ANA), ANA.team, ANA.policy, after(1), "eve")
    over = DriftRepaired(PROD, OBJECT, "found", ref(ANA), ANA.team, ANA.policy, after(3))
    told = Story().mapped().granted(ANA).applied(ANA, after(0.1))
    return told.add(found, after(1.1), cause=1).add(over, after(3.1), cause=2)


@pytest.fixture(params=["missing", "altered"])
def drift(request: pytest.FixtureRequest) -> Literal["missing", "altered"]:
    return "missing" if request.param == "missing" else "altered"


@pytest.fixture
def shell(tmp_path: Path, drift: Literal["missing", "altered"]) -> Shell:
    return Shell(story(drift).write(tmp_path), StillClock(after(4)))


@pytest.mark.parametrize(
    "asked",
    [("history", "--grant", ANA.id), ("who-has-access", "--because")],
    ids=["history", "because"],
)
def test_an_interval_of_drift_is_shown_with_both_its_ends(
    shell: Shell, drift: str, asked: tuple[str, ...]
) -> None:
    lines = shell.run(*asked).out.splitlines()
    (found,) = [line for line in lines if f"drift: {OBJECT} {drift} by eve since {MISSED}" in line]
    (over,) = [
        line for line in lines if f"drift over: {OBJECT} right again without us at {OVER}" in line
    ]
    assert RECORDED in found, "when it was known"
    assert REPAIRED in over, "and when that was"


def test_within_it_who_was_meant_to_have_access_and_had_none_is_told_as_known_then(
    tmp_path: Path,
) -> None:
    shell = Shell(story("missing").write(tmp_path), StillClock(after(4)))
    asked = ("who-has-access", "--because", "-o", "json", "--at", "2026-03-02T14:00Z")
    then = shell.run(*asked, "--as-known-at", "2026-03-02T14:00Z").json
    assert then["access"] == []
    (ana,) = then["no_access"]
    assert f"since {MISSED}" in ana["reason"]
    now = shell.run(*asked).json
    assert [event["kind"] for event in now["access"][0]["because"]] == [
        "granted",
        "applied",
        "drift_found",
        "drift_repaired",
    ]
