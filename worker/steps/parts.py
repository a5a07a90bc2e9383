"""The customer-managed policies over which one timed copy is split: found, made, kept equal.

A part is ours by its path, its tags and the ledger together. One of its name that is not is a
conflict: parked, told, never touched.
"""

from ledger.project import GrantRow
from worker.account import Answer, PrincipalState
from worker.deciding.desired import (
    OBJECT_PREFIX,
    TAG_GRANT,
    arn_prefix,
    policy_path,
    policy_tags,
    same_name,
)
from worker.errors import AwsMissing, AwsRefused
from worker.iam.documents import Document
from worker.iam.forms import own_parts, part_arn
from worker.steps.passing import Pass
from worker.steps.versions import bring_up


def part_tags(now_in: Pass, row: GrantRow) -> dict[str, str]:
    """What marks a part as this ledger's, and as of the grant that its name was made for."""
    first = (row.grant.object or "").removeprefix(OBJECT_PREFIX)
    return policy_tags(now_in.view, row.grant.team, row.grant.policy) | {TAG_GRANT: first}


async def create_part(now_in: Pass, row: GrantRow, arn: str, document: Document) -> Answer:
    """`stood` where it is there already and ours; AwsRefused (`conflict`) where it is not ours."""
    name = arn.rpartition("/")[2]
    path = policy_path(now_in.view)
    tags = part_tags(now_in, row)
    answer = await now_in.aws.create_policy(name=name, path=path, document=document.text, tags=tags)
    if answer.outcome == "stood":
        await _check_ours(now_in, arn, tags)
    else:
        now_in.policy_created()
    return answer


async def rewrite_part(now_in: Pass, arn: str, document: Document) -> tuple[list[Answer], str]:
    """The answers, and the text that stood before; AwsMissing when the policy has gone."""
    standing = await now_in.aws.read_policy(arn)
    if standing is None:
        raise AwsMissing("NoSuchEntity", f"{arn} has gone while it was read")
    return await bring_up(now_in, arn, document, standing), standing.document


async def _check_ours(now_in: Pass, arn: str, mine: dict[str, str]) -> None:
    if not await _is_ours(now_in, arn, mine):
        raise AwsRefused(
            "conflict",
            f"a policy called {arn.rpartition('/')[2]} stands already and has not our tags; it is "
            "not ours and is left alone. Rename or delete it",
        )


async def _is_ours(now_in: Pass, arn: str, mine: dict[str, str]) -> bool:
    try:
        tags = await now_in.aws.read_policy_tags(arn)
    except AwsMissing:
        return False
    return {key: tags.get(key) for key in mine} == mine


async def attached_parts(now_in: Pass, row: GrantRow, state: PrincipalState) -> tuple[str, ...]:
    """The parts on the principal that carry the name of `row`: ours by evidence, or by their tags.

    Another installation of the same files would call its own by the same names.
    """
    name, prefix = row.grant.object, arn_prefix(now_in.view)
    if name is None:
        return ()
    recorded = recorded_parts(now_in, row)
    mine = part_tags(now_in, row)
    return tuple(
        [
            arn
            for arn in own_parts(prefix, name, state.attached)
            if arn in recorded or await _is_ours(now_in, arn, mine)
        ]
    )


def recorded_parts(now_in: Pass, row: GrantRow) -> frozenset[str]:
    """The parts that stand by evidence for `row`, or for what it continues."""
    rows = same_name(now_in.view_of(row.grant.principal), row)
    return frozenset(made.name for each in rows for made in each.made if made.kind == "policy")


async def found_parts(now_in: Pass, row: GrantRow, state: PrincipalState | None) -> tuple[str, ...]:
    """The parts that carry the name of `row`, by AWS itself, evidence of them lost or not.

    Those that hang on the principal, and those that were made and not attached yet: parts are
    made in order, so the first that is not there ends the search.
    """
    name, prefix = row.grant.object, arn_prefix(now_in.view)
    if name is None:
        return ()
    found = [] if state is None else list(await attached_parts(now_in, row, state))
    mine = part_tags(now_in, row)
    number = 1
    while (arn := part_arn(prefix, name, number)) in found or await _is_ours(now_in, arn, mine):
        if arn not in found:
            found.append(arn)
        number += 1
    return tuple(found)
