"""What GetAccountAuthorizationDetails says, read out of its XML by ourselves, page by page.

botocore makes everything of it into dictionaries, dates and parsed documents, most of which nobody
looks at, and holds the loop for 40 ms a hundred entities. Invariants: a page is read whole or not
at all; what is read of it is what botocore reads (a test holds it); nobody else waits for more than
a few milliseconds meanwhile, however large it is.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

from aiobotocore.parsers import AioResponseParserFactory
from botocore.model import Shape
from botocore.parsers import ResponseParserError
from botocore.utils import parse_timestamp

from ledger.model import Principal, PrincipalKind
from worker.account import ManagedPolicyState, PrincipalState

OPERATION = "GetAccountAuthorizationDetails"

PAGE = "Page"
"""Where a `Page` stands in the answer to the operation."""

CHUNK_BYTES = 65_536
"""Of XML, read at one time: about a millisecond."""

ENTITY_CHARS = 100_000
"""Of documents, decoded at one time: about two milliseconds."""

_FORBIDDEN = b"<!DOCTYPE"
"""IAM has none. Entities that one declares could make a short answer endless."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page, whole."""

    principals: tuple[PrincipalState, ...]
    policies: tuple[ManagedPolicyState, ...]
    marker: str | None
    """Where the next page begins; None: this is the last."""
    request_id: str


async def read_page(body: bytes) -> Page:
    """ResponseParserError for what is not a whole page, or not one at all."""
    try:
        return await _read(body)
    except (ParseError, ValueError, KeyError) as error:
        raise ResponseParserError(f"no page of {OPERATION}: {error}") from error


# --- for the SDK ----------------------------------------------------------------------------------


class Parsers(AioResponseParserFactory):
    """The SDK's own parsers, which leave that one answer to us."""

    def create_parser(self, protocol_name: str) -> Any:
        return _Parser(super().create_parser(protocol_name))


class _Parser:
    def __init__(self, own: Any) -> None:
        self._own = own

    async def parse(self, response: Mapping[str, Any], shape: Shape | None) -> Any:
        """Errors of the operation are read by the SDK, as those of all others."""
        ours = shape is not None and shape.name == f"{OPERATION}Response"
        if not ours or response["status_code"] >= 300:
            return await self._own.parse(response, shape)
        page = await read_page(response["body"])
        headers = {name.lower(): value for name, value in response["headers"].items()}
        more = {} if page.marker is None else {"Marker": page.marker}
        return {
            PAGE: page,
            "IsTruncated": page.marker is not None,
            **more,
            "ResponseMetadata": {
                "RequestId": page.request_id,
                "HTTPStatusCode": response["status_code"],
                "HTTPHeaders": headers,
            },
        }


def _title(kind: PrincipalKind) -> str:
    return kind.value.capitalize()


_READ = frozenset(
    {
        *(f"{_title(kind)}{what}" for kind in PrincipalKind for what in ("Name", "Id")),
        *(f"{_title(kind)}{what}List" for kind in PrincipalKind for what in ("Detail", "Policy")),
        *("Path", "CreateDate", "AttachedManagedPolicies", "PolicyName", "PolicyDocument"),
        *("PolicyArn", "Policies", "Arn", "DefaultVersionId", "PolicyVersionList", "VersionId"),
        *("Document", "IsTruncated", "Marker", "RequestId", "ResponseMetadata"),
        f"{OPERATION}Result",
    }
)
"""All that is looked at. Two of a name would leave it open which of them is meant."""

# --- reading --------------------------------------------------------------------------------------


async def _read(body: bytes) -> Page:
    answer = await _tree(body)
    if _name(answer) != f"{OPERATION}Response":
        raise ValueError(f"it is a {_name(answer)}")
    parts = _parts(answer)
    result = _parts(parts[f"{OPERATION}Result"])
    principals = [
        _principal(kind, entity)
        for kind in PrincipalKind
        async for entity in _unhurried(_items(result, f"{_title(kind)}DetailList"))
    ]
    policies = [_policy(entity) async for entity in _unhurried(_items(result, "Policies"))]
    more = {"true": True, "false": False}[_text(result["IsTruncated"])]
    about = _parts(parts["ResponseMetadata"]) if "ResponseMetadata" in parts else {}
    return Page(
        principals=tuple(principals),
        policies=tuple(policies),
        marker=_text(result["Marker"]) if more else None,
        request_id=_text(about["RequestId"]) if "RequestId" in about else "",
    )


async def _tree(body: bytes) -> Element:
    if _FORBIDDEN in body:
        raise ValueError("it declares a document type")
    parser = XMLParser(target=TreeBuilder(), encoding="utf-8")  # noqa: S314 - see _FORBIDDEN
    for start in range(0, len(body), CHUNK_BYTES):
        if start:
            await asyncio.sleep(0)
        parser.feed(body[start : start + CHUNK_BYTES])
    root: Element = parser.close()
    return root


async def _unhurried(entities: Iterator[Element]) -> AsyncIterator[dict[str, Element]]:
    """Each entity's parts; others get their turn after so many characters."""
    chars = 0
    for entity in entities:
        parts = _parts(entity)
        yield parts
        chars += 1_000 + sum(map(len, entity.itertext()))
        if chars >= ENTITY_CHARS:
            chars = 0
            await asyncio.sleep(0)


def _principal(kind: PrincipalKind, parts: dict[str, Element]) -> PrincipalState:
    texts = (_parts(each) for each in _items(parts, f"{_title(kind)}PolicyList"))
    attached = (_parts(each) for each in _items(parts, "AttachedManagedPolicies"))
    return PrincipalState(
        principal=Principal(kind, _text(parts[f"{_title(kind)}Name"]), _text(parts["Path"])),
        unique_id=_text(parts[f"{_title(kind)}Id"]),
        inline={_text(each["PolicyName"]): _document(each["PolicyDocument"]) for each in texts},
        attached=frozenset(_text(each["PolicyArn"]) for each in attached),
        created_at=_instant(_text(parts["CreateDate"])),
    )


def _policy(parts: dict[str, Element]) -> ManagedPolicyState:
    versions = [_parts(each) for each in _items(parts, "PolicyVersionList")]
    by_id = {_text(each["VersionId"]): each for each in versions}
    arn, default = _text(parts["Arn"]), _text(parts["DefaultVersionId"])
    return ManagedPolicyState(
        # The name stands in the ARN too; moto leaves it out beside it.
        name=arn.rpartition("/")[2],
        path=_text(parts["Path"]),
        arn=arn,
        document=_document(by_id[default]["Document"]),
        default_version=default,
        versions=tuple(sorted(by_id, key=version_number)),
    )


def version_number(version: str) -> int:
    """`v12` -> 12: versions count up."""
    return int(version.removeprefix("v"))


# --- XML ------------------------------------------------------------------------------------------


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _parts(element: Element) -> dict[str, Element]:
    """What stands in it, by name. What nobody here reads may stand there as often as it will."""
    parts: dict[str, Element] = {}
    for each in element:
        if parts.setdefault(_name(each), each) is not each and _name(each) in _READ:
            raise ValueError(f"{_name(each)} stands twice in {_name(element)}")
    return parts


def _items(parts: dict[str, Element], name: str) -> Iterator[Element]:
    """The members of a list; one that is left out is empty."""
    return iter(parts.get(name, ()))


def _text(element: Element) -> str:
    return element.text or ""


def _document(element: Element) -> str:
    """IAM sends policies URL-encoded (RFC 3986), as the text that somebody has put there."""
    return unquote(_text(element))


def _instant(text: str) -> datetime:
    """As IAM writes it, which Python reads at once, or in another of AWS's forms."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = parse_timestamp(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
