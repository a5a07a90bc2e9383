"""Progress of long work: on a terminal's stderr, and only after the first second.

Invariant: it leaves nothing on the screen behind it, and writes nothing where no person looks.
"""

from datetime import timedelta
from types import TracebackType

from cli.session import Session

SILENT_FOR = timedelta(seconds=1)


class Progress:
    """Told a number now and then, shows it."""

    def __init__(self, session: Session, what: str) -> None:
        self._session = session
        self._what = what
        self._begun = session.now()
        self._shown = False
        terminal = session.terminal
        self._wanted = terminal.err.isatty() and not terminal.quiet

    def __enter__(self) -> "Progress":
        return self

    def __call__(self, number: int) -> None:
        if self._wanted and self._session.now() - self._begun >= SILENT_FOR:
            self._shown = True
            self._write(f"\r\x1b[K{number:,} {self._what}")

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if self._shown:
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        self._session.terminal.err.write(text)
        self._session.terminal.err.flush()
