"""`schema`: the JSON Schemas of the YAML files, for editors.

Invariant: what is printed and what is written are the same bytes; neither ledger nor directory is
read.
"""

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import render
from cli.exits import Exit, Stop
from cli.options import speaking
from cli.session import Session

if TYPE_CHECKING:
    from ledger.manifest.schemas import Schema

SUFFIX = ".schema.json"


@click.command("schema")
@click.argument("which", metavar="[WHICH]", required=False)
@click.option(
    "--into",
    "folder",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Write all of them there; FOLDER stands beside the folders of teams' files.",
)
@speaking
@click.pass_obj
def command(session: Session, which: str | None, folder: Path | None) -> int:
    """Print the JSON Schema of WHICH files: a folder's name, or `settings`.

    Without WHICH: what there is, and the line that an editor looks for at the top of such a file.
    """
    from ledger.manifest.schemas import schemas

    known = schemas()
    if folder is not None:
        if which is not None:
            raise click.UsageError("--into writes all of them; leave WHICH out")
        _write(folder, known)
        session.terminal.data(_listed(folder.resolve().name))
        return Exit.DONE
    if which is None:
        session.terminal.data(_listed("schemas"))
        return Exit.DONE
    if which not in known:
        near = get_close_matches(which, known, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(known)}"
        raise click.UsageError(f"there is no schema `{which}`; {hint}")
    session.terminal.data(text_of(known[which]))
    return Exit.DONE


def text_of(schema: "Schema") -> str:
    return render.json_text(schema)


def modeline(section: str, folder: str) -> str:
    """What stands at the top of a file of `section`, with the schemas in `folder` beside it."""
    from ledger.manifest.schemas import settings_of

    up = "" if settings_of(section) else "../"
    return f"# yaml-language-server: $schema={up}{folder}/{section}{SUFFIX}"


def _listed(folder: str) -> str:
    from ledger.manifest.schemas import described_files, schemas

    return "".join(
        f"{described_files(section)}\n    {modeline(section, folder)}\n" for section in schemas()
    )


def _write(folder: Path, known: "dict[str, Schema]") -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for section, schema in known.items():
            (folder / f"{section}{SUFFIX}").write_text(text_of(schema), encoding="utf-8")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise Stop(Exit.CONFIGURATION, f"{folder} cannot be written: {reason}") from None
