"""The copies that are judged: the product's own, and wrong ones with one planted error each.

Invariant: a mutant is the product's copy but for its one error, and a table that does not fail for
it proves nothing. Which oracle can see which error is said here, beside the error.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.oracles.cases import Case, Documents, Scale, Statement
from worker.iam.documents import NotCopyable, date_text, minify, timed_copy
from worker.iam.packing import split

TIME = "aws:CurrentTime"


def copy_of(case: Case, scale: Scale, user: str) -> list[str]:
    """The documents that the product writes for a row; none where it refuses to copy."""
    try:
        statements = timed_copy(
            case.source_texts(scale, user),
            ends_at=scale.end,
            starts_at=scale.start if case.starts else None,
            mfa=case.mfa,
        )
        if case.chars_max is None:
            return [minify(statements).text]
        return [each.text for each in split(statements, case.chars_max)]
    except NotCopyable as reason:
        if not case.refused or case.refused not in str(reason):
            raise AssertionError(f"{case} is not copied: {reason}") from reason
        return []


@dataclass(frozen=True)
class Mutant:
    """One way to make copies wrongly."""

    name: str
    make: Documents
    not_by_ministack: str = ""
    """Why that oracle cannot see it; empty: it must."""


def _statements(documents: Sequence[str]) -> list[list[Statement]]:
    return [json.loads(document)["Statement"] for document in documents]


def _documents(parts: Sequence[Sequence[Statement]]) -> list[str]:
    return [
        json.dumps({"Version": "2012-10-17", "Statement": list(part)}) for part in parts if part
    ]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def each_statement(change: Callable[[Statement], Statement | None]) -> Documents:
    """The right copy with every statement changed, or left out."""

    def made(case: Case, scale: Scale, user: str) -> list[str]:
        parts = _statements(copy_of(case, scale, user))
        changed = [[change(statement) for statement in part] for part in parts]
        return _documents([[each for each in part if each is not None] for part in changed])

    return made


def from_sources(
    change: Callable[[Statement, Scale, Case], Statement], applies: Callable[[Statement], bool]
) -> Documents:
    """Source statements that `applies` names are changed, every other is the product's copy."""

    def made(case: Case, scale: Scale, user: str) -> list[str]:
        parts = _statements(case.source_texts(scale, user))
        if not any(applies(each) for part in parts for each in part):
            return copy_of(case, scale, user)
        if case.refused and "Deny" not in case.refused:
            return []
        return _documents(
            [
                [
                    change(each, scale, case) if applies(each) else _right(each, scale, case)
                    for each in part
                ]
                for part in parts
            ]
        )

    return made


def _right(statement: Statement, scale: Scale, case: Case) -> Statement:
    """The product's copy of one statement."""
    texts = _documents([[statement]])
    starts_at = scale.start if case.starts else None
    made = minify(timed_copy(texts, ends_at=scale.end, starts_at=starts_at, mfa=case.mfa))
    (copied,) = _statements([made.text])[0]
    return copied


def _condition(statement: Statement, operator: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The operator as it is spelt there, its keys, and the whole condition; all of them copies."""
    condition = {name: dict(keys) for name, keys in statement.get("Condition", {}).items()}
    spelt = next((name for name in condition if name.casefold() == operator.casefold()), operator)
    return spelt, condition.get(spelt, {}), condition


def without_date(statement: Statement) -> Statement:
    spelt, keys, condition = _condition(statement, "DateLessThan")
    left = {key: value for key, value in keys.items() if key != TIME}
    condition.pop(spelt)
    return {**statement, "Condition": {**condition, **({spelt: left} if left else {})}}


def _dated(statement: Statement) -> bool:
    """Whether a date stands where ours has to go."""
    return any(
        key.casefold() == TIME.casefold()
        for operator in ("DateLessThan", "DateGreaterThanEquals")
        for key in _condition(statement, operator)[1]
    )


def _dated_in_another_case(statement: Statement) -> bool:
    return _dated(statement) and TIME not in json.dumps(statement)


def _set(
    statement: Statement, scale: Scale, case: Case, put: Callable[[dict[str, Any], str], None]
) -> Statement:
    bounds = [("DateLessThan", scale.end)]
    if case.starts:
        bounds.append(("DateGreaterThanEquals", scale.start))
    for operator, bound in bounds:
        spelt, keys, condition = _condition(statement, operator)
        put(keys, date_text(bound))
        statement = {**statement, "Condition": {**condition, spelt: keys}}
    return statement


def _standing(keys: dict[str, Any]) -> str:
    return next((key for key in keys if key.casefold() == TIME.casefold()), TIME)


def appended(statement: Statement, scale: Scale, case: Case) -> Statement:
    def put(keys: dict[str, Any], bound: str) -> None:
        found = _standing(keys)
        keys[found] = [*_listed(keys.get(found, [])), bound]

    return _set(statement, scale, case, put)


def overwritten(statement: Statement, scale: Scale, case: Case) -> Statement:
    def put(keys: dict[str, Any], bound: str) -> None:
        keys.pop(_standing(keys), None)
        keys[TIME] = bound

    return _set(statement, scale, case, put)


def kept(statement: Statement, scale: Scale, case: Case) -> Statement:
    def put(keys: dict[str, Any], bound: str) -> None:
        keys.setdefault(_standing(keys), bound)

    return _set(statement, scale, case, put)


def only_denies_timed(case: Case, scale: Scale, user: str) -> list[str]:
    parts = _statements(case.source_texts(scale, user))
    if not any(_denies(each) for part in parts for each in part):
        return copy_of(case, scale, user)
    return _documents(
        [
            [overwritten(each, scale, case) if _denies(each) else each for each in part]
            for part in parts
        ]
    )


def _denies(statement: Statement) -> bool:
    return bool(statement["Effect"] == "Deny")


def not_action_inverted(statement: Statement) -> Statement:
    changed = dict(statement)
    if "NotAction" in changed:
        changed["Action"] = changed.pop("NotAction")
    return changed


def not_action_lost(statement: Statement) -> Statement:
    changed = dict(statement)
    if changed.pop("NotAction", None) is not None:
        changed["Action"] = "*"
    return changed


def not_action_left_out(statement: Statement) -> Statement | None:
    return None if "NotAction" in statement else statement


def not_action_untimed(statement: Statement) -> Statement:
    return without_date(statement) if "NotAction" in statement else statement


def not_resource_lost(statement: Statement) -> Statement:
    changed = dict(statement)
    if changed.pop("NotResource", None) is not None:
        changed["Resource"] = "*"
    return changed


def end_included(statement: Statement) -> Statement:
    spelt, keys, condition = _condition(statement, "DateLessThan")
    condition.pop(spelt)
    return {**statement, "Condition": {**condition, "DateLessThanEquals": keys}}


def condition_lost(statement: Statement) -> Statement:
    condition = statement.get("Condition", {})
    kept = {name: keys for name, keys in condition.items() if name.startswith("Date")}
    return {**statement, "Condition": kept}


def factor_if_exists(statement: Statement) -> Statement:
    text = json.dumps(statement).replace('"Bool": ', '"BoolIfExists": ')
    changed: Statement = json.loads(text)
    return changed


def factor_lost(statement: Statement) -> Statement:
    _, keys, condition = _condition(statement, "Bool")
    condition.pop("Bool", None)
    left = {key: value for key, value in keys.items() if "multifactor" not in key.casefold()}
    return {**statement, "Condition": {**condition, **({"Bool": left} if left else {})}}


def wildcard_made(statement: Statement) -> Statement:
    text = re.sub(r'"(s3:[A-Z][a-z]+)[A-Za-z]*"', r'"\1*"', json.dumps(statement))
    changed: Statement = json.loads(text)
    return changed


def merged_across(case: Case, scale: Scale, user: str) -> list[str]:
    """All statements that have Actions as one: every action on every resource."""
    parts = _statements(copy_of(case, scale, user))
    every = [each for part in parts for each in part]
    plain = [each for each in every if "Action" in each and "Resource" in each]
    if len(plain) < 2:
        return _documents(parts)
    one = {
        **plain[0],
        "Action": [action for each in plain for action in _listed(each["Action"])],
        "Resource": [resource for each in plain for resource in _listed(each["Resource"])],
    }
    return _documents([[one, *(each for each in every if each not in plain)]])


def part_lost(case: Case, scale: Scale, user: str) -> list[str]:
    """Of a copy in several documents, the last is never written."""
    documents = copy_of(case, scale, user)
    return documents[:-1] if len(documents) > 1 else documents


def part_untimed(case: Case, scale: Scale, user: str) -> list[str]:
    """Of a copy in several documents, the last has no end."""
    parts = _statements(copy_of(case, scale, user))
    if len(parts) > 1:
        parts[-1] = [without_date(each) for each in parts[-1]]
    return _documents(parts)


MUTANTS = [
    Mutant("date left out", each_statement(without_date)),
    Mutant("date appended to the list that stands", from_sources(appended, _dated)),
    Mutant("date written over what stands", from_sources(overwritten, _dated)),
    Mutant("key in another case, taken for the end", from_sources(kept, _dated_in_another_case)),
    Mutant("key in another case, lost", from_sources(overwritten, _dated_in_another_case)),
    Mutant("date on the Deny only", only_denies_timed),
    Mutant("date on the Deny too", from_sources(overwritten, _denies)),
    Mutant("NotAction turned round", each_statement(not_action_inverted)),
    Mutant("NotAction lost", each_statement(not_action_lost)),
    Mutant("NotAction's statement left out", each_statement(not_action_left_out)),
    Mutant("NotAction's statement without a date", each_statement(not_action_untimed)),
    Mutant("NotResource lost", each_statement(not_resource_lost)),
    Mutant(
        "the end itself included",
        each_statement(end_included),
        not_by_ministack="its clock has microseconds, and no call meets an instant",
    ),
    Mutant("other conditions lost", each_statement(condition_lost)),
    Mutant("MFA as BoolIfExists", each_statement(factor_if_exists)),
    Mutant("MFA left out", each_statement(factor_lost)),
    Mutant("a wildcard made", each_statement(wildcard_made)),
    Mutant("statements merged across resources", merged_across),
    Mutant("a part of a split copy lost", part_lost),
    Mutant("a part of a split copy without a date", part_untimed),
]
