"""`validate`: reads the directory and prints every problem, where people and machines look for it.

Invariant: needs no ledger, no git and no AWS; exit 0 means that the files alone forbid nothing.
"""

import os
from pathlib import Path

import click

from cli import annotations, problems, render
from cli.directory import Files, read_directory, wrong_directory
from cli.exits import Exit
from cli.lint import unknown_actions
from cli.options import speaking, with_config
from cli.request import check_teams
from cli.session import Session
from cli.summary import append_summary
from ledger.decide.writability import not_over, unwritable
from ledger.manifest import Problem, limit_problems, read

FORMATS = ("text", "json", "github", "gitlab")


@click.command("validate")
@with_config
@click.option("--team", "teams", multiple=True, metavar="NAME", help="Only this team; repeatable.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(FORMATS),
    help="The answer's form; github and gitlab are chosen in their CI.",
)
@speaking
@click.pass_obj
def command(session: Session, config: Path, teams: tuple[str, ...], output: str | None) -> int:
    """Read CONFIG and print every problem, each with its file, line and column."""
    files = read_directory(config)
    if files.empty:
        raise wrong_directory(config)
    check_teams(teams, files.teams, "the directory has no file of such a team")
    found = find_problems(session, files, teams)
    _print(session, config, found, output or session.environment.ci or "text")
    return Exit.FAILED if any(one.severity == "error" for one in found) else Exit.DONE


def find_problems(session: Session, files: Files, teams: tuple[str, ...]) -> tuple[Problem, ...]:
    """All that the files alone can say, in the order of their places."""
    from worker.iam.checks import refusal_of

    now = session.now()
    reading = read(files.files, files.others, teams or None, now)
    found = list(reading.problems)
    if reading.manifest is not None:
        found += limit_problems(reading.manifest, now)
        manifest = reading.manifest
        found += unwritable(manifest, manifest.teams, not_over(manifest, now), refusal_of)
        found += unknown_actions(manifest)
    return tuple(sorted(set(found), key=lambda problem: (problem.source, problem.message)))


# --- saying it --------------------------------------------------------------------------------


def _print(session: Session, config: Path, found: tuple[Problem, ...], output: str) -> None:
    terminal, folder = session.terminal, seen_from_the_top(session, config)
    match output:
        case "json":
            items = [problems.problem_item(problem) for problem in found]
            document = {"schema_version": render.SCHEMA_VERSION, "problems": items}
            terminal.data(render.json_text(document))
        case "github":
            if found:
                terminal.data(annotations.of_problems(found, folder))
            append_summary(
                session, lambda room: problems.markdown_of(found, folder, room_bytes=room)
            )
        case "gitlab":
            terminal.data(problems.gitlab_report(found, folder))
        case _ if found:
            terminal.lines(problems.text_of(found, config.as_posix(), color=terminal.color))
    if found:
        terminal.complain(problems.tally(found))
    else:
        terminal.hint("no problems")


def seen_from_the_top(session: Session, config: Path) -> str:
    """CONFIG as the CI system names files: from the top of the repository."""
    top = session.environment.workspace or Path.cwd()
    path = os.path.relpath(config.resolve(), top.resolve())
    return config.as_posix() if path.startswith("..") else Path(path).as_posix()
