"""IAM's listings cut into pages, as AWS may cut any of them: moto's server answers them whole.

AWS may give fewer items than were asked for, and says `IsTruncated` (API reference, every List*).
"""

import re
from urllib.parse import parse_qsl, urlencode
from xml.etree import ElementTree

_NAMESPACE = re.compile(r"\{[^}]*\}")


def without_marker(body: bytes) -> bytes:
    """The same call from its beginning: the server behind has no pages of its own."""
    asked = [pair for pair in parse_qsl(body.decode()) if pair[0] != "Marker"]
    return urlencode(asked).encode()


def is_listing(action: str) -> bool:
    """Whether AWS may answer `action` in pages."""
    return action.startswith("List") or action == "GetAccountAuthorizationDetails"


def cut(content: bytes, marker: str | None, items: int) -> bytes:
    """The page of `content` that begins at `marker`, of at most so many items in all its lists."""
    answer = ElementTree.fromstring(content)  # noqa: S314  # our own server's
    result = next(child for child in answer if child.tag.endswith("Result"))
    begin, number = int(marker or 0), 0
    for listing in result:
        for member in list(listing):
            if _plain(member.tag) != "member":
                continue
            if not begin <= number < begin + items:
                listing.remove(member)
            number += 1
    for old in [each for each in result if _plain(each.tag) in ("IsTruncated", "Marker")]:
        result.remove(old)
    space = result.tag.removesuffix(_plain(result.tag))
    more = number > begin + items
    ElementTree.SubElement(result, f"{space}IsTruncated").text = str(more).lower()
    if more:
        ElementTree.SubElement(result, f"{space}Marker").text = str(begin + items)
    return ElementTree.tostring(answer)


def _plain(tag: str) -> str:
    return _NAMESPACE.sub("", tag)
