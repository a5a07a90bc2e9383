"""What the files ask of one account or principal all together, held against IAM's default quotas.

Invariant: only warnings. An account may have been given more, and what else stands there no file
says: the worker reads both before its first call, and refuses with the numbers.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from ledger.manifest.declared import DeclaredAccount, DeclaredGrant, DeclaredPolicy, Permanent
from ledger.manifest.problems import Desk, Source
from ledger.model import AccountId, Principal, Team

ACCOUNT_POLICIES_MAX = 1_500
"""Customer-managed policies of one account (IAM and STS quotas, "IAM object quotas")."""

USERS_TOLD_MAX = 5
"""Who uses most of a quota, at most so many; the rest is counted."""

Policies = dict[tuple[Team, str], DeclaredPolicy]


@dataclass(slots=True)
class _Attached:
    """What permanent grants attach to one principal of one account."""

    principal: Principal
    arns: dict[str, DeclaredGrant] = field(default_factory=dict)
    """Each policy once, with the line that named it first."""


def check_attachments(
    grants: Iterable[DeclaredGrant], policies: Policies, chosen: set[Team], desk: Desk
) -> None:
    """Warns of principals that would need more attached policies than IAM takes."""
    found: dict[tuple[AccountId, str], _Attached] = {}
    for grant in grants:
        declared = policies.get((grant.team, grant.policy))
        if declared is None or not isinstance(grant.end, Permanent):
            continue
        place = found.setdefault(
            (grant.account, grant.principal.key), _Attached(grant.principal)
        ).arns
        for arn in declared.policy.managed_policies:
            place.setdefault(arn, grant)
        if declared.policy.document is not None:
            place.setdefault(declared.policy.iam_name, grant)
    for (account, _), attached in found.items():
        if len(attached.arns) > attached.principal.facts.attached_max:
            _report_attachments(account, attached, chosen, desk)


def _report_attachments(
    account: AccountId, attached: _Attached, chosen: set[Team], desk: Desk
) -> None:
    most = attached.principal.facts.attached_max
    lines = list(attached.arns.values())
    shown = next((each for each in lines[most:] + lines if each.team in chosen), lines[most])
    uses = Counter(
        f"policy `{each.policy}` of team `{each.team}` ({_line(each.sources[0])})"
        for each in attached.arns.values()
    )
    message = (
        f"{attached.principal} needs {len(attached.arns)} attached policies in account {account}, "
        f"and IAM takes {most} unless the account's quota was raised: {_told(uses)}"
    )
    hint = "put what they allow into fewer policies, or grant some of it for a time"
    desk.report(shown.sources[0], "quota", message, hint, severity="warning")


def check_policies(
    accounts: Iterable[DeclaredAccount], policies: Policies, chosen: set[Team], desk: Desk
) -> None:
    """Warns of accounts that would hold more policies of ours than IAM takes."""
    own = Counter(team for (team, _), each in policies.items() if each.policy.document is not None)
    if own.total() <= ACCOUNT_POLICIES_MAX:
        return
    mapped: dict[AccountId, dict[Team, Source]] = {}
    for item in accounts:
        teams = mapped.setdefault(item.account.account, {})
        teams.setdefault(item.account.team, item.source)
    for account, teams in mapped.items():
        uses = Counter({f"team `{team}`": own[team] for team in teams})
        if uses.total() <= ACCOUNT_POLICIES_MAX:
            continue
        shown = next((source for team, source in teams.items() if team in chosen), None)
        message = (
            f"account {account} gets {uses.total():,} customer-managed policies, and IAM takes "
            f"{ACCOUNT_POLICIES_MAX:,} unless its quota was raised: {_told(uses)}"
        )
        hint = "put what they allow into fewer policies, or teams into accounts of their own"
        if shown is not None:
            desk.report(shown, "quota", message, hint, severity="warning")


def _told(uses: Counter[str]) -> str:
    """Who uses how many, most first."""
    ordered = uses.most_common()
    said = [f"{who} {count:,}" for who, count in ordered[:USERS_TOLD_MAX]]
    rest = len(ordered) - len(said)
    return ", ".join(said) + (f" and {rest:,} more" if rest else "")


def _line(source: Source) -> str:
    return f"{source.path}:{source.line}"
