"""What is outstanding, in its order and with its reason; what goes, and what must stay."""

from dataclasses import replace
from typing import Any

import pytest

from ledger.model import GrantId, Team
from tests.support.histories import NOON, after
from tests.unit.worker.views import (
    ANA,
    OWN,
    READ_ONLY,
    attachment,
    copy,
    fix,
    part,
    row,
    sighting,
    view,
    written,
)
from worker.deciding.plan import (
    Remove,
    Replaced,
    Waits,
    Work,
    plan,
    removal_of,
)
from worker.steps.passing import by_principal

LATER = after(1)
FIX = (Team("payments"), "fix")


def outstanding(*rows: Any, retry_refused: bool = False, **of: Any) -> Work:
    return plan(view(*rows, **of), LATER, retry_refused=retry_refused)


# --- additions ------------------------------------------------------------------------------------


def test_nothing_is_outstanding_where_all_is_written() -> None:
    rows = [row("a", written=True, made=[attachment()]), row("b", ends=4, written=True)]
    work = outstanding(*rows, policy=fix(), made=written())
    assert not work
    assert work == Work((), (), (), ())


def test_each_step_says_why() -> None:
    first = outstanding(row(ends=4), policy=fix())
    assert [step.reason for step in first.policies] == ["first"]
    assert [step.reason for step in first.grants] == ["first"]
    older = row(ends=4, written=True, policy_position=4)
    change = outstanding(older, policy=fix(), made=written(4))
    assert [step.reason for step in change.policies] == ["change"]
    assert [step.reason for step in change.grants] == ["change"]


def test_nothing_is_attached_before_its_policy_is_known_to_be_ours_and_up_to_date() -> None:
    assert outstanding(row(), policy=fix()).grants == ()
    assert outstanding(row(), policy=fix(), made=written(4)).grants == ()
    assert len(outstanding(row(), policy=fix(), made=written()).grants) == 1
    assert len(outstanding(row(), policy=fix(None, READ_ONLY)).grants) == 1


def test_what_was_refused_is_tried_again_at_a_resync_or_when_its_policy_changes() -> None:
    refused = row(ends=4, trouble="refused")
    assert outstanding(refused, policy=fix(), made=written()).grants == ()
    again = outstanding(refused, policy=fix(), made=written(), retry_refused=True)
    assert len(again.grants) == 1
    changed = row(ends=4, trouble="refused", policy_position=4)
    assert len(outstanding(changed, policy=fix(), made=written()).grants) == 1


def test_what_somebody_took_away_stays_away() -> None:
    missing = row(ends=4, written=True, trouble="missing", policy_position=4)
    work = outstanding(missing, policy=fix(), made=written(), retry_refused=True)
    assert work.grants == ()


@pytest.mark.parametrize(
    "over", [row(ends=1), row(ends=4, revoked=0.5), row(starts=after(2), ends=4)]
)
def test_nothing_is_written_outside_its_time(over: Any) -> None:
    assert outstanding(over, policy=fix(), made=written()).grants == ()


def test_what_is_parked_is_not_planned() -> None:
    rows = (row("a", ends=4), row("b", ends=1))
    everything = plan(view(*rows, policy=fix()), LATER, retry_refused=True)
    assert (len(everything.removals), len(everything.policies), len(everything.grants)) == (1, 1, 1)
    parked = {("a", 1), ("b", 1), ("policy", "payments", "fix")}
    work = plan(view(*rows, policy=fix()), LATER, retry_refused=True, parked=parked.__contains__)
    assert not work


# --- policies that nobody defines any more --------------------------------------------------------


def test_a_policy_goes_with_its_definition_and_with_the_last_account_that_its_team_maps() -> None:
    for gone in (
        outstanding(made=written(), retired=True),
        outstanding(policy=fix(), made=written(), mapped=False),
    ):
        ((team, policy, arn, cause),) = [
            (step.team, step.policy, step.arn, step.cause) for step in gone.deletions
        ]
        assert (team, policy, arn, cause) == (Team("payments"), "fix", OWN, 6)
        assert gone.policies == ()


def test_a_policy_stays_while_a_grant_of_it_owes_its_removal() -> None:
    owing = row(written=True, revoked=0.5, made=[attachment()])
    assert outstanding(owing, made=written(), retired=True).deletions == ()


# --- removals -------------------------------------------------------------------------------------


def removal(*rows: Any, **of: Any) -> Any:
    """How the first of `rows` goes."""
    return removal_of(view(*rows, **of), rows[0], LATER)


def test_a_copy_goes_by_its_name_whether_or_not_it_was_ever_seen_to_stand() -> None:
    for old in (row(ends=1, written=True, made=[copy()]), row(ends=1)):
        assert removal(old).inline == ("iam-ledger-g",)


def test_a_copy_waits_for_the_one_that_is_written_over_it_and_is_then_replaced() -> None:
    old = row("a", ends=4, revoked=0.5, written=True)
    new = row("b", ends=6, object="iam-ledger-a", continues=old.key)
    assert removal(old, new) == Waits(new)
    stands = replace(new, written_position=11)
    assert removal(old, stands) == Replaced(stands)


def test_a_copy_whose_successor_cannot_be_written_stays_to_the_earlier_end() -> None:
    new = row("b", ends=6, object="iam-ledger-a", continues=(GrantId("a"), 1), trouble="refused")
    assert removal(row("a", ends=4, revoked=0.5, written=True), new) == Waits(new)
    over = row("a", ends=1, revoked=0.5, written=True)
    assert removal(over, new).inline == ("iam-ledger-a",)
    shorter = row("b", ends=1, object="iam-ledger-a", continues=(GrantId("a"), 1))
    assert isinstance(removal(row("a", ends=4, revoked=0.5), shorter), Remove)


def test_the_name_on_another_principal_is_another_name() -> None:
    old = row("a", ends=1, written=True)
    theirs = row("b", who="user/bob", ends=6, object="iam-ledger-a", written=True)
    assert removal(old, theirs).inline == ("iam-ledger-a",)


def test_a_name_is_not_taken_from_who_carries_it_though_another_continues_it() -> None:
    old = row("a", ends=4, revoked=0.5, written=True, object="iam-ledger-x")
    standing = row("b", written=True, continues=old.key)
    carrier = row("c", ends=6, written=True, object="iam-ledger-x")
    for others in ((standing, carrier), (carrier, standing)):
        assert removal(old, *others) == Replaced(carrier)


def test_a_revoked_copy_does_not_wait_for_a_stranger_that_cannot_be_written() -> None:
    old = row("a", ends=4, revoked=0.5, written=True)
    stuck = row("b", ends=6, object="iam-ledger-a", trouble="stuck")
    assert removal(old, stuck).inline == ("iam-ledger-a",)


def test_attachments_go_unless_another_grant_needs_them_or_they_stood_before() -> None:
    ours = row("a", revoked=0.5, written=True, made=[attachment()])
    assert removal(ours, policy=fix()) == Remove(ANA, detach=(OWN,))
    other = row("b", written=True, made=[attachment()])
    assert removal(ours, other, policy=fix()) == Remove(ANA, kept_for=(GrantId("b"),))
    foreign = row("a", revoked=0.5, written=True, made=[attachment(READ_ONLY)])
    for present, (detach, left) in {
        False: ((READ_ONLY,), ()),
        True: ((), (READ_ONLY,)),
    }.items():
        seen = [sighting(foreign, present=present)]
        found = removal(foreign, policy=fix(None, READ_ONLY), sighted=seen)
        assert found == Remove(ANA, detach=detach, left=left)


def test_an_attachment_whose_evidence_was_lost_is_looked_for_by_its_sighting_and_its_name() -> None:
    never = row("a", revoked=0.5)
    assert removal(never, policy=fix()) == Remove(ANA, detach=(OWN,))
    assert removal(never, retired=True) == Remove(ANA, detach=(OWN,))
    seen = [sighting(never, present=False)]
    found = removal(never, policy=fix(None, READ_ONLY), sighted=seen)
    assert found == Remove(ANA, detach=(READ_ONLY,))


def test_what_was_never_sighted_for_it_is_never_detached() -> None:
    never = row("a", revoked=0.5)
    other = sighting(row("z"), present=False)
    assert removal(never, policy=fix(None, READ_ONLY)).detach == ()
    assert removal(never, policy=fix(None, READ_ONLY), sighted=[other]).detach == ()


def test_a_group_of_the_same_name_holds_nothing_of_the_users() -> None:
    ours = row("a", revoked=0.5, written=True, made=[attachment()])
    group = row("b", who="group/ana", written=True, made=[attachment()])
    assert removal(ours, group, policy=fix()).detach == (OWN,)


def test_removals_that_wait_are_not_outstanding_before_their_turn() -> None:
    old = row("a", ends=4, revoked=0.5, written=True)
    new = row("b", ends=6, object="iam-ledger-a", continues=old.key)
    work = plan(view(old, new, policy=fix()), LATER, retry_refused=False)
    assert work.removals == ()
    assert [step.row for step in work.grants] == [new]
    assert NOON < LATER


# --- all forms of a temporary grant ---------------------------------------------------------------


def test_what_has_evidence_goes_by_it_and_nothing_is_looked_for() -> None:
    first, second = part(1), part(2)
    old = row(ends=1, written=True, made=[first, second, attachment(READ_ONLY)])
    seen = [sighting(old, present=False)]
    assert removal(old, policy=fix(), sighted=seen) == Remove(
        ANA, parts=(first.name, second.name), detach=(READ_ONLY,)
    )
    copied = row(ends=1, written=True, made=[copy()])
    assert removal(copied, policy=fix()) == Remove(ANA, inline=("iam-ledger-g",))


def test_what_a_crash_may_have_hidden_is_looked_for() -> None:
    for old in (
        row(ends=1),
        row(ends=1, written=True, made=[part()], policy_position=4),
        row(ends=1, written=True, made=[part()], trouble="stuck"),
    ):
        found = removal(old, policy=fix())
        assert found.look
        assert found.inline == ("iam-ledger-g",)
    gone = row(ends=1, written=True, made=[part()])
    assert removal(gone, retired=True).look, "nobody can say which text was tried last"


def test_of_a_policy_of_ours_a_temporary_grant_holds_what_was_sighted_for_it_alone() -> None:
    never = row("a", ends=4, revoked=0.5)
    assert removal(never, policy=fix()).detach == ()
    seen = [sighting(never, OWN, present=False)]
    assert removal(never, policy=fix(), sighted=seen).detach == (OWN,)


def test_an_attachment_stays_for_a_temporary_grant_that_has_it_or_has_begun_to() -> None:
    ours = row("a", revoked=0.5, written=True, made=[attachment(READ_ONLY)])
    policy = fix(None, READ_ONLY)
    has = row("b", ends=4, written=True, made=[attachment(READ_ONLY)])
    seen = [sighting(ours, present=False)]
    assert removal(ours, has, policy=policy, sighted=seen).kept_for == (GrantId("b"),)
    begun = row("b", ends=4)
    assert removal(ours, begun, policy=policy, sighted=seen).kept_for == ()
    looked = [sighting(begun, present=False)]
    assert removal(ours, begun, policy=policy, sighted=looked).kept_for == (GrantId("b"),)
    for without in (
        row("b", ends=4, trouble="refused"),
        row("b", ends=4, written=True, made=[copy("iam-ledger-b")]),
    ):
        found = removal(ours, without, policy=policy, sighted=[sighting(without, present=False)])
        assert found.detach == (READ_ONLY,), "what it looked at once it has not now"
    over = row("b", ends=1, written=True, made=[attachment(READ_ONLY)])
    assert removal(ours, over, policy=policy, sighted=seen).detach == (READ_ONLY,)


def test_an_attachment_stays_for_who_is_to_come_in_the_place_of_another_that_has_it() -> None:
    """Two windows shared it; one is over, the other was prolonged and is not written yet."""
    made = [attachment(READ_ONLY)]
    over = row("a", revoked=0.5, written=True, made=made)
    before = row("b", ends=4, revoked=0.5, written=True, made=made)
    policy, seen = fix(None, READ_ONLY), [sighting(over, present=False)]
    successor = row("c", ends=6, object="iam-ledger-b", continues=before.key)
    found = removal(over, before, successor, policy=policy, sighted=seen)
    assert (found.detach, found.kept_for) == ((), (GrantId("c"),))
    for other in (
        row("c", ends=6, object="iam-ledger-b", continues=before.key, trouble="refused"),
        row("c", ends=6, object="iam-ledger-b", continues=before.key, written=True),
    ):
        found = removal(over, before, other, policy=policy, sighted=seen)
        assert found.detach == (READ_ONLY,), "it has not got it, and will not"
    waited = replace(successor, trouble=row("c", trouble="stuck").trouble)
    ended = row("b", ends=0.9, revoked=0.5, written=True, made=[attachment(READ_ONLY)])
    found = removal(ended, waited, policy=policy, sighted=[sighting(ended, present=False)])
    assert found.detach == (READ_ONLY,), "what nobody goes on with in time goes at its own end"


def test_a_policy_of_ours_stays_while_it_hangs_on_somebody_for_a_time() -> None:
    owing = row(ends=1, written=True, made=[attachment()])
    assert outstanding(owing, made=written(), retired=True).deletions == ()
    timed = row(ends=1, written=True, made=[copy()])
    assert len(outstanding(timed, made=written(), retired=True).deletions) == 1


def test_what_was_refused_for_its_policys_text_is_tried_again_when_that_is_written() -> None:
    refused = row(trouble="refused")
    assert outstanding(refused, policy=fix(), made=written()).grants == ()
    healed = replace(view(refused, policy=fix(), made=written()), object_positions={FIX: 11})
    assert len(plan(healed, LATER, retry_refused=False).grants) == 1


def test_of_other_principals_nothing_is_needed_to_know_how_a_grant_goes() -> None:
    kinds: dict[str, dict[str, Any]] = {
        "over": {"ends": 1, "made": [part(), attachment(READ_ONLY)]},
        "shares": {"ends": 4, "made": [attachment(READ_ONLY)]},
        "revoked": {"revoked": 0.5, "made": [attachment()]},
        "next": {"ends": 6, "object": "iam-ledger-over"},
    }
    rows = [
        row(name, who=who, written=True, **more)
        for who in ("user/ana", "group/ana", "user/Bob")
        for name, more in kinds.items()
    ]
    seen = [sighting(each, present=number % 2 == 0) for number, each in enumerate(rows)]
    whole = view(*rows, policy=fix(None, READ_ONLY), sighted=seen)
    some = by_principal(whole)
    assert sum(len(each.rows) for each in some.values()) == len(rows)
    for each in rows:
        mine = some[each.grant.principal.key]
        assert removal_of(mine, each, LATER) == removal_of(whole, each, LATER)
