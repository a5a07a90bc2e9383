"""What is called drift, what is not, and when a difference is believed."""

from dataclasses import replace
from datetime import timedelta

import pytest

from ledger.events import Made
from tests.support.histories import PROD, after
from tests.unit.worker.views import (
    ANA,
    DOCUMENT,
    OWN,
    READ_ONLY,
    attachment,
    fix,
    part,
    row,
    view,
    written,
)
from worker.account import AccountState, ManagedPolicyState, PrincipalState
from worker.deciding.drift import Comparison, Difference, compare, judged
from worker.iam.documents import canonical

NOW = after(1)
TEXT = canonical(DOCUMENT)
INLINE = Made("inline", "iam-ledger-g", TEXT.sha256)


def state(
    *,
    inline: dict[str, str] | None = None,
    attached: tuple[str, ...] = (),
    policy: str | None = None,
) -> AccountState:
    """What AWS holds of ana, and of the policy of ours."""
    ana = PrincipalState(ANA, "AID1", inline or {}, frozenset(attached))
    policies = {}
    if policy is not None:
        policies["payments-fix"] = ManagedPolicyState(
            "payments-fix", "/iam-ledger/", OWN, policy, "v1", ("v1",)
        )
    return AccountState({ANA.key: ana}, policies)


def kinds(found: Comparison) -> list[str]:
    return [difference.drift for difference in found.differences]


COPY = row(ends=4, written=True, made=[INLINE])


@pytest.mark.parametrize(
    ("inline", "wanted"),
    [
        ({"iam-ledger-g": DOCUMENT}, []),
        ({"iam-ledger-g": DOCUMENT.replace(",", " ,\n")}, []),
        ({"iam-ledger-g": DOCUMENT.replace("Get", "Put")}, ["altered"]),
        ({"iam-ledger-g": '{"what": "is this"}'}, ["altered"]),
        ({}, ["missing"]),
        ({"iam-ledger-G": DOCUMENT}, ["missing"]),
    ],
)
def test_a_copy_is_compared_by_what_it_says(inline: dict[str, str], wanted: list[str]) -> None:
    assert kinds(compare(view(COPY), state(inline=inline), NOW)) == wanted


def test_a_principal_that_is_gone_misses_all_it_had() -> None:
    rows = (COPY, row("b", written=True, made=[attachment()]))
    found = compare(view(*rows, policy=fix(), made=written()), AccountState({}, {}), NOW)
    assert kinds(found) == ["missing", "missing", "missing"]
    assert [difference.object.split()[0] for difference in found.differences] == [
        "inline",
        "attachment",
        "policy",
    ]


@pytest.mark.parametrize(
    "other",
    [
        row(ends=4, made=[INLINE]),
        row(ends=1, written=True, made=[INLINE]),
        row(ends=4, revoked=0.5, written=True, made=[INLINE]),
        row(ends=4, written=True, made=[INLINE], trouble="refused"),
    ],
)
def test_what_should_not_stand_now_is_not_missed(other: object) -> None:
    """Never written, over, revoked, or taken away by us since it no longer fitted."""
    assert kinds(compare(view(other), state(), NOW)) == []  # type: ignore[arg-type]  # a row


def test_our_policy_on_somebody_whom_no_grant_names_is_extra() -> None:
    grants = [row(written=True, made=[attachment()])]
    standing = state(attached=(OWN, READ_ONLY), policy=DOCUMENT)
    assert kinds(compare(view(*grants, policy=fix()), standing, NOW)) == []
    assert kinds(compare(view(policy=fix()), standing, NOW)) == ["extra"]
    owing = row(revoked=0.5, written=True, made=[attachment()])
    assert kinds(compare(view(owing, policy=fix()), standing, NOW)) == [], "its removal is owed"


def test_a_declared_attachment_of_a_policy_adopted_in_another_case_is_not_extra() -> None:
    seeds = f"arn:aws:iam::{PROD}:policy/Payments-FIX"
    adopted = replace(written(), made=Made("policy", seeds, None), policy_position=0)
    declared = view(row(), policy=fix(), made=adopted)
    assert kinds(compare(declared, state(attached=(seeds,)), NOW)) == []
    assert kinds(compare(view(policy=fix(), made=adopted), state(attached=(seeds,)), NOW)) == [
        "extra"
    ]


def test_a_policy_of_ours_is_compared_unless_it_is_about_to_change() -> None:
    ours = view(policy=fix(), made=written())
    assert kinds(compare(ours, state(), NOW)) == ["missing"]
    assert kinds(compare(ours, state(policy=DOCUMENT), NOW)) == ["altered"], "the hash differs"
    assert kinds(compare(view(policy=fix(), made=written(4)), state(), NOW)) == []
    assert kinds(compare(view(made=written(), retired=True), state(), NOW)) == []


def test_what_is_named_like_ours_and_no_open_grant_carries_is_a_stranger() -> None:
    names = ("iam-ledger-g", "iam-ledger-x", "IAM-Ledger-upper", "other")
    standing = state(inline=dict.fromkeys(names, DOCUMENT))
    found = compare(view(row(ends=4, written=True, made=[INLINE])), standing, NOW)
    assert found.strangers == ((ANA, "iam-ledger-x"), (ANA, "IAM-Ledger-upper"))


def test_a_difference_is_believed_after_two_minutes_unless_there_is_only_one_look() -> None:
    two = timedelta(minutes=2)
    found = (Difference("extra", "attachment user/ana x"),)
    seen = {"attachment user/ana x": NOW}
    assert judged(found, seen, NOW + two - timedelta(seconds=1), at_once=False) == ()
    assert judged(found, seen, NOW + two, at_once=False) == found
    assert judged(found, {}, NOW, at_once=False) == ()
    assert judged(found, {}, NOW, at_once=True) == found


@pytest.mark.parametrize("which", ["copy", "policy"])
def test_what_we_wrote_a_moment_ago_is_not_judged_even_by_one_look(which: str) -> None:
    ours = view(COPY) if which == "copy" else view(policy=fix(), made=written())
    (fresh,) = compare(ours, state(), NOW).differences
    assert fresh.written_at is not None
    soon, later = (fresh.written_at + timedelta(minutes=minutes) for minutes in (1, 2))
    assert judged((fresh,), {}, soon, at_once=True) == ()
    assert judged((fresh,), {}, later, at_once=True) == (fresh,)


# --- copies that are split over policies of their own ---------------------------------------------

PART = Made("policy", part().name, TEXT.sha256)
SECOND = Made("policy", part(2).name, TEXT.sha256)
SPLIT = row(ends=4, written=True, made=[PART, SECOND])


def parts(*standing: Made, attached: tuple[Made, ...] = (), text: str = DOCUMENT) -> AccountState:
    """Parts that stand, and those that hang on ana."""
    ana = PrincipalState(ANA, "AID1", {}, frozenset(made.name for made in attached))
    policies = {}
    for made in standing:
        name = made.name.rpartition("/")[2]
        policies[name] = ManagedPolicyState(name, "/iam-ledger/", made.name, text, "v1", ("v1",))
    return AccountState({ANA.key: ana}, policies)


@pytest.mark.parametrize(
    ("standing", "wanted", "whole"),
    [
        (parts(PART, SECOND, attached=(PART, SECOND)), [], False),
        (parts(PART, SECOND, attached=(SECOND,)), ["attachment"], False),
        (parts(SECOND, attached=(SECOND,)), ["policy", "attachment"], False),
        (parts(PART, SECOND), ["attachment", "attachment"], True),
        (parts(), ["policy", "attachment"] * 2, True),
    ],
)
def test_a_split_copy_is_missing_when_nothing_of_it_gives_access(
    standing: AccountState, wanted: list[str], *, whole: bool
) -> None:
    found = compare(view(SPLIT), standing, NOW).differences
    assert [each.object.split()[0] for each in found] == wanted
    assert {each.drift for each in found} <= {"missing"}
    assert all(bool(each.gone_with) == whole for each in found)


def test_a_part_whose_end_was_taken_out_is_loosened() -> None:
    open_ended = DOCUMENT.replace("Get", "Put")
    standing = parts(PART, SECOND, attached=(PART, SECOND), text=open_ended)
    found = compare(view(SPLIT), standing, NOW).differences
    assert [(each.drift, each.loosened) for each in found] == [("altered", True)] * 2


def test_a_part_on_somebody_else_is_extra_and_one_of_no_open_grant_is_a_stranger() -> None:
    eve = PrincipalState(replace(ANA, name="eve"), "AID2", {}, frozenset({PART.name}))
    standing = parts(PART, SECOND, attached=(PART, SECOND))
    standing.principals[eve.principal.key] = eve
    (extra,) = compare(view(SPLIT), standing, NOW).differences
    assert (extra.drift, extra.principal, extra.name) == ("extra", eve.principal, PART.name)
    found = compare(view(), standing, NOW)
    assert found.parts == (("iam-ledger-g", PART.name), ("iam-ledger-g", SECOND.name))
    assert found.differences == (), "who has it is told with what it is"


def test_a_part_is_known_by_a_name_that_ends_in_its_turn() -> None:
    """As of a line that came back while another carried its name."""
    again = Made("policy", part(1, "iam-ledger-g-2").name, TEXT.sha256)
    assert compare(view(), parts(again), NOW).parts == (("iam-ledger-g-2", again.name),)


# --- principals made anew -------------------------------------------------------------------------


def test_nothing_of_a_grant_stands_for_a_principal_that_was_made_anew() -> None:
    """Whatever somebody has put there since under our names."""
    known = replace(COPY, principal_id="AID0")
    found = compare(view(known), state(inline={"iam-ledger-g": DOCUMENT}), NOW).differences
    assert [(each.drift, each.principal_id) for each in found] == [("missing", "AID1")]
    same = replace(COPY, principal_id="AID1")
    assert compare(view(same), state(inline={"iam-ledger-g": DOCUMENT}), NOW).differences == ()


# --- what cannot wait -----------------------------------------------------------------------------


def test_a_loosened_end_is_believed_at_once_unless_it_was_written_just_now() -> None:
    loose = Difference("altered", "x", loosened=True, written_at=NOW - timedelta(minutes=3))
    assert judged((loose,), {"x": NOW}, NOW, at_once=False) == (loose,)
    young = replace(loose, written_at=NOW - timedelta(minutes=1))
    assert judged((young,), {"x": NOW}, NOW, at_once=False) == ()
