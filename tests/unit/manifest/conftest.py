"""Whatever a test here has the parser take is held against the schemas too."""

import pytest

from ledger.manifest import Reading
from ledger.manifest.reading import _Reader
from tests.support.json_schema import marked

SIZE_MAX_BYTES = 20_000
"""Larger files are many times the same."""


@pytest.fixture(autouse=True)
def no_editor_marks_what_the_parser_takes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Answers the files that were compared."""
    read, compared = _Reader.read, list[str]()

    def both(reader: _Reader) -> Reading:
        found = read(reader)
        if found.manifest is not None and reader.asked is None:
            for path in found.manifest.files:
                if len(reader.files[path]) <= SIZE_MAX_BYTES:
                    assert marked(path, reader.files[path]) == [], (path, reader.files[path])
                    compared.append(path)
        return found

    monkeypatch.setattr(_Reader, "read", both)
    return compared
