"""GitHub's summary of a step: Markdown that the run's page shows, appended where GitHub says.

Invariant: a summary never grows beyond what GitHub shows, and failing to write it fails nothing.
"""

from collections.abc import Callable

from cli.session import Session

SUMMARY_MAX_BYTES = 1024 * 1024
"""Of one step's summary: a larger one is not shown at all (GitHub, "Workflow commands")."""


def append_summary(session: Session, text_of: Callable[[int], str]) -> None:
    """Appends `text_of(room in bytes)`; nothing outside of GitHub's CI."""
    path = session.environment.step_summary
    if path is None:
        return
    try:
        used_bytes = path.stat().st_size if path.exists() else 0
        text = text_of(max(0, SUMMARY_MAX_BYTES - used_bytes))
        with path.open("a", encoding="utf-8", errors="backslashreplace") as handle:
            handle.write(text)
    except OSError as error:
        session.terminal.complain(f"the step's summary {path} cannot be written: {error.strerror}")
