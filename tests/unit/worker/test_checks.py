"""What validate and ingest refuse because no account could ever hold it."""

from datetime import UTC, datetime

from ledger.model import PRINCIPAL_KINDS, Policy, Team
from tests.unit.worker.iam_texts import allow, deny, many, text
from worker.iam.checks import refusal_of
from worker.iam.documents import MANAGED_CHARS_MAX, canonical, minify, timed_copy

END = datetime(2026, 3, 2, 13, tzinfo=UTC)
MFA = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}


def policy(document: str | None, *managed: str, **more: object) -> Policy:
    return Policy(Team("payments"), "fix", "payments-fix", document, managed, **more)  # type: ignore[arg-type]  # fields by name


def wide(chars: int) -> str:
    """Statements whose canonical form has exactly so many characters, and one action."""
    frame = canonical(text(allow("s3:"))).size
    return text(allow("s3:" + "x" * (chars - frame)))


def added() -> int:
    """What an end adds to a document of one statement."""
    one = text(allow("s3:x"))
    return minify(timed_copy([one], ends_at=END)).size - canonical(one).size


def test_a_managed_policy_is_refused_one_character_beyond_iams_room() -> None:
    assert refusal_of(policy(wide(MANAGED_CHARS_MAX)), False, 0) is None
    refused = refusal_of(policy(wide(MANAGED_CHARS_MAX + 1)), False, 0)
    assert refused is not None
    assert "6,145" in refused
    assert "6,144" in refused


def test_what_a_second_factor_adds_is_counted_in_a_managed_policy() -> None:
    longest = MANAGED_CHARS_MAX - len('"Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"}},')
    assert refusal_of(policy(wide(longest), require_mfa=True), False, 0) is None
    assert "6,145" in str(refusal_of(policy(wide(longest + 1), require_mfa=True), False, 0))


def test_a_copy_that_cannot_be_parted_is_refused_one_character_beyond_any_room() -> None:
    """One action has no parts: it must fit inline, or one managed policy."""
    for facts in PRINCIPAL_KINDS.values():
        limit = max(facts.inline_chars_max, MANAGED_CHARS_MAX)
        assert refusal_of(policy(wide(limit - added())), True, facts.inline_chars_max) is None
        found = policy(wide(limit - added() + 1))
        refused = refusal_of(found, True, facts.inline_chars_max)
        assert refused is not None
        assert "cannot be parted" in refused


def test_a_copy_of_many_actions_is_split_and_refused_beyond_all_attachments() -> None:
    assert refusal_of(policy(text(many(2_000))), True, 2_048) is None
    refused = refusal_of(policy(text(many(10_000))), True, 2_048)
    assert refused is not None
    assert "more than 20 managed policies" in refused


def test_a_deny_is_refused_for_a_time_and_fine_for_ever_or_where_the_worker_may_end_it() -> None:
    denying = text(deny("a:b"))
    assert "Deny" in str(refusal_of(policy(denying), True, 2_048))
    assert refusal_of(policy(denying), False, 0) is None
    assert refusal_of(policy(denying, enforcement="daemon"), True, 2_048) is None
    assert refusal_of(policy(None, "arn:aws:iam::aws:policy/X"), True, 1) is None


def test_a_second_factor_that_a_statement_forbids_is_refused_in_both() -> None:
    never = {"Bool": {"AWS:multifactorauthpresent": "false"}}
    found = policy(text(allow("a:b", Condition=never)), require_mfa=True)
    for temporary in (False, True):
        assert "nobody could use it" in str(refusal_of(found, temporary, 2_048))
    fine = policy(text(allow("a:b", Condition=MFA)), require_mfa=True)
    assert refusal_of(fine, False, 0) is None
