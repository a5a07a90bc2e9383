"""What each role of a PostgreSQL ledger may do: what its duty needs, and never change history.

The ledger belongs to the role that migrates, which nobody else needs to be. SQLite has no roles.
"""

from typing import Literal, get_args

from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.errors import LedgerRefused
from ledger.schema import (
    account_status,
    checkpoints,
    events,
    grants,
    latest,
    leases,
    replicas,
    sources,
)

Duty = Literal["ingest", "worker", "audit"]
DUTIES: tuple[Duty, ...] = get_args(Duty)

VERSION = "alembic_version"

_APPENDING = {
    events.name: "SELECT, INSERT",
    grants.name: "SELECT, INSERT, UPDATE",
    latest.name: "SELECT, INSERT, DELETE",
    checkpoints.name: "SELECT, INSERT",
    account_status.name: "SELECT",
    sources.name: "SELECT",
    replicas.name: "SELECT",
    leases.name: "SELECT",
    VERSION: "SELECT",
}

MAY: dict[Duty, dict[str, str]] = {
    "ingest": _APPENDING,
    "worker": _APPENDING
    | {
        account_status.name: "SELECT, INSERT, DELETE",
        sources.name: "SELECT, INSERT",
        replicas.name: "SELECT, INSERT, DELETE",
        leases.name: "SELECT, INSERT, UPDATE",
    },
    "audit": dict.fromkeys(_APPENDING, "SELECT"),
}
"""Duty -> table -> privileges."""

_ABOVE = text(
    "SELECT r.rolsuper, pg_has_role(r.oid, c.relowner, 'MEMBER') AS owns "
    "FROM pg_roles r, pg_class c WHERE r.rolname = :role AND c.oid = to_regclass(:events)"
).bindparams(bindparam("events", events.name))


async def allow(connection: AsyncConnection, role: str, duty: Duty) -> None:
    """Gives `role` what `duty` needs, and takes from it whatever else it had of the ledger.

    LedgerRefused where that would bind nobody. The caller owns the ledger, and commits.
    """
    above = (await connection.execute(_ABOVE, {"role": role})).first()
    if above is None:
        raise LedgerRefused(f"there is no role `{role}`; make it first (CREATE ROLE … LOGIN)")
    if above.rolsuper or above.owns:
        how = "is a superuser" if above.rolsuper else "owns the ledger, or is in the role that does"
        raise LedgerRefused(
            f"`{role}` {how}: it can change history whatever it is given. Make a role of its own "
            "for each duty"
        )
    schema = (await connection.execute(text("SELECT current_schema()"))).scalar_one()
    quote = connection.dialect.identifier_preparer.quote_identifier
    who, where = quote(role), quote(str(schema))
    for ddl in (
        f"REVOKE ALL ON ALL TABLES IN SCHEMA {where} FROM {who}",
        f"GRANT USAGE ON SCHEMA {where} TO {who}",
        *(f"GRANT {what} ON {where}.{table} TO {who}" for table, what in MAY[duty].items()),
    ):
        await connection.exec_driver_sql(ddl)
