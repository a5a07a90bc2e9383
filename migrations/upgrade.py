"""Brings a ledger's schema to this program's, by alembic. Not for use inside a running loop."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import URL


class UnknownRevision(Exception):
    """The ledger's schema is none of ours: a newer program made it. Nothing was changed."""


def config_for(url: URL) -> Config:
    """alembic's settings for the ledger at `url`, wherever the program is installed."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["url"] = url.render_as_string(hide_password=False)
    return config


def upgrade(url: URL) -> None:
    """Creates the ledger, or brings an older one up. Does nothing to one that is at head.

    UnknownRevision for one of a newer program.
    """
    try:
        command.upgrade(config_for(url), "head")
    except CommandError as error:
        raise UnknownRevision(str(error)) from error
