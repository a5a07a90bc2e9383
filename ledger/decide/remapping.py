"""Lines whose environment became another account: what they were in the account before.

Invariant: only a line that still stands is found; one that went is a removal, wherever its
environment is now.
"""

from ledger.decide.decision import Declared
from ledger.manifest.declared import DeclaredGrant, Manifest
from ledger.manifest.identity import Meaning, grant_id
from ledger.model import AccountId, GrantId, Team
from ledger.state import IntentView


def moved(
    view: IntentView, manifest: Manifest, teams: frozenset[Team]
) -> dict[GrantId, DeclaredGrant]:
    """The identity that a line had in the account before -> the line as it stands."""
    former: dict[tuple[Team, str], AccountId] = {}
    for (team, environment), (before, _) in view.accounts.items():
        now = manifest.account(team, environment)
        if team in teams and now is not None and now.account.account != before.account:
            former[team, environment] = before.account
    if not former:
        return {}
    return {
        _identity_in(former[grant.team, grant.environment], grant): grant
        for grant in manifest.grants
        if (grant.team, grant.environment) in former
    }


def _identity_in(account: AccountId, grant: DeclaredGrant) -> GrantId:
    return grant_id(
        Meaning(
            grant.team,
            grant.environment,
            account,
            grant.principal,
            grant.policy,
            grant.end,
            grant.starts_at,
            grant.ticket,
        )
    )


def mapping_of(manifest: Manifest, grant: DeclaredGrant) -> Declared | None:
    """The line that says which account the grant's environment is."""
    found = manifest.account(grant.team, grant.environment)
    return None if found is None else Declared(found.source, found.deciding)
