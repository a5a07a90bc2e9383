"""One AWS account, for real: `worker.account.AwsAccount` over IAM's API.

Sources: IAM API reference. Kinds of principal differ in the names of their operations and in little
else, so an operation's name is put together from the kind.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

from ledger.model import AccountId, Principal, PrincipalKind
from worker.account import (
    POLICIES_MAX,
    AccountLimits,
    AccountState,
    Answer,
    ManagedPolicyState,
    PrincipalState,
    SourceDocument,
)
from worker.aws import details
from worker.aws.calls import Caller, Response
from worker.aws.credentials import KeyCache, bound
from worker.aws.details import version_number
from worker.aws.errors import STALE_KEYS, STANDS
from worker.errors import AwsMissing, AwsRefused, AwsUnanswered

PAGE_ITEMS = 100
"""AWS's own default; each is read without holding up the loop (worker.aws.details)."""

PAGES_MAX = 1_000
"""100,000 entities: beyond IAM's own quotas for one account."""


class InAccount:
    """Calls to IAM with the keys of one account."""

    def __init__(self, account: AccountId, iam: Any, keys: KeyCache, caller: Caller) -> None:
        self.account = account
        self._iam = iam
        self._keys = keys
        self.caller = caller

    async def __call__(self, operation: str, **parameters: Any) -> Response:
        """Once more with new keys where AWS no longer takes the old ones."""
        try:
            return await self._call(operation, parameters)
        except AwsRefused as error:
            if error.code not in STALE_KEYS:
                raise
        self._keys.drop()
        return await self._call(operation, parameters)

    async def enter(self) -> None:
        """Takes keys, unless there are some."""
        await self._keys.get()

    async def _call(self, operation: str, parameters: dict[str, Any]) -> Response:
        with bound(await self._keys.get()):
            return await self.caller(self._iam, operation, **parameters)

    async def pages(self, operation: str, **parameters: Any) -> AsyncIterator[Response]:
        """Every page of a listing; AwsUnanswered for one that does not end."""
        more = dict(parameters)
        for _ in range(PAGES_MAX):
            page = await self(operation, **more)
            yield page
            if not page.get("IsTruncated"):
                return
            more["Marker"] = _next(page, operation)
        raise AwsUnanswered("EndlessList", f"{operation} gave {PAGES_MAX} pages and no end")


class RealAccount:
    """Implements `AwsAccount` and `AwsTagging`."""

    def __init__(self, account: AccountId, call: InAccount) -> None:
        self.account = account
        self._call = call

    async def enter(self) -> None:
        await self._call.enter()

    # --- reading ------------------------------------------------------------------------------

    async def observe(self) -> AccountState:
        principals: dict[str, PrincipalState] = {}
        policies: dict[str, ManagedPolicyState] = {}
        async for answer in self._call.pages(
            details.OPERATION,
            Filter=["User", "Role", "Group", "LocalManagedPolicy"],
            MaxItems=PAGE_ITEMS,
        ):
            page: details.Page = answer[details.PAGE]
            principals |= {found.principal.key: found for found in page.principals}
            policies |= {policy.name.casefold(): policy for policy in page.policies}
        return AccountState(principals, policies)

    async def read_limits(self) -> AccountLimits:
        told = (await self._call("GetAccountSummary"))["SummaryMap"]
        quotas = {
            kind: told.get(f"AttachedPoliciesPer{_title(kind)}Quota") for kind in PrincipalKind
        }
        return AccountLimits(
            attached={kind: quota for kind, quota in quotas.items() if quota is not None},
            policies_max=told.get("PoliciesQuota", POLICIES_MAX),
            policies=told.get("Policies"),
        )

    async def read_principal(self, principal: Principal) -> PrincipalState | None:
        kind, who = principal.kind, _who(principal)
        try:
            # A group's answer lists its members, of which we ask for the fewest.
            few = {"MaxItems": 1} if kind is PrincipalKind.GROUP else {}
            found = (await self._call(f"Get{_title(kind)}", **who, **few))[_title(kind)]
            names: list[str] = []
            async for page in self._call.pages(f"List{_title(kind)}Policies", **who):
                names += page["PolicyNames"]
            inline = {name: await self._inline(kind, who, name) for name in names}
            attached: list[str] = []
            async for page in self._call.pages(f"ListAttached{_title(kind)}Policies", **who):
                attached += [item["PolicyArn"] for item in page["AttachedPolicies"]]
        except AwsMissing:
            return None
        return PrincipalState(
            principal=_principal(kind, found),
            unique_id=found[f"{_title(kind)}Id"],
            inline={name: text for name, text in inline.items() if text is not None},
            attached=frozenset(attached),
            created_at=_utc(found["CreateDate"]),
        )

    async def _inline(self, kind: PrincipalKind, who: dict[str, str], name: str) -> str | None:
        """None where it went between the listing and now."""
        try:
            answer = await self._call(f"Get{_title(kind)}Policy", **who, PolicyName=name)
        except AwsMissing:
            return None
        return _text(answer["PolicyDocument"])

    async def read_policy(self, arn: str) -> ManagedPolicyState | None:
        try:
            policy = (await self._call("GetPolicy", PolicyArn=arn))["Policy"]
            versions: list[str] = []
            async for page in self._call.pages("ListPolicyVersions", PolicyArn=arn):
                versions += [item["VersionId"] for item in page["Versions"]]
            source = await self._version(arn, policy["DefaultVersionId"])
        except AwsMissing:
            return None
        return ManagedPolicyState(
            name=policy["PolicyName"],
            path=policy["Path"],
            arn=arn,
            document=source.document,
            default_version=source.version,
            versions=tuple(sorted(versions, key=version_number)),
        )

    async def read_policy_tags(self, arn: str) -> dict[str, str]:
        tags: dict[str, str] = {}
        async for page in self._call.pages("ListPolicyTags", PolicyArn=arn):
            tags |= {tag["Key"]: tag["Value"] for tag in page["Tags"]}
        return tags

    async def read_holders(self, arn: str) -> tuple[Principal, ...]:
        found: list[Principal] = []
        async for page in self._call.pages("ListEntitiesForPolicy", PolicyArn=arn):
            for kind in PrincipalKind:
                items = page.get(f"Policy{_title(kind)}s", ())
                found += [Principal(kind, item[f"{_title(kind)}Name"]) for item in items]
        return tuple(found)

    async def read_source(self, arn: str, version: str | None = None) -> SourceDocument:
        if version is None:
            policy = (await self._call("GetPolicy", PolicyArn=arn))["Policy"]
            version = str(policy["DefaultVersionId"])
        return await self._version(arn, version)

    async def _version(self, arn: str, version: str) -> SourceDocument:
        answer = await self._call("GetPolicyVersion", PolicyArn=arn, VersionId=version)
        return SourceDocument(arn, version, _text(answer["PolicyVersion"]["Document"]))

    # --- writing ------------------------------------------------------------------------------

    async def put_inline(self, principal: Principal, name: str, document: str) -> Answer:
        operation = f"Put{_title(principal.kind)}Policy"
        parameters = {**_who(principal), "PolicyName": name, "PolicyDocument": document}
        return self._answer(await self._call(operation, **parameters))

    async def delete_inline(self, principal: Principal, name: str) -> Answer:
        operation = f"Delete{_title(principal.kind)}Policy"
        return await self._remove(operation, **_who(principal), PolicyName=name)

    async def attach(self, principal: Principal, arn: str) -> Answer:
        operation = f"Attach{_title(principal.kind)}Policy"
        return self._answer(await self._call(operation, **_who(principal), PolicyArn=arn))

    async def detach(self, principal: Principal, arn: str) -> Answer:
        operation = f"Detach{_title(principal.kind)}Policy"
        return await self._remove(operation, **_who(principal), PolicyArn=arn)

    async def create_policy(
        self, *, name: str, path: str, document: str, tags: dict[str, str]
    ) -> Answer:
        try:
            answer = await self._call(
                "CreatePolicy",
                PolicyName=name,
                Path=path,
                PolicyDocument=document,
                Tags=[{"Key": key, "Value": value} for key, value in sorted(tags.items())],
            )
        except AwsRefused as error:
            if error.code != STANDS:
                raise
            return self._answer({}, "stood")
        return self._answer(answer, arn=answer["Policy"]["Arn"])

    async def create_policy_version(self, arn: str, document: str) -> Answer:
        return self._answer(
            await self._call(
                "CreatePolicyVersion", PolicyArn=arn, PolicyDocument=document, SetAsDefault=True
            )
        )

    async def delete_policy_version(self, arn: str, version: str) -> Answer:
        return await self._remove("DeletePolicyVersion", PolicyArn=arn, VersionId=version)

    async def delete_policy(self, arn: str) -> Answer:
        return await self._remove("DeletePolicy", PolicyArn=arn)

    async def tag_policy(self, arn: str, tags: dict[str, str]) -> Answer:
        wanted = [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
        return self._answer(await self._call("TagPolicy", PolicyArn=arn, Tags=wanted))

    async def _remove(self, operation: str, **parameters: Any) -> Answer:
        """A removal of what is not there is done."""
        try:
            return self._answer(await self._call(operation, **parameters))
        except AwsMissing:
            return self._answer({}, "absent")

    def _answer(
        self,
        answer: Response,
        outcome: Literal["done", "stood", "absent"] = "done",
        arn: str | None = None,
    ) -> Answer:
        request_id = str(answer.get("ResponseMetadata", {}).get("RequestId", ""))
        return Answer(outcome, request_id, self._call.caller.clock.now(), arn)


def _next(page: Response, operation: str) -> str:
    """Where the listing goes on; AwsUnanswered where it goes on and does not say where."""
    marker = page.get("Marker")
    if not marker:
        raise AwsUnanswered("NoMarker", f"{operation} says that there is more, and not where")
    return str(marker)


# --- IAM's shapes as ours -----------------------------------------------------------------------


def _title(kind: PrincipalKind) -> str:
    """`User`, as IAM's operations and answers name the kind."""
    return kind.value.capitalize()


def _who(principal: Principal) -> dict[str, str]:
    return {f"{_title(principal.kind)}Name": principal.name}


def _principal(kind: PrincipalKind, item: Response) -> Principal:
    return Principal(kind, item[f"{_title(kind)}Name"], item["Path"])


def _text(document: object) -> str:
    """A document as text: botocore has decoded and parsed what IAM sent."""
    return document if isinstance(document, str) else orjson.dumps(document).decode()


def _utc(instant: datetime) -> datetime:
    return instant.astimezone(UTC)
