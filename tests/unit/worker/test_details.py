"""GetAccountAuthorizationDetails as we read it is as botocore reads it; what is not a whole page is
none at all; and a page holds nobody up, however large it is.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape

import orjson
import pytest
from aiobotocore.parsers import AioResponseParserFactory
from botocore.handlers import json_decode_policies
from botocore.parsers import ResponseParserError
from botocore.session import get_session
from hypothesis import given
from hypothesis import strategies as st

from ledger.model import Principal, PrincipalKind
from worker.account import ManagedPolicyState, PrincipalState
from worker.aws.details import CHUNK_BYTES, OPERATION, PAGE, Page, Parsers, read_page
from worker.iam.documents import canonical

MODEL = get_session().get_service_model("iam").operation_model(OPERATION)
SHAPE: Any = MODEL.output_shape
KINDS = ("User", "Role", "Group")
SPACE = "https://iam.amazonaws.com/doc/2010-05-08/"

Entity = dict[str, Any]
"""One principal or policy, as the generator below makes them."""


# --- pages as AWS writes them ---------------------------------------------------------------------


def element(name: str, inside: str) -> str:
    return f"<{name}>{inside}</{name}>" if inside else f"<{name}/>"


def text(name: str, value: str) -> str:
    return element(name, escape(value))


def members(name: str, items: list[str]) -> str:
    return element(name, "".join(element("member", item) for item in items))


def attached_xml(arns: list[str]) -> str:
    pairs = [text("PolicyName", arn[-5:]) + text("PolicyArn", arn) for arn in arns]
    return members("AttachedManagedPolicies", pairs)


def principal_xml(kind: str, told: Entity) -> str:
    inline = [
        text("PolicyName", name) + text("PolicyDocument", quote(document))
        for name, document in told["inline"].items()
    ]
    parts = [
        text("Path", told["path"]),
        text(f"{kind}Name", told["name"]),
        text(f"{kind}Id", told["id"]),
        text("Arn", f"arn:aws:iam::1:{kind.lower()}{told['path']}{told['name']}"),
        text("CreateDate", told["created"]),
        members(f"{kind}PolicyList", inline),
        attached_xml(told["attached"]),
    ]
    if kind == "User":
        parts.append(members("GroupList", ["admins & others".replace("&", "&amp;")]))
    if kind == "Role":
        trust = quote('{"Statement":[{"Action":"sts:AssumeRole"}]}')
        parts.append(text("AssumeRolePolicyDocument", trust))
        profile = text("InstanceProfileName", "web") + members("Roles", [text("RoleName", "web")])
        parts.append(members("InstanceProfileList", [profile + text("Path", "/profiles/")]))
        parts.append(element("RoleLastUsed", text("Region", "eu-west-1")))
    if kind != "Group":
        parts.append(members("Tags", [text("Key", "team") + text("Value", "a<b>&c")]))
    return "".join(parts + told["extra"])


def policy_xml(told: Entity) -> str:
    versions = [
        text("VersionId", f"v{number}")
        + text("IsDefaultVersion", str(number == told["default"]).lower())
        + text("CreateDate", told["created"])
        + text("Document", quote(document))
        for number, document in told["versions"].items()
    ]
    parts = [
        text("PolicyId", told["id"]),
        text("Arn", f"arn:aws:iam::1:policy{told['path']}{told['name']}"),
        text("Path", told["path"]),
        text("DefaultVersionId", f"v{told['default']}"),
        text("AttachmentCount", "3"),
        members("PolicyVersionList", versions),
    ]
    return "".join(parts + told["extra"])


def page_xml(told: Mapping[str, list[Entity]], marker: str | None = None, more: str = "") -> bytes:
    lists = [
        members(f"{kind}DetailList", [principal_xml(kind, each) for each in told.get(kind, [])])
        for kind in KINDS
    ]
    lists.append(members("Policies", [policy_xml(each) for each in told.get("Policy", [])]))
    lists.append(text("IsTruncated", str(marker is not None).lower()))
    if marker is not None:
        lists.append(text("Marker", marker))
    inside = element(f"{OPERATION}Result", "".join(lists) + more)
    inside += element("ResponseMetadata", text("RequestId", "request-1"))
    root = f'<?xml version="1.0"?>\n<{OPERATION}Response xmlns="{SPACE}">\n{inside}\n'
    return f"{root}</{OPERATION}Response>".encode()


DOCUMENT = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*"}}'


def principal(name: str = "ana", **told: Any) -> Entity:
    made = {"path": "/", "id": f"AIDA{name}", "created": "2024-01-01T00:00:00Z", "extra": []}
    return {"name": name, "inline": {}, "attached": [], **made, **told}


def policy(name: str = "p", **told: Any) -> Entity:
    made = {"path": "/x/", "id": "ANPA", "created": "2024-01-01T00:00:00Z", "extra": []}
    return {"name": name, "versions": {1: DOCUMENT}, "default": 1, **made, **told}


WHOLE: dict[str, list[Entity]] = {
    "User": [principal("ana", inline={"a": DOCUMENT}, attached=["arn:aws:iam::aws:policy/X"])],
    "Role": [principal("web", path="/service/")],
    "Group": [principal("admins", inline={"g": DOCUMENT})],
    "Policy": [policy(versions={1: DOCUMENT, 2: '{"Statement":[]}', 10: "{}"}, default=10)],
}


# --- as botocore reads them -----------------------------------------------------------------------


def answer(body: bytes, status: int = 200) -> dict[str, Any]:
    headers = {"Date": "Mon, 02 Mar 2026 12:00:00 GMT", "X-Amzn-RequestId": "request-1"}
    return {"status_code": status, "body": body, "headers": headers, "context": {}}


async def by_botocore(body: bytes) -> dict[str, Any]:
    parser = AioResponseParserFactory().create_parser("query")
    found: dict[str, Any] = await parser.parse(answer(body), SHAPE)
    json_decode_policies(found, MODEL)
    return found


def same(document: object) -> object:
    """A document's meaning: botocore has decoded what IAM sent."""
    if isinstance(document, str):
        try:
            return canonical(document).text
        except ValueError:
            return document
    return canonical(orjson.dumps(document).decode()).text


def states_of(found: Mapping[str, Any]) -> tuple[list[PrincipalState], list[ManagedPolicyState]]:
    """What the worker made of botocore's dictionaries, before it read the pages itself."""
    principals = [
        PrincipalState(
            principal=Principal(PrincipalKind(kind.lower()), item[f"{kind}Name"], item["Path"]),
            unique_id=item[f"{kind}Id"],
            inline={
                each["PolicyName"]: str(same(each["PolicyDocument"]))
                for each in item.get(f"{kind}PolicyList", ())
            },
            attached=frozenset(
                each["PolicyArn"] for each in item.get("AttachedManagedPolicies", ())
            ),
            created_at=item["CreateDate"].astimezone(UTC),
        )
        for kind in KINDS
        for item in found.get(f"{kind}DetailList", ())
    ]
    policies = []
    for item in found.get("Policies", ()):
        versions = {each["VersionId"]: each for each in item["PolicyVersionList"]}
        policies.append(
            ManagedPolicyState(
                name=item["Arn"].rpartition("/")[2],
                path=item["Path"],
                arn=item["Arn"],
                document=str(same(versions[item["DefaultVersionId"]]["Document"])),
                default_version=item["DefaultVersionId"],
                versions=tuple(sorted(versions, key=lambda each: int(each[1:]))),
            )
        )
    return principals, policies


def states_in(page: Page) -> tuple[list[PrincipalState], list[ManagedPolicyState]]:
    principals = [
        PrincipalState(
            each.principal,
            each.unique_id,
            {name: str(same(document)) for name, document in each.inline.items()},
            each.attached,
            each.created_at,
        )
        for each in page.principals
    ]
    policies = [
        ManagedPolicyState(
            each.name,
            each.path,
            each.arn,
            str(same(each.document)),
            each.default_version,
            each.versions,
        )
        for each in page.policies
    ]
    return principals, policies


async def hold_equal(body: bytes) -> Page:
    page, theirs = await read_page(body), await by_botocore(body)
    (principals, policies), (their_principals, their_policies) = states_in(page), states_of(theirs)
    assert sorted(principals, key=repr) == sorted(their_principals, key=repr)
    assert policies == their_policies
    assert page.marker == theirs.get("Marker")
    assert page.request_id == theirs["ResponseMetadata"]["RequestId"]
    return page


NAMES = st.text("abcXYZ09+=,.@-_", min_size=1, max_size=12)
PRINTED = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=20)
STATEMENTS = st.fixed_dictionaries(
    {"Effect": st.just("Allow"), "Action": st.lists(PRINTED, max_size=3), "Sid": PRINTED}
)
DOCUMENTS = st.builds(
    lambda statements, spaces: orjson.dumps(
        {"Version": "2012-10-17", "Statement": statements},
        option=orjson.OPT_INDENT_2 if spaces else 0,
    ).decode(),
    st.lists(STATEMENTS, max_size=3),
    st.booleans(),
)
INSTANTS = st.datetimes(datetime(2006, 1, 1), datetime(2040, 1, 1)).map(  # noqa: DTZ001 - Z below
    lambda instant: instant.isoformat(timespec="seconds") + "Z"
)
NEW_IN_AWS = st.lists(st.sampled_from(["<New/>", "<Newer><member>&lt;1</member></Newer>"]))
PRINCIPALS = st.builds(
    principal,
    NAMES,
    path=st.sampled_from(["/", "/a/b/"]),
    inline=st.dictionaries(NAMES, DOCUMENTS, max_size=3),
    attached=st.lists(NAMES.map("arn:aws:iam::aws:policy/{}".format), max_size=3),
    created=INSTANTS,
    extra=NEW_IN_AWS,
)
POLICIES = st.builds(
    lambda name, texts, which, extra: policy(
        name,
        versions=dict(enumerate(texts, 7)),
        default=7 + which % len(texts),
        extra=extra,
    ),
    NAMES,
    st.lists(DOCUMENTS, min_size=1, max_size=5),
    st.integers(0, 9),
    NEW_IN_AWS,
)
PAGES = st.fixed_dictionaries(
    {kind: st.lists(PRINCIPALS, max_size=3) for kind in KINDS}
    | {"Policy": st.lists(POLICIES, max_size=2)}
)


@given(PAGES, st.none() | PRINTED.filter(bool))
async def test_every_page_is_read_as_botocore_reads_it(
    told: dict[str, list[Entity]], marker: str | None
) -> None:
    page = await hold_equal(page_xml(told, marker, more="<NewInAws>1</NewInAws>"))
    assert len(page.principals) == sum(len(told[kind]) for kind in KINDS)
    assert len(page.policies) == len(told["Policy"])


async def test_an_account_in_which_nothing_stands_is_an_empty_page() -> None:
    page = await hold_equal(page_xml({}))
    assert (page.principals, page.policies, page.marker) == ((), (), None)


async def test_lists_that_are_left_out_are_empty() -> None:
    body = page_xml(WHOLE).replace(b"<GroupDetailList>", b"<NewList>")
    body = body.replace(b"</GroupDetailList>", b"</NewList>")
    page = await hold_equal(body)
    assert {each.principal.kind.value for each in page.principals} == {"user", "role"}


async def test_a_document_is_kept_as_somebody_has_put_it() -> None:
    document = '{ "Statement": [],\n "Id": "50 % + é &amp; <b>" }'
    page = await hold_equal(page_xml({"User": [principal(inline={"a": document})]}))
    assert page.principals[0].inline == {"a": document}


async def test_a_document_that_is_no_json_is_kept_too() -> None:
    page = await read_page(page_xml({"User": [principal(inline={"a": "no JSON %"})]}))
    assert page.principals[0].inline == {"a": "no JSON %"}


@pytest.mark.parametrize(
    "instant", ["2024-02-29T23:59:59Z", "2024-02-29T23:59:59.123Z", "2024-02-29T23:59:59+01:00"]
)
async def test_instants_are_read_in_every_form_of_aws(instant: str) -> None:
    await hold_equal(page_xml({"Role": [principal(created=instant)]}))


async def test_an_instant_in_seconds_since_1970_is_read() -> None:
    page = await read_page(page_xml({"Role": [principal(created="86400")]}))
    assert page.principals[0].created_at == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=1)


# --- what is no whole page ------------------------------------------------------------------------


async def test_half_a_page_is_no_page_wherever_it_ends() -> None:
    body = page_xml(WHOLE, marker="more")
    assert len((await hold_equal(body)).principals) == 3
    for end in range(len(body)):
        with pytest.raises(ResponseParserError):
            await read_page(body[:end])


Spoil = Callable[[bytes], bytes]
NOT_PAGES: dict[str, Spoil] = {
    "nothing": lambda _: b"",
    "a page of a proxy": lambda _: b"<html><body>Sign in</body></html>",
    "JSON": lambda _: b'{"UserDetailList": []}',
    "bytes": lambda _: bytes(range(256)),
    "another answer": lambda body: body.replace(OPERATION.encode(), b"ListUsers"),
    "no result": lambda _: f"<{OPERATION}Response/>".encode(),
    "whether it goes on is not said": lambda body: body.replace(b"IsTruncated", b"Other"),
    "whether it goes on is unclear": lambda body: body.replace(b">false<", b">perhaps<"),
    "it goes on nowhere": lambda body: body.replace(b">false</Is", b">true</Is"),
    "a user without a name": lambda body: body.replace(b"UserName", b"Other"),
    "a user without an id": lambda body: body.replace(b"UserId", b"Other"),
    "made nobody knows when": lambda body: body.replace(b"2024-01-01T00:00:00Z", b"yesterday"),
    "a policy without its text": lambda body: body.replace(b"<Document>", b"<D>").replace(
        b"</Document>", b"</D>"
    ),
    "a default that is not there": lambda body: body.replace(b"Id>v10</D", b"Id>v3</D"),
    "a version without a number": lambda body: body.replace(b">v2<", b">latest<"),
    "two lists of users": lambda body: body.replace(
        b"<GroupDetailList>", b"<UserDetailList/><GroupDetailList>"
    ),
    "two names": lambda body: body.replace(b"<UserName>", b"<UserName>x</UserName><UserName>"),
}


@pytest.mark.parametrize("name", NOT_PAGES)
async def test_what_is_no_page_is_never_a_part_of_an_account(name: str) -> None:
    body = page_xml(WHOLE)
    spoilt = NOT_PAGES[name](body)
    assert spoilt != body
    with pytest.raises(ResponseParserError):
        await read_page(spoilt)


@pytest.mark.parametrize("declared", ["utf-8", "iso-8859-1", "cp037"])
async def test_entities_of_a_document_type_are_never_expanded(declared: str) -> None:
    ten = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 9))
    kind = f'<!DOCTYPE x [<!ENTITY e0 "{"lol" * 100}">{ten}]>'
    body = page_xml(WHOLE).decode().replace(">ana<", ">&e8;<")
    body = body.replace(
        '<?xml version="1.0"?>', f'<?xml version="1.0" encoding="{declared}"?>{kind}'
    )
    with pytest.raises(ResponseParserError, match="document type"):
        await read_page(body.encode())
    with pytest.raises(ResponseParserError):
        await read_page(body.encode("utf-16"))


# --- beside the SDK -------------------------------------------------------------------------------


async def test_the_answer_says_of_itself_what_botocore_would_have_said() -> None:
    body = page_xml(WHOLE, marker="more")
    ours = await Parsers().create_parser("query").parse(answer(body), SHAPE)
    theirs = await by_botocore(body)
    for what in ("ResponseMetadata", "IsTruncated", "Marker"):
        assert ours[what] == theirs[what]
    assert ours[PAGE] == await read_page(body)
    json_decode_policies(ours, MODEL)  # the SDK does, of every answer


ERROR = (
    b'<ErrorResponse xmlns="x"><Error><Type>Sender</Type><Code>AccessDenied</Code>'
    b"<Message>no</Message></Error><RequestId>r</RequestId></ErrorResponse>"
)


@pytest.mark.parametrize(("body", "status"), [(ERROR, 403), (ERROR, 302), (b"busy", 503)])
async def test_errors_are_read_by_the_sdk(body: bytes, status: int) -> None:
    theirs = AioResponseParserFactory().create_parser("query")
    ours = Parsers().create_parser("query")
    try:
        expected = await theirs.parse(answer(body, status), SHAPE)
    except ResponseParserError:
        with pytest.raises(ResponseParserError):
            await ours.parse(answer(body, status), SHAPE)
    else:
        assert await ours.parse(answer(body, status), SHAPE) == expected


async def test_every_other_answer_is_read_by_the_sdk() -> None:
    shape: Any = get_session().get_service_model("iam").operation_model("GetUser").output_shape
    user = principal_xml("User", principal())
    body = f"<GetUserResponse><GetUserResult><User>{user}</User></GetUserResult></GetUserResponse>"
    ours, theirs = Parsers(), AioResponseParserFactory()
    found = [
        await each.create_parser("query").parse(answer(body.encode()), shape)
        for each in (ours, theirs)
    ]
    assert found[0] == found[1]
    assert found[0]["User"]["UserName"] == "ana"


async def test_a_page_lets_others_have_their_turn_however_large_it_is() -> None:
    """Counted by turns, and not by time: each is a chunk of XML or of documents."""
    document = DOCUMENT.replace("s3:*", "s3:GetObject," * 1_000)
    many = [principal(f"u{number}", inline={"a": document}) for number in range(200)]
    body = page_xml({"User": many})
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    page = await read_page(body)
    counting.cancel()
    assert len(page.principals) == 200
    assert turns >= len(body) // CHUNK_BYTES + 20
