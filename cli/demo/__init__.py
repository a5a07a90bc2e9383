"""`demo`: the main job as a story on this machine, with real commands and a stand-in for AWS.

Invariant: a step that does not end as told ends the demo with an error; nothing is only claimed.
"""

import json
import shutil
import tempfile
from datetime import datetime, timedelta
from math import ceil
from pathlib import Path
from time import monotonic

import click

from cli.demo import files
from cli.demo.stage import Astray, Stage, heeding_sigterm, refuse_real_endpoints, stand_in
from cli.environment import hidden
from cli.exits import Exit
from cli.instants import shown
from cli.options import speaking
from cli.session import Session
from ledger.model import whole_second

WINDOW_MIN = timedelta(seconds=8)
"""How long Ana's access lasts: long enough to look at, short enough to wait for."""

COMMANDS_WITHIN = 10
"""For how many commands there has to be room in it: three are run, on a machine that has other work
as well."""

REMOVED_WITHIN = timedelta(seconds=5)
"""The promise of `failures` and of the worker's lateness budget."""

WHO = ("--principal", "ana", "--policy", "payments.break-glass")


@click.command("demo")
@click.option("--keep", is_flag=True, help="Leave it up at the end, until Control-C.")
@speaking
@click.pass_obj
def command(session: Session, keep: bool) -> int:
    """The main job on this machine in 20 seconds: no credentials, no network but loopback."""
    refuse_real_endpoints(session.environment.variables)
    # A profile that this machine has, or has no more, is nothing to the stand-in.
    with heeding_sigterm(), hidden("AWS_"), stand_in() as (endpoint, backends):
        folder = Path(tempfile.mkdtemp(prefix="iam-ledger-demo-"))
        try:
            _perform(Stage(session, folder, endpoint, backends), keep=keep)
        except Astray as error:
            session.terminal.complain(f"\nthe demo went astray: {error}\nits files: {folder}")
            return Exit.FAILED
    shutil.rmtree(folder)
    return Exit.DONE


def _perform(stage: Stage, *, keep: bool) -> None:
    """The play, from the first line to the worker's end; nothing of it runs on, however it ends."""
    try:
        _play(stage)
        if keep:
            _keep(stage)
        stage.stop_worker()
    finally:
        if stage.worker is not None:
            stage.worker.kill()
            stage.worker.wait()
    stage.say("\nThe worker stopped on SIGTERM with exit code 0. That is all.")


def _play(stage: Stage) -> None:
    stage.say(
        "Three teams, three AWS accounts. AWS is played by moto on "
        f"{stage.endpoint};\nall files are in {stage.folder}."
    )
    _review(stage)
    _apply(stage)
    ends_at = _ask(stage)
    _expire(stage, ends_at)
    _audit(stage, ends_at)


def _review(stage: Stage) -> None:
    stage.title(1, "A pull request with a mistake is refused, at its place")
    files.write_teams(stage.config)
    stage.run("validate", "access", ends_with=Exit.FAILED)
    stage.say("\nThe author corrects the line.")
    files.mend(stage.config)
    stage.run("validate", "access")
    stage.commit("Who may look, deploy and query", "Ben <ben@example.com>")


def _apply(stage: Stage) -> None:
    stage.title(2, "The merge: CI ingests it, the worker makes AWS agree")
    stage.run("migrate")
    stage.start_worker()
    stage.run("ingest", "access", "--wait", "60s")


def _ask(stage: Stage) -> datetime:
    """Ana's request, merged and applied; returns when it ends."""
    window = window_for(stage.slowest_s)
    stage.title(3, f"Ana needs production, and asks for {window.total_seconds():.0f} seconds of it")
    # One second more than the window, for the start of the command that reads it.
    ends_at = whole_second(stage.session.now()) + window + timedelta(seconds=2)
    path = stage.config / "temporary-access" / "payments.yaml"
    path.write_text(files.request(ends_at), encoding="utf-8")
    stage.say(path.read_text(encoding="utf-8"))
    stage.commit("Break-glass for OPS-1234", "Ana <ana@example.com>")
    stage.run("ingest", "access", "--wait", "60s")
    stage.say("")
    stage.run("who-has-access", *WHO)
    if not _held(stage):
        raise Astray("the stand-in holds no inline policy of Ana's")
    return ends_at


def window_for(command_s: float) -> timedelta:
    """How long it has to be where a command takes so long."""
    return max(WINDOW_MIN, timedelta(seconds=ceil(COMMANDS_WITHIN * command_s)))


def _held(stage: Stage) -> bool:
    return bool(stage.inline_policies(files.PRODUCTION, "ana"))


def _expire(stage: Stage, ends_at: datetime) -> None:
    stage.title(4, f"Nobody does anything. It ends at {shown(ends_at)}")
    now = stage.session.now
    last_look = ends_at - timedelta(milliseconds=300)
    limit = max(last_look - now(), timedelta()) + WINDOW_MIN * 4
    stage.wait_until(lambda: now() >= last_look, limit, "the end")
    held, left_s = _held(stage), (ends_at - now()).total_seconds()
    if left_s <= 0:
        stage.say("This machine was too busy to look just before it.")
    elif held:
        stage.say(f"{left_s:.1f} s before it, the stand-in still holds Ana's policy.")
    else:
        raise Astray("the access went before its end")
    stage.wait_until(lambda: not _held(stage), REMOVED_WITHIN + timedelta(seconds=1), "the removal")
    stage.wait_until(lambda: _lateness(stage) is not None, REMOVED_WITHIN, "its record")
    late_s = _lateness(stage) or 0.0
    stage.say(f"Gone: AWS confirmed the removal {late_s:.2f} s after the end.\n")
    if late_s > REMOVED_WITHIN.total_seconds():
        raise Astray(f"that is later than {REMOVED_WITHIN.total_seconds():.0f} s")
    stage.run("history", *WHO)


def _lateness(stage: Stage) -> float | None:
    """By the ledger: seconds from the end to AWS's confirmation; None before that."""
    answer = json.loads(
        stage.answer("who-has-access", *WHO, "--between", "1h ago", "now", "-o", "json")
    )
    for item in answer["access"]:
        if item["removed_at"] is not None:
            removed, ended = (
                datetime.fromisoformat(item[key]) for key in ("removed_at", "ends_at")
            )
            return (removed - ended).total_seconds()
    return None


def _audit(stage: Stage, ends_at: datetime) -> None:
    stage.title(5, "The auditor asks: who had it then, who has it now, and is this true?")
    before = shown(ends_at - timedelta(seconds=1))
    stage.run("who-has-access", *WHO, "--at", before)
    stage.say("")
    stage.run("who-has-access", *WHO, "--at", shown(ends_at))
    stage.say("")
    stage.run("who-has-access")
    stage.say("")
    stage.run("verify")
    stage.say(f"\nAll of it took {monotonic() - stage.started:.0f} s.")


def _keep(stage: Stage) -> None:
    """Until Control-C."""
    wanted = ("AWS_", "IAM_LEDGER_")
    lines = [f"  export {n}={v}" for n, v in stage.variables().items() if n.startswith(wanted)]
    stage.say(
        f"\nIt stays up until Control-C; the worker's log is {stage.log}. In another terminal:\n\n"
        f"  cd {stage.folder}\n" + "\n".join(lines)
    )
    try:
        if stage.worker is not None:
            code = stage.worker.wait()
            stage.worker = None
            raise Astray(f"the worker ended with {code}")
    except KeyboardInterrupt:
        stage.say("")
