"""`aws-accounts/<team>.yaml`: which account an environment is, and how to get into it.

Invariant: an account id was written in quotes. Without them YAML's own readers make a number of it,
and another tool on the same file would see another account.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from ledger.manifest.declared import DeclaredAccount
from ledger.manifest.nodes import Mapping, Pair, Scalar
from ledger.manifest.principals import role_path_and_name
from ledger.manifest.problems import Desk, Source, Unreadable
from ledger.manifest.sheet import Sheet
from ledger.model import Account, AccountId, Settings, Team, account_id

SECTION = "aws-accounts"
KEYS = ("id", "deployer_role", "external_id", "source_identity")

EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}\Z", re.ASCII)
"""As STS's AssumeRole takes it (botocore's service model)."""

SOURCE_IDENTITY = re.compile(r"[\w+=,.@-]{2,64}\Z", re.ASCII)
"""The same of its SourceIdentity."""


@dataclass(slots=True)
class Accounts:
    """One team's environments."""

    names: set[str] = field(default_factory=set)
    """All that are named, also where what stands beside the name is wrong."""
    declared: dict[str, DeclaredAccount] = field(default_factory=dict)
    known: bool = True
    """Whether the file could be read: else nothing hangs on a name being absent."""


def read_accounts(sheet: Sheet, team: Team, settings: Settings) -> Accounts:
    accounts = Accounts(known=not sheet.broken)
    node = sheet.section(SECTION)
    mapping = None if node is None else sheet.mapping(node, f"`{SECTION}`")
    if mapping is None:
        accounts.known = accounts.known and node is None
        return accounts
    for name, pair in mapping.pairs.items():
        accounts.names.add(name)
        if not sheet.name(pair.key, "an environment"):
            continue
        account = _account(sheet, pair, team, settings)
        if account is not None:
            number = pair.value.pairs["id"] if type(pair.value) is Mapping else pair
            source = sheet.source(pair.key)
            deciding = tuple(dict.fromkeys((source, sheet.source(number.value))))
            accounts.declared[name] = DeclaredAccount(account, source, deciding)
    return accounts


def _account(sheet: Sheet, pair: Pair, team: Team, settings: Settings) -> Account | None:
    if type(pair.value) is not Mapping:
        number = _account_id(sheet, pair)
        if number is None:
            return None
        return Account(team, pair.key.text, number, settings.deployer_role)
    sheet.only_keys(pair.value, KEYS)
    pairs = pair.value.pairs
    if "id" not in pairs:
        message = f"environment `{pair.key.text}` has no account id"
        sheet.error(pair.key, "account-id", message, "add `id`, 12 digits in quotes")
        return None
    number = _account_id(sheet, pairs["id"])
    role = settings.deployer_role
    if "deployer_role" in pairs:
        role = _deployer_role(sheet, pairs["deployer_role"]) or role
    external_id = _external_id(sheet, pairs["external_id"]) if "external_id" in pairs else None
    source = (
        _source_identity(sheet, pairs["source_identity"]) if "source_identity" in pairs else None
    )
    if number is None:
        return None
    return Account(team, pair.key.text, number, role, external_id, source)


def _account_id(sheet: Sheet, pair: Pair) -> AccountId | None:
    scalar = sheet.scalar(pair)
    if scalar is None:
        return None
    if scalar.plain:
        message = f"the account id {scalar.text} stands without quotes"
        hint = f'write "{scalar.text}": other readers of YAML take it for a number'
        sheet.error(scalar, "account-id", message, hint)
        return None
    try:
        return account_id(scalar.text)
    except ValueError:
        message = f'the account id "{scalar.text}" is not 12 digits'
        sheet.error(scalar, "account-id", message)
        return None


def _deployer_role(sheet: Sheet, pair: Pair) -> str | None:
    scalar = sheet.scalar(pair)
    if scalar is None:
        return None
    try:
        return role_path_and_name(scalar.text)
    except Unreadable as reason:
        sheet.unreadable(scalar, reason)
        return None


def _external_id(sheet: Sheet, pair: Pair) -> str | None:
    scalar: Scalar | None = sheet.scalar(pair)
    if scalar is None:
        return None
    if not EXTERNAL_ID.match(scalar.text):
        message = "`external_id` is not one that AWS takes"
        sheet.error(scalar, "external-id", message, "2 to 1224 letters, digits and +=,.@:/_-")
        return None
    return scalar.text


def _source_identity(sheet: Sheet, pair: Pair) -> str | None:
    scalar: Scalar | None = sheet.scalar(pair)
    if scalar is None:
        return None
    if not SOURCE_IDENTITY.match(scalar.text):
        message = "`source_identity` is not one that AWS takes"
        sheet.error(scalar, "source-identity", message, "2 to 64 letters, digits and +=,.@_-")
        return None
    return scalar.text


def check_agreement(declared: Iterable[DeclaredAccount], chosen: set[Team], desk: Desk) -> None:
    """Reports environments of one account that name different ways into it."""
    first_of: dict[AccountId, DeclaredAccount] = {}
    for item in sorted(declared, key=lambda item: item.source):
        first = first_of.setdefault(item.account.account, item)
        for key in ("deployer_role", "external_id", "source_identity"):
            if getattr(first.account, key) != getattr(item.account, key):
                _report_disagreement(first, item, key, chosen, desk)


def _report_disagreement(
    first: DeclaredAccount, second: DeclaredAccount, key: str, chosen: set[Team], desk: Desk
) -> None:
    here, there = (second, first) if second.account.team in chosen else (first, second)
    message = (
        f"environment `{here.account.environment}` and `{there.account.environment}` of team "
        f"`{there.account.team}` ({_line(there.source)}) are both account {here.account.account} "
        f"and disagree on `{key}`"
    )
    desk.report(here.source, "account-disagreement", message, "write the same in both")


def _line(source: Source) -> str:
    return f"{source.path}:{source.line}"
