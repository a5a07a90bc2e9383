"""Every event as a sentence that a person can read, and where it came from.

Invariant: the match is total (a new kind of event fails mypy here), and what was not recorded is
called "not recorded", never left out and never borrowed from another event.
"""

from collections.abc import Iterator
from typing import assert_never

from ledger.codec import instant_text
from ledger.envelope import Provenance
from ledger.events import (
    AccountMapped,
    AccountUnmapped,
    Adopted,
    Applied,
    DriftFound,
    DriftRepaired,
    Event,
    Granted,
    GrantRef,
    Held,
    Ingested,
    Left,
    Made,
    PolicyDefined,
    PolicyDeleted,
    PolicyRetired,
    PolicyWritten,
    Refused,
    Released,
    Removed,
    RetryRequested,
    Revoked,
    SettingsChanged,
    Settled,
    Sighted,
    Stuck,
    Unstuck,
    Word,
)
from ledger.model import AccountId, Grant, Policy, Team

REQUESTS_SHOWN = 3
"""AWS's request ids in one sentence: 36 characters each; an export has all."""

_REVOKED = {
    "removed": "its line was taken out",
    "replaced": "another grant takes its place",
    "operator": "an operator revoked it",
}
_REMOVED = {
    "expired": "its end had come",
    "revoked": "it was revoked",
    "drift": "it had come back under a name that is over",
}
_OUTCOME = {"answered": "AWS confirmed it", "found_absent": "it was gone already"}


def sentence(event: Event) -> str:
    """What happened, without who and when: those stand beside it."""
    match event:
        case AccountMapped() | AccountUnmapped() | PolicyDefined() | PolicyRetired():
            return _declaration(event)
        case SettingsChanged():
            return (
                f"settings: policy path {event.policy_path}, drift {_drift(event)}, user names "
                f"{event.user_names}, managed {_list(event.managed_principals)}, protected "
                f"{_list(event.protected_principals)}"
            )
        case Ingested():
            return (
                f"read commit {event.commit or 'not recorded'}{' (dirty)' if event.dirty else ''} "
                f"for {_list(event.teams)}: {event.granted} granted, {event.revoked} revoked, "
                f"{event.policies} policies, {event.accounts} accounts"
            )
        case Granted():
            return _granted(event.grant)
        case Revoked():
            hold = f" (hold {event.hold})" if event.hold else ""
            spent = f"; the line now says {instant_text(event.spent_at)}" if event.spent_at else ""
            return f"revoked: {_REVOKED[event.cause]}{hold}{spent}"
        case Held() | Released() | RetryRequested() | Settled() | Adopted():
            return _operator(event)
        case (
            Sighted()
            | Applied()
            | Removed()
            | Left()
            | PolicyWritten()
            | PolicyDeleted()
            | Refused()
            | Stuck()
            | Unstuck()
            | DriftFound()
            | DriftRepaired()
        ):
            return _evidence(event)
        case _:
            assert_never(event)


def _drift(event: SettingsChanged) -> str:
    if event.drift == "warn":
        return event.drift
    most = f"{event.max_revocations_count} objects or {event.max_revocations_percent} %"
    return f"{event.drift} (taking away {most} at most)"


def _declaration(event: AccountMapped | AccountUnmapped | PolicyDefined | PolicyRetired) -> str:
    match event:
        case AccountMapped():
            where = event.account
            return (
                f"environment {where.environment} of {where.team} is account {where.account}, "
                f"entered by role {where.deployer_role}"
                f"{f' as {where.source_identity}' if where.source_identity else ''}"
            )
        case AccountUnmapped():
            where = event.account
            return (
                f"environment {where.environment} of {where.team} is no longer account "
                f"{where.account}"
            )
        case PolicyDefined():
            policy = event.policy
            parts = ["statements of its own"] if policy.document is not None else []
            parts += policy.managed_policies
            terms = "".join(f"; {term}" for term in policy_terms(policy))
            return f"policy {policy.name} of {policy.team} defined: {_list(tuple(parts))}{terms}"
        case PolicyRetired():
            return f"policy {event.policy} of {event.team} retired"
        case _:
            assert_never(event)


def policy_terms(policy: Policy) -> Iterator[str]:
    """What a reader of a policy should know beside its content."""
    if policy.require_mfa:
        yield "only with MFA"
    if policy.enforcement == "daemon":
        yield "enforcement by the daemon is allowed"
    if policy.allow_dangerous is not None:
        yield f"may be dangerous: {policy.allow_dangerous}"


def _granted(grant: Grant) -> str:
    end = (
        "until revoked"
        if grant.window.ends_at is None
        else f"to {instant_text(grant.window.ends_at)}"
    )
    again = f" (turn {grant.turn})" if grant.turn > 1 else ""
    ticket = f", ticket {grant.ticket}" if grant.ticket else ""
    follows = f", in place of grant {grant.continues[0]}" if grant.continues else ""
    return (
        f"granted {grant.policy} to {grant.principal} in {grant.environment} ({grant.account}) "
        f"from {instant_text(grant.window.starts_at)} {end}{again}{ticket}{follows}"
    )


def _operator(event: Held | Released | RetryRequested | Settled | Adopted) -> str:
    match event:
        case Held():
            what = _held(event.account, event.team, event.policy)
            return f"held: {event.principal} gets {what}, {_word(event.word)} (hold {event.hold})"
        case Released():
            what = _held(event.account, event.team, event.policy)
            why = "no line in force names it" if event.word is None else _word(event.word)
            return f"released {event.principal} from getting {what}, {why} (hold {event.hold})"
        case RetryRequested():
            return f"to be tried again, {_word(event.word)}"
        case Settled():
            return f"settled, not confirmed by AWS, {_word(event.word)}"
        case Adopted():
            to = "" if event.principal is None else f" attached to {event.principal}"
            return f"took over {event.policy_arn}{to}, {_word(event.word)}"
        case _:
            assert_never(event)


def _evidence(
    event: Sighted
    | Applied
    | Removed
    | Left
    | PolicyWritten
    | PolicyDeleted
    | Refused
    | Stuck
    | Unstuck
    | DriftFound
    | DriftRepaired,
) -> str:
    match event:
        case Sighted():
            stood = "stood before us" if event.present else "did not stand before us"
            return f"looked before the first attach: {event.policy_arn} {stood}"
        case Applied():
            ends = {"aws": "; AWS ends it by itself", "daemon": "; only the worker ends it"}
            pins = "".join(f"; from {pin.arn} {pin.version}" for pin in event.pins)
            return (
                f"applied, AWS confirmed {_made(event.made)} at {instant_text(event.confirmed_at)}"
                f"{ends.get(event.enforcement or '', '')}{pins}{_requests(event.requests)}"
            )
        case Removed():
            kept = f"; shared objects kept for {_list(event.kept_for)}" if event.kept_for else ""
            late = f"{event.lateness_us / 1_000_000:.3f} s after it was due"
            most = "at most " if event.outcome == "found_absent" else ""
            return (
                f"removed because {_REMOVED[event.cause]}: {_OUTCOME[event.outcome]} at "
                f"{instant_text(event.confirmed_at)}, {most}{late}{kept}"
                f"{_requests(event.requests)}"
            )
        case Left():
            left = f"left standing, as it stood before us: {_made(event.made)}"
            return f"{left}{_requests(event.requests)}"
        case PolicyWritten():
            at = instant_text(event.confirmed_at)
            return f"wrote {event.made.name} in {event.account} at {at}{_requests(event.requests)}"
        case PolicyDeleted():
            how = f"{_OUTCOME[event.outcome]}{_requests(event.requests)}"
            return f"deleted {event.policy_arn} in {event.account}: {how}"
        case Refused():
            why = f"{event.code}: {event.message}"
            return f"refused, nothing of it stands: {why}{_requests(event.requests)}"
        case Stuck():
            return f"stuck ({_about(event)}): {event.code}: {event.message}"
        case Unstuck():
            return f"no longer stuck ({_about(event)})"
        case DriftFound() | DriftRepaired():
            return _drifted(event)
        case _:
            assert_never(event)


def _drifted(event: DriftFound | DriftRepaired) -> str:
    if isinstance(event, DriftFound):
        actor = f" by {event.actor}" if event.actor else ""
        what = f"{event.object}{_where(event)} {event.drift}{_how(event)}"
        return f"drift: {what}{actor} since {instant_text(event.first_seen_at)}"
    how = "put right" if event.how == "written" else "right again without us"
    over = instant_text(event.confirmed_at)
    return f"drift over: {event.object}{_where(event)} {how} at {over}{_requests(event.requests)}"


def titled(event: Event) -> str:
    """The sentence with whom it is about in front, for lists about many."""
    grant = getattr(event, "grant", None)
    if not isinstance(grant, GrantRef):
        return sentence(event)
    return f"{grant.principal} {grant.policy} in {grant.account}: {sentence(event)}"


def spoken(event: Event) -> bool:
    """Whether a person's word stands behind it, so that no line or commit does."""
    return getattr(event, "word", None) is not None or getattr(event, "hold", None) is not None


def origin(provenance: Provenance) -> str:
    """Where an event came from, on one line."""
    if provenance == Provenance():
        return "origin not recorded"
    if provenance.replica is not None:
        return f"by worker {provenance.replica}"
    parts = [provenance.source or "source not recorded"]
    parts.append(f"commit {short(provenance.commit)}")
    parts.append(f"by {provenance.author or 'author not recorded'}")
    approvers = ", ".join(provenance.approved_by)
    parts.append(f"approved by {approvers}" if approvers else "approvers not recorded")
    if provenance.pull_request:
        parts.append(provenance.pull_request)
    return ", ".join(parts)


def short(commit: str | None) -> str:
    """A commit as people name it."""
    return "not recorded" if commit is None else commit[:10]


def _about(event: Stuck | Unstuck) -> str:
    if event.grant is not None:
        return f"grant {event.grant.id}"
    if event.policy is not None:
        return f"policy {event.policy} in {event.account}"
    return f"account {event.account}"


def _how(event: DriftFound) -> str:
    """What makes this difference worse than another of its kind."""
    if event.principal_id is not None:
        return f" from a principal that was deleted and made anew ({event.principal_id})"
    if event.loosened:
        return ", letting access go on past its end,"
    return ", the last of its grant," if event.nothing_left else ""


def _where(event: DriftFound | DriftRepaired) -> str:
    """The account, where neither a grant nor the object's own name says it."""
    named = event.grant is not None or event.account in event.object
    return "" if named else f" in {event.account}"


def _held(account: AccountId | None, team: Team | None, policy: str | None) -> str:
    what = "nothing" if policy is None else f"no {policy} of {team}"
    return f"{what} in {'any account' if account is None else account}"


def _word(word: Word) -> str:
    role = f", database role {word.database_role}" if word.database_role else ""
    return f"by {word.by} ({word.os_user} on {word.host}{role}): {word.reason}"


def _made(made: tuple[Made, ...]) -> str:
    return _list(tuple(f"{item.kind} {item.name}" for item in made))


def _requests(ids: tuple[str, ...]) -> str:
    """AWS's ids of the calls, by which CloudTrail has them; none where all stood already."""
    more = f" and {len(ids) - REQUESTS_SHOWN} more" if len(ids) > REQUESTS_SHOWN else ""
    word = "request" if len(ids) == 1 else "requests"
    return f"; {word} {', '.join(ids[:REQUESTS_SHOWN])}{more}" if ids else ""


def _list(items: tuple[str, ...]) -> str:
    return ", ".join(items) or "nothing"
