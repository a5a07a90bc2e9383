"""JSON Schema (draft 7) of each YAML file, for editors: made from the parser's own tables.

Pure. Invariant: never narrower than the parser, so that no editor marks a file which it takes; and
where the schema can say what the parser refuses (keys, shapes, forms, one of several), it does.
What names stand for, and everything that takes more than one place, only the parser knows.
"""

import re
from collections.abc import Iterable, Mapping
from typing import get_args

from ledger.manifest import access, accounts, policies, scalars, settings, sheet, statements
from ledger.manifest.layout import SETTINGS_FILE
from ledger.manifest.principals import written_as
from ledger.manifest.wording import ACCESS, ACCOUNTS, POLICIES, SETTINGS, STATEMENT, Said
from ledger.model import ACCOUNT, PRINCIPAL_KINDS, Enforcement, KindFacts

Schema = dict[str, object]

DIALECT = "http://json-schema.org/draft-07/schema#"
"""The newest that every editor knows."""

_TEXT: Schema = {"type": ["string", "number", "boolean"], "minLength": 1}
"""One text: what YAML takes for a number or a truth is read as it was written."""


def schemas() -> dict[str, Schema]:
    """By the name of the folder (`settings`: the settings file) whose files it describes."""
    return {
        accounts.SECTION: _file(accounts.SECTION, _accounts()),
        policies.SECTION: _file(policies.SECTION, _policies())
        | {"definitions": {"condition": _condition()}},
        access.PERMANENT: _file(access.PERMANENT, _access(access.PERMANENT)),
        access.TEMPORARY: _file(access.TEMPORARY, _access(access.TEMPORARY)),
        settings.SECTION: _file(settings.SECTION, _settings()),
    }


def settings_of(section: str) -> bool:
    """Whether it is that of the one file at the top of the directory."""
    return section == settings.SECTION


def described_files(section: str) -> str:
    """Which files a schema is of, from the top of the directory."""
    return SETTINGS_FILE if settings_of(section) else f"{section}/TEAM.yaml"


def _file(section: str, content: Schema) -> Schema:
    """One top-level key; with nothing under it the file declares nothing."""
    return {
        "$schema": DIALECT,
        "title": f"iam-ledger: {described_files(section)}",
        "type": ["object", "null"],
        "properties": {section: content},
        "additionalProperties": False,
    }


# --- shapes -----------------------------------------------------------------------------------


def _pattern(form: re.Pattern[str]) -> str:
    """A pattern of the parser's, which holds it against the whole text, as ECMA 262 writes it."""
    text = form.pattern.removesuffix(r"\Z")
    if not form.flags & re.ASCII:
        text = text.replace(r"\w", r"\p{L}\p{N}_")
    return f"^{text}$"


def _form(form: re.Pattern[str], length_max: int | None = None) -> Schema:
    """A text in quotes or without, which is no number."""
    bound = {} if length_max is None else {"maxLength": length_max}
    return {"type": "string", "minLength": 1, "pattern": _pattern(form), **bound}


def _choice(values: Iterable[str]) -> Schema:
    return {"type": "string", "enum": list(values)}


def _list(items: Schema, least: int = 0) -> Schema:
    return {"type": "array", "items": items} | ({"minItems": least} if least else {})


def _number(least: int, most: int) -> Schema:
    """A whole number, in quotes or without."""
    return {
        "type": ["integer", "string"],
        "minimum": least,
        "maximum": most,
        "pattern": "^[0-9]{1,9}$",
    }


def _object(keys: Iterable[str], shapes: Mapping[str, Schema], words: Mapping[str, Said]) -> Schema:
    """A mapping with these keys and no others, each with its words."""
    return {
        "type": "object",
        "properties": {key: shapes[key] | _words(words[key]) for key in keys},
        "additionalProperties": False,
    }


def _words(said: Said) -> Schema:
    examples = {"examples": list(said.examples)} if said.examples else {}
    return {"description": said.about, **examples}


def _named(content: Schema, about: str) -> Schema:
    """A mapping from names that people choose."""
    names = {"pattern": _pattern(sheet.NAME), "maxLength": sheet.NAME_MAX}
    return {
        "description": about,
        "type": ["object", "null"],
        "propertyNames": names,
        "additionalProperties": content,
    }


def _exactly_one(keys: Iterable[str]) -> Schema:
    return {"oneOf": [{"required": [key]} for key in keys]}


def _not_both(keys: Iterable[str]) -> Schema:
    return {"not": {"required": list(keys)}}


# --- the files --------------------------------------------------------------------------------


def _accounts() -> Schema:
    number: Schema = {"type": "string", "pattern": _pattern(ACCOUNT)}
    shapes = {
        "id": number,
        "deployer_role": _TEXT,
        "external_id": _TEXT | {"pattern": _pattern(accounts.EXTERNAL_ID)},
        "source_identity": _TEXT | {"pattern": _pattern(accounts.SOURCE_IDENTITY)},
    }
    long = _object(accounts.KEYS, shapes, ACCOUNTS) | {"required": ["id"]}
    account: Schema = {
        "description": "The AWS account: 12 digits in quotes, or a mapping with its id.",
        "examples": ["123456789012"],
        "anyOf": [number, long],
    }
    return _named(account, "What the team calls an environment, and which account that is.")


def _policies() -> Schema:
    shapes: dict[str, Schema] = {
        "description": _free_text(sheet.TEXT_MAX),
        "managed_policies": _list(_form(policies.MANAGED)),
        "custom_statements": _list(_statement()),
        "max_duration": _form(scalars.DURATION),
        "require_mfa": {"type": ["boolean", "string"], "pattern": "^(?:true|false)$"},
        "enforcement": _choice(get_args(Enforcement)),
        "allow_dangerous": {
            "type": ["string", "number"],
            "minLength": 1,
            "maxLength": policies.CONSENT_MAX,
        },
    }
    content = ("custom_statements", "managed_policies")
    policy = _object(policies.KEYS, shapes, POLICIES)
    policy["anyOf"] = [{"required": [key]} for key in content]
    return _named(policy, "What may be asked for, by the name that access files use.")


def _free_text(length_max: int) -> Schema:
    """For people; may be left empty."""
    return {"type": ["string", "number", "boolean", "null"], "maxLength": length_max}


def _statement() -> Schema:
    action, resource = _form(statements.ACTION), _form(statements.RESOURCE)
    shapes = {
        "sid": _TEXT | {"pattern": _pattern(statements.SID)},
        "effect": _choice(statements.EFFECTS),
        "actions": _one_or_list(action),
        "not_actions": _one_or_list(action),
        "resources": _one_or_list(resource),
        "not_resources": _one_or_list(resource),
        "conditions": _conditions(),
    }
    statement = _object(statements.STATEMENT_KEYS, shapes, STATEMENT) | {"required": ["effect"]}
    statement["allOf"] = [
        _exactly_one(("actions", "not_actions")),
        _exactly_one(("resources", "not_resources")),
    ]
    return statement


def _one_or_list(item: Schema) -> Schema:
    return {"anyOf": [item, _list(item, 1)]}


def _conditions() -> Schema:
    keys = {"$ref": "#/definitions/condition"}
    return {
        "type": "object",
        "minProperties": 1,
        "properties": dict.fromkeys(sorted(statements.OPERATORS), keys),
        "additionalProperties": False,
    }


def _condition() -> Schema:
    """What stands under an operator. A value may be empty where it is quoted."""
    value: Schema = {"type": ["string", "number", "boolean"]}
    return {
        "description": "Condition key -> one value, or a list of them.",
        "type": "object",
        "minProperties": 1,
        "additionalProperties": _one_or_list(value),
    }


def _access(section: str) -> Schema:
    temporary = section == access.TEMPORARY
    kinds = [facts for facts in PRINCIPAL_KINDS.values() if facts.temporary or not temporary]
    refused = [facts for facts in PRINCIPAL_KINDS.values() if facts not in kinds]
    shapes, words = _who(kinds), ACCESS | _said_of(kinds)
    for singular, plural in access.TARGETS:
        shapes |= {singular: _TEXT, plural: _list(_TEXT, 1)}
    shapes |= {
        "description": _free_text(sheet.TEXT_MAX),
        "expiration_date": _form(scalars.DATE),
        "expires_at": _form(scalars.INSTANT),
        "duration": _form(scalars.DURATION),
        "starts_at": _form(scalars.INSTANT),
        "ticket": _TEXT | {"maxLength": access.TICKET_MAX},
    }
    gone = {key for facts in refused for key in (facts.singular_key, facts.plural_key)}
    entry = _object([key for key in access.KEYS[section] if key not in gone], shapes, words)
    pairs = [(facts.singular_key, facts.plural_key) for facts in kinds]
    entry["allOf"] = [
        {"anyOf": [{"required": [key]} for pair in pairs for key in pair]},
        *map(_not_both, pairs),
        *map(_exactly_one, access.TARGETS),
        *([_exactly_one(access.ENDS)] if temporary else []),
    ]
    about = "for a time" if temporary else "until its line goes"
    return {
        "description": f"Who has access {about}: principals x environments x policies of each.",
        "type": ["array", "null"],
        "items": entry,
    }


def _who(kinds: Iterable[KindFacts]) -> dict[str, Schema]:
    shapes: dict[str, Schema] = {}
    for facts in kinds:
        one = _TEXT | {"pattern": written_as(facts)}
        shapes |= {facts.singular_key: one, facts.plural_key: _list(one, 1)}
    return shapes


def _said_of(kinds: Iterable[KindFacts]) -> dict[str, Said]:
    words = {}
    for facts in kinds:
        kind, ways = facts.kind.value, "a name, path/name or a whole ARN"
        example = f"team/{kind}-a"
        if facts.email_allowed:
            ways, example = f"an address, {ways}", "ana@example.com"
        words[facts.singular_key] = Said(f"One IAM {kind}: {ways}.", (example,))
        words[facts.plural_key] = Said(f"IAM {facts.plural_key}: {ways} of each.", ([example],))
    return words


def _settings() -> Schema:
    kinds = "|".join(facts.kind.value for facts in PRINCIPAL_KINDS.values())
    anyone = re.compile(f"(?:{kinds})/{settings.PATTERN.pattern}", re.ASCII)
    patterns = _list(_form(anyone)) | {"maxItems": settings.PATTERNS_MAX}
    brake = {key: _number(0, most) for key, most in settings.REVOCATIONS_MAX.items()}
    shapes: dict[str, Schema] = {
        "deployer_role": _TEXT,
        "policy_path": _form(settings.POLICY_PATH, settings.POLICY_PATH_MAX),
        "max_temporary_days": _number(1, settings.TEMPORARY_DAYS_MAX),
        "time_zone": _form(settings.ZONE),
        **{key: _choice(values) for key, values in settings.CHOICES.items()},
        "max_revocations": {
            "type": "object",
            "properties": brake,
            "additionalProperties": False,
        },
        "managed_principals": patterns,
        "protected_principals": patterns,
    }
    found = _object(settings.KEYS, shapes, SETTINGS)
    return found | {"description": "For the whole directory.", "type": ["object", "null"]}
