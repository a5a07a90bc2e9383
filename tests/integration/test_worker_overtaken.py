"""What ends while the account is read is taken once: the reading is older than the removal."""

import json
from datetime import timedelta
from typing import Any

import pytest

from ledger.events import DriftFound, Removed, Stuck
from tests.support.builders import Entry, at, directory, temporary
from tests.support.stage import ANA, PROD, Stage

END = at(4)
LONG = "x" * 130
GUARDED = [
    {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"},
    {"Effect": "Deny", "Action": "s3:DeleteBucket", "Resource": "*"},
]
LARGE = [
    {"Effect": "Allow", "Action": [f"s3:{LONG}{n:03}" for n in range(90)], "Resource": "*"},
]


def of(stage: Stage, statements: list[Entry], **more: Any) -> Entry:
    """A policy of one of AWS's own with this text."""
    text = json.dumps({"Version": "2012-10-17", "Statement": statements})
    return {"managed_policies": [stage.aws.publish("Own", text)], **more}


FORMS: dict[str, dict[str, Any]] = {
    "a copy": {"statements": GUARDED[:1]},
    "an attachment": {"statements": GUARDED, "enforcement": "daemon"},
    "a copy in parts": {"statements": LARGE},
}


@pytest.mark.parametrize("form", FORMS)
async def test_what_ends_while_the_account_is_read_has_not_come_back(
    stage: Stage, form: str
) -> None:
    policies = {"fix": of(stage, **FORMS[form])}
    window = temporary("ana", expires_at=END)
    settings = {"drift": "repair", "managed_principals": ["user/*"]}
    await stage.ingest(directory(policies=policies, windows=[window], settings=settings))
    worker = await stage.start()
    await worker.stop()
    assert stage.inline(ANA) or stage.attached(ANA)

    # The quotas and the reading take two seconds each: it is answered just after the end.
    stage.aws.latency = timedelta(seconds=2)
    await stage.advance_to(END - timedelta(seconds=2.5))
    before = len(stage.aws.calls)
    assert await stage.clock.run(stage.process().once()), "a step of it failed"
    calls = [call for call in stage.aws.calls[before:] if call.account == PROD]
    assert [call.operation for call in calls[:2]] == ["read_limits", "observe"]
    done = [(call.operation, call.about) for call in calls[2:] if call.writes]
    assert done, "it had ended before"
    assert len(done) == len(set(done)), "it was taken again"
    assert stage.inline(ANA) == {}
    assert stage.attached(ANA) == set()
    (removed,) = await stage.of(Removed)
    assert removed.cause == "expired"
    assert await stage.kinds(DriftFound, Stuck) == []
    await stage.verified()
