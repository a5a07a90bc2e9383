"""`permanent-access` and `temporary-access`: entries as people wrote them.

Invariant: an entry that comes out of here names at least one principal, environment and policy, and
has exactly one end. What its names stand for is for `grants`.
"""

from dataclasses import dataclass
from datetime import datetime

from ledger.manifest.declared import End, EndsAt, LastDay, Lasts, Permanent, end_of
from ledger.manifest.nodes import Mapping, Node, Pair, Scalar, Sequence
from ledger.manifest.principals import Named, read_principal
from ledger.manifest.problems import Source, Unreadable
from ledger.manifest.scalars import calendar_day, duration_seconds, instant
from ledger.manifest.sheet import Sheet
from ledger.model import PRINCIPAL_KINDS, KindFacts, Settings

PERMANENT, TEMPORARY = "permanent-access", "temporary-access"
TICKET_MAX = 256
ENDS = ("expiration_date", "expires_at", "duration")

TARGETS = (("environment", "environments"), ("grant", "grants"))
_KIND_PAIRS = tuple((kind.singular_key, kind.plural_key) for kind in PRINCIPAL_KINDS.values())
_WHO_AND_WHERE = tuple(key for pair in (*_KIND_PAIRS, *TARGETS) for key in pair)
KEYS = {
    PERMANENT: ("description", *_WHO_AND_WHERE),
    TEMPORARY: ("description", *_WHO_AND_WHERE, *ENDS, "starts_at", "ticket"),
}
_DECIDING = (*ENDS, "starts_at", "ticket")
_KNOWN = {section: frozenset(keys) for section, keys in KEYS.items()}


@dataclass(slots=True)
class Written:
    """A principal and where it is named."""

    named: Named
    scalar: Scalar


@dataclass(slots=True)
class Entry:
    """One item of an access file."""

    at: Mapping
    principals: list[Written]
    environments: list[Scalar]
    environment_key: str
    policies: list[Scalar]
    policy_key: str
    end: End
    end_at: Scalar | None
    """None: permanent."""
    starts_at: datetime | None
    deciding: tuple[Source, ...]
    """Where window and ticket are written."""
    ticket: str | None
    description: str | None


def read_access(sheet: Sheet, section: str, settings: Settings) -> list[Entry]:
    node = sheet.section(section)
    sequence = None if node is None else sheet.sequence(node, f"`{section}`")
    if sequence is None:
        return []
    entries = (_entry(sheet, item, section, settings) for item in sequence.items)
    return [entry for entry in entries if entry is not None]


def _entry(sheet: Sheet, node: Node, section: str, settings: Settings) -> Entry | None:
    mapping = sheet.mapping(node, "an entry")
    if mapping is None:
        return None
    pairs = mapping.pairs
    errors_before = len(sheet.desk.found)
    if not pairs.keys() <= _KNOWN[section]:
        _unknown_keys(sheet, mapping, section)
    temporary = section == TEMPORARY
    principals = _principals(sheet, mapping, settings, temporary=temporary)
    environments, environment_key = _names(sheet, mapping, *TARGETS[0], "environment")
    policies, policy_key = _names(sheet, mapping, *TARGETS[1], "policy")
    when = _when(sheet, mapping, settings) if temporary else _ALWAYS
    ticket, description = _ticket(sheet, pairs), sheet.text(pairs.get("description"))
    if when is None or len(sheet.desk.found) > errors_before:
        return None
    deciding = [sheet.source(pairs[key].value) for key in _DECIDING if key in pairs]
    return Entry(
        at=mapping,
        principals=principals,
        environments=environments,
        environment_key=environment_key,
        policies=policies,
        policy_key=policy_key,
        end=when.end,
        end_at=when.end_at,
        starts_at=when.starts_at,
        deciding=tuple(deciding),
        ticket=ticket,
        description=description,
    )


def _ticket(sheet: Sheet, pairs: dict[str, Pair]) -> str | None:
    """A ticket is part of a duration's identity, so an empty one is no absent one."""
    pair = pairs.get("ticket")
    scalar = None if pair is None else sheet.scalar(pair)
    if pair is None or scalar is None:
        return None
    if not scalar.text.strip():
        sheet.error(scalar, "empty", "`ticket` is empty")
    return sheet.text(pair, TICKET_MAX)


def _unknown_keys(sheet: Sheet, mapping: Mapping, section: str) -> None:
    for name, pair in mapping.pairs.items():
        if name in _KNOWN[section]:
            continue
        if name in KEYS[TEMPORARY]:
            message = f"key `{name}` is not known in `{section}`"
            sheet.error(pair.key, "unknown-key", message, f"it belongs to `{TEMPORARY}`")
        else:
            sheet.unknown_key(pair.key, KEYS[section])


# --- who, where, what -------------------------------------------------------------------------


def _principals(
    sheet: Sheet, mapping: Mapping, settings: Settings, *, temporary: bool
) -> list[Written]:
    written: list[Written] = []
    named_any = False
    for facts in PRINCIPAL_KINDS.values():
        pair = _either(sheet, mapping, facts.singular_key, facts.plural_key)
        if pair is None:
            continue
        named_any = True
        if temporary and not facts.temporary:
            message = f"`{pair.key.text}` cannot have temporary access"
            hint = f"name the people: an IAM {facts.kind.value} holds no single person's window"
            sheet.error(pair.key, "no-temporary-access", message, hint)
            continue
        for scalar in _texts(sheet, pair, facts.singular_key, facts.plural_key):
            named = _named(sheet, scalar, facts, settings)
            if named is not None:
                written.append(Written(named, scalar))
    if not named_any:
        keys = [
            f"`{facts.plural_key}`"
            for facts in PRINCIPAL_KINDS.values()
            if facts.temporary or not temporary
        ]
        hint = f"add {', '.join(keys[:-1])} or {keys[-1]}"
        sheet.error(mapping, "incomplete", "the entry names no principal", hint)
    return written


def _named(sheet: Sheet, scalar: Scalar, facts: KindFacts, settings: Settings) -> Named | None:
    try:
        return read_principal(scalar.text, facts, settings.user_names)
    except Unreadable as reason:
        sheet.unreadable(scalar, reason)
        return None


def _names(
    sheet: Sheet, mapping: Mapping, singular: str, plural: str, what: str
) -> tuple[list[Scalar], str]:
    pair = _either(sheet, mapping, singular, plural)
    if pair is None:
        message = f"the entry names no {what}"
        sheet.error(mapping, "incomplete", message, f"add `{singular}` or `{plural}`")
        return [], singular
    return _texts(sheet, pair, singular, plural), pair.key.text


def _either(sheet: Sheet, mapping: Mapping, singular: str, plural: str) -> Pair | None:
    one, many = mapping.pairs.get(singular), mapping.pairs.get(plural)
    if one is not None and many is not None:
        later = max(one, many, key=lambda pair: (pair.key.line, pair.key.column))
        message = f"`{singular}` and `{plural}` stand in one entry"
        sheet.error(later.key, "both-forms", message, "write one of them")
    return one if one is not None else many


def _texts(sheet: Sheet, pair: Pair, singular: str, plural: str) -> list[Scalar]:
    """The one text of the singular key, or the texts of the plural key's list."""
    node = pair.value
    if pair.key.text == singular:
        if type(node) is Sequence:
            hint = f"write `{plural}`"
            sheet.error(node, "shape", f"`{singular}` must be one text, not a list", hint)
            return []
        scalar = sheet.scalar(pair)
        return [] if scalar is None else [scalar]
    if type(node) is Scalar and not node.null:
        hint = f"write [{node.text}], or `{singular}`"
        sheet.error(node, "shape", f"`{plural}` must be a list, not a text", hint)
        return []
    if type(node) is Sequence:
        return sheet.items(pair)
    sheet.sequence(node, f"`{plural}`")
    return []


# --- when -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _When:
    end: End
    end_at: Scalar | None
    starts_at: datetime | None


_ALWAYS = _When(Permanent(), None, None)


def _when(sheet: Sheet, mapping: Mapping, settings: Settings) -> _When | None:
    """The window of a temporary entry; None where it cannot be read."""
    pairs = mapping.pairs
    start_at, starts_at = None, None
    if "starts_at" in pairs:
        start_at = sheet.scalar(pairs["starts_at"])
        starts_at = None if start_at is None else _instant(sheet, start_at)
    present = [key for key in ENDS if key in pairs]
    if len(present) != 1:
        _report_ends(sheet, mapping, present)
        return None
    end_at = sheet.scalar(pairs[present[0]])
    end = None if end_at is None else _end(sheet, end_at, present[0])
    if end is None:
        return None
    if start_at is not None and starts_at is not None:
        ends_at = end_of(end, starts_at, settings.time_zone)
        if ends_at is not None and ends_at <= starts_at:
            message = f"`starts_at` is {start_at.text}, which is not before the end"
            sheet.error(start_at, "empty-window", message)
    return _When(end, end_at, starts_at)


def _report_ends(sheet: Sheet, mapping: Mapping, present: list[str]) -> None:
    if not present:
        known = "`expiration_date`, `expires_at` or `duration`"
        sheet.error(mapping, "incomplete", "the entry has no end", f"add {known}")
        return
    keys = (mapping.pairs[key].key for key in present)
    last = max(keys, key=lambda key: (key.line, key.column))
    message = " and ".join(f"`{key}`" for key in present) + " stand in one entry"
    sheet.error(last, "two-ends", message, "write one of them")


def _end(sheet: Sheet, scalar: Scalar, key: str) -> End | None:
    try:
        if key == "expiration_date":
            return LastDay(calendar_day(scalar.text, key))
        if key == "expires_at":
            return EndsAt(instant(scalar.text, key))
        return Lasts(duration_seconds(scalar.text, key))
    except Unreadable as reason:
        sheet.unreadable(scalar, reason)
        return None


def _instant(sheet: Sheet, scalar: Scalar) -> datetime | None:
    try:
        return instant(scalar.text, "starts_at")
    except Unreadable as reason:
        sheet.unreadable(scalar, reason)
        return None
