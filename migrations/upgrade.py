"""Brings a ledger's schema to this program's, by alembic. Not for use inside a running loop."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import URL


def config_for(url: URL) -> Config:
    """alembic's settings for the ledger at `url`, wherever the program is installed."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["url"] = url.render_as_string(hide_password=False)
    return config


def upgrade(url: URL) -> None:
    """Creates the ledger, or brings an older one up. Does nothing to one that is at head."""
    command.upgrade(config_for(url), "head")
