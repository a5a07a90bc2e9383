"""The laws, asked of a history: at every instant by the documents, in full when all is quiet."""

from datetime import datetime, timedelta
from itertools import pairwise

from ledger.model import AccountId, parse_principal
from tests.simulation.history import (
    DAEMON,
    FOREIGN,
    GROUP,
    PEOPLE,
    POLICIES,
    History,
    action,
    shown,
)
from tests.simulation.truth import Where
from tests.support.stage import DEV, PROD

WHERES: tuple[Where, ...] = tuple(
    (account, principal, name)
    for account in (PROD, DEV)
    for principal in (*PEOPLE, GROUP)
    for name in POLICIES
)


SLACK = timedelta(milliseconds=1)
LATE = timedelta(seconds=1)
"""Within which a quiet worker takes away what is over."""


class LawBroken(AssertionError):
    """With the story so far."""


def broken(history: History, law: str, what: str, where: Where | None = None) -> LawBroken:
    """The story, and between its lines what was asked of AWS about `where`."""
    told = list(history.story)
    if where is not None:
        account, principal, _ = where
        told += [
            f"{shown(call.at)}     {call.operation} {call.about} {call.outcome}"
            for call in history.stage.aws.made()
            if call.account == account
            and (principal in call.about or call.operation.endswith(("policy", "version")))
        ]
    story = "\n".join(sorted(told, key=lambda line: line[:12]))
    return LawBroken(
        f"{law}: {what}\nat {history.now}, seed {history.seed}, drift: {history.drift}\n{story}"
    )


def nothing_outlives_its_date(history: History) -> None:
    """Law 2, at any instant and whatever is wrong: access that AWS ends has no one past its end."""
    now = history.now
    for where in WHERES:
        account, principal, name = where
        if name in DAEMON or (account, principal) in history.tampered:
            continue
        if history.holds(where) and not history.truth.could_be(where, now):
            permanent = any(
                line.where == where and line.ends_at is None for line in history.truth.ever
            )
            if not permanent:
                raise broken(history, "access outlives its date", f"{where}", where)


def all_is_as_meant(history: History) -> None:
    """Laws 1, 3, 4 and 10 at a quiet moment: AWS holds what is meant, and nothing else."""
    for where in WHERES:
        account, principal, _ = where
        means, holds = history.truth.means(where, history.now), history.holds(where)
        if holds and not means:
            raise broken(history, "access that nobody means", f"{where}", where)
        excused = history.drift == "warn" and (account, principal) in history.tampered
        if means and not holds and not excused:
            raise broken(history, "access that is meant and not there", f"{where}", where)


def nothing_foreign_is_touched(history: History) -> None:
    """Law 9."""
    for account in (PROD, DEV):
        inline = history.stage.aws.iam(account).entities["user/ana"].inline
        if inline.get("theirs") != FOREIGN:
            raise broken(history, "a foreign policy was touched", f"in {account}")


def access_is_never_interrupted(history: History) -> None:
    """Laws 3 and 4 over the whole history: what is meant and stands, stays while it is meant.

    Not where a hand has been at the principal, nor for what stood unmeant before; and an extension
    needs a worker that can write, as what shares an attachment does: what ends by the old date
    meanwhile, and comes back once it is written, is nobody's fault.
    """
    for where in WHERES:
        account, principal, name = where
        if (account, principal) in history.tampered:
            continue
        dates = {line.ends_at for line in history.truth.ever if line.where == where}
        meant = _meant(history, where)
        held = history.stage.aws.intervals(
            AccountId(account), parse_principal(principal), action(name)
        )
        for start, end in held:
            if end is None or end >= history.now:
                continue
            at_a_date = any(date <= end <= date + LATE for date in dates if date is not None)
            if at_a_date and history.disturbed:
                continue
            if any(begin <= start and end + SLACK < over for begin, over in meant):
                what = f"{where} ended at {end}, held from {start}"
                raise broken(history, "access was interrupted", what, where)


def _meant(history: History, where: Where) -> list[tuple[datetime, datetime]]:
    """The stretches in which it was meant, joined."""
    points = {change[0] for change in history.truth.changes} | {history.now}
    for line in history.truth.ever:
        if line.where == where:
            points |= {i for i in (line.starts_at, line.ends_at) if i is not None}
    ordered = sorted(point for point in points if point <= history.now)
    found: list[tuple[datetime, datetime]] = []
    for start, end in pairwise(ordered):
        if not history.truth.meant(where, start):
            continue
        if found and found[-1][1] == start and history.truth.unbroken(where, start):
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found
