"""YAML text to declared accounts, policies, grants and settings, each with its place.

Invariant: bytes in, values out. No file system, no clock; the one room that knows YAML.
"""

from ledger.manifest.declared import (
    DeclaredAccount,
    DeclaredGrant,
    DeclaredPolicy,
    EndsAt,
    LastDay,
    Lasts,
    Manifest,
    Permanent,
    Reading,
)
from ledger.manifest.layout import FOLDERS, SETTINGS_FILE
from ledger.manifest.limits import limit_problems, too_far, too_long
from ledger.manifest.problems import Problem, Source
from ledger.manifest.reading import read

__all__ = [
    "FOLDERS",
    "SETTINGS_FILE",
    "DeclaredAccount",
    "DeclaredGrant",
    "DeclaredPolicy",
    "EndsAt",
    "LastDay",
    "Lasts",
    "Manifest",
    "Permanent",
    "Problem",
    "Reading",
    "Source",
    "limit_problems",
    "read",
    "too_far",
    "too_long",
]
