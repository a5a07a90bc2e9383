"""The ledger's tables. Imported by the store and the migrations only.

Instants are BIGINT microseconds since 1970 on every engine; payloads are TEXT, because a JSON type
rewrites the bytes that were hashed. `ledger.codec.FAR` stands for "no end", so that one index
answers ranges.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

REVISION = "0006"
"""The migration that this program expects (a test holds it equal to alembic's head)."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


POSITION = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite's INTEGER is as wide, and as the key it is the rowid itself: beside any other key there is
a hidden one, by which INSERT OR REPLACE could erase a row behind the back of every trigger."""


TEXT = Text().with_variant(Text(collation="C"), "postgresql")
"""Compared byte by byte, as SQLite does: ranges over prefixes and orders are the same on both, and
no new version of the system's collations can spoil an index."""


def _instant(name: str, *, nullable: bool = True) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)


def _text(name: str, *, nullable: bool = True) -> Column[str]:
    return Column(name, TEXT, nullable=nullable)


events = Table(
    "events",
    metadata,
    Column("position", POSITION, nullable=False, autoincrement=False),
    _instant("recorded_at", nullable=False),
    _text("kind", nullable=False),
    Column("version", Integer, nullable=False),
    _text("team"),
    _text("account"),
    _text("grant_id"),
    Column("turn", Integer),
    _text("principal"),
    _text("policy"),
    _text("payload", nullable=False),
    _text("provenance", nullable=False),
    _text("dedup_key", nullable=False),
    _text("prev_hash", nullable=False),
    _text("hash", nullable=False),
    PrimaryKeyConstraint("position"),
    UniqueConstraint("dedup_key"),
    Index(None, "grant_id", "position"),
    Index(None, "account", "position"),
    Index(None, "principal", "position"),
    Index(None, "policy", "position"),
)

grants = Table(
    "grants",
    metadata,
    _text("grant_id", nullable=False),
    Column("turn", Integer, nullable=False),
    _text("team", nullable=False),
    _text("environment", nullable=False),
    _text("account", nullable=False),
    _text("principal", nullable=False),
    _text("principal_key", nullable=False),
    _text("policy", nullable=False),
    _instant("starts_at", nullable=False),
    _instant("ends_at", nullable=False),
    _text("object"),
    _text("continues_id"),
    Column("continues_turn", Integer),
    _text("ticket"),
    _text("description"),
    Column("granted_position", BigInteger, nullable=False),
    _instant("granted_at", nullable=False),
    Column("revoked_position", BigInteger),
    _instant("revoked_at"),
    _text("revoked_cause"),
    _text("hold"),
    _instant("spent_at"),
    Column("applied_position", BigInteger),
    _instant("applied_at"),
    _instant("applied_recorded_at"),
    Column("written_position", BigInteger),
    Column("policy_position", BigInteger),
    _text("enforcement"),
    _text("made", nullable=False),
    Column("closed_position", BigInteger),
    _instant("closed_at"),
    _instant("closed_recorded_at"),
    _text("closed_how"),
    Column("lateness_us", BigInteger),
    _text("trouble"),
    Column("trouble_position", BigInteger),
    _instant("trouble_at"),
    _instant("trouble_recorded_at"),
    _text("trouble_code"),
    _text("trouble_message"),
    _instant("access_from", nullable=False),
    _instant("access_to", nullable=False),
    _text("principal_id"),
    PrimaryKeyConstraint("grant_id", "turn"),
    Index(None, "account", "access_to", "access_from"),
    Index(None, "principal_key", "access_to", "access_from"),
    Index(None, "team", "access_to", "access_from"),
    Index(None, "policy", "access_to", "access_from"),
    Index(None, "access_to", "access_from"),
    Index(None, "account", "object"),
    Index(
        "ix_grants_open",
        "account",
        "ends_at",
        sqlite_where=text("closed_position IS NULL"),
        postgresql_where=text("closed_position IS NULL"),
    ),
    Index(
        "ix_grants_next_ends",
        "ends_at",
        sqlite_where=text("closed_position IS NULL"),
        postgresql_where=text("closed_position IS NULL"),
    ),
    Index(
        "ix_grants_declared",
        "ends_at",
        sqlite_where=text("revoked_position IS NULL"),
        postgresql_where=text("revoked_position IS NULL"),
    ),
)

latest = Table(
    "latest",
    metadata,
    _text("topic", nullable=False),
    _text("account", nullable=False),
    _text("team", nullable=False),
    _text("name", nullable=False),
    Column("position", BigInteger, nullable=False),
    PrimaryKeyConstraint("topic", "account", "team", "name"),
)

account_status = Table(
    "account_status",
    metadata,
    _text("account", nullable=False),
    _text("replica", nullable=False),
    _instant("heartbeat_at", nullable=False),
    _instant("last_pass_at"),
    _text("last_error"),
    _instant("next_try_at"),
    PrimaryKeyConstraint("account"),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("position", BigInteger, nullable=False, autoincrement=False),
    _text("key", nullable=False),
    _text("hash", nullable=False),
    _text("note", nullable=False),
    _instant("made_at", nullable=False),
    PrimaryKeyConstraint("position", "key"),
)
"""Signed notes over (origin, position, hash), one a head and key. A copy for convenience: whoever
owns the database can change it, so what proves something is the one that was kept elsewhere."""

sources = Table(
    "sources",
    metadata,
    _text("arn", nullable=False),
    _text("version", nullable=False),
    _text("sha256", nullable=False),
    _text("document", nullable=False),
    _instant("seen_at", nullable=False),
    PrimaryKeyConstraint("arn", "version"),
)
"""Texts of AWS-managed policies, so that "who could do that then" has an answer later."""

replicas = Table(
    "replicas",
    metadata,
    _text("instance", nullable=False),
    _text("name", nullable=False),
    Column("alone", Integer, nullable=False),
    _instant("seen_at", nullable=False),
    _instant("lives_until", nullable=False),
    PrimaryKeyConstraint("instance"),
)
"""The workers of this ledger, each by what no other process has: how they share it."""

leases = Table(
    "leases",
    metadata,
    Column("shard", Integer, nullable=False, autoincrement=False),
    Column("token", BigInteger, nullable=False),
    _text("instance"),
    _instant("held_until", nullable=False),
    PrimaryKeyConstraint("shard"),
)
"""Which of them keeps a shard of the accounts; a row is never deleted, so that tokens only grow."""
