"""Options that many commands share, and the types of their values.

Invariant: an option means the same everywhere, and a value that cannot be meant is a usage error
before anything is opened.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.instants import Moment, parse_moment, parse_span
from cli.session import Session
from cli.terminal import COLORS

F = TypeVar("F", bound=Callable[..., Any])

if TYPE_CHECKING:
    _Type = click.ParamType[Any]
else:
    _Type = click.ParamType  # generic in the newest releases only


class MomentType(_Type):
    """An instant or a UTC day."""

    name = "when"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Moment:
        if isinstance(value, Moment):
            return value
        session = ctx.find_object(Session) if ctx is not None else None
        if session is None:
            raise RuntimeError("a moment is read relative to the session's clock")
        try:
            return parse_moment(str(value), session.now())
        except ValueError as error:
            self.fail(str(error), param, ctx)


class SpanType(_Type):
    """A length of time."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return parse_span(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class AccountType(_Type):
    """Twelve digits."""

    name = "account"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if not (len(text) == 12 and text.isascii() and text.isdigit()):
            self.fail(f"`{text}` is not an AWS account id of 12 digits", param, ctx)
        return text


def speaking(function: F) -> F:
    """How much is said, and in which colour. Works before and after the command's name."""
    for decorate in (
        click.option(
            "-v",
            "--verbose",
            is_flag=True,
            expose_value=False,
            callback=_remember(lambda session, _: setattr(session, "verbose", True)),
            help="Log more.",
        ),
        click.option(
            "-q",
            "--quiet",
            is_flag=True,
            expose_value=False,
            callback=_remember(lambda session, _: setattr(session.terminal, "quiet", True)),
            help="No hints, and only errors in the logs.",
        ),
        click.option(
            "--color",
            type=click.Choice(COLORS),
            expose_value=False,
            callback=_remember(lambda session, v: setattr(session.terminal, "color_flag", v)),
            help="When to colour; NO_COLOR is heeded.",
        ),
    ):
        function = decorate(function)
    return function


def with_database(function: F) -> F:
    """Which ledger."""
    return click.option(
        "--database",
        metavar="URL",
        expose_value=False,
        callback=_remember(lambda session, value: setattr(session, "database", value)),
        help="The ledger; else IAM_LEDGER_DATABASE_URL, else iam-ledger.db here.",
    )(function)


def with_config(function: F) -> F:
    """The configuration directory."""
    from pathlib import Path

    return click.argument("config", type=click.Path(path_type=Path), default=".")(function)


def with_output(*formats: str) -> Callable[[F], F]:
    """Which form the answer takes; the first is the default."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        help="The answer's form.",
    )


def with_filters(function: F) -> F:
    """What to keep of an answer."""
    for decorate in (
        click.option("--policy", metavar="NAME", help="Of this policy, as the YAML names it."),
        click.option("--principal", metavar="WHO", help="`ana`, `role/ci`, an address or an ARN."),
        click.option("--team", metavar="NAME", help="Of this team."),
        click.option("--environment", metavar="NAME", help="In what a team calls so."),
        click.option("--account", type=AccountType(), metavar="ID", help="In this account."),
    ):
        function = decorate(function)
    return function


def _remember(
    keep: Callable[[Session, Any], None],
) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """A callback that keeps a value in the session, wherever on the line it was given."""

    def callback(ctx: click.Context, _param: click.Parameter, value: Any) -> Any:
        session = ctx.find_object(Session)
        if session is not None and value not in (None, False):
            keep(session, value)
        return value

    return callback
