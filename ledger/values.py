"""Values that events are made of, to plain JSON and back: by their types, worked out once a type.

Invariant: `exact` reads what `plain` said, and nothing else: whatever it takes is said again in the
very same words. `reader` also takes what was said otherwise, as long as it means something.
"""

import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import UTC, datetime
from functools import cache
from operator import attrgetter, itemgetter
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import orjson

from ledger import events
from ledger.envelope import Provenance
from ledger.model import Account, Policy, Principal, parse_principal

LATER: dict[type, tuple[str, ...]] = {
    Policy: ("require_mfa", "enforcement", "allow_dangerous"),
    Account: ("source_identity",),
    events.Applied: ("principal_id",),
    events.Left: ("requests",),
    events.Refused: ("requests",),
    events.DriftRepaired: ("requests",),
    events.DriftFound: ("principal_id", "nothing_left", "loosened"),
    events.SettingsChanged: ("max_revocations_count", "max_revocations_percent"),
    Provenance: tuple(field.name for field in fields(Provenance)),
}
"""Fields that came after the first rows. Where one has its default it is left out of the row, which
then is, byte for byte, what it always was. Of a provenance only what is known was ever said."""

Read = Callable[[Any], Any]


class Unlike(ValueError):
    """It is not what `plain` says of such a value."""


def instant_text(instant: datetime) -> str:
    """RFC 3339 in UTC with `Z`; the fraction only where there is one. ValueError without a zone."""
    if instant.tzinfo is not UTC:
        if instant.tzinfo is None:
            raise ValueError(f"{instant.isoformat()} has no time zone")
        instant = instant.astimezone(UTC)
    return instant.isoformat()[:-6] + "Z"


def dumps(value: object) -> str:
    """Canonical JSON text of plain values."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


# --- saying -----------------------------------------------------------------------------------

_SAID_AS_IT_IS = {types.NoneType, bool, int, str}


def plain(value: object) -> object:
    """`value` as what JSON can say; TypeError for a type no event may hold, floats among them."""
    kind: Any = type(value)
    return _plain_as(kind)(value)


@cache
def _plain_as(kind: type) -> Callable[[Any], object]:
    """How a value of this type becomes plain: looked up once a type, as a million rows ask."""
    if issubclass(kind, bool | int | str | types.NoneType):
        return lambda value: value
    if issubclass(kind, datetime):
        return instant_text
    if issubclass(kind, Principal):
        return str
    if issubclass(kind, tuple):
        return lambda value: [plain(item) for item in value]
    if is_dataclass(kind):
        return _plain_fields(kind)
    raise TypeError(f"{kind.__name__} cannot stand in an event")


def _plain_fields(kind: type) -> Callable[[Any], object]:
    names = tuple(field.name for field in fields(kind))
    later = [(f.name, f.default) for f in fields(kind) if f.name in LATER.get(kind, ())]
    values = _all_of(attrgetter, names)
    ways: dict[tuple[type, ...], list[tuple[str, Callable[[Any], object]]]] = {}

    def convert(value: Any) -> dict[str, object]:
        found = values(value)
        kinds = tuple(map(type, found))
        way = ways.get(kinds)
        if way is None:
            way = ways[kinds] = [
                (name, _plain_as(each))
                for name, each in zip(names, kinds, strict=True)
                if each not in _SAID_AS_IT_IS
            ]
        said = dict(zip(names, found, strict=True))
        for name, default in later:
            if said[name] == default:
                said[name] = _ABSENT
        for name, say in way:
            if said[name] is not _ABSENT:
                said[name] = say(said[name])
        return {n: s for n, s in said.items() if s is not _ABSENT} if later else said

    return convert


_ABSENT = object()


def _all_of(getter: Any, names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    """`attrgetter` or `itemgetter` of `names`, always as a tuple."""
    if len(names) > 1:
        found: Callable[[Any], tuple[Any, ...]] = getter(*names)
        return found
    if not names:
        return lambda _value: ()
    one = getter(names[0])
    return lambda value: (one(value),)


# --- reading ----------------------------------------------------------------------------------


@cache
def reader(cls: type) -> Read:
    """A function that turns plain JSON back into a `cls`."""
    hints = get_type_hints(cls)
    readers = [(f.name, _reader(hints[f.name])) for f in fields(cls)]
    quick = exact(cls)

    def read(value: Any) -> Any:
        try:
            return quick(value)
        except Unlike:
            # A field added later with a default is absent in older rows: the default stands then.
            return cls(**{name: read(value[name]) for name, read in readers if name in value})

    return read


def _reader(hint: Any) -> Read:
    shape = _Shape.of(hint)
    read = _reader_of(shape)
    return read if not shape.optional else lambda value: None if value is None else read(value)


def _reader_of(shape: "_Shape") -> Read:
    items = [_reader(item) for item in shape.items]
    if shape.many:
        return lambda value: tuple(items[0](item) for item in value)
    if items:
        return lambda value: tuple(r(item) for r, item in zip(items, value, strict=True))
    if shape.kind is datetime:
        return datetime.fromisoformat
    if shape.kind is Principal:
        return parse_principal
    return reader(shape.kind) if is_dataclass(shape.kind) else lambda value: value


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a type hint asks for."""

    kind: type
    optional: bool = False
    """Whether None does too."""
    items: tuple[Any, ...] = ()
    """Hints of a tuple's items; of one for all with `many`."""
    many: bool = False

    @staticmethod
    def of(hint: Any) -> "_Shape":
        while hasattr(hint, "__supertype__"):  # NewType
            hint = hint.__supertype__
        origin, args = get_origin(hint), get_args(hint)
        if origin in (types.UnionType, Union):
            (inner,) = (arg for arg in args if arg is not types.NoneType)
            return replace(_Shape.of(inner), optional=True)
        if origin is tuple:
            many = args[-1] is Ellipsis
            return _Shape(tuple, items=args[:1] if many else args, many=many)
        return _Shape(type(args[0]) if origin is Literal else hint)

    @property
    def said(self) -> set[type]:
        """Types of what `plain` says of it."""
        said = self.kind
        if self.kind in (datetime, Principal):
            said = str
        elif self.kind is tuple:
            said = list
        elif is_dataclass(self.kind):
            said = dict
        return {said, types.NoneType} if self.optional else {said}


# --- reading exactly --------------------------------------------------------------------------


@cache
def exact(cls: type) -> Read:
    """A function that turns what `plain` said of a `cls` back into it; Unlike for all else.

    ValueError too, where the value's constructor refuses.
    """
    ways: dict[tuple[str, ...], Read] = {}

    def read(value: Any) -> Any:
        if type(value) is not dict:
            raise Unlike(value)
        keys = tuple(value)
        way = ways.get(keys)
        if way is None:
            way = ways[keys] = _way(cls, keys)
        return way(value)

    return read


def _way(cls: type, keys: tuple[str, ...]) -> Read:
    """How a dictionary of these keys becomes a `cls`.

    Unlike where `plain` says no such keys of a `cls`, or says them in another order.
    """
    later = LATER.get(cls, ())
    said = [f for f in fields(cls) if f.name in keys]
    absent = [(n, f.default) for n, f in enumerate(fields(cls)) if f.name not in keys]
    required = {f.name for f in fields(cls)} - {*later}
    if keys != tuple(sorted(f.name for f in said)) or not required.issubset(keys):
        raise Unlike(keys)
    hints = get_type_hints(cls)
    shapes = [_Shape.of(hints[f.name]) for f in said]
    values = _all_of(itemgetter, [f.name for f in said])
    typed = _typed([shape.said for shape in shapes])
    reads = [(n, _exactly(shape)) for n, shape in enumerate(shapes)]
    inner = [(n, read) for n, read in reads if read is not None]
    defaults = [(n, f.default) for n, f in enumerate(said) if f.name in later]
    if not (inner or defaults or absent):
        return lambda value: cls(*typed(values(value)))

    def way(value: Any) -> Any:
        made = list(typed(values(value)))
        for index, read in inner:
            if made[index] is not None:
                made[index] = read(made[index])
        for index, default in defaults:
            if made[index] == default:  # then it would not be said
                raise Unlike(value)
        for index, default in absent:
            made.insert(index, default)
        return cls(*made)

    return way


def _typed(said: Sequence[set[type]]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """Lets values through whose types are among `said`, each in its place; Unlike for all else."""
    right: set[tuple[type, ...]] = set()

    def check(values: tuple[Any, ...]) -> tuple[Any, ...]:
        kinds = tuple(map(type, values))
        if kinds not in right:
            if not all(kind in some for kind, some in zip(kinds, said, strict=True)):
                raise Unlike(values)
            right.add(kinds)
        return values

    return check


def _exactly(shape: _Shape) -> Read | None:
    """None: it is what was said."""
    if shape.kind is datetime:
        return _exact_instant
    if shape.kind is Principal:
        return parse_principal  # which takes no other text than `str` gives
    if shape.kind is tuple:
        items = [_Shape.of(item) for item in shape.items]
        return _exact_many(items[0]) if shape.many else _exact_each(items)
    return exact(shape.kind) if is_dataclass(shape.kind) else None


def _exact_many(item: _Shape) -> Read:
    read, said = _exactly(item), item.said

    def many(value: Any) -> Any:
        if not said.issuperset(map(type, value)):
            raise Unlike(value)
        return tuple(value if read is None else map(read, value))

    return many


def _exact_each(items: Sequence[_Shape]) -> Read:
    typed = _typed([item.said for item in items])
    reads = [_exactly(item) for item in items]

    def each(value: Any) -> Any:
        if len(value) != len(items):
            raise Unlike(value)
        found = zip(typed(tuple(value)), reads, strict=True)
        return tuple(item if read is None else read(item) for item, read in found)

    return each


def _exact_instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    # Every third sign of one in whole seconds, at a fifth of the cost of saying it again.
    if not (len(text) == 20 and text[4::3] == "--T::Z") and instant_text(instant) != text:
        raise Unlike(text)
    return instant
