"""An account in which nothing is changed: what is asked is asked of AWS, what is written is noted.

Invariant: the account behind it can only be read, by its very type. What was noted shows in every
later answer as if AWS had done it, and what AWS would refuse is refused.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, TypeVar

from ledger.model import AccountId, Principal
from worker.account import (
    AccountLimits,
    AccountState,
    Answer,
    AwsReading,
    ManagedPolicyState,
    PrincipalState,
    SourceDocument,
)
from worker.errors import AwsError, AwsMissing, AwsRefused
from worker.iam.documents import MANAGED_CHARS_MAX, VERSIONS_MAX, size_of

T = TypeVar("T")

Patience = Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]
"""Carries out a reading, again where AWS is busy; raises as the reading does."""

Unit = Literal["characters", "attachments", "versions"]


@dataclass(frozen=True, slots=True)
class Room:
    """What a write takes of a quota."""

    used: int
    """With it, and with all that stands beside it."""
    limit: int
    unit: Unit


@dataclass(frozen=True, slots=True)
class Step:
    """One call that would be made."""

    call: str
    """By AWS's name: `PutUserPolicy`."""
    principal: Principal | None
    """None: about a managed policy itself."""
    name: str
    """The inline policy's name, or the managed policy's ARN."""
    outcome: Literal["done", "stood", "absent"]
    """As `worker.account.Answer` has it."""
    characters: int | None = None
    """Of the document, as IAM counts them; None: none is sent."""
    room: Room | None = None


class RehearsedAccount:
    """Implements `AwsAccount`. Reads the whole account once, and one thing where that is enough."""

    def __init__(
        self, aws: AwsReading, *, now: Callable[[], datetime], patiently: Patience
    ) -> None:
        self.account: AccountId = aws.account
        self.steps: list[Step] = []
        self.unread: AwsError | None = None
        """Why the newest reading that failed did."""
        self._aws = aws
        self._now = now
        self._patiently = patiently
        self._whole: AccountState | None = None
        self._people: dict[str, PrincipalState | None] = {}
        self._policies: dict[str, ManagedPolicyState | None] = {}
        """By ARN; None: there is none."""
        self._tags: dict[str, dict[str, str]] = {}
        self._limits = AccountLimits()

    # --- reading ------------------------------------------------------------------------------

    async def _ask(self, ask: Callable[[], Awaitable[T]]) -> T:
        answers: list[T] = []

        async def keep() -> None:
            answers.append(await ask())

        try:
            await self._patiently(keep)
        except AwsError as error:
            self.unread = error
            raise
        return answers[-1]

    async def enter(self) -> None:
        await self._ask(self._aws.enter)

    async def observe(self) -> AccountState:
        if self._whole is None:
            self._whole = await self._ask(self._aws.observe)
        people = {**self._whole.principals, **self._people}
        policies = dict(self._whole.policies)
        for arn, policy in self._policies.items():
            name = _name(arn)
            if policy is not None and _customers(arn):
                policies[name] = policy
            elif name in policies and policies[name].arn == arn:
                del policies[name]
        return AccountState(
            {key: person for key, person in people.items() if person is not None}, policies
        )

    async def read_limits(self) -> AccountLimits:
        self._limits = await self._ask(self._aws.read_limits)
        return self._limits

    async def read_principal(self, principal: Principal) -> PrincipalState | None:
        key = principal.key
        if key not in self._people:
            if self._whole is None:
                self._people[key] = await self._ask(lambda: self._aws.read_principal(principal))
            else:
                self._people[key] = self._whole.principals.get(key)
        return self._people[key]

    async def read_policy(self, arn: str) -> ManagedPolicyState | None:
        if arn not in self._policies:
            if self._whole is None or not _customers(arn):
                self._policies[arn] = await self._ask(lambda: self._aws.read_policy(arn))
            else:
                standing = self._whole.policies.get(_name(arn))
                self._policies[arn] = standing if standing and standing.arn == arn else None
        return self._policies[arn]

    async def read_policy_tags(self, arn: str) -> dict[str, str]:
        if arn not in self._tags:
            self._tags[arn] = await self._ask(lambda: self._aws.read_policy_tags(arn))
        return dict(self._tags[arn])

    async def read_holders(self, arn: str) -> tuple[Principal, ...]:
        if _customers(arn):
            await self._policy(arn)
        people = (await self.observe()).principals.values()
        return tuple(person.principal for person in people if arn in person.attached)

    async def read_source(self, arn: str, version: str | None = None) -> SourceDocument:
        return await self._ask(lambda: self._aws.read_source(arn, version))

    # --- noting -------------------------------------------------------------------------------

    async def put_inline(self, principal: Principal, name: str, document: str) -> Answer:
        person = await self._person(principal)
        inline = {**person.inline, name: document}
        used, limit = sum(map(size_of, inline.values())), principal.facts.inline_chars_max
        if used > limit:
            raise AwsRefused("LimitExceeded", f"{principal} would hold {used:,} of {limit:,}")
        self._people[principal.key] = replace(person, inline=inline)
        room = Room(used, limit, "characters")
        return self._note(f"Put{_title(principal)}Policy", principal, name, document, room)

    async def delete_inline(self, principal: Principal, name: str) -> Answer:
        person = await self.read_principal(principal)
        call = f"Delete{_title(principal)}Policy"
        if person is None or name not in person.inline:
            return self._note(call, principal, name, outcome="absent")
        inline = {key: text for key, text in person.inline.items() if key != name}
        self._people[principal.key] = replace(person, inline=inline)
        return self._note(call, principal, name)

    async def attach(self, principal: Principal, arn: str) -> Answer:
        person = await self._person(principal)
        if _customers(arn):
            await self._policy(arn)
        attached = person.attached | {arn}
        limit = self._limits.attached_max(principal)
        if len(attached) > limit:
            raise AwsRefused("LimitExceeded", f"{principal} has {limit} of {limit} attachments")
        self._people[principal.key] = replace(person, attached=attached)
        room = Room(len(attached), limit, "attachments")
        return self._note(f"Attach{_title(principal)}Policy", principal, arn, None, room)

    async def detach(self, principal: Principal, arn: str) -> Answer:
        person = await self.read_principal(principal)
        call = f"Detach{_title(principal)}Policy"
        if person is None or arn not in person.attached:
            return self._note(call, principal, arn, outcome="absent")
        self._people[principal.key] = replace(person, attached=person.attached - {arn})
        return self._note(call, principal, arn)

    async def create_policy(
        self, *, name: str, path: str, document: str, tags: dict[str, str]
    ) -> Answer:
        arn = f"arn:aws:iam::{self.account}:policy{path}{name}"
        room = Room(size_of(document), MANAGED_CHARS_MAX, "characters")
        if name.casefold() in (await self.observe()).policies:
            return self._note("CreatePolicy", None, arn, document, room, outcome="stood")
        _check_size(room)
        self._policies[arn] = ManagedPolicyState(name, path, arn, document, "v1", ("v1",))
        self._tags[arn] = dict(tags)
        return self._note("CreatePolicy", None, arn, document, room)

    async def create_policy_version(self, arn: str, document: str) -> Answer:
        policy = await self._policy(arn)
        if len(policy.versions) >= VERSIONS_MAX:
            raise AwsRefused("LimitExceeded", f"{arn} has {VERSIONS_MAX} versions")
        room = Room(size_of(document), MANAGED_CHARS_MAX, "characters")
        _check_size(room)
        version = f"v{max(int(each.removeprefix('v')) for each in policy.versions) + 1}"
        self._policies[arn] = replace(
            policy,
            document=document,
            default_version=version,
            versions=(*policy.versions, version),
        )
        return self._note("CreatePolicyVersion", None, arn, document, room)

    async def delete_policy_version(self, arn: str, version: str) -> Answer:
        policy = await self._policy(arn)
        left = tuple(each for each in policy.versions if each != version)
        self._policies[arn] = replace(policy, versions=left)
        return self._note("DeletePolicyVersion", None, f"{arn} {version}")

    async def delete_policy(self, arn: str) -> Answer:
        policy = await self.read_policy(arn)
        if policy is None:
            return self._note("DeletePolicy", None, arn, outcome="absent")
        holders = await self.read_holders(arn)
        if holders or len(policy.versions) > 1:
            raise AwsRefused("DeleteConflict", f"{arn} is attached, or has other versions")
        self._policies[arn] = None
        return self._note("DeletePolicy", None, arn)

    async def _person(self, principal: Principal) -> PrincipalState:
        person = await self.read_principal(principal)
        if person is None:
            raise AwsMissing("NoSuchEntity", f"{principal} does not exist")
        return person

    async def _policy(self, arn: str) -> ManagedPolicyState:
        policy = await self.read_policy(arn)
        if policy is None:
            raise AwsMissing("NoSuchEntity", f"{arn} does not exist")
        return policy

    def _note(
        self,
        call: str,
        principal: Principal | None,
        name: str,
        document: str | None = None,
        room: Room | None = None,
        *,
        outcome: Literal["done", "stood", "absent"] = "done",
    ) -> Answer:
        characters = None if document is None else size_of(document)
        self.steps.append(Step(call, principal, name, outcome, characters, room))
        arn = name if call == "CreatePolicy" and outcome == "done" else None
        return Answer(outcome, "", self._now(), arn)


def _title(principal: Principal) -> str:
    return principal.kind.value.capitalize()


def _customers(arn: str) -> bool:
    """Whether it is a policy of the account's own, which a reading of the account shows."""
    return not arn.startswith("arn:aws:iam::aws:")


def _name(arn: str) -> str:
    """What IAM tells policies of one account apart by, whatever their path and case."""
    return arn.rpartition("/")[2].casefold()


def _check_size(room: Room) -> None:
    if room.used > room.limit:
        raise AwsRefused("LimitExceeded", f"{room.used:,} characters; {room.limit:,} are allowed")
