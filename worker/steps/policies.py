"""The customer-managed policies behind permanent grants: made, kept equal, taken away.

A policy is ours by its path, its tags and the ledger together; its tags are read before its first
change or deletion. A foreign policy under our name is a conflict: parked, told, never touched.
"""

from datetime import datetime

import structlog

from ledger.events import Made, PolicyDeleted, PolicyWritten
from ledger.project import GrantRow
from ledger.state import DefinedPolicy
from worker.account import Answer
from worker.deciding.desired import (
    TAG_LEDGER,
    TAG_POLICY,
    TAG_TEAM,
    WantedPolicy,
    customer_arn,
    policy_tags,
)
from worker.deciding.plan import DeletePolicy, WritePolicy
from worker.errors import AwsMissing, AwsRefused
from worker.iam.documents import MANAGED_CHARS_MAX, Document
from worker.iam.forms import CannotStand
from worker.steps.outcomes import TEXT_REFUSED, refuse
from worker.steps.passing import Pass
from worker.steps.removing import remove_due
from worker.steps.versions import bring_up
from worker.timing import writable

log = structlog.get_logger()


async def write_policies(now_in: Pass, steps: tuple[WritePolicy, ...]) -> None:
    def turn(step: WritePolicy) -> datetime:
        subject = ("policy", step.wanted.team, step.wanted.policy)
        return now_in.context.parking.turn(subject)

    for step in sorted(steps, key=turn):
        now_in.check_adding()
        await remove_due(now_in)
        key = (step.wanted.team, step.wanted.policy)
        if await now_in.attempt(("policy", *key), _write(now_in, step), policy=key):
            await now_in.tell_unstuck(*key)


async def delete_policies(now_in: Pass, steps: tuple[DeletePolicy, ...]) -> None:
    for step in steps:
        now_in.check_stop()
        await remove_due(now_in)
        key = (step.team, step.policy)
        if await now_in.attempt(("policy", *key), _delete(now_in, step), policy=key):
            await now_in.tell_unstuck(*key)


async def _write(now_in: Pass, step: WritePolicy) -> None:
    wanted = step.wanted
    try:
        document = _writable(wanted)
        standing = await now_in.aws.read_policy(wanted.arn)
        arn = wanted.arn
        if standing is None:
            answers = [await _create(now_in, wanted, document)]
            arn = answers[0].arn or customer_arn(now_in.context.account, wanted.path, wanted.name)
        else:
            await _check_ours(now_in, wanted)
            answers = await bring_up(now_in, wanted.arn, document, standing)
    except AwsRefused as error:
        if error.code in TEXT_REFUSED:
            await _withdraw(now_in, wanted, error)
        raise
    event = PolicyWritten(
        account=now_in.context.account,
        team=wanted.team,
        policy=wanted.policy,
        made=Made("policy", arn, document.sha256),
        policy_position=wanted.position,
        requests=tuple(answer.request_id for answer in answers if answer.request_id),
        confirmed_at=max((answer.confirmed_at for answer in answers), default=now_in.now),
    )
    known = now_in.view.object_positions.get((wanted.team, wanted.policy), 0)
    await now_in.record(event, cause=max(wanted.position, known))
    now_in.context.metrics.steps.labels(step.reason).inc()
    log.info("policy_written", policy=wanted.name, reason=step.reason)


def _writable(wanted: WantedPolicy) -> Document:
    """The text of `wanted`; AwsRefused where there can be none, or IAM would not take it."""
    document = wanted.document
    if document is None:
        raise AwsRefused("MalformedPolicyDocument", f"policy `{wanted.policy}`: {wanted.why}")
    if document.size > MANAGED_CHARS_MAX:
        raise AwsRefused(
            "LimitExceeded",
            f"policy `{wanted.policy}` takes {document.size:,} characters; a managed policy has "
            f"room for {MANAGED_CHARS_MAX:,}. Split it into two policies",
        )
    return document


async def _withdraw(now_in: Pass, wanted: WantedPolicy, error: AwsRefused) -> None:
    """Takes the old text from whoever has it by us: reviewers have changed it."""
    defined = now_in.view.policies[wanted.team, wanted.policy]
    for row in now_in.view.rows:
        refused = row.trouble is not None and row.trouble.kind == "refused"
        told = refused and row.policy_position == defined.position
        if told or not writable(row, now_in.now):
            continue
        if any(made.name == wanted.arn for made in row.made):
            now_in.check_stop()
            await now_in.attempt(row.key, _refuse(now_in, row, defined, error), row=row)


async def _refuse(now_in: Pass, row: GrantRow, defined: DefinedPolicy, error: AwsRefused) -> None:
    state = await now_in.aws.read_principal(row.grant.principal)
    if state is not None:
        why = f"the policy's new text cannot be written, and the old one was withdrawn: {error}"
        await refuse(now_in, row, defined, CannotStand(error.code, why), state)


async def _create(now_in: Pass, wanted: WantedPolicy, document: Document) -> Answer:
    limits = now_in.context.limits
    if limits.policies is not None and limits.policies >= limits.policies_max:
        raise AwsRefused(
            "LimitExceeded",
            f"the account holds {limits.policies:,} of {limits.policies_max:,} customer-managed "
            f"policies, so that `{wanted.policy}` cannot be made. Delete some, or have the quota "
            "raised",
        )
    answer = await now_in.aws.create_policy(
        name=wanted.name,
        path=wanted.path,
        document=document.text,
        tags=dict(wanted.tags),
    )
    if answer.outcome == "stood":
        raise AwsRefused(
            "conflict",
            f"a policy called {wanted.name} stands outside {wanted.path}; it is not ours and is "
            "left alone. Take it over (`iam-ledger adopt`), rename or delete it, or rename the "
            "policy in the YAML",
        )
    now_in.policy_created()
    return answer


async def _check_ours(now_in: Pass, wanted: WantedPolicy) -> None:
    tags = await now_in.aws.read_policy_tags(wanted.arn)
    mine = policy_tags(now_in.view, wanted.team, wanted.policy)
    if {key: tags.get(key) for key in mine} != mine:
        raise AwsRefused("conflict", _foreign(wanted.arn, tags))


def _foreign(arn: str, tags: dict[str, str]) -> str:
    shown = ", ".join(f"{key}={tags.get(key, '-')}" for key in (TAG_LEDGER, TAG_TEAM, TAG_POLICY))
    return (
        f"{arn} stands without our tags ({shown}): another installation's, or made by hand. It is "
        "left alone. Take it over (`iam-ledger adopt`), delete it, or give this ledger another "
        "`policy_path`"
    )


async def _delete(now_in: Pass, step: DeletePolicy) -> None:
    standing = await now_in.aws.read_policy(step.arn)
    answers: list[Answer] = []
    if standing is not None:
        await _check_deletable(now_in, step)
        others = [v for v in standing.versions if v != standing.default_version]
        answers += [await now_in.aws.delete_policy_version(step.arn, v) for v in others]
        answers.append(await now_in.aws.delete_policy(step.arn))
    event = PolicyDeleted(
        account=now_in.context.account,
        team=step.team,
        policy=step.policy,
        policy_arn=step.arn,
        outcome="answered" if answers and answers[-1].outcome == "done" else "found_absent",
        requests=tuple(answer.request_id for answer in answers if answer.request_id),
        confirmed_at=max((answer.confirmed_at for answer in answers), default=now_in.now),
    )
    await now_in.record(event, cause=step.cause)
    now_in.context.metrics.steps.labels("end").inc()
    log.info("policy_deleted", policy=step.policy, outcome=event.outcome)


async def _check_deletable(now_in: Pass, step: DeletePolicy) -> None:
    try:
        tags = await now_in.aws.read_policy_tags(step.arn)
    except AwsMissing:
        return  # gone meanwhile: the deletion will find it absent
    mine = policy_tags(now_in.view, step.team, step.policy)
    if {key: tags.get(key) for key in mine} != mine:
        raise AwsRefused("conflict", _foreign(step.arn, tags))
