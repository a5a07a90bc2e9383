"""Deciding: (what the ledger holds, what the directory declares, when) -> events to append.

Invariant: carrying a decision out and deciding again gives nothing. Values in, values out.
"""

from dataclasses import dataclass

from ledger.decide import access as grants
from ledger.decide import catalogue as names
from ledger.decide.access import Access
from ledger.decide.brake import Balance, brake_of
from ledger.decide.catalogue import Catalogue
from ledger.decide.decision import Check, Counts, Decision, Planned, Terms
from ledger.decide.holds import releases
from ledger.events import Ingested
from ledger.manifest.declared import DeclaredGrant, Lasts, Manifest
from ledger.model import GrantId, Team
from ledger.project import LatestKey
from ledger.state import IntentView

__all__ = ["Asked", "Check", "Decision", "Directory", "Terms", "asked", "decide", "teams_of"]


@dataclass(frozen=True, slots=True)
class Directory:
    """What was read, and at which commit."""

    manifest: Manifest
    commit: str | None = None
    """None outside a git work tree."""
    dirty: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What a decision needs to look up beside the view: see `Terms.sources` and `.repeats`."""

    positions: tuple[int, ...]
    """Events that may be undone and whose line is gone."""
    accesses: tuple[tuple[str, str], ...]
    """(principal's key, policy) of lines that were never granted and run from their ingest."""


def teams_of(view: IntentView, manifest: Manifest, terms: Terms) -> frozenset[Team]:
    """The teams that this reading speaks for: of all ever heard of, those asked for."""
    known = {team for team, _ in view.accounts} | {team for team, _ in view.policies}
    known |= {row.grant.team for row in view.rows.values()} | set(view.last_commits)
    known |= set(manifest.teams)
    return frozenset(known if terms.scope is None else known & terms.scope)


def asked(view: IntentView, manifest: Manifest, terms: Terms) -> Asked:
    """What to look up before `decide`."""
    teams = teams_of(view, manifest, terms)
    rows = grants.undeclared(view, manifest, teams, terms)
    positions = {row.granted.position for row in rows}
    for (team, environment), (_, position) in view.accounts.items():
        if team in teams and manifest.account(team, environment) is None:
            positions.add(position)
    for (team, name), policy in view.policies.items():
        if team in teams and manifest.policy(team, name) is None:
            positions.add(policy.position)
    if manifest.settings_source is None and LatestKey("settings") in view.positions:
        positions.add(view.positions[LatestKey("settings")])
    accesses = {
        (grant.principal.key, grant.policy)
        for grant in manifest.grants
        if grant.team in teams and isinstance(grant.end, Lasts) and grant.id not in view.rows
    }
    return Asked(tuple(sorted(positions)), tuple(sorted(accesses)))


def decide(view: IntentView, directory: Directory, terms: Terms) -> Decision:
    """The difference between what is declared and what the ledger holds, at `terms.now`.

    With any problem nothing is planned: a directory counts whole or not at all.
    """
    manifest = directory.manifest
    teams = teams_of(view, manifest, terms)
    catalogue = names.compare(view, manifest, terms, teams)
    access = grants.compare(view, manifest, terms, teams, catalogue)
    found = dict.fromkeys((*catalogue.problems, *access.problems))
    problems = tuple(sorted(found, key=lambda problem: problem.source))
    notes = (*catalogue.notes, *access.notes)
    if problems:
        return Decision(tuple(sorted(teams)), problems=problems, notes=notes)
    revoked = [cut.row for cut in access.cuts if cut.cause != "operator"]
    balance = Balance(access.live, revoked, access.grants)
    counts = _counts(catalogue, access)
    return Decision(
        teams=tuple(sorted(teams)),
        planned=_planned(view, directory, terms, (catalogue, access)),
        counts=counts,
        notes=notes,
        brake=brake_of(balance, manifest, terms),
        adds=access.adds,
        ends=access.ends,
        changes=access.changes,
        held=tuple(access.held),
        over=tuple(access.over),
        lines=_lines(manifest, access),
        time_zone=manifest.settings.time_zone,
    )


def _lines(manifest: Manifest, access: Access) -> dict[GrantId, DeclaredGrant]:
    """What declares each grant that begins or moves."""
    told = {grant.id for grant in access.adds} | {each.after.id for each in access.changes}
    return {line.id: line for line in manifest.grants if line.id in told}


def _planned(
    view: IntentView, directory: Directory, terms: Terms, found: tuple[Catalogue, Access]
) -> tuple[Planned, ...]:
    catalogue, access = found
    planned = (
        *catalogue.settings,
        *catalogue.mapped,
        *catalogue.defined,
        *access.revoked,
        *access.granted,
        *catalogue.unmapped,
        *catalogue.retired,
        *(releases(view, access.in_force) if terms.scope is None else ()),
    )
    teams = tuple(sorted(teams_of(view, directory.manifest, terms)))
    new_commit = directory.commit is not None and any(
        view.last_commits.get(team) != directory.commit for team in teams
    )
    if not planned and not new_commit:
        return ()
    counts = _counts(catalogue, access)
    event = Ingested(
        teams=teams,
        commit=directory.commit,
        dirty=directory.dirty,
        granted=counts.granted,
        revoked=counts.revoked,
        policies=counts.policies,
        accounts=counts.accounts,
    )
    known = (view.positions.get(LatestKey("ingested", team=team), 0) for team in teams)
    return (*planned, Planned(event, max(known, default=0), None))


def _counts(catalogue: Catalogue, access: Access) -> Counts:
    return Counts(
        granted=len(access.granted),
        revoked=len(access.revoked),
        policies=len(catalogue.defined) + len(catalogue.retired),
        accounts=len(catalogue.mapped) + len(catalogue.unmapped),
    )
