"""Logs on stderr: JSON for machines, a console's lines for people, secrets for nobody.

Invariant: no value under a telling name, and nothing that looks like a key or a password inside an
address, leaves the process in a log.
"""

import logging
import re
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

FORMATS = ("auto", "json", "console")
LEVELS = ("debug", "info", "warning", "error")

MASK = "***"

_TELLING = re.compile(r"(?i)password|passwd|secret|token|credential|external_?id|authorization")
_IN_ADDRESS = re.compile(r"(?i)(?P<front>[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@]+(?=@)")
_ACCESS_KEY = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,124}\b")

Fields = MutableMapping[str, Any]


def configure(stream: TextIO, *, how: str, level: str, in_container: bool) -> None:
    """From here on structlog and the standard library's logging write to `stream`."""
    as_json = how == "json" or (how == "auto" and (in_container or not stream.isatty()))
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(colors=stream.isatty())
    )
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING))  # libraries are heard when something is wrong


def redact(_logger: object, _method: str, fields: Fields) -> Fields:
    """`fields` with what is secret masked, however deep."""
    return {key: _masked(key, value) for key, value in fields.items()}


def _masked(key: str, value: object) -> object:
    if _TELLING.search(key) and isinstance(value, str | bytes) and value:
        return MASK
    match value:
        case str():
            return _ACCESS_KEY.sub(MASK, _IN_ADDRESS.sub(rf"\g<front>{MASK}", value))
        case dict():
            return {name: _masked(str(name), inner) for name, inner in value.items()}
        case list() | tuple():
            return [_masked(key, inner) for inner in value]
        case _:
            return value
