"""`revoke`: ends access at once and holds it; never braked.

Invariant: what was named wrongly ends nothing at all, and what ends is told grant by grant.
"""

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from cli import answers, render
from cli.exits import Exit
from cli.operator import with_word, word_of
from cli.options import speaking, with_database, with_output
from cli.session import Session
from cli.waiting import wait_for, with_wait
from ledger.events import Held
from ledger.sentences import sentence

if TYPE_CHECKING:
    from ledger.operators import Revocation
    from ledger.store import Ledger


@click.command("revoke")
@click.argument("grants", nargs=-1, metavar="GRANT...")
@click.option(
    "--principal",
    metavar="WHO",
    help="Instead of grants: everything of `user/ana`, in every account, later lines too.",
)
@with_word
@with_wait
@with_output("table", "json")
@with_database
@speaking
@click.pass_obj
def command(
    session: Session,
    grants: tuple[str, ...],
    principal: str | None,
    reason: str,
    by: str,
    wait: timedelta | None,
    output: render.Format,
) -> int:
    """End access at once, and hold it: no line grants it again until `release`.

    GRANT is a grant's id, or six characters or more of its beginning. Held is that principal's
    access to that policy in that account, whatever other lines say.
    """
    _check(grants, principal)
    word = word_of(by, reason)

    async def work(ledger: "Ledger") -> "Revocation":
        from ledger.operators import revoke

        return await revoke(
            ledger, word=word, now=session.now(), grants=grants, principal=principal
        )

    done = session.ask(work)
    if output != "json":
        session.terminal.prose(_text(done))
    failed = False
    document = _document(done)
    if wait is not None:
        keys = [row.key for row in done.revoked]
        found = wait_for(session, keys, "removed", wait, output)
        failed = any(outcome.failed for outcome in found)
        document["waited"] = [outcome.item() for outcome in found]
    if output == "json":
        session.terminal.data(render.json_text(document))
    return Exit.FAILED if failed else Exit.DONE


def _check(grants: tuple[str, ...], principal: str | None) -> None:
    from ledger.operators import GRANTS_MAX

    if (principal is None) == (not grants):
        raise click.UsageError("name grants, or --principal, one of the two")
    if len(grants) > GRANTS_MAX:
        raise click.UsageError(f"name {GRANTS_MAX:,} grants at most in one command")
    if principal is not None and principal.startswith("arn:"):
        raise click.UsageError(
            "--principal ends access in every account, and an ARN names one: write `user/ana`, or "
            "name the grants of that account"
        )


def _document(done: "Revocation") -> dict[str, object]:
    return {
        "schema_version": render.SCHEMA_VERSION,
        "position": done.position,
        "holds": [_hold_item(hold, new=hold.hold in done.new_holds) for hold in done.holds],
        "revoked": [answers.grant_item(row.grant) for row in done.revoked],
        "over": [answers.grant_item(over.row.grant) | {"why": over.message} for over in done.over],
    }


def _hold_item(hold: Held, *, new: bool) -> answers.Item:
    return {
        "hold": hold.hold,
        "principal": hold.principal.name,
        "principal_type": hold.principal.kind.value,
        "account_id": hold.account,
        "team": hold.team,
        "policy": hold.policy,
        "by": hold.word.by,
        "reason": hold.word.reason,
        "new": new,
    }


def _text(done: "Revocation") -> str:
    lines = [f"- {answers.named(row.grant)} (grant {row.grant.id})" for row in done.revoked]
    if lines:
        number = answers.counted(len(lines), "grant")
        lines.insert(0, f"revoked {number}, which the worker takes out of AWS:")
    lines += [over.message for over in done.over]
    for hold in done.holds:
        stood = "" if hold.hold in done.new_holds else "; stood before"
        lines.append(f"{sentence(hold)}{stood}")
    lines.append(f"ledger position {done.position}")
    return "\n".join(render.safe(line) for line in lines)
