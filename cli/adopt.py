"""`adopt`: takes over what the ledger declares and somebody else made, and lists what is left.

Invariant: without `--yes` nothing is written, in AWS or in the ledger; with it nothing in AWS but
tags is. An account that cannot be entered holds up no other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from cli import answers, render
from cli.exits import Exit
from cli.operator import said_with, word_of
from cli.options import AccountType, speaking, with_database, with_output
from cli.session import Session
from ledger.events import Word
from ledger.model import AccountId

if TYPE_CHECKING:
    from ledger.state import AccountView
    from ledger.store import Ledger
    from worker.adopting import Findings, Found
    from worker.aws.gate import AwsGate

REPLICA = "adopt"
"""Sessions in AWS are called `iam-ledger-adopt`: CloudTrail tells this from the worker."""


@dataclass(frozen=True, slots=True)
class Looked:
    """One account: what was found there, or why nothing could be."""

    account: AccountId
    findings: "Findings | None"
    taken: int = 0
    """How much of it is ours now."""
    error: str | None = None


@click.command("adopt")
@click.option("--account", type=AccountType(), metavar="ID", help="In this account only.")
@click.option("--yes", is_flag=True, help="Do it; without, only what would be done is printed.")
@click.option("--by", metavar="WHO", help="Who says so; needed with --yes.")
@click.option("--reason", metavar="TEXT", help="Why, kept for ever; needed with --yes.")
@with_output("table", "json")
@with_database
@speaking
@click.pass_obj
def command(
    session: Session,
    account: str | None,
    yes: bool,
    by: str | None,
    reason: str | None,
    output: render.Format,
) -> int:
    """Take over policies and attachments that lines declare and somebody else made.

    Policies get our tags; the worker then keeps them where they stand. What the scripts before left
    and no line declares is listed, each with the command that removes it; none of it is touched.
    """
    word = word_of(*said_with("--yes", by, reason)) if yes else None

    session.start_logs("error")  # what is done here is told once, as the answer

    async def work(ledger: "Ledger") -> tuple[tuple[Looked, ...], int]:
        return await _adopt(session, ledger, None if account is None else AccountId(account), word)

    looked, position = session.ask(work)
    if output == "json":
        session.terminal.data(render.json_text(_document(looked, position, done=yes)))
    else:
        session.terminal.prose(_text(looked, position, done=yes))
    failed = any(one.error is not None for one in looked)
    return Exit.FAILED if failed else Exit.DONE


# --- looking and taking over ----------------------------------------------------------------------


async def _adopt(
    session: Session, ledger: "Ledger", only: AccountId | None, word: Word | None
) -> tuple[tuple[Looked, ...], int]:
    from ledger.store.append import read_head
    from ledger.store.views import accounts_to_keep, read_account
    from worker.aws.gate import open_gate

    async with ledger.reading() as connection:
        accounts = await accounts_to_keep(connection)
        if only is not None and only not in accounts:
            raise click.UsageError(f"--account {only}: the ledger keeps no such account")
        chosen = [each for each in accounts if only in (None, each)]
        views = [await read_account(connection, each) for each in chosen]
    async with open_gate(clock=session.clock, replica=REPLICA, on_call=lambda *_: None) as gate:
        looked = [await _look(session, ledger, gate, view, word) for view in views]
    async with ledger.reading() as connection:
        return tuple(looked), (await read_head(connection)).position


async def _look(
    session: Session, ledger: "Ledger", gate: "AwsGate", view: "AccountView", word: Word | None
) -> Looked:
    """One account; AWS's refusals and weather stay inside."""
    from ledger.settling import take_over
    from worker.adopting import look, mark
    from worker.errors import AwsError

    if view.way_in is None or view.unreadable:
        why = view.unreadable[0].message if view.unreadable else "no team has ever mapped it"
        return Looked(view.account, None, error=why)
    aws = gate.account(view.way_in)
    findings, taken = None, 0
    try:
        findings = await look(aws, view, session.now())
        for found in _adoptable(findings):
            if word is not None:
                await mark(aws, view, found)
                await take_over(ledger, [(found.adopted(word), found.cause)], now=session.now())
                taken += 1
    except AwsError as error:
        return Looked(view.account, findings, taken, f"{error.code}: {error.message}")
    return Looked(view.account, findings, taken)


# --- telling --------------------------------------------------------------------------------------


def _document(looked: Sequence[Looked], position: int, *, done: bool) -> dict[str, object]:
    return {
        "schema_version": render.SCHEMA_VERSION,
        "position": position,
        "done": done,
        "accounts": [_item(one) for one in looked],
    }


def _item(one: Looked) -> answers.Item:
    found = one.findings
    adoptable = () if found is None else (*found.policies, *found.attachments)
    return {
        "account_id": one.account,
        "error": one.error,
        "taken_over": one.taken,
        "adoptable": [
            {
                "team": each.team,
                "policy": each.policy,
                "policy_arn": each.arn,
                "principal": None if each.principal is None else each.principal.name,
                "principal_type": None if each.principal is None else each.principal.kind.value,
            }
            for each in adoptable
        ],
        "foreign": [
            {
                "team": each.team,
                "policy": each.policy,
                "policy_arn": each.arn,
                "ledger": each.ledger,
            }
            for each in (() if found is None else found.foreign)
        ],
        "leftovers": [
            {
                "kind": each.kind,
                "principal": each.principal.name,
                "principal_type": each.principal.kind.value,
                "name": each.name,
                "by_hand": each.by_hand,
            }
            for each in (() if found is None else found.leftovers)
        ],
    }


def _text(looked: Sequence[Looked], position: int, *, done: bool) -> str:
    blocks = ["\n".join(render.safe(line) for line in _lines(one, done=done)) for one in looked]
    last = f"ledger position {position}"
    if not done and any(one.findings and _adoptable(one.findings) for one in looked):
        last = f"nothing was written; --yes with --by and --reason does it; {last}"
    return "\n\n".join([*blocks, last])


def _adoptable(findings: "Findings") -> "tuple[Found, ...]":
    return (*findings.policies, *findings.attachments)


def _lines(one: Looked, *, done: bool) -> list[str]:
    if one.findings is None:
        return [f"account {one.account}: {one.error}; nothing was done there"]
    found = _adoptable(one.findings)
    number = answers.counted(len(found), "thing")
    verb = f"took over {one.taken} of" if done else "would take over"
    lines = [f"account {one.account}: {verb} {number}" if found else f"account {one.account}:"]
    if not found:
        lines[0] += " nothing to take over"
    lines += [f"  {_what(each)} (policy {each.policy} of {each.team})" for each in found]
    if one.error is not None:
        lines.append(f"  then {one.error}; run it again for the rest")
    lines += [
        f"  {each.arn} is left alone: its tags say that it is of ledger {each.ledger}"
        for each in one.findings.foreign
    ]
    if one.findings.leftovers:
        lines.append("  no line explains these; if nobody needs them, this takes them away:")
    return [*lines, *(f"    {each.by_hand}" for each in one.findings.leftovers)]


def _what(found: "Found") -> str:
    to = "" if found.principal is None else f" attached to {found.principal}"
    return f"{found.arn}{to}"
