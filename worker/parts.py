"""The customer-managed policies over which one timed copy is split: found, made, kept equal.

A part is ours by its path, its tags and the ledger together. One of its name that is not is a
conflict: parked, told, never touched.
"""

from ledger.project import GrantRow
from worker.account import Answer, PrincipalState
from worker.desired import OBJECT_PREFIX, TAG_GRANT, arn_prefix, policy_path, policy_tags
from worker.documents import Document
from worker.errors import AwsMissing, AwsRefused
from worker.forms import own_parts, part_arn
from worker.passing import Pass
from worker.versions import bring_up


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
    try:
        tags = await now_in.aws.read_policy_tags(arn)
    except AwsMissing:
        tags = {}
    if {key: tags.get(key) for key in mine} != mine:
        raise AwsRefused(
            "conflict",
            f"a policy called {arn.rpartition('/')[2]} stands already and has not our tags; it is "
            "not ours and is left alone. Rename or delete it",
        )


async def found_parts(now_in: Pass, row: GrantRow, state: PrincipalState | None) -> tuple[str, ...]:
    """The parts that carry the name of `row`, by AWS itself, evidence of them lost or not.

    Those that hang on the principal, and those that were made and not attached yet: parts are
    made in order, so the first that is not there ends the search.
    """
    name, prefix = row.grant.object, arn_prefix(now_in.view)
    if name is None:
        return ()
    attached = frozenset[str]() if state is None else state.attached
    found = list(own_parts(prefix, name, attached))
    mine = part_tags(now_in, row)
    number = 1
    while True:
        arn = part_arn(prefix, name, number)
        number += 1
        if arn in found:
            continue
        try:
            tags = await now_in.aws.read_policy_tags(arn)
        except AwsMissing:
            return tuple(found)
        if {key: tags.get(key) for key in mine} != mine:
            return tuple(found)
        found.append(arn)
