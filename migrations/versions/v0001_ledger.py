"""The first ledger: events with their guards, the projection, the newest words, the status."""

import sqlalchemy as sa
from alembic import op

from ledger import guards

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "account_status",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("replica", TEXT, nullable=False),
        sa.Column("heartbeat_at", sa.BigInteger(), nullable=False),
        sa.Column("last_pass_at", sa.BigInteger(), nullable=True),
        sa.Column("last_error", TEXT, nullable=True),
        sa.Column("next_try_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_account_status")),
    )
    op.create_table(
        "events",
        sa.Column(
            "position",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("team", TEXT, nullable=True),
        sa.Column("account", TEXT, nullable=True),
        sa.Column("grant_id", TEXT, nullable=True),
        sa.Column("turn", sa.Integer(), nullable=True),
        sa.Column("principal", TEXT, nullable=True),
        sa.Column("policy", TEXT, nullable=True),
        sa.Column("payload", TEXT, nullable=False),
        sa.Column("provenance", TEXT, nullable=False),
        sa.Column("dedup_key", TEXT, nullable=False),
        sa.Column("prev_hash", TEXT, nullable=False),
        sa.Column("hash", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_events")),
        sa.UniqueConstraint("dedup_key", name=op.f("uq_events_dedup_key")),
    )
    op.create_index(
        op.f("ix_events_account_position"), "events", ["account", "position"], unique=False
    )
    op.create_index(
        op.f("ix_events_grant_id_position"), "events", ["grant_id", "position"], unique=False
    )
    op.create_index(
        op.f("ix_events_policy_position"), "events", ["policy", "position"], unique=False
    )
    op.create_index(
        op.f("ix_events_principal_position"), "events", ["principal", "position"], unique=False
    )
    op.create_table(
        "grants",
        sa.Column("grant_id", TEXT, nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("team", TEXT, nullable=False),
        sa.Column("environment", TEXT, nullable=False),
        sa.Column("account", TEXT, nullable=False),
        sa.Column("principal", TEXT, nullable=False),
        sa.Column("principal_key", TEXT, nullable=False),
        sa.Column("policy", TEXT, nullable=False),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("object", TEXT, nullable=True),
        sa.Column("continues_id", TEXT, nullable=True),
        sa.Column("continues_turn", sa.Integer(), nullable=True),
        sa.Column("ticket", TEXT, nullable=True),
        sa.Column("description", TEXT, nullable=True),
        sa.Column("granted_position", sa.BigInteger(), nullable=False),
        sa.Column("granted_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_position", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_cause", TEXT, nullable=True),
        sa.Column("hold", TEXT, nullable=True),
        sa.Column("spent_at", sa.BigInteger(), nullable=True),
        sa.Column("applied_position", sa.BigInteger(), nullable=True),
        sa.Column("applied_at", sa.BigInteger(), nullable=True),
        sa.Column("applied_recorded_at", sa.BigInteger(), nullable=True),
        sa.Column("written_position", sa.BigInteger(), nullable=True),
        sa.Column("policy_position", sa.BigInteger(), nullable=True),
        sa.Column("enforcement", TEXT, nullable=True),
        sa.Column("made", TEXT, nullable=False),
        sa.Column("closed_position", sa.BigInteger(), nullable=True),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("closed_recorded_at", sa.BigInteger(), nullable=True),
        sa.Column("closed_how", TEXT, nullable=True),
        sa.Column("lateness_us", sa.BigInteger(), nullable=True),
        sa.Column("trouble", TEXT, nullable=True),
        sa.Column("trouble_position", sa.BigInteger(), nullable=True),
        sa.Column("trouble_at", sa.BigInteger(), nullable=True),
        sa.Column("trouble_recorded_at", sa.BigInteger(), nullable=True),
        sa.Column("trouble_code", TEXT, nullable=True),
        sa.Column("trouble_message", TEXT, nullable=True),
        sa.Column("access_from", sa.BigInteger(), nullable=False),
        sa.Column("access_to", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("grant_id", "turn", name=op.f("pk_grants")),
    )
    op.create_index(
        op.f("ix_grants_account_access_to_access_from"),
        "grants",
        ["account", "access_to", "access_from"],
        unique=False,
    )
    op.create_index(op.f("ix_grants_account_object"), "grants", ["account", "object"], unique=False)
    op.create_index(
        "ix_grants_next_ends",
        "grants",
        ["ends_at"],
        unique=False,
        sqlite_where=sa.text("closed_position IS NULL"),
        postgresql_where=sa.text("closed_position IS NULL"),
    )
    op.create_index(
        "ix_grants_open",
        "grants",
        ["account", "ends_at"],
        unique=False,
        sqlite_where=sa.text("closed_position IS NULL"),
        postgresql_where=sa.text("closed_position IS NULL"),
    )
    op.create_index(
        op.f("ix_grants_principal_key_access_to"),
        "grants",
        ["principal_key", "access_to"],
        unique=False,
    )
    op.create_index(
        op.f("ix_grants_team_policy_access_to"),
        "grants",
        ["team", "policy", "access_to"],
        unique=False,
    )
    op.create_table(
        "latest",
        sa.Column("topic", TEXT, nullable=False),
        sa.Column("account", TEXT, nullable=False),
        sa.Column("team", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("topic", "account", "team", "name", name=op.f("pk_latest")),
    )
    for ddl in guards.statements(op.get_context().dialect.name):
        op.execute(ddl)


def downgrade() -> None:
    """There is nothing before the first schema, and history is not thrown away."""
    raise RuntimeError("the first schema cannot be taken back: drop the database if you mean it")
