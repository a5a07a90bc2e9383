"""The process's environment: the only place that reads it, and what each setting comes from.

Invariant: flag before environment before default, and every value knows which of them it is.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cli.exits import Exit, Stop

PREFIX = "IAM_LEDGER_"
SECRET_MAX_BYTES = 64 * 1024
"""Of a file that holds one value: more is another file than was meant."""

DEFAULT_DATABASE = "sqlite+aiosqlite:///iam-ledger.db"


@dataclass(frozen=True, slots=True)
class Setting:
    """One thing that can be told by flag or environment."""

    name: str
    variable: str
    default: str
    about: str
    flag: str | None = None
    """None: by environment only."""
    filed: bool = False
    """Whether `<variable>_FILE` may name a file that holds it."""
    secret: bool = False
    """Whether it is never shown."""


DATABASE = Setting(
    "database",
    "IAM_LEDGER_DATABASE_URL",
    DEFAULT_DATABASE,
    "where the ledger is",
    "--database",
    filed=True,
)
DATABASE_PASSWORD = Setting(
    "database_password",
    "IAM_LEDGER_DATABASE_PASSWORD",
    "",
    "PostgreSQL's password, apart from the address",
    filed=True,
    secret=True,
)
COLOR = Setting("color", "IAM_LEDGER_COLOR", "auto", "auto, always or never", "--color")
LOG_FORMAT = Setting("log_format", "IAM_LEDGER_LOG_FORMAT", "auto", "auto, json or console")
LOG_LEVEL = Setting("log_level", "IAM_LEDGER_LOG_LEVEL", "info", "debug, info, warning or error")
LISTEN = Setting(
    "listen", "IAM_LEDGER_LISTEN", "127.0.0.1:9464", "the worker's /metrics and probes", "--listen"
)
REPLICA = Setting(
    "replica", "IAM_LEDGER_REPLICA", "worker", "the worker's name in evidence", "--replica"
)
CHECKPOINT_KEY = Setting(
    "checkpoint_key",
    "IAM_LEDGER_CHECKPOINT_KEY",
    "",
    "the private key that signs checkpoints",
    filed=True,
    secret=True,
)
CHECKPOINT_FILE = Setting(
    "checkpoint_file",
    "IAM_LEDGER_CHECKPOINT_FILE",
    "",
    "where ingest and worker write the newest checkpoint",
    "--checkpoint",
)
SETTINGS = (
    DATABASE,
    DATABASE_PASSWORD,
    COLOR,
    LOG_FORMAT,
    LOG_LEVEL,
    LISTEN,
    REPLICA,
    CHECKPOINT_KEY,
    CHECKPOINT_FILE,
)


@dataclass(frozen=True, slots=True)
class Value:
    """A setting's value and who gave it."""

    text: str
    source: str
    """`--flag`, a variable's name, or `default`."""


@dataclass(frozen=True, slots=True)
class Environment:
    """The variables of one process, taken once."""

    variables: Mapping[str, str]

    @classmethod
    def of_process(cls) -> "Environment":
        return cls(dict(os.environ))

    def value(self, setting: Setting, flag: str | None = None) -> Value:
        """What holds for `setting`; Stop (78) when a file it names cannot be read."""
        if flag is not None:
            return Value(flag, setting.flag or "flag")
        text = self.variables.get(setting.variable)
        path = self.variables.get(f"{setting.variable}_FILE") if setting.filed else None
        if text and path:
            raise Stop(
                Exit.CONFIGURATION,
                f"{setting.variable} and {setting.variable}_FILE are both set; unset one of them",
            )
        if path:
            return Value(_read(path, f"{setting.variable}_FILE"), f"{setting.variable}_FILE")
        if text:
            return Value(text, setting.variable)
        return Value(setting.default, "default")

    def chosen(self, setting: Setting, options: tuple[str, ...], flag: str | None = None) -> str:
        """The value of a setting that has only these `options`; Stop (78) for any other."""
        value = self.value(setting, flag)
        if value.text not in options:
            raise Stop(
                Exit.CONFIGURATION,
                f"{value.source} is `{value.text}`; write one of {', '.join(options)}",
            )
        return value.text

    def unknown(self) -> tuple[str, ...]:
        """Variables that begin like ours and mean nothing: typing errors, most often."""
        known = {setting.variable for setting in SETTINGS}
        known |= {f"{setting.variable}_FILE" for setting in SETTINGS if setting.filed}
        return tuple(sorted(n for n in self.variables if n.startswith(PREFIX) and n not in known))

    # --- the surroundings ---------------------------------------------------------------------

    @property
    def ci(self) -> Literal["github", "gitlab"] | None:
        """Which CI system runs us; None: none that we know."""
        if self.variables.get("GITHUB_ACTIONS") == "true":
            return "github"
        return "gitlab" if self.variables.get("GITLAB_CI") == "true" else None

    @property
    def step_summary(self) -> Path | None:
        """Where GitHub takes a step's summary; None elsewhere."""
        path = self.variables.get("GITHUB_STEP_SUMMARY")
        return Path(path) if path and self.ci == "github" else None

    @property
    def workspace(self) -> Path | None:
        """The top of the repository that CI checked out; None elsewhere."""
        name = {"github": "GITHUB_WORKSPACE", "gitlab": "CI_PROJECT_DIR"}.get(self.ci or "")
        path = self.variables.get(name) if name else None
        return Path(path) if path else None

    @property
    def plain(self) -> bool:
        """Whether colour is unwanted (no-color.org) or the terminal cannot show it."""
        return bool(self.variables.get("NO_COLOR")) or self.variables.get("TERM") == "dumb"

    @property
    def in_container(self) -> bool:
        return "KUBERNETES_SERVICE_HOST" in self.variables or Path("/.dockerenv").exists()

    @property
    def columns(self) -> int | None:
        """The width that the caller asks for; None: the terminal's own."""
        text = self.variables.get("COLUMNS", "")
        return int(text) if text.isascii() and text.isdigit() and int(text) > 0 else None


@contextmanager
def hidden(prefix: str) -> Iterator[None]:
    """Within, no library in this process sees the variables that begin with `prefix`."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(prefix)}
    for name in kept:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(kept)


def _read(path: str, variable: str) -> str:
    try:
        with Path(path).open("rb") as handle:
            content = handle.read(SECRET_MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or str(error)
        raise Stop(Exit.CONFIGURATION, f"{variable} names {path}: {reason}") from None
    text = content.decode("utf-8", "replace").strip()
    if not text or len(content) > SECRET_MAX_BYTES or "\n" in text:
        raise Stop(Exit.CONFIGURATION, f"{variable} names {path}, which does not hold one line")
    return text
