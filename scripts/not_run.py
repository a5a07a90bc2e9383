"""Lists the tests that pytest left out, with their reasons, from its JUnit report.

Invariant: what did not run is never passed over in silence; a report that is missing or unreadable
is a failure. A test that lacks a tool skips itself with a reason that starts with `needs `.
"""

import os
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from xml.etree import ElementTree

SHOWN_MAX = 5
"""Test names listed a reason; the rest are counted."""


def read_skips(report: Path) -> dict[str, list[str]]:
    """Reason -> the tests it kept from running, expected failures among them."""
    skips: dict[str, list[str]] = defaultdict(list)
    # pytest wrote this file a moment ago: it is no stranger's XML.
    root = ElementTree.parse(report).getroot()  # noqa: S314  # pytest wrote it
    for case in root.iter("testcase"):
        for skipped in case.iter("skipped"):
            reason = skipped.get("message") or "no reason given"
            if skipped.get("type") == "pytest.xfail":
                reason = f"expected to fail: {reason}"
            name = "::".join(part for part in (case.get("classname"), case.get("name")) if part)
            skips[reason].append(name)
    return dict(skips)


def render(skips: Mapping[str, list[str]]) -> Iterable[str]:
    """The lines that close `scripts/test`."""
    if not skips:
        yield "no test was skipped"
    for reason, names in sorted(skips.items()):
        yield f"{len(names)} not run: {reason}"
        yield from (f"    {name}" for name in names[:SHOWN_MAX])
        if len(names) > SHOWN_MAX:
            yield f"    and {len(names) - SHOWN_MAX} more"


def main(report: Path, *, refuse: bool) -> int:
    """Prints what was left out; 1 when nothing can be said, or when skips are refused and exist."""
    try:
        skips = read_skips(report)
    except (OSError, ElementTree.ParseError) as error:
        print(f"pytest left no report that can be read: {error}")
        return 1
    for line in render(skips):
        print(line)
    if refuse and skips:
        print("IAM_LEDGER_SKIPS=refused: here every tool is expected, so this is a failure")
        return 1
    return 0


if __name__ == "__main__":
    refused = os.environ.get("IAM_LEDGER_SKIPS") == "refused"
    sys.exit(main(Path(sys.argv[1]), refuse=refused))
