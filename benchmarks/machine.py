"""On what a figure was taken: said above each, since none means anything without it."""

import os
import platform
import sqlite3
import sys
from importlib.metadata import version
from pathlib import Path

from sqlalchemy import URL


def machine() -> str:
    """One line."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, load {load}; "
        f"Python {platform.python_version()}, SQLAlchemy {version('sqlalchemy')}, "
        f"SQLite {sqlite3.sqlite_version}; {' '.join(sys.argv[1:])}"
    )


def server_s(url: URL) -> float:
    """Processor seconds of the server's processes that work on this database; 0 without a server.

    Linux only, on the server's machine.
    """
    ticks = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            title = (process / "cmdline").read_bytes().partition(b"\0")[0].decode().split()
            if title[:1] == ["postgres:"] and url.database in title:
                fields = (process / "stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
        except OSError:  # it ended meanwhile
            continue
    return ticks / os.sysconf("SC_CLK_TCK")
