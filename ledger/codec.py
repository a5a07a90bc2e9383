"""Events to canonical, versioned JSON and back; the dedup key; the hash chain.

Invariant: equal events give equal bytes, on every machine and for ever. There are no floats and all
keys are ASCII, which makes orjson's sorted output RFC 8785. The hash of a row covers the hash of
the row before it and every other column, so a change anywhere breaks the chain from there on.
"""

from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from operator import attrgetter
from typing import Any, cast, get_args

import orjson

from ledger import events, values
from ledger.envelope import Draft, Provenance, Subject, subject
from ledger.errors import UnknownEvent
from ledger.events import Event
from ledger.values import dumps, exact, plain, reader

VERSION = 1
"""Of every row whose meaning is the first one's."""

NEWEST = {"policy_defined": 2}
"""The newest version of each kind that has more than one. All before it are read as well."""

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

TEXTS_MAX = 1_024
"""Provenances and objects whose texts are kept in mind: a worker's pass has one provenance for all,
and so has an attachment for all who have it."""


instant_text = values.instant_text

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(instant: datetime) -> int:
    """Since 1970, exactly: what instants are in SQL."""
    delta = instant - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def instant_of(value_us: int) -> datetime:
    """The inverse of `microseconds`."""
    return _EPOCH + timedelta(0, 0, value_us)


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
    return hash_of(row.prev_hash, _hashed(row))


def hash_of(prev_hash: str, rest: tuple[object, ...]) -> str:
    """The same of columns: the previous hash, and all but the two in an envelope's order."""
    body = orjson.dumps(("iam-ledger/1", *rest))
    return sha256(b"%b\n%b" % (prev_hash.encode(), body)).hexdigest()


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
    return _key(event, cause, subject(event))


def _key(event: Event, cause: int, about: Subject) -> str:
    kind, particular = _KIND_OF[type(event)], _particular(event)
    if about.grant is not None:
        return f"{kind}:{cause}:{about.grant}:{about.turn}:{particular}"
    principal = "" if about.principal is None else about.principal.key
    named = (about.account, about.team, principal, about.policy)
    parts = ":".join([_one_part(part or "") for part in named])
    return f"{kind}:{cause}:{parts}:{particular}"


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
        case events.Granted() | events.Applied() | events.Removed() | events.Revoked():
            return ""  # first, since most are one of these
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
    return (*rest, prev_hash, hash_of(prev_hash, rest))


def encode_unhashed(
    draft: Draft, *, position: int, recorded_at_us: int, prev_hash: str
) -> Envelope:
    """The row without its hash: for comparing."""
    key = dedup_key(draft.event, draft.cause)
    return Envelope(*(*_content(draft, key, position, recorded_at_us), prev_hash, ""))


def _content(draft: Draft, key: str, position: int, recorded_at_us: int) -> tuple[Any, ...]:
    """The columns that are hashed, in an envelope's order."""
    event = draft.event
    return (
        position,
        recorded_at_us,
        _KIND_OF[type(event)],
        version_of(event),
        *_columns(subject(event)),
        dumps(plain(event)),
        encode_provenance(draft.provenance),
        key,
    )


def _columns(about: Subject) -> tuple[Any, ...]:
    """Those that say what an event is about, from `team` to `policy`."""
    principal = None if about.principal is None else about.principal.key
    return about.team, about.account, about.grant, about.turn, principal, about.policy


def decode(kind: str, version: int, payload: str) -> Event:
    """The event of a row; UnknownEvent for a kind or version newer than this program."""
    if not readable(kind, version):
        raise UnknownEvent(kind, version)
    return cast("Event", reader(KINDS[kind])(orjson.loads(payload)))


def encode_provenance(provenance: Provenance) -> str:
    """Only what is known: absent and None mean the same."""
    return dumps(plain(provenance))


@lru_cache(TEXTS_MAX)
def decode_provenance(text: str) -> Provenance:
    return cast("Provenance", reader(Provenance)(orjson.loads(text)))


@dataclass(frozen=True, slots=True)
class Said:
    """What a row was written from."""

    event: Event
    provenance: Provenance
    cause: int


def as_written(rest: tuple[Any, ...]) -> Said | None:
    """What a row was written from, given its columns but the two hashes in an envelope's order.

    None unless writing it again would surely give the same bytes in every column: then it has to be
    tried. What is told costs a quarter of trying.
    """
    kind, version, payload, key = rest[2], rest[3], rest[10], rest[12]
    try:
        if not readable(kind, version):
            return None
        value = orjson.loads(payload)
        event = exact(KINDS[kind])(value)
        provenance = _exact_provenance(rest[11])
        cause = cause_in(key)
    except ValueError:
        return None
    if orjson.dumps(value, option=orjson.OPT_SORT_KEYS) != payload.encode():
        return None
    about = subject(event)
    if version_of(event) != version or _key(event, cause, about) != key:
        return None
    if _columns(about) != rest[4:10]:
        return None
    return Said(event, provenance, cause)


@lru_cache(TEXTS_MAX)
def _exact_provenance(text: str) -> Provenance:
    """ValueError where it is not what `encode_provenance` says."""
    value = orjson.loads(text)
    if dumps(value) != text:
        raise ValueError(text)
    return cast("Provenance", exact(Provenance)(value))


def encode_made(made: tuple[events.Made, ...], pins: tuple[events.Pin, ...]) -> str:
    """What a grant's projection keeps of its newest `applied`."""
    return dumps({"made": plain(made), "pins": plain(pins)})


@dataclass(frozen=True, slots=True)
class _MadeAndPins:
    made: tuple[events.Made, ...]
    pins: tuple[events.Pin, ...]


@lru_cache(TEXTS_MAX)
def decode_made(text: str) -> tuple[tuple[events.Made, ...], tuple[events.Pin, ...]]:
    value = cast("_MadeAndPins", reader(_MadeAndPins)(orjson.loads(text)))
    return value.made, value.pins
