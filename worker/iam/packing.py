"""One copy over several documents: pure. What is too large for one is parted, never widened.

Invariant: the documents together allow exactly what the statements do, and none is larger than
asked. Allows are a union, so any of them may stand apart, and so may any action or resource of one.
"""

from collections.abc import Iterable

from worker.iam.documents import Document, NotCopyable, Statement, merged, minify, size_within

FRAME_CHARS = minify(()).size
"""What a document takes beside its statements."""

_Bin = list[Statement]


def split(statements: Iterable[Statement], chars_max: int) -> tuple[Document, ...]:
    """The fewest documents of at most `chars_max` characters that we know to make.

    Raises NotCopyable for a statement that cannot be parted: a NotAction, NotResource or condition
    that is too large by itself.
    """
    room = chars_max - FRAME_CHARS
    whole = [part for one in merged(statements) for part in _narrowed(one, room)]
    whole.sort(key=lambda one: (-size_within(one), minify([one]).text))
    packed, poured = _packed(whole, room), _poured(whole, room)
    bins = packed if len(packed) <= len(poured) else poured
    documents = tuple(minify(statements) for statements in bins)
    if any(document.size > chars_max for document in documents):
        raise ValueError(f"a part takes more than {chars_max} characters")
    return documents


def _narrowed(statement: Statement, room: int) -> list[Statement]:
    """`statement` in parts of which any one action fits `room` with all else that they say."""
    longest = {"Action": [max(statement["Action"], key=len)]} if "Action" in statement else {}
    least = {**statement, **longest}
    if size_within(least) <= room:
        return [statement]
    resources = statement.get("Resource", [])
    if len(resources) < 2:
        raise NotCopyable(
            f"one of its statements takes {size_within(least):,} characters and cannot be parted"
        )
    half = len(resources) // 2
    return [
        part
        for some in (resources[:half], resources[half:])
        for part in _narrowed({**statement, "Resource": some}, room)
    ]


def _packed(statements: list[Statement], room: int) -> list[_Bin]:
    """Largest first, each into the first document that has room; parted only where none could."""
    pieces: list[Statement] = []
    for statement in statements:
        rest: Statement | None = statement
        while rest is not None:
            piece, rest = _taken(rest, room)
            if piece is None:
                raise ValueError("a narrowed statement fits no document")
            pieces.append(piece)
    pieces.sort(key=size_within, reverse=True)
    bins: list[_Bin] = []
    left: list[int] = []
    for piece in pieces:
        size = size_within(piece) + 1
        at = next((at for at, free in enumerate(left) if size <= free), len(left))
        if at == len(left):
            bins.append([])
            left.append(room + 1)
        bins[at].append(piece)
        left[at] -= size
    return bins


def _poured(statements: list[Statement], room: int) -> list[_Bin]:
    """One document after another filled to the brim: fewer of them, but more is parted."""
    bins: list[_Bin] = [[]]
    left = room
    for statement in statements:
        rest: Statement | None = statement
        while rest is not None:
            piece, rest = _taken(rest, left)
            if piece is None:
                bins.append([])
                left = room
                continue
            bins[-1].append(piece)
            left -= size_within(piece) + 1
    return bins


def _taken(statement: Statement, room: int) -> tuple[Statement | None, Statement | None]:
    """As much of `statement` as fits `room`, by its actions, and what is left of it."""
    if size_within(statement) <= room:
        return statement, None
    actions = statement.get("Action", [])
    used = size_within({**statement, "Action": []})
    count = 0
    for action in actions:
        used += size_within({"Action": action}) - len('{"Action":') - 1 + (count > 0)
        if used > room:
            break
        count += 1
    if count == 0 and actions and size_within({**statement, "Action": actions[:1]}) <= room:
        count = 1  # one alone is written without brackets
    if count == 0:
        return None, statement
    return {**statement, "Action": actions[:count]}, {**statement, "Action": actions[count:]}
