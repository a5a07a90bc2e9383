"""Events to canonical, versioned JSON and back; the dedup key; the hash chain.

Invariant: equal events give equal bytes, on every machine and for ever. There are no floats and all
keys are ASCII, which makes orjson's sorted output RFC 8785. The hash of a row covers the hash of
the row before it and every other column, so a change anywhere breaks the chain from there on.
"""

import hashlib
import types
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from operator import attrgetter
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

import orjson

from ledger import events
from ledger.envelope import Draft, Provenance, subject
from ledger.errors import UnknownEvent
from ledger.events import Event
from ledger.model import Policy, Principal, parse_principal

VERSION = 1
"""Of every row whose meaning is the first one's."""

NEWEST = {"policy_defined": 2}
"""The newest version of each kind that has more than one. All before it are read as well."""

LATER: dict[type, tuple[str, ...]] = {
    Policy: ("require_mfa", "enforcement", "allow_dangerous"),
    events.Applied: ("principal_id",),
    events.DriftFound: ("principal_id", "nothing_left"),
    events.SettingsChanged: ("max_revocations_count", "max_revocations_percent"),
}
"""Fields that came after the first rows. Where one has its default it is left out of the row, which
then is, byte for byte, what it always was."""

GENESIS = "0" * 64
"""What the first row names as the hash before it."""


FAR = 2**62
"""Stands for "no end" where an instant is microseconds: 146,000 years after 1970."""


def kind_of(event_type: type) -> str:
    """`PolicyDefined` -> `policy_defined`: what the `kind` column says."""
    name = event_type.__name__
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


KINDS: dict[str, type] = {kind_of(member): member for member in get_args(Event)}
_KIND_OF: dict[type, str] = {member: kind for kind, member in KINDS.items()}


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant_text(instant: datetime) -> str:
    """RFC 3339 in UTC with `Z`; the fraction only where there is one. ValueError without a zone."""
    if instant.tzinfo is None:
        raise ValueError(f"{instant.isoformat()} has no time zone")
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def microseconds(instant: datetime) -> int:
    """Since 1970, exactly: what instants are in SQL."""
    delta = instant - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def instant_of(value_us: int) -> datetime:
    """The inverse of `microseconds`."""
    return _EPOCH + timedelta(0, 0, value_us)


def dumps(value: object) -> str:
    """Canonical JSON text of plain values."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


# --- values -----------------------------------------------------------------------------------


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
    defaults = {field.name: field.default for field in fields(kind)}
    names = tuple(defaults)
    later = [(name, defaults[name]) for name in LATER.get(kind, ())]
    values = attrgetter(*names) if len(names) > 1 else lambda value: (getattr(value, names[0]),)

    def convert(value: Any) -> dict[str, object]:
        return {
            name: item if type(item) in _SAID_AS_IT_IS else plain(item)
            for name, item in zip(names, values(value), strict=True)
        }

    def without_defaults(value: Any) -> object:
        said = convert(value)
        for name, default in later:
            if said[name] == default:
                del said[name]
        return said

    return without_defaults if later else convert


def _reader(hint: Any) -> Callable[[Any], Any]:
    """A function that turns plain JSON back into `hint`."""
    while hasattr(hint, "__supertype__"):  # NewType
        hint = hint.__supertype__
    origin = get_origin(hint)
    if origin in (types.UnionType, Union):
        (inner,) = (arg for arg in get_args(hint) if arg is not type(None))
        read = _reader(inner)
        return lambda value: None if value is None else read(value)
    if origin is tuple:
        args = get_args(hint)
        if args[-1] is Ellipsis:
            read = _reader(args[0])
            return lambda value: tuple(read(item) for item in value)
        reads = [_reader(arg) for arg in args]
        return lambda value: tuple(r(item) for r, item in zip(reads, value, strict=True))
    if origin is Literal or hint in (str, int, bool):
        return lambda value: value
    if hint is datetime:
        return datetime.fromisoformat
    if hint is Principal:
        return parse_principal
    return _structure(hint)


@cache
def _structure(cls: type) -> Callable[[Any], Any]:
    hints = get_type_hints(cls)
    readers = [(f.name, _reader(hints[f.name])) for f in fields(cls)]

    def read(value: Any) -> Any:
        # A field added later with a default is absent in older rows: the default stands then.
        return cls(**{name: read(value[name]) for name, read in readers if name in value})

    return read


# --- rows -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Envelope:
    """One row of the ledger, exactly as it is stored and hashed."""

    position: int
    recorded_at_us: int
    kind: str
    version: int
    team: str | None
    account: str | None
    grant_id: str | None
    turn: int | None
    principal: str | None
    policy: str | None
    payload: str
    provenance: str
    dedup_key: str
    prev_hash: str
    hash: str


_hashed = attrgetter(*[field.name for field in fields(Envelope)][:-2])
"""All columns but the two hashes, in their order."""


def chain_hash(row: Envelope) -> str:
    """SHA-256, in hex, over the previous hash, a line feed, and the canonical array of the rest."""
    return _hash(row.prev_hash, _hashed(row))


def _hash(prev_hash: str, rest: tuple[object, ...]) -> str:
    body = dumps(["iam-ledger/1", *rest])
    return hashlib.sha256(f"{prev_hash}\n{body}".encode()).hexdigest()


def version_of(event: Event) -> int:
    """The first version of its kind that says all of `event` to a program that obeys it.

    A newer one only where an older program would do wrong by passing over what it does not know:
    it then parks that row, as it does every kind that is foreign to it.
    """
    match event:
        case events.PolicyDefined(policy) if policy.require_mfa or policy.enforcement != "aws":
            return 2
        case _:
            return VERSION


def readable(kind: str, version: int) -> bool:
    """Whether this program knows the kind in this version."""
    return kind in KINDS and VERSION <= version <= NEWEST.get(kind, VERSION)


def dedup_key(event: Event, cause: int) -> str:
    """Kind, position of the cause, subject: the same event for the same cause is one.

    Every part has its place, empty where there is nothing to say, and names may hold colons:
    otherwise team `a:b` with policy `c` would swallow team `a` with policy `b:c`.
    """
    about = subject(event)
    parts = [_KIND_OF[type(event)], str(cause)]
    if about.grant is not None:
        parts += [about.grant, str(about.turn)]
    else:
        principal = "" if about.principal is None else about.principal.key
        named = (about.account, about.team, principal, about.policy)
        parts += [_one_part(part or "") for part in named]
    return ":".join([*parts, _particular(event)])


def _one_part(text: str) -> str:
    return text.replace("%", "%25").replace(":", "%3A").replace(",", "%2C")


def cause_in(key: str) -> int:
    """The position of the cause that a dedup key names; ValueError when it names none."""
    _, _, rest = key.partition(":")
    text, _, _ = rest.partition(":")
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{key!r} names no cause")
    return int(text)


def _particular(event: Event) -> str:
    """What tells two events of one kind about one subject and cause apart; last in the key."""
    match event:
        case events.AccountMapped() | events.AccountUnmapped():
            return event.account.environment
        case events.Sighted() | events.Adopted():
            return event.policy_arn
        case events.DriftFound() | events.DriftRepaired():
            return event.object
        case events.Held() | events.Released():
            return event.hold
        case events.Ingested():
            return ",".join(_one_part(team) for team in event.teams)
        case _:
            return ""


def encode(draft: Draft, *, position: int, recorded_at_us: int, prev_hash: str) -> Envelope:
    """The row for `draft` at `position`, hashed."""
    return Envelope(
        *encode_values(
            draft,
            dedup_key(draft.event, draft.cause),
            position=position,
            recorded_at_us=recorded_at_us,
            prev_hash=prev_hash,
        )
    )


def encode_values(
    draft: Draft, key: str, *, position: int, recorded_at_us: int, prev_hash: str
) -> tuple[Any, ...]:
    """The fields of that row, given its dedup key; without the row, which takes a fifth more."""
    rest = _content(draft, key, position, recorded_at_us)
    return (*rest, prev_hash, _hash(prev_hash, rest))


def encode_unhashed(
    draft: Draft, *, position: int, recorded_at_us: int, prev_hash: str
) -> Envelope:
    """The row without its hash: for comparing."""
    key = dedup_key(draft.event, draft.cause)
    return Envelope(*(*_content(draft, key, position, recorded_at_us), prev_hash, ""))


def _content(draft: Draft, key: str, position: int, recorded_at_us: int) -> tuple[Any, ...]:
    """The columns that are hashed, in an envelope's order."""
    event = draft.event
    about = subject(event)
    return (
        position,
        recorded_at_us,
        _KIND_OF[type(event)],
        version_of(event),
        about.team,
        about.account,
        about.grant,
        about.turn,
        None if about.principal is None else about.principal.key,
        about.policy,
        dumps(plain(event)),
        encode_provenance(draft.provenance),
        key,
    )


def decode(kind: str, version: int, payload: str) -> Event:
    """The event of a row; UnknownEvent for a kind or version newer than this program."""
    if not readable(kind, version):
        raise UnknownEvent(kind, version)
    return cast("Event", _structure(KINDS[kind])(orjson.loads(payload)))


_PROVENANCE = tuple(field.name for field in fields(Provenance))
_provenance = attrgetter(*_PROVENANCE)


def encode_provenance(provenance: Provenance) -> str:
    """Only what is known: absent and None mean the same."""
    said = zip(_PROVENANCE, _provenance(provenance), strict=True)
    return dumps({name: plain(value) for name, value in said if value not in (None, ())})


def decode_provenance(text: str) -> Provenance:
    return cast("Provenance", _structure(Provenance)(orjson.loads(text)))


def encode_made(made: tuple[events.Made, ...], pins: tuple[events.Pin, ...]) -> str:
    """What a grant's projection keeps of its newest `applied`."""
    return dumps({"made": plain(made), "pins": plain(pins)})


@dataclass(frozen=True, slots=True)
class _MadeAndPins:
    made: tuple[events.Made, ...]
    pins: tuple[events.Pin, ...]


def decode_made(text: str) -> tuple[tuple[events.Made, ...], tuple[events.Pin, ...]]:
    value = cast("_MadeAndPins", _structure(_MadeAndPins)(orjson.loads(text)))
    return value.made, value.pins
