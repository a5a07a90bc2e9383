"""What should stand in an account: pure, from the ledger's view of it alone.

Invariant: nothing that no writable grant and no defined policy asks for is ever desired.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ledger.events import Pin
from ledger.model import AccountId, GrantId, Policy, Principal, Team
from ledger.project import GrantRow, sighting_name
from ledger.state import AccountView, DefinedPolicy
from worker.account import PrincipalState, SourceDocument
from worker.iam.documents import Document, NotCopyable, canonical, own_document
from worker.iam.forms import Asked, Part

OBJECT_PREFIX = "iam-ledger-"
"""What every inline policy of ours is called by (`ledger.decide` names them)."""

TAG_LEDGER = "iam-ledger:ledger"
TAG_TEAM = "iam-ledger:team"
TAG_POLICY = "iam-ledger:policy"
TAG_GRANT = "iam-ledger:grant"


@dataclass(frozen=True, slots=True)
class WantedPolicy:
    """One customer-managed policy that should stand."""

    team: Team
    policy: str
    name: str
    path: str
    arn: str
    document: Document | None
    """None: no text can be written; `why` says so."""
    position: int
    """Of the `policy_defined` that says so."""
    tags: Mapping[str, str]
    why: str | None = None


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
    return {
        key: _wanted(view, defined)
        for key, defined in view.policies.items()
        if key[0] in teams and defined.policy.document is not None
    }


def _wanted(view: AccountView, defined: DefinedPolicy) -> WantedPolicy:
    policy = defined.policy
    document, why = None, None
    try:
        document = own_document(policy)
    except NotCopyable as reason:
        why = str(reason)
    return WantedPolicy(
        team=policy.team,
        policy=policy.name,
        name=policy.iam_name,
        path=policy_path(view),
        arn=policy_arn(view, policy.team, policy.name, policy.iam_name),
        document=document,
        position=defined.position,
        tags=policy_tags(view, policy.team, policy.name),
        why=why,
    )


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


def taken_by_us(
    view: AccountView, row: GrantRow, arn: str, standing: PrincipalState | None
) -> bool | None:
    """Whether what `row` has attached is ours to take away; None: nobody looked before we attached.

    `standing`: who has the name now, where that was read. What was written for one that is no more
    went with it: on one made anew, only what is under our path, or was sighted since, is ours.
    """
    principal = row.grant.principal
    if arn.startswith(arn_prefix(view)):
        return True
    if standing is None or same_principal(row, standing):
        return is_ours(view, arn) or view.ours(principal, arn)
    seen, at = view.sighting(principal, arn), view.sighting_positions
    since = at.get(sighting_name(principal, arn), 0) > (row.written_position or 0)
    return seen is not None and not seen.present and since


def arn_prefix(view: AccountView) -> str:
    """What the ARN of every policy under our path begins with."""
    return customer_arn(view.account, policy_path(view), "")


def same_name(view: AccountView, row: GrantRow) -> tuple[GrantRow, ...]:
    """`row` and every open grant that stands under its name in IAM: what it continues."""
    name, who = row.grant.object, row.grant.principal.key
    others = (other for other in view.rows if name is not None and other.grant.object == name)
    return (row, *(o for o in others if o.key != row.key and o.grant.principal.key == who))


def whose(view: AccountView, principal: Principal) -> dict[str, str]:
    """What hangs on `principal`, by name or ARN -> the grant that it stands for."""
    return {
        name: row.grant.id
        for row in view.rows
        if row.grant.principal.key == principal.key
        for name in (*(made.name for made in row.made), row.grant.object)
        if name is not None
    }


def holders(
    rows: Iterable[GrantRow], view: AccountView, principal: Principal, arn: str
) -> tuple[GrantRow, ...]:
    """The grants among `rows` that have this attachment, or are about to.

    A temporary one holds what it was given, or what was looked at to be given to it: what else it
    will need hangs on the room there is.
    """
    found = []
    for row in rows:
        if row.grant.principal.key != principal.key:
            continue
        if any(made.name == arn for made in row.made) or _about_to(view, row, arn):
            found.append(row)
    return tuple(found)


def heirs(
    rows: Iterable[GrantRow],
    view: AccountView,
    arn: str,
    *,
    leaving: Collection[tuple[GrantId, int]],
) -> tuple[GrantRow, ...]:
    """The grants among `rows` that are to go on, under its name and without a gap, with what stands
    for another than those `leaving`, and are not written yet."""
    standing = {
        (row.grant.principal.key, row.grant.object)
        for row in view.rows
        if row.key not in leaving and row.grant.object is not None
        if any(made.name == arn for made in row.made)
    }
    return tuple(
        row
        for row in rows
        if row.grant.continues is not None
        and (row.grant.principal.key, row.grant.object) in standing
        and row.written_position is None
        and (row.trouble is None or row.trouble.kind != "refused")
    )


def _about_to(view: AccountView, row: GrantRow, arn: str) -> bool:
    if row.grant.temporary:
        seen = view.sighting(row.grant.principal, arn)
        looked = seen is not None and (seen.grant.id, seen.grant.turn) == row.key
        refused = row.trouble is not None and row.trouble.kind == "refused"
        return looked and not refused and may_be_unrecorded(view, row)
    defined = view.policies.get((row.grant.team, row.grant.policy))
    return defined is not None and arn in wanted_attachments(view, defined.policy)


def may_be_unrecorded(view: AccountView, row: GrantRow) -> bool:
    """Whether something may have been written for `row` of which a crash has lost the evidence.

    What has evidence is written again only for a newer text of its policy, or after some trouble.
    """
    defined = view.policies.get((row.grant.team, row.grant.policy))
    settled = defined is not None and row.policy_position == defined.position
    return row.applied is None or row.trouble is not None or not settled


def may_hold(view: AccountView, row: GrantRow) -> tuple[str, ...]:
    """Every attachment that may stand for `row`, evidence of it lost in a crash or not.

    A foreign policy was sighted, for this very grant, before our attach, or was taken over for its
    policy and principal; one of ours has its name. A temporary grant sights them all, and holds
    what it sighted until there is evidence of how it stands.
    """
    arns = [made.name for made in row.made if made.kind == "attachment"]
    key = (row.grant.team, row.grant.policy)
    defined, retired = view.policies.get(key), view.retired.get(key)
    if not row.grant.temporary:
        if defined is not None:
            arns += [arn for arn in wanted_attachments(view, defined.policy) if is_ours(view, arn)]
        elif retired is not None:
            arns.append(policy_arn(view, *key, retired.iam_name))
    if not row.grant.temporary or may_be_unrecorded(view, row):
        arns += [
            seen.policy_arn
            for seen in view.sightings.values()
            if (seen.grant.id, seen.grant.turn) == row.key
        ]
    who = row.grant.principal.key
    arns += [
        word.policy_arn
        for word, _ in view.adopted.values()
        if not row.grant.temporary
        and (word.team, word.policy) == key
        and word.principal
        and word.principal.key == who
    ]
    return tuple(dict.fromkeys(arns))


def asked_of(
    view: AccountView, row: GrantRow, policy: Policy, sources: Sequence[SourceDocument]
) -> Asked:
    """What a temporary grant asks for, given the texts of the policies of AWS's own it names."""
    if row.grant.object is None:
        raise ValueError(f"temporary grant {row.grant.id} has no name in IAM")
    own: tuple[Part, ...] = ()
    if policy.document is not None:
        arn = policy_arn(view, policy.team, policy.name, policy.iam_name)
        own = (Part(arn, policy.document, None),)
    return Asked(
        policy=policy,
        window=row.grant.window,
        late_start=row.grant.window.starts_at > row.granted.at,
        object=row.grant.object,
        prefix=arn_prefix(view),
        parts=own + tuple(Part(each.arn, each.document, pin_of(each)) for each in sources),
    )


def pin_of(source: SourceDocument) -> Pin:
    return Pin(source.arn, source.version, canonical(source.document).sha256)
