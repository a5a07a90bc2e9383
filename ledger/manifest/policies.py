"""`aws-policies/<team>.yaml`: what may be requested.

Invariant: every policy has a name in IAM that no other policy of the directory has, ignoring case.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from ledger.manifest.declared import DeclaredPolicy
from ledger.manifest.nodes import Mapping, Node, Pair
from ledger.manifest.principals import check_partition
from ledger.manifest.problems import Desk, Unreadable
from ledger.manifest.scalars import duration_seconds
from ledger.manifest.settings import choice
from ledger.manifest.sheet import NAME_MAX, Sheet
from ledger.manifest.statements import read_statements
from ledger.model import Policy, Team

SECTION = "aws-policies"
KEYS = (
    "description",
    "managed_policies",
    "custom_statements",
    "max_duration",
    "require_mfa",
    "enforcement",
    "allow_dangerous",
)
LATER = ("require_mfa", "allow_dangerous")
"""Keys whose effect is still to come: taken without it, they would promise what nobody keeps."""

_MANAGED = re.compile(r"arn:aws:iam::aws:policy/(?:[\w+=,.@-]+/)*[\w+=,.@-]+\Z", re.ASCII)
_FOREIGN = re.compile(r"[^A-Za-z0-9_+=,@-]")


@dataclass(slots=True)
class Policies:
    """One team's policies."""

    names: set[str] = field(default_factory=set)
    """All that are named, also where their content is wrong."""
    declared: dict[str, DeclaredPolicy] = field(default_factory=dict)
    known: bool = True
    """Whether the file could be read: else nothing hangs on a name being absent."""


def iam_name(team: Team, policy: str) -> str:
    """`{team}-{policy}` with dots and everything that IAM does not take replaced by `-`."""
    return _FOREIGN.sub("-", f"{team}-{policy}")


def read_policies(sheet: Sheet, team: Team) -> Policies:
    policies = Policies(known=not sheet.broken)
    node = sheet.section(SECTION)
    mapping = None if node is None else sheet.mapping(node, f"`{SECTION}`")
    if mapping is None:
        policies.known = policies.known and node is None
        return policies
    for name, pair in mapping.pairs.items():
        policies.names.add(name)
        if not sheet.name(pair.key, "a policy"):
            continue
        declared = _policy(sheet, pair, team)
        if declared is not None:
            policies.declared[name] = declared
    return policies


def _policy(sheet: Sheet, pair: Pair, team: Team) -> DeclaredPolicy | None:
    mapping = sheet.mapping(pair.value, f"policy `{pair.key.text}`")
    if mapping is None:
        return None
    errors_before = len(sheet.desk.found)
    name = iam_name(team, pair.key.text)
    if len(name) > NAME_MAX:
        message = f"the policy's name in IAM, {name}, has {len(name)} characters"
        sheet.error(pair.key, "name", message, f"IAM takes {NAME_MAX}: shorten the policy's name")
    _check_keys(sheet, mapping)
    managed = _managed(sheet, mapping)
    document, statements = None, list[Node]()
    if "custom_statements" in mapping.pairs:
        document, statements = read_statements(sheet, mapping.pairs["custom_statements"])
    description = sheet.text(mapping.pairs.get("description"))
    max_duration_s = _max_duration(sheet, mapping)
    if len(sheet.desk.found) > errors_before:
        return None
    if document is None and not managed:
        message = f"policy `{pair.key.text}` has neither statements nor managed policies"
        hint = "add `custom_statements` or `managed_policies`"
        sheet.error(pair.key, "empty-policy", message, hint)
        return None
    policy = Policy(team, pair.key.text, name, document, managed, description, max_duration_s)
    sources = tuple(sheet.source(node) for node in statements)
    return DeclaredPolicy(policy, sheet.source(pair.key), sources)


def _check_keys(sheet: Sheet, mapping: Mapping) -> None:
    sheet.only_keys(mapping, KEYS)
    for name in LATER:
        if name in mapping.pairs:
            message = f"`{name}` is not supported yet"
            sheet.error(mapping.pairs[name].key, "not-supported-yet", message, "leave the key out")
    enforcement = mapping.pairs.get("enforcement")
    scalar = None if enforcement is None else sheet.scalar(enforcement)
    if enforcement is None or scalar is None:
        return
    try:
        choice(enforcement.key, scalar, ("aws",), later="daemon")
    except Unreadable as reason:
        sheet.unreadable(scalar, reason)


def _managed(sheet: Sheet, mapping: Mapping) -> tuple[str, ...]:
    pair = mapping.pairs.get("managed_policies")
    sequence = None if pair is None else sheet.sequence(pair.value, "`managed_policies`")
    if sequence is None:
        return ()
    found: dict[str, int] = {}
    for node in sequence.items:
        scalar = sheet.item(node, "managed_policies")
        if scalar is None:
            continue
        try:
            _check_managed(scalar.text)
        except Unreadable as reason:
            sheet.unreadable(scalar, reason)
            continue
        if scalar.text in found:
            message = f"`{scalar.text}` stands already on line {found[scalar.text]}"
            sheet.error(scalar, "duplicate", message, "keep one of them")
        found[scalar.text] = scalar.line
    return tuple(found)


def _check_managed(arn: str) -> None:
    check_partition(arn)
    if not _MANAGED.match(arn):
        raise Unreadable(
            "managed-policy",
            f"`{arn}` is no policy that AWS manages",
            "write arn:aws:iam::aws:policy/<name>; what is your own goes into `custom_statements`",
        )


def _max_duration(sheet: Sheet, mapping: Mapping) -> int | None:
    pair = mapping.pairs.get("max_duration")
    scalar = None if pair is None else sheet.scalar(pair)
    if scalar is None:
        return None
    try:
        return duration_seconds(scalar.text, "max_duration")
    except Unreadable as reason:
        sheet.unreadable(scalar, reason)
        return None


def check_names(declared: Iterable[DeclaredPolicy], chosen: set[Team], desk: Desk) -> None:
    """Reports policies that would be one in IAM, which ignores case."""
    first_of: dict[str, DeclaredPolicy] = {}
    for item in sorted(declared, key=lambda item: item.source):
        first = first_of.setdefault(item.policy.iam_name.casefold(), item)
        if first is item:
            continue
        here, there = (item, first) if item.policy.team in chosen else (first, item)
        message = (
            f"policy `{here.policy.name}` and policy `{there.policy.name}` of team "
            f"`{there.policy.team}` ({there.source.path}:{there.source.line}) are both "
            f"{here.policy.iam_name} in IAM"
        )
        desk.report(here.source, "policy-collision", message, "rename one of them")
