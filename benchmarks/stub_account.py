"""One account of the stand-in for AWS: what stands in it, and its answers about policies.

Invariant: an answer has the shape that botocore reads from AWS's own (moto's templates say which).
Documents are kept, and go out, URL-encoded as IAM sends them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape
from zlib import crc32

MADE_AT = "2024-01-01T00:00:00Z"
PAGE_ITEMS = 100
AWS_OWN = "arn:aws:iam::aws:policy/"

Parameters = Mapping[str, str]


class Refusal(Exception):
    """An answer with an error code of IAM's."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


def missing(what: str) -> Refusal:
    return Refusal(404, "NoSuchEntity", f"{what} cannot be found.")


@dataclass(slots=True)
class Entity:
    """A user, role or group."""

    inline: dict[str, str] = field(default_factory=dict)
    """Name -> document, URL-encoded already: it is read more often than written."""
    attached: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class Managed:
    """A customer-managed policy."""

    versions: dict[str, str]
    default: str = "v1"
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class StubAccount:
    """What stands in one account. Kinds are IAM's own words: User, Role, Group."""

    number: str
    entities: dict[str, dict[str, Entity]] = field(
        default_factory=lambda: {"User": {}, "Role": {}, "Group": {}}
    )
    policies: dict[str, Managed] = field(default_factory=dict)
    own: Mapping[str, Managed] = field(default_factory=dict)
    """AWS's own policies, by ARN: all accounts share them."""

    def seed(self, told: Mapping[str, Any]) -> None:
        """`told`: "user/ana" -> {"inline": {name: text}, "attached": [arn]}; "policies" -> texts
        by ARN."""
        for key, what in told.items():
            if key == "policies":
                self.policies |= {arn: Managed({"v1": quote(text)}) for arn, text in what.items()}
                continue
            kind, _, name = key.partition("/")
            inline = {each: quote(text) for each, text in what.get("inline", {}).items()}
            attached = dict.fromkeys(what.get("attached", ()))
            self.entities[kind.capitalize()][name] = Entity(inline, attached)

    def entity(self, kind: str, parameters: Parameters) -> tuple[str, Entity]:
        name = parameters[f"{kind}Name"]
        found = self.entities[kind].get(name)
        if found is None:
            raise missing(f"The {kind.lower()} with name {name}")
        return name, found

    def policy(self, parameters: Parameters) -> tuple[str, Managed]:
        arn = parameters["PolicyArn"]
        found = (self.own if arn.startswith(AWS_OWN) else self.policies).get(arn)
        if found is None:
            raise missing(f"Policy {arn}")
        return arn, found


# --- answers --------------------------------------------------------------------------------------


def result(action: str, inside: str) -> str:
    return f"<{action}Result>{inside}</{action}Result>"


def members(items: Iterable[str]) -> str:
    return "".join(f"<member>{item}</member>" for item in items)


def listing(action: str, name: str, items: Iterable[str]) -> str:
    return result(action, f"<IsTruncated>false</IsTruncated><{name}>{members(items)}</{name}>")


def _unique(prefix: str, text: str) -> str:
    return f"{prefix}{crc32(text.encode()):016X}"


def about(account: StubAccount, kind: str, name: str) -> str:
    where = f"arn:aws:iam::{account.number}:{kind.lower()}/{name}"
    return (
        f"<Path>/</Path><{kind}Name>{name}</{kind}Name><{kind}Id>{_unique('AIDA', where)}"
        f"</{kind}Id><Arn>{where}</Arn><CreateDate>{MADE_AT}</CreateDate>"
    )


def attached_xml(arn: str) -> str:
    name = arn.rpartition("/")[2]
    return f"<PolicyName>{name}</PolicyName><PolicyArn>{arn}</PolicyArn>"


def _detail(account: StubAccount, kind: str, name: str, entity: Entity) -> str:
    inline = members(
        f"<PolicyName>{each}</PolicyName><PolicyDocument>{text}</PolicyDocument>"
        for each, text in entity.inline.items()
    )
    attached = members(map(attached_xml, entity.attached))
    return (
        f"{about(account, kind, name)}<{kind}PolicyList>{inline}</{kind}PolicyList>"
        f"<AttachedManagedPolicies>{attached}</AttachedManagedPolicies>"
    )


def _managed(arn: str, policy: Managed) -> str:
    path, _, name = arn.split(":policy")[1].rpartition("/")
    return (
        f"<PolicyName>{name}</PolicyName><PolicyId>{_unique('ANPA', arn)}</PolicyId><Arn>{arn}"
        f"</Arn><Path>{path}/</Path><DefaultVersionId>{policy.default}</DefaultVersionId>"
        f"<AttachmentCount>0</AttachmentCount><CreateDate>{MADE_AT}</CreateDate>"
    )


def _version(policy: Managed, version: str) -> str:
    default = str(version == policy.default).lower()
    return (
        f"<Document>{policy.versions[version]}</Document><VersionId>{version}</VersionId>"
        f"<IsDefaultVersion>{default}</IsDefaultVersion><CreateDate>{MADE_AT}</CreateDate>"
    )


def _everything(account: StubAccount) -> Iterator[tuple[str, str]]:
    for kind, entities in account.entities.items():
        for name, entity in entities.items():
            yield f"{kind}DetailList", _detail(account, kind, name, entity)
    for arn, policy in account.policies.items():
        versions = members(_version(policy, each) for each in policy.versions)
        yield (
            "Policies",
            _managed(arn, policy) + f"<PolicyVersionList>{versions}</PolicyVersionList>",
        )


def _details(account: StubAccount, parameters: Parameters) -> str:
    """GetAccountAuthorizationDetails: the filter is taken to be all that we ask for."""
    start, most = int(parameters.get("Marker", "0")), int(parameters.get("MaxItems", PAGE_ITEMS))
    page = list(islice(_everything(account), start, start + most + 1))
    more = len(page) > most
    lists: dict[str, list[str]] = {
        name: [] for name in ("UserDetailList", "RoleDetailList", "GroupDetailList", "Policies")
    }
    for name, item in page[:most]:
        lists[name].append(item)
    inside = "".join(f"<{name}>{members(items)}</{name}>" for name, items in lists.items())
    marker = f"<Marker>{start + most}</Marker>" if more else ""
    truncated = f"<IsTruncated>{str(more).lower()}</IsTruncated>{marker}"
    return result("GetAccountAuthorizationDetails", truncated + inside)


def _summary(account: StubAccount, _: Parameters) -> str:
    told = {
        "AttachedPoliciesPerUserQuota": 10,
        "AttachedPoliciesPerRoleQuota": 10,
        "AttachedPoliciesPerGroupQuota": 10,
        "PoliciesQuota": 1_500,
        "Policies": len(account.policies),
    }
    entries = "".join(
        f"<entry><key>{key}</key><value>{value}</value></entry>" for key, value in told.items()
    )
    return result("GetAccountSummary", f"<SummaryMap>{entries}</SummaryMap>")


def _get_policy(account: StubAccount, parameters: Parameters) -> str:
    arn, policy = account.policy(parameters)
    return result("GetPolicy", f"<Policy>{_managed(arn, policy)}</Policy>")


def _get_version(account: StubAccount, parameters: Parameters) -> str:
    _, policy = account.policy(parameters)
    found = _version(policy, parameters["VersionId"])
    return result("GetPolicyVersion", f"<PolicyVersion>{found}</PolicyVersion>")


def _list_versions(account: StubAccount, parameters: Parameters) -> str:
    _, policy = account.policy(parameters)
    found = (_version(policy, each) for each in policy.versions)
    return listing("ListPolicyVersions", "Versions", found)


def _list_tags(account: StubAccount, parameters: Parameters) -> str:
    _, policy = account.policy(parameters)
    tags = (f"<Key>{key}</Key><Value>{escape(text)}</Value>" for key, text in policy.tags.items())
    return listing("ListPolicyTags", "Tags", tags)


def _list_holders(account: StubAccount, parameters: Parameters) -> str:
    arn, _ = account.policy(parameters)
    lists = ""
    for kind, entities in account.entities.items():
        names = (
            f"<{kind}Name>{name}</{kind}Name><{kind}Id>X</{kind}Id>"
            for name, entity in entities.items()
            if arn in entity.attached
        )
        lists += f"<Policy{kind}s>{members(names)}</Policy{kind}s>"
    return result("ListEntitiesForPolicy", f"<IsTruncated>false</IsTruncated>{lists}")


def _create_policy(account: StubAccount, parameters: Parameters) -> str:
    path = parameters.get("Path", "/")
    arn = f"arn:aws:iam::{account.number}:policy{path}{parameters['PolicyName']}"
    if arn in account.policies:
        raise Refusal(409, "EntityAlreadyExists", f"{arn} already exists.")
    policy = Managed({"v1": quote(parameters["PolicyDocument"])})
    tags = (f"Tags.member.{number}" for number in range(1, 51))
    for tag in tags:
        if f"{tag}.Key" in parameters:
            policy.tags[parameters[f"{tag}.Key"]] = parameters.get(f"{tag}.Value", "")
    account.policies[arn] = policy
    return result("CreatePolicy", f"<Policy>{_managed(arn, policy)}</Policy>")


def _create_version(account: StubAccount, parameters: Parameters) -> str:
    _, policy = account.policy(parameters)
    version = f"v{max(int(each[1:]) for each in policy.versions) + 1}"
    policy.versions[version] = quote(parameters["PolicyDocument"])
    policy.default = version
    return result(
        "CreatePolicyVersion", f"<PolicyVersion>{_version(policy, version)}</PolicyVersion>"
    )


def _delete_version(account: StubAccount, parameters: Parameters) -> str:
    _, policy = account.policy(parameters)
    policy.versions.pop(parameters["VersionId"], None)
    return ""


def _delete_policy(account: StubAccount, parameters: Parameters) -> str:
    arn, _ = account.policy(parameters)
    del account.policies[arn]
    return ""


OF_POLICIES: dict[str, Callable[[StubAccount, Parameters], str]] = {
    "GetAccountAuthorizationDetails": _details,
    "GetAccountSummary": _summary,
    "GetPolicy": _get_policy,
    "GetPolicyVersion": _get_version,
    "ListPolicyVersions": _list_versions,
    "ListPolicyTags": _list_tags,
    "ListEntitiesForPolicy": _list_holders,
    "CreatePolicy": _create_policy,
    "CreatePolicyVersion": _create_version,
    "DeletePolicyVersion": _delete_version,
    "DeletePolicy": _delete_policy,
}
