"""The form of the strongest class that fits; what does not fit is refused with all the numbers."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.events import Made, Pin
from ledger.model import Policy, Team, Window
from tests.support.fake_aws.access import allowed
from tests.unit.worker.iam_texts import allow, deny, long, text
from tests.unit.worker.views import ANA
from worker.account import AccountLimits, PrincipalState
from worker.iam.documents import MANAGED_CHARS_MAX
from worker.iam.forms import Asked, CannotStand, Form, Part, choose, own_parts, part_arn
from worker.iam.room import Room, room_of

END = datetime(2026, 3, 2, 13, tzinfo=UTC)
START = END - timedelta(hours=4)
TICK = timedelta(microseconds=1)
OWN = "arn:aws:iam::111111111111:policy/iam-ledger/payments-fix"
PREFIX = OWN.removesuffix("payments-fix")
AWS = "arn:aws:iam::aws:policy/"

SMALL = text(allow("s3:GetObject"))
LARGE = text(long(90))
"""Three parts."""
HUGE = text(long(500))
DENYING = text(allow("s3:GetObject"), deny("s3:DeleteBucket"))


def asked(*texts: str, daemon: bool = False, **more: Any) -> Asked:
    """A grant of these texts: the first the policy's own, the others AWS's."""
    sources = [f"{AWS}S{number}" for number in range(1, len(texts))]
    policy = Policy(
        Team("payments"),
        "fix",
        "payments-fix",
        texts[0],
        tuple(sources),
        enforcement="daemon" if daemon else "aws",
    )
    parts = [Part(OWN, texts[0], None)]
    parts += [Part(arn, found, pin(arn)) for arn, found in zip(sources, texts[1:], strict=True)]
    return Asked(policy, Window(START, END), False, "iam-ledger-g", PREFIX, tuple(parts), **more)


def pin(arn: str) -> Pin:
    return Pin(arn, "v1", "0" * 64)


def room(inline: int = 0, attached: Sequence[str] = (), policies_free: int = 1_500) -> Room:
    """Of a user with so many characters used inline by others."""
    used = {"theirs": inline} if inline else {}
    return Room(ANA, used, frozenset(attached), 10, policies_free, 1_500)


def others(count: int) -> list[str]:
    return [f"{AWS}T{number}" for number in range(count)]


def kinds(form: Form) -> list[str]:
    return [each.kind for each in form.objects]


def test_inline_comes_before_parts_and_parts_before_the_worker() -> None:
    assert kinds(choose(asked(SMALL, daemon=True), room())) == ["inline"]
    assert kinds(choose(asked(SMALL, daemon=True), room(inline=2_000))) == ["policy"]
    full = room(inline=2_000, attached=others(9), policies_free=0)
    assert kinds(choose(asked(SMALL, daemon=True), full)) == ["attachment"]


def test_it_fits_up_to_the_last_character() -> None:
    size = choose(asked(SMALL), room()).objects[0].document
    assert size is not None
    assert kinds(choose(asked(SMALL), room(inline=2_048 - size.size))) == ["inline"]
    assert kinds(choose(asked(SMALL), room(inline=2_049 - size.size))) == ["policy"]


@pytest.mark.parametrize(("slots", "policies"), [(3, 3), (2, 3), (3, 2)])
def test_parts_need_a_slot_and_a_policy_of_the_account_each(slots: int, policies: int) -> None:
    free = room(attached=others(10 - slots), policies_free=policies)
    if (slots, policies) == (3, 3):
        form = choose(asked(LARGE), free)
        assert [each.name for each in form.objects] == [
            part_arn(PREFIX, "iam-ledger-g", number) for number in (1, 2, 3)
        ]
        assert (form.enforcement, form.untimed) == ("aws", ())
        return
    with pytest.raises(CannotStand) as refused:
        choose(asked(LARGE), free)
    assert refused.value.code == "no-room"
    said = refused.value.message
    assert f"it takes 3; user/ana has {slots} of 10 attachments left" in said
    assert ("room for 2 more customer-managed policies" in said) == (policies == 2)


def test_only_what_cannot_be_timed_is_left_to_the_worker() -> None:
    form = choose(asked(SMALL, DENYING, SMALL, daemon=True), room())
    assert form.made == (
        replace(form.made[0], kind="inline", name="iam-ledger-g"),
        Made("attachment", f"{AWS}S1", None),
    )
    assert form.enforcement == "daemon"
    assert form.pins == (pin(f"{AWS}S1"), pin(f"{AWS}S2"))
    document = form.objects[0].document
    assert document is not None
    assert "DeleteBucket" not in document.text


def test_of_what_does_not_fit_the_largest_goes_first() -> None:
    form = choose(asked(SMALL, HUGE, LARGE, daemon=True), room())
    assert form.untimed == (f"{AWS}S1",)
    assert kinds(form) == ["policy"] * 3 + ["attachment"]
    tight = choose(asked(SMALL, HUGE, LARGE, daemon=True), room(attached=others(8)))
    assert (tight.untimed, kinds(tight)[0]) == ((f"{AWS}S1", f"{AWS}S2"), "inline")


@pytest.mark.parametrize(("theirs", "code"), [(DENYING, "not-copyable"), (HUGE, "no-room")])
def test_what_aws_wrote_is_never_attached_past_the_second_factor_that_its_policy_asks_for(
    theirs: str, code: str
) -> None:
    without = asked(SMALL, theirs, daemon=True)
    assert choose(without, room()).untimed == (f"{AWS}S1",)
    with_mfa = replace(without, policy=replace(without.policy, require_mfa=True))
    with pytest.raises(CannotStand) as refused:
        choose(with_mfa, room())
    assert refused.value.code == code
    assert "let the policy say" not in refused.value.message
    alone = asked(theirs, daemon=True)
    alone = replace(alone, policy=replace(alone.policy, require_mfa=True))
    assert choose(alone, room()).untimed == (OWN,), "its own text carries the condition"


def test_an_attachment_that_stands_anyway_takes_no_slot() -> None:
    standing = [*others(9), f"{AWS}S1"]
    assert choose(asked(SMALL, DENYING, daemon=True), room(attached=standing)).untimed
    with pytest.raises(CannotStand, match="needs 1 more") as refused:
        choose(asked(DENYING, daemon=True), room(attached=others(10)))
    assert refused.value.code == "attachment-slots"


def test_without_leave_a_deny_is_refused_and_named() -> None:
    with pytest.raises(CannotStand, match="of its statements, it holds a Deny") as own:
        choose(asked(DENYING), room())
    with pytest.raises(CannotStand, match="of S1, it holds a Deny"):
        choose(asked(SMALL, DENYING), room())
    assert own.value.code == "not-copyable"


def test_what_uses_the_room_is_named_the_largest_first_and_not_endlessly() -> None:
    full = replace(
        room(attached=others(10)),
        inline={f"n{number}": number * 100 for number in range(1, 8)},
        whose={"n7": "abcd", f"{AWS}T0": "efgh"},
    )
    with pytest.raises(CannotStand) as refused:
        choose(asked(LARGE), full)
    said = refused.value.message
    assert "used by n7 of grant abcd: 700, n6: 600, n5: 500, n4: 400, n3: 300, and 2 more" in said
    assert f"used by {AWS}T0 of grant efgh, {AWS}T1," in said


# --- laws -----------------------------------------------------------------------------------------

SOURCES = [SMALL, LARGE, HUGE, DENYING, text(allow("ec2:Run*", "s3:*")), text(long(12, "ec2"))]
ASKED = ["s3:GetObject", *long(1)["Action"], *long(90)["Action"][-1:], "ec2:RunInstances", "a:b"]


@given(
    st.lists(st.sampled_from(SOURCES), min_size=1, max_size=4),
    st.integers(0, 2_048),
    st.integers(0, 10),
    st.booleans(),
)
def test_a_form_fits_gives_what_was_asked_and_leaves_the_least_to_the_worker(
    texts: list[str], inline: int, attached: int, daemon: bool
) -> None:
    free = room(inline, others(attached))
    one = asked(*texts, daemon=daemon)
    try:
        form = choose(one, free)
    except CannotStand:
        return
    sizes = [each.document.size for each in form.objects if each.document is not None]
    inlines = [each for each in form.objects if each.kind == "inline"]
    assert len(inlines) <= 1
    assert len(set(form.managed) - free.attached) <= free.attached_free
    assert all(size <= MANAGED_CHARS_MAX for size in sizes)
    assert sum(e.document.size for e in inlines if e.document) <= free.inline_free
    assert daemon or not form.untimed
    given = {part.arn: part.text for part in one.parts}
    timed = [each.document.text for each in form.objects if each.document is not None]
    untimed = [given[arn] for arn in form.untimed]
    for action in ASKED:
        if not any(part.text == DENYING for part in one.parts):
            wanted = any(allowed([text], action, END - TICK) for text in texts)
            assert allowed([*timed, *untimed], action, END - TICK) == wanted
        assert not allowed(timed, action, END), "what has a date ends by it"


# --- room -----------------------------------------------------------------------------------------


def test_what_is_the_grants_own_is_not_counted_against_it() -> None:
    mine, theirs = part_arn(PREFIX, "iam-ledger-g", 1), f"{AWS}T"
    state = PrincipalState(
        ANA, "AIDA", {"iam-ledger-g": "{}", "theirs": ' { "a" : 1 } '}, frozenset([mine, theirs])
    )
    found = room_of(
        state,
        AccountLimits(attached={ANA.kind: 15}, policies_max=20, policies=19),
        own_inline="iam-ledger-g",
        own_managed=frozenset([mine]),
        own_policies=1,
        whose={},
    )
    assert (found.inline, found.inline_free) == ({"theirs": 7}, 2_041)
    assert (found.attached, found.attached_free) == (frozenset([theirs]), 14)
    assert found.policies_free == 2


def test_parts_are_known_by_name_whatever_its_case_and_no_other_grants_is_taken_for_one() -> None:
    name = "iam-ledger-g"
    mine = [part_arn(PREFIX, name, number) for number in (1, 2, 10)]
    foreign = [
        part_arn(PREFIX, f"{name}-2", 1),
        part_arn(PREFIX, "iam-ledger-h", 1),
        f"{PREFIX}{name}-p",
        f"{PREFIX}{name}-p01",
        f"{PREFIX}{name}-p1x",
        f"{AWS}{name}-p1",
    ]
    assert own_parts(PREFIX, name, frozenset(mine + foreign)) == tuple(mine)
    shouted = mine[0].replace(name, name.upper())
    assert own_parts(PREFIX, name, frozenset([shouted])) == (shouted,)
