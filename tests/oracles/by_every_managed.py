"""All of AWS's own policies that can be attached, and their copies, judged by iam-simulate."""

import sys
from collections import Counter
from datetime import timedelta

import pytest

from tests.oracles import simulate
from tests.oracles.asking import Catalogue, calls
from tests.oracles.cases import ALLOWED, DENIED, HOURS
from tests.support.aws_managed import attachable
from worker.iam.documents import MANAGED_CHARS_MAX, NotCopyable, minify, timed_copy
from worker.iam.packing import split

BEFORE, AT = HOURS.end - timedelta(seconds=1), HOURS.end


def copies(text: str) -> list[list[str]]:
    """The copy in one document and, if that is too large, in several; none where it is refused."""
    try:
        statements = timed_copy([text], ends_at=HOURS.end)
    except NotCopyable:
        return []
    whole = minify(statements)
    found = [[whole.text]]
    if whole.size > MANAGED_CHARS_MAX:
        found.append([each.text for each in split(statements, MANAGED_CHARS_MAX)])
    return found


def test_before_the_end_every_copy_allows_what_its_source_does_and_at_it_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    catalogue = Catalogue(simulate.catalogue())
    questions = simulate.Questions(lenient=True)
    names = []
    for name, source in attachable().items():
        for copy in copies(source):
            for call in calls(source, catalogue):
                questions.add([source], call, BEFORE)
                questions.add(copy, call, BEFORE)
                questions.add(copy, call, AT)
                names.append((name, len(copy), call))
    letters = questions.verdicts()
    answers = [letters[at : at + 3] for at in range(0, len(letters), 3)]
    wrong = [
        (name, answer)
        for name, answer in zip(names, answers, strict=True)
        if answer not in (DENIED * 3, ALLOWED * 2 + DENIED, "?" * 3)
    ]
    assert wrong == []
    allowed = {
        name for (name, _, _), answer in zip(names, answers, strict=True) if answer[0] == ALLOWED
    }
    seen = Counter(answer[0] for answer in answers)
    documents = {name for name, _, _ in names}
    with capsys.disabled():
        sys.stdout.write(
            f"\niam-simulate: {len(documents):,} of AWS's own policies and their copies, "
            f"{seen[ALLOWED]:,} calls allowed until the end and {seen[DENIED]:,} never; "
            f"{len(allowed):,} policies had a call allowed\n"
        )
    assert len(documents) > 1_150
    assert len(allowed) > 0.9 * len(documents)
    assert seen["?"] < 0.2 * len(answers)
