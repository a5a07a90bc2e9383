"""Rows of the `grants` table to `GrantRow` and back: the one place that knows both shapes."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ledger.codec import FAR, decode_made, encode_made, instant_of, microseconds
from ledger.errors import ChainBroken
from ledger.model import Grant, Window, parse_principal
from ledger.project import GrantRow, Mark, Trouble

FIXED = {
    "team",
    "environment",
    "account",
    "principal",
    "principal_key",
    "policy",
    "starts_at",
    "ends_at",
    "object",
    "continues_id",
    "continues_turn",
    "ticket",
    "description",
    "granted_position",
    "granted_at",
    "access_from",
}
"""Columns that follow from the grant and its `granted`, beside the key: no later event changes
them, so that no index over them alone is touched again."""


def _us(instant: datetime | None) -> int | None:
    return None if instant is None else microseconds(instant)


def _far(instant: datetime | None) -> int:
    return FAR if instant is None else microseconds(instant)


def _instant(value: int | None) -> datetime | None:
    return None if value is None or value >= FAR else instant_of(value)


def columns_of(row: GrantRow) -> dict[str, object]:
    """`row` as the table's columns, all of them."""
    grant, trouble = row.grant, row.trouble
    return {
        "grant_id": grant.id,
        "turn": grant.turn,
        "team": grant.team,
        "environment": grant.environment,
        "account": grant.account,
        "principal": str(grant.principal),
        "principal_key": grant.principal.key,
        "policy": grant.policy,
        "starts_at": microseconds(grant.window.starts_at),
        "ends_at": _far(grant.window.ends_at),
        "object": grant.object,
        "continues_id": grant.continues[0] if grant.continues else None,
        "continues_turn": grant.continues[1] if grant.continues else None,
        "ticket": grant.ticket,
        "description": grant.description,
        "granted_position": row.granted.position,
        "granted_at": microseconds(row.granted.at),
        "revoked_position": row.revoked.position if row.revoked else None,
        "revoked_at": _us(row.revoked.at) if row.revoked else None,
        "revoked_cause": row.revoked_cause,
        "hold": row.hold,
        "spent_at": _us(row.spent_at),
        "applied_position": row.applied.position if row.applied else None,
        "applied_at": _us(row.applied.at) if row.applied else None,
        "applied_recorded_at": _us(row.applied.recorded_at) if row.applied else None,
        "written_position": row.written_position,
        "policy_position": row.policy_position,
        "enforcement": row.enforcement,
        "made": encode_made(row.made, row.pins),
        "closed_position": row.closed.position if row.closed else None,
        "closed_at": _us(row.closed.at) if row.closed else None,
        "closed_recorded_at": _us(row.closed.recorded_at) if row.closed else None,
        "closed_how": row.closed_how,
        "lateness_us": row.lateness_us,
        "trouble": trouble.kind if trouble else None,
        "trouble_position": trouble.since.position if trouble else None,
        "trouble_at": _us(trouble.since.at) if trouble else None,
        "trouble_recorded_at": _us(trouble.since.recorded_at) if trouble else None,
        "trouble_code": trouble.code if trouble else None,
        "trouble_message": trouble.message if trouble else None,
        "access_from": microseconds(row.access_from),
        "access_to": _far(row.access_to),
        "principal_id": row.principal_id,
    }


def row_of(columns: Mapping[Any, Any]) -> GrantRow:
    """The inverse of `columns_of`; the two derived columns are derived again.

    ChainBroken for a row that nobody can read: the ledger writes none such.
    """
    try:
        return _row_of(columns)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise ChainBroken(
            f"the row of grant {columns['grant_id']} turn {columns['turn']} cannot be read "
            f"({error}); run `iam-ledger verify`, then `iam-ledger migrate --rebuild`"
        ) from error


def _row_of(columns: Mapping[Any, Any]) -> GrantRow:
    made, pins = decode_made(columns["made"])
    granted_at = instant_of(columns["granted_at"])
    return GrantRow(
        grant=_grant_of(columns),
        granted=Mark(columns["granted_position"], granted_at, granted_at),
        revoked=_mark(columns, "revoked_position", "revoked_at", "revoked_at"),
        revoked_cause=columns["revoked_cause"],
        hold=columns["hold"],
        spent_at=_instant(columns["spent_at"]),
        applied=_mark(columns, "applied_position", "applied_at", "applied_recorded_at"),
        written_position=columns["written_position"],
        policy_position=columns["policy_position"],
        enforcement=columns["enforcement"],
        made=made,
        pins=pins,
        principal_id=columns["principal_id"],
        closed=_mark(columns, "closed_position", "closed_at", "closed_recorded_at"),
        closed_how=columns["closed_how"],
        lateness_us=columns["lateness_us"],
        trouble=_trouble_of(columns),
    )


def _mark(columns: Mapping[Any, Any], position: str, at: str, recorded_at: str) -> Mark | None:
    if columns[position] is None:
        return None
    return Mark(columns[position], instant_of(columns[at]), instant_of(columns[recorded_at]))


def _trouble_of(columns: Mapping[Any, Any]) -> Trouble | None:
    since = _mark(columns, "trouble_position", "trouble_at", "trouble_recorded_at")
    if since is None:
        return None
    return Trouble(columns["trouble"], since, columns["trouble_code"], columns["trouble_message"])


def _grant_of(columns: Mapping[Any, Any]) -> Grant:
    continues = None
    if columns["continues_id"] is not None:
        continues = (columns["continues_id"], columns["continues_turn"])
    return Grant(
        id=columns["grant_id"],
        turn=columns["turn"],
        team=columns["team"],
        environment=columns["environment"],
        account=columns["account"],
        principal=parse_principal(columns["principal"]),
        policy=columns["policy"],
        window=Window(instant_of(columns["starts_at"]), _instant(columns["ends_at"])),
        object=columns["object"],
        continues=continues,
        ticket=columns["ticket"],
        description=columns["description"],
    )
