"""The difference in what is not a grant: settings, accounts and policies.

Invariant: an event is planned only where the value differs, and its cause is the newest event about
the same subject, so that A, B, A again are three events and A, A is one.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from ledger.decide.decision import Declared, Gone, Note, Planned, Terms
from ledger.events import (
    AccountMapped,
    AccountUnmapped,
    PolicyDefined,
    PolicyRetired,
    SettingsChanged,
)
from ledger.manifest.declared import Manifest
from ledger.manifest.layout import SETTINGS_FILE
from ledger.manifest.problems import Problem, Source, excerpt_of, lines_of
from ledger.model import Account, Settings, Team
from ledger.project import LatestKey
from ledger.state import IntentView


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What would be appended about settings, accounts and policies, by its place in the order."""

    settings: tuple[Planned, ...]
    mapped: tuple[Planned, ...]
    defined: tuple[Planned, ...]
    unmapped: tuple[Planned, ...]
    retired: tuple[Planned, ...]
    problems: tuple[Problem, ...]
    notes: tuple[Note, ...] = ()

    @property
    def redefined(self) -> frozenset[tuple[Team, str]]:
        """The policies whose content is new."""
        return frozenset(
            (item.event.policy.team, item.event.policy.name)
            for item in self.defined
            if isinstance(item.event, PolicyDefined)
        )


def account_key(account: Account) -> LatestKey:
    return LatestKey("account", account.account, account.team, account.environment)


def policy_key(team: Team, name: str) -> LatestKey:
    return LatestKey("policy", team=team, name=name)


def compare(
    view: IntentView, manifest: Manifest, terms: Terms, teams: frozenset[Team]
) -> Catalogue:
    """The catalogue's difference for `teams`; settings are always compared."""
    blocks = Blocks(manifest)
    mapped, unmapped = _accounts(view, manifest, blocks, (terms, teams))
    defined, retired = _policies(view, manifest, blocks, (terms, teams))
    settings, problems = _settings(view, manifest, blocks, terms)
    notes = tuple(_consents(manifest, defined))
    return Catalogue(settings, mapped, defined, unmapped, retired, problems, notes)


# --- settings ---------------------------------------------------------------------------------


def obeyed(settings: Settings) -> SettingsChanged:
    """The part of the settings that the worker obeys."""
    return SettingsChanged(
        policy_path=settings.policy_path,
        drift=settings.drift,
        managed_principals=settings.managed_principals,
        protected_principals=settings.protected_principals,
        user_names=settings.user_names,
        max_revocations_count=settings.max_revocations_count,
        max_revocations_percent=settings.max_revocations_percent,
    )


def _settings(
    view: IntentView, manifest: Manifest, blocks: "Blocks", terms: Terms
) -> tuple[tuple[Planned, ...], tuple[Problem, ...]]:
    wanted = obeyed(manifest.settings)
    if view.settings == wanted:
        return (), ()
    problems = tuple(_frozen_settings(view, manifest, wanted))
    cause = view.positions.get(LatestKey("settings"), 0)
    origin: Declared | Gone | None = None
    if manifest.settings_source is not None:
        origin = blocks.whole(manifest.settings_source)
    elif view.settings is not None:
        origin = gone(terms, view, cause, None)
    return (Planned(wanted, cause, origin),), problems


def _frozen_settings(
    view: IntentView, manifest: Manifest, wanted: SettingsChanged
) -> Iterable[Problem]:
    """Names in IAM, and who a line means, hang on these two."""
    if view.settings is None or not (view.any_grant_or_policy() or view.rows):
        return
    source = manifest.settings_source or Source(SETTINGS_FILE, 1, 1)
    for key in ("policy_path", "user_names"):
        before, after = getattr(view.settings, key), getattr(wanted, key)
        if before == after:
            continue
        yield problem_at(
            manifest,
            source,
            "setting-frozen",
            f"`{key}` is {after}, and the ledger holds policies or grants made under {before}: "
            "it cannot change any more",
            f"write `{key}: {before}` again",
        )


# --- accounts and policies --------------------------------------------------------------------


def _accounts(
    view: IntentView,
    manifest: Manifest,
    blocks: "Blocks",
    within: tuple[Terms, frozenset[Team]],
) -> tuple[tuple[Planned, ...], tuple[Planned, ...]]:
    terms, teams = within
    mapped: list[Planned] = []
    unmapped: list[Planned] = []
    for item in manifest.accounts:
        account = item.account
        if account.team not in teams:
            continue
        known = view.accounts.get((account.team, account.environment))
        if known is not None and known[0] == account:
            continue
        origin = blocks.block(item.source)
        cause = view.positions.get(account_key(account), 0)
        mapped.append(Planned(AccountMapped(account), cause, origin))
        if known is not None and known[0].account != account.account:
            unmapped.append(Planned(AccountUnmapped(known[0]), known[1], origin))
    for (team, environment), (account, position) in sorted(view.accounts.items()):
        if team in teams and manifest.account(team, environment) is None:
            origin_gone = gone(terms, view, position, team)
            unmapped.append(Planned(AccountUnmapped(account), position, origin_gone))
    return tuple(mapped), tuple(unmapped)


def _policies(
    view: IntentView,
    manifest: Manifest,
    blocks: "Blocks",
    within: tuple[Terms, frozenset[Team]],
) -> tuple[tuple[Planned, ...], tuple[Planned, ...]]:
    terms, teams = within
    defined: list[Planned] = []
    retired: list[Planned] = []
    for item in manifest.policies:
        policy = item.policy
        if policy.team not in teams:
            continue
        known = view.policies.get((policy.team, policy.name))
        if known is not None and known.policy == policy:
            continue
        cause = view.positions.get(policy_key(policy.team, policy.name), 0)
        defined.append(Planned(PolicyDefined(policy), cause, blocks.block(item.source)))
    for (team, name), known in sorted(view.policies.items()):
        if team in teams and manifest.policy(team, name) is None:
            event = PolicyRetired(team, name, known.policy.iam_name)
            retired.append(Planned(event, known.position, gone(terms, view, known.position, team)))
    return tuple(defined), tuple(retired)


def _consents(manifest: Manifest, defined: Iterable[Planned]) -> Iterable[Note]:
    """What is dangerous about policies that are new or changed, and why it may be so.

    What nobody consented to is told by the reading, every time.
    """
    for item in defined:
        if not isinstance(item.event, PolicyDefined):
            continue
        policy = item.event.policy
        declared = manifest.policy(policy.team, policy.name)
        if declared is None or policy.allow_dangerous is None:
            continue
        hint = f"policy `{policy.name}` may, for this reason: {policy.allow_dangerous}"
        for danger in declared.dangers:
            yield Note("dangerous-allowed", danger.message, danger.source, hint)


# --- places -----------------------------------------------------------------------------------


class Blocks:
    """From where a thing begins to where the next one does: the lines whose change changes it."""

    def __init__(self, manifest: Manifest) -> None:
        self._texts: Mapping[str, str] = manifest.texts
        starts: dict[str, set[int]] = {}
        for source in (
            *(item.source for item in manifest.accounts),
            *(item.source for item in manifest.policies),
        ):
            starts.setdefault(source.path, set()).add(source.line)
        self._starts = {path: sorted(lines) for path, lines in starts.items()}

    def block(self, source: Source) -> Declared:
        """The thing that begins at `source`, up to the next account or policy of its file."""
        starts = self._starts.get(source.path, [])
        after = bisect_right(starts, source.line)
        return self._declared(source, source.line, starts[after] if after < len(starts) else None)

    def whole(self, source: Source) -> Declared:
        """All of the file."""
        return self._declared(source, 1, None)

    def _declared(self, shown: Source, first: int, beyond: int | None) -> Declared:
        lines = _lines(self._texts.get(shown.path, ""))
        last = len(lines) if beyond is None else beyond - 1
        deciding = [
            Source(shown.path, number, 1)
            for number in range(first, last + 1)
            if number <= len(lines) and lines[number - 1].strip(" \t-")[:1] not in ("", "#")
        ]
        return Declared(shown, tuple(deciding) or (shown,))


def gone(terms: Terms, view: IntentView, position: int, team: Team | None) -> Gone:
    """Where the undone event at `position` said that it stood."""
    recorded = terms.sources.get(position)
    path = None if recorded is None else recorded.rpartition(":")[0] or recorded
    if team is None:
        commits = {commit for commit in view.last_commits.values() if commit is not None}
        return Gone(path, commits.pop() if len(commits) == 1 else None)
    return Gone(path, view.last_commits.get(team))


@lru_cache(maxsize=8)
def _lines(text: str) -> list[str]:
    """Thousands of problems may stand in one file; it is split once."""
    return lines_of(text)


def problem_at(
    manifest: Manifest, source: Source, code: str, message: str, hint: str | None = None
) -> Problem:
    """An error with its line shown."""
    excerpt = excerpt_of(_lines(manifest.texts.get(source.path, "")), source.line)
    return Problem(source, "error", code, message, hint, excerpt)
