"""What in an IAM document could be used to get more than was granted, or to hide it. Pure.

Invariant: it errs to the side of telling. What is not known to be a mere look counts as a change,
actions that AWS has yet to invent among them; neither a Deny beside an Allow nor a condition in it
is weighed. Silent are only `HARMLESS`, and resources that name another service.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

WORDS = {
    "everything": "every action on every resource",
    "iam": "changes in IAM",
    "anywhere": "changes in IAM Roles Anywhere",
    "access": "changes of who may enter an account",
    "org": "changes in Organizations",
    "account": "changes of the account itself",
    "sso": "changes in Identity Center",
    "pass": "`iam:PassRole` on every role",
    "assume": "`sts:AssumeRole` on every role",
    "root": "`sts:AssumeRoot`",
    "kms": "`kms:PutKeyPolicy`",
    "trail": "stopping CloudTrail",
    "config": "stopping Config",
    "guardduty": "stopping GuardDuty",
}
"""Everything that is told, and how it is said after "allows"; in the order of telling."""

CHANGES = {
    "iam": "iam",
    "rolesanywhere": "anywhere",
    "account-access": "access",
    "organizations": "org",
    "account": "account",
    "sso": "sso",
    "sso-directory": "sso",
    "identitystore": "sso",
}
"""Services whose every change decides who may do what."""

LOOKS = ("describe", "generate", "get", "ismember", "list", "search", "simulate")
"""How the actions of those services begin that change nothing."""

HARMLESS = frozenset(
    {
        "iam:changepassword",  # one's own
        "iam:createservicelinkedrole",  # what it may do is AWS's to say, and only AWS assumes it
        "iam:deleteservicelinkedrole",
        "iam:passrole",  # judged by the role that is passed
    }
)

ON_EVERY_ROLE = {"iam:passrole": "pass", "sts:assumerole": "assume"}
ANYWHERE = {
    "sts:assumeroot": "root",
    "kms:putkeypolicy": "kms",
    "cloudtrail:deleteeventdatastore": "trail",
    "cloudtrail:deletetrail": "trail",
    "cloudtrail:puteventselectors": "trail",
    "cloudtrail:stopeventdatastoreingestion": "trail",
    "cloudtrail:stoplogging": "trail",
    "cloudtrail:updateeventdatastore": "trail",
    "cloudtrail:updatetrail": "trail",
    "config:deleteconfigurationrecorder": "config",
    "config:deletedeliverychannel": "config",
    "config:putconfigurationrecorder": "config",
    "config:stopconfigurationrecorder": "config",
    "guardduty:createfilter": "guardduty",
    "guardduty:createipset": "guardduty",
    "guardduty:deletedetector": "guardduty",
    "guardduty:deletemembers": "guardduty",
    "guardduty:disassociatefromadministratoraccount": "guardduty",
    "guardduty:disassociatefrommasteraccount": "guardduty",
    "guardduty:disassociatemembers": "guardduty",
    "guardduty:stopmonitoringmembers": "guardduty",
    "guardduty:updatedetector": "guardduty",
}
"""On whatever resource: each can be the one that counts."""

_ROLE = "arn:aws:iam::{}:role/a-role-that-nobody-would-name"
_VARIABLE = re.compile(r"\$\{[^}]*\}")


@dataclass(frozen=True, slots=True)
class Danger:
    """One statement and all that is dangerous about it."""

    statement: int
    """Its index in the document."""
    codes: tuple[str, ...]
    """Among `WORDS`, in their order."""
    conditions: bool
    """Whether conditions stand there, which were not weighed."""


def in_words(codes: Iterable[str], *, conditions: bool = False) -> str:
    """What is allowed, to stand after "allows"."""
    *first, last = [WORDS[code] for code in codes]
    said = f"{', '.join(first)} and {last}" if first else last
    return f"{said}, under conditions that are not weighed" if conditions else said


def dangers(document: str) -> tuple[Danger, ...]:
    """What is dangerous about an identity policy, statement by statement."""
    found = orjson.loads(document)["Statement"]
    statements = found if isinstance(found, list) else [found]
    return tuple(
        Danger(index, codes, bool(statement.get("Condition")))
        for index, statement in enumerate(statements)
        if statement["Effect"] == "Allow" and (codes := _codes(statement))
    )


def _codes(statement: Mapping[str, Any]) -> tuple[str, ...]:
    actions = _Actions.of(statement)
    resources = None if "NotResource" in statement else _resources(statement)
    if actions.all and (resources is None or any(_is_all(each) for each in resources)):
        return ("everything",)
    found = set(_among(actions, resources))
    return tuple(code for code in WORDS if code in found)


def _among(actions: "_Actions", resources: tuple[str, ...] | None) -> Iterator[str]:
    for service, code in CHANGES.items():
        if actions.change(service) and _reach(resources, service):
            yield code
    for action, code in ON_EVERY_ROLE.items():
        if actions.hold(action) and _every_role(resources):
            yield code
    for action, code in ANYWHERE.items():
        service = "iam" if action.startswith("sts:") else action.partition(":")[0]
        if actions.hold(action) and _reach(resources, service):
            yield code


# --- actions ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Actions:
    """The actions of one statement: those that the patterns cover, or all others."""

    patterns: tuple[str, ...]
    inverted: bool

    @classmethod
    def of(cls, statement: Mapping[str, Any]) -> "_Actions":
        inverted = "NotAction" in statement
        return cls(_folded(statement["NotAction" if inverted else "Action"]), inverted)

    @property
    def all(self) -> bool:
        return not self.inverted and any(_is_all(each.replace(":", "")) for each in self.patterns)

    def hold(self, action: str) -> bool:
        """Whether `action` is one of them."""
        return self.inverted != any(_covers(each, action) for each in self.patterns)

    def change(self, service: str) -> bool:
        """Whether any of them could be a change in `service`."""
        parts = [_parts(each) for each in self.patterns]
        if self.inverted:
            return not any(_covers(named, service) and _is_all(rest) for named, rest in parts)
        return any(
            _covers(named, service)
            and f"{named}:{rest}" not in HARMLESS
            and not re.split(r"[*?]", rest, maxsplit=1)[0].startswith(LOOKS)
            for named, rest in parts
        )


def _parts(pattern: str) -> tuple[str, str]:
    """Service and action; a `*` before any colon may stand for both."""
    service, colon, action = pattern.partition(":")
    return (service, action) if colon else (pattern, "*")


# --- resources --------------------------------------------------------------------------------


def _resources(statement: Mapping[str, Any]) -> tuple[str, ...]:
    """Its resources; where a variable stands something nobody would name."""
    found = _folded(statement.get("Resource", []))
    return tuple(_VARIABLE.sub("0", each) for each in found)


def _reach(resources: tuple[str, ...] | None, service: str) -> bool:
    """Whether any of them can be something of `service`; None stands for all but a few."""
    if resources is None:
        return True
    named = (each.split(":") for each in resources)
    return any(len(parts) < 3 or _covers(parts[2], service) for parts in named)


def _every_role(resources: tuple[str, ...] | None) -> bool:
    """Whether they cover every role of an account."""
    if resources is None:
        return True
    for resource in resources:
        account = re.sub(r"[*?]", "0", (resource.split(":") + [""] * 5)[4])
        if _covers(resource, _ROLE.format(account)):
            return True
    return False


# --- patterns ---------------------------------------------------------------------------------


def _folded(values: str | Iterable[str]) -> tuple[str, ...]:
    return tuple(value.casefold() for value in ([values] if isinstance(values, str) else values))


def _is_all(pattern: str) -> bool:
    return pattern != "" and not pattern.strip("*")


@lru_cache(maxsize=4_096)
def _pattern(pattern: str) -> re.Pattern[str]:
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(sign, re.escape(sign)) for sign in pattern), re.DOTALL)


def _covers(pattern: str, text: str) -> bool:
    """Whether `text`, case folded, is one of those that `pattern` stands for."""
    if "*" not in pattern and "?" not in pattern:
        return pattern == text
    return _pattern(pattern).fullmatch(text) is not None
