"""Customer-managed policies one by one: brought up to a text, and taken away whole.

Invariant: the default version is never deleted before another one is the default.
"""

from worker.account import Answer, ManagedPolicyState
from worker.errors import AwsBusy, AwsRefused
from worker.iam.documents import VERSIONS_MAX, Document, canonical
from worker.steps.passing import Pass

CONFLICT = "DeleteConflict"


async def bring_up(
    now_in: Pass, arn: str, document: Document, standing: ManagedPolicyState
) -> list[Answer]:
    """A new default version where the text differs, the oldest other one making room for it."""
    if canonical(standing.document) == document:
        return []
    answers = []
    if len(standing.versions) >= VERSIONS_MAX:
        oldest = next(
            version for version in standing.versions if version != standing.default_version
        )
        answers.append(await now_in.aws.delete_policy_version(arn, oldest))
    answers.append(await now_in.aws.create_policy_version(arn, document.text))
    return answers


async def delete_own(now_in: Pass, arn: str) -> list[Answer]:
    """Deletes a policy that is one grant's alone, without reading it where that is not needed.

    IAM deletes none that has other versions or hangs on anybody: those go first. AwsBusy while
    IAM still sees what has gone already.
    """
    try:
        return [await now_in.aws.delete_policy(arn)]
    except (AwsRefused, AwsBusy) as error:
        if error.code != CONFLICT:
            raise
    standing = await now_in.aws.read_policy(arn)
    if standing is None:
        return []
    holders = await now_in.aws.read_holders(arn)
    answers = [await now_in.aws.detach(principal, arn) for principal in holders]
    others = [version for version in standing.versions if version != standing.default_version]
    answers += [await now_in.aws.delete_policy_version(arn, version) for version in others]
    try:
        return [*answers, await now_in.aws.delete_policy(arn)]
    except AwsRefused as error:
        if error.code != CONFLICT:
            raise
        raise AwsBusy(error.code, error.message) from error
