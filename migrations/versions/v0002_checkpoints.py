"""Signed checkpoints, kept beside the events that they vouch for. Adds a table, changes none."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "checkpoints",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("hash", TEXT, nullable=False),
        sa.Column("note", TEXT, nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("position", "key", name=op.f("pk_checkpoints")),
    )


def downgrade() -> None:
    """Only copies are lost: what was written out elsewhere still proves what it proved."""
    op.drop_table("checkpoints")
