"""Which worker keeps which accounts. Adds two tables that are overwritten, changes none."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "replicas",
        sa.Column("instance", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("alone", sa.Integer(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("lives_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("instance", name=op.f("pk_replicas")),
    )
    op.create_table(
        "leases",
        sa.Column("shard", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("instance", TEXT, nullable=True),
        sa.Column("held_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("shard", name=op.f("pk_leases")),
    )


def downgrade() -> None:
    """Only with no worker running: tokens begin anew."""
    op.drop_table("leases")
    op.drop_table("replicas")
