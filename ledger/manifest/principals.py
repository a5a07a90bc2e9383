"""What people write for a user, role or group, to a principal of IAM.

Invariant: one way of writing gives one principal. All that differs between kinds comes from
`PRINCIPAL_KINDS`.
"""

import re
from dataclasses import dataclass
from typing import Literal

from ledger.manifest.problems import Unreadable
from ledger.model import (
    DEPLOYER_KIND,
    PRINCIPAL_KINDS,
    AccountId,
    KindFacts,
    Principal,
    account_id,
)

PATH_MAX = 512

_ADDRESS = re.compile(r"([^@\s/]+)@[^@\s/]+\Z")
_PATH = re.compile(r"/(?:[\w+=,.@-]+/)*\Z", re.ASCII)

_RESERVED_PATHS = ("/aws-service-role/", "/aws-reserved/")
_RESERVED_NAMES = ("awsservicerolefor", "awsreservedsso_")
"""What AWS makes for its services and for Identity Center; nobody else can change those."""


@dataclass(frozen=True, slots=True)
class Named:
    """A principal as somebody wrote it."""

    principal: Principal
    account: AccountId | None = None
    """The account in its ARN; None where it was not written as one."""
    address: str | None = None
    """The e-mail address it came from, case folded; None where it was not written as one."""


def read_principal(
    text: str, facts: KindFacts, user_names: Literal["local-part", "email"]
) -> Named:
    """`text` as a principal of that kind; Unreadable says why not."""
    if text.startswith("arn:"):
        return _from_arn(text, facts)
    if "/" in text:
        return Named(_principal(facts, *_split_path(text)))
    if "@" not in text:
        return Named(_principal(facts, "/", text))
    if not facts.email_allowed:
        raise Unreadable(
            "principal",
            f"`{text}` is an address, and stands where IAM {facts.plural_key} are named",
            f"write the name of a {facts.kind.value}, or its whole ARN",
        )
    found = _ADDRESS.match(text)
    if found is None:
        raise Unreadable("principal", f"`{text}` is neither an address nor an IAM name")
    name = text if user_names == "email" else found[1]
    return Named(_principal(facts, "/", name), address=text.casefold())


def written_as(facts: KindFacts) -> str:
    """Every way to write one of that kind, as a pattern: a name, path/name, an ARN, an address.

    Wider than `read_principal` where a pattern cannot tell; never narrower.
    """
    name, step = r"[\w+=,.@-]+", r"(?:[\w+=,.@-]+/)"
    alone = r"[\w+=,.-]+" + (r"(?:@[^@\s/]+)?" if facts.email_allowed else "")
    arn = rf"arn:aws:iam::[0-9]{{12}}:{facts.kind.value}/{step}*{name}"
    return rf"^(?:{alone}|/?{step}+{name}|/{name}|{arn})$"


def _principal(facts: KindFacts, path: str, name: str) -> Principal:
    try:
        principal = Principal(facts.kind, name, path)
    except ValueError:
        hint = f"at most {facts.name_max} letters, digits and +=,.@_-"
        message = f"`{name}` is no name of an IAM {facts.kind.value}"
        raise Unreadable("principal", message, hint) from None
    if path.startswith(_RESERVED_PATHS) or name.casefold().startswith(_RESERVED_NAMES):
        message = f"`{name}` belongs to AWS, which lets nobody attach anything to it"
        raise Unreadable("reserved-principal", message)
    return principal


def _split_path(text: str) -> tuple[str, str]:
    path, _, name = text.rpartition("/")
    path = f"/{path.removeprefix('/')}/" if path.removeprefix("/") else "/"
    if not _PATH.match(path) or len(path) > PATH_MAX:
        raise Unreadable("principal", f"`{path}` is no path in IAM")
    return path, name


def _from_arn(text: str, facts: KindFacts) -> Named:
    parts = text.split(":", 5)
    check_partition(text)
    if len(parts) < 6 or parts[2] != "iam" or parts[3]:
        hint = f"write arn:aws:iam::<account>:{facts.kind.value}/<name>"
        raise Unreadable("arn", f"`{text}` is no ARN of an IAM {facts.kind.value}", hint)
    kind, _, rest = parts[5].partition("/")
    if kind != facts.kind.value:
        other = next((known for known in PRINCIPAL_KINDS.values() if known.kind == kind), None)
        hint = f"write arn:aws:iam::<account>:{facts.kind.value}/<name>"
        if other is not None:
            hint = f"write it in `{other.plural_key}`"
        raise Unreadable("arn", f"`{text}` is no ARN of an IAM {facts.kind.value}", hint)
    try:
        account = account_id(parts[4])
    except ValueError as error:
        raise Unreadable("arn", f"`{text}`: {error}") from None
    return Named(_principal(facts, *_split_path(rest)), account=account)


def check_partition(arn: str) -> None:
    """Unreadable for an ARN of China, GovCloud or another partition."""
    partition = arn.split(":", 2)[1] if arn.startswith("arn:") else ""
    if partition.startswith("aws-"):
        message = f"`{arn}` is in the partition `{partition}`"
        raise Unreadable("partition", message, "partitions other than `aws` are not supported")


def role_path_and_name(text: str) -> str:
    """A deployer's `name` or `path/name`, without the slash at the start."""
    if text.startswith("arn:"):
        hint = "write its name, or path/name: the account is that of each environment"
        raise Unreadable("deployer-role", f"`{text}` names one account's role", hint)
    try:
        deployer(text)
    except Unreadable as reason:
        raise Unreadable("deployer-role", reason.message, reason.hint) from None
    return text.removeprefix("/")


def deployer(text: str) -> Principal:
    """The principal that a `deployer_role` names."""
    return _principal(PRINCIPAL_KINDS[DEPLOYER_KIND], *_split_path(text))
