"""What may happen next: edits, time, faults of AWS and of the database, crashes, hands.

Each step says in a line what it did; None where there was nothing to do it to.
"""

import json
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Final

from ledger.errors import LedgerUnavailable
from ledger.model import AccountId
from tests.simulation.history import MINUTE, PEOPLE, SECOND, History, Step
from tests.support.fake_aws.faults import FaultKind
from tests.support.stage import DEV, PROD, ROLE

LINES_MAX = 12


# --- people ---------------------------------------------------------------------------------------


async def add_lines(history: History) -> str:
    new = [history.new_line() for _ in range(history.random.randint(1, 3))]
    lines = tuple(dict.fromkeys([*history.truth.lines, *new]))[-LINES_MAX:]
    await history.ingest(lines)
    return "ingest: " + "; ".join(map(str, new))


async def remove_lines(history: History) -> str | None:
    lines = list(history.truth.lines)
    if not lines:
        return None
    gone = history.random.sample(lines, history.random.randint(1, min(3, len(lines))))
    await history.ingest(tuple(line for line in lines if line not in gone))
    return "ingest without: " + "; ".join(map(str, gone))


async def extend_line(history: History) -> str | None:
    """An end moved, later or sooner: a new window, which goes on where the old one was."""
    running = [line for line in history.truth.lines if line.ends_at and line.covers(history.now)]
    if not running:
        return None
    old = history.random.choice(running)
    ends_at = history.now.replace(microsecond=0) + timedelta(
        seconds=history.random.randint(20, 1500)
    )
    new = replace(old, ends_at=ends_at)
    await history.ingest(tuple(new if line == old else line for line in history.truth.lines))
    return f"ingest: {old} now ends at {ends_at}"


async def revert(history: History) -> str | None:
    """`git revert`: the directory as it once was."""
    if len(history.truth.changes) < 2:
        return None
    lines = history.random.choice(history.truth.changes)[1]
    found = tuple(sorted(lines, key=str))
    await history.ingest(found)
    return f"ingest of an older directory with {len(found)} lines"


async def revoke(history: History) -> str | None:
    where = history.any_where()
    if where is None or where in history.truth.holds:
        return None
    account, principal, name = where
    rows = [
        row
        for row in await history.stage.rows()
        if row.grant.account == account
        and str(row.grant.principal) == principal
        and row.grant.policy == name
        and row.revoked is None
        and not row.grant.window.over(history.now)
    ]
    if not rows:
        return None
    with suppress(LedgerUnavailable):
        await history.stage.revoke(rows[0].grant.id)
    history.truth.revoked(where, history.now)
    await history.nudge()
    return f"revoke {where}"


# --- time -----------------------------------------------------------------------------------------


async def a_moment(history: History) -> str:
    how_long = timedelta(milliseconds=history.random.randint(1, 3_000))
    await history.advance(how_long)
    return f"{how_long.total_seconds():.3f} s go by"


async def minutes(history: History) -> str:
    how_long = timedelta(seconds=history.random.randint(5, 400))
    await history.advance(how_long)
    return f"{how_long.total_seconds():.0f} s go by"


async def next_end(history: History) -> str | None:
    """To just before, at, or just after an end or a beginning."""
    instants = {
        instant
        for line in history.truth.lines
        for instant in (line.starts_at, line.ends_at)
        if instant is not None and instant > history.now + 2 * SECOND
    }
    if not instants:
        return None
    instant = min(instants) + timedelta(milliseconds=history.random.choice([-500, 0, 1, 30, 90]))
    await history.advance(min(instant - history.now, 20 * MINUTE))
    return f"time goes by until {instant}"


# --- faults ---------------------------------------------------------------------------------------


def _fault_account(history: History) -> AccountId | None:
    return history.random.choice([PROD, DEV, None])


async def throttled(history: History) -> str:
    account = _fault_account(history)
    until = history.now + timedelta(seconds=history.random.randint(5, 900))
    history.stage.aws.fail("busy", account=account, until=until)
    history.wrong()
    return f"AWS is too busy for {account or 'everybody'} until {until:%H:%M:%S}"


async def answers_lost(history: History) -> str:
    """The next calls time out, some after they were carried out."""
    kind: FaultKind = history.random.choice(["unanswered_done", "unanswered_undone"])
    first = history.random.randint(1, 4)
    history.stage.aws.fail(
        kind, account=_fault_account(history), at=range(first, first + history.random.randint(1, 3))
    )
    history.wrong()
    return f"some of the next calls: {kind}"


async def one_refused(history: History) -> str:
    operation = history.random.choice(
        ["put_inline", "attach", "detach", "delete_inline", "create_policy", "read_principal"]
    )
    until = history.now + timedelta(seconds=history.random.randint(30, 300))
    history.stage.aws.fail("refused", operation, account=_fault_account(history), until=until)
    history.wrong()
    return f"{operation} is refused until {until:%H:%M:%S}"


async def door_locked(history: History) -> str:
    account = history.random.choice([PROD, DEV])
    history.stage.aws.lock(account)
    history.wrong()
    return f"{account} cannot be entered"


async def door_opened(history: History) -> str:
    for account in (PROD, DEV):
        history.stage.aws.lock(account, role=ROLE)
    await history.nudge()
    return "every account can be entered"


async def database_away(history: History) -> str | None:
    worker = history.worker
    if worker is None or worker.ledger.out:
        return None
    worker.ledger.out = True
    history.wrong()
    return "the worker cannot reach the database"


async def database_back(history: History) -> str | None:
    worker = history.worker
    if worker is None or not worker.ledger.out:
        return None
    worker.ledger.out = False
    await history.nudge()
    return "the worker reaches the database again"


# --- crashes --------------------------------------------------------------------------------------


async def crash_at_a_call(history: History) -> str | None:
    if history.worker is None:
        return None
    kind: FaultKind = history.random.choice(["crash_before", "crash_after"])
    number = history.random.randint(1, 6)
    history.stage.aws.fail(kind, at=number)
    history.wrong()
    return f"the worker dies {kind.removeprefix('crash_')} its call number {number} from here"


async def crash_at_a_commit(history: History) -> str | None:
    worker = history.worker
    if worker is None:
        return None
    number = worker.ledger.commits + history.random.randint(1, 4)
    if history.random.random() < 0.5:
        worker.ledger.dies_before = number
    else:
        worker.ledger.dies_after = number
    history.wrong()
    return f"the worker dies around its commit {number}"


async def restart(history: History) -> str:
    """In order, or after it died."""
    worker = history.worker
    how = "starts"
    history.wrong()
    if worker is not None:
        how = "is buried and starts anew" if worker.dead else "is stopped and starts anew"
        history.stage.aws.faults = [
            fault for fault in history.stage.aws.faults if not fault.kind.startswith("crash")
        ]
        worker.ledger.dies_before = worker.ledger.dies_after = None
        await worker.stop()
    await history.start()
    return f"the worker {how}"


# --- hands ----------------------------------------------------------------------------------------


def _touched(history: History, account: str, principal: str) -> None:
    history.tampered.setdefault((account, principal), []).append(history.now)


async def hand_removes(history: History) -> str | None:
    """Somebody takes away what stands on a principal, our copies among it."""
    account, principal = history.random.choice([PROD, DEV]), history.random.choice(PEOPLE)
    entity = history.stage.aws.iam(account).entities[principal]
    ours = sorted(name for name in entity.inline if name.startswith("iam-ledger-"))
    names = [*ours, *sorted(entity.attached)]
    if not names:
        return None
    name = history.random.choice(names)
    entity.inline.pop(name, None)
    entity.attached.pop(name, None)
    history.stage.aws.iam(account).changed()
    _touched(history, account, principal)
    return f"a hand takes {name} from {principal} in {account}"


async def hand_loosens(history: History) -> str | None:
    """Somebody gives a timed copy a later end."""
    account, principal = history.random.choice([PROD, DEV]), history.random.choice(PEOPLE)
    entity = history.stage.aws.iam(account).entities[principal]
    ours = sorted(name for name in entity.inline if name.startswith("iam-ledger-"))
    if not ours:
        return None
    name = history.random.choice(ours)
    value = json.loads(entity.inline[name])
    statements = value["Statement"]
    for statement in statements if isinstance(statements, list) else [statements]:
        statement["Condition"]["DateLessThan"]["aws:CurrentTime"] = "2027-01-01T00:00:00Z"
    entity.inline[name] = json.dumps(value)
    history.stage.aws.iam(account).changed()
    _touched(history, account, principal)
    return f"a hand loosens {name} of {principal} in {account}"


# --- all of them ----------------------------------------------------------------------------------

STEPS: Final[dict[Step, int]] = {
    add_lines: 8,
    remove_lines: 3,
    extend_line: 4,
    revert: 1,
    revoke: 2,
    a_moment: 4,
    minutes: 5,
    next_end: 8,
    throttled: 1,
    answers_lost: 3,
    one_refused: 1,
    door_locked: 1,
    door_opened: 1,
    database_away: 1,
    database_back: 2,
    crash_at_a_call: 3,
    crash_at_a_commit: 2,
    restart: 3,
    hand_removes: 1,
    hand_loosens: 1,
}
"""Each with its weight."""
