"""`iam-ledger`: finds the command, runs it, and turns every end into an exit code and a message.

Invariant: a command's module is loaded only when that command runs, so that asking stays fast and
never loads AWS's libraries.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

from cli.environment import Environment
from cli.exits import Exit, Stop, exit_of
from cli.options import speaking, with_database
from cli.session import Session
from cli.terminal import Terminal
from ledger.errors import LedgerError, LedgerUnavailable
from worker.clock import Clock, SystemClock
from worker.errors import AwsMisconfigured

COMMANDS = {
    "validate": ("cli.validate", "Read the directory and print every problem."),
    "plan": ("cli.plan", "Show what ingest would append; append nothing."),
    "ingest": ("cli.ingest", "Append what the directory changes."),
    "worker": ("cli.worker", "Make AWS agree with the ledger, on time."),
    "who-has-access": ("cli.who_has_access", "Who has access now, then, or as known then."),
    "history": ("cli.history", "Every event of a principal, account, policy or grant."),
    "expiring": ("cli.expiring", "What ends soon."),
    "report": ("cli.report", "Who has access and who had it when, as one HTML page."),
    "status": ("cli.status", "What is exposed, stuck or refused; how accounts are kept."),
    "revoke": ("cli.revoke", "End access at once, and hold it."),
    "release": ("cli.release", "Lift a hold."),
    "retry": ("cli.retry", "Try again what is stuck, refused or missing."),
    "settle": ("cli.settle", "Say that a removal which AWS does not confirm is done with."),
    "adopt": ("cli.adopt", "Take over what lines declare and somebody else made."),
    "deployer-policy": ("cli.deployer_policy", "Print what the worker's roles must allow."),
    "verify": ("cli.verify", "Recompute the hash chain."),
    "checkpoint": ("cli.checkpoint", "Sign what the ledger is now, for keeping elsewhere."),
    "export": ("cli.export", "Every event of a period, to be verified without us."),
    "schema": ("cli.schema", "Print the JSON Schema of the YAML files, for editors."),
    "migrate": ("cli.migrate", "Make the ledger, or bring it to this version."),
    "config": ("cli.config_show", "Show each setting and where it comes from."),
    "demo": ("cli.demo", "The main job on this machine, in 20 seconds."),
}
"""Command -> module with the click command `command`, and the line that `--help` shows."""


class LazyGroup(click.Group):
    """A group that knows its commands by name and loads the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = COMMANDS.get(cmd_name)
        if found is None:
            return None
        command: click.Command = import_module(found[0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from difflib import get_close_matches

        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            near = get_close_matches(name, COMMANDS, n=1)
            hint = f"; did you mean `{near[0]}`?" if near else ""
            ctx.fail(f"there is no command `{name}`{hint}")
        return super().resolve_command(ctx, args)


def _version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    session = ctx.find_object(Session)
    if wanted and session is not None:
        try:
            number = version("iam-ledger")
        except PackageNotFoundError:
            number = "(run from its sources, not installed)"
        session.terminal.data(f"iam-ledger {number}")
        ctx.exit(0)


@click.group(
    "iam-ledger",
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@speaking
@with_database
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_version,
    help="Print it.",
)
def program() -> None:
    """AWS access by pull request: who may do what, from when, until when, and why."""


MAY_BE_EMPTY = {
    *("--commit", "--author", "--approved-by", "--pull-request", "--run-url"),
}
"""What a CI system fills in where it knows it: empty is the same as not given."""


def _refuse_empty(arguments: Sequence[str]) -> None:
    """Usage error for an empty text, which is a variable that somebody forgot to set.

    Asked about nobody, every command would answer "nobody" or tell everything, and exit 0.
    """
    before = ""
    for word in arguments:
        option, equals, value = word.partition("=")
        joined = bool(equals) and option.startswith("--")
        name = option if joined else before
        if not (value if joined else word).strip() and name not in MAY_BE_EMPTY:
            whose = f"{name}: the text" if name.startswith("-") else "an argument"
            raise click.UsageError(
                f"{whose} is empty; is a variable not set? Give it a text, or leave it "
                "out where the command goes without"
            )
        before = word


def main(
    arguments: Sequence[str],
    *,
    environment: Environment | None = None,
    clock: Clock | None = None,
) -> int:
    """Runs one command line and answers its exit code; bugs pass through."""
    environment = environment or Environment.of_process()
    terminal = Terminal.of_process(environment)
    session = Session(environment, terminal, clock or SystemClock())
    try:
        _refuse_empty(arguments)
        answer: Any = program.main(
            list(arguments), prog_name="iam-ledger", standalone_mode=False, obj=session
        )
        return int(answer or Exit.DONE)
    except Stop as stop:
        terminal.complain(str(stop))
        return stop.code
    except click.UsageError as error:
        return _usage(error, terminal, arguments)
    except click.exceptions.Exit as end:
        return end.exit_code
    except (click.Abort, KeyboardInterrupt):
        terminal.complain("interrupted")
        return Exit.INTERRUPTED
    except AwsMisconfigured as error:
        terminal.complain(f"{error}. AWS was not asked, and nothing was written")
        return Exit.CONFIGURATION
    except LedgerUnavailable as error:
        terminal.complain(f"{session.shown_database}: {error}; nothing was written")
        return exit_of(error)
    except LedgerError as error:
        terminal.complain(str(error))
        return exit_of(error)


def _usage(error: click.UsageError, terminal: Terminal, arguments: Sequence[str]) -> int:
    """What is wrong with the line, and where to read what is right."""
    message = error.format_message()
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        terminal.complain(message)
        return Exit.USAGE
    if error.ctx is not None:
        where = error.ctx.command_path
    else:  # the parser's own errors do not say whose they are
        where = " ".join(["iam-ledger", *[word for word in arguments if word in COMMANDS][:1]])
    terminal.complain(f"{message}\nread `{where} --help`")
    return Exit.USAGE


def run() -> None:
    """The console script."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")  # a terminal without UTF-8 still gets its answer
    sys.exit(main(sys.argv[1:]))


if __name__ == "__main__":
    run()
