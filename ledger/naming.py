"""Finding the one grant that a person means by what they typed, and who they are to the database.

Invariant: a text that could mean two grants means none.
"""

from collections.abc import Iterable
from dataclasses import replace
from difflib import get_close_matches

from ledger.errors import NotFound
from ledger.events import Word
from ledger.project import GrantRow
from ledger.store.lookup import Connection, database_role, grant_ids, newest_turns

PREFIX_MIN = 6
"""Characters of a grant's id that a person must give at least."""

NEAR_MAX = 3
"""Near misses shown."""


async def named_grant(connection: Connection, text: str, *, undone: str) -> GrantRow:
    """The newest turn of the one grant that `text` names.

    NotFound, with near misses and with `undone`: what was left as it was.
    """
    prefix = text.strip().lower()
    if len(prefix) < PREFIX_MIN:
        raise NotFound(
            f"`{text}` is too short to name a grant: give {PREFIX_MIN} characters of its id or more"
        )
    rows = await newest_turns(connection, prefix)
    exact = [row for row in rows if row.grant.id == prefix]
    if exact or len(rows) == 1:
        return (exact or list(rows))[0]
    if rows:
        shown = ", ".join(f"{row.grant.id} ({row.grant.principal})" for row in rows[:5])
        raise NotFound(f"`{text}` begins the id of more than one grant: {shown}")
    close = near(prefix, await grant_ids(connection))
    raise NotFound(f"no grant's id begins with `{text}`{close}; {undone}")


def near(word: str, known: Iterable[str]) -> str:
    """` (near: …)`, or nothing where nothing known is like `word`."""
    found = get_close_matches(word, sorted(known), n=NEAR_MAX)
    return f" (near: {', '.join(found)})" if found else ""


async def spoken(connection: Connection, word: Word) -> Word:
    """`word` with whom the database takes its speaker for."""
    return replace(word, database_role=await database_role(connection))
