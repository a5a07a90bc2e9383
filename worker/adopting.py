"""What stands in an account that the ledger declares and somebody else made; and taking it over.

Invariant: nothing is rewritten, detached or deleted here. A policy carries our tags before the
ledger says that it is ours, so that a crash between the two leaves it to be taken over again.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from shlex import quote
from typing import Literal

from ledger.events import Adopted, Word
from ledger.model import AccountId, Principal, Team
from ledger.project import GrantRow, sighting_name
from ledger.state import AccountView
from worker.account import AccountState, AwsTagging, PrincipalState
from worker.deciding.desired import (
    TAG_LEDGER,
    customer_arn,
    policy_path,
    policy_tags,
    wanted_attachments,
    wanted_policies,
)
from worker.timing import writable

SEEDS_INLINE = "temp-"
"""What inline policies of the scripts that were here before are called by."""


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that may be taken over."""

    account: AccountId
    team: Team
    policy: str
    arn: str
    principal: Principal | None
    """None: the policy itself; else its attachment to that principal."""
    cause: int
    """Position of what declares it."""

    def adopted(self, word: Word) -> Adopted:
        return Adopted(self.account, self.team, self.policy, self.arn, self.principal, word)


@dataclass(frozen=True, slots=True)
class Foreign:
    """A policy under a name of ours that is another installation's, and stays so."""

    team: Team
    policy: str
    arn: str
    ledger: str
    """The id of the ledger that its tags name."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """What nobody declares and looks like the work of the scripts that were here before."""

    kind: Literal["inline", "attachment"]
    principal: Principal
    name: str
    """Inline: its name. Attachment: the managed policy's ARN."""

    @property
    def by_hand(self) -> str:
        """The line that takes it away."""
        kind = self.principal.kind.value
        who = f"--{kind}-name {quote(self.principal.name)}"
        if self.kind == "inline":
            return f"aws iam delete-{kind}-policy {who} --policy-name {quote(self.name)}"
        return f"aws iam detach-{kind}-policy {who} --policy-arn {quote(self.name)}"


@dataclass(frozen=True, slots=True)
class Findings:
    """What one reading of an account shows of others' work under our names."""

    account: AccountId
    policies: tuple[Found, ...] = ()
    attachments: tuple[Found, ...] = ()
    foreign: tuple[Foreign, ...] = ()
    leftovers: tuple[Leftover, ...] = ()


def candidates(view: AccountView, state: AccountState) -> dict[tuple[Team, str], str]:
    """Policies under names of ours that the ledger knows nothing of: their tags must be read."""
    found = {}
    for key, wanted in wanted_policies(view).items():
        standing = state.policies.get(wanted.name.casefold())
        if standing is not None and key not in view.objects:
            found[key] = standing.arn
    return found


def find(
    view: AccountView, state: AccountState, tags: Mapping[str, Mapping[str, str]], now: datetime
) -> Findings:
    """What may be taken over, and what is left; `tags`: of each of `candidates`, by ARN."""
    ours: dict[tuple[Team, str], str] = {}
    foreign = []
    for key, arn in candidates(view, state).items():
        owner = tags.get(arn, {}).get(TAG_LEDGER, view.ledger_id)
        if owner == view.ledger_id:
            ours[key] = arn
        else:
            foreign.append(Foreign(*key, arn, owner))
    known = {key: written.made.name for key, written in view.objects.items()} | ours
    policies = [
        Found(view.account, *key, arn, None, _policy_cause(view, key)) for key, arn in ours.items()
    ]
    return Findings(
        account=view.account,
        policies=tuple(policies),
        attachments=tuple(_attachments(view, state, known, now)),
        foreign=tuple(foreign),
        leftovers=tuple(_leftovers(view, state, known)),
    )


def _policy_cause(view: AccountView, key: tuple[Team, str]) -> int:
    return max(view.policies[key].position, view.object_positions.get(key, 0))


def _attachments(
    view: AccountView,
    state: AccountState,
    known: Mapping[tuple[Team, str], str],
    now: datetime,
) -> Iterator[Found]:
    """Those that open grants declare, that stand, and that are not ours by any evidence."""
    told: set[str] = set()
    for row in view.rows:
        standing = state.principals.get(row.grant.principal.key)
        if standing is None or not writable(row, now):
            continue
        key = (row.grant.team, row.grant.policy)
        for arn in _declared(view, row, known):
            name = sighting_name(row.grant.principal, arn)
            if arn in standing.attached and name not in told and not _is_ours(view, row, arn):
                told.add(name)
                yield Found(view.account, *key, arn, row.grant.principal, row.granted.position)


def _is_ours(view: AccountView, row: GrantRow, arn: str) -> bool:
    """Whether the attachment is ours by its place, by evidence, or by an earlier word."""
    if arn.startswith(customer_arn(view.account, policy_path(view), "")):
        return any(made.name == arn for made in row.made)
    return view.ours(row.grant.principal, arn) is True


def _declared(
    view: AccountView, row: GrantRow, known: Mapping[tuple[Team, str], str]
) -> tuple[str, ...]:
    """What hangs on the principal by this grant: as declared, or as was made for it."""
    made = tuple(each.name for each in row.made if each.kind == "attachment")
    key = (row.grant.team, row.grant.policy)
    defined = view.policies.get(key)
    if row.grant.temporary or defined is None:
        return made
    own = (known[key],) if key in known and defined.policy.document is not None else ()
    return tuple(dict.fromkeys((*own, *defined.policy.managed_policies, *made)))


def _leftovers(
    view: AccountView, state: AccountState, known: Mapping[tuple[Team, str], str]
) -> Iterator[Leftover]:
    """Of principals that we may change, and of policies that somebody's YAML names."""
    named = set(known.values())
    for defined in view.policies.values():
        named |= set(wanted_attachments(view, defined.policy))
    explained = {
        (row.grant.principal.key, arn) for row in view.rows for arn in _declared(view, row, known)
    }
    explained |= {(row.grant.principal.key, m.name) for row in view.rows for m in row.made}
    for key, standing in sorted(state.principals.items()):
        if not _managed(view, standing):
            continue
        for name in sorted(standing.inline):
            if name.startswith(SEEDS_INLINE):
                yield Leftover("inline", standing.principal, name)
        for arn in sorted(standing.attached & named):
            if (key, arn) not in explained:
                yield Leftover("attachment", standing.principal, arn)


def _managed(view: AccountView, standing: PrincipalState) -> bool:
    return view.settings is None or standing.principal.matches(view.settings.managed_principals)


# --- in an account --------------------------------------------------------------------------------


async def look(aws: AwsTagging, view: AccountView, now: datetime) -> Findings:
    """Reads the account, and the tags of what may be taken over. Raises AwsError."""
    state = await aws.observe()
    tags = {arn: await aws.read_policy_tags(arn) for arn in candidates(view, state).values()}
    return find(view, state, tags, now)


async def mark(aws: AwsTagging, view: AccountView, found: Found) -> None:
    """Puts our tags on a policy, which all others it has keep beside them. Raises AwsError."""
    if found.principal is None:
        await aws.tag_policy(found.arn, policy_tags(view, found.team, found.policy))
