"""`status`: what is exposed comes first, then all that is not as it should be, then the accounts.

Invariant: whatever is past its end or revoked, not confirmed removed and not denied by AWS is
listed, with the line that ends it by hand; no line takes away what stands for another reason.
"""

from datetime import datetime
from typing import TYPE_CHECKING

import click

from cli import answers, render
from cli.exits import Exit
from cli.instants import shown
from cli.options import speaking, with_database, with_output
from cli.session import Session
from cli.standing import Report, Shown, report_of

if TYPE_CHECKING:
    from ledger.store import Ledger
    from ledger.store.standing import AccountStatus, Standing

_ACCOUNTS = (
    render.Column("account_id", "account", width_min=12),
    render.Column("environments", "environments"),
    render.Column("last_pass_at", "last pass"),
    render.Column("replica", "worker"),
    render.Column("next_try_at", "next try"),
    render.Column("last_error", "last error"),
)

_TITLES = {
    "unreadable": "cannot be read by this program: what it says is missing here",
    "overdue": "overdue: exposing nobody, and not confirmed removed yet",
    "stuck": "stuck: a step that does not get done",
    "refused": "refused: nothing of it stands",
    "missing": "missing: taken away by somebody else; `retry GRANT` gives it again",
    "daemon": "of class daemon: only the worker ends it",
    "left": "left: over, and standing because it stood before us",
    "settled": "settled by a person's word, not confirmed",
    "held": "held: grants nothing until released",
    "drift": "drift",
}


@click.command("status")
@with_output("table", "json")
@with_database
@speaking
@click.pass_obj
def command(session: Session, output: render.Format) -> int:
    """What is exposed, stuck or refused, and how every account is kept.

    Exposed is what is past its end or revoked, not confirmed removed, and not yet denied by AWS.
    """
    now = session.now()

    async def read(ledger: "Ledger") -> "Standing":
        from ledger.store.standing import read_standing

        async with ledger.reading() as connection:
            return await read_standing(connection, now=now)

    standing = session.ask(read)
    report = report_of(standing, now)
    if output == "json":
        session.terminal.data(render.json_text(report.document()))
    else:
        session.terminal.prose(_text(session, report))
    return Exit.DONE


def _text(session: Session, report: Report) -> str:
    terminal, head = session.terminal, report.standing.head
    number = len(report.exposed)
    first = f"{number} exposed"
    if number:
        first += ": past the end or revoked, not confirmed removed, and not denied by AWS"
    parts = [render.styled(first, "bad" if number else "good", color=terminal.color)]
    parts += [_block(one) for one in report.exposed]
    for name, title in _TITLES.items():
        lines = report.lines(name)
        if lines:
            number = len(lines)
            parts.append("\n".join([f"{number} {title}", *(f"  {line}" for line in lines)]))
    parts.append(_accounts(session, report.standing.accounts))
    if replicas := report.standing.replicas:
        shares = ", ".join(
            f"{render.safe(one.name)} keeps {answers.counted(one.shards, 'shard')}"
            for one in replicas
        )
        parts.append(f"{answers.counted(len(replicas), 'worker')}: {shares}")
    recorded = "never" if head.recorded_at is None else shown(head.recorded_at)
    parts.append(
        f"at {shown(report.now)}, ledger position {head.position}, recorded {recorded}, "
        f"hash {head.hash[:16]}"
    )
    return "\n\n".join(parts) + "\n"


def _block(one: Shown) -> str:
    lines = [
        render.safe(one.title),
        f"  since {shown(one.since)}: {one.cause}",
        f"  last error: {render.safe(one.last_error or 'none recorded')}",
        f"  next try: {_instant(one.next_try)}",
        *(["  by hand:"] if one.by_hand else []),
        *(f"    {render.safe(line)}" for line in one.by_hand),
        *(f"  {render.safe(words)}" for words in one.beside),
    ]
    return "\n".join(lines)


def _accounts(session: Session, accounts: "tuple[AccountStatus, ...]") -> str:
    terminal = session.terminal
    if not accounts:
        return "no account is mapped"
    rows = [
        {
            "account_id": account.account,
            "environments": account.environments,
            "last_pass_at": _instant(account.last_pass_at),
            "replica": account.replica,
            "next_try_at": _instant(account.next_try_at),
            "last_error": account.last_error,
        }
        for account in accounts
    ]
    title = answers.counted(len(rows), "account")
    if all(account.heartbeat_at is None for account in accounts):
        title += "; no worker has ever kept one: run `iam-ledger worker`"
    if terminal.interactive:
        table = render.terminal_table(_ACCOUNTS, rows, width=terminal.width, color=terminal.color)
    else:
        table = render.plain_table(_ACCOUNTS, rows)
    return f"{title}\n{table.rstrip()}"


def _instant(instant: datetime | None) -> str:
    return "never" if instant is None else shown(instant)
