"""What a person means by `--principal ana@example.com` or an ARN, as the ledger knows it.

Invariant: a spelling that may mean somebody is looked for under every name they may have.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from ledger.model import PRINCIPAL_KINDS

if TYPE_CHECKING:
    from ledger.store.lookup import Connection
    from ledger.store.reads import Filter


@dataclass(frozen=True, slots=True)
class Asked:
    """The filters of a command line, as typed; None: not given."""

    account: str | None = None
    environment: str | None = None
    team: str | None = None
    principal: str | None = None
    policy: str | None = None
    grant: str | None = None


async def filter_of(connection: "Connection", asked: Asked) -> "Filter":
    """`asked` as the store filters; usage errors for what contradicts itself."""
    from ledger.store.reads import Filter

    account, principal = asked.account, asked.principal
    if principal is not None and principal.startswith("arn:"):
        found, principal = split_arn(principal)
        if account is not None and account != found:
            raise click.UsageError(f"--principal is in account {found}, --account is {account}")
        account = found
    elif principal is not None and "@" in principal:
        principal = await _addressed(connection, principal)
    return Filter(
        account=account,
        environment=asked.environment,
        team=asked.team,
        principal=principal,
        policy=asked.policy,
        grant=asked.grant,
    )


def split_arn(arn: str) -> tuple[str, str]:
    """`arn:aws:iam::111111111111:user/some/path/ana` -> (account, `user/ana`)."""
    parts = arn.split(":", 5)
    kind, _, name = parts[5].partition("/") if len(parts) == 6 else ("", "", "")
    if not name or parts[2] != "iam" or kind not in {k.value for k in PRINCIPAL_KINDS}:
        raise click.UsageError(f"`{arn}` is not the ARN of an IAM user, role or group")
    return parts[4], f"{kind}/{name.rpartition('/')[2]}"


async def _addressed(connection: "Connection", address: str) -> str:
    """`address` as it stands, unless the settings in the ledger name users by whole addresses.

    Then it is that user's name and nobody else's; otherwise the store looks for both spellings.
    """
    from ledger.events import SettingsChanged
    from ledger.store.reads import newest

    for item in (await newest(connection, "settings")).values():
        if isinstance(item.event, SettingsChanged) and item.event.user_names == "email":
            return next(
                f"{k.value}/{address}" for k, f in PRINCIPAL_KINDS.items() if f.email_allowed
            )
    return address
