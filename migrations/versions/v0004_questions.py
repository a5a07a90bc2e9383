"""Indexes for what is asked without an account: by policy, by team, about everybody.

Each leads with what is asked about and goes on with the end of access, so that years that are over
cost nothing; the beginning stands in it too, so that rows which do not match are not read.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BY_END = ("principal_key", "team", "policy")
NOT_REVOKED = sa.text("revoked_position IS NULL")


def upgrade() -> None:
    op.drop_index("ix_grants_principal_key_access_to", "grants")
    op.drop_index("ix_grants_team_policy_access_to", "grants")
    for asked in BY_END:
        columns = [asked, "access_to", "access_from"]
        op.create_index(f"ix_grants_{asked}_access_to_access_from", "grants", columns)
    op.create_index("ix_grants_access_to_access_from", "grants", ["access_to", "access_from"])
    op.create_index(
        "ix_grants_declared",
        "grants",
        ["ends_at"],
        sqlite_where=NOT_REVOKED,
        postgresql_where=NOT_REVOKED,
    )


def downgrade() -> None:
    op.drop_index("ix_grants_declared", "grants")
    op.drop_index("ix_grants_access_to_access_from", "grants")
    for asked in BY_END:
        op.drop_index(f"ix_grants_{asked}_access_to_access_from", "grants")
    op.create_index("ix_grants_team_policy_access_to", "grants", ["team", "policy", "access_to"])
    op.create_index("ix_grants_principal_key_access_to", "grants", ["principal_key", "access_to"])
