"""Hypothesis strategies for everything that can stand in the ledger, made from the classes' hints.

A kind or a field that is added is generated from then on without a change here; a type that nobody
taught this module is an error, not a gap.
"""

import types
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from ledger.codec import KINDS
from ledger.envelope import Draft, Provenance
from ledger.events import Event
from ledger.model import (
    PRINCIPAL_KINDS,
    AccountId,
    Enforcement,
    GrantId,
    Policy,
    Principal,
    Team,
    Window,
)

FIRST = datetime(2020, 1, 1, tzinfo=UTC)
NAMES = st.from_regex(r"[A-Za-z0-9+=,.@_-]{1,20}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
"""Any text that UTF-8 can say: a lone surrogate cannot stand in an event."""

instants = st.integers(0, 2_000_000_000_000_000).map(lambda us: FIRST + timedelta(microseconds=us))
seconds = st.integers(0, 2_000_000_000).map(lambda s: FIRST + timedelta(seconds=s))


@st.composite
def windows(draw: st.DrawFn) -> Window:
    start = draw(seconds)
    length = draw(st.none() | st.integers(1, 10_000_000).map(lambda s: timedelta(seconds=s)))
    return Window(start, None if length is None else start + length)


@st.composite
def principals(draw: st.DrawFn) -> Principal:
    return Principal(draw(st.sampled_from(list(PRINCIPAL_KINDS))), draw(NAMES))


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    managed = draw(st.lists(TEXTS, max_size=2).map(tuple))
    return Policy(
        team=Team(draw(NAMES)),
        name=draw(NAMES),
        iam_name=draw(NAMES),
        document=draw(TEXTS if not managed else st.none() | TEXTS),
        managed_policies=managed,
        description=draw(st.none() | TEXTS),
        max_duration_s=draw(st.none() | st.integers(0, 2**53 - 1)),
        require_mfa=draw(st.booleans()),
        enforcement=draw(of(Enforcement)),
        allow_dangerous=draw(st.none() | TEXTS),
    )


_KNOWN: dict[Any, Callable[[], st.SearchStrategy[Any]]] = {
    str: lambda: TEXTS,
    int: lambda: st.integers(0, 2**53 - 1),
    bool: st.booleans,
    datetime: lambda: instants,
    AccountId: lambda: st.from_regex(r"[0-9]{12}", fullmatch=True),
    GrantId: lambda: st.from_regex(r"[a-z2-7]{16}", fullmatch=True),
    Team: lambda: NAMES | TEXTS.filter(bool),
    Principal: principals,
    Policy: policies,
    Window: windows,
}


@cache
def of(hint: Any) -> st.SearchStrategy[Any]:
    """Values of the type that `hint` names."""
    if hint in _KNOWN:
        return _KNOWN[hint]()
    origin, args = get_origin(hint), get_args(hint)
    if origin in (types.UnionType, Union):
        return st.one_of([st.none() if arg is type(None) else of(arg) for arg in args])
    if origin is Literal:
        return st.sampled_from(args)
    if origin is tuple and args[-1] is Ellipsis:
        return st.lists(of(args[0]), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*(of(arg) for arg in args))
    hints = get_type_hints(hint)
    return st.builds(hint, **{f.name: of(hints[f.name]) for f in fields(hint)})


def events_of(kind: str) -> st.SearchStrategy[Event]:
    """Events of one kind, by the name that its rows bear."""
    return of(KINDS[kind])


events: st.SearchStrategy[Event] = st.sampled_from(sorted(KINDS)).flatmap(events_of)
provenances: st.SearchStrategy[Provenance] = of(Provenance)
drafts: st.SearchStrategy[Draft] = st.builds(Draft, events, st.integers(0, 1_000_000), provenances)
