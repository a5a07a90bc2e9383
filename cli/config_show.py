"""`config show`: each setting, its value, and who gave it; secrets masked."""

from difflib import get_close_matches

import click

from cli import render
from cli.environment import COLOR, DATABASE, SETTINGS, Setting
from cli.exits import Exit
from cli.options import speaking, with_database, with_output
from cli.session import Session

_COLUMNS = (
    render.Column("name", "setting"),
    render.Column("value", "value"),
    render.Column("source", "from"),
    render.Column("variable", "variable"),
    render.Column("about", "about"),
)


@click.group("config")
def command() -> None:
    """How this program is set up here."""


@command.command("show")
@with_output("table", "json", "markdown")
@with_database
@speaking
@click.pass_obj
def show(session: Session, output: render.Format) -> int:
    """Each setting, its value, and whether a flag, the environment or the default gave it."""
    rows = [_row(session, setting) for setting in SETTINGS]
    terminal = session.terminal
    if output == "json":
        document = {"schema_version": render.SCHEMA_VERSION, "settings": rows}
        terminal.data(render.json_text(document))
    elif output == "markdown":
        terminal.data(render.markdown_table(_COLUMNS, rows))
    elif terminal.interactive:
        columns = _COLUMNS if terminal.width >= 100 else _COLUMNS[:3]
        table = render.terminal_table(columns, rows, width=terminal.width, color=terminal.color)
        terminal.data(table)
    else:
        terminal.data(render.plain_table(_COLUMNS, rows))
    known = [setting.variable for setting in SETTINGS]
    for name in session.environment.unknown():
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        terminal.complain(f"{name} is set and means nothing{hint}")
    return Exit.DONE


def _row(session: Session, setting: Setting) -> dict[str, object]:
    flags = {DATABASE.name: session.database, COLOR.name: session.terminal.color_flag}
    value = session.environment.value(setting, flags.get(setting.name))
    if setting.secret:
        shown = "***" if value.text else ""
    else:
        shown = session.shown_database if setting is DATABASE else value.text
    return {
        "name": setting.name,
        "value": shown,
        "source": value.source,
        "variable": setting.variable,
        "about": setting.about,
    }
