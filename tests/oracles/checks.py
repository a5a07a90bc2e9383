"""What every oracle is held to: its own verdict on each row, and that no planted error passes.

The functions take the oracle as what answers rows, and say what is wrong; nothing wrong is empty.
"""

import json
from collections.abc import Callable, Sequence

from tests.oracles.cases import HOURS, USER, Asked, Case, Documents, sources_of
from tests.oracles.copies import Mutant, copy_of

Rows = Callable[[Sequence[Asked]], list[str]]
"""An oracle: for each case with what makes its documents, a letter for each moment."""


def disagreements(rows: Rows, sources: Sequence[Case], copies: Sequence[Case]) -> list[str]:
    """Where the oracle's letters are not those of the table."""
    asked: list[Asked] = [(case, sources_of) for case in sources]
    asked += [(case, copy_of) for case in copies]
    wanted = [case.source for case in sources] + [case.copy for case in copies]
    names = ["the source"] * len(sources) + ["the copy"] * len(copies)
    return [
        f"{case}: {name} is judged {found}, and the table says {want}"
        for (case, _), name, want, found in zip(asked, names, wanted, rows(asked), strict=True)
        if found != want
    ]


def caught(rows: Rows, mutants: Sequence[Mutant], copies: Sequence[Case]) -> dict[str, list[str]]:
    """Mutant -> the rows that are judged otherwise than the table says, given its wrong copies.

    Only rows whose copy it changes are asked.
    """
    asked = [
        (mutant, case)
        for mutant in mutants
        for case in copies
        if _parsed(mutant.make, case) != _parsed(copy_of, case)
    ]
    answers = rows([(case, mutant.make) for mutant, case in asked])
    found: dict[str, list[str]] = {mutant.name: [] for mutant in mutants}
    for (mutant, case), answer in zip(asked, answers, strict=True):
        if answer != case.copy:
            found[mutant.name].append(str(case))
    return found


def _parsed(make: Documents, case: Case) -> list[object]:
    return [json.loads(document) for document in make(case, HOURS, USER)]


def told(oracle: str, found: dict[str, list[str]]) -> str:
    """Which error was caught by how many rows."""
    lines = [f"\n{oracle}: the rows that fail for each planted error"]
    lines += [
        f"  {name:<42} {len(names):>3}  {names[0] if names else 'NOT CAUGHT'}"
        for name, names in found.items()
    ]
    return "\n".join(lines) + "\n"
