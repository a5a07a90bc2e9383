"""`deployer-policy`: what the worker's roles must allow, as documents and as templates.

Invariant: made of the directory alone, and only where it has no error: a document of settings that
were half read could allow more than was meant. A document that IAM would not take is not printed.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import problems
from cli.directory import read_directory, wrong_directory
from cli.exits import Exit, Stop
from cli.options import AccountType, speaking, with_config, with_output
from cli.session import Session

if TYPE_CHECKING:
    from ledger.manifest import Manifest
    from ledger.model import Account
    from worker.iam.deployer import Json, Scope
    from worker.iam.deployer_templates import Deployer

_ROLE = re.compile(r"arn:aws:iam::[0-9]{12}:role/[\w+=,.@/-]+\Z", re.ASCII)
_BOUNDARY = re.compile(r"arn:aws:iam::(?:aws|\*|[0-9]{12}):policy/[\w+=,.@/-]+\Z", re.ASCII)
_EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}\Z", re.ASCII)
_SOURCE_IDENTITY = re.compile(r"[\w+=,.@-]{2,64}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says."""

    side: str
    """`account`, `hub` or `trust`."""
    hub_role: str | None
    external_id: str | None
    source_identity: str | None
    account: str | None
    any_account: bool
    read_only: bool
    adopted: bool
    boundary: str | None
    output: str


@click.command("deployer-policy")
@with_config
@click.option("--hub", is_flag=True, help="What the worker's own role needs: into the accounts.")
@click.option("--trust", is_flag=True, help="Who may become the deployer: the worker's own role.")
@click.option("--hub-role-arn", "hub_role", metavar="ARN", help="The worker's own role.")
@click.option("--account", type=AccountType(), metavar="ID", help="For this account only.")
@click.option("--any-account", is_flag=True, help="With --hub: also accounts not declared yet.")
@click.option("--external-id", metavar="TEXT", help="Else as `aws-accounts` says.")
@click.option("--source-identity", metavar="TEXT", help="Else as `aws-accounts` says.")
@click.option("--read-only", is_flag=True, help="Enough for `plan --aws`, and nothing more.")
@click.option("--adopted", is_flag=True, help="Also policies that `adopt` takes over, at path /.")
@click.option(
    "--permissions-boundary",
    "boundary",
    metavar="ARN",
    help="Access only for users and roles that have this boundary.",
)
@with_output("json", "cloudformation", "terraform")
@speaking
@click.pass_obj
def command(session: Session, /, config: Path, hub: bool, trust: bool, **flags: Any) -> int:
    """Print the IAM policy of the deployer's role: every call that the worker makes, and no other.

    What it may change comes from CONFIG's settings: `policy_path`, `managed_principals` and
    `protected_principals`. CloudFormation and Terraform make the whole role, its trust included.
    """
    side = "hub" if hub else "trust" if trust else "account"
    asked = Asked(side=side, **flags)
    _check(asked, both=hub and trust)
    manifest = _read(session, config)
    if manifest is None:
        return Exit.FAILED
    text = _Printing(session, manifest, asked).text()
    session.terminal.data(text)
    return Exit.DONE


def _check(asked: Asked, *, both: bool) -> None:
    """Usage error for what cannot be meant, before anything is read."""
    if both:
        raise click.UsageError("--hub and --trust are two documents: ask for one of them")
    if asked.side == "trust" and asked.output != "json":
        raise click.UsageError(f"-o {asked.output} makes the whole role: leave --trust out")
    if asked.side == "trust" and asked.hub_role is None:
        raise click.UsageError("--trust needs --hub-role-arn: whom the deployer's role trusts")
    if asked.any_account and (asked.side != "hub" or asked.account is not None):
        raise click.UsageError("--any-account goes with --hub, and without --account")
    if asked.side != "account" and (asked.read_only or asked.adopted or asked.boundary):
        raise click.UsageError(
            "--read-only, --adopted and --permissions-boundary go without --hub and --trust"
        )
    if asked.side == "hub" and (asked.hub_role or asked.external_id):
        raise click.UsageError("--hub-role-arn and --external-id are the accounts' side, not --hub")
    if asked.external_id and (asked.side, asked.output) == ("account", "json"):
        raise click.UsageError("--external-id goes with --trust, or with -o cloudformation")
    if asked.source_identity and (asked.side, asked.output) == ("account", "json"):
        raise click.UsageError("--source-identity goes with --hub and --trust")
    _check_text("--hub-role-arn", asked.hub_role, _ROLE, "arn:aws:iam::<account>:role/<name>")
    _check_text("--permissions-boundary", asked.boundary, _BOUNDARY, "the ARN of a policy")
    _check_text("--external-id", asked.external_id, _EXTERNAL_ID, "2 to 1224 of letters, digits")
    _check_text("--source-identity", asked.source_identity, _SOURCE_IDENTITY, "2 to 64 letters")


def _check_text(option: str, text: str | None, pattern: re.Pattern[str], wanted: str) -> None:
    if text is None or pattern.match(text):
        return
    if text.endswith(":root"):
        why = "names a whole account: everybody there whom its admins let could become the deployer"
        raise click.UsageError(f"{option}: `{text}` {why}; name the worker's own role")
    if ":assumed-role/" in text:
        raise click.UsageError(f"{option}: `{text}` is a session of a role; write {wanted}")
    raise click.UsageError(f"{option}: `{text}` is none that AWS takes; write {wanted}")


def _read(session: Session, config: Path) -> "Manifest | None":
    """The directory; None where it has errors, which are told."""
    from ledger.manifest import read

    files = read_directory(config)
    if files.empty:
        raise wrong_directory(config)
    reading = read(files.files, files.others, None, session.now())
    if reading.manifest is None:
        terminal = session.terminal
        terminal.complain(
            problems.text_of(reading.errors, config.as_posix(), color=terminal.color)
            + f"\n{problems.tally(reading.errors)}; nothing was printed"
        )
    return reading.manifest


@dataclass(frozen=True, slots=True)
class _Printing:
    """One document on its way out."""

    session: Session
    manifest: "Manifest"
    asked: Asked

    def text(self) -> str:
        self._accounts()
        self._check_boundary()
        match self.asked.side:
            case "hub":
                return self._hub()
            case "trust":
                return self._trust()
            case _:
                return self._account()

    def _account(self) -> str:
        from worker.iam import deployer_templates as templates
        from worker.iam.deployer import account_document

        document = account_document(self._scope(), read_only=self.asked.read_only)
        match self.asked.output:
            case "cloudformation":
                text = _shown(templates.account_stack(self._deployer()))
            case "terraform":
                text = templates.account_terraform(self._deployer())
            case _:
                text = _shown(document)
        self._check_size(document, "write fewer and broader patterns into `managed_principals`")
        if self.asked.hub_role is None and self.asked.output == "json":
            self.session.terminal.hint(
                "the worker's own role is not named: give --hub-role-arn, and no deployer of its "
                "account can change it"
            )
        return text

    def _check_boundary(self) -> None:
        """Whoever may rewrite what bounds him is bound by nothing."""
        path, boundary = self.manifest.settings.policy_path, self.asked.boundary
        if boundary is not None and f":policy{path}".casefold() in boundary.casefold():
            raise click.UsageError(
                f"--permissions-boundary: `{boundary}` stands under `policy_path` ({path}), where "
                "the deployer rewrites policies; keep it elsewhere"
            )

    def _hub(self) -> str:
        from worker.iam import deployer_templates as templates
        from worker.iam.deployer import hub_document

        document = hub_document(self._ways_in(), self._source_identities())
        self._check_size(document, "--any-account takes less")
        match self.asked.output:
            case "cloudformation":
                return _shown(templates.hub_stack(document))
            case "terraform":
                return templates.hub_terraform(document)
            case _:
                return _shown(document)

    def _trust(self) -> str:
        from worker.iam.deployer import TRUST_CHARS_MAX, trust_document

        document = trust_document(
            self.asked.hub_role, self._external_id(), self._source_identities()
        )
        hint = "give --account, and each its own"
        self._check_size(document, hint, what="trust policy", room=TRUST_CHARS_MAX)
        return _shown(document)

    # --- what the directory says --------------------------------------------------------------

    def _accounts(self) -> "list[Account]":
        """Those that are asked about; usage error for one that nobody declares."""
        found = [declared.account for declared in self.manifest.accounts]
        wanted = self.asked.account
        if wanted is None:
            return found
        chosen = [each for each in found if each.account == wanted]
        if not chosen:
            raise click.UsageError(f"--account {wanted}: no environment is this account")
        return chosen

    def _roles(self) -> list[str]:
        """Names of the deployers' roles, the settings' own first."""
        named = [declared.account.deployer_role for declared in self.manifest.accounts]
        return list(dict.fromkeys([self.manifest.settings.deployer_role, *named]))

    def _scope(self) -> "Scope":
        from worker.iam.deployer import Scope

        settings = self.manifest.settings
        own = [each.policy for each in self.manifest.policies if each.policy.document is not None]
        return Scope(
            policy_path=settings.policy_path,
            managed=settings.managed_principals,
            protected=settings.protected_principals,
            deployers=tuple(self._roles()),
            hub_role=self.asked.hub_role,
            adopted=tuple(sorted(each.iam_name for each in own)) if self.asked.adopted else (),
            boundary=self.asked.boundary,
        )

    def _deployer(self) -> "Deployer":
        from worker.iam.deployer_templates import Deployer

        named = dict.fromkeys(account.deployer_role for account in self._accounts())
        roles = list(named) or [self.manifest.settings.deployer_role]
        if len(roles) > 1:
            raise click.UsageError(
                f"the accounts' deployers are called {', '.join(roles)}: a template makes one "
                "role. Give --account, and one template to each kind of account"
            )
        return Deployer(
            role=roles[0],
            scope=self._scope(),
            read_only=self.asked.read_only,
            hub_role=self.asked.hub_role,
            external_id=self._external_id(),
            source_identities=self._source_identities(),
        )

    def _ways_in(self) -> list[str]:
        """ARNs of the deployers' roles."""
        from ledger.model import DEPLOYER_KIND

        role = f":{DEPLOYER_KIND.value}/"
        if self.asked.any_account:
            return [f"arn:aws:iam::*{role}{name}" for name in self._roles()]
        accounts = self._accounts()
        if not accounts:
            raise Stop(
                Exit.CONFIGURATION,
                "no team has an account yet: --any-account prints what lets the worker into any "
                "account whose deployer trusts it",
            )
        ways = {f"arn:aws:iam::{each.account}{role}{each.deployer_role}" for each in accounts}
        return sorted(ways)

    def _external_id(self) -> str | None:
        if self.asked.external_id is not None:
            return self.asked.external_id
        found = list(dict.fromkeys(account.external_id for account in self._accounts()))
        if len(found) > 1:
            raise click.UsageError(
                "the accounts have different external ids: give --account, or --external-id"
            )
        return found[0] if found else None

    def _source_identities(self) -> tuple[str, ...]:
        if self.asked.source_identity is not None:
            return (self.asked.source_identity,)
        named = {account.source_identity for account in self._accounts()}
        return tuple(sorted(name for name in named if name is not None))

    def _check_size(
        self, document: "Json", instead: str, what: str = "managed policy", room: int | None = None
    ) -> None:
        from worker.iam.deployer import chars_of
        from worker.iam.documents import MANAGED_CHARS_MAX

        size, most = chars_of(document), room or MANAGED_CHARS_MAX
        if size > most:
            raise Stop(
                Exit.FAILED,
                f"the document takes {size:,} characters, and a {what} has room for {most:,}: "
                f"{instead}. Nothing was printed",
            )
        self.session.terminal.hint(f"{size:,} of the {most:,} characters of a {what}")


def _shown(document: "Json") -> str:
    return json.dumps(document, indent=2)
