"""What is put right, by whom, and how much of it unasked: from the record alone."""

from dataclasses import replace

import pytest

from ledger.events import DriftFound, SettingsChanged, Stuck, ref
from ledger.project import REMADE, GrantRow, Trouble
from ledger.state import AccountView
from tests.support.histories import NOON, PROD, TEAM, after
from tests.unit.worker.views import OWN, attachment, copy, fix, row, view, written
from worker.deciding.drift import Kind
from worker.deciding.plan import Reason, plan
from worker.deciding.repair import BRAKE, braked

NOW = after(1)
COPY = row(ends=4, written=True, made=[copy()])
SETTINGS = SettingsChanged("/iam-ledger/", "repair", ("user/*",), (), "local-part", 3, 50)


def found(about: GrantRow, drift: Kind = "altered", *, loosened: bool = False) -> DriftFound:
    known = ref(about.grant)
    return DriftFound(PROD, drift, "x", known, None, None, NOON, None, loosened=loosened)


def repairing(seen: AccountView, **drift: tuple[DriftFound, int]) -> AccountView:
    return replace(seen, settings=SETTINGS, drift=drift)


def reasons(seen: AccountView) -> list[Reason]:
    work = plan(seen, NOW, retry_refused=False)
    return [step.reason for step in work.policies] + [step.reason for step in work.grants]


@pytest.mark.parametrize(
    ("drift", "position", "wanted"),
    [
        ("altered", 12, ["drift_altered"]),
        ("missing", 12, ["drift_missing"]),
        ("altered", 8, []),
        ("extra", 12, []),
    ],
)
def test_what_was_found_since_it_was_written_is_written_again_once(
    drift: Kind, position: int, wanted: list[str]
) -> None:
    seen = view(COPY, policy=fix(), made=written())
    assert reasons(repairing(seen, x=(found(COPY, drift), position))) == wanted
    warned = replace(seen, drift={"x": (found(COPY, drift), position)})
    assert reasons(warned) == []


def test_a_loosened_end_is_put_right_under_warn_unless_something_was_cut_as_well() -> None:
    loose = {"x": (found(COPY, loosened=True), 12)}
    assert reasons(replace(view(COPY, policy=fix(), made=written()), drift=loose)) == [
        "drift_altered"
    ]
    cut = loose | {"y": (found(COPY, "missing"), 13)}
    assert reasons(replace(view(COPY, policy=fix(), made=written()), drift=cut)) == []
    assert reasons(repairing(view(COPY, policy=fix(), made=written()), **cut)) == ["drift_missing"]


def test_a_policy_of_ours_is_written_again_under_repair_only() -> None:
    name = f"policy {OWN}"
    event = DriftFound(PROD, "missing", name, None, TEAM, "fix", NOON, None)
    seen = view(policy=fix(), made=written())
    assert reasons(replace(seen, drift={name: (event, 90)})) == []
    assert reasons(replace(seen, drift={name: (event, 90)}, settings=SETTINGS)) == ["drift_missing"]
    assert reasons(replace(seen, drift={name: (event, 2)}, settings=SETTINGS)) == []


@pytest.mark.parametrize(
    ("who", "code", "drift", "again"),
    [
        ("user/ana", "missing", "warn", False),
        ("user/ana", "missing", "repair", True),
        ("user/ana", REMADE, "repair", False),
        ("group/devs", REMADE, "repair", False),
        ("role/ci", REMADE, "warn", True),
        ("role/ci", "missing", "warn", False),
    ],
)
def test_who_gets_again_what_is_gone(who: str, code: str, drift: str, again: bool) -> None:
    gone = row(who=who, written=True, made=[attachment()], trouble="missing")
    assert gone.trouble is not None
    gone = replace(gone, trouble=Trouble("missing", gone.trouble.since, code, "why"))
    seen = view(gone, policy=fix(), made=written())
    settings = replace(SETTINGS, drift="repair" if drift == "repair" else "warn")
    assert reasons(replace(seen, settings=settings)) == (["drift_missing"] if again else [])


def test_what_a_person_wants_tried_again_is_tried() -> None:
    for written_once in (True, False):
        asked = row(ends=4, written=written_once, made=[copy()], trouble="retry")
        assert reasons(view(asked, policy=fix(), made=written())) == [
            "change" if written_once else "first"
        ]


@pytest.mark.parametrize(
    ("number", "live", "held"),
    [(0, 0, False), (3, 2, False), (4, 100, True), (3, 100, False)],
)
def test_the_brake_counts_as_the_settings_say(number: int, live: int, held: bool) -> None:
    rows = [row(f"g{n}", written=True) for n in range(live)]
    error = braked(repairing(view(*rows)), number, NOW)
    assert (error is not None) == held
    if error is not None:
        assert error.code == BRAKE
        assert "more than 3;" in error.message


def test_from_five_on_the_share_of_what_is_in_force_counts_too() -> None:
    rows = [row(f"g{n}", written=True) for n in range(8)]
    wide = replace(SETTINGS, max_revocations_count=100)
    seen = replace(view(*rows), settings=wide)
    assert braked(seen, 4, NOW) is None
    error = braked(seen, 5, NOW)
    assert error is not None
    assert "50 % of the 8 grants" in error.message


def test_what_the_share_has_held_is_not_let_go_because_fewer_are_left() -> None:
    few = [row(f"g{n}", written=True) for n in range(6)]
    wide = replace(view(*few), settings=replace(SETTINGS, max_revocations_count=100))
    error = braked(wide, 5, NOW)
    assert error is not None
    held = replace(wide, stuck={("", ""): Stuck(PROD, error.code, error.message)})
    assert braked(wide, 4, NOW) is None
    still = braked(held, 4, NOW)
    assert still is not None
    assert still.code == error.code, "and is told once"
    assert braked(held, 3, NOW) is None, "half of them may go"
