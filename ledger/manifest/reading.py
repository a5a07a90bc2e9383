"""A whole configuration directory, bytes in, values out.

Invariant: every problem of every file comes out of one reading, and a manifest only where there is
no error.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ledger.manifest import access, accounts, policies, quotas
from ledger.manifest.accounts import Accounts
from ledger.manifest.declared import Manifest, Reading
from ledger.manifest.grants import Expansion, TeamFacts
from ledger.manifest.layout import Layout, arrange
from ledger.manifest.policies import Policies
from ledger.manifest.problems import Desk, Problem, Source
from ledger.manifest.settings import read_settings
from ledger.manifest.sheet import Sheet, open_sheet
from ledger.memory import kept
from ledger.model import Settings, Team


def read(
    files: Mapping[str, bytes],
    folders: Collection[str] = (),
    teams: Collection[str] | None = None,
    now: datetime | None = None,
) -> Reading:
    """Reads a configuration directory.

    `files`: relative path to content, of `iam-ledger.yaml` and of every file directly in the four
    folders. `folders`: the names of what else stands at the top, files too. `teams`: only these
    teams' files count (settings always do, and other teams' readable files for what no two teams
    may share); None: all. `now` (aware): dated lines that have ended by then get warnings instead
    of errors for what they refer to; None: nothing is judged by time.
    """
    with kept():
        return _Reader(files, folders, teams, now).read()


@dataclass(slots=True)
class _Reader:
    files: Mapping[str, bytes]
    folders: Collection[str]
    asked: Collection[str] | None
    now: datetime | None
    desk: Desk = field(default_factory=Desk)
    layout: Layout = field(default_factory=Layout)
    settings: Settings = field(default_factory=Settings)
    settings_source: Source | None = None
    facts: dict[Team, TeamFacts] = field(default_factory=dict)

    def read(self) -> Reading:
        self.layout = arrange(self.files.keys(), self.folders, self.desk)
        chosen = {team for team in self.layout.teams if self.asked is None or team in self.asked}
        self._check_asked()
        self._read_settings()
        for team in sorted(self.layout.teams):
            self.facts[team] = self._read_facts(team)
        expansion = Expansion(self.settings, self.now, self.desk)
        for team in sorted(self.layout.teams):
            self._read_access(team, expansion)
        declared = [a for facts in self.facts.values() for a in facts.accounts.declared.values()]
        accounts.check_agreement(declared, chosen, self.desk)
        named = [p for facts in self.facts.values() for p in facts.policies.declared.values()]
        policies.check_names(named, chosen, self.desk)
        expansion.check_addresses(chosen)
        by_name = {(item.policy.team, item.policy.name): item for item in named}
        quotas.check_policies(declared, by_name, chosen, self.desk)
        quotas.check_attachments(expansion.merging.first.values(), by_name, chosen, self.desk)
        problems = self._problems(chosen)
        if any(problem.severity == "error" for problem in problems):
            return Reading(None, problems)
        return Reading(self._manifest(chosen, expansion), problems)

    def _open(self, path: str) -> Sheet:
        return open_sheet(path, self.files[path], self.desk)

    def _check_asked(self) -> None:
        for team in sorted(set(self.asked or ()) - set(self.layout.teams)):
            source = Source(f"{accounts.SECTION}/{team}.yaml", 1, 1)
            hint = self.desk.did_you_mean(team, self.layout.teams)
            message = f"team `{team}` has no files"
            self.desk.report(source, "no-files", message, hint, severity="warning")

    def _read_settings(self) -> None:
        if self.layout.settings is not None:
            sheet = self._open(self.layout.settings)
            self.settings, mapping = read_settings(sheet)
            self.settings_source = None if mapping is None else sheet.source(mapping)

    def _read_facts(self, team: Team) -> TeamFacts:
        accounts_path = self.layout.path(team, accounts.SECTION)
        policies_path = self.layout.path(team, policies.SECTION)
        return TeamFacts(
            team,
            Accounts()
            if accounts_path is None
            else accounts.read_accounts(self._open(accounts_path), team, self.settings),
            Policies()
            if policies_path is None
            else policies.read_policies(self._open(policies_path), team, self.settings),
        )

    def _read_access(self, team: Team, expansion: Expansion) -> None:
        facts = self.facts[team]
        for section in (access.PERMANENT, access.TEMPORARY):
            path = self.layout.path(team, section)
            if path is None:
                continue
            sheet = self._open(path)
            self._check_has_accounts(path, facts)
            entries = access.read_access(sheet, section, self.settings)
            expansion.add_file(sheet, entries, facts)

    def _check_has_accounts(self, path: str, facts: TeamFacts) -> None:
        """An access file needs accounts to give access to."""
        if facts.accounts.names or not facts.accounts.known:
            return
        with_accounts = [team for team, its in self.facts.items() if its.accounts.names]
        hint = self.desk.did_you_mean(facts.team, with_accounts)
        if hint is None:
            hint = f"add them to {accounts.SECTION}/{facts.team}.yaml"
        message = f"team `{facts.team}` has no accounts"
        self.desk.report(Source(path, 1, 1), "no-accounts", message, hint)

    def _problems(self, chosen: set[Team]) -> tuple[Problem, ...]:
        """All that concern the chosen teams, in the order of their places."""
        found = (
            problem
            for problem in self.desk.found
            if self.layout.team_of.get(problem.source.path) in {None, *chosen}
        )
        return tuple(sorted(found, key=lambda problem: problem.source))

    def _files(self) -> tuple[str, ...]:
        paths = [path for its in self.layout.teams.values() for path in its.values()]
        if self.layout.settings is not None:
            paths.append(self.layout.settings)
        return tuple(sorted(paths))

    def _manifest(self, chosen: set[Team], expansion: Expansion) -> Manifest:
        mine = [self.facts[team] for team in sorted(chosen)]
        return Manifest(
            self.settings,
            self.settings_source,
            tuple(a for facts in mine for a in facts.accounts.declared.values()),
            tuple(p for facts in mine for p in facts.policies.declared.values()),
            tuple(grant for grant in expansion.merging.merged() if grant.team in chosen),
            tuple(sorted(chosen)),
            self._files(),
            self.desk.texts,
        )
