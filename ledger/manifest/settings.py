"""`iam-ledger.yaml`: the settings of the whole directory.

Invariant: a setting that cannot be read keeps its default and is reported; none is ignored.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from ledger.manifest.nodes import Mapping, Pair, Scalar
from ledger.manifest.principals import role_path_and_name
from ledger.manifest.problems import Unreadable
from ledger.manifest.scalars import whole_number
from ledger.manifest.sheet import Sheet
from ledger.model import PRINCIPAL_KINDS, Settings

SECTION = "settings"
TEMPORARY_DAYS_MAX = 3_650
PATTERNS_MAX = 1_000
POLICY_PATH_MAX = 512
REVOCATIONS_MAX = {"count": 1_000_000, "percent": 100}
"""Key of `max_revocations` -> the most it takes."""
CHOICES = {
    "user_names": ("local-part", "email"),
    "drift": ("warn", "repair"),
    "dangerous": ("warn", "refuse"),
}
"""Key -> the values it takes, the default first."""

POLICY_PATH = re.compile(r"/(?:[A-Za-z0-9.,+@=_-]+/)+\Z")
PATTERN = re.compile(r"[\w+=,.@/*?-]+\Z", re.ASCII)
ZONE = re.compile(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*\Z")
_MACHINE_ZONES = ("localtime", "posixrules", "Factory", "posix/", "right/")
"""Names under which a machine keeps its own zone, or one that counts leap seconds."""


def read_settings(sheet: Sheet) -> tuple[Settings, Mapping | None]:
    """The settings, and the mapping they stand in (None: all are defaults)."""
    settings = Settings()
    node = sheet.section(SECTION)
    mapping = None if node is None else sheet.mapping(node, f"`{SECTION}`")
    if mapping is None:
        return settings, None
    sheet.only_keys(mapping, tuple(_READERS))
    changes: dict[str, Any] = {}
    for name, pair in mapping.pairs.items():
        reader = _READERS.get(name)
        if reader is None:
            continue
        try:
            changes.update(reader(sheet, pair))
        except Unreadable as reason:
            sheet.unreadable(pair.value, reason)
    return replace(settings, **changes), mapping


def _deployer_role(sheet: Sheet, pair: Pair) -> dict[str, Any]:
    scalar = sheet.scalar(pair)
    return {} if scalar is None else {"deployer_role": role_path_and_name(scalar.text)}


def _policy_path(sheet: Sheet, pair: Pair) -> dict[str, Any]:
    scalar = sheet.scalar(pair)
    if scalar is None:
        return {}
    if not POLICY_PATH.match(scalar.text) or len(scalar.text) > POLICY_PATH_MAX:
        raise Unreadable(
            "policy-path",
            f"`policy_path` is {scalar.text}, which is no path of its own in IAM",
            "write it with a slash at both ends, as /iam-ledger/",
        )
    return {"policy_path": scalar.text}


def _max_temporary_days(sheet: Sheet, pair: Pair) -> dict[str, Any]:
    scalar = sheet.scalar(pair)
    if scalar is None:
        return {}
    days = whole_number(scalar.text, pair.key.text, 1, TEMPORARY_DAYS_MAX)
    return {"max_temporary_days": days}


def _time_zone(sheet: Sheet, pair: Pair) -> dict[str, Any]:
    scalar = sheet.scalar(pair)
    if scalar is None:
        return {}
    if not _known_zone(scalar.text):
        hint = sheet.desk.did_you_mean(scalar.text, available_timezones())
        message = f"`time_zone` is {scalar.text}, which no list of time zones has"
        raise Unreadable("time-zone", message, hint or "write it as Europe/Berlin, or UTC")
    return {"time_zone": scalar.text}


def _known_zone(name: str) -> bool:
    if not ZONE.match(name) or name.startswith(_MACHINE_ZONES):
        return False
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # absent; malformed; a folder such as `America`
        return False
    return True


def _one_of(values: tuple[str, ...]) -> Callable[[Sheet, Pair], Any]:
    """A reader of a key that takes one of `values`."""

    def read(sheet: Sheet, pair: Pair) -> dict[str, Any]:
        scalar = sheet.scalar(pair)
        return {} if scalar is None else {pair.key.text: choice(pair.key, scalar, values)}

    return read


def choice(key: Scalar, value: Scalar, values: tuple[str, ...]) -> str:
    """`value` as one of `values`; Unreadable for anything else."""
    if value.text in values:
        return value.text
    known = " or ".join(f"`{known}`" for known in values)
    raise Unreadable("value", f"`{key.text}` is {value.text}", f"write {known}")


def _max_revocations(sheet: Sheet, pair: Pair) -> dict[str, Any]:
    mapping = sheet.mapping(pair.value, "`max_revocations`")
    if mapping is None:
        return {}
    sheet.only_keys(mapping, tuple(REVOCATIONS_MAX))
    found = {}
    for name, most in REVOCATIONS_MAX.items():
        scalar = sheet.scalar(mapping.pairs[name]) if name in mapping.pairs else None
        if scalar is None:
            continue
        try:
            found[f"max_revocations_{name}"] = whole_number(scalar.text, name, 0, most)
        except Unreadable as reason:
            sheet.unreadable(scalar, reason)
    return found


def _patterns(sheet: Sheet, pair: Pair) -> dict[str, Any]:
    sequence = sheet.sequence(pair.value, f"`{pair.key.text}`")
    if sequence is None:
        return {}
    if len(sequence.items) > PATTERNS_MAX:
        raise Unreadable("length", f"`{pair.key.text}` has more than {PATTERNS_MAX} patterns")
    found = []
    for node in sequence.items:
        scalar = sheet.item(node, pair.key.text)
        if scalar is None:
            continue
        kind, slash, rest = scalar.text.partition("/")
        if kind not in PRINCIPAL_KINDS or not slash or not PATTERN.match(rest):
            kinds = ", ".join(f"{kind}/…" for kind in PRINCIPAL_KINDS)
            message = f"`{scalar.text}` (in `{pair.key.text}`) is no pattern of principals"
            hint = f"write {kinds}, with `*` for any characters"
            sheet.error(scalar, "pattern", message, hint)
            continue
        found.append(scalar.text)
    return {pair.key.text: tuple(found)}


_READERS: dict[str, Callable[[Sheet, Pair], dict[str, Any]]] = {
    "deployer_role": _deployer_role,
    "policy_path": _policy_path,
    "max_temporary_days": _max_temporary_days,
    "time_zone": _time_zone,
    **{key: _one_of(values) for key, values in CHOICES.items()},
    "max_revocations": _max_revocations,
    "managed_principals": _patterns,
    "protected_principals": _patterns,
}

KEYS = tuple(_READERS)
