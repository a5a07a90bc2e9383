"""Oracle two: `@cloud-copilot/iam-simulate`, asked through `node/judge.mjs`.

It takes the instant as part of the question, so that every moment of a row is met exactly.
"""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.oracles.cases import ACCOUNT, HOURS, USER, Asked, Call, context_of

NODE = Path(__file__).parent / "node"
SECONDS_MAX = 600
"""Far more than any list of questions takes: it bounds a hang, and measures nothing."""


@dataclass
class Questions:
    """Many questions, put at once: node itself takes longer to start than to answer a hundred."""

    lenient: bool = False
    """Whether a call that AWS does not have is answered by `?`, instead of refused."""
    _documents: dict[str, int] = field(default_factory=dict)
    _asked: list[dict[str, object]] = field(default_factory=list)

    def add(self, documents: Sequence[str], call: Call, at: datetime) -> None:
        places = [self._documents.setdefault(text, len(self._documents)) for text in documents]
        context = {
            **context_of(call),
            "aws:CurrentTime": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "aws:EpochTime": str(int(at.timestamp())),
        }
        self._asked.append(
            {
                "documents": places,
                "principal": f"arn:aws:iam::{ACCOUNT}:user/{USER}",
                "action": call.action,
                "resource": call.resource.replace("{user}", USER),
                "context": context,
            }
        )

    def verdicts(self) -> str:
        """A letter for each question, in the order they were added."""
        asked = {
            "account": ACCOUNT,
            "documents": list(self._documents),
            "asked": self._asked,
            "lenient": self.lenient,
        }
        found = "".join(_node("judge.mjs", json.dumps(asked)))
        assert len(found) == len(self._asked)
        return found


def catalogue() -> dict[str, list[str]]:
    """Every action that AWS has, with the formats of its resources; none where `*` is all."""
    found: dict[str, list[str]] = _node("catalogue.mjs")
    return found


def _node(script: str, given: str = "") -> Any:
    answer = subprocess.run(
        ["node", NODE / script],
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS_MAX,
    )
    assert answer.returncode == 0, answer.stderr[-4_000:]
    return json.loads(answer.stdout)


def rows(asked: Sequence[Asked]) -> list[str]:
    """For every case with what makes its documents, a letter for each moment."""
    questions = Questions()
    for case, make in asked:
        documents = [*make(case, HOURS, USER), *case.beside_texts(HOURS)]
        for moment in HOURS.moments:
            questions.add(documents, case.call, moment)
    found = questions.verdicts()
    width = len(HOURS.moments)
    return [found[at : at + width] for at in range(0, len(found), width)]
