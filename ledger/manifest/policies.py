"""`aws-policies/<team>.yaml`: what may be requested.

Invariant: every policy has a name in IAM that no other policy of the directory has, and no object
that is made for one grant, ignoring case.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import get_args

from ledger.manifest.danger import dangers, in_words
from ledger.manifest.dangerous_policies import codes_of
from ledger.manifest.declared import DeclaredDanger, DeclaredPolicy
from ledger.manifest.nodes import Mapping, Node, Pair, Scalar
from ledger.manifest.principals import check_partition
from ledger.manifest.problems import Desk, Severity, Source, Unreadable
from ledger.manifest.scalars import duration_seconds
from ledger.manifest.settings import choice
from ledger.manifest.sheet import NAME_MAX, Sheet
from ledger.manifest.statements import read_statements
from ledger.model import Enforcement, Policy, Settings, Team

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
CONSENT_MAX = 256
"""Characters of `allow_dangerous`: a sentence."""

RESERVED = "iam-ledger-"
"""What is made for one grant is called by, with the grant's id behind it."""

MANAGED = re.compile(r"arn:aws:iam::aws:policy/(?:[\w+=,.@-]+/)*[\w+=,.@-]+\Z", re.ASCII)
_FOREIGN = re.compile(r"[^A-Za-z0-9_+=,@-]")
_NO_REASONS = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n"})


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


def read_policies(sheet: Sheet, team: Team, settings: Settings) -> Policies:
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
        declared = _policy(sheet, pair, team, settings)
        if declared is not None:
            policies.declared[name] = declared
    return policies


def _policy(sheet: Sheet, pair: Pair, team: Team, settings: Settings) -> DeclaredPolicy | None:
    mapping = sheet.mapping(pair.value, f"policy `{pair.key.text}`")
    if mapping is None:
        return None
    errors_before = len(sheet.desk.found)
    name = iam_name(team, pair.key.text)
    _check_iam_name(sheet, pair, name, stands="custom_statements" in mapping.pairs)
    sheet.only_keys(mapping, KEYS)
    require_mfa, enforcement = _require_mfa(sheet, mapping), _enforcement(sheet, mapping)
    consent = _consent(sheet, mapping)
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
    policy = Policy(
        team=team,
        name=pair.key.text,
        iam_name=name,
        document=document,
        managed_policies=tuple(managed),
        description=description,
        max_duration_s=max_duration_s,
        require_mfa=require_mfa,
        enforcement=enforcement,
        allow_dangerous=consent,
    )
    sources = tuple(sheet.source(node) for node in statements)
    found = tuple(_dangers(sheet, policy, sources, managed))
    _tell_dangers(sheet, mapping, policy, found, settings)
    return DeclaredPolicy(policy, sheet.source(pair.key), sources, found)


def _check_iam_name(sheet: Sheet, pair: Pair, name: str, *, stands: bool) -> None:
    """`stands`: a policy of that name will be made, and could be in the way of a grant's."""
    if len(name) > NAME_MAX:
        message = f"the policy's name in IAM, {name}, has {len(name)} characters"
        sheet.error(pair.key, "name", message, f"IAM takes {NAME_MAX}: shorten the policy's name")
    if stands and name.casefold().startswith(RESERVED):
        message = f"the policy's name in IAM, {name}, begins with `{RESERVED}`"
        sheet.error(pair.key, "name", message, "grants are called so there: rename it, or the team")


# --- what stands beside the content -----------------------------------------------------------


def _require_mfa(sheet: Sheet, mapping: Mapping) -> bool:
    pair = mapping.pairs.get("require_mfa")
    return pair is not None and _chosen(sheet, pair, ("true", "false")) == "true"


def _enforcement(sheet: Sheet, mapping: Mapping) -> Enforcement:
    pair = mapping.pairs.get("enforcement")
    if pair is not None and _chosen(sheet, pair, get_args(Enforcement)) == "daemon":
        return "daemon"
    return "aws"


def _chosen(sheet: Sheet, pair: Pair, values: tuple[str, ...]) -> str | None:
    scalar = sheet.scalar(pair)
    if scalar is None:
        return None
    try:
        return choice(pair.key, scalar, values)
    except Unreadable as reason:
        sheet.unreadable(scalar, reason)
        return None


def _consent(sheet: Sheet, mapping: Mapping) -> str | None:
    """The reason that stands under `allow_dangerous`; a bare yes is none."""
    pair = mapping.pairs.get("allow_dangerous")
    scalar = None if pair is None else sheet.scalar(pair)
    if pair is None or scalar is None:
        return None
    if not scalar.text.strip() or (scalar.plain and scalar.text.casefold() in _NO_REASONS):
        message = f"`allow_dangerous` is {scalar.text.strip() or 'empty'}"
        sheet.error(scalar, "no-reason", message, "write in a sentence why it may be so")
    return sheet.text(pair, CONSENT_MAX)


# --- the content ------------------------------------------------------------------------------


def _managed(sheet: Sheet, mapping: Mapping) -> dict[str, Scalar]:
    """ARN -> where it stands."""
    pair = mapping.pairs.get("managed_policies")
    sequence = None if pair is None else sheet.sequence(pair.value, "`managed_policies`")
    if sequence is None:
        return {}
    found: dict[str, Scalar] = {}
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
            message = f"`{scalar.text}` stands already on line {found[scalar.text].line}"
            sheet.error(scalar, "duplicate", message, "keep one of them")
        found[scalar.text] = scalar
    return found


def _check_managed(arn: str) -> None:
    check_partition(arn)
    if not MANAGED.match(arn):
        raise Unreadable(
            "managed-policy",
            f"`{arn}` is no policy that AWS manages",
            "write arn:aws:iam::aws:policy/<name>; what is your own goes into `custom_statements`",
        )


# --- what is dangerous about it ---------------------------------------------------------------


def _dangers(
    sheet: Sheet, policy: Policy, statements: tuple[Source, ...], managed: dict[str, Scalar]
) -> Iterator[DeclaredDanger]:
    for arn, scalar in managed.items():
        codes = codes_of(arn)
        if codes:
            message = f"{arn.rpartition('/')[2]} allows {in_words(codes)}"
            yield DeclaredDanger(sheet.source(scalar), message)
    for danger in () if policy.document is None else dangers(policy.document):
        message = f"this statement allows {in_words(danger.codes, conditions=danger.conditions)}"
        yield DeclaredDanger(statements[danger.statement], message)


def _tell_dangers(
    sheet: Sheet,
    mapping: Mapping,
    policy: Policy,
    found: tuple[DeclaredDanger, ...],
    settings: Settings,
) -> None:
    """What nobody consented to, and a consent to nothing."""
    if policy.allow_dangerous is None:
        severity: Severity = "error" if settings.dangerous == "refuse" else "warning"
        hint = "say why under `allow_dangerous`, or allow less"
        for danger in found:
            sheet.desk.report(danger.source, "dangerous", danger.message, hint, severity=severity)
    elif not found:
        source = sheet.source(mapping.pairs["allow_dangerous"].key)
        message = f"nothing in policy `{policy.name}` is known to be dangerous"
        hint = "take `allow_dangerous` out: it would cover what is added later"
        sheet.desk.report(source, "nothing-dangerous", message, hint, severity="warning")


# --- its names and lengths --------------------------------------------------------------------


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
