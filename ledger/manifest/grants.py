"""Entries to grants: what the names stand for, and who may be granted anything.

Invariant: a grant is made only where its environment and policy are declared and nothing forbids
its principal; of a line that has ended nothing more is asked.
"""

from dataclasses import dataclass, field
from datetime import datetime

from ledger.manifest.access import Entry, Written
from ledger.manifest.accounts import Accounts
from ledger.manifest.declared import (
    DeclaredAccount,
    DeclaredGrant,
    EndsAt,
    LastDay,
    Permanent,
    end_of,
)
from ledger.manifest.identity import Meaning, grant_id
from ledger.manifest.merging import Merging
from ledger.manifest.nodes import Scalar
from ledger.manifest.policies import Policies
from ledger.manifest.principals import deployer
from ledger.manifest.problems import Desk, Severity, Source
from ledger.manifest.sheet import Sheet
from ledger.model import PRINCIPAL_KINDS, AccountId, Principal, Settings, Team

FILE_GRANTS_MAX = 250_000
"""Grants that a file may expand to: principals times environments times policies, by entry."""

ENDED = "the line has ended, so nothing more is asked of it"


@dataclass(frozen=True, slots=True)
class TeamFacts:
    """What one team's access files can refer to."""

    team: Team
    accounts: Accounts
    policies: Policies


@dataclass(slots=True)
class _Account:
    """An account of an entry, with the principal that nobody may be granted as."""

    declared: DeclaredAccount
    at: Scalar
    deployer_key: str


@dataclass(frozen=True, slots=True)
class _Address:
    """An e-mail address where it first stands, and whom it gives."""

    text: str
    principal: Principal
    source: Source
    team: Team


@dataclass(slots=True)
class Expansion:
    """Collects the grants of all files."""

    settings: Settings
    now: datetime | None
    """Lines whose end is not after it have ended. None: nothing is judged by time."""
    desk: Desk
    merging: Merging = field(init=False)
    addresses: dict[tuple[AccountId, str], dict[str, _Address]] = field(default_factory=dict)
    """Which e-mail addresses each (account, principal) was made from, and where first."""
    deployers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.merging = Merging(self.desk)

    def add_file(self, sheet: Sheet, entries: list[Entry], facts: TeamFacts) -> None:
        expanded = 0
        for entry in entries:
            expanded += len(entry.principals) * len(entry.environments) * len(entry.policies)
            if expanded > FILE_GRANTS_MAX:
                message = (
                    f"with this entry the file expands to more than {FILE_GRANTS_MAX:,} grants"
                )
                sheet.error(entry.at, "too-many-grants", message, "write less, or several files")
                return
            _EntryExpansion(self, sheet, entry, facts).add()

    def ended(self, entry: Entry) -> bool:
        """Whether the entry's end stands in the file and has come."""
        if self.now is None or not isinstance(entry.end, LastDay | EndsAt):
            return False
        ends_at = end_of(entry.end, self.now, self.settings.time_zone)
        return ends_at is not None and ends_at <= self.now

    def deployer_key(self, role: str) -> str:
        key = self.deployers.get(role)
        if key is None:
            key = self.deployers[role] = deployer(role).key
        return key

    def check_addresses(self, chosen: set[Team]) -> None:
        """Reports addresses that give one principal of one account."""
        for (account, _), places in self.addresses.items():
            first, *others = sorted(places.values(), key=lambda address: address.source)
            for other in others:
                here, there = (other, first) if other.team in chosen else (first, other)
                message = (
                    f"`{here.text}` and `{there.text}` ({there.source.path}:{there.source.line}) "
                    f"are both the IAM {here.principal.kind.value} `{here.principal.name}` in "
                    f"account {account}"
                )
                hint = "name one of them as IAM does, or set `user_names: email`"
                self.desk.report(here.source, "principal-collision", message, hint)


@dataclass(slots=True)
class _EntryExpansion:
    whole: Expansion
    sheet: Sheet
    entry: Entry
    facts: TeamFacts
    ended: bool = False

    def add(self) -> None:
        self.ended = self.whole.ended(self.entry)
        accounts = self._accounts()
        policies = [
            scalar
            for scalar in self.entry.policies
            if self._policy_known(scalar) and self._can_ask_for_mfa(scalar)
        ]
        for written in self.entry.principals:
            if not self._allowed(written):
                continue
            fitting = [policy for policy in policies if self._can_show_mfa(written, policy)]
            for account in accounts:
                if not self._fits(written, account):
                    continue
                for policy in fitting:
                    self._grant(written, account, policy)

    def _say(self, at: Scalar, code: str, message: str, hint: str | None = None) -> None:
        """An error; in a line that has ended a warning."""
        severity: Severity = "warning" if self.ended else "error"
        said = ENDED if self.ended else hint
        self.whole.desk.report(self.sheet.source(at), code, message, said, severity=severity)

    # --- what the names stand for ---------------------------------------------------------------

    def _accounts(self) -> list[_Account]:
        found = []
        accounts, key = self.facts.accounts, self.entry.environment_key
        for scalar in self.entry.environments:
            declared = accounts.declared.get(scalar.text)
            if declared is not None:
                role = declared.account.deployer_role
                found.append(_Account(declared, scalar, self.whole.deployer_key(role)))
            elif accounts.known and accounts.names and scalar.text not in accounts.names:
                message = f"environment `{scalar.text}` (in `{key}`) is not in aws-accounts"
                hint = self.whole.desk.did_you_mean(scalar.text, accounts.names)
                self._say(scalar, "unknown-environment", message, hint or self._add("aws-accounts"))
        return found

    def _policy_known(self, scalar: Scalar) -> bool:
        policies, key = self.facts.policies, self.entry.policy_key
        if policies.known and scalar.text not in policies.names:
            message = f"policy `{scalar.text}` (in `{key}`) is not in aws-policies"
            hint = self.whole.desk.did_you_mean(scalar.text, policies.names)
            self._say(scalar, "unknown-policy", message, hint or self._add("aws-policies"))
        return scalar.text in policies.declared

    def _add(self, folder: str) -> str:
        return f"add it to {folder}/{self.facts.team}.yaml"

    # --- who may be granted anything ------------------------------------------------------------

    def _allowed(self, written: Written) -> bool:
        settings, principal = self.whole.settings, written.named.principal
        if principal.matches(settings.protected_principals):
            message = f"`{written.scalar.text}` is one of `protected_principals`"
            self._say(written.scalar, "protected-principal", message, "nothing is granted to it")
            return self.ended
        if not principal.matches(settings.managed_principals):
            message = f"`{written.scalar.text}` is none of `managed_principals`"
            hint = "nothing is granted to it"
            if principal.path == "/" and any(
                pattern.count("/") > 1 for pattern in settings.managed_principals
            ):
                hint = f"{hint}; where it has a path, write path/{principal.name}"
            self._say(written.scalar, "unmanaged-principal", message, hint)
            return self.ended
        return True

    def _fits(self, written: Written, account: _Account) -> bool:
        named, declared = written.named, account.declared.account
        if named.account is not None and named.account != declared.account:
            message = (
                f"`{written.scalar.text}` is in account {named.account}, and environment "
                f"`{declared.environment}` is account {declared.account}"
            )
            self._say(written.scalar, "other-account", message, "write an entry for each account")
            return False
        if named.principal.key == account.deployer_key:
            message = (
                f"`{written.scalar.text}` is the deployer of environment `{declared.environment}`"
            )
            self._say(written.scalar, "deployer", message, "nothing is granted to it")
            return self.ended
        return True

    def _can_ask_for_mfa(self, policy: Scalar) -> bool:
        """Whether what the policy stands for carries its `require_mfa` in this entry."""
        declared = self.facts.policies.declared[policy.text].policy
        permanent = isinstance(self.entry.end, Permanent)
        if not (declared.require_mfa and declared.managed_policies and permanent):
            return True
        message = (
            f"policy `{policy.text}` has `require_mfa` and `managed_policies`: without an end "
            "those are attached as AWS wrote them, and ask for no MFA"
        )
        hint = "grant it for a time, or write what it allows as `custom_statements`"
        self._say(policy, "mfa", message, hint)
        return self.ended

    def _can_show_mfa(self, written: Written, policy: Scalar) -> bool:
        """Whether that principal can have what the policy asks for."""
        facts = written.named.principal.facts
        if facts.mfa or not self.facts.policies.declared[policy.text].policy.require_mfa:
            return True
        kind, able = facts.kind.value, [each for each in PRINCIPAL_KINDS.values() if each.mfa]
        message = (
            f"`{written.scalar.text}` is a {kind}, whose sessions seldom know of a second factor, "
            f"and policy `{policy.text}` has `require_mfa`"
        )
        hint = f"name {' or '.join(each.plural_key for each in able)}, or take another policy"
        self._say(written.scalar, "mfa", message, hint)
        return self.ended

    # --- what is one grant ----------------------------------------------------------------------

    def _grant(self, written: Written, place: _Account, policy: Scalar) -> None:
        entry, account = self.entry, place.declared.account
        principal = written.named.principal
        meaning = Meaning(
            account.team,
            account.environment,
            account.account,
            principal,
            policy.text,
            entry.end,
            entry.starts_at,
            entry.ticket,
        )
        source = self.sheet.source(written.scalar)
        if written.named.address is not None and not self.ended:
            self._remember_address(written.named.address, principal, account.account, source)
        self.whole.merging.add(
            DeclaredGrant(
                id=grant_id(meaning),
                team=account.team,
                environment=account.environment,
                account=account.account,
                principal=principal,
                policy=policy.text,
                end=entry.end,
                starts_at=entry.starts_at,
                ticket=entry.ticket,
                description=entry.description,
                sources=(source,),
                deciding=(
                    source,
                    self.sheet.source(place.at),
                    self.sheet.source(policy),
                    *entry.deciding,
                    *place.declared.deciding,
                ),
                end_source=None if entry.end_at is None else self.sheet.source(entry.end_at),
            )
        )

    def _remember_address(
        self, address: str, principal: Principal, account: AccountId, source: Source
    ) -> None:
        places = self.whole.addresses.setdefault((account, principal.key), {})
        if address not in places:
            places[address] = _Address(address, principal, source, self.facts.team)
