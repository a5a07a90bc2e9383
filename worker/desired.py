"""What should stand in an account: pure, from the ledger's view of it alone.

Invariant: nothing that no writable grant and no defined policy asks for is ever desired.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ledger.events import Pin
from ledger.model import AccountId, Policy, Principal, Team
from ledger.project import GrantRow
from ledger.state import AccountView
from worker.account import PrincipalState, SourceDocument
from worker.documents import Document, canonical, minify, timed_copy

OBJECT_PREFIX = "iam-ledger-"
"""What every inline policy of ours is called by (`ledger.decide` names them)."""

TAG_LEDGER = "iam-ledger:ledger"
TAG_TEAM = "iam-ledger:team"
TAG_POLICY = "iam-ledger:policy"


@dataclass(frozen=True, slots=True)
class WantedPolicy:
    """One customer-managed policy that should stand."""

    team: Team
    policy: str
    name: str
    path: str
    arn: str
    document: Document
    position: int
    """Of the `policy_defined` that says so."""
    tags: Mapping[str, str]


def policy_path(view: AccountView) -> str:
    return view.settings.policy_path if view.settings else "/iam-ledger/"


def customer_arn(account: AccountId, path: str, name: str) -> str:
    """The ARN a policy of ours has; partitions other than `aws` are out of scope."""
    return f"arn:aws:iam::{account}:policy{path}{name}"


def policy_tags(view: AccountView, team: Team, policy: str) -> dict[str, str]:
    """What marks a customer-managed policy as this ledger's."""
    return {TAG_LEDGER: view.ledger_id, TAG_TEAM: team, TAG_POLICY: policy}


def wanted_policies(view: AccountView) -> dict[tuple[Team, str], WantedPolicy]:
    """Every policy with custom statements, of every team that maps the account."""
    teams = {entry.team for entry in view.entries}
    path = policy_path(view)
    return {
        key: WantedPolicy(
            team=defined.policy.team,
            policy=defined.policy.name,
            name=defined.policy.iam_name,
            path=path,
            arn=policy_arn(view, key[0], key[1], defined.policy.iam_name),
            document=canonical(defined.policy.document),
            position=defined.position,
            tags=policy_tags(view, defined.policy.team, defined.policy.name),
        )
        for key, defined in view.policies.items()
        if key[0] in teams and defined.policy.document is not None
    }


def wanted_attachments(view: AccountView, policy: Policy) -> tuple[str, ...]:
    """The managed policies that a permanent grant of `policy` attaches, ours first."""
    ours: tuple[str, ...] = ()
    if policy.document is not None:
        ours = (policy_arn(view, policy.team, policy.name, policy.iam_name),)
    return ours + policy.managed_policies


def policy_arn(view: AccountView, team: Team, policy: str, iam_name: str) -> str:
    """Of a team's customer-managed policy: where it stands, which may be elsewhere than ours."""
    standing = view.objects.get((team, policy))
    if standing is not None:
        return standing.made.name
    return customer_arn(view.account, policy_path(view), iam_name)


def is_ours(view: AccountView, arn: str) -> bool:
    """Whether `arn` names a customer-managed policy under our path, or one that we took over."""
    if arn.startswith(customer_arn(view.account, policy_path(view), "")):
        return True
    if not arn.startswith(customer_arn(view.account, "/", "")):
        return False  # AWS's own, which most are
    return any(made.made.name == arn for made in view.objects.values())


def same_principal(row: GrantRow, state: PrincipalState) -> bool:
    """Whether what was written for `row` was written to this very principal, for all we know."""
    return row.principal_id in (None, state.unique_id)


def holders(
    rows: Iterable[GrantRow], view: AccountView, principal: Principal, arn: str
) -> tuple[GrantRow, ...]:
    """The permanent grants among `rows` that have this attachment, or are about to."""
    found = []
    for row in rows:
        if row.grant.temporary or row.grant.principal.key != principal.key:
            continue
        defined = view.policies.get((row.grant.team, row.grant.policy))
        wanted = wanted_attachments(view, defined.policy) if defined else ()
        if arn in wanted or any(made.name == arn for made in row.made):
            found.append(row)
    return tuple(found)


def copy_of(
    row: GrantRow, policy: Policy, sources: Sequence[SourceDocument]
) -> tuple[Document, tuple[Pin, ...]]:
    """The timed copy that gives a temporary grant, and what it was copied from.

    Raises worker.documents.NotCopyable when a source cannot be limited in time.
    """
    if row.grant.window.ends_at is None:
        raise ValueError(f"grant {row.grant.id} is permanent: it is attached, not copied")
    texts = [] if policy.document is None else [policy.document]
    texts += [source.document for source in sources]
    late_start = row.grant.window.starts_at > row.granted.at
    document = minify(
        timed_copy(
            texts,
            ends_at=row.grant.window.ends_at,
            starts_at=row.grant.window.starts_at if late_start else None,
        )
    )
    return document, tuple(pin_of(source) for source in sources)


def pin_of(source: SourceDocument) -> Pin:
    return Pin(source.arn, source.version, canonical(source.document).sha256)
