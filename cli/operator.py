"""A person's word: who says so, why, and from where, for what is decided at a terminal.

Invariant: who runs the program is the operating system's to say, never a variable's.
"""

import os
import platform
import pwd
from collections.abc import Callable
from typing import Any, TypeVar

import click

from ledger.events import Word

F = TypeVar("F", bound=Callable[..., Any])

WORDS_MAX = 1_000
"""Characters of a reason or a name: they stand in the ledger for ever."""


def _said(_ctx: click.Context | None, param: click.Parameter | None, value: str) -> str:
    text = value.strip()
    if not text:
        raise click.BadParameter("says nothing", param=param)
    if len(text) > WORDS_MAX:
        raise click.BadParameter(f"is longer than {WORDS_MAX:,} characters", param=param)
    return text


def said_with(option: str, by: str | None, reason: str | None) -> tuple[str, str]:
    """Who and why, where only `option` needs them."""
    if by is None or reason is None:
        raise click.UsageError(f"{option} needs --by and --reason: who says so, and why")
    return _said(None, None, by), _said(None, None, reason)


def with_word(function: F) -> F:
    """Who says so, and why; both are asked for."""
    for decorate in (
        click.option("--by", required=True, callback=_said, metavar="WHO", help="Who says so."),
        click.option(
            "--reason", required=True, callback=_said, metavar="TEXT", help="Why; kept for ever."
        ),
    ):
        function = decorate(function)
    return function


def word_of(by: str, reason: str) -> Word:
    """With the user and the host that the program runs as and on."""
    number = os.getuid()
    try:
        user = pwd.getpwuid(number).pw_name
    except KeyError:  # a container's user without a name
        user = f"uid {number}"
    return Word(by, reason, user, platform.node() or "unknown host", None)
