"""The IAM of one account, in memory: what AWS documents, its refusals among them, at once.

Also how a test changes an account by hand. No wires, no faults, no time: those are in `account`.
Sources: the IAM API reference for errors, "IAM and STS quotas" for sizes and counts.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from ledger.model import AccountId, Principal, parse_principal
from worker.account import (
    AccountLimits,
    AccountState,
    ManagedPolicyState,
    PrincipalState,
    SourceDocument,
)
from worker.errors import AwsMissing, AwsRefused

MANAGED_CHARS_MAX = 6_144
RAW_CHARS_MAX = 131_072
"""Of a document as it is sent, white space and all."""
VERSIONS_MAX = 5
TAGS_MAX = 50
PATH_MAX = 512

_POLICY_NAME = re.compile(r"[\w+=,.@-]{1,128}\Z", re.ASCII)
_POLICY_PATH = re.compile(r"(/[A-Za-z0-9.,+@=_-]+)*/\Z")
_PRINCIPAL_PATH = re.compile(r"/([\x21-\x7e]+/)?\Z")
_TAG_KEY = re.compile(r"[\w\s.:/=+@-]{1,128}\Z")
_TAG_VALUE = re.compile(r"[\w\s.:/=+@-]{0,256}\Z")
_SID = re.compile(r"[A-Za-z0-9]*\Z")
_FOREIGN = re.compile(r"[^\x09\x0a\x0d\x20-\xff]")
_ACTION = re.compile(r"(\*|[A-Za-z0-9-]+:\S+)\Z")


@dataclass(slots=True)
class Entity:
    """A user, role or group with what hangs on it."""

    principal: Principal
    unique_id: str
    created_at: datetime
    inline: dict[str, str] = field(default_factory=dict)
    attached: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class ManagedPolicy:
    """A managed policy, the customer's or AWS's own, with its versions, oldest first."""

    name: str
    path: str
    arn: str
    versions: dict[str, str]
    default: str
    tags: dict[str, str] = field(default_factory=dict)
    made: int = 1
    """How many versions there ever were: their numbers are never used again."""

    def state(self) -> ManagedPolicyState:
        return ManagedPolicyState(
            self.name,
            self.path,
            self.arn,
            self.versions[self.default],
            self.default,
            tuple(self.versions),
        )


def counted_chars(document: str) -> int:
    """The size that quotas count: white space between the signs of JSON is free."""
    return len(json.dumps(json.loads(document), separators=(",", ":"), ensure_ascii=False))


def check_document(document: str) -> None:
    """MalformedPolicyDocument and ValidationError as IAM says them."""
    if len(document) > RAW_CHARS_MAX:
        raise AwsRefused("ValidationError", f"a document has at most {RAW_CHARS_MAX} characters")
    foreign = _FOREIGN.search(document)
    if foreign:
        raise AwsRefused("ValidationError", f"{foreign[0]!r} may not stand in a policy document")
    try:
        value = json.loads(document)
    except ValueError as error:
        raise AwsRefused("MalformedPolicyDocument", f"Syntax errors in policy: {error}") from error
    if not isinstance(value, dict) or not value.get("Statement"):
        raise AwsRefused("MalformedPolicyDocument", "Missing required field Statement")
    if value.get("Version", "2012-10-17") not in ("2012-10-17", "2008-10-17"):
        raise AwsRefused("MalformedPolicyDocument", "The policy must contain a valid version")
    sids = Counter(statement.get("Sid", "") for statement in statements(document))
    for sid, count in sids.items():
        if not _SID.match(sid) or (sid and count > 1):
            raise AwsRefused("MalformedPolicyDocument", f"Statement IDs (SID) {sid!r}")
    for statement in statements(document):
        _check_statement(statement)


def statements(document: str) -> list[dict[str, Any]]:
    """Its statements; one alone need not be in a list."""
    found = json.loads(document)["Statement"]
    return found if isinstance(found, list) else [found]


def _check_statement(statement: dict[str, Any]) -> None:
    if statement.keys() & {"Principal", "NotPrincipal"}:
        raise AwsRefused(
            "MalformedPolicyDocument", "Policy document should not specify a principal."
        )
    if statement.get("Effect") not in ("Allow", "Deny"):
        raise AwsRefused("MalformedPolicyDocument", "Missing required field Effect")
    if not (statement.get("Action") or statement.get("NotAction")):
        raise AwsRefused("MalformedPolicyDocument", "Missing required field Action")
    if not (statement.get("Resource") or statement.get("NotResource")):
        raise AwsRefused("MalformedPolicyDocument", "Policy statement must contain resources.")
    actions = statement.get("Action") or statement.get("NotAction")
    for action in actions if isinstance(actions, list) else [actions]:
        if not _ACTION.match(str(action)):
            raise AwsRefused(
                "MalformedPolicyDocument", "Actions/Conditions must be prefaced by a vendor"
            )
    for operator, keys in statement.get("Condition", {}).items():
        if operator.startswith("Date"):
            for values in keys.values():
                _check_dates(values if isinstance(values, list) else [values])


def _check_dates(values: list[Any]) -> None:
    for value in values:
        if str(value).isdecimal():
            continue  # seconds since 1970
        try:
            datetime.fromisoformat(str(value))
        except ValueError as error:
            raise AwsRefused("MalformedPolicyDocument", f"{value!r} is no date") from error


def check_tags(tags: dict[str, str]) -> None:
    """ValidationError, InvalidInput and LimitExceeded as IAM says them of a policy's tags."""
    if len(tags) > TAGS_MAX:
        raise AwsRefused("LimitExceeded", f"Cannot exceed quota for TagsPerPolicy: {TAGS_MAX}")
    if len({key.casefold() for key in tags}) < len(tags):
        raise AwsRefused("InvalidInput", "Duplicate tag keys found: they are one ignoring case")
    for key, value in tags.items():
        if not (_TAG_KEY.match(key) and _TAG_VALUE.match(value)):
            raise AwsRefused("ValidationError", f"{key!r} and {value!r} are no tag")
        if key.casefold().startswith("aws:"):
            raise AwsRefused("InvalidInput", "Tag keys that begin with aws: are AWS's own")


class Iam:
    """One account. Every method does its work whole or raises and does nothing."""

    def __init__(
        self,
        account: AccountId,
        aws_managed: dict[str, ManagedPolicy],
        now: Callable[[], datetime],
        ids: Iterator[int],
    ) -> None:
        self.account = account
        self.entities: dict[str, Entity] = {}
        """By `Principal.key`: names are one whatever their path and case."""
        self.policies: dict[str, ManagedPolicy] = {}
        """The customer's own, by name, case folded."""
        self.quotas = AccountLimits()
        """The account's own quotas: what a support case raises."""
        self.remade: dict[str, datetime] = {}
        """Names that somebody had before: when they were given again."""
        self.now = now
        self._aws_managed = aws_managed
        self._ids = ids
        self._gone: set[str] = set()
        self.changed: Callable[[], None] = lambda: None
        """Called after every change, by the worker or by hand."""

    def copy(self) -> "Iam":
        """The account as it stands now, for reading only."""
        copied = Iam(self.account, self._aws_managed, self.now, self._ids)
        copied.quotas = self.quotas
        copied.entities = {
            key: replace(entity, inline=dict(entity.inline), attached=dict(entity.attached))
            for key, entity in self.entities.items()
        }
        copied.policies = {
            name: replace(policy, versions=dict(policy.versions), tags=dict(policy.tags))
            for name, policy in self.policies.items()
        }
        return copied

    # --- principals, by hand only ----------------------------------------------------------------

    def add(self, text: str, path: str = "/") -> Principal:
        """`add("user/ana")`: a new principal. A name made anew has another unique id."""
        named = parse_principal(text)
        principal = Principal(named.kind, named.name, path)
        if principal.key in self.entities:
            raise AwsRefused("EntityAlreadyExists", f"{text} exists already")
        if len(path) > PATH_MAX or not _PRINCIPAL_PATH.match(path):
            raise AwsRefused("ValidationError", f"{path} is not a principal's path")
        if principal.key in self._gone:
            self.remade[principal.key] = self.now()
        self.entities[principal.key] = Entity(
            principal, f"{named.kind.value.upper()}{next(self._ids):016}", self.now()
        )
        self.changed()
        return principal

    def drop(self, principal: Principal) -> None:
        """Deletes it, as a person who first takes everything from it."""
        del self.entities[principal.key]
        self._gone.add(principal.key)
        self.changed()

    def recreate(self, principal: Principal) -> Principal:
        """Deletes it and makes it anew, under its own name and path: another id, and nothing on it.

        Whoever trusts the old one by its ARN does not trust this one (IAM user guide, principals).
        """
        path = self.entities[principal.key].principal.path
        self.drop(principal)
        return self.add(str(principal), path)

    def rename(self, principal: Principal, name: str) -> Principal:
        """UpdateUser, UpdateGroup: the same id, and all that hangs on it. A role cannot."""
        if principal.kind.value == "role":
            raise AwsRefused("ValidationError", f"{principal} keeps its name")
        renamed = Principal(principal.kind, name, self._entity(principal).principal.path)
        if renamed.key != principal.key and renamed.key in self.entities:
            raise AwsRefused("EntityAlreadyExists", f"{renamed} exists already")
        entity = self.entities.pop(principal.key)
        entity.principal = renamed
        self.entities[renamed.key] = entity
        self._gone.add(principal.key)
        self.changed()
        return renamed

    # --- reading ---------------------------------------------------------------------------------

    def describe(self) -> AccountState:
        return AccountState(
            principals={key: _state(entity) for key, entity in self.entities.items()},
            policies={name: policy.state() for name, policy in self.policies.items()},
        )

    def principal(self, principal: Principal) -> PrincipalState | None:
        entity = self.entities.get(principal.key)
        return None if entity is None else _state(entity)

    def policy(self, arn: str) -> ManagedPolicyState | None:
        found = self.find(arn)
        return None if found is None else found.state()

    def tags(self, arn: str) -> dict[str, str]:
        return dict(self._own(arn).tags)

    def limits(self) -> AccountLimits:
        return replace(self.quotas, policies=len(self.policies))

    def holders(self, arn: str) -> tuple[Principal, ...]:
        self._own(arn)
        return tuple(each.principal for each in self.entities.values() if arn in each.attached)

    def source(self, arn: str, version: str | None) -> SourceDocument:
        policy = self._aws_managed.get(arn)
        chosen = version or (policy.default if policy else "")
        if policy is None or chosen not in policy.versions:
            raise AwsMissing("NoSuchEntity", f"Policy {arn} version {chosen} does not exist.")
        return SourceDocument(arn, chosen, policy.versions[chosen])

    def find(self, arn: str) -> ManagedPolicy | None:
        """The customer's or AWS's own policy of that ARN, which is compared as written."""
        if arn in self._aws_managed:
            return self._aws_managed[arn]
        return next((policy for policy in self.policies.values() if policy.arn == arn), None)

    # --- inline policies and attachments ---------------------------------------------------------

    def put_inline(self, principal: Principal, name: str, document: str) -> None:
        entity = self._entity(principal)
        if not _POLICY_NAME.match(name):
            raise AwsRefused("ValidationError", f"{name!r} is not a policy name")
        check_document(document)
        others = (text for key, text in entity.inline.items() if key != name)
        size = counted_chars(document) + sum(counted_chars(text) for text in others)
        limit = principal.facts.inline_chars_max
        if size > limit:
            raise AwsRefused(
                "LimitExceeded", f"Maximum policy size of {limit} bytes exceeded for {principal}"
            )
        entity.inline[name] = document
        self.changed()

    def delete_inline(self, principal: Principal, name: str) -> bool:
        """Whether it stood."""
        entity = self.entities.get(principal.key)
        if entity is None or entity.inline.pop(name, None) is None:
            return False
        self.changed()
        return True

    def attach(self, principal: Principal, arn: str) -> None:
        entity = self._entity(principal)
        if self.find(arn) is None:
            raise AwsMissing("NoSuchEntity", f"Policy {arn} does not exist or is not attachable.")
        limit = self.quotas.attached_max(principal)
        if arn not in entity.attached and len(entity.attached) >= limit:
            raise AwsRefused("LimitExceeded", f"Cannot exceed quota of {limit} attached policies")
        entity.attached[arn] = None
        self.changed()

    def detach(self, principal: Principal, arn: str) -> bool:
        """Whether it was attached."""
        entity = self.entities.get(principal.key)
        if entity is None or arn not in entity.attached:
            return False
        del entity.attached[arn]
        self.changed()
        return True

    # --- customer-managed policies ---------------------------------------------------------------

    def create_policy(
        self, name: str, path: str, document: str, tags: dict[str, str]
    ) -> str | None:
        """The new one's ARN; None when a policy of that name stands already."""
        if not (_POLICY_NAME.match(name) and _POLICY_PATH.match(path) and len(path) <= PATH_MAX):
            raise AwsRefused("ValidationError", f"{path}{name} is not a policy's path and name")
        _check_managed(document)
        check_tags(tags)
        if name.casefold() in self.policies:
            return None
        if len(self.policies) >= self.quotas.policies_max:
            raise AwsRefused("LimitExceeded", "Cannot exceed quota for PoliciesPerAccount")
        arn = f"arn:aws:iam::{self.account}:policy{path}{name}"
        self.policies[name.casefold()] = ManagedPolicy(
            name, path, arn, {"v1": document}, "v1", dict(tags)
        )
        self.changed()
        return arn

    def create_version(self, arn: str, document: str) -> None:
        """A new version, the default from now on."""
        policy = self._own(arn)
        _check_managed(document)
        if len(policy.versions) >= VERSIONS_MAX:
            raise AwsRefused("LimitExceeded", f"{arn} already has {VERSIONS_MAX} versions")
        policy.made += 1
        policy.default = f"v{policy.made}"
        policy.versions[policy.default] = document
        self.changed()

    def tag(self, arn: str, tags: dict[str, str]) -> None:
        """Adds to its tags; those of the same keys are replaced."""
        policy = self._own(arn)
        check_tags(policy.tags | tags)
        policy.tags |= tags
        self.changed()

    def delete_version(self, arn: str, version: str) -> bool:
        """Whether it stood."""
        policy = self.find(arn)
        if policy is None or version not in policy.versions:
            return False
        if version == policy.default:
            raise AwsRefused("DeleteConflict", "Cannot delete the default version of a policy.")
        del policy.versions[version]
        self.changed()
        return True

    def delete_policy(self, arn: str) -> bool:
        """Whether it stood."""
        policy = self.find(arn)
        if policy is None:
            return False
        if any(arn in entity.attached for entity in self.entities.values()):
            raise AwsRefused("DeleteConflict", "Cannot delete a policy attached to entities.")
        if len(policy.versions) > 1:
            raise AwsRefused("DeleteConflict", "This policy has more than one version.")
        del self.policies[policy.name.casefold()]
        self.changed()
        return True

    def documents(self, principal: Principal) -> tuple[str, ...]:
        """Every text that gives this principal something now, or denies it."""
        entity = self.entities.get(principal.key)
        if entity is None:
            return ()
        attached = (self.find(arn) for arn in entity.attached)
        return (
            *entity.inline.values(),
            *(policy.versions[policy.default] for policy in attached if policy),
        )

    def _entity(self, principal: Principal) -> Entity:
        entity = self.entities.get(principal.key)
        if entity is None:
            raise AwsMissing("NoSuchEntity", f"The {principal} cannot be found.")
        return entity

    def _own(self, arn: str) -> ManagedPolicy:
        if arn in self._aws_managed:
            raise AwsRefused("AccessDenied", f"{arn} is AWS's own policy")
        policy = self.find(arn)
        if policy is None:
            raise AwsMissing("NoSuchEntity", f"Policy {arn} was not found.")
        return policy


def _check_managed(document: str) -> None:
    check_document(document)
    if counted_chars(document) > MANAGED_CHARS_MAX:
        raise AwsRefused(
            "LimitExceeded", f"Cannot exceed quota for PolicySize: {MANAGED_CHARS_MAX}"
        )


def _state(entity: Entity) -> PrincipalState:
    return PrincipalState(
        entity.principal,
        entity.unique_id,
        dict(entity.inline),
        frozenset(entity.attached),
        entity.created_at,
    )
