"""Rehearsals on a stage: what would come of an ingest, in the ledger and in every account."""

import asyncio

from cli.difference import Difference
from cli.rehearsing import words_of
from ledger.account_words import AccountWords
from ledger.ingest import IngestRequest, plan
from ledger.model import AccountId
from ledger.project import GrantRow
from ledger.store.views import closed_rows_of
from tests.support.builders import Files
from tests.support.fake_aws.account import FakeGate
from tests.support.stage import Stage
from worker.metrics import Metrics
from worker.rehearsing.rehearsal import Rehearsal, Rehearsing
from worker.rehearsing.rehearsed import Step


async def foreseen(stage: Stage, files: Files) -> list[AccountWords]:
    """What the ledger would say of each account if `files` were ingested now."""
    now = stage.clock.now()
    report = await plan(stage.ledger, IngestRequest(files=files, now=now, consent=1_000_000))
    return await words_of(stage.ledger, Difference(report, now), frozenset())


async def rehearse(stage: Stage, files: Files) -> dict[AccountId, Rehearsal]:
    """What a worker would do if `files` were ingested now."""
    gate, words = FakeGate(stage.aws), await foreseen(stage, files)

    async def read_closed(account: AccountId, names: list[str]) -> tuple[GrantRow, ...]:
        async with stage.ledger.reading() as connection:
            return await closed_rows_of(connection, account, names)

    rehearsing = Rehearsing(
        gate, stage.clock, read_closed, Metrics(), observing=asyncio.Semaphore(8)
    )
    found = [await stage.clock.run(rehearsing.rehearse(each)) for each in words]
    return {each.account: each for each in found}


def said(step: Step) -> str:
    """A step as the fake names the call."""
    who = "" if step.principal is None else step.principal.kind.value.capitalize()
    call = step.call.replace(f"{who}Policy", "") if who else step.call
    name = {
        "Put": "put_inline",
        "Delete": "delete_inline",
        "Attach": "attach",
        "Detach": "detach",
        "CreatePolicy": "create_policy",
        "CreatePolicyVersion": "create_policy_version",
        "DeletePolicyVersion": "delete_policy_version",
        "DeletePolicy": "delete_policy",
    }[call]
    if step.principal is not None:
        return f"{name} {step.principal.key} {step.name}"
    about = step.name.partition(":policy")[2] if name == "create_policy" else step.name
    return f"{name} {about}"
